"""A vector of 16 numbers for compiled code: eight or sixteen times the arithmetic for the price of one.

The compiler vectorises only simple innermost loops, and writes what they sum to memory at every turn. Here a number of numba's
own type stands for 16 numbers side by side, which LLVM keeps in the vector registers of the machine (float32: one of AVX-512,
two of AVX2, four of NEON; float64: twice as many). It has the arithmetic of a number, also with plain numbers, so a rule's
update is compiled for 16 mice at once without being written anew.

Limits. Rows of arrays that are loaded or stored must be contiguous. `_nrt` is off: no allocation within.
"""

# mypy: disable-error-code="call-arg, var-annotated, misc"
# (an intrinsic is called without the first of its parameters)

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, register_model

WIDTH = 16

# Fused multiply-add is the only liberty with rounding, so a NaN stays one. Without numba's reference counts (_nrt) arrays are
# borrowed from the caller: the counters are atomic and shared by threads, and cost more than the arithmetic. It also makes an
# allocation inside a kernel an error at compile time.
OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": {"contract"}, "error_model": "numpy", "_nrt": False}

Intrinsic = tuple[Any, Callable[..., Any]]


class Lanes(types.Type):
    """16 numbers of one floating type."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, ir.VectorType(manager[lanes.dtype].get_value_type(), WIDTH))


def element_pointer(context: Any, builder: Any, kind: Any, array: Any, row: Any, column: Any) -> tuple[Any, int]:
    """Address of array[row, column] as that of 16 numbers, and the alignment that is certain."""
    view = context.make_array(kind)(context, builder, array)
    element = cgutils.get_item_pointer(context, builder, kind, view, [row, column])
    lanes = ir.VectorType(context.get_value_type(kind.dtype), WIDTH)
    return builder.bitcast(element, lanes.as_pointer()), kind.dtype.bitwidth // 8


def spread(builder: Any, number: Any) -> Any:
    """A number, 16 times."""
    index, kind = ir.IntType(32), ir.VectorType(number.type, WIDTH)
    single = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(index, 0))
    return builder.shuffle_vector(
        single, ir.Constant(kind, ir.Undefined), ir.Constant(ir.VectorType(index, WIDTH), [0] * WIDTH)
    )


def spread_all(context: Any, builder: Any, kinds: Any, args: Any, dtype: Any = None) -> list[Any]:
    """Arguments as lanes of one type, by default that of those that are lanes; plain numbers are spread."""
    dtype = dtype or next(kind.dtype for kind in kinds if isinstance(kind, Lanes))
    return [
        value if isinstance(kind, Lanes) else spread(builder, context.cast(builder, value, kind, dtype))
        for kind, value in zip(kinds, args, strict=True)
    ]


@intrinsic
def load(_: Any, array: Any, row: Any, column: Any) -> Intrinsic:
    """array[row, column : column + 16]"""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, align = element_pointer(context, builder, signature.args[0], *args)
        return builder.load(pointer, align=align)

    return Lanes(array.dtype)(array, types.intp, types.intp), generate


@intrinsic
def store(_: Any, array: Any, row: Any, column: Any, lanes: Any) -> Intrinsic:
    """array[row, column : column + 16] = lanes, or a plain number"""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, _, _, kind = signature.args
        pointer, align = element_pointer(context, builder, array, *args[:3])
        builder.store(spread_all(context, builder, [kind], args[3:], array.dtype)[0], pointer, align=align)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, lanes), generate


@intrinsic
def madd(_: Any, number: Any, lanes: Any, total: Any) -> Intrinsic:
    """number * lanes + total"""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number, lanes, total = args
        product = builder.fmul(spread(builder, number), lanes, flags=["contract"])
        return builder.fadd(product, total, flags=["contract"])

    return total(total.dtype, lanes, total), generate


def lanes_of(kinds: Any) -> Lanes | None:
    """The lanes that arithmetic on arguments of these types gives; None if it is none on lanes."""
    found = [kind for kind in kinds if isinstance(kind, Lanes)]
    others = [kind for kind in kinds if not isinstance(kind, Lanes)]
    return found[0] if found and all(isinstance(kind, types.Number | types.Boolean) for kind in others) else None


class Arithmetic(AbstractTemplate):
    """An operator on lanes, or on lanes and a number, gives lanes."""

    def generic(self, args: Any, _kws: Any) -> Any:
        """The signature for these types."""
        result = lanes_of(args)
        return signature(result, *args) if result else None


NUMBER = types.Number
PAIRS = ((Lanes, Lanes), (Lanes, NUMBER), (NUMBER, Lanes))


def _define(operation: Callable[..., Any], instruction: str, operands: tuple[tuple[Any, ...], ...] = PAIRS) -> None:
    """Teach numba an operator on lanes, as an instruction of LLVM."""
    infer_global(operation)(type(f"Lanes_{operation.__name__}", (Arithmetic,), {"key": operation}))

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*spread_all(context, builder, signature.args, args), flags=["contract"])

    for kinds in operands:
        lower_builtin(operation, *kinds)(lower)


_define(operator.add, "fadd")
_define(operator.sub, "fsub")
_define(operator.mul, "fmul")
_define(operator.truediv, "fdiv")
_define(operator.neg, "fneg", ((Lanes,),))


def _function(name: str) -> Callable[..., Any]:
    """A function of LLVM on lanes."""

    @intrinsic
    def function(_: Any, lanes: Any) -> Intrinsic:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = args[0].type
            intrinsic_name = f"llvm.{name}.v{WIDTH}f{signature.args[0].dtype.bitwidth}"
            return builder.call(
                cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), intrinsic_name), args
            )

        return lanes(lanes), generate

    return function


square_root, magnitude = _function("sqrt"), _function("fabs")


@intrinsic
def larger(_: Any, left: Any, right: Any) -> Intrinsic:
    """The larger of each pair."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        left, right = spread_all(context, builder, signature.args, args)
        return builder.select(builder.fcmp_ordered(">", left, right), left, right)

    return lanes_of((left, right))(left, right), generate


@intrinsic
def where(_: Any, condition: Any, positive: Any, other: Any) -> Intrinsic:
    """`positive` where the condition is above 0, elsewhere `other`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        condition, positive, other = spread_all(context, builder, signature.args, args)
        zero = ir.Constant(condition.type, [0.0] * WIDTH)
        return builder.select(builder.fcmp_ordered(">", condition, zero), positive, other)

    return lanes_of((condition, positive, other))(condition, positive, other), generate


@intrinsic
def lanes(_: Any, number: Any) -> Intrinsic:
    """A number of float64, 16 times."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return spread(builder, context.cast(builder, args[0], signature.args[0], types.float64))

    return Lanes(types.float64)(number), generate


def rows(n: int) -> Callable[..., Any]:
    """What loads the first n rows of an array (N, 16) as a tuple, which a compiled call can unpack: `f(*rows(2)(array))`."""

    @intrinsic
    def load_rows(_: Any, array: Any) -> Intrinsic:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            found, zero = [], context.get_constant(types.intp, 0)
            for i in range(n):
                place = (args[0], context.get_constant(types.intp, i), zero)
                pointer, align = element_pointer(context, builder, signature.args[0], *place)
                found.append(builder.load(pointer, align=align))
            return context.make_tuple(builder, signature.return_type, found)

        return types.Tuple([Lanes(array.dtype)] * n)(array), generate

    return load_rows
