"""The registry of neural rules.

A module of `agents.neural.models` is found by its name alone and imported, torch with it, when its rule is asked for.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from agents.neural import models

if TYPE_CHECKING:
    from agents.neural.rule import NeuralRule


class NeuralRules(Mapping[str, "type[NeuralRule]"]):
    """The kinds of neural rules by name; `dnnglm-history` is the class of that `name` in `models/dnnglm_history.py`."""

    def __init__(self) -> None:
        self._modules = {module.name.replace("_", "-"): module.name for module in pkgutil.iter_modules(models.__path__)}

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def __getitem__(self, name: str) -> type[NeuralRule]:
        module = import_module(f"{models.__name__}.{self._modules[name]}")
        return next(kind for kind in vars(module).values() if getattr(kind, "name", None) == name)


NEURAL_RULES = NeuralRules()
