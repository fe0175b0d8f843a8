"""Features of a user's own: checked, compiled for themselves, and called by compiled kernels at their address."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from itertools import product
from numbers import Real
from typing import Any

import numba
from llvmlite import ir
from numba import config, types
from numba.core.errors import NumbaError
from numba.extending import intrinsic

from agents.source_lines import failing_line, numba_line, returning_line
from agents.update_check import numba_reason

ARGUMENTS = ("contrast", "previous_choice", "previous_reward", "previous_contrast")
_SIGNATURE = types.float64(*[types.float64] * len(ARGUMENTS))
_CONTRASTS = (-1.0, -0.5, -0.25, -0.125, -0.0625, 0.0, 0.0625, 0.125, 0.25, 0.5, 1.0)
_PREVIOUS = ((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (-1.0, -1.0), (-1.0, 0.0))  # choice and reward that may have been
TRIALS = [(c, *before, c1) for c, before, c1 in product(_CONTRASTS, _PREVIOUS, _CONTRASTS) if before[0] or not c1]
_KEPT: dict[int, Any] = {}  # what was compiled, by its address: it must outlive every loop that calls it

if config.DISABLE_JIT:

    def call_feature(address: int, *trial: float) -> float:
        """The feature at an address."""
        return float(_KEPT[address](*trial))
else:

    @intrinsic
    def call_feature(_context, address, contrast, previous_choice, previous_reward, previous_contrast):  # type: ignore[no-untyped-def]
        """The feature at an address, of the ARGUMENTS of a trial."""
        number = ir.DoubleType()

        def call(_target, builder, _signature, arguments):  # type: ignore[no-untyped-def]
            function = ir.FunctionType(number, [number] * len(ARGUMENTS)).as_pointer()
            return builder.call(builder.inttoptr(arguments[0], function), arguments[1:])

        return types.float64(types.int64, *_SIGNATURE.args), call


def compile_feature(name: str, function: Callable[..., float]) -> int:
    """The address of a feature, compiled. Raises ValueError, with the line, for a function that is none."""
    if not callable(function):
        raise ValueError(f"feature {name!r}: {function!r} is not a function")
    try:
        inspect.signature(function).bind(*ARGUMENTS)
    except TypeError as error:
        raise ValueError(f"feature {name!r}: its function must take ({', '.join(ARGUMENTS)}), in that order: {error}") from None
    _check_values(name, function)
    if config.DISABLE_JIT:
        _KEPT[id(function) + 2**32] = function
        return id(function) + 2**32
    try:
        compiled = numba.cfunc(_SIGNATURE, error_model="numpy")(function)
    except NumbaError as error:
        line = numba_line(function, str(error))
        raise ValueError(f"feature {name!r}: numba must be able to compile it: {numba_reason(error)}{line}") from None
    _KEPT[compiled.address] = compiled
    return int(compiled.address)


def _check_values(name: str, function: Callable[..., float]) -> None:
    """Raise ValueError for a function that fails, or returns no finite number, in some trial."""
    for trial in TRIALS:
        given = ", ".join(f"{argument} = {value:g}" for argument, value in zip(ARGUMENTS, trial, strict=True))
        try:
            value = function(*trial)
        except Exception as error:
            raise ValueError(f"feature {name!r}: at {given} it fails: {error}{failing_line(function, error)}") from None
        if not isinstance(value, Real) or not math.isfinite(value):
            found = value if isinstance(value, Real) else type(value).__name__
            where = returning_line(function)
            raise ValueError(f"feature {name!r}: it must return one finite number; at {given} it returns {found}{where}")


def mirroring(function: Callable[..., float]) -> int:
    """What becomes of a feature when left and right are swapped: -1 its sign changes, 1 it stays, 0 neither."""
    pairs = [(function(*trial), function(*(-value for value in trial))) for trial in TRIALS]
    if all(math.isclose(a, -b, abs_tol=1e-12) for a, b in pairs):
        return -1
    return int(all(math.isclose(a, b, abs_tol=1e-12) for a, b in pairs))
