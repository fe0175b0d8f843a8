"""A cohort under a protocol: simulated by either of two drivers, from naive mice or from a state, and able to go on.

`fused` runs rig and mouse in one compiled loop (closed-form rules); `stepped` advances all mice together, trial by trial,
and takes any rule with `init` and `learn` (neural rules). Both call the same task functions, features and decision, draw
from the same counter-based streams and give the same choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np

from envs.checks import check_seed, whole
from envs.names import suggest
from envs.protocols import ProtocolLike, find_protocol
from envs.task.session import sessions_done
from twin.cohort import Cohort
from twin.data.rollout import COLUMNS, Rollout
from twin.engine import Engine, check_engine, map_jobs
from twin.simulation.drivers import Done, Job, run_fused, run_stepped
from twin.simulation.loops import Columns, check_room, compile_fused, join
from twin.simulation.state import CohortState, check_state, move_mice, naive_state

TRIALS_PER_JOB = 200_000  # work handed to a worker at once; also the grain of the progress bar
NO_LIMIT = np.iinfo(np.int64).max  # of sessions

Driver = Literal["auto", "fused", "stepped"]
DRIVERS: tuple[str, ...] = get_args(Driver)


def simulate(
    cohort: Cohort,
    protocol: ProtocolLike = "ibl-documented",
    *,
    trials: int | None = None,
    sessions: int | None = None,
    seed: int = 1,
    start: CohortState | None = None,
    mice: range | None = None,
    driver: Driver = "auto",
    engine: Engine = "threads",
    workers: int = 2,
    progress: bool = False,
) -> Rollout:
    """Run every mouse of a cohort, some of them (`mice`), or those of the state `start`, for a number of trials or of sessions.

    A session that the mice of `start` are in the middle of is the first. The result depends on cohort, protocol, seed (or
    `start`) and length alone: not on the driver, the engine or the number of workers. Raises ValueError if not exactly one
    of `trials` and `sessions` is given, as a whole number from 1, they are more than the memory holds, a neural rule is to be
    fused, `start` is no state of such mice, or seed, driver, engine or workers are none.
    """
    if (trials is None) == (sessions is None):
        raise ValueError(f"trials = {trials}, sessions = {sessions}: give exactly one of them")
    what, given = ("sessions", sessions) if trials is None else ("trials", trials)
    length = whole(what, given, 1)
    check_room(f"{what} = {length}", _number_of_mice(cohort, start, mice), length, len(cohort.features))
    simulation = Simulation(cohort, protocol, seed, mice=mice, state=start, driver=driver, engine=engine, workers=workers)
    if trials is not None:
        simulation.train_trials(length, progress)
    else:
        simulation.train(simulation.sessions + length, progress)
    return simulation.rollout()


def _number_of_mice(cohort: Cohort, start: CohortState | None, mice: range | None) -> int:
    return start.mice if start is not None else cohort.mice if mice is None else len(mice)


class Simulation:
    """A cohort in training: `train` takes its mice further, `change_protocol` puts some under another rig.

    Mice are independent: some may stop while others go on, and a mouse that goes on does what it would have done without
    the stop. They begin naive (`mice` picks some of the cohort's) or as the `state` that another simulation left says; then
    the seed counts for nothing. `trials[m]` holds the trials of mouse m, one part for each call that trained it;
    `sessions[m]` is how many sessions it has done in its life.
    """

    def __init__(
        self,
        cohort: Cohort,
        protocol: ProtocolLike,
        seed: int = 1,
        *,
        mice: range | None = None,
        state: CohortState | None = None,
        driver: Driver = "auto",
        engine: Engine = "threads",
        workers: int = 2,
    ) -> None:
        if driver not in DRIVERS:
            raise ValueError(suggest("driver", driver, DRIVERS))
        check_engine(engine, workers)
        closed_form = cohort.known_rule.closed_form is not None
        if driver == "fused" and not closed_form:
            raise ValueError(f"rule {cohort.rule!r} is neural: use driver='stepped' (or 'auto')")
        if state is not None and mice is not None:
            raise ValueError(f"mice = {mice} and a state: give one of them; `state.take` picks some of its mice")
        protocol = find_protocol(protocol)
        if state is not None:
            check_state(state, cohort, protocol)
        self.cohort = cohort
        self.layout = cohort.layout
        self.protocols = [protocol]
        self.seed = check_seed(seed)
        self.engine: Engine = engine
        self.workers = workers
        self.fused = closed_form and driver != "stepped"
        self._state = naive_state(cohort, protocol, seed, mice) if state is None else state.copy()
        self._begun = None if state is None else _trials_and_sessions(state)
        self.sessions = np.array([sessions_done(protocol.record[0], mouse) for mouse in self._state.rig], np.int64)
        self.trials: list[list[Columns]] = [[] for _ in self._state.ids]
        self._columns: Columns | None = None  # of all mice in turn, where one call trained them for so many trials each

    @property
    def state(self) -> CohortState:
        """A copy of what the mice and their rigs carry on: another simulation that begins with it goes on as this would."""
        return self._state.copy()

    def train(self, sessions: np.ndarray, progress: bool = False) -> None:
        """Take each mouse on until it has done so many sessions in all, (M,); one that has done as many already rests."""
        most = int((sessions - self.sessions).max()) * int(self.protocols[-1].record[0]["session_trials"])
        who = np.flatnonzero(sessions > self.sessions)
        self._advance(who, sessions, most, None, progress)
        self.sessions = np.maximum(self.sessions, sessions)

    def train_trials(self, trials: int, progress: bool = False) -> None:
        """Take each mouse on for so many trials."""
        mice = self._state.mice
        columns = None if self.engine == "processes" else Columns.of(trials * mice, len(self.cohort.features))
        first = not any(self.trials)
        self._advance(np.arange(mice), np.full(mice, NO_LIMIT), trials, columns, progress)
        self._columns = columns if first else None
        protocol = self.protocols[-1].record[0]
        self.sessions = np.array([sessions_done(protocol, mouse) for mouse in self._state.rig], np.int64)

    def change_protocol(self, protocol: ProtocolLike, who: np.ndarray) -> None:
        """From the next session on, all that train are under another protocol; `who`: the mice that will be (`move_mice`).

        The mice left out must not be trained any more.
        """
        protocol = find_protocol(protocol)
        self.protocols.append(protocol)
        self._state.put(who, move_mice(self._state.take(who), self.layout, protocol))

    def rollout(self, of_session: Mapping[str, np.ndarray] | None = None) -> Rollout:
        """All trials so far, with what else is known of each session (`Rollout.of_session`)."""
        out = self._columns or join([part for parts in self.trials for part in parts])
        done = [sum(len(part.session) for part in parts) for parts in self.trials]
        return Rollout(
            columns=dict(zip(COLUMNS, out, strict=False)),
            starts=np.concatenate([[0], np.cumsum(done)]),
            ids=self._state.ids,
            weights=out.weights,
            features=self.cohort.features,
            keys=self._state.keys,
            theta=self._state.theta.copy(),
            theta_names=self.layout.names,
            origin=self._origin(),
            of_session=of_session or {},
        )

    def _origin(self) -> dict[str, Any]:
        tables = [protocol.model_dump(mode="json") for protocol in self.protocols]
        origin = {"seed": self.seed, "cohort": self.cohort.model_dump(mode="json"), "protocol": tables[0]}
        if self.cohort.known_rule.content:
            origin["fit"] = self.cohort.known_rule.content
        if tables[1:]:
            origin["then"] = tables[1:]
        if self._begun is not None:
            origin["begun"] = self._begun
        return origin

    def _advance(self, who: np.ndarray, sessions: np.ndarray, most: int, columns: Columns | None, progress: bool) -> None:
        """Take some mice on, to the end of their session number `sessions` (M,) and for `most` trials each at most."""
        if not len(who):
            return
        everyone = np.arange(self._state.mice)
        groups = self._groups(who, most) if self.fused else [everyone]
        limits = np.where(np.isin(everyone, who), sessions, 0)
        jobs = [self._job(mice, limits, most, columns) for mice in groups]
        if self.fused:
            compile_fused(self.cohort.learning_rule)  # once, before the threads do, each for itself
            title = "simulate" if progress else ""
            results = map_jobs(run_fused, jobs, engine=self.engine, workers=self.workers, progress=title)
        else:
            results = [run_stepped(job, progress) for job in jobs]
        for mice, done in zip(groups, results, strict=True):
            self._keep(mice, done)
        self._columns = None

    def _groups(self, who: np.ndarray, most: int) -> list[np.ndarray]:
        """Mice by job: about TRIALS_PER_JOB trials, and work for every worker."""
        grain = max(1, min(TRIALS_PER_JOB // most, -(-len(who) // max(1, self.workers))))
        return [who[i : i + grain] for i in range(0, len(who), grain)]

    def _job(self, mice: np.ndarray, sessions: np.ndarray, most: int, columns: Columns | None) -> Job:
        own = None if columns is None else columns.rows(int(mice[0]) * most, (int(mice[-1]) + 1) * most)
        state = self._state.take(mice)
        return Job(self.cohort.learning_rule, self.layout, self.protocols[-1], state, sessions[mice], most, own)

    def _keep(self, mice: np.ndarray, done: Done) -> None:
        self._state.put(mice, done.state)
        for m, trials in zip(mice, done.trials, strict=True):
            if len(trials.session):
                self.trials[m].append(trials)


def _trials_and_sessions(state: CohortState) -> dict[str, list[int]]:
    """Where mice were in their lives when a simulation took them over, for the file of its rollout."""
    return {"trials": state.rig["trial"].tolist(), "sessions": state.rig["session"].tolist()}
