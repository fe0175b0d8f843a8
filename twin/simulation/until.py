"""Training to a status: a mouse stops, or goes on under the next protocol, at the end of the day it reaches what is asked.

Every mouse is trained session by session, and its status decided after each one as the laboratory would: from its last
three sessions and the status of the day before. Mice are independent, so the trials are those of a run to the horizon,
cut for each mouse after its day; what follows under another protocol starts from the weights it had then.

A mouse that is labelled untrainable (40 sessions without a status) is trained on to the horizon: published mice reached
proficiency as late as their 59th session (IBL et al 2021, eLife 10:e63711). Give a horizon of 40 to stop there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from envs.checks import whole
from envs.protocols import Protocol, ProtocolLike, find_protocol
from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.engine import Engine
from twin.evaluation.session_summary import summarise_sessions
from twin.evaluation.status import Status, Task
from twin.evaluation.status_times import DECISIVE, decisive, session_tasks
from twin.evaluation.targets import find_target
from twin.evaluation.training_status import UNDECIDED, WINDOW, give_up, training_status
from twin.simulation.drivers import progress_bar
from twin.simulation.loops import check_room
from twin.simulation.simulation import Driver, Simulation
from twin.simulation.state import CohortState


class Phase(NamedTuple):
    """Training under one protocol until a status is reached, for at most `horizon` sessions."""

    protocol: ProtocolLike
    until: Status | str
    horizon: int


def simulate_until(
    cohort: Cohort,
    protocol: ProtocolLike = "ibl-documented",
    *,
    until: Status | str,
    horizon: int,
    then: Sequence[Phase] = (),
    seed: int = 1,
    mice: range | None = None,
    start: CohortState | None = None,
    before: Rollout | None = None,
    driver: Driver = "auto",
    engine: Engine = "threads",
    workers: int = 2,
    progress: bool = False,
) -> Rollout:
    """Train every mouse until a status, for at most `horizon` sessions; those that reach it go on with each phase of `then`.

    The rollout's `of_session` holds the status at the end of each session and its protocol. `mice` picks some of the
    cohort's; or they begin as the state `start` says, and then the seed counts for nothing. `before` is the record, with its
    statuses, of the one mouse that all of `start` go on from: its last sessions count in the statuses of theirs.

    Workers are given one session at a time, which is too little for `engine = "processes"`: `train_design` gives them whole
    trainings. Raises ValueError for a status that does not exist or that the protocol cannot lead to, or a horizon below 1.
    """
    plan = [_resolved(phase) for phase in (Phase(protocol, until, horizon), *then)]
    most = sum(sessions for _, _, sessions in plan)
    run = Simulation(cohort, plan[0][0], seed, mice=mice, state=start, driver=driver, engine=engine, workers=workers)
    check_room(f"horizon = {most}", len(run.sessions), most, len(cohort.features))
    known = _Statuses(run, most, before)
    going = np.arange(len(run.sessions))
    with progress_bar(most, "session", progress) as bar:
        for number, (following, target, sessions) in enumerate(plan):
            if number > 0 and len(going):
                run.change_protocol(following, going)
            going = _train(known, target, sessions, going, bar)
    return run.rollout(known.of_session())


def _resolved(phase: Phase) -> tuple[Protocol, Status, int]:
    """A phase's protocol, target and horizon. Raises ValueError for what cannot be."""
    protocol, horizon = find_protocol(phase.protocol), whole("horizon", phase.horizon, 0)
    if horizon < 1:
        raise ValueError(f"horizon = {horizon}: expected at least one session")
    label = phase.until.label if isinstance(phase.until, Status) else phase.until
    return protocol, find_target(label, protocol), horizon


def _train(known: _Statuses, target: Status, horizon: int, going: np.ndarray, bar: tqdm) -> np.ndarray:
    """Train the mice `going` to a target, for so many sessions at most; returns those that reached it."""
    reached = [going[:0]]
    for _ in range(horizon):
        bar.update()
        if not len(going):
            continue
        there = known.add(going) >= target
        reached.append(going[there])
        going = going[~there]
    return np.sort(np.concatenate(reached))


class _Statuses:
    """What is known of each session so far, (M, D) each: status, task, and number of the protocol.

    The first columns are the sessions of the record before, of which the last days are kept.
    """

    def __init__(self, run: Simulation, most: int, before: Rollout | None) -> None:
        earlier = 0 if before is None else len(before.sessions.start)
        shape = len(run.sessions), earlier + most
        self.run = run
        self.earlier = earlier
        self.begun = run.sessions - earlier
        self.status = np.full(shape, UNDECIDED, np.int8)
        self.task = np.zeros(shape, np.int8)
        self.protocol = np.zeros(shape, np.int8)
        self.days: list[Any] = []
        if before is not None:
            self.status[:, :earlier] = before.of_session["status"]
            self.task[:, :earlier] = session_tasks(before)
            self.days = [decisive(before.of_sessions(np.array([s]))) for s in range(earlier)[1 - WINDOW :]]

    def add(self, who: np.ndarray) -> np.ndarray:
        """Train some mice (W,) for a session; returns their statuses at its end, (W,)."""
        run = self.run
        day = run.sessions[who] - self.begun[who]
        run.train(run.sessions + np.isin(np.arange(len(run.sessions)), who))
        codes = np.array([Task[task.upper()] for task in run.protocols[-1].tasks])
        self.task[who, day] = codes[[run.trials[m][-1].stage[0] for m in who]]
        self.protocol[who, day] = len(run.protocols) - 1
        self.status[who, day] = self._today(who)
        return self.status[who, day]

    def _today(self, who: np.ndarray) -> np.ndarray:
        """Status at the end of the last session, from the last WINDOW ones and their statuses; (W,)."""
        last = [[*self.days, *self.run.trials[m][-WINDOW:]][-WINDOW:] for m in who]
        stop = self.run.sessions[who] - self.begun[who]
        windows = [(m, slice(end - len(days), end)) for m, end, days in zip(who, stop, last, strict=True)]
        trials: dict[str, Any] = {
            name: np.concatenate([getattr(day, name) for days in last for day in days]) for name in DECISIVE
        }
        sessions = _offsets([len(day.session) for days in last for day in days])
        mice = _offsets([len(days) for days in last])
        tasks = np.concatenate([self.task[window] for window in windows])
        known = np.concatenate([self.status[window] for window in windows])
        status = training_status(summarise_sessions(**trials, sessions=sessions), mice, tasks, known=known)
        return status[mice[1:] - 1]

    def of_session(self) -> dict[str, np.ndarray]:
        """For the rollout: status and protocol of every session done, (S,)."""
        days = self.run.sessions - self.begun
        done = np.arange(self.status.shape[1]) < days[:, None]
        status = self.status[done]
        give_up(status, _offsets(days), self.task[done])
        own = np.nonzero(done)[1] >= self.earlier
        return {"status": status[own], "protocol": self.protocol[done][own]}


def _offsets(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
