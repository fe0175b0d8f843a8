"""The registry of neural rules, and how a fitted one is kept.

A module of `agents.neural.models` is found by its name alone and imported, torch with it, when its rule is asked for.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.features import FEATURES
from agents.neural import models

if TYPE_CHECKING:
    from agents.neural.ensemble import Ensemble
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


def save_rule(rule: NeuralRule | Ensemble, folder: Path, card: dict[str, Any]) -> None:
    """Write a fitted rule as `model.safetensors` and `card.json`; the card also keeps what is given in `card`."""
    from safetensors.torch import save_file

    from agents.neural.ensemble import Ensemble

    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in rule.state_dict().items()}, folder / "model.safetensors")
    members = len(rule.members) if isinstance(rule, Ensemble) else 1
    about = {"model": rule.name, "members": members, "features": list(rule.features), "network": rule.settings.model_dump()}
    (folder / "card.json").write_text(json.dumps(about | card, indent=2))


def load_rule(folder: Path, features: Sequence[str] | None = None) -> NeuralRule | Ensemble:
    """A rule that was saved. Raises ValueError if the features asked for are not those it was fitted on, in their order."""
    from safetensors.torch import load_file

    from agents.neural.ensemble import Ensemble

    card = json.loads((folder / "card.json").read_text())
    if card.get("model") not in NEURAL_RULES:
        raise ValueError(f"{folder / 'card.json'}: model {card.get('model')!r} is not one of {', '.join(NEURAL_RULES)}")
    if features is not None and list(features) != card["features"]:
        raise ValueError(f"{folder}: fitted on features {card['features']} in that order, not on {list(features)}")
    if unknown := [f for f in card["features"] if f not in FEATURES]:
        raise ValueError(f"{folder / 'card.json'}: unknown features {unknown}")
    kind = NEURAL_RULES[card["model"]]
    rules = [kind(card["features"], kind.settings_type(**card["network"])) for _ in range(card["members"])]
    rule = rules[0] if len(rules) == 1 else Ensemble(rules)
    rule.load_state_dict(load_file(folder / "model.safetensors"))
    return rule.eval()
