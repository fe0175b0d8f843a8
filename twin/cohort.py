"""Cohort: a learning rule, and how its parameters and the mice's other traits vary over a population."""

from __future__ import annotations

import zlib
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from agents.neural.settings import RandomNetwork
from agents.parameters import parse_value
from agents.rules import RULES
from agents.theta import Layout
from envs.draws import PARAMETER, mouse_keys, uniform_per_mouse
from envs.names import suggest
from twin.inference.card import is_fit
from twin.inference.known_rule import KnownRule, load_fitted

RANDOM = "rnn"  # the rule that is a network at random


class Cohort(BaseModel):
    """M mice of one rule.

    `parameters` gives each a number or a distribution over mice, by name: `rate`, `initial_weight.bias`, or
    `initial_weight` for every weight alike; what is not named keeps its default. `rule` is a registered rule's name or the
    folder of a fit. Then mouse m is fitted mouse m % n of the n there are, with all that was fitted of it as defaults, and
    sees the features of the fit. The rule `rnn` is a network at random, which `network` describes. Raises ValueError naming
    the parameter that is unknown or outside its bounds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mice: int = Field(64, ge=1)
    rule: str = "reinforce-baseline"
    features: tuple[str, ...] = ("stimulus", "bias")
    parameters: dict[str, Annotated[Any, BeforeValidator(parse_value)]] = Field(default_factory=dict)
    network: RandomNetwork | None = None

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
        """What the columns of theta are; a neural rule has no parameters there, only the traits, as the static rule."""
        rule = self.known_rule.closed_form or replace(RULES["static"], name=self.rule)
        return Layout(rule, self.features)

    def keys(self, seed: int) -> np.ndarray:
        """Key of each mouse, (M,) uint64."""
        return mouse_keys(seed, self.mice)

    def theta(self, seed: int, mice: int | None = None) -> np.ndarray:
        """Every mouse's parameters, (M, P) in natural units; mouse m's row depends on seed and m alone."""
        layout = self.layout
        mice = self.mice if mice is None else mice
        theta = np.tile(layout.defaults(), (mice, 1))
        for name in self.known_rule.theta:
            theta[:, layout.index(name)[0]] = self.known_rule.values(name, mice)
        for name, value in self._flat_parameters():
            for column in layout.index(name):
                parameter = list(layout.columns.values())[column]
                theta[:, column] = _values(value, layout.names[column], parameter, seed, mice)
                try:
                    parameter.check(theta[:, column])
                except ValueError as error:
                    raise ValueError(f"parameters.{name}: {error}") from None
        return theta

    def _flat_parameters(self) -> list[tuple[str, Any]]:
        """(name, value) pairs, general names (`initial_weight`) before particular ones (`initial_weight.bias`)."""
        flat: list[tuple[str, Any]] = []
        for name, value in self.parameters.items():
            flat += [(f"{name}.{f}", v) for f, v in value.items()] if isinstance(value, dict) else [(name, value)]
        return sorted(flat, key=lambda pair: "." in pair[0])


def _values(value: Any, column: str, parameter: Any, seed: int, mice: int) -> Any:
    if isinstance(value, int | float):
        return value
    u = uniform_per_mouse(mouse_keys(seed, mice), PARAMETER + zlib.crc32(column.encode()))
    return value.sample(u, parameter.low, parameter.high)


def find_rule(name: str) -> KnownRule:
    """A registered rule by its name, or a fitted one by its folder. Raises ValueError naming the nearest known rule."""
    if name in RULES:
        return KnownRule(RULES[name])
    if is_fit(Path(name)):
        return load_fitted(Path(name))
    raise ValueError(f"{suggest('rule', name, [*RULES, RANDOM])} (or the folder of a fit)")
