"""Kind `cohort`: simulate mice and describe how they learn."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import model_validator

from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.data.store import StoredRollout, read_rollout, write_rollout
from twin.evaluation.performance import behavior
from twin.evaluation.status_times import times_to_status, with_status
from twin.simulation import simulate
from twin.simulation.until import Phase, simulate_until
from twin.studies.folder import RunFolder
from twin.studies.shards import Shards, shards_of
from twin.studies.study import Done, Options, Study
from twin.studies.table import NamedProtocol, RunLength, check_target
from twin.studies.training import TrainingResults

EXPECTED_TRIALS = 600  # of a session: IBL mice do 500 to 700 once they are trained
IN_THIS_THREAD = Options(workers=1, engine="serial")


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

    def rollout(self, folder: RunFolder, options: Options) -> Rollout | StoredRollout:
        """The study's trials with the status of each session, from its folder or simulated: in memory, or in shards on disk."""
        shards = self.shards(folder)
        if len(shards.mice) > 1:
            shards.make(options)
            return shards.open()

        def write(rollout: Rollout, path: Path) -> None:
            write_rollout(rollout, path, folder.scenario)

        def read(path: Path) -> Rollout:
            rollout = read_rollout(path)
            self._check_origin(rollout.origin)
            return rollout

        return folder.keep("rollouts.h5", lambda: self.simulate(None, options), read, write)

    def shards(self, folder: RunFolder) -> Shards:
        """The mice that are simulated together, and where they are kept."""
        features = len(self.cohort.features) if self.run.weights else 0
        return Shards(
            folder,
            self.shard_mice,
            self.expected_trials,
            features,
            self.simulate,
            lambda outline: self._check_origin(outline.origin),
        )

    @property
    def shard_mice(self) -> list[range]:
        """The mice that are simulated and kept together."""
        return shards_of(self.cohort.mice, self.expected_trials, self.run.mice_per_shard)

    @property
    def expected_trials(self) -> int:
        """Trials of a mouse: as many as are asked for, or what so many sessions are expected to have."""
        run = self.run
        if run.trials is not None:
            return run.trials
        sessions = run.sessions or (run.horizon or 0) + sum(following.horizon for following in run.then)
        return sessions * EXPECTED_TRIALS

    def _check_origin(self, origin: Mapping[str, Any]) -> None:
        """Raise ValueError for mice of another fit."""
        if origin.get("fit", "") != self.cohort.known_rule.content:
            raise ValueError(f"its mice are of another fit than is in {self.cohort.rule}")

    def simulate(self, mice: range | None = None, options: Options = IN_THIS_THREAD) -> Rollout:
        """The trials of all mice, or of some, with the status of each session."""
        length = self.run
        how = dict[str, Any](seed=self.seed, mice=mice, workers=options.workers, engine=options.engine)
        how["progress"] = options.progress
        if length.until is None or length.horizon is None:
            rollout = simulate(self.cohort, self.protocol, trials=length.trials, sessions=length.sessions, **how)
        else:
            then = [Phase(following.protocol, following.until, following.horizon) for following in length.then]
            until = length.until
            rollout = simulate_until(self.cohort, self.protocol, until=until, horizon=length.horizon, then=then, **how)
        return with_status(rollout if length.weights else rollout.without_weights())

    def carry_out(self, folder: RunFolder, options: Options) -> Done:
        """Simulate, and describe the mice."""
        rollout = self.rollout(folder, options)
        results = CohortResults(**behavior(rollout), **times_to_status(rollout), **self.head(folder))
        return Done(results, partial(_page, folder.path, results))


def _page(folder: Path, results: CohortResults) -> None:
    from twin.report import page
    from twin.report.mice import mice_text
    from twin.report.shown import Shown

    shown = Shown(results.table())
    sections: list[tuple[str, str | list[str]]] = [("Behaviour", "")]
    if results.sessions_to_status:
        sections.append(("Training status", results.status_text()))
    sections.append(("Mice", mice_text(shown.results["mice_table"])))
    page.write(folder, results.scenario, sections, results.facts(), shown)
