"""Size and form of a neural rule; apart from `agents.neural.networks` so that a scenario is checked without loading torch.

What each structure is worth, by `python -m scenarios.network_structure`: error of the update of the stimulus weight on the grid
of Liu, Geadah & Pillow 2025 (arXiv 2509.04661), relative to the rms of the true one. 500 trials a mouse, a = 2^-4, initial
weights known; dnnglm, one change of the default in each row. REINFORCE is a truth within the default core, reward-max one
outside it. 100 mice: mean over two seeds; 1,000 mice: one seed, and 13 epochs, which is short for what a core does not tell
(30 epochs without one: .11 and, at 40 with one, reward-max .23).

                           100 mice              1,000 mice
                       REINFORCE  reward-max  REINFORCE  reward-max
    default                 .040        .513       .029        .315
    no core                 .324        .796       .210        .811
    core full-mouse         .067        .639
    no mirror symmetry      .064        .964       .040        .925
    no gradient form        .042       1.214       .027       1.181
    p not seen              .052        .551       .029        .414
    silu                    .037        .507       .014        .317
    relu                    .058        .535       .020        .215
    initial scale .5        .064        .536       .042        .315
    ensemble of 4           .035        .516       .029        .330
    best of 4 restarts      .038        .649
    mice held out           .032        .525
    weight decay .1         .100        .614
    none of it, relu        .484        .600       .309        .639

So core, symmetry, gradient form and p are the default. Activations do not differ beyond the spread over seeds (.03 for
REINFORCE, .1 for reward-max), nor do restarts; an ensemble does not help, since its members err alike: the data mislead them.
A memory is found more easily without a core (`scenarios/paper/fig3.toml`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from agents.rules import RULES
from envs.names import suggest
from envs.table import Table


class NetworkForm(Table):
    """Size and form of a network, fitted or not."""

    hidden: int = Field(32, ge=1, description="units of each hidden layer, and of the GRU")
    layers: int = Field(2, ge=1, le=3, description="hidden layers")
    activation: Literal["relu", "tanh", "silu"] = "tanh"
    inputs: tuple[Literal["choice", "reward", "side"], ...] = Field(
        ("choice", "reward"), description="what the network sees beside weights and features; side: the correct one"
    )
    gradient_form: bool = Field(True, description="multiply the output by the features")
    mirror: bool = Field(True, description="build in left/right symmetry")
    probability: bool = Field(True, description="let the network see the probability of the right choice")
    core: str = Field("reinforce-baseline", description="closed-form rule to whose change of the weights the network adds")

    @field_validator("core")
    @classmethod
    def _known(cls, core: str) -> str:
        if core not in RULES:
            raise ValueError(suggest("core", core, RULES))
        return core


class NetworkSettings(NetworkForm):
    """Size and form of a neural rule."""

    initial_scale: float = Field(0.05, gt=0, description="initial scale of the output, one per weight, then learned")


class TransformerSettings(NetworkSettings):
    """Size and form of a rule that attends to past trials."""

    context: int = Field(32, ge=1, description="trials that are remembered, the present one among them")
    heads: int = Field(2, ge=1, description="parts of the hidden units that attend each by itself")

    @model_validator(mode="after")
    def _shared(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"hidden = {self.hidden} units cannot be shared among heads = {self.heads}; choose a multiple")
        return self


class TinyRNNSettings(Table):
    """Size of a memory of past trials whose reading is the weights: no perceptron, no rule."""

    gradient_form: ClassVar[bool] = False
    probability: ClassVar[bool] = False
    core: ClassVar[str] = "static"
    inputs: ClassVar[tuple[str, ...]] = ("choice", "reward")

    hidden: int = Field(32, ge=1, description="units of the GRU")
    mirror: bool = Field(True, description="build in left/right symmetry")
    initial_scale: float = Field(0.5, gt=0, description="initial scale of the reading, one per weight, then learned")


class RandomNetwork(NetworkForm):
    """A GRU with random weights that stay as they are, added to a closed-form core by which the mice learn the task."""

    seed: int = Field(0, ge=0, description="another seed is another rule")
    layers: int = Field(1, ge=1, le=3, description="hidden layers after the GRU")
    probability: bool = Field(False, description="let the network see the probability of the right choice")
    core: str = Field("full-mouse", description="closed-form rule that teaches the task; one that forgets bounds the weights")
    parameters: dict[str, float] = Field({}, description="parameters of the core, by name; the rest keep their defaults")
    strength: float = Field(0.5, gt=0, le=10, description="rms of the network's part of a change, relative to the core's")
    memory: float = Field(20.0, gt=1, description="trials: the longest time constant of the GRU's units; the shortest is 1")

    @model_validator(mode="after")
    def _core_that_learns(self) -> Self:
        if self.core == "static":
            raise ValueError("core = 'static' does not learn, and a network at random teaches no task; expected one that does")
        return self


class Mirror(NamedTuple):
    """Signs, +1 or -1, that a swap of left and right gives to the weights, the inputs and the output of the network."""

    weights: Sequence[float]  # (K,)
    inputs: Sequence[float]  # (U,)
    output: Sequence[float]  # (K,) as `weights` without a gate; with one, those of the weights times those of the gate
