"""Choices predicted by a small GRU over past trials, as in Ji-An, Benna & Mattar 2025, Nature; no rule changes the weights."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from agents.neural.rule import Network, NeuralRule, NeuralState, read_out
from envs.table import Table


class TinyRNNSettings(Table):
    """Size of a GRU that is read out as the weights: no perceptron, no rule."""

    gradient_form: ClassVar[bool] = False
    probability: ClassVar[bool] = False
    base_rule: ClassVar[str] = "static"
    embedding: ClassVar[int] = 0
    inputs: ClassVar[tuple[str, ...]] = ("choice", "reward")

    hidden: int = Field(32, ge=1, description="units of the GRU")
    mirror: bool = Field(True, description="build in left/right symmetry")
    initial_scale: float = Field(0.5, gt=0, description="initial scale of the readout, one per weight, then learned")


class TinyRNNRule(NeuralRule):
    """GRU state linearly read out as policy weights.

    h_t = GRU(h_{t-1}, [x_t, choice_t, reward_t]);  w_{t+1} = w_0 + R h_t. In Ji-An et al. the readout are the logits of the
    choices; here it is the weights of the features, so that this is an agent like the others: the stimulus acts through the
    weights, and they can be looked at. They do not feed back into the memory, which follows from the record alone. `learn`
    adds R (h_t - h_{t-1}), the same sum, so that noise of the weights, where a mouse has it, stays in them.
    """

    name: ClassVar[str] = "tinyrnn"
    settings_type = TinyRNNSettings
    fused = "readout"
    individual = False

    def _build(self, k: int) -> None:
        s = self.settings
        self.gru = nn.GRUCell(self.n_inputs, s.hidden)
        self.readout = nn.Linear(s.hidden, k, bias=False)
        self.scale = nn.Parameter(torch.full((k,), s.initial_scale))

    @property
    def memory_units(self) -> int:
        """Units of the memory over trials."""
        return self.settings.hidden

    def learn(self, state: NeuralState, x: Tensor, choice: Tensor, reward: Tensor, p_right: Tensor) -> NeuralState:
        """State after a trial: x (M, K), choice (-1: no choice, nothing remembered) and reward (M, 1)."""
        u = self.inputs(x, choice, reward)
        mirror = self.mirror
        views = u[None] if mirror is None else torch.stack([u, u * u.new_tensor(mirror.inputs)])
        after = self.gru(views.flatten(0, 1), state.hidden.flatten(0, 1)).unflatten(0, state.hidden.shape[:2])
        hidden = torch.where(choice >= 0, after, state.hidden)
        before, after = (read_out(self.network(), mirror, memory) for memory in (state.hidden, hidden))
        return NeuralState(state.weights + after - before, hidden)

    def network(self, own: Tensor | None = None) -> Network:
        """Its network for the compiled kernels; an empty memory is read out as zero."""
        gru = self.gru.weight_ih, self.gru.weight_hh, self.gru.bias_ih, self.gru.bias_hh
        return Network(gru, [(self.readout.weight, torch.zeros_like(self.scale))], self.scale)
