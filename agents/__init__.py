"""Mice: how they decide and how they learn. Neural rules are in `agents.neural.networks`, which needs torch."""

import importlib.util
from pathlib import Path


def _check_envs() -> None:
    """`envs` is a common name: make sure that the one found is of this distribution."""
    here = Path(__file__).resolve().parent.parent
    found = importlib.util.find_spec("envs")
    place = Path(found.origin).resolve().parent.parent if found and found.origin else None
    if place != here:
        raise ImportError(
            f"the package 'envs' found first is in {place}, not the one beside agents in {here}: another project's 'envs' "
            f"hides it. Use a fresh virtual environment, or run from another folder."
        )


_check_envs()

from agents.features import FEATURES
from agents.mouse import Mouse
from agents.parameters import Parameter
from agents.rules import RULES, Rule
from agents.theta import Layout

__all__ = ["FEATURES", "RULES", "Layout", "Mouse", "Parameter", "Rule"]
