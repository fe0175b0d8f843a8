"""Draws of every mouse's parameters and present weights, and of mice that are not yet seen, and the file that keeps them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from twin.data.content import hash_bytes

FILE = "draws.npz"


class Draws(NamedTuple):
    """Draws from the posterior of M mice, S each, equally likely; parameters (P) in natural units, as in the layout."""

    theta: np.ndarray  # (M, S, P)
    weights: np.ndarray  # (M, S, K) after each mouse's last trial
    new_mice: np.ndarray  # (S, P) of mice that are not yet seen

    def of_mice(self, rows: np.ndarray) -> Draws:
        """Those of some of the mice."""
        return Draws(self.theta[rows], self.weights[rows], self.new_mice)


def encoded(draws: Draws) -> bytes:
    """Draws as the content of a file."""
    file = io.BytesIO()
    np.savez_compressed(file, **{name: part.astype(np.float32) for name, part in draws._asdict().items()})
    return file.getvalue()


def read_draws(path: Path, file_hash: str, mice: int, parameters: int, weights: int) -> Draws:
    """The draws in a file. Raises ValueError unless it is the file of this hash, of so many mice, parameters and weights."""
    try:
        content = path.read_bytes()
        if hash_bytes(content) != file_hash:
            raise ValueError("it is of another fit, or was changed")
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            found = Draws(*(stored[name].astype(float) for name in Draws._fields))
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ValueError(f"{path}: not the draws of card.json ({error}); fit it again") from None
    s = found.new_mice.shape[0] if found.new_mice.ndim else 0
    expected = ((mice, s, parameters), (mice, s, weights), (s, parameters))
    for name, part, shape in zip(Draws._fields, found, expected, strict=True):
        if part.shape != shape or not np.isfinite(part).all():
            raise ValueError(f"{path}: {name} has the shape {part.shape}; expected {shape} of finite numbers; fit it again")
    return found


def quantiles(values: np.ndarray, weights: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Quantiles (Q, ...) of values (S, ...) with weights (S,) that sum to 1."""
    order = np.argsort(values, axis=0)
    heaped = np.cumsum(weights[order], axis=0) - 0.5 * weights[order]
    ranked = np.take_along_axis(values, order, axis=0)
    flat, below = ranked.reshape(len(values), -1), heaped.reshape(len(values), -1)
    found = np.array([np.interp(at, below[:, c], flat[:, c]) for c in range(flat.shape[1])])
    return found.T.reshape(len(at), *values.shape[1:])


def resampled(weights: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Rows (n,) of draws that stand for weights (S,) that sum to 1, by systematic resampling, in random order."""
    places = (np.arange(n) + rng.random()) / n
    rows: np.ndarray = np.minimum(np.searchsorted(np.cumsum(weights), places), len(weights) - 1)
    return rng.permutation(rows)
