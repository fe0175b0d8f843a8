"""The registry of neural rules, and how a fitted one is kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from agents.features import FEATURES
from agents.neural.ensemble import Ensemble
from agents.neural.networks import DNNHistoryRule, DNNRule, RNNRule
from agents.neural.sequence import TinyRNNRule, TransformerRule

NEURAL_RULES: dict[str, type[DNNRule]] = {
    rule.name: rule for rule in (DNNRule, DNNHistoryRule, RNNRule, TransformerRule, TinyRNNRule)
}


def save_rule(rule: DNNRule | Ensemble, folder: Path, card: dict[str, Any]) -> None:
    """Write a fitted rule as `model.safetensors` and `card.json`; the card also keeps what is given in `card`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in rule.state_dict().items()}, folder / "model.safetensors")
    members = len(rule.members) if isinstance(rule, Ensemble) else 1
    about = {"model": rule.name, "members": members, "features": list(rule.features), "network": rule.settings.model_dump()}
    (folder / "card.json").write_text(json.dumps(about | card, indent=2))


def load_rule(folder: Path, features: Sequence[str] | None = None) -> DNNRule | Ensemble:
    """A rule that was saved. Raises ValueError if the features asked for are not those it was fitted on, in their order."""
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
