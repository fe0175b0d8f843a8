"""The vocabulary of a training protocol: a Protocol is a table of Stages, each with the Transition that ends it.

Vocabulary as in aind-behavior-curriculum. A protocol holds everything the rig decides; it is frozen, validated, and
turns into TOML and back. Compiled code reads it as one record (`Protocol.record`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from envs.records import record_dtype

MAX_STAGES, MAX_CONTRASTS = 12, 12
WINDOW = 50  # trials of one signed contrast over which the rig judges performance (iblrig 8.24.7, choiceworld.py)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Transition(_Table):
    """When a stage ends: enough correct trials at some contrasts on both sides, or a number of trials in the stage."""

    contrasts: tuple[float, ...] = Field((), description="contrasts that must each be mastered, on both sides")
    correct: int = Field(41, ge=1, le=WINDOW, description="correct trials needed among the last 50 of each of them")
    trials: int = Field(0, ge=0, description="or: trials of one session spent in the stage")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.contrasts) == bool(self.trials):
            raise ValueError("a transition needs either `contrasts` to be mastered or a number of `trials`, not both")
        return self


class Stage(_Table):
    """One stage of training: what is shown, and when the next stage begins."""

    contrasts: tuple[float, ...] = Field(min_length=1, description="contrasts, 0 to 1")
    weights: tuple[float, ...] | None = Field(None, description="relative frequency of each contrast; default: equal, 0 half")
    probability_left: float = Field(0.5, ge=0, le=1)
    debias: bool = Field(True, description="repeat an easy stimulus after an error, on the neglected side")
    advance: Transition | None = Field(None, description="None: the last stage")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(not 0 <= c <= 1 for c in self.contrasts):
            raise ValueError(f"contrasts {self.contrasts} must lie between 0 and 1 (1 is full contrast)")
        if len(set(self.contrasts)) < len(self.contrasts):
            raise ValueError(f"contrasts {self.contrasts} name the same contrast twice")
        if self.weights is not None and len(self.weights) != len(self.contrasts):
            raise ValueError(f"{len(self.weights)} weights for {len(self.contrasts)} contrasts; give one for each")
        if self.weights is not None and (min(self.weights) < 0 or sum(self.weights) <= 0):
            raise ValueError(f"weights {self.weights} must not be negative nor all zero")
        if self.advance and not set(self.advance.contrasts) <= set(self.contrasts):
            raise ValueError(f"advance.contrasts {self.advance.contrasts} are never shown; the stage shows {self.contrasts}")
        return self

    @property
    def probabilities(self) -> np.ndarray:
        """Probability of each contrast, (contrasts,)."""
        weights = self.weights or [0.5 if c == 0 else 1.0 for c in self.contrasts]
        return np.array(weights) / np.sum(weights)


@dataclass(frozen=True)
class ProtocolRecord:
    """What compiled code reads of a Protocol (one numpy record)."""

    n_stages: np.int64
    n_contrasts: np.int64
    contrasts: Annotated[np.float32, (MAX_CONTRASTS,)]
    cumulative: Annotated[np.float64, (MAX_STAGES, MAX_CONTRASTS)]  # cumulative probability of each contrast
    left: Annotated[np.float32, (MAX_STAGES,)]
    debias: Annotated[np.uint8, (MAX_STAGES,)]  # numba has no arrays of truth values inside a record
    advance_contrast: Annotated[np.uint8, (MAX_STAGES, MAX_CONTRASTS)]
    advance_correct: Annotated[np.int64, (MAX_STAGES,)]
    advance_trials: Annotated[np.int64, (MAX_STAGES,)]
    debias_contrast: np.float64
    debias_responses: np.int64
    debias_after_no_go: np.bool_
    session_trials: np.int64
    history_trials: np.int64
    reward_ul: np.float64


PROTOCOL_DTYPE = record_dtype(ProtocolRecord)


class Protocol(_Table):
    """Everything the rig decides."""

    name: str
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=MAX_STAGES)
    debias_contrast: float = Field(0.5, ge=0, le=1, description="contrast from which an error is followed by a repeat")
    debias_responses: int = Field(10, ge=1, le=64, description="responses whose right fraction sets the side of a repeat")
    debias_after_no_go: bool = Field(False, description="does a no-go count as an error that is repeated?")
    session_trials: int = Field(571, ge=1, description="trials of a session")
    history_trials: int = Field(43, ge=1, description="trials a session needs for its stage to carry over to the next")
    reward_ul: float = Field(3.0, gt=0, description="water of one reward, microlitres")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for number, stage in enumerate(self.stages):
            if (stage.advance is None) != (number == len(self.stages) - 1):
                raise ValueError(
                    f"stage {number} of {len(self.stages)}: every stage but the last needs an `advance` rule, and the last none"
                )
            if stage.advance and stage.advance.trials > self.session_trials:
                raise ValueError(
                    f"stage {number}: advance.trials = {stage.advance.trials} can never be reached, since its counter starts "
                    f"afresh in every session and session_trials = {self.session_trials}"
                )
        if len(self.contrasts) > MAX_CONTRASTS:
            raise ValueError(f"{len(self.contrasts)} different contrasts; at most {MAX_CONTRASTS} are possible")
        return self

    @property
    def contrasts(self) -> tuple[float, ...]:
        """Every contrast of any stage, highest first."""
        return tuple(sorted({c for stage in self.stages for c in stage.contrasts}, reverse=True))

    @cached_property
    def record(self) -> np.ndarray:
        """The protocol as an array of one record of `PROTOCOL_DTYPE`."""
        array = np.zeros(1, PROTOCOL_DTYPE)
        record: Any = array[0]
        contrasts = self.contrasts
        record.n_stages, record.n_contrasts = len(self.stages), len(contrasts)
        record.contrasts[: len(contrasts)] = contrasts
        for s, stage in enumerate(self.stages):
            at = [contrasts.index(c) for c in stage.contrasts]
            probability = np.zeros(MAX_CONTRASTS)
            probability[at] = stage.probabilities
            record.cumulative[s] = np.cumsum(probability)
            record.cumulative[s, np.flatnonzero(probability)[-1] :] = 1.0  # exact, so that no rounding shows the unshown
            record.left[s], record.debias[s] = stage.probability_left, stage.debias
            if stage.advance:
                record.advance_contrast[s, [contrasts.index(c) for c in stage.advance.contrasts]] = True
                record.advance_correct[s], record.advance_trials[s] = stage.advance.correct, stage.advance.trials
        for name in set(PROTOCOL_DTYPE.names or ()) & set(type(self).model_fields):
            array[name] = getattr(self, name)
        return array
