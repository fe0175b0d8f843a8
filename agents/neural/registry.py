"""The registry of neural rules."""

from __future__ import annotations

from agents.neural.networks import DNNHistoryRule, DNNRule, RNNRule
from agents.neural.sequence import TinyRNNRule, TransformerRule

NEURAL_RULES: dict[str, type[DNNRule]] = {
    rule.name: rule for rule in (DNNRule, DNNHistoryRule, RNNRule, TransformerRule, TinyRNNRule)
}
