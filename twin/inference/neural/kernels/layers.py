"""Activation functions, the GRU cell and row operations, compiled, forward and backward.

Everything works in place on rows of units. In float32 tanh is a rational function, because the compiler vectorises arithmetic
but not a call to the C library; its error is below 4e-7, and sigmoid follows from it. In float64 it is that of the C library.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from envs.compiled import njit
from twin.inference.lanes import OPTIONS

RELU, TANH, SILU = 0, 1, 2
# A Python float would turn float32 arithmetic into float64; these numbers are exact in both.
ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
# tanh x = x P(x^2) / Q(x^2) up to the limit, where it is 1 to rounding: the coefficients of Eigen's ptanh_float.
TANH_LIMIT = np.float32(7.90531110763549805)
P0, P1, P2, P3, P4, P5, P6 = (
    np.float32(p)
    for p in (
        4.89352455891786e-03,
        6.37261928875436e-04,
        1.48572235717979e-05,
        5.12229709037114e-08,
        -8.60467152213735e-11,
        2.00018790482477e-13,
        -2.76076847742355e-16,
    )
)
Q0, Q1, Q2, Q3 = (
    np.float32(q) for q in (4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06)
)

Array = np.ndarray


def tanh(x: Any) -> Any:
    """Hyperbolic tangent inside compiled code."""
    return math.tanh(x)


@overload(tanh, jit_options={"fastmath": OPTIONS["fastmath"]})
def tanh_of_type(x: Any) -> Callable[[Any], Any]:
    def exact(x: Any) -> Any:
        return math.tanh(x)

    def rational(x: Any) -> Any:
        x = min(max(x, -TANH_LIMIT), TANH_LIMIT)
        s = x * x
        top = x * (P0 + s * (P1 + s * (P2 + s * (P3 + s * (P4 + s * (P5 + s * P6))))))
        return top / (Q0 + s * (Q1 + s * (Q2 + s * Q3)))

    return rational if x == types.float32 else exact


@njit(**OPTIONS)
def sigmoid(x: Any) -> Any:
    return HALF + HALF * tanh(HALF * x)


@njit(**OPTIONS)
def clear(out: Array) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = ZERO


@njit(**OPTIONS)
def copy(out: Array, values: Array) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = values[i, j]


@njit(**OPTIONS)
def copy_row(out: Array, row: Array) -> None:
    """Every row of out (n, m) = row (m,)."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = row[j]


@njit(**OPTIONS)
def copy_rows(out: Array, rows: Array) -> None:
    """Rows of out (n, m) = those of rows (b, m), over and over."""
    for i in range(out.shape[0]):
        row = rows[i % rows.shape[0]]
        for j in range(out.shape[1]):
            out[i, j] = row[j]


@njit(**OPTIONS)
def add(out: Array, values: Array) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] += values[i, j]


@njit(**OPTIONS)
def add_rows(out: Array, rows: Array) -> None:
    """out (m,) += the sum of rows (n, m)."""
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            out[j] += rows[i, j]


@njit(**OPTIONS)
def add_rows_of_each(out: Array, rows: Array) -> None:
    """Rows of out (b, m) += those of rows (n, m), which go over them again and again."""
    for i in range(rows.shape[0]):
        own = out[i % out.shape[0]]
        for j in range(rows.shape[1]):
            own[j] += rows[i, j]


@njit(**OPTIONS)
def multiply(out: Array, values: Array) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] *= values[i, j]


@njit(**OPTIONS)
def activate(function: int, values: Array, slopes: Array) -> None:
    """Turn pre-activations (R, H) into activations and leave the derivatives in slopes (R, H)."""
    for i in range(values.shape[0]):
        if function == RELU:
            for j in range(values.shape[1]):
                slopes[i, j] = ONE if values[i, j] > ZERO else ZERO
                values[i, j] *= slopes[i, j]
        elif function == TANH:
            for j in range(values.shape[1]):
                values[i, j] = tanh(values[i, j])
                slopes[i, j] = ONE - values[i, j] * values[i, j]
        else:
            for j in range(values.shape[1]):
                x = values[i, j]
                gate = sigmoid(x)
                values[i, j] = x * gate
                slopes[i, j] = gate * (ONE + x * (ONE - gate))


@njit(**OPTIONS)
def gru_cell(x_gates: Array, h_gates: Array, before: Array, mask: Array, h: Array) -> None:
    """torch.nn.GRUCell from its two pre-activations (R, 3G): x_gates become r, z, n, and h (R, G) the new state.

    Nothing happens to the rows of a mouse b whose mask (B,) is zero.
    """
    units = h.shape[1]
    for i in range(h.shape[0]):
        if mask[i % len(mask)] == ZERO:
            continue
        # Named parts of the row, because the compiler vectorises only where it sees that they do not overlap.
        r, z, n, h_part = x_gates[i, :units], x_gates[i, units : 2 * units], x_gates[i, 2 * units :], h_gates[i, 2 * units :]
        for j in range(2 * units):
            x_gates[i, j] = sigmoid(x_gates[i, j] + h_gates[i, j])
        for j in range(units):
            n[j] = tanh(n[j] + r[j] * h_part[j])
        for j in range(units):
            h[i, j] = n[j] + z[j] * (before[i, j] - n[j])


@njit(**OPTIONS)
def gru_cell_back(x_gates: Array, h_gates: Array, before: Array, mask: Array, dh: Array) -> None:
    """Replace x_gates and h_gates by the gradients of the pre-activations, given dh (R, G) of the new state.

    What is left in dh is the gradient of the old state but for the part that comes through h_gates.
    """
    units = dh.shape[1]
    for i in range(dh.shape[0]):
        if mask[i % len(mask)] == ZERO:
            clear(x_gates[i : i + 1])
            clear(h_gates[i : i + 1])
            continue
        r, z, n, h_part = x_gates[i, :units], x_gates[i, units : 2 * units], x_gates[i, 2 * units :], h_gates[i, 2 * units :]
        for j in range(units):
            dn = dh[i, j] * (ONE - z[j])
            dh[i, j] *= z[j]
            z[j] = dn * (before[i, j] - n[j]) * z[j]
            n[j] = dn * (ONE - n[j] * n[j])
        for j in range(units):
            through_r = n[j] * r[j]
            r[j] = through_r * h_part[j] * (ONE - r[j])
            h_part[j] = through_r
        for j in range(2 * units):
            h_gates[i, j] = x_gates[i, j]
