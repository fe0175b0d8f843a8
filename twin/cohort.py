"""Cohort: a learning rule, and how its parameters and the mice's other traits vary over a population."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from agents.neural.settings import RandomNetwork
from agents.parameters import Distribution, Number, Parameter, ParameterValue, PopulationValue
from agents.rules import RULES
from agents.theta import Layout
from envs.draws import PARAMETER, mouse_keys, uniform_per_mouse
from envs.names import suggest
from envs.table import Table
from twin.inference.card import CARD, is_fit
from twin.inference.known_rule import KnownRule, load_fitted
from twin.population import Copula, find_population, is_distribution, read_population, with_population

RANDOM = "rnn"  # the rule that is a network at random


def _beside_scenario(rule: Any, info: ValidationInfo) -> Any:
    """The folder of a fit is looked for where the user stands, then beside the scenario."""
    folder = (info.context or {}).get("folder")
    if not isinstance(rule, str | Path) or str(rule) in (*RULES, RANDOM) or folder is None:
        return str(rule) if isinstance(rule, Path) else rule
    _refuse_module(str(rule))
    places = [Path(rule), Path(folder) / rule]
    for place in places:
        if _holds_fit(place):
            return str(place.resolve())
    tried = " nor in ".join(dict.fromkeys(str(place.resolve()) for place in places))
    raise ValueError(f"{suggest('rule', str(rule), [*RULES, RANDOM])}. Nor is it the folder of a fit: no {CARD} in {tried}")


class Cohort(Table):
    """M mice of one rule.

    `parameters` gives each parameter, by its name, one number for all mice or a distribution over them. The name is `rate`,
    `initial_weight.bias`, or `initial_weight` for every weight alike; what is not named keeps its default.

    `rule` is the name of a registered rule or the folder of a fit. The mice of a fit of n mice are those, in turn: mouse m has
    what was fitted of mouse m % n as its defaults, and sees the features of the fit. The rule `rnn` is a network at random,
    which `network` describes.

    `population`, the name of one that comes with the package ("ibl") or the file of one, gives rule, features, parameters and
    correlation; what the cohort gives itself goes before. `correlation` says which parameters go together over mice:
    `{"lapse_low": {"lapse_high": 0.5}}`, by columns of theta that have distributions (see `twin.population`).

    Raises ValueError naming the parameter that is unknown or outside its bounds, or the correlations that cannot be.
    """

    mice: int = Field(64, ge=1)
    rule: Annotated[str, BeforeValidator(_beside_scenario)] = "reinforce-baseline"
    features: tuple[str, ...] = ("stimulus", "bias")
    parameters: dict[str, ParameterValue] = Field(default_factory=dict)
    correlation: dict[str, dict[str, Number]] = Field(default_factory=dict)
    network: RandomNetwork | None = None
    population: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_population(cls, table: Any, info: ValidationInfo) -> Any:
        if not isinstance(table, dict) or not isinstance(table.get("population"), str | Path):
            return table
        name, folder = table["population"], (info.context or {}).get("folder")
        path = find_population(name, folder)
        return with_population(read_population(path), table) | {"population": str(name if str(name) == path.stem else path)}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.network is None and self.rule == RANDOM:
            object.__setattr__(self, "network", RandomNetwork())
        if self.network is not None and self.rule != RANDOM:
            raise ValueError(f"network: describes rule = {RANDOM!r}, a network at random; rule = {self.rule!r} takes none")
        fitted_on = self.known_rule.features or self.features
        if "features" not in self.model_fields_set:
            object.__setattr__(self, "features", fitted_on)
        if fitted_on != self.features:
            raise ValueError(
                f"features {list(self.features)}: the rule {self.rule!r} was fitted on {list(fitted_on)}, in that order"
            )
        self.theta(seed=0, mice=2)
        return self

    def __repr__(self) -> str:
        """Its size, rule and features; `parameters` tells how its mice vary."""
        varying = f", {', '.join(self.parameters)} given" if self.parameters else ""
        return f"<Cohort of {self.mice} mice: rule {self.rule!r} on {', '.join(self.features)}{varying}>"

    __str__ = __repr__

    @cached_property
    def known_rule(self) -> KnownRule:
        """The rule, and what a fit knows of its mice."""
        if self.network is None:
            return find_rule(self.rule)
        from agents.neural.random_network import random_rule  # torch is imported only when a neural rule is used

        return KnownRule(random_rule(self.network, self.features))

    @property
    def learning_rule(self) -> Any:
        """The rule itself: an `agents.rules.Rule`, or a neural rule."""
        return self.known_rule.rule

    @property
    def layout(self) -> Layout:
        """The columns of theta; those of a neural rule are what its mice have of their own, and the traits."""
        return Layout(self.known_rule.with_columns(self.rule), self.features)

    def distributions(self) -> dict[str, Distribution]:
        """What varies over the mice, by column of theta."""
        layout, found = self.layout, dict[str, PopulationValue]()
        for name, value in self._flat_parameters():
            found |= {layout.names[column]: value for column in layout.index(name)}
        return {column: value for column, value in found.items() if is_distribution(value)}

    def keys(self, seed: int) -> np.ndarray:
        """Key of each mouse, (M,) uint64."""
        return mouse_keys(seed, self.mice)

    def theta(self, seed: int, mice: int | None = None) -> np.ndarray:
        """Every mouse's parameters, (M, P) in natural units; mouse m's row depends on seed and m alone."""
        layout = self.layout
        keys = mouse_keys(seed, self.mice if mice is None else mice)
        theta = np.tile(layout.defaults(), (len(keys), 1))
        for name in self.known_rule.theta:
            theta[:, layout.index(name)[0]] = self.known_rule.values(name, len(keys))
        copula = Copula(self.correlation)
        draws = copula.uniforms([_draws(keys, column) for column in copula.columns])
        drawn = {}
        for name, value in self._flat_parameters():
            for column in layout.index(name):
                title, parameter = list(layout.columns.items())[column]
                drawn[title] = is_distribution(value)
                u = draws[title] if title in draws else _draws(keys, title)
                try:
                    theta[:, column] = _values(value, parameter, u)
                except ValueError as error:
                    raise ValueError(f"parameters.{name}: {error}") from None
        _check_correlated(copula.columns, layout, drawn)
        return theta

    def _flat_parameters(self) -> list[tuple[str, PopulationValue]]:
        """(name, value) pairs, general names (`initial_weight`) before particular ones (`initial_weight.bias`)."""
        flat: list[tuple[str, PopulationValue]] = []
        for name, value in self.parameters.items():
            flat += [(f"{name}.{f}", v) for f, v in value.items()] if isinstance(value, dict) else [(name, value)]
        return sorted(flat, key=lambda pair: "." in pair[0])


def _draws(keys: np.ndarray, column: str) -> np.ndarray:
    """One uniform draw of each mouse for a column of theta, (mice,)."""
    return uniform_per_mouse(keys, PARAMETER + zlib.crc32(column.encode()))


def _values(value: PopulationValue, parameter: Parameter, u: np.ndarray) -> float | np.ndarray:
    """A parameter's value of each mouse at draws u (mice,), or one number for all. Raises ValueError beyond its bounds."""
    values: float | np.ndarray = value if isinstance(value, float) else value.sample(u, parameter.low, parameter.high)
    parameter.check(values)
    return values


