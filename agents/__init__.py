"""Mice: how they decide and how they learn. Neural rules are in `agents.neural`, which needs torch."""

from agents import _neighbours  # noqa: F401 (first: it checks what `envs` is)
from agents.features import FEATURES
from agents.mouse import Mouse
from agents.parameters import Parameter
from agents.rules import RULES, Rule
from agents.theta import Layout

__all__ = ["FEATURES", "RULES", "Layout", "Mouse", "Parameter", "Rule"]
