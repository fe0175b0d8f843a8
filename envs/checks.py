"""Checks of the numbers a user gives, made once at the boundary: compiled code takes what it gets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

MOST_SEED = 2**64 - 1  # a seed and a key are one 64-bit word of the generator (envs.draws)
MOST_MOUSE = 2**62  # far from the end of a 64-bit word; nobody has so many


def whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    """A whole number as a plain int. Raises ValueError for anything else (truth values too), or one out of range."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{name} = {value!r}: expected a whole number (an integer), at least {least}")
    if value < least or (most is not None and value > most):
        raise ValueError(f"{name} = {value}: expected {f'at least {least}' if most is None else f'{least} to {most}'}")
    return int(value)


def check_seed(seed: Any, name: str = "seed") -> int:
    """A seed, or a key, as a plain int: a whole number of 64 bits. Raises ValueError for what is none."""
    return whole(name, seed, 0, MOST_SEED)


def check_seconds(name: str, seconds: Any) -> float:
    """A time in seconds as a plain float. Raises ValueError unless it is one finite number that is not negative."""
    try:
        value = float(seconds)
    except (TypeError, ValueError):
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise ValueError(f"{name} = {seconds!r}: expected a number of seconds, finite and not negative (a no-go is action 2)")
    return value
