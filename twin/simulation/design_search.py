"""Which settings of a protocol train mice faster: a search by successive halving, with common random numbers.

Idea. Designs are spread evenly over the box of the settings (Halton sequence, scrambled). All of them train a few mice; the
best third trains three times as many, and so on (successive halving: Jamieson & Talwalkar 2016, AISTATS), so that most of the
work goes into designs that may be the best. Mouse m has the same parameters and the same random streams under every design and
in every round, so designs are compared on the same mice. The protocol as it is goes through all rounds beside them.

What a design costs is counted relative to the protocol as it is. With several cohorts (rules that the mice may have) the cost
is the mean over them, or that of the worst.

Limits. The design of the least cost is the luckiest too: judge it by mice that had no part in the search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.stats import qmc

from agents.parameters import Number
from envs.names import shown
from envs.protocols import Protocol, load_protocol
from envs.table import Table
from twin.evaluation.designs import DesignOutcome
from twin.simulation.calibration import Searched

START = "start"  # the protocol as it is

OBJECTIVES: Mapping[str, Callable[[DesignOutcome], float]] = {
    "mean_sessions": lambda outcome: float(outcome.sessions.mean()),
    "median_sessions": lambda outcome: float(np.median(outcome.sessions)),
    "mean_trials": lambda outcome: float(outcome.trials.mean()),
    "water_ul": lambda outcome: float(outcome.water_ul.mean()),
    "hours": lambda outcome: float(outcome.hours.mean()),
    "fraction_untrained": lambda outcome: float(1.0 - outcome.reached.mean()),
}  # all are the better the smaller; a mouse without the status is counted to the horizon

Objective = Literal["mean_sessions", "median_sessions", "mean_trials", "water_ul", "hours", "fraction_untrained"]


class SearchedSetting(Table):
    """A setting of the protocol that is searched for: one of some values, or a number between two ends."""

    of: tuple[str, ...] = Field(min_length=1, description="its paths: session_minutes, every_stage.debias, stages.4.weights")
    values: tuple[Any, ...] = Field((), description="what it may be, tables and switches too; or")
    low: Number | None = Field(None, description="the least it may be")
    high: Number | None = Field(None, description="the most it may be")
    scale: Literal["linear", "log"] = Field("linear", description="log: searched by factors")
    whole: bool = Field(False, description="is it a whole number?")

    @model_validator(mode="after")
    def _something_to_search(self) -> Self:
        ends = (self.low, self.high)
        if bool(self.values) == (ends != (None, None)):
            raise ValueError("give either `values` or both `low` and `high`")
        if self.values and len(self.values) < 2:
            raise ValueError(f"values = {shown(list(self.values))}: one value is nothing to search; give two or more")
        if not self.values:
            if None in ends:
                raise ValueError("give both `low` and `high`")
            _ = self._range
        return self

    @property
    def _range(self) -> Searched:
        return Searched(of=self.of, low=self.low, high=self.high, scale=self.scale)

    def value(self, place: float) -> Any:
        """The value at a place, 0 to 1."""
        if self.values:
            return self.values[min(int(place * len(self.values)), len(self.values) - 1)]
        found = self._range.value(place)
        return round(found) if self.whole else found

    @property
    def ends(self) -> tuple[Any, ...]:
        """Every value, or both ends of the range."""
        return self.values or (self.value(0.0), self.value(1.0))


class DesignSearch(Table):
    """How designs are looked for."""

    objective: Objective = Field("mean_sessions", description="what is to be small")
    over: Literal["mean", "worst"] = Field("mean", description="of several cohorts: the mean of their costs, or the largest")
    designs: int = Field(64, ge=2, description="that are tried in the first round")
    rounds: int = Field(3, ge=1, le=8)
    keep: float = Field(1 / 3, gt=0, lt=1, description="fraction of the designs that goes on to the next round")

    def mice(self, cohort: int) -> list[int]:
        """Mice of each round; the last has the whole cohort."""
        return [max(2, round(cohort * self.keep ** (self.rounds - 1 - r))) for r in range(self.rounds)]

    def survivors(self, designs: int) -> int:
        """How many designs go on."""
        return max(1, round(designs * self.keep))


class Design(NamedTuple):
    """A protocol that is tried."""

    name: str
    settings: Mapping[str, Any]
    protocol: Protocol


class Round(NamedTuple):
    """What designs cost in one round, relative to the protocol as it is."""

    mice: int
    costs: Mapping[str, float]  # by design; the protocol as it is has 1

    @property
    def best(self) -> list[str]:
        """Designs, the cheapest first."""
        return sorted(self.costs, key=lambda name: self.costs[name])


@dataclass(frozen=True)
class DesignSpace:
    """A protocol and its settings that are searched for."""

    protocol: Protocol
    search: Mapping[str, SearchedSetting]

    def check(self) -> None:
        """Raise ValueError for an empty search, a setting that the protocol lacks, or an end that it cannot have."""
        if not self.search:
            raise ValueError(
                "[search] is empty; name a setting of the protocol, for instance [search.minutes] with "
                'of = ["session_minutes"], low = 45, high = 120'
            )
        for name, setting in self.search.items():
            for end in setting.ends:
                try:
                    self.design("", {name: end})
                except ValueError as error:
                    raise ValueError(f"search.{name}: at {shown(end)}: {error}") from None

    def design(self, name: str, settings: Mapping[str, Any]) -> Design:
        """The protocol with these settings, by name of the search. Raises ValueError if there can be none."""
        table = self.protocol.table()
        for key, value in settings.items():
            for path in self.search[key].of:
                _put(table, path, value)
        return Design(name, settings, load_protocol(**table))

    def designs(self, number: int, seed: int) -> list[Design]:
        """Designs spread over the box; those that no rig can have (two settings exclude each other) are left out."""
        places = qmc.Halton(len(self.search), scramble=True, seed=np.random.default_rng(seed)).random(number)
        found = []
        for i, place in enumerate(places):
            settings = {name: one.value(float(at)) for (name, one), at in zip(self.search.items(), place, strict=True)}
            try:
                found.append(self.design(f"d{i + 1:03d}", settings))
            except ValueError:
                continue
        return found


Evaluate = Callable[[Design, str, int], DesignOutcome]  # of a design, by a cohort's name, of so many of its mice


def halve(
    designs: Sequence[Design], start: Design, cohorts: Mapping[str, int], how: DesignSearch, evaluate: Evaluate
) -> list[Round]:
    """All rounds of a search; `cohorts` are the mice of each, by name.

    Raises ValueError if no mouse reaches the status under any design, or nothing is left to be gained.
    """
    rounds: list[Round] = []
    left = list(designs)
    plan = {name: how.mice(mice) for name, mice in cohorts.items()}
    for turn in range(how.rounds):
        costs: dict[str, list[float]] = {design.name: [] for design in [start, *left]}
        reached = False
        for cohort, mice in plan.items():
            base = evaluate(start, cohort, mice[turn])
            before = OBJECTIVES[how.objective](base)
            for design in [start, *left]:
                outcome = base if design is start else evaluate(design, cohort, mice[turn])
                reached |= bool(outcome.reached.any())
                costs[design.name].append(_relative(OBJECTIVES[how.objective](outcome), before, how.objective))
        if not reached:
            raise ValueError("no mouse reaches the status under any design; give a longer run.horizon, or an easier run.until")
        combine = np.mean if how.over == "mean" else np.max
        rounds.append(
            Round(sum(mice[turn] for mice in plan.values()), {name: float(combine(one)) for name, one in costs.items()})
        )
        best = [name for name in rounds[-1].best if name != START][: how.survivors(len(left))]
        left = [design for design in left if design.name in best]
    return rounds


def _relative(cost: float, start: float, objective: str) -> float:
    if start == 0.0:
        raise ValueError(f"{objective} is 0 under the protocol as it is; there is nothing to gain, choose another objective")
    return cost / start


def _put(table: dict[str, Any], path: str, value: Any) -> None:
    """Set a value of a protocol's table. Raises ValueError for a path that leads nowhere."""
    *above, last = path.split(".")
    inside: Any = table
    for key in above:
        inside = _step(inside, key, path)
    if not isinstance(inside, dict):
        raise ValueError(f"{path}: expected the path of a setting, such as session_minutes or stages.0.debias")
    inside[last] = value


def _step(inside: Any, key: str, path: str) -> Any:
    if isinstance(inside, list):
        if not key.isdecimal() or int(key) >= len(inside):
            raise ValueError(f"{path}: no stage {key!r}; the protocol has stages 0 to {len(inside) - 1}")
        return inside[int(key)]
    if not isinstance(inside, dict):
        raise ValueError(f"{path}: nothing lies within {key!r}")
    return inside.setdefault(key, {})
