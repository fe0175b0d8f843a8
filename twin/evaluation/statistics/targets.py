"""What a cohort is to look like: targets for its statistics, from a table or from recorded mice, and how far off one is."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from agents.parameters import Number
from envs.names import suggest
from envs.table import Table
from twin.evaluation.statistics.mice import MouseNumbers
from twin.evaluation.statistics.registry import estimates_of, statistics

SHIPPED = Path(__file__).resolve().parents[2] / "targets"
FAR = 10.0  # sd from its target: where a statistic counts that no mouse of a cohort tells
APART = 4.0  # sd: two targets that differ by more than these together cannot both be
_SPREAD_OF_95 = 2 * 1.96  # standard deviations in a 95 % interval
# Each is at most the next one.
_RISING = (
    ("accuracy_0", "accuracy_6_25", "accuracy_12_5", "accuracy_25", "accuracy_100"),
    ("easy_accuracy_first3", "easy_accuracy_last3"),
)


class Target(Table):
    """A statistic's target: its value, how far from it is one standard deviation, and how much it counts."""

    mean: Number
    sd: Number = Field(gt=0, description="of the value as it is known: a deviation of so much costs `weight`")
    weight: Number = Field(1.0, gt=0)


Targets = Mapping[str, Target]


def shipped_targets() -> dict[str, Path]:
    """The targets that come with the package, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.toml"))}


def named_targets(value: Any) -> Any:
    """The table of targets that a name stands for; anything else as it is."""
    if isinstance(value, str) and value in shipped_targets():
        return tomllib.loads(shipped_targets()[value].read_text(encoding="utf-8"))
    return value


def check_targets(targets: Targets, horizon: int) -> None:
    """Raise ValueError for an unknown statistic, a value that it cannot have, or two that cannot both be."""
    if not targets:
        raise ValueError(f"targets: there are none; expected at least one of {', '.join(statistics())}")
    for name, target in targets.items():
        if name not in statistics():
            raise ValueError(f"targets: {suggest('statistic', name, statistics())}")
        known = statistics()[name]
        high = min(known.high, horizon) if name == "sessions_to_proficiency" else known.high
        if not known.low <= target.mean <= high:
            raise ValueError(
                f"targets.{name}.mean = {target.mean:g}: expected {known.low:g} to {high:g} ({known.unit}): {known.doc}"
            )
    _check_products(targets)
    for names in _RISING:
        for low, high_name in pairwise([name for name in names if name in targets]):
            _check_order(targets, low, high_name)


def _check_products(targets: Targets) -> None:
    """Raise ValueError unless the trials to proficiency are about the sessions times the trials of one."""
    names = ("trials_to_proficiency", "sessions_to_proficiency", "trials_per_session")
    if not all(name in targets for name in names):
        return
    trials, sessions, length = (targets[name] for name in names)
    product = sessions.mean * length.mean
    spread = np.sqrt(trials.sd**2 + (sessions.sd * length.mean) ** 2 + (length.sd * sessions.mean) ** 2)
    if abs(trials.mean - product) > APART * spread:
        raise ValueError(
            f"targets contradict each other: trials_to_proficiency = {trials.mean:g}, but {sessions.mean:g} sessions of "
            f"{length.mean:g} trials are {product:g}; change one of the three, or give larger sd"
        )


def _check_order(targets: Targets, low: str, high: str) -> None:
    a, b = targets[low], targets[high]
    if a.mean - b.mean > APART * np.hypot(a.sd, b.sd):
        raise ValueError(
            f"targets contradict each other: {low} = {a.mean:g} is above {high} = {b.mean:g}, and cannot be; "
            "change one of them, or give larger sd"
        )


def targets_of(mice: MouseNumbers, seed: int = 1) -> dict[str, Target]:
    """The statistics of recorded mice as targets: sd from the bootstrap interval, those left out that the mice do not tell.

    Raises ValueError if they tell none: of one mouse nothing is known of a population.
    """
    found = {}
    for name, estimate in estimates_of(mice, seed).items():
        sd = (estimate.high - estimate.low) / _SPREAD_OF_95
        if np.isfinite([estimate.value, sd]).all() and sd > 0:
            found[name] = Target(mean=estimate.value, sd=sd)
    if not found:
        raise ValueError(f"{mice.mice} recorded mice tell no statistic with its spread over mice; expected several mice")
    return found


def deviations(values: Mapping[str, float], targets: Targets) -> dict[str, float]:
    """How many standard deviations each statistic is off its target, NaN where the cohort does not tell it."""
    return {name: (values.get(name, np.nan) - target.mean) / target.sd for name, target in targets.items()}


def loss(values: Mapping[str, float], targets: Targets) -> float:
    """Weighted sum of squared deviations; a statistic that the cohort does not tell counts as FAR off."""
    off = deviations(values, targets)
    return float(sum(target.weight * (off[name] if np.isfinite(off[name]) else FAR) ** 2 for name, target in targets.items()))
