"""Fits whose numbers are at random, as if they had been fitted, and their cards."""

from __future__ import annotations

import json

import numpy as np
import torch
from networks import neural_rule

from agents import RULES, Layout
from agents.neural.ensemble import Ensemble
from twin.inference.closed_form.rule_fit import RuleFit
from twin.inference.neural.neural_fit import NeuralFit
from twin.inference.neural.trainer import History
from twin.inference.noise.levels import Noise

SEEN = ("stimulus", "bias", "previous_choice")
FITTED = 2


def fit_of_rule(model: str, rule: str) -> RuleFit:
    """A fit whose numbers are at random, with every trait in use."""
    draw, layout = np.random.default_rng(1), Layout(RULES[rule], SEEN)
    theta = np.tile(layout.defaults(), (FITTED, 1))
    for name in (*(p.name for p in layout.rule.parameters), "initial_weight", "day_noise", "lapse_high"):
        columns = layout.index(name)
        theta[:, columns] += draw.uniform(0.01, 0.1, (FITTED, len(columns)))
    theta[:, layout.index("trial_noise")] = 0.02
    unknown, ids = np.full((*theta.shape, 2), np.nan), tuple("ab")
    return RuleFit(layout, theta, unknown, np.zeros(FITTED), np.ones(FITTED, bool), ids, model, {"noise": True})


def fit_of_network(kind: str, noise: Noise | None = None, members: int = 1, **settings) -> NeuralFit:
    """A network at random whose updates are large enough to matter, or an ensemble of them, as if it had been fitted."""
    rules = [neural_rule(kind, SEEN, seed, hidden=8, initial_scale=0.3, **settings) for seed in range(members)]
    with torch.random.fork_rng():
        torch.manual_seed(2)
        for rule in rules:
            torch.nn.init.normal_(rule.readout.weight, std=0.3)
    first, histories = np.random.default_rng(1).normal(size=(FITTED, 3)), (History([0.6], [0.6], 0),) * members
    rule = rules[0] if members == 1 else Ensemble(rules)
    return NeuralFit(rule.eval(), first, tuple("ab"), kind, histories, {}, noise)


def altered(done: RuleFit | NeuralFit, folder, **changes) -> None:
    """Save a fit, and change keys of its card; None leaves one out."""
    done.save(folder)
    card = json.loads((folder / "card.json").read_text()) | changes
    kept = {key: v for key, v in card.items() if v is not None or key not in changes}
    (folder / "card.json").write_text(json.dumps(kept))
