"""What is asked of the kernels: the record of some trials, and the form of a rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from agents.neural.rule import Output
from agents.neural.settings import Mirror


class Correction(NamedTuple):
    """What a filter does to noisy weights at each choice; its gains are taken as known."""

    moderated_x: Tensor  # (M, T, K) features, scaled by how far the uncertainty of the weights flattens the choice
    gain: Tensor  # (M, T, K)
    choice: Tensor  # (M, T) 0 or 1


@dataclass(frozen=True)
class Recorded:
    """Trials of M mice as a rule sees them."""

    inputs: Tensor  # (M, T, U) of the network, beside weights and probability
    mask: Tensor  # (M, T) zero where there is no trial
    gate: Tensor | None = None  # (M, T, K)
    features: Tensor | None = None  # (M, T, K) of the policy; needed by a network or base rule that sees the probability
    base_rule: Tensor | None = None  # (M, T, 4, K) coefficients of `agents.neural.base_rule`
    correction: Correction | None = None

    def base_rule_or_none(self, like: Tensor) -> Tensor:
        """The base rule, or a tensor without trials, of the type of `like` (K,), that stands for none."""
        return like.new_zeros(len(self.mask), 0, 4, len(like)) if self.base_rule is None else self.base_rule


@dataclass(frozen=True)
class Options:
    """The form of a rule, and how it is differentiated."""

    activation: str = "relu"
    mirror: Mirror | None = None
    sees_weights: bool = True
    sees_probability: bool = False
    output: Output = "change"
    segment: int | None = None  # detaches the state before trials that are a multiple of it

    @property
    def views(self) -> int:
        """How often each mouse is run: as it is, and mirrored."""
        return 2 if self.mirror else 1

    def signs(self) -> tuple[list[float], list[float]]:
        """Of all that the network sees (Z,), and of its output (K,), under mirroring; empty without the symmetry."""
        if self.mirror is None:
            return [], []
        weights = [*self.mirror.weights] if self.sees_weights else []
        probability = [-1.0] if self.sees_probability else []
        return [*weights, *self.mirror.inputs, *probability], [*self.mirror.output]
