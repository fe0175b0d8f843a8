"""Sixteen numbers side by side are sixteen numbers."""

import numpy as np
import pytest

from twin.inference.lanes import WIDTH, lanes, larger, load, magnitude, rows, square_root, store, where
from twin.inference.noise.assumed_density import exponential, lane_loop


def run(function, *columns):
    """What a function of lanes gives for columns of 16 numbers."""
    compiled = function if hasattr(function, "py_func") else lane_loop(function)
    n, out = len(columns), np.zeros((1, WIDTH))
    unpack = rows(n)

    @lane_loop
    def apply(values, out):
        store(out, 0, 0, compiled(*unpack(values)))

    apply(np.array(columns, float), out)
    return out[0]


A = np.linspace(-3.0, 4.5, WIDTH)
B = np.random.default_rng(0).normal(size=WIDTH) + 0.1


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda a, b: a + b, A + B),
        (lambda a, b: a - 2.0 * b, A - 2 * B),
        (lambda a, b: 1.0 / (1.0 + a * a) / b, 1 / (1 + A * A) / B),
        (lambda a, b: -a + 3 - b, 3 - A - B),
        (lambda a, b: square_root(a * a) + magnitude(b), np.abs(A) + np.abs(B)),
        (lambda a, b: larger(a, b) + larger(b, 0.5), np.maximum(A, B) + np.maximum(B, 0.5)),
        (lambda a, b: where(a, b, 7.0), np.where(A > 0, B, 7.0)),
        (lambda a, b: lanes(2.5) * a * load_nothing(b), 2.5 * A * B),
    ],
)
def test_arithmetic_of_lanes_is_that_of_numbers(function, expected):
    assert run(function, A, B) == pytest.approx(expected, rel=1e-14)


@lane_loop
def load_nothing(b):
    """A call within, which must be compiled for lanes too."""
    return b * 1.0


def test_exponential_of_what_is_not_positive():
    x = -np.geomspace(1e-9, 600.0, WIDTH)
    assert run(exponential, x) == pytest.approx(np.exp(x), rel=1e-12)
    assert run(exponential, np.full(WIDTH, -5000.0))[0] == pytest.approx(np.exp(-690.0), rel=1e-9)


def test_rows_are_loaded_and_stored_whole():
    array, out = np.arange(3.0 * WIDTH).reshape(3, WIDTH), np.zeros((3, WIDTH))

    @lane_loop
    def turn(array, out):
        for i in range(3):
            store(out, 2 - i, 0, load(array, i, 0))

    turn(array, out)
    assert (out == array[::-1]).all()
