"""A vector of 16 numbers for compiled code, and the product of small matrices that is built on it.

Idea. A product of a few rows and 32 or 64 columns, which a neural learning rule needs once per layer and trial, is too small
for BLAS. It is fast when the sums stay in registers while the common dimension is traversed, and a plain numba loop cannot ask
for that: the compiler vectorises one innermost loop and writes the sums to memory at every turn, which is slower. So three
intrinsics give numba a type that LLVM maps to the vector registers of the machine (for float32 one of AVX-512, two of AVX2,
four of NEON), and `add_product` keeps a tile of 6 rows x 16 columns in them, which is what fits AVX2 (Van Zee & van de Geijn
2015, doi 10.1145/2764454).

Limits. The number of columns must be a multiple of 16; rows must be contiguous.
"""

# mypy: disable-error-code="call-arg, var-annotated"
# (an intrinsic is called without the first of its parameters)

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

from envs.compiled import njit

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


@intrinsic
def load(_: Any, array: Any, row: Any, column: Any) -> Intrinsic:
    """array[row, column : column + 16]"""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, align = element_pointer(context, builder, signature.args[0], *args)
        return builder.load(pointer, align=align)

    return Lanes(array.dtype)(array, types.intp, types.intp), generate


@intrinsic
def store(_: Any, array: Any, row: Any, column: Any, lanes: Any) -> Intrinsic:
    """array[row, column : column + 16] = lanes"""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, align = element_pointer(context, builder, signature.args[0], *args[:3])
        builder.store(args[3], pointer, align=align)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, lanes), generate


@intrinsic
def madd(_: Any, number: Any, lanes: Any, total: Any) -> Intrinsic:
    """number * lanes + total"""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number, lanes, total = args
        index = ir.IntType(32)
        single = builder.insert_element(ir.Constant(lanes.type, ir.Undefined), number, ir.Constant(index, 0))
        spread = builder.shuffle_vector(single, single, ir.Constant(ir.VectorType(index, WIDTH), [0] * WIDTH))
        return builder.fadd(builder.fmul(spread, lanes, flags=["contract"]), total, flags=["contract"])

    return total(total.dtype, lanes, total), generate


@njit(**OPTIONS)
def add_product(out: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """out (n, m) += left (n, k) @ right (k, m), m a multiple of 16."""
    n, depth = left.shape
    whole = n - n % 6
    for j in range(0, out.shape[1], WIDTH):
        for i in range(0, whole, 6):
            a, b, c = load(out, i, j), load(out, i + 1, j), load(out, i + 2, j)
            d, e, f = load(out, i + 3, j), load(out, i + 4, j), load(out, i + 5, j)
            for k in range(depth):
                row = load(right, k, j)
                a, b, c = madd(left[i, k], row, a), madd(left[i + 1, k], row, b), madd(left[i + 2, k], row, c)
                d, e, f = madd(left[i + 3, k], row, d), madd(left[i + 4, k], row, e), madd(left[i + 5, k], row, f)
            store(out, i, j, a)
            store(out, i + 1, j, b)
            store(out, i + 2, j, c)
            store(out, i + 3, j, d)
            store(out, i + 4, j, e)
            store(out, i + 5, j, f)
        for i in range(whole, n, 2):
            other = min(i + 1, n - 1)  # an odd last row is computed twice, to the same result
            a, b = load(out, i, j), load(out, other, j)
            for k in range(depth):
                row = load(right, k, j)
                a, b = madd(left[i, k], row, a), madd(left[other, k], row, b)
            store(out, i, j, a)
            store(out, other, j, b)
