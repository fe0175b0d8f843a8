"""The registry of neural rules.

A module of `agents.neural.models` is found by its name alone and imported, torch with it, when its rule is asked for.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from agents.neural import models
from envs.names import check_name

if TYPE_CHECKING:
    from agents.neural.rule import NeuralRule


class NeuralRules(Mapping[str, "type[NeuralRule]"]):
    """The kinds of neural rules by name; `dnnglm-history` is the class of that `name` in `models/dnnglm_history.py`."""

    def __init__(self) -> None:
        self._modules = {module.name.replace("_", "-"): module.name for module in pkgutil.iter_modules(models.__path__)}
        self._own: dict[str, type[NeuralRule]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter((*self._modules, *self._own))

    def __len__(self) -> int:
        return len(self._modules) + len(self._own)

    def __contains__(self, name: object) -> bool:
        return name in self._modules or name in self._own

    def __getitem__(self, name: str) -> type[NeuralRule]:
        if name in self._own:
            return self._own[name]
        module = import_module(f"{models.__name__}.{self._modules[name]}")
        return next(kind for kind in vars(module).values() if getattr(kind, "name", None) == name)

    def add(self, kind: type[NeuralRule]) -> None:
        """Add a kind under its `name`, in the place of one added before. Raises ValueError for a name that is taken."""
        from agents.neural.rule import NeuralRule
        from agents.rules import NO_RULES, RULES

        if not (isinstance(kind, type) and issubclass(kind, NeuralRule) and isinstance(getattr(kind, "name", None), str)):
            raise ValueError(f"{kind!r} is no network; expected a subclass of agents.neural.rule.NeuralRule with a `name`")
        check_name("network", kind.name, (*self._modules, *RULES, *NO_RULES))
        self._own[kind.name] = kind


NEURAL_RULES = NeuralRules()


def register_network(kind: type[NeuralRule]) -> type[NeuralRule]:
    """Register a class of neural rules under its `name`, by which it is fitted: `twin.fit(trials, "my-network")`.

    One that overrides `learn` or the layers sets `fused = None`, for compiled kernels do not know what it computes. Raises
    ValueError for what is no subclass of NeuralRule, or has the name of a rule or a network that is there.
    """
    NEURAL_RULES.add(kind)
    return kind
