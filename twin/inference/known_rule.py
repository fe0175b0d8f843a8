"""A fitted rule put back into mice: the rule, and what a fit knows of the mice that have it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from agents.parameters import Parameter
from agents.rules import RULES, Rule
from twin.data.content import hash_bytes
from twin.inference.card import CARD, load_fit


@dataclass(frozen=True, eq=False)
class KnownRule:
    """A rule, and what is known of the mice that have it."""

    rule: Any  # an `agents.rules.Rule`, or a neural rule
    features: tuple[str, ...] | None = None  # those it was fitted on; None: it takes any
    theta: dict[str, np.ndarray] = field(default_factory=dict)  # by column, the values of the fitted mice, (mice,)
    own: tuple[Parameter, ...] = ()  # of a neural rule: parameters in which its mice differ, columns of theta
    content: str = ""  # hash of the fit that it comes from, where it comes from one

    @cached_property
    def closed_form(self) -> Rule | None:
        """The rule if it is a closed-form one, whose parameters are columns of theta."""
        return self.rule if isinstance(self.rule, Rule) else None

    def with_columns(self, name: str) -> Rule:
        """A rule of this name that has the same columns of theta: the rule itself, or one that only stands for a network."""
        if self.closed_form is not None:
            return self.closed_form
        return Rule(name, lambda w, eligibility, critic, *_: (w, eligibility, critic), self.own, RULES["static"].reference)

    def values(self, name: str, mice: int) -> np.ndarray:
        """A column's values for so many mice, the fitted ones over and over."""
        known = self.theta[name]
        return known[np.arange(mice) % len(known)]


def load_fitted(folder: Path) -> KnownRule:
    """The rule of a saved fit and its mice. Raises ValueError naming the file, and what in it is not that of a fit."""
    known = load_fit(folder).known_rule()
    card = (folder / CARD).read_bytes()  # which holds the hash of a network's weights
    for name, column in known.theta.items():
        for mouse in np.flatnonzero(~np.isfinite(column)):
            raise ValueError(f"{folder / CARD}: {name} of fitted mouse {mouse} is {column[mouse]}; expected a finite number")
    return replace(known, content=hash_bytes(card))
