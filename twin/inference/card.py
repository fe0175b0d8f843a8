"""A fitted rule put back into mice: the folder of a saved fit, read as a rule and the parameters of the mice it was fitted to.

A closed-form rule's `card.json` holds each mouse's row of theta, a neural rule's the initial weights and, where noise was
fitted, its levels.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from agents.rules import RULES
from envs.names import suggest


@dataclass(frozen=True, eq=False)
class KnownRule:
    """A rule, and what is known of the mice that have it."""

    rule: Any  # an `agents.rules.Rule`, or a neural rule
    features: tuple[str, ...] | None = None  # those it was fitted on; None: it takes any
    theta: dict[str, np.ndarray] = field(default_factory=dict)  # by column, the values of the fitted mice, (mice,)

    def values(self, name: str, mice: int) -> np.ndarray:
        """A column's values for so many mice, the fitted ones over and over."""
        known = self.theta[name]
        return known[np.arange(mice) % len(known)]


def is_fit(folder: Path) -> bool:
    """Does a folder hold a saved fit?"""
    return (folder / "card.json").is_file()


def load_fitted(folder: Path) -> KnownRule:
    """The rule of a saved fit and its mice. Raises ValueError naming the file, and what in it is not that of a fit."""
    file = folder / "card.json"
    card = json.loads(file.read_text())
    try:
        known = _closed_form(card) if "rule" in card else _neural(folder, card)
    except KeyError as error:
        raise ValueError(f"{file}: key {error} is missing; expected the card of a fit") from None
    for name, column in known.theta.items():
        for mouse in np.flatnonzero(~np.isfinite(column)):
            raise ValueError(f"{file}: {name} of fitted mouse {mouse} is {column[mouse]}; expected a finite number")
    return known


def _closed_form(card: dict[str, Any]) -> KnownRule:
    if card["rule"] not in RULES:
        raise ValueError(suggest("rule", card["rule"], RULES))
    columns = np.array(card["theta"], float).T
    return KnownRule(RULES[card["rule"]], tuple(card["features"]), dict(zip(card["parameters"], columns, strict=True)))


def _neural(folder: Path, card: dict[str, Any]) -> KnownRule:
    from agents.neural.registry import load_rule  # torch is imported only when a neural rule is used

    rule, theta = load_rule(folder), dict[str, np.ndarray]()
    traits = {"initial_weight": card["initial_weights"]}
    traits |= {f"{name}_noise": [sd] for name, sd in (card.get("noise") or {}).items()}  # the same in all mice
    for name, values in traits.items():
        columns = np.array(values, float).T
        theta |= {f"{name}.{f}": column for f, column in zip(rule.features, columns, strict=True)}
    return KnownRule(rule, rule.features, theta)
