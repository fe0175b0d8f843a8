"""The product of small matrices, on lanes.

A product of a few rows and 32 or 64 columns, which a neural learning rule needs once per layer and trial, is too small for
BLAS. It is fast when the sums stay in registers while the common dimension is traversed. `add_product` keeps a tile of 6 rows x
16 columns in them, which is what fits AVX2 (Van Zee & van de Geijn 2015, doi 10.1145/2764454).

Limits. The number of columns must be a multiple of 16.
"""

# mypy: disable-error-code="call-arg"
# (an intrinsic is called without the first of its parameters)

import numpy as np

from envs.compiled import njit
from twin.inference.lanes import OPTIONS, WIDTH, load, madd, store


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