def _check_correlated(columns: Sequence[str], layout: Layout, drawn: Mapping[str, bool]) -> None:
    """Raise ValueError unless every correlated column is one of theta and has a distribution."""
    for column in columns:
        if column not in layout.names:
            raise ValueError(f"correlation: {suggest('parameter', column, layout.names)}")
        if not drawn.get(column):
            raise ValueError(
                f"correlation: {column} is the same number for all mice, or its default; expected a parameter that has a "
                f"distribution: give parameters.{column} one, or take it out of the correlation"
            )


def find_rule(name: str) -> KnownRule:
    """A registered rule by its name, or a fitted one by its folder. Raises ValueError naming the nearest known rule."""
    if name in RULES:
        return KnownRule(RULES[name])
    _refuse_module(name)
    if _holds_fit(Path(name)):
        return load_fitted(Path(name))
    raise ValueError(f"{suggest('rule', name, [*RULES, RANDOM])} (or the folder of a fit: no {CARD} in {Path(name).resolve()})")


def _refuse_module(name: str) -> None:
    """Raise ValueError for `module:name`: only a scenario's own table imports a module (`twin.studies.imports`)."""
    module, _, rule = name.partition(":")
    if rule and all(part.isidentifier() for part in (*module.split("."), rule)):
        raise ValueError(
            f"rule {name!r}: a module is imported only where the scenario that is run names it; `import {module}` before, and "
            f"give the name under which it registers the rule"
        )


def _holds_fit(folder: Path) -> bool:
    try:
        return is_fit(folder)
    except OSError:  # no folder can have such a name
        return False
