"""The vocabulary of a training protocol: a Protocol is a table of Stages, each with the Transition that ends it.

The words are those of aind-behavior-curriculum. A protocol holds everything the rig decides; it is checked when it is made,
never changed, and turns into TOML and back (`envs.protocols`). Compiled code reads it as one record (`Protocol.record`).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from envs.protocol_record import MAX_CONTRASTS, MAX_STAGES, WINDOW, protocol_record
from envs.table import Table


class Transition(Table):
    """When a stage ends: enough correct trials at some contrasts on both sides, or a number of trials in the stage."""

    contrasts: tuple[float, ...] = Field((), description="contrasts that must each be mastered, on both sides")
    correct: int = Field(41, ge=1, le=WINDOW, description="correct trials needed among the last 50 of each of them")
    trials: int = Field(0, ge=0, description="or: trials spent in the stage (see Protocol.keeps_performance, adaptive_only)")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.contrasts) == bool(self.trials):
            raise ValueError("a transition needs either `contrasts` to be mastered or a number of `trials`, not both")
        return self


class Blocks(Table):
    """Blocks of trials in which one side is the more likely; the first block is neutral, the others alternate."""

    first: int = Field(90, ge=0, description="trials of the first, neutral block")
    balanced: bool = Field(False, description="is every signed contrast shown equally often in the first block?")
    probability: float = Field(0.8, gt=0.5, le=1, description="probability of the more likely side")
    mean: float = Field(60, gt=0, description="mean of the exponential that block lengths are drawn from, trials")
    low: int = Field(20, ge=1, description="shortest block")
    high: int = Field(100, description="the exponential is cut here")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.high <= self.low:
            raise ValueError(f"blocks.high = {self.high} must exceed blocks.low = {self.low}")
        return self


class Contingency(Table):
    """One row of a contingency table: a stimulus, how often it is shown and what a correct answer to it earns."""

    contrast: float = Field(ge=0, le=1)
    side: Literal["left", "right"] = Field(description="the rewarded side")
    probability: float = Field(1.0, ge=0, description="relative frequency of the row")
    reward_ul: float = Field(1.5, ge=0, description="water of a correct answer, microlitres")


class Stage(Table):
    """One stage of training: what is shown, and when the next stage begins."""

    contrasts: tuple[float, ...] = Field((), description="contrasts, 0 to 1")
    weights: tuple[float, ...] | None = Field(None, description="relative frequency of each contrast; default: equal, 0 half")
    probability_left: float = Field(0.5, ge=0, le=1, description="probability of the left side, outside of blocks")
    debias: bool = Field(True, description="repeat an easy stimulus after an error, on the neglected side")
    blocks: Blocks | None = Field(None, description="blocks of unequal probability_left")
    contingencies: tuple[Contingency, ...] = Field((), description="instead of contrasts: a table of stimuli")
    advance: Transition | None = Field(None, description="None: the last stage")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_contrasts()
        self._check_weights()
        if self.contingencies and (self.contrasts or self.weights or self.blocks):
            raise ValueError("`contingencies` replace `contrasts`, `weights` and `blocks`; give one or the other")
        if self.advance:
            self._check_advance(self.advance)
        if self.blocks and self.blocks.balanced and np.any(self.balance % 1):
            raise ValueError(f"a balanced first block of {self.blocks.first} trials cannot be shared equally by its contrasts")
        return self

    def _check_contrasts(self) -> None:
        if not self.shown:
            raise ValueError("a stage needs `contrasts` to show (or `contingencies`)")
        if any(not 0 <= c <= 1 for c in self.contrasts):
            raise ValueError(f"contrasts {self.contrasts} must lie between 0 and 1 (1 is full contrast)")
        if len(set(self.contrasts)) < len(self.contrasts):
            raise ValueError(f"contrasts {self.contrasts} name the same contrast twice")
        rows = [(row.contrast, row.side) for row in self.contingencies]
        if len(set(rows)) < len(rows):
            raise ValueError("contingencies name the same contrast and side twice")
        if rows and not sum(row.probability for row in self.contingencies):
            raise ValueError("contingencies need a positive probability somewhere")

    def _check_weights(self) -> None:
        if self.weights is None:
            return
        if len(self.weights) != len(self.contrasts):
            raise ValueError(f"{len(self.weights)} weights for {len(self.contrasts)} contrasts; give one for each")
        if min(self.weights) < 0 or sum(self.weights) <= 0:
            raise ValueError(f"weights {self.weights} must not be negative nor all zero")

    def _check_advance(self, advance: Transition) -> None:
        for contrast in advance.contrasts:
            for side in ("left", "right"):
                if not self.probability(contrast, side):
                    raise ValueError(
                        f"its advance rule can never fire: contrast {contrast:g} is never shown on the {side}; "
                        f"the stage shows {self.shown}"
                    )

    @property
    def shown(self) -> tuple[float, ...]:
        """The contrasts of the stage."""
        return self.contrasts or tuple(dict.fromkeys(row.contrast for row in self.contingencies))

    @property
    def probabilities(self) -> np.ndarray:
        """Probability of each of `contrasts`, (contrasts,)."""
        weights = self.weights or [0.5 if c == 0 else 1.0 for c in self.contrasts]
        return np.array(weights) / np.sum(weights)

    @property
    def balance(self) -> np.ndarray:
        """Trials of each contrast on one side in a balanced first block, (contrasts,)."""
        return np.round(self.probabilities * (self.blocks.first if self.blocks else 0) / 2, 9)

    @property
    def task(self) -> str:
        """Name of the IBL task that sessions in this stage are of, as training status asks for it."""
        if self.blocks is None:
            return "training"
        return "ephys" if self.blocks.balanced else "biased"

    @property
    def left(self) -> float:
        """P(left), averaged over contingencies if there are any."""
        if not self.contingencies:
            return self.probability_left
        total = sum(row.probability for row in self.contingencies)
        return sum(row.probability for row in self.contingencies if row.side == "left") / total

    def probability(self, contrast: float, side: str) -> float:
        """Probability of a contrast on a side (with blocks, neither side is ever impossible)."""
        if self.contingencies:
            return sum(row.probability for row in self.contingencies if (row.contrast, row.side) == (contrast, side))
        if contrast not in self.contrasts:
            return 0.0
        left = 0.5 if self.blocks else self.probability_left
        return float(self.probabilities[self.contrasts.index(contrast)]) * (left if side == "left" else 1 - left)


class Protocol(Table):
    """Everything the rig decides."""

    name: str = Field(min_length=1, max_length=100)
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=MAX_STAGES)
    coupled: bool = Field(True, description="does the wheel move the stimulus? If not (habituation), all trials are rewarded")

    debias_contrast: float = Field(0.5, ge=0, le=1, description="contrast from which an error is followed by a repeat")
    debias_responses: int = Field(10, ge=1, le=64, description="responses whose left fraction sets the side of a repeat")
    debias_after_no_go: bool = Field(False, description="does a no-go count as an error that is repeated?")
    debias_whole_session: bool = Field(False, description="defect of rig 8: left fraction over all responses of the session")
    debias_held_contrast: bool = Field(False, description="rigs 4-7: the newly drawn contrast decides whether to repeat")
    debias_fixed_buffer: bool = Field(False, description="rigs 4-7: left fraction over a fixed number, from zeros, with no-gos")

    adaptive_only: bool = Field(False, description="rigs 4-7: repeats and the last trial of a session do not count")
    keeps_performance: bool = Field(False, description="rigs 4-7: do performance buffers and counter outlast the session?")
    scaled_contrast_check: bool = Field(False, description="defect of rig 8: contrasts are never found mastered")
    zero_contrast_left: bool = Field(False, description="defect of rig 8: zero contrast is always rewarded on the left")

    # When sessions end is not what a list of stages is about, so unless it is told they end as on the rigs of IBL
    # (`envs.protocols.ibl_session`): two protocols that say nothing of it have the same sessions.
    session_trials: int = Field(2000, ge=1, description="most trials of a session")
    session_minutes: float = Field(90, ge=0, description="a session ends after so many minutes (0: no such rule)")
    few_minutes: float = Field(45, ge=0, description="... or after so many if it has at most `few_trials` (0: no such rule)")
    few_trials: int = Field(400, ge=0, description="see `few_minutes` and `slow_factor`")
    slow_factor: float = Field(
        5,
        ge=0,
        description="... or, after `few_trials` trials and `slow_minutes`, once the median response time of the last 20 trials "
        "exceeds so many times that of the whole session (0: no such rule)",
    )
    slow_minutes: float = Field(0, ge=0, description="see `slow_factor`")
    history_trials: int = Field(43, ge=1, description="trials a session needs for its outcome to carry over to the next")

    response_window_s: float = Field(60, gt=0, description="time to answer in, from stimulus onset; after it, a no-go")
    correct_s: float = Field(1, ge=0, description="stimulus held in the centre after a correct answer")
    error_s: float = Field(2, ge=0, description="time-out after an error")
    no_go_s: float = Field(2, ge=0, description="time-out after a no-go")
    iti_s: float = Field(1, ge=0, description="grey screen before the next trial")

    adapts: Literal["never", "2019", "v8"] = Field("never", description="how reward volume and gain follow the last session")
    reward_ul: float = Field(3.0, gt=0, description="water of one reward, microlitres; if it adapts, on the first day")
    reward_low_ul: float = Field(1.5, gt=0, description="least reward volume that adapting leads to")
    reward_high_ul: float = Field(3.0, gt=0, description="largest reward volume that adapting leads to")
    gain: float = Field(8.0, gt=0, description="degrees of stimulus per mm of wheel; if it adapts, on the first day")
    trained_gain: float = Field(4.0, gt=0, description="gain after a session that was long enough")
    body_weight_g: float = Field(22.0, ge=0, description="of the mouse (assumed: adult C57BL/6J on restricted water)")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for number, stage in enumerate(self.stages):
            if (stage.advance is None) != (number == len(self.stages) - 1):
                raise ValueError(
                    f"stages.{number} of {len(self.stages)}: every stage but the last needs an `advance` rule, the last none"
                )
            needed, what = self._needs(stage)
            if not self.keeps_performance and needed > self.session_trials:
                raise ValueError(
                    f"stages.{number}: its advance rule can never fire: it needs {what} in one session, "
                    f"and session_trials = {self.session_trials}"
                )
        if len(self.contrasts) > MAX_CONTRASTS:
            raise ValueError(f"{len(self.contrasts)} different contrasts; at most {MAX_CONTRASTS} are possible")
        return self

    @staticmethod
    def _needs(stage: Stage) -> tuple[int, str]:
        """Fewest trials in which a stage's advance rule can fire, and how to say it."""
        if not stage.advance:
            return 0, ""
        correct = 2 * len(stage.advance.contrasts) * stage.advance.correct
        return max((stage.advance.trials, f"{stage.advance.trials} trials"), (correct, f"{correct} correct trials"))

    @property
    def contrasts(self) -> tuple[float, ...]:
        """Every contrast of any stage, highest first."""
        return tuple(sorted({c for stage in self.stages for c in stage.shown}, reverse=True))

    @property
    def tasks(self) -> tuple[str, ...]:
        """Name of the IBL task of each stage: "training", "biased", "ephys" or "habituation"."""
        return tuple(stage.task if self.coupled else "habituation" for stage in self.stages)

    @cached_property
    def record(self) -> np.ndarray:
        """The protocol as an array of one record, for compiled code."""
        return protocol_record(self)

    def __repr__(self) -> str:
        """Its name and size; `table` tells all of it."""
        return f"<Protocol {self.name!r}: {len(self.stages)} stages, sessions of at most {self.session_trials} trials>"

    __str__ = __repr__

    def table(self) -> dict[str, Any]:
        """The protocol as a plain table: what differs from the defaults, as TOML and JSON can hold it."""
        return {"name": self.name} | self.model_dump(mode="json", exclude_defaults=True)
