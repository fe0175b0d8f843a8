"""Size and form of a neural rule; apart from `agents.neural` so that a scenario is checked without loading torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class NetworkForm(BaseModel):
    """Size and form of a network, fitted or not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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


class TinyRNNSettings(BaseModel):
    """Size of a memory of past trials whose reading is the weights: no perceptron, no rule."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
