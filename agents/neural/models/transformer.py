"""Attention over past trials in the place of RNNGLM's GRU.

Liu, Geadah & Pillow 2025, arXiv 2509.04661, tried a Transformer there and found no significant difference.

Limits. The weights feed back into what is attended to, so the trials cannot be run in parallel: only the reference loop
trains it.
"""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from agents.neural.rule import NeuralRule
from agents.neural.settings import NetworkSettings


class TransformerSettings(NetworkSettings):
    """Size and form of a rule that attends to past trials."""

    context: int = Field(32, ge=1, description="trials that are remembered, the present one among them")
    heads: int = Field(2, ge=1, description="parts of the hidden units that attend each by itself")

    @model_validator(mode="after")
    def _shared(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"hidden = {self.hidden} units cannot be shared among heads = {self.heads}; choose a multiple")
        return self


class TransformerRule(NeuralRule):
    """A block of attention over the last `context` trials, this one among them, then the perceptron.

    e_t = embed(z_t);  q, k, v = linear(norm(e_t));  what is passed on is e_t + mix(attention of q_t to the k, v remembered).
    How much a trial is attended to also depends on its age, by a learned bias. The memory is the keys and the values, the
    oldest trial first, and a 1 for each trial that there was.
    """

    name: ClassVar[str] = "transformer"
    settings_type = TransformerSettings
    fused = None
    settings: TransformerSettings

    def _build_memory(self, width: int) -> int:
        s = self.settings
        self.embed = nn.Linear(width, s.hidden)
        self.norm = nn.LayerNorm(s.hidden)
        self.query_key_value = nn.Linear(s.hidden, 3 * s.hidden)
        self.mix = nn.Linear(s.hidden, s.hidden)
        self.by_age = nn.Parameter(torch.zeros(s.context, s.heads))
        return s.hidden

    @property
    def trial_units(self) -> int:
        """Units that remember one trial: key, value, and whether there was one."""
        return 2 * self.settings.hidden + 1

    @property
    def memory_units(self) -> int:
        """Units of the memory over trials."""
        return self.settings.context * self.trial_units

    def _remember(self, z: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        e = self.embed(z)
        units = self.settings.hidden
        query, key_value = self.query_key_value(self.norm(e)).split([units, 2 * units], dim=-1)
        hidden = torch.cat([hidden[:, self.trial_units :], key_value, torch.ones_like(z[:, :1])], dim=-1)
        return e + self.mix(self._attend(query, hidden)), hidden

    def _attend(self, query: Tensor, memory: Tensor) -> Tensor:
        """Mean of the values remembered (M, H), weighted by how well their keys match the query."""
        heads = self.settings.heads
        trials = memory.unflatten(-1, (self.settings.context, self.trial_units))
        key, value = trials[..., :-1].unflatten(-1, (2, heads, -1)).unbind(-3)  # (M, context, heads, H / heads)
        match = (key * query.unflatten(-1, (heads, -1))[:, None]).sum(-1) * key.shape[-1] ** -0.5 + self.by_age
        attention = torch.softmax(match.masked_fill(trials[..., -1:] == 0, -torch.inf), dim=1)
        return (attention[..., None] * value).sum(1).flatten(1)
