"""Kind `cohort`: simulate mice and describe how they learn."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.data.store import read_rollout, write_rollout
from twin.evaluation.performance import behavior
from twin.evaluation.status_times import times_to_status, with_status
from twin.report.tables import number
from twin.simulation import simulate
from twin.simulation.until import Phase, simulate_until
from twin.studies.folder import RunFolder
from twin.studies.results import BehaviorResults, Number, Record
from twin.studies.study import Done, Options, Study
from twin.studies.table import NamedProtocol, RunLength, check_target


class TimesToStatus(Record):
    """When mice reached a training status; times are those of the mice that did, the day they did included."""

    median: float = Field(description="median time")
    mean: float = Field(description="mean time")
    sd: Number = Field(description="standard deviation; null of one mouse")
    ci95: tuple[float, float] | None = Field(description="95 % interval of the mean (Student's t); null of one mouse")
    fraction_reached: float = Field(description="fraction of all mice that reached it")


class CohortResults(BehaviorResults):
    """How mice perform, and when they are trained."""

    sessions_to_status: Mapping[str, TimesToStatus] = Field(description="sessions, by status that some mouse reached")
    trials_to_status: Mapping[str, TimesToStatus] = Field(description="trials, by status that some mouse reached")

    def summary(self) -> str:
        """How the mice did, and when they were trained."""
        statuses = [
            f"{status}: {100 * times.fraction_reached:.0f} % of mice, after {times.mean:.1f} sessions (sd {number(times.sd)})"
            for status, times in self.sessions_to_status.items()
        ]
        return "\n".join([super().summary(), *statuses])


class CohortStudy(Study):
    """Simulate a cohort and describe how it learns."""

    kind: ClassVar[str] = "cohort"

    cohort: Cohort
    protocol: NamedProtocol
    run: RunLength

    @model_validator(mode="after")
    def _within_reach(self) -> Self:
        if self.run.until is not None:
            check_target(self.run.until, self.protocol)
        return self

    def rollout(self, folder: RunFolder, options: Options) -> Rollout:
        """The study's trials with the status of each session, from its folder or simulated."""

        def write(rollout: Rollout, path: Path) -> None:
            write_rollout(rollout, path, folder.scenario)

        def read(path: Path) -> Rollout:
            rollout = read_rollout(path)
            if rollout.origin.get("fit", "") != self.cohort.known_rule.content:
                raise ValueError(f"its mice are of another fit than is in {self.cohort.rule}")
            return rollout

        return folder.keep("rollouts.h5", lambda: with_status(self._simulate(options)), read, write)

    def _simulate(self, options: Options) -> Rollout:
        length = self.run
        how = dict[str, Any](seed=self.seed, workers=options.workers, engine=options.engine, progress=options.progress)
        if length.until is None or length.horizon is None:
            return simulate(self.cohort, self.protocol, trials=length.trials, sessions=length.sessions, **how)
        then = [Phase(following.protocol, following.until, following.horizon) for following in length.then]
        return simulate_until(self.cohort, self.protocol, until=length.until, horizon=length.horizon, then=then, **how)

    def carry_out(self, folder: RunFolder, options: Options) -> Done:
        """Simulate, and describe the mice."""
        rollout = self.rollout(folder, options)
        results = CohortResults(**behavior(rollout), **times_to_status(rollout), **self.head(folder))
        return Done(results, partial(_page, folder.path, results, rollout))


def _status_text(results: CohortResults) -> list[str]:
    """When mice reached each training status."""
    from twin.report.html import table

    header = ["status", "mice that reached it", "sessions: mean", "sd", "median", "trials: mean", "sd", "median"]
    rows = [
        [label, f"{100 * times.fraction_reached:.0f} %", *_numbers(times), *_numbers(results.trials_to_status[label])]
        for label, times in results.sessions_to_status.items()
    ]
    return ["Of the mice that reached it, the session included.", table(rows, header)]


def _numbers(times: TimesToStatus) -> list[Any]:
    return [times.mean, times.sd, times.median]


def _page(folder: Path, results: CohortResults, rollout: Rollout) -> None:
    from twin.report import page
    from twin.report.mice import mice_text
    from twin.report.shown import Shown

    shown = Shown(results.table(), rollout)
    sections: list[tuple[str, str | list[str]]] = [("Behaviour", "")]
    if results.sessions_to_status:
        sections.append(("Training status", _status_text(results)))
    sections.append(("Mice", mice_text(shown.results["mice_table"])))
    page.write(folder, results.scenario, sections, results.facts(), shown)
