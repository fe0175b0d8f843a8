"""Where each parameter of a mouse stands in its row of theta.

theta is (mice, parameters), in natural units: the rule's parameters first, then the traits every mouse has (initial weights,
noise, lapses, response times). One mouse's theta is a row of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from typing import Any, NamedTuple

import numpy as np

from agents.features import feature_codes
from agents.parameters import Parameter
from agents.response import RESPONSE_TRAITS
from agents.rules import Rule
from envs.names import suggest

# At a weight of 1,000 the lowest contrast decides every choice; noise beyond these leaves nothing of what was learned.
MOST_WEIGHT, MOST_OF_TRIAL, MOST_OF_NIGHT = 1_000.0, 10.0, 100.0

TRAITS = (
    Parameter(
        "initial_weight", 0.0, -inf, inf, "logit per feature", "weight before the first trial", True, MOST_WEIGHT, spread=2.0
    ),
    Parameter(
        "trial_noise",
        0.0,
        0.0,
        inf,
        "weight",
        "sd of the noise added to the weight after each trial",
        True,
        MOST_OF_TRIAL,
        typical=0.01,  # Bak et al 2016; 2^-4 to 2^-9 in Ashwood et al 2020
    ),
    Parameter(
        "day_noise",
        0.0,
        0.0,
        inf,
        "weight",
        "sd of the noise added to the weight between sessions",
        True,
        MOST_OF_NIGHT,
        typical=0.1,  # e^-1 and less in Geadah & Pillow 2025
    ),
    Parameter("lapse_low", 0.0, 0.0, 0.5, "probability", "floor of P(right), at strong left stimuli", typical=0.03),
    Parameter("lapse_high", 0.0, 0.0, 0.5, "probability", "1 - ceiling of P(right), at strong right stimuli", typical=0.03),
    *RESPONSE_TRAITS,
)


class Unpacked(NamedTuple):
    """The theta of M mice, taken apart by what each parameter is for (K weights, R parameters of the rule)."""

    rule_parameters: np.ndarray  # (M, K, R)
    initial_weight: np.ndarray  # (M, K)
    trial_noise: np.ndarray  # (M, K)
    day_noise: np.ndarray  # (M, K)
    lapses: np.ndarray  # (M, 2) low, high
    response_traits: np.ndarray  # (M, B) RESPONSE_TRAITS of `agents.response`, in their order


@dataclass(frozen=True)
class Layout:
    """The columns of theta for one rule on some features.

    Raises ValueError for features there are not, or a parameter of the rule that is named like a trait of every mouse.
    """

    rule: Rule
    features: tuple[str, ...]
    bounds: tuple[tuple[str, float, float], ...] = ()  # (column, low, high), where narrower than those of its parameter

    def __post_init__(self) -> None:
        feature_codes(self.features)
        taken = {trait.name for trait in TRAITS} & {parameter.name for parameter in self.rule.parameters}
        if taken:
            raise ValueError(f"rule {self.rule.name!r}: every mouse has a parameter {min(taken)!r} already; rename the rule's")

    @cached_property
    def columns(self) -> dict[str, Parameter]:
        """Name of every column, in order, and the Parameter it holds."""
        columns: dict[str, Parameter] = {}
        for p in (*self.rule.parameters, *TRAITS):
            columns |= {f"{p.name}.{f}": p for f in self.features} if p.per_weight else {p.name: p}
        return columns | {name: columns[name].within(low, high) for name, low, high in self.bounds}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(self.columns)

    def index(self, name: str) -> list[int]:
        """Columns meant by a name: one, or for `rate` of a rule with one rate per weight, all of them.

        Raises ValueError naming the nearest known name.
        """
        found = [i for i, column in enumerate(self.names) if column == name or column.split(".")[0] == name]
        if not found:
            known = dict.fromkeys([*(c.split(".")[0] for c in self.names), *self.names])
            raise ValueError(suggest(f"parameter of rule {self.rule.name!r}:", name, known))
        return found

    def within(self, bounds: Mapping[str, tuple[float, float]]) -> Layout:
        """The same columns, some within narrower bounds, by name. Raises ValueError naming the one that cannot be."""
        particular = sorted(bounds.items(), key=lambda item: "." in item[0])  # after general names
        narrower = {self.names[c]: ends for name, ends in particular for c in self.index(name)}
        layout = replace(self, bounds=tuple((name, low, high) for name, (low, high) in narrower.items()))
        assert layout.names == self.names
        return layout

    def defaults(self) -> np.ndarray:
        """Default of every column, (P,)."""
        return np.array([p.default for p in self.columns.values()])

    def _per_weight(self, parameters: Iterable[Parameter]) -> np.ndarray:
        """Column of each parameter at each weight, (K, parameters)."""
        names = list(self.names)
        rows = [[names.index(f"{p.name}.{f}" if p.per_weight else p.name) for p in parameters] for f in self.features]
        return np.array(rows, int).reshape(len(self.features), -1)

    def unpack(self, theta: Any) -> Unpacked:
        """theta (M, P), real or complex, taken apart by what it is for."""
        traits = self._per_weight(TRAITS)
        rule_parameters = theta[:, self._per_weight(self.rule.parameters)]
        per_weight = [theta[:, traits[:, i]] for i in range(3)]
        lapses = theta[:, traits[0, 3:5]]
        response_traits = np.real(theta[:, traits[0, 5:]])
        return Unpacked(*map(np.ascontiguousarray, [rule_parameters, *per_weight, lapses, response_traits]))
