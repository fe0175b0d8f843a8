"""A network at random as a learning rule: plasticity nobody wrote down, as a ground truth to be inferred.

A GRU and a perceptron with random weights add to the change of a closed-form base rule, by which the mice learn the task. The
units of the GRU forget at rates of their own, log-uniform up to `memory` trials (the gate's bias of Tallec & Ollivier 2018,
ICLR), so the change depends on trials long past. The size of the network's part is measured on reference mice, which see IBL
contrasts at random and learn by the base rule alone: for each weight its rms is `strength` times that of the base rule's.

A random rule may run away with the weights: a choice that makes itself likelier. So a network under which the reference mice do
not learn as they would by the base rule alone, but for a margin, is drawn again.

Limits. The reference mice are watched over 1,000 trials, and a weight may run away later. A base rule that forgets, as the
default one does, holds the weights back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from agents.features import feature_codes, fill_features, remember
from agents.neural.base_rule import base_rule_change, unconstrained
from agents.neural.models.rnnglm import RNNRule
from agents.neural.rule import policy
from agents.neural.settings import NetworkForm, NetworkSettings, RandomNetwork
from agents.rules import Rule
from agents.theta import Layout
from envs.names import suggest

DRAWS = 20
MICE, FIRST, LONG = 40, 300, 1000  # reference mice; trials on which sizes are measured, and over which learning is watched
LEARNED, SHARE = 200, 0.75  # last trials by which learning is judged, and the least share of what the base rule alone achieves
CONTRASTS = (-1.0, -0.5, -0.25, -0.125, -0.0625, 0.0625, 0.125, 0.25, 0.5, 1.0)
WEIGHT = 4.0  # typical size of a weight after training, beside inputs of size 1


class Reference(NamedTuple):
    """What happened to the reference mice."""

    network: np.ndarray  # (T, M, K) the network's part of each change
    base_rule: np.ndarray  # (T, M, K) the base rule's part
    correct: np.ndarray  # (T, M) probability of the correct choice


def random_rule(network: RandomNetwork, features: Sequence[str]) -> RNNRule:
    """The rule of a seed. Raises ValueError if mice learn under none of its draws, or for wrong parameters."""
    settings = NetworkSettings(**{k: getattr(network, k) for k in NetworkForm.model_fields})
    rule = RNNRule(features, settings).double().eval()
    draw = np.random.default_rng(network.seed)
    parameters = base_parameters(rule.base_rule, features, network.parameters)
    rule.free_base_parameters.data = torch.as_tensor(unconstrained(rule.base_rule, parameters))
    enough = SHARE * _learned(reference(rule, LONG, network=False))
    for _ in range(DRAWS):
        rule.load_state_dict(_weights(rule, network.memory, draw))
        found = reference(rule, FIRST, network=False)
        added, base = (np.sqrt(np.mean(part**2, axis=(0, 1))) for part in (found.network, found.base_rule))
        rule.scale.data = torch.as_tensor(network.strength * base / np.maximum(added, 1e-12))
        if _learned(reference(rule, LONG)) >= enough:
            return rule.float()
    raise ValueError(
        f"network: mice learn under none of {DRAWS} networks of seed {network.seed} with strength = {network.strength:g}; "
        f"expected a lower strength"
    )


def base_parameters(base_rule: Rule, features: Sequence[str], given: dict[str, float]) -> np.ndarray:
    """Parameters (R, K) of a base rule, its defaults but for those given by name.

    Raises ValueError naming one that it does not have or that is outside its bounds.
    """
    layout = Layout(base_rule, tuple(features))
    theta = layout.defaults()
    known = [p.name for p in base_rule.parameters]
    for name, value in given.items():
        if name.split(".")[0] not in known:
            raise ValueError(f"network.parameters: {suggest(f'parameter of base rule {base_rule.name!r}:', name, known)}")
        for column in layout.index(name):
            list(layout.columns.values())[column].check(value)
            theta[column] = value
    return layout.unpack(theta[None]).rule_parameters[0].T


def _weights(rule: RNNRule, memory: float, draw: np.random.Generator) -> dict[str, Any]:
    """Random weights for a rule, by name; its scale is 1, and its base rule stays."""
    h = rule.settings.hidden
    k = len(rule.features)
    new = {}
    for name, tensor in rule.state_dict().items():
        matrix = name.endswith(("weight", "weight_ih", "weight_hh"))
        new[name] = draw.standard_normal(tensor.shape) / (np.sqrt(tensor.shape[1]) if matrix else 3.0)
    new["gru.weight_ih"] *= np.sqrt(new["gru.weight_ih"].shape[1])  # the inputs drive the units hard
    new["gru.weight_ih"][:, :k] /= WEIGHT
    new["gru.weight_ih"][h : 2 * h] *= 0.3  # but not how fast they forget
    new["gru.bias_ih"][h : 2 * h] = np.log(np.expm1(draw.uniform(0.0, np.log(memory), h)) + 1e-3)
    new["gru.bias_hh"] *= 0.0
    new["readout.bias"] *= 0.0
    new["scale"] = np.ones(k)
    return {name: torch.as_tensor(a) for name, a in new.items()} | {"free_base_parameters": rule.free_base_parameters.data}


def reference(rule: RNNRule, trials: int, network: bool = True) -> Reference:
    """The reference mice under a rule; without `network` its part is noted, but they learn by the base rule alone."""
    draw = np.random.default_rng(0)
    codes = feature_codes(rule.features)
    features, previous = np.zeros((MICE, len(codes))), np.zeros((MICE, 3))
    state = rule.init(MICE)
    rows = []
    for _ in range(trials):
        contrast = draw.choice(CONTRASTS, MICE)
        for m in range(MICE):
            fill_features(features[m], codes, contrast[m], previous[m])
        x, right = torch.as_tensor(features), torch.as_tensor(contrast[:, None] > 0)
        p = policy(state.weights, x)
        choice = torch.as_tensor(draw.random((MICE, 1))) < p
        trial = x, choice.double(), (choice == right).double(), p
        with torch.no_grad():
            after = rule.learn(state, *trial)
            base = base_rule_change(rule.base_rule, rule.base_parameters, state.weights, *trial)
        rows.append((after.weights - state.weights - base, base, torch.where(right, p, 1.0 - p)[:, 0]))
        state = after if network else after._replace(weights=state.weights + base)
        for m in range(MICE):
            remember(previous[m], contrast[m], int(choice[m, 0]), float(trial[2][m, 0]))
    return Reference(*(torch.stack(column).detach().numpy() for column in zip(*rows, strict=True)))


def _learned(found: Reference) -> float:
    """Probability correct at the end, above chance: of the tenth of the mice that learned least, so that none runs away."""
    last = np.sort(found.correct[-LEARNED:].mean(axis=0))
    return float(last[: len(last) // 10].mean() - 0.5)
