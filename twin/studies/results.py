"""What results.json holds of every kind of study, key by key; each kind's own keys are in its file.

A number that is not defined (of no trials, by no mouse) is None, which JSON writes as null.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from twin.report.tables import fixed, number


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
    psychometric: Psychometric = Field(description="curve of the last three sessions of all mice")
    sessions_to_stage: Mapping[str, StageTimes] = Field(description="by stage of the protocol, where stages are known")

    def summary(self) -> str:
        """How much there is, and how the mice did."""
        first, last = number(self.easy_performance_first3), number(self.easy_performance_last3)
        curve = self.psychometric
        return (
            f"{self.scenario}: {self.mice} mice, {self.trials} trials, {self.seconds:.1f} s\n"
            f"easy trials correct: {first} in the first three sessions, {last} in the last three; "
            f"threshold {fixed(curve.threshold, 1)} % contrast, bias {fixed(curve.bias, 1)} %, "
            f"lapses {fixed(curve.lapse_low, 3)} and {fixed(curve.lapse_high, 3)}"
        )

    def facts(self) -> dict[str, str]:
        """What the page says before its first section."""
        values = self.psychometric.model_dump().items()
        curve = ", ".join(f"{name.replace('_', ' ')} {'-' if value is None else f'{value:.3g}'}" for name, value in values)
        return super().facts() | {"Psychometric fit, last three sessions": curve}
