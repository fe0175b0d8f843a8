"""Kind `cohort`: simulate mice and describe how they learn."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import model_validator

from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.data.store import read_rollout, write_rollout
from twin.evaluation.performance import behavior
from twin.evaluation.status_times import times_to_status, with_status
from twin.simulation import simulate
from twin.simulation.until import Phase, simulate_until
from twin.studies.folder import RunFolder
from twin.studies.study import Done, Options, Study
from twin.studies.table import NamedProtocol, RunLength, check_target
from twin.studies.training import TrainingResults


class CohortResults(TrainingResults):
    """How mice perform, and when they are trained."""

    def summary(self) -> str:
        """How the mice did, and when they were trained."""
        return "\n".join([super().summary(), *self.status_lines()])


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


def _page(folder: Path, results: CohortResults, rollout: Rollout) -> None:
    from twin.report import page
    from twin.report.mice import mice_text
    from twin.report.shown import Shown

    shown = Shown(results.table(), rollout)
    sections: list[tuple[str, str | list[str]]] = [("Behaviour", "")]
    if results.sessions_to_status:
        sections.append(("Training status", results.status_text()))
    sections.append(("Mice", mice_text(shown.results["mice_table"])))
    page.write(folder, results.scenario, sections, results.facts(), shown)
