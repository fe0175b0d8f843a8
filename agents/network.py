"""Size and form of a neural rule; apart from `agents.neural` so that a scenario is checked without loading torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class NetworkSettings(BaseModel):
    """Size and form of a neural rule."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden: int = Field(32, ge=1, description="units of each hidden layer, and of the GRU")
    layers: int = Field(2, ge=1, le=3, description="hidden layers")
    activation: Literal["relu", "tanh", "silu"] = "tanh"
    gradient_form: bool = Field(True, description="multiply the output by the features")
    mirror: bool = Field(False, description="build in left/right symmetry")
    initial_scale: float = Field(0.05, gt=0, description="initial scale of the output, one per weight, then learned")
