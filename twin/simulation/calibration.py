"""Calibration: which population of mice, simulated, has the statistics of real ones.

Idea. A candidate is a cohort with other numbers in its `parameters`. Its mice are simulated with the same seed as those of
every other candidate (common random numbers), so that candidates differ by their numbers alone and the loss, the weighted sum
of squared deviations from the targets in standard deviations, is a deterministic function of them. CMA-ES (Hansen & Ostermeier
2001, Evol Comput 9:159; the library `cma`) looks for its minimum within the box of the search: it needs no gradient, takes
steps that follow the correlations of parameters, and lives with the ruggedness that a finite number of mice leaves.

Every candidate is handed out as soon as it is known. A search that is given the candidates it had before asks for the same ones
in the same order, and goes on where it stopped.

The candidate of the least loss is the luckiest too. So the best ones, and the middle of the best, are simulated again with more
mice of another seed, and of these `finalists` the best is taken.

Limits. What fits the mice of one seed is fitted to that seed too: judge a result by mice of a third. The spread of the
best tenth of the candidates shows how well parameters are pinned down within the box; it is no posterior.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from agents.parameters import Number
from envs.protocols import ProtocolLike
from envs.table import Table
from twin.cohort import Cohort
from twin.data.files import replace_file
from twin.engine import Engine
from twin.evaluation.statistics.registry import values_of
from twin.evaluation.statistics.targets import Targets, loss
from twin.simulation.statistics import simulate_mice

LEAST_NEAR = 3  # candidates whose spread tells how well a number is known


class Searched(Table):
    """A number of the population that is searched for: where it stands in the cohort's parameters, and between which ends.

    `of`: paths such as `rate_left.stimulus.median`; several are given the same value. `scale = "log"` searches factors.
    """

    of: tuple[str, ...] = Field(min_length=1)
    low: Number
    high: Number
    scale: Literal["linear", "log"] = "linear"

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if not self.low < self.high or (self.scale == "log" and self.low <= 0):
            floor = "0 < low < high" if self.scale == "log" else "low < high"
            raise ValueError(f"low = {self.low:g}, high = {self.high:g}: expected {floor} on a {self.scale} scale")
        return self

    def value(self, place: float) -> float:
        """The number at a place in the box, 0 (low) to 1 (high)."""
        if self.scale == "log":
            return self.low * (self.high / self.low) ** place
        return self.low + place * (self.high - self.low)

    def place(self, value: float) -> float:
        """Where a number is in the box; 0 or 1 beyond its ends."""
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        return math.log(value / low) / math.log(high / low) if self.scale == "log" else (value - low) / (high - low)


class Candidate(NamedTuple):
    """A population that was tried: its place in the box (n,), and the statistics that its mice tell."""

    place: list[float]
    statistics: dict[str, float]


@dataclass(frozen=True)
class Problem:
    """What is looked for: the cohort to change, what of it is searched, and how its mice are trained."""

    cohort: Cohort
    search: Mapping[str, Searched]
    protocol: ProtocolLike
    horizon: int
    biased_sessions: int
    seed: int
    engine: Engine = "threads"
    workers: int = 2

    def population(self, values: Mapping[str, float]) -> Cohort:
        """The cohort with these numbers, by name of the search. Raises ValueError for a path that leads to no number."""
        table = self.cohort.model_dump(mode="json")
        for name, value in values.items():
            for path in self.search[name].of:
                _put(table["parameters"], path, value)
        return Cohort(**table)

    def values(self, place: Sequence[float]) -> dict[str, float]:
        """The numbers at a place in the box, by name."""
        return {name: one.value(float(at)) for (name, one), at in zip(self.search.items(), place, strict=True)}

    def start(self) -> list[float]:
        """The place of the cohort as it is: where the search starts."""
        parameters = self.cohort.model_dump(mode="json")["parameters"]
        return [one.place(_found(parameters, one.of[0])) for one in self.search.values()]

    def statistics(self, place: Sequence[float]) -> dict[str, float]:
        """The statistics of the mice at a place in the box, those that they tell."""
        cohort = self.population(self.values(place))
        training = dict[str, Any](horizon=self.horizon, biased_sessions=self.biased_sessions, seed=self.seed)
        mice = simulate_mice(cohort, self.protocol, **training, engine=self.engine, workers=self.workers)
        return {name: value for name, value in values_of(mice).items() if np.isfinite(value)}


def search(
    problem: Problem,
    targets: Targets,
    generations: int,
    candidates: int,
    seed: int,
    step: float = 0.2,
    known: Sequence[Candidate] = (),
) -> Iterator[Candidate]:
    """Every candidate of a search, in order: `generations` of so many `candidates`.

    The first generation is spread around the cohort as it is with standard deviation `step`, of the width of the box.
    `known` are those that an interrupted search had, which are not simulated again. What is tried depends on the problem, the
    targets and the seed alone.
    """
    import cma  # only where it is used: it loads matplotlib

    random = np.random.default_rng(seed)
    options = {"bounds": [0, 1], "popsize": candidates, "verbose": -9, "verb_log": 0, "seed": np.nan}
    evolution = cma.CMAEvolutionStrategy(
        problem.start(), step, options | {"randn": lambda *shape: random.standard_normal(shape)}
    )
    before = list(known)
    for _ in range(generations):
        places = [place.tolist() for place in evolution.ask()]
        losses = []
        for place in places:
            found = before.pop(0) if before else None
            if found is None or not np.allclose(found.place, place, rtol=0, atol=1e-9):
                before.clear()  # what was kept is of another search
                found = Candidate(place, problem.statistics(place))
            losses.append(loss(found.statistics, targets))
            yield found
        evolution.tell(places, losses)


def best(candidates: Sequence[Candidate], targets: Targets) -> Candidate:
    """The candidate of the least loss."""
    return min(candidates, key=lambda one: loss(one.statistics, targets))


def finalists(candidates: Sequence[Candidate], targets: Targets, number: int) -> list[list[float]]:
    """Places of the middle of the best quarter of the candidates, and of the best ones; so many."""
    order = sorted(candidates, key=lambda one: loss(one.statistics, targets))
    middle = np.mean([one.place for one in order[: max(1, len(order) // 4)]], axis=0)
    return [middle.tolist(), *(one.place for one in order[: number - 1])]


def near_best(candidates: Sequence[Candidate], targets: Targets) -> list[Candidate]:
    """The best tenth of the candidates, LEAST_NEAR of them at least: few mice make losses scatter by more than these differ."""
    order = sorted(candidates, key=lambda one: loss(one.statistics, targets))
    return order[: max(LEAST_NEAR, len(order) // 10)]


def read_candidates(path: Path) -> list[Candidate]:
    """The candidates that a file holds; none if it is not there or was changed."""
    if not path.is_file():
        return []
    try:
        return [Candidate(**json.loads(line)) for line in path.read_text().splitlines()]
    except (ValueError, TypeError):
        return []


def write_candidates(candidates: Sequence[Candidate], path: Path) -> None:
    """Write a file that holds candidates, a line of JSON each."""
    replace_file(path, "".join(f"{json.dumps(one._asdict())}\n" for one in candidates).encode())


def check_search(problem: Problem) -> None:
    """Raise ValueError for a number that is not there, or ends of the box that no mouse can have."""
    for name, one in problem.search.items():
        for end in (one.low, one.high):
            try:
                problem.population({name: end})
            except ValueError as error:
                raise ValueError(f"search.{name}: at {end:g}: {error}") from None


def _found(parameters: Mapping[str, Any], path: str) -> float:
    """The number at a path of the parameters. Raises ValueError naming the keys there are."""
    inside, keys = _walk(parameters, path)
    return float(inside[keys])


def _put(parameters: dict[str, Any], path: str, value: float) -> None:
    inside, key = _walk(parameters, path)
    inside[key] = value


def _walk(parameters: Any, path: str) -> tuple[Any, str]:
    """The table that holds a number, and its key there."""
    *above, last = path.split(".")
    inside = parameters
    for key in [*above, last]:
        if not isinstance(inside, dict) or key not in inside:
            there = ", ".join(map(str, inside)) if isinstance(inside, dict) else f"the number {inside}"
            raise ValueError(f"{path}: no {key!r} in the cohort's parameters; there is {there}")
        holder, inside = inside, inside[key]
    if isinstance(inside, dict) or not isinstance(inside, int | float):
        raise ValueError(f"{path}: expected the path of a number; there is {inside}")
    return holder, last
