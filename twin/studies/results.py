"""What results.json holds of every kind of study, key by key; each kind's own keys are in its file.

A number that is not defined (of no trials, by no mouse) is None, which JSON writes as null.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from twin.report.tables import curve_phrases, number


def _defined(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


Number = Annotated[float | None, BeforeValidator(_defined)]


class Record(BaseModel):
    """A table of results: keys that are not declared are refused, and those that do not apply are left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Results(Record):
    """Where results come from, and how much they are of."""

    kind: str = Field(description="kind of the study")
    scenario: str = Field(description="name of the study")
    seed: int = Field(description="of every random draw")
    versions: Mapping[str, str] = Field(description="of this package and of those it computes with")
    seconds: float = Field(description="that the run took, without its page; parts that were there already took none")
    mice: int = Field(description="number of mice")
    trials: int = Field(description="number of trials of all mice")

    def __repr__(self) -> str:
        """Where they come from; `summary` and `table` tell what they are."""
        return f"<{type(self).__name__} of {self.scenario!r}: {self.mice} mice, {self.trials} trials>"

    __str__ = __repr__

    @abstractmethod
    def summary(self) -> str:
        """What a user wants to see first, a few lines of text."""

    def facts(self) -> dict[str, str]:
        """What the page says before its first section."""
        return {
            "Scenario": f"{self.scenario} ({self.kind}), seed {self.seed}",
            "Data": f"{self.mice} mice, {self.trials} trials",
        }

    def table(self) -> dict[str, Any]:
        """The table that results.json holds."""
        return self.model_dump(mode="json", exclude_unset=True)


class Spread(Record):
    """Mean and standard deviation."""

    mean: Number = Field(description="mean")
    sd: Number = Field(description="standard deviation")


class Pair(Record):
    """Two that are compared."""

    a: str = Field(description="name of one")
    b: str = Field(description="name of the other")


class Psychometric(Record):
    """Parameters of a psychometric curve."""

    threshold: Number = Field(description="threshold, % contrast")
    bias: Number = Field(description="contrast halfway up the curve, %; positive: left is preferred")
    lapse_low: Number = Field(description="lapse rate at high contrasts on the left")
    lapse_high: Number = Field(description="lapse rate at high contrasts on the right")


class Curve(Record):
    """Choices by signed contrast, no-gos left out, and the psychometric curve through them; lists are by contrast."""

    levels: list[float] = Field(description="signed contrasts, %, ascending")
    choices: list[int] = Field(description="choices at each")
    right: list[int] = Field(description="right choices at each")
    p: list[float] = Field(description="fraction of right choices")
    ci95: tuple[list[float], list[float]] = Field(description="95 % intervals of the fractions (Wilson): lower, upper limits")
    fit: Psychometric | None = Field(description="curve of highest likelihood; null if there is none to speak of")
    reason: str | None = Field(description="why there is no fit, or why it does not determine threshold and bias")


class LearningCurve(Record):
    """Fraction correct on easy trials by session, from the first; null where no mouse had easy trials."""

    easy_contrast: float = Field(description="contrast from which on trials are easy, 0 to 1")
    mice: list[int] = Field(description="mice with easy trials in each session")
    median: list[Number] = Field(description="median over those mice")
    quartiles: tuple[list[Number], list[Number]] = Field(description="lower and upper quartile over them")
    single_mice: Mapping[str, list[Number]] = Field(description="of some mice, by id")


class StageTimes(Record):
    """When mice first reach a stage of their protocol."""

    fraction_reached: float = Field(description="fraction of the mice that reach it")
    median: Number = Field(description="median session of those, counted from 1")
    sd: Number = Field(description="standard deviation, sessions")


class BehaviorResults(Results):
    """How mice perform."""

    trials_per_session: Spread = Field(description="trials in a session, over all sessions")
    easy_performance_first3: Number = Field(description="fraction correct at contrasts of 50 % and more, first three sessions")
    easy_performance_last3: Number = Field(description="the same in the last three sessions")
    psychometric: Psychometric | None = Field(description="curve of the last three sessions of all mice, if there is one")
    psychometric_curves: Mapping[str, Curve] = Field(description="of the `first` and the `last` three sessions of all mice")
    learning_curve: LearningCurve = Field(description="performance on easy trials, session by session")
    sessions_to_stage: Mapping[str, StageTimes] = Field(description="by stage of the protocol, where stages are known")
    stage_fractions: Mapping[str, list[float]] = Field(
        description="by stage: fraction of mice in it at the end of each session"
    )

    def summary(self) -> str:
        """How much there is, and how the mice did."""
        first, last = number(self.easy_performance_first3), number(self.easy_performance_last3)
        curve = ", ".join(self._curve())
        return (
            f"{self.scenario}: {self.mice} mice, {self.trials} trials, {self.seconds:.1f} s\n"
            f"easy trials correct: {first} in the first three sessions, {last} in the last three; {curve}"
        )

    def facts(self) -> dict[str, str]:
        """What the page says before its first section."""
        return super().facts() | {"Psychometric curve, last three sessions": ", ".join(self._curve())}

    def _curve(self) -> list[str]:
        return curve_phrases(self.psychometric_curves["last"].model_dump())
