"""What results.json holds of every kind of study, key by key; each kind's own keys are in its file.

A number that is not defined (of no trials, by no mouse) is None, which JSON writes as null; when that is so is said in the
description of its key, or by a `reason` beside it.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from twin.evaluation.flags import BOUND, INFINITE, ONE_SIDED, UNDETERMINED, UNIDENTIFIED
from twin.report.mice import flag_lines, mice_csv
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

    def files(self) -> dict[str, str]:
        """Texts that are kept in the run folder beside results.json, by name."""
        return {}

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

    mean: Number = Field(description="mean; null of none")
    sd: Number = Field(description="standard deviation; null of none")


class Pair(Record):
    """Two that are compared."""

    a: str = Field(description="name of one")
    b: str = Field(description="name of the other")


class Psychometric(Record):
    """Parameters of a psychometric curve, null if not finite; `reason` beside it may say that some are no estimates."""

    threshold: Number = Field(description="threshold, % contrast; null if not finite")
    bias: Number = Field(description="contrast halfway up the curve, %; positive: left is preferred; null if not finite")
    lapse_low: Number = Field(description="lapse rate at high contrasts on the left; null if not finite")
    lapse_high: Number = Field(description="lapse rate at high contrasts on the right; null if not finite")


class Curve(Record):
    """Choices by signed contrast, no-gos left out, and the psychometric curve through them; lists are by contrast."""

    levels: list[float] = Field(description="signed contrasts, %, ascending")
    choices: list[int] = Field(description="choices at each")
    right: list[int] = Field(description="right choices at each")
    p: list[float] = Field(description="fraction of right choices")
    ci95: tuple[list[float], list[float]] = Field(description="95 % intervals of the fractions (Wilson): lower, upper limits")
    fit: Psychometric | None = Field(description="curve of highest likelihood; null if there is none to speak of: see `reason`")
    reason: str | None = Field(
        description="why there is no fit, or why it does not determine threshold and bias (a bound reached); null if it does"
    )


class Quartiles(Record):
    """Median and quartiles over mice."""

    median: float = Field(description="median")
    lower: float = Field(description="lower quartile")
    upper: float = Field(description="upper quartile")


class CurveOverMice(Record):
    """Fractions of right choices, each mouse counted once; no-gos are left out, lists are by contrast."""

    levels: list[float] = Field(description="signed contrasts, %, ascending")
    mice: list[int] = Field(description="mice that chose at each")
    mean: list[float] = Field(description="mean over these mice of their fraction of right choices")
    ci95: tuple[list[Number], list[Number]] = Field(
        description="95 % intervals of the means (Student's t): lower, upper limits; null of one mouse"
    )
    single_mice: Mapping[str, list[Number]] = Field(description="fractions of some mice, by id; null where one did not choose")
    stages: Mapping[str, int] = Field(description="mice by the stage in which the last of these sessions ended, where known")
    mice_determined: int = Field(description="mice whose own curve determines its threshold and bias")
    threshold: Quartiles | None = Field(description="of the thresholds of those mice, % contrast; null if there are none")
    bias: Quartiles | None = Field(description="of their biases, % contrast; null if there are none")


class LearningCurve(Record):
    """Fraction correct on easy trials by session, from the first; null where no mouse had easy trials."""

    easy_contrast: float = Field(description="contrast from which on trials are easy, 0 to 1")
    mice: list[int] = Field(description="mice with easy trials in each session")
    median: list[Number] = Field(description="median over those mice")
    quartiles: tuple[list[Number], list[Number]] = Field(description="lower and upper quartile over them")
    single_mice: Mapping[str, list[Number]] = Field(description="of some mice, by id")
    least_mice: int = Field(description="a median of fewer mice than that is one of a few survivors; it is drawn dotted")


ESTIMATE = "maximum of the likelihood, or of the posterior with a population; with noise its median; null: not finite"
WARNINGS = (
    "why not to trust the model, by name: noise-in-sessions, noise-over-nights, lapses, mice-differ, decision-model (standard "
    "deviations); of a rule fitted without noise also noise and lapses (log-likelihood gained): twin.evaluation.diagnostics, "
    "and, for those of the rule itself (fractions, or how many) in twin.evaluation.told"
)


def warning_lines(models: Mapping[str, Any]) -> list[str]:
    """One line for each warning of each model, with its number."""
    from twin.evaluation.diagnostics import MEANINGS

    return [
        f"warning: {model}: {name} ({value:.3g}): {MEANINGS[name]}"
        for model, found in models.items()
        for name, value in found.warnings.items()
    ]


class MouseEstimate(Record):
    """A parameter of one mouse as a model has it, with its 95 % interval, in natural units."""

    estimate: Number = Field(description=ESTIMATE)
    low: Number = Field(description="lower end of the interval; null: not finite, or not known")
    high: Number = Field(description="upper end; null: not finite, or not known")
    flag: str | None = Field(
        description=f"null: an estimate. {BOUND}: it lies at a bound of its parameter and is no estimate. {INFINITE}: the "
        f"likelihood has no finite optimum. {UNDETERMINED}: the interval reaches both bounds. {ONE_SIDED}: it reaches one, "
        f"only the other end is told by the data. {UNIDENTIFIED}: the posterior is about as wide as what was believed before"
    )


class MouseFit(Record):
    """What a model makes of one mouse."""

    parameters: Mapping[str, MouseEstimate] = Field(description="fitted parameters; none of a network")
    ll_per_trial: Number = Field(description="log-likelihood (natural) per fitted choice; null if it is not finite")
    minus_static: Number = Field(
        None, description="that minus the static GLM's: learning against none; null if not finite, absent if it was not fitted"
    )
    converged: bool | None = Field(None, description="did its fit end at an optimum? absent (never null) for a network")


class MouseRow(Record):
    """One mouse."""

    id: str = Field(description="its name")
    sessions: int = Field(description="sessions")
    trials: int = Field(description="trials, those without a choice among them")
    easy_performance_first3: Number = Field(description="mean over its first three sessions; null without easy trials")
    easy_performance_last3: Number = Field(description="the same over its last three; null without easy trials")
    status: str | None = Field(description="training status after its last session; null if the data do not tell it")
    stage: int | None = Field(description="stage of the protocol at its last trial; null if the data do not tell it")
    fits: Mapping[str, MouseFit] = Field({}, description="by model; absent for a mouse that was left out")


class StageTimes(Record):
    """When mice first reach a stage of their protocol."""

    fraction_reached: float = Field(description="fraction of the mice that reach it")
    median: Number = Field(description="median session of those, counted from 1; null if there are none")
    sd: Number = Field(description="standard deviation, sessions; null if there are none")


class BehaviorResults(Results):
    """How mice perform."""

    trials_per_session: Spread = Field(description="trials in a session, over all sessions")
    easy_performance_first3: Number = Field(
        description="mean over the first three sessions of the fraction correct at contrasts of 50 % and more, or the highest "
        "there are; null without such trials"
    )
    easy_performance_last3: Number = Field(description="the same in the last three sessions; null without such trials")
    psychometric: Psychometric | None = Field(
        description="curve of the last three sessions, choices of all mice pooled; null or no estimate: the `reason` is in "
        "psychometric_curves.last"
    )
    psychometric_curves: Mapping[str, Curve] = Field(
        description="of the `first` and the `last` three sessions, choices of all mice pooled, whatever stage they are at"
    )
    psychometric_over_mice: Mapping[str, CurveOverMice] = Field(description="of the same sessions, by mouse, and over mice")
    learning_curve: LearningCurve = Field(description="performance on easy trials, session by session")
    sessions_to_stage: Mapping[str, StageTimes] = Field(description="by stage of the protocol, where stages are known")
    stage_fractions: Mapping[str, list[float]] = Field(
        description="by stage: fraction of mice in it at the end of each session"
    )
    mice_table: list[MouseRow] = Field(description="every mouse, in the order of the data")

    def files(self) -> dict[str, str]:
        """The table of mice as csv."""
        return {"mice.csv": mice_csv(self.table()["mice_table"])}

    def flag_lines(self) -> list[str]:
        """What the estimates of some mice cannot be taken for, model by model."""
        return flag_lines(self.table()["mice_table"])

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
        pooled = curve_phrases(self.psychometric_curves["last"].model_dump())
        return pooled if self.mice == 1 else [f"choices of all {self.mice} mice pooled: {pooled[0]}", *pooled[1:]]
