"""RNNGLM of Liu, Geadah & Pillow 2025, arXiv 2509.04661: a GRU remembers all past trials."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from agents.neural.rule import NeuralRule


class RNNRule(NeuralRule):
    """A GRU over trials, then the perceptron."""

    name: ClassVar[str] = "rnnglm"

    def _build_memory(self, width: int) -> int:
        self.gru = nn.GRUCell(width, self.settings.hidden)
        return self.settings.hidden

    @property
    def memory_units(self) -> int:
        """Units of the memory over trials."""
        return self.settings.hidden

    def _gru(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.gru.weight_ih, self.gru.weight_hh, self.gru.bias_ih, self.gru.bias_hh

    def _remember(self, z: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.gru(z, hidden)
        return hidden, hidden
