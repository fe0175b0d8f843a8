"""Neural rules for the tests, and which of them have a fused path."""

from __future__ import annotations

from agents.neural.registry import NEURAL_RULES
from agents.neural.rule import NeuralRule

FUSED_KINDS = [name for name, kind in NEURAL_RULES.items() if kind.fused]


def neural_rule(kind: str, features: tuple[str, ...], seed: int = 1, **settings) -> NeuralRule:
    """A rule by its name, with those of the settings that it has."""
    own = NEURAL_RULES[kind].settings_type
    return NEURAL_RULES[kind](features, own(**{k: value for k, value in settings.items() if k in own.model_fields}), seed)
