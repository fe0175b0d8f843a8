"""Size and form of a neural rule. Torch is not needed for these, so that a scenario is checked without loading it.

The defaults are what was best where the true rule is known: base rule, mirror symmetry, gradient form and the probability of
a choice all help (`scenarios.network_structure` measures what each is worth).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from agents.rules import RULES
from envs.names import suggest
from envs.table import Table


def base_rules() -> tuple[str, ...]:
    """The rules that a network can be fitted on top of."""
    return tuple(name for name, rule in RULES.items() if rule.base_rule_form)


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
    base_rule: str = Field("reinforce-baseline", description="closed-form rule to whose change of the weights the network adds")

    @field_validator("base_rule")
    @classmethod
    def _known(cls, base_rule: str) -> str:
        if base_rule not in base_rules():
            raise ValueError(suggest("base rule", base_rule, base_rules()))
        return base_rule


class NetworkSettings(NetworkForm):
    """Size and form of a neural rule that is fitted."""

    initial_scale: float = Field(0.05, gt=0, description="initial scale of the output, one per weight, then learned")
    embedding: int = Field(0, ge=0, le=8, description="numbers that the network sees of each mouse, which are fitted too")


class RandomNetwork(NetworkForm):
    """A GRU with random weights that are never trained, added to a closed-form base rule by which the mice learn the task."""

    seed: int = Field(0, ge=0, description="another seed is another rule")
    layers: int = Field(1, ge=1, le=3, description="hidden layers after the GRU")
    probability: bool = Field(False, description="let the network see the probability of the right choice")
    base_rule: str = Field(
        "full-mouse", description="closed-form rule that teaches the task; if it forgets, weights stay bounded"
    )
    parameters: dict[str, float] = Field({}, description="parameters of the base rule, by name; the rest keep their defaults")
    strength: float = Field(0.5, gt=0, le=10, description="rms of the network's part of a change, relative to the base rule's")
    memory: float = Field(20.0, gt=1, description="trials: the longest time constant of the GRU's units; the shortest is 1")

    @model_validator(mode="after")
    def _base_rule_learns(self) -> Self:
        if self.base_rule == "static":
            raise ValueError(
                "base_rule = 'static' does not learn, and a network at random teaches no task; expected one that does"
            )
        return self


class Mirror(NamedTuple):
    """Signs, +1 or -1, that a swap of left and right gives to the weights, the inputs and the output of the network."""

    weights: Sequence[float]  # (K,)
    inputs: Sequence[float]  # (U,)
    output: Sequence[float]  # (K,) those of the weights; in the gradient form times those of the features
