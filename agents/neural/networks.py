"""Neural learning rules: a network maps each trial to a change of the weights of the policy.

DNNGLM, w' = w + f(w, x, choice, reward), and RNNGLM, whose f also sees a GRU's memory of all past trials: Liu, Geadah &
Pillow 2025, arXiv 2509.04661. Both have the `init` and `learn` of every agent; how to differentiate through many trials is
decided elsewhere (`twin.inference.neural.unroll`).

In the gradient form the network's output multiplies the features, as the log-likelihood gradient of a GLM does. With mirror
symmetry the output is 1/2 (net(z) - net(mirrored z)) in the gradient form (likewise in the plain one), so that mirroring
stimulus, choice and bias mirrors the update exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from agents.features import OF_ONE_SIDE, feature_codes
from agents.neural.base_rule import CORES, core_change, core_coefficients, natural, unconstrained
from agents.neural.settings import Mirror, NetworkSettings
from agents.rules import RULES, Rule
from envs.names import suggest

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "silu": nn.functional.silu}
UNCHANGED_BY_MIRRORING = ("bias",)  # every other feature changes its sign when left and right are swapped


class NeuralState(NamedTuple):
    """State of M mice under a neural rule."""

    weights: Tensor  # (M, K)
    hidden: Tensor  # (views, M, H) the GRU's memory, of the trials as they are and of their mirror image; H = 0 without a GRU


class Parts(NamedTuple):
    """The network of a rule as the compiled kernels take it."""

    gru: Any  # weight_ih, weight_hh, bias_ih, bias_hh of a torch.nn.GRUCell; or None
    layers: list[tuple[Tensor, Tensor]]  # weight and bias of each, the readout last
    scale: Tensor  # (K,)


class DNNRule(nn.Module):
    """DNNGLM: a multilayer perceptron of the weights, the features, the choice and the reward."""

    name: ClassVar[str] = "dnnglm"
    settings_type: ClassVar[type[Any]] = NetworkSettings
    fused: ClassVar[str | None] = "change"  # what the compiled kernels compute: the weights' change or reading; None: nothing

    def __init__(self, features: Sequence[str], settings: NetworkSettings | None = None, seed: int = 0) -> None:
        super().__init__()
        feature_codes(features)
        self.features = tuple(features)
        self.settings: NetworkSettings = settings or self.settings_type()
        if self.settings.core not in CORES:
            raise ValueError(suggest("core", self.settings.core, CORES))
        if self.settings.mirror and set(self.features) & set(OF_ONE_SIDE):
            raise ValueError(
                f"features {list(features)}: mirror symmetry changes signs alone; set mirror = false or use 'stimulus'"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._build(len(features))

    def _build(self, k: int) -> None:
        s = self.settings
        widths = [self._build_memory(k + self.n_inputs + s.probability), *[s.hidden] * s.layers]
        self.hidden_layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.readout = nn.Linear(s.hidden, k)
        self.scale = nn.Parameter(torch.full((k,), s.initial_scale))
        defaults = np.array([[p.default] * k for p in self.core.parameters]).reshape(-1, k)
        self.core_free = nn.Parameter(torch.as_tensor(unconstrained(self.core, defaults), dtype=torch.float32))
        if len(defaults):  # begin as the core
            nn.init.zeros_(self.readout.weight)
            nn.init.zeros_(self.readout.bias)

    def _build_memory(self, width: int) -> int:
        """Build what comes before the perceptron, given its input's width; returns the width of what it passes on."""
        return width

    @property
    def core(self) -> Rule:
        """The closed-form rule to which the network adds; `static` adds nothing."""
        return RULES[self.settings.core]

    @property
    def core_theta(self) -> Tensor:
        """Parameters of the core, (R, K) in natural units."""
        return natural(self.core, self.core_free)

    def core_coefficients(self, x: Tensor, choice: Tensor, reward: Tensor) -> Tensor | None:
        """The core on recorded trials as `agents.neural.base_rule` writes it, (M, T, 4, K); None without one."""
        return core_coefficients(self.core, self.core_theta, x, choice, reward) if self.core.parameters else None

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
        x = [1.0 if f in UNCHANGED_BY_MIRRORING else -1.0 for f in self.features]
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
        scale, views = self.scale, 1 + self.settings.mirror
        return NeuralState(scale.new_zeros(n_mice, len(self.features)), scale.new_zeros(views, n_mice, self.memory_units))

    def learn(self, state: NeuralState, x: Tensor, choice: Tensor, reward: Tensor, p_right: Tensor) -> NeuralState:
        """State after a trial: x (M, K), choice (-1: no choice, no learning) and reward (M, 1); p_right is the policy's own."""
        learns, p = (choice >= 0).to(x.dtype), torch.sigmoid((state.weights * x).sum(-1, keepdim=True))
        seen = [2.0 * p - 1.0] if self.settings.probability else []
        z = torch.cat([state.weights, self.inputs(x, choice, reward), *seen], dim=-1)
        mirror, views = self.mirror, z[None]
        if mirror is not None:
            views = torch.stack([z, z * z.new_tensor([*mirror.weights, *mirror.inputs, *[-1.0] * len(seen)])])
        outputs, hidden = self._views(views, state.hidden)
        output = outputs[0] if mirror is None else 0.5 * (outputs[0] + z.new_tensor(mirror.output) * outputs[1])
        gate = x if self.settings.gradient_form else 1.0
        memory = torch.where(learns > 0, hidden, state.hidden)
        change = self.scale * output * gate
        if self.core.parameters:
            change = change + core_change(self.core, self.core_theta, state.weights, x, choice, reward, p)
        return NeuralState(state.weights + learns * change, memory)

    def _views(self, z: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (views, M, K) and new memories (views, M, H) for the network's whole input z (views, M, Z)."""
        shape, activation = z.shape[:2], ACTIVATIONS[self.settings.activation]
        a, hidden = self._remember(z.flatten(0, 1), hidden.flatten(0, 1))
        for layer in self.hidden_layers:
            a = activation(layer(a))
        return self.readout(a).unflatten(0, shape), hidden.unflatten(0, shape)

    def _remember(self, z: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        return z, hidden

    def recorded(self, x: Tensor, choice: Tensor, reward: Tensor) -> tuple[Tensor, Mirror | None]:
        """Everything of recorded trials (M, T, ...) that the network sees, (M, T, U'), and its signs under mirroring."""
        return self.inputs(x, choice, reward), self.mirror

    def parts(self) -> Parts:
        """Its network for the compiled kernels."""
        return Parts(None, [(layer.weight, layer.bias) for layer in (*self.hidden_layers, self.readout)], self.scale)

    def as_mice(self, initial_weights: np.ndarray) -> NeuralMice:
        """This rule as an agent of the stepped driver, from initial weights (M, K)."""
        return NeuralMice(self, initial_weights)


class DNNHistoryRule(DNNRule):
    """DNNGLM-history: the perceptron also sees the features, choice and reward of the trial before."""

    name: ClassVar[str] = "dnnglm-history"

    def _build_memory(self, width: int) -> int:
        return width + self.n_inputs

    @property
    def memory_units(self) -> int:
        """What is remembered are the inputs of the last trial with a choice."""
        return self.n_inputs

    def _remember(self, z: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        k, end = len(self.features), len(self.features) + self.n_inputs
        return torch.cat([z[:, :end], hidden, z[:, end:]], dim=-1), z[:, k:end]

    def recorded(self, x: Tensor, choice: Tensor, reward: Tensor) -> tuple[Tensor, Mirror | None]:
        """As `DNNRule.recorded`: the inputs of each trial and of the last one before it that had a choice."""
        own, mirror = self.inputs(x, choice, reward), self.mirror
        trial = torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]
        last = torch.cummax(torch.where(choice >= 0, trial, 0), dim=1).values.roll(1, dims=1)
        last[:, 0] = 0
        padded = torch.cat([torch.zeros_like(own[:, :1]), own], dim=1)
        before = padded.gather(1, last.expand_as(own))
        return torch.cat([own, before], dim=-1), mirror and mirror._replace(inputs=[*mirror.inputs] * 2)


class RNNRule(DNNRule):
    """RNNGLM: a GRU over trials, then the perceptron."""

    name: ClassVar[str] = "rnnglm"

    def _build_memory(self, width: int) -> int:
        self.gru = nn.GRUCell(width, self.settings.hidden)
        return self.settings.hidden

    @property
    def memory_units(self) -> int:
        """Units of the memory over trials."""
        return self.settings.hidden

    def parts(self) -> Parts:
        """Its network for the compiled kernels."""
        return super().parts()._replace(gru=(self.gru.weight_ih, self.gru.weight_hh, self.gru.bias_ih, self.gru.bias_hh))

    def _remember(self, z: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.gru(z, hidden)
        return hidden, hidden


class NeuralMice:
    """A fitted neural rule over M mice, numpy in and out, without gradients."""

    def __init__(self, rule: Any, initial_weights: np.ndarray) -> None:
        self._rule = rule
        self._initial = torch.as_tensor(initial_weights).to(rule.scale.dtype)

    def init(self, n_mice: int) -> NeuralState:
        """State before the first trial."""
        return self._rule.init(n_mice)._replace(weights=self._initial)

    def learn(self, state: NeuralState, *trial: np.ndarray) -> NeuralState:
        """State after a trial; x, choice, reward, p_right as numpy arrays (M, ...)."""
        kind = self._rule.scale.dtype
        with torch.no_grad():
            state = state._replace(weights=torch.as_tensor(state.weights).to(kind))
            return self._rule.learn(state, *(torch.as_tensor(a).to(kind) for a in trial))

    def remembered(self, state: NeuralState) -> dict[str, np.ndarray]:
        """What the rule carries beside the weights: its memory with the mice first, (M, views, H)."""
        return {"hidden": np.array(state.hidden.detach().numpy().swapaxes(0, 1), order="C")}

    def resume(self, weights: np.ndarray, memory: Mapping[str, np.ndarray]) -> NeuralState:
        """The state of mice that have these weights (M, K) and what `remembered` gave."""
        hidden = np.array(memory["hidden"].swapaxes(0, 1), order="C")
        return NeuralState(torch.tensor(weights), torch.as_tensor(hidden))
