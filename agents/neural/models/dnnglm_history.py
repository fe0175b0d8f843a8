"""DNNGLM-history of Liu, Geadah & Pillow 2025, arXiv 2509.04661: the perceptron also sees the trial before."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from agents.neural.rule import NeuralRule
from agents.neural.settings import Mirror


class DNNHistoryRule(NeuralRule):
    """A multilayer perceptron that also sees the features, choice and reward of the last trial before that had a choice."""

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
        """As `NeuralRule.recorded`: the inputs of each trial and of the last one before it that had a choice."""
        own = self.inputs(x, choice, reward)
        mirror = self.mirror
        trial = torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]
        last = torch.cummax(torch.where(choice >= 0, trial, 0), dim=1).values.roll(1, dims=1)
        last[:, 0] = 0
        padded = torch.cat([torch.zeros_like(own[:, :1]), own], dim=1)
        before = padded.gather(1, last.expand_as(own))
        return torch.cat([own, before], dim=-1), mirror and mirror._replace(inputs=[*mirror.inputs] * 2)
