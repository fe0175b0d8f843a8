"""behavioral-twin: virtual mice that learn, and the inference of how real mice learn.

The public names are loaded when they are first used; torch only with inference.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.features import register_feature
    from agents.neural.registry import register_network
    from agents.parameters import Parameter
    from agents.rules import register_rule
    from envs.protocols import Protocol, load_protocol, register_protocol
    from twin.cohort import Cohort
    from twin.data.formats import read, write
    from twin.data.rollout import Rollout
    from twin.data.trials import Trials
    from twin.evaluation.designs import compare_designs
    from twin.evaluation.recovery import recovery
    from twin.inference.card import load_fit
    from twin.inference.fit import fit
    from twin.simulation import simulate
    from twin.simulation.designs import train_design
    from twin.simulation.until import simulate_until
    from twin.studies.run import run
    from twin.studies.scenario import load as load_scenario
    from twin.twins.forecast import forecast

_PLACES = {
    "Cohort": "twin.cohort",
    "Parameter": "agents.parameters",
    "Protocol": "envs.protocols",
    "Rollout": "twin.data.rollout",
    "Trials": "twin.data.trials",
    "compare_designs": "twin.evaluation.designs",
    "fit": "twin.inference.fit",
    "forecast": "twin.twins.forecast",
    "load_fit": "twin.inference.card",
    "load_protocol": "envs.protocols",
    "load_scenario": "twin.studies.scenario:load",
    "read": "twin.data.formats",
    "recovery": "twin.evaluation.recovery",
    "register_feature": "agents.features",
    "register_network": "agents.neural.registry",
    "register_protocol": "envs.protocols",
    "register_rule": "agents.rules",
    "run": "twin.studies.run",
    "simulate": "twin.simulation",
    "simulate_until": "twin.simulation.until",
    "train_design": "twin.simulation.designs",
    "write": "twin.data.formats",
}

__all__ = [
    "Cohort",
    "Parameter",
    "Protocol",
    "Rollout",
    "Trials",
    "compare_designs",
    "fit",
    "forecast",
    "load_fit",
    "load_protocol",
    "load_scenario",
    "read",
    "recovery",
    "register_feature",
    "register_network",
    "register_protocol",
    "register_rule",
    "run",
    "simulate",
    "simulate_until",
    "train_design",
    "write",
]


def __dir__() -> list[str]:
    """The public names, whether or not they have been used yet."""
    return sorted([*__all__, "__version__"])


def __getattr__(name: str) -> Any:
    """A public name, imported from where it is defined."""
    if name == "__version__":
        return importlib.metadata.version("behavioral-twin")
    if name not in _PLACES:
        raise AttributeError(f"module 'twin' has no attribute {name!r}; it has {', '.join(__all__)}")
    module, _, original = _PLACES[name].partition(":")
    return getattr(importlib.import_module(module), original or name)


def _check_neighbours() -> None:
    """`envs` and `agents` are common names: make sure that those found are of this distribution."""
    here = Path(__file__).resolve().parent.parent
    for name in ("envs", "agents"):
        found = importlib.util.find_spec(name)
        place = Path(found.origin).resolve().parent.parent if found and found.origin else None
        if place != here:
            raise ImportError(
                f"the package {name!r} found first is {place}, not the one beside twin in {here}: another project's {name!r} "
                f"hides it. Use a fresh virtual environment, or run from another folder."
            )


_check_neighbours()
# A thread of torch that waits by spinning takes a core from the compiled kernels; must be said before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
