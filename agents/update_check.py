"""Whether a rule's update can do what is asked of it, tried once on a few numbers before anything is compiled."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product
from numbers import Real
from typing import Any

import numpy as np
from numba.core.errors import NumbaError

from agents.source_lines import failing_line, numba_line, returning_line

ARGUMENTS = ("w", "eligibility", "critic", "x", "choice", "reward", "p_right")
TRIAL = (0.5, 0.1, 0.2, 0.75, 1.0, 1.0, 0.6)  # a value of each, one that no division by it fails for
LEARNED = ("w", "eligibility", "critic", "p_right")  # what depends on the parameters, and is complex with them
OF_MOUSE = ("critic", "choice", "reward", "p_right")  # one value for each mouse, where the others have one for each weight
RETURNS = "the new (w, eligibility, critic)"
NOT_ANALYTIC = ("abs", "absolute", "angle", "conj", "conjugate", "fabs", "imag", "real", "sign")
STEP, TOLERANCE = 1e-6, 1e-5  # of the differences that derivatives are checked against
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@lru_cache(maxsize=256)
def check_update(rule: str, update: Callable[..., Any], parameters: tuple[tuple[str, float], ...]) -> None:
    """Raise ValueError unless an update takes a rule's arguments and returns three results, on numbers and on arrays.

    Its derivative by complex numbers, where it takes them, must be that by real ones. `parameters` are the names and defaults
    of the rule's own.
    """
    if not callable(update):
        raise ValueError(f"rule {rule!r}: its update is {update!r}, not a function")
    names = (*ARGUMENTS, *(name for name, _ in parameters))
    try:
        inspect.signature(update).bind(*names)
    except TypeError as error:
        raise ValueError(f"rule {rule!r}: its update must take ({', '.join(names)}), in that order: {error}") from None
    own = tuple(default or 0.5 for _, default in parameters)  # an update may divide by a parameter
    if not all(isinstance(value, Real) for value in _results(rule, update, (*TRIAL, *own))):
        where = returning_line(update)
        raise ValueError(f"rule {rule!r}: its update must return {RETURNS}, each a real number{where}")
    _results(rule, update, (TRIAL[0] + 1e-30j, *TRIAL[1:], *own))
    weights, mice = np.ones((2, 3)), np.ones((2, 1))
    of_mice = [value * (mice if name in OF_MOUSE else weights) for name, value in zip(ARGUMENTS, TRIAL, strict=True)]
    for result in _results(rule, update, (*of_mice, *(value * weights for value in own))):
        if np.shape(result) not in ((), (2, 1), (2, 3)):
            where = returning_line(update)
            raise ValueError(f"rule {rule!r}: of {(2, 3)} weights its update made an array of {np.shape(result)}{where}")
    for w, choice, reward in product((0.5, -0.7), (0.0, 1.0), (0.0, 1.0)):
        _check_derivatives(rule, update, names, [w, *TRIAL[1:4], choice, reward, TRIAL[6], *own])


def _check_derivatives(rule: str, update: Callable[..., Any], names: Sequence[str], values: list[float]) -> None:
    """Raise ValueError if a complex step gives another derivative at these values than a difference of real numbers does."""

    def at(i: int, change: float | complex) -> Any:
        with np.errstate(all="ignore"):
            return np.array(update(*values[:i], values[i] + change, *values[i + 1 :]))

    for i, name in enumerate(names):
        if name in ARGUMENTS and name not in LEARNED:
            continue
        try:
            step, difference = at(i, 1e-30j).imag / 1e-30, (at(i, STEP) - at(i, -STEP)) / (2 * STEP)
        except Exception:  # it takes no complex ones there: a fit, which needs them, says so
            continue
        wrong = np.abs(step - difference) > TOLERANCE * (1.0 + np.abs(difference))
        if wrong[np.isfinite(difference)].any():
            raise ValueError(
                f"rule {rule!r}: its update must be analytic in {name}, without functions such as abs, sign or real: fits "
                f"differentiate it by complex numbers, which give {step[wrong][0]:.3g} where the slope is "
                f"{difference[wrong][0]:.3g}{returning_line(update, NOT_ANALYTIC)}"
            )


def _results(rule: str, update: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Any, Any, Any]:
    """What an update returns. Raises ValueError if it fails, or returns anything but three things."""
    kind = (
        "arrays" if isinstance(arguments[0], np.ndarray) else "complex numbers" if np.iscomplexobj(arguments[0]) else "numbers"
    )
    try:
        with np.errstate(all="ignore"):
            results = update(*arguments)
    except Exception as error:
        raise ValueError(
            f"rule {rule!r}: its update must be arithmetic that works on numbers, complex numbers and arrays alike, without "
            f"`if` or `math`; on {kind} it fails: {error}{failing_line(update, error)}"
        ) from None
    if not isinstance(results, tuple) or len(results) != 3:
        found = f"{len(results)} values" if isinstance(results, tuple) else f"a {type(results).__name__}"
        raise ValueError(
            f"rule {rule!r}: its update must return {RETURNS}, three values; it returns {found}{returning_line(update)}"
        )
    return results


def compile_update(rule: str, update: Any, parameters: int, number: type[float] | type[complex] = float) -> None:
    """Compile an update for real or complex numbers. Raises ValueError, in a sentence, for one that numba cannot compile."""
    trial = [number(value) if name in LEARNED else value for name, value in zip(ARGUMENTS, TRIAL, strict=True)]
    try:
        update(*trial, *([number(0.5)] * parameters))
    except NumbaError as error:
        why, line = numba_reason(error), numba_line(update.py_func, str(error))
        numbers = " for complex numbers too, by which fits differentiate" if number is complex else ""
        raise ValueError(f"rule {rule!r}: its update must be arithmetic that numba can compile{numbers}: {why}{line}") from None


def numba_reason(error: NumbaError) -> str:
    """Why numba cannot compile a function, in one line."""
    lines = [line.strip() for line in _COLOUR.sub("", str(error)).splitlines() if line.strip()]
    calls = [f"numba knows no {line.removeprefix('>>> ')}" for line in lines if line.startswith(">>> ")]
    return [*calls, *(line for line in lines if not line.startswith("Failed in")), *lines][0]
