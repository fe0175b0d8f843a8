"""What neural learning rules have in common: a network maps each trial to a change of the weights of the policy.

    w' = w + base rule + scale * net(w, x, choice, reward, p) * gate

as the DNNGLM and RNNGLM of Liu, Geadah & Pillow 2025, arXiv 2509.04661, do. The gate is absent in the plain form; in the
gradient form it is the features, as in the gradient of a GLM's log-likelihood. With mirror symmetry the network's output is
1/2 (net(z) + signs * net(mirrored z)), so that mirroring stimulus, choice and bias mirrors the update exactly.

Mice may differ under one network: each has parameters of its own, which its state carries (`NeuralState.own`):

    scale              factor of all that changes its weight, so 1 is the mouse like the network itself
    embedding_1, ...   numbers that the network sees as inputs, if `settings.embedding` asks for some

A rule has the `init` and `learn` of every agent. How to differentiate through many trials is decided elsewhere
(`twin.inference.neural.unroll`).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from agents.features import FEATURES, feature_codes
from agents.neural.base_rule import base_rule_change, base_rule_coefficients, natural, unconstrained
from agents.neural.settings import Mirror, NetworkSettings
from agents.parameters import Parameter
from agents.rules import RULES, Rule

Output = Literal["change", "readout"]

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "silu": nn.functional.silu}
SCALE = Parameter(
    "scale", 1.0, 0.0, math.inf, "factor", "of all changes of the mouse's weight", True, typical=1.0, by_factors=True
)
EMBEDDING = Parameter("embedding", 0.0, -math.inf, math.inf, "-", "what the network sees of the mouse")
DRAWING = threading.Lock()  # torch draws first parameters from one global generator, and rules are built on several threads


class NeuralState(NamedTuple):
    """State of M mice under a neural rule."""

    weights: Tensor  # (M, K)
    hidden: Tensor  # (views, M, H) memory of the trials as they were and of their mirror image; H = 0 without a memory
    own: Tensor | None = None  # (M, R, K) parameters of each mouse, natural units; None: all are like the rule itself


class Network(NamedTuple):
    """The network of a rule as the compiled kernels take it."""

    gru: tuple[Tensor, Tensor, Tensor, Tensor] | None  # weight_ih, weight_hh, bias_ih, bias_hh of a torch.nn.GRUCell
    layers: Sequence[tuple[Tensor, Tensor]]  # weight and bias of each, the readout last
    scale: Tensor  # (K,), or (M, K) if every mouse has its own
    own_bias: Tensor | None = None  # (M, H), or (M, 3H) of a GRU: what each mouse adds to the bias of the first layer


class NeuralRule(nn.Module):
    """A multilayer perceptron of the weights, the features, the choice and the reward; subclasses put a memory before it.

    Raises ValueError for features that a mirror symmetric rule cannot have.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[Any]] = NetworkSettings
    fused: ClassVar[Output | None] = "change"  # what compiled kernels compute: changes of the weights, a readout, or nothing
    individual: ClassVar[bool] = True  # may mice have parameters of their own?

    def __init__(self, features: Sequence[str], settings: NetworkSettings | None = None, seed: int = 0) -> None:
        super().__init__()
        feature_codes(features)
        self.features = tuple(features)
        self.settings: NetworkSettings = settings or self.settings_type()
        if self.settings.mirror and not all(FEATURES[name].mirrored for name in self.features):
            raise ValueError(
                f"features {list(features)}: mirror symmetry changes signs alone; set mirror = false or use 'stimulus'"
            )
        with DRAWING, torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._build(len(features))

    def _build(self, k: int) -> None:
        s = self.settings
        widths = [self._build_memory(k + self.n_inputs + s.probability + s.embedding), *[s.hidden] * s.layers]
        self.hidden_layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.readout = nn.Linear(s.hidden, k)
        self.scale = nn.Parameter(torch.full((k,), s.initial_scale))
        defaults = np.array([[p.default] * k for p in self.base_rule.parameters]).reshape(-1, k)
        free = torch.as_tensor(unconstrained(self.base_rule, defaults), dtype=torch.float32)
        self.free_base_parameters = nn.Parameter(free)
        if len(defaults):  # begin as the base rule
            nn.init.zeros_(self.readout.weight)
            nn.init.zeros_(self.readout.bias)

    def _build_memory(self, width: int) -> int:
        """Build what comes before the perceptron, given its input's width; returns the width of what it passes on."""
        return width

    @property
    def base_rule(self) -> Rule:
        """The closed-form rule to which the network adds; `static` changes nothing."""
        return RULES[self.settings.base_rule]

    @property
    def base_parameters(self) -> Tensor:
        """Parameters of the base rule, (R, K) in natural units."""
        return natural(self.base_rule, self.free_base_parameters)

    @property
    def own_parameters(self) -> tuple[Parameter, ...]:
        """The R parameters that every mouse may have for itself."""
        numbers = range(1, self.settings.embedding + 1)
        return (SCALE, *(replace(EMBEDDING, name=f"embedding_{i}") for i in numbers))

    @property
    def own_coordinates(self) -> tuple[str, ...]:
        """Names of the F coordinates of a mouse, in order; 0 is the mouse like the rule itself.

        `scale` is the logarithm of its scale, `scale.stimulus` and so on what is added for single weights.
        """
        return ("scale", *(f"scale.{f}" for f in self.features), *(p.name for p in self.own_parameters[1:]))

    def own(self, u: Tensor) -> Tensor:
        """Own parameters (M, R, K), in natural units, at coordinates u (M, F)."""
        k = len(self.features)
        scale = (u[:, :1] + u[:, 1 : 1 + k]).exp()
        return torch.cat([scale[:, None], u[:, 1 + k :, None].expand(-1, -1, k)], dim=1)

    def base_rule_coefficients(self, x: Tensor, choice: Tensor, reward: Tensor, own: Tensor | None = None) -> Tensor | None:
        """The base rule on recorded trials as `agents.neural.base_rule` writes it, (M, T, 4, K); None if it is static."""
        if not self.base_rule.parameters:
            return None
        found = base_rule_coefficients(self.base_rule, self.base_parameters, x, choice, reward)
        return found if own is None else found * own[:, 0, None, None]

    @property
    def n_inputs(self) -> int:
        """Width of `inputs`."""
        return len(self.features) + len(self.settings.inputs)

    @property
    def memory_units(self) -> int:
        """Units of the memory over trials."""
        return 0

    @property
    def mirror(self) -> Mirror | None:
        """Signs under mirroring, or None without the symmetry."""
        if not self.settings.mirror:
            return None
        x = [float(FEATURES[name].mirrored) for name in self.features]
        weights = [-sign for sign in x]
        output = [-1.0] * len(x) if self.settings.gradient_form else weights
        return Mirror(weights, [*x, *(1.0 if name == "reward" else -1.0 for name in self.settings.inputs)], output)

    def inputs(self, x: Tensor, choice: Tensor, reward: Tensor) -> Tensor:
        """What the network sees beside the weights, (..., U): the features, then choice, reward and side as -1 or 1."""
        signs = {"choice": 2.0 * choice - 1.0, "reward": 2.0 * reward - 1.0}
        signs["side"] = signs["choice"] * signs["reward"]
        return torch.cat([x, *(signs[name] for name in self.settings.inputs)], dim=-1)

    def init(self, n_mice: int) -> NeuralState:
        """State of mice before the first trial, all weights zero."""
        views = 1 + self.settings.mirror
        weights = self.scale.new_zeros(n_mice, len(self.features))
        return NeuralState(weights, self.scale.new_zeros(views, n_mice, self.memory_units))

    def learn(self, state: NeuralState, x: Tensor, choice: Tensor, reward: Tensor, p_right: Tensor) -> NeuralState:
        """State after a trial: x (M, K), choice (-1: no choice, no learning), reward and p_right (M, 1), by `policy`."""
        learns = (choice >= 0).to(x.dtype)
        output, hidden = self._output(state, self.inputs(x, choice, reward), p_right)
        gate = x if self.settings.gradient_form else 1.0
        memory = torch.where(learns > 0, hidden, state.hidden)
        change = self.scale * output * gate
        if self.base_rule.parameters:
            base = base_rule_change(self.base_rule, self.base_parameters, state.weights, x, choice, reward, p_right)
            change = change + base
        if state.own is not None:
            change = state.own[:, 0] * change
        return NeuralState(state.weights + learns * change, memory, state.own)

    def _output(self, state: NeuralState, inputs: Tensor, p_right: Tensor) -> tuple[Tensor, Tensor]:
        """The network's output (M, K), the mean over its views, and the new memories (views, M, H)."""
        probability = [2.0 * p_right - 1.0] if self.settings.probability else []
        z = torch.cat([state.weights, inputs, *probability, *self._embedding(state)], dim=-1)
        mirror = self.mirror
        if mirror is None:
            outputs, hidden = self._views(z[None], state.hidden)
            return outputs[0], hidden
        signs = z.new_tensor([*mirror.weights, *mirror.inputs, *[-1.0] * len(probability), *[1.0] * self.settings.embedding])
        outputs, hidden = self._views(torch.stack([z, z * signs]), state.hidden)
        return 0.5 * (outputs[0] + z.new_tensor(mirror.output) * outputs[1]), hidden

    def _embedding(self, state: NeuralState) -> list[Tensor]:
        """What the network sees of the mice themselves, (M, D); nothing of a rule that sees none."""
        d = self.settings.embedding
        if not d:
            return []
        return [state.weights.new_zeros(len(state.weights), d) if state.own is None else state.own[:, -d:, 0]]

    def _views(self, z: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (views, M, K) and new memories (views, M, H) for the network's whole input z (views, M, Z)."""
        shape = z.shape[:2]
        activation = ACTIVATIONS[self.settings.activation]
        a, hidden = self._remember(z.flatten(0, 1), hidden.flatten(0, 1))
        for layer in self.hidden_layers:
            a = activation(layer(a))
        return self.readout(a).unflatten(0, shape), hidden.unflatten(0, shape)

    def _remember(self, z: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """What the perceptron is given (N, A), and the new memory (N, H), for inputs z (N, Z)."""
        return z, hidden

    def recorded(self, x: Tensor, choice: Tensor, reward: Tensor) -> tuple[Tensor, Mirror | None]:
        """Everything of recorded trials (M, T, ...) that the network sees, (M, T, U'), and its signs under mirroring."""
        return self.inputs(x, choice, reward), self.mirror

    def network(self, own: Tensor | None = None) -> Network:
        """Its network for the compiled kernels, of mice with parameters (M, R, K) of their own.

        A mouse's embedding, the same in all trials, is there part of the bias of the first layer.
        """
        layers, gru = [(layer.weight, layer.bias) for layer in (*self.hidden_layers, self.readout)], self._gru()
        scale = self.scale if own is None else self.scale * own[:, 0]
        d, own_bias = self.settings.embedding, None
        if d:
            first = layers[0][0] if gru is None else gru[0]
            own_bias = None if own is None else own[:, -d:, 0] @ first[:, -d:].T
            layers = layers if gru else [(first[:, :-d], layers[0][1]), *layers[1:]]
            gru = gru and (first[:, :-d], *gru[1:])
        return Network(gru, layers, scale, own_bias)

    def _gru(self) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
        """The GRU before the perceptron as `Network` has it; None without one."""
        return None

    def as_mice(self, initial_weights: np.ndarray, own: np.ndarray | None = None) -> NeuralMice:
        """This rule as an agent of the stepped driver, from initial weights (M, K), with own parameters (M, K, R) or none."""
        return NeuralMice(self, initial_weights, own)


class NeuralMice:
    """A fitted neural rule over M mice, numpy in and out, without gradients."""

    def __init__(self, rule: Any, initial_weights: np.ndarray, own: np.ndarray | None = None) -> None:
        self._rule = rule
        self._initial = torch.as_tensor(initial_weights).to(rule.scale.dtype)
        self._own = None if own is None else torch.as_tensor(own).to(rule.scale.dtype).mT

    def init(self, n_mice: int) -> NeuralState:
        """State before the first trial."""
        return self._rule.init(n_mice)._replace(weights=self._initial)

    def learn(
        self, state: NeuralState, x: np.ndarray, choice: np.ndarray, reward: np.ndarray, p_right: np.ndarray
    ) -> NeuralState:
        """State after a trial; x (M, K), the others (M, 1).

        The rule is given the probability as it was in training, in the precision of its weights, not `p_right` itself.
        """
        kind = self._rule.scale.dtype
        with torch.no_grad():
            weights = torch.as_tensor(state.weights).to(kind)
            trial = [torch.as_tensor(a).to(kind) for a in (x, choice, reward)]
            after = self._rule.learn(state._replace(weights=weights, own=self._own), *trial, policy(weights, trial[0]))
            return NeuralState(after.weights, after.hidden)  # what is a mouse's own stays here

    def remembered(self, state: NeuralState) -> dict[str, np.ndarray]:
        """What the rule carries beside the weights: its memory with the mice first, (M, views, H)."""
        return {"hidden": np.array(state.hidden.detach().numpy().swapaxes(0, 1), order="C")}

    def resume(self, weights: np.ndarray, memory: Mapping[str, np.ndarray]) -> NeuralState:
        """The state of mice that have these weights (M, K) and what `remembered` gave."""
        hidden = np.array(memory["hidden"].swapaxes(0, 1), order="C")
        return NeuralState(torch.tensor(weights), torch.as_tensor(hidden))


def policy(weights: Tensor, x: Tensor) -> Tensor:
    """Probability of a right choice before lapses, (..., 1); weights and features (..., K)."""
    return torch.sigmoid((weights * x).sum(-1, keepdim=True))


def read_out(network: Network, mirror: Mirror | None, hidden: Tensor) -> Tensor:
    """A memory (views, M, H) linearly read out as weights (M, K), by the last layer of a network; its bias is left out."""
    views = network.scale * (hidden @ network.layers[-1][0].T)
    return views[0] if mirror is None else 0.5 * (views[0] + views.new_tensor(mirror.output) * views[1])
