"""The registry of summary statistics of a cohort: one function of its mice each, found by name; bootstrap intervals over mice.

    @statistic("reach", "fraction", 0, 1, "mice that become proficient within the horizon")
    def reach(mice: MouseNumbers) -> float:
        return mean(mice.reached)

They are in `definitions`. A statistic is NaN where no mouse tells it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import NamedTuple

import numpy as np

from twin.evaluation.statistics.mice import MouseNumbers

Compute = Callable[[MouseNumbers], float]

RESAMPLES = 1_000
LEAST_SHARE = 0.9  # of the resamples in which a statistic with an interval must be defined


@dataclass(frozen=True)
class Statistic:
    """A number over mice: its unit, the range that it can have, and its meaning."""

    name: str
    unit: str
    low: float
    high: float
    doc: str
    compute: Compute


class Estimate(NamedTuple):
    """A statistic of some mice with its 95 % bootstrap interval over them; NaN where it is not defined."""

    value: float
    low: float
    high: float


_STATISTICS: dict[str, Statistic] = {}


def statistic(name: str, unit: str, low: float, high: float, doc: str) -> Callable[[Compute], Compute]:
    """Register what computes a statistic; arguments as the fields of `Statistic`."""

    def register(compute: Compute) -> Compute:
        _STATISTICS[name] = Statistic(name, unit, low, high, doc, compute)
        return compute

    return register


@cache
def statistics() -> Mapping[str, Statistic]:
    """Every statistic, by name."""
    import_module("twin.evaluation.statistics.definitions")
    return _STATISTICS


def values_of(mice: MouseNumbers, names: Iterable[str] | None = None) -> dict[str, float]:
    """The value of each statistic, or of some."""
    return {name: float(statistics()[name].compute(mice)) for name in (statistics() if names is None else names)}


def estimates_of(mice: MouseNumbers, seed: int = 1) -> dict[str, Estimate]:
    """Every statistic with its interval; a resample draws the same mice for all of them."""
    random = np.random.default_rng(seed)
    draws = [values_of(mice.take(random.integers(mice.mice, size=mice.mice))) for _ in range(RESAMPLES)]
    return {name: Estimate(value, *_interval([draw[name] for draw in draws])) for name, value in values_of(mice).items()}


def _interval(values: list[float]) -> tuple[float, float]:
    known = np.array(values)[np.isfinite(values)]
    if len(known) < LEAST_SHARE * len(values):
        return np.nan, np.nan
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
