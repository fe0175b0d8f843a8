"""Training to a status: a mouse stops, or goes on under the next protocol, at the end of the day it reaches what is asked.

Every mouse is trained session by session, and its status decided after each one as the laboratory would: from its last
three sessions and the status of the day before. Mice are independent, so the trials are those of a run to the horizon,
cut for each mouse after its day; what follows under another protocol starts from the weights it had then.

A mouse that is labelled untrainable (40 sessions without a status) is trained on to the horizon: published mice reached
proficiency as late as their 59th session (IBL et al 2021, eLife 10:e63711). Give a horizon of 40 to stop there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t as student

from envs.names import suggest
from envs.protocols import Protocol, load_protocol
from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.evaluation.session_summary import summarise_rollout, summarise_sessions
from twin.evaluation.status import Status, Task, sessions_to_status, trials_to_status
from twin.evaluation.training_status import UNDECIDED, WINDOW, give_up, training_status
from twin.simulation.simulation import Driver, Simulation, progress_bar

# The furthest that sessions of a task lead. READY4RECORDING needs a session that starts 15 min late, which none does here.
FURTHEST = {
    "habituation": Status.HABITUATION,
    "training": Status.TRAINED_1B,
    "biased": Status.READY4EPHYSRIG,
    "ephys": Status.READY4DELAY,
}
TARGETS = tuple(s for s in Status if Status.IN_TRAINING < s <= Status.READY4DELAY)
_TRIALS = ("contrast", "choice", "reward", "response_time", "probability_left")  # what the status follows from


class Phase(NamedTuple):
    """Training under one protocol until a status is reached, for at most `horizon` sessions."""

    protocol: Protocol | str
    until: Status | str
    horizon: int


def find_target(label: str, protocol: Protocol) -> Status:
    """The status with this label. Raises ValueError naming the nearest one, or saying why the protocol cannot lead there."""
    labels = [s.label for s in TARGETS]
    if label == Status.READY4RECORDING.label:
        raise ValueError(
            f"status {label!r} needs a session that starts 15 min late, which virtual ones do not; try {labels[-1]!r}"
        )
    if label.strip().replace(" ", "_").lower() not in labels:
        raise ValueError(suggest("status", label, labels))
    target, furthest = Status.parse(label), max(FURTHEST[task] for task in protocol.tasks)
    if target > furthest:
        tasks = " and ".join(dict.fromkeys(protocol.tasks))
        leads = f"lead to {furthest.label} at most" if furthest > Status.IN_TRAINING else "lead to no status"
        raise ValueError(
            f"status {target.label!r} cannot be reached: the {tasks} sessions of protocol {protocol.name!r} {leads}"
        )
    return target


def simulate_until(
    cohort: Cohort,
    protocol: Protocol | str = "ibl-documented",
    *,
    until: Status | str,
    horizon: int,
    then: Sequence[Phase] = (),
    seed: int = 1,
    mice: range | None = None,
    driver: Driver = "auto",
    workers: int = 2,
    progress: bool = False,
) -> Rollout:
    """Train every mouse until a status, for at most `horizon` sessions; those that reach it go on with each phase of `then`.

    The rollout's `of_session` holds the status at the end of each session and its protocol. `mice` picks some of the
    cohort's. Raises ValueError for a status that does not exist or that the protocol cannot lead to, or a horizon below 1.
    """
    plan = [_resolved(phase) for phase in (Phase(protocol, until, horizon), *then)]
    run = Simulation(cohort, plan[0][0], seed, mice=mice, driver=driver, workers=workers)
    most = sum(sessions for _, _, sessions in plan)
    days, going = _Days(run, most), np.arange(len(run.members))
    with progress_bar(most, "session", progress) as bar:
        for number, (following, target, sessions) in enumerate(plan):
            if number > 0 and len(going):
                run.change_protocol(following, going)
            going = _train(days, target, sessions, going, bar)
    return run.rollout(days.of_session())


def _resolved(phase: Phase) -> tuple[Protocol, Status, int]:
    """A phase's protocol, target and horizon. Raises ValueError for what cannot be."""
    protocol = load_protocol(phase.protocol) if isinstance(phase.protocol, str) else phase.protocol
    if phase.horizon < 1:
        raise ValueError(f"horizon = {phase.horizon}: expected at least one session")
    label = phase.until.label if isinstance(phase.until, Status) else phase.until
    return protocol, find_target(label, protocol), phase.horizon


def _train(days: _Days, target: Status, horizon: int, going: np.ndarray, bar: Any) -> np.ndarray:
    """Train the mice `going` to a target, for so many sessions at most; returns those that reached it."""
    reached = [going[:0]]
    for _ in range(horizon):
        bar.update()
        if not len(going):
            continue
        there = days.add(going) >= target
        reached.append(going[there])
        going = going[~there]
    return np.sort(np.concatenate(reached))


class _Days:
    """What is known of each session so far, (M, D) each: status, task, and number of the protocol."""

    def __init__(self, run: Simulation, most: int) -> None:
        shape = len(run.members), most
        self.run = run
        self.status = np.full(shape, UNDECIDED, np.int8)
        self.task, self.protocol = np.zeros(shape, np.int8), np.zeros(shape, np.int8)

    def add(self, who: np.ndarray) -> np.ndarray:
        """Train some mice (W,) for a session; returns their statuses at its end, (W,)."""
        run = self.run
        day = run.sessions[who]
        run.train(run.sessions + np.isin(np.arange(len(run.sessions)), who))
        codes = np.array([Task[task.upper()] for task in run.protocols[-1].tasks])
        self.task[who, day] = codes[[run.pieces[m][-1].stage[0] for m in who]]
        self.protocol[who, day] = len(run.protocols) - 1
        self.status[who, day] = self._today(who)
        return self.status[who, day]

    def _today(self, who: np.ndarray) -> np.ndarray:
        """Status at the end of the last session, from the last WINDOW ones and their statuses; (W,)."""
        pieces = [self.run.pieces[m][-WINDOW:] for m in who]
        windows = [
            (m, slice(self.run.sessions[m] - len(last), self.run.sessions[m])) for m, last in zip(who, pieces, strict=True)
        ]
        days = [piece for last in pieces for piece in last]
        trials: dict[str, Any] = {name: np.concatenate([getattr(day, name) for day in days]) for name in _TRIALS}
        sessions = _offsets([len(piece.session) for last in pieces for piece in last])
        mice = _offsets([len(last) for last in pieces])
        tasks, known = (np.concatenate([table[window] for window in windows]) for table in (self.task, self.status))
        status = training_status(summarise_sessions(**trials, sessions=sessions), mice, tasks, known=known)
        return status[mice[1:] - 1]

    def of_session(self) -> dict[str, np.ndarray]:
        """For the rollout: status and protocol of every session done, (S,)."""
        done = np.arange(self.status.shape[1]) < self.run.sessions[:, None]
        status = self.status[done]
        give_up(status, _offsets(self.run.sessions), self.task[done])
        return {"status": status, "protocol": self.protocol[done]}


def _offsets(lengths: Any) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def mice_offsets(rollout: Rollout) -> np.ndarray:
    """First session of each mouse, and the number of all sessions, (M + 1,)."""
    return np.searchsorted(rollout.sessions.mouse, np.arange(rollout.n_mice + 1))


def with_status(rollout: Rollout) -> Rollout:
    """A simulated rollout with the training status of every session in `of_session`, decided if it is not there yet."""
    if "status" in rollout.of_session:
        return rollout
    number = rollout.of_session.get("protocol", np.zeros(len(rollout.sessions.start), np.int8))
    stage, tasks = rollout.stage[rollout.sessions.start], np.zeros(len(number), np.int8)
    for i, table in enumerate([rollout.origin["protocol"], *rollout.origin.get("then", ())]):
        codes = np.array([Task[task.upper()] for task in Protocol(**table).tasks])
        tasks[number == i] = codes[stage[number == i]]
    status = training_status(summarise_rollout(rollout), mice_offsets(rollout), tasks)
    return replace(rollout, of_session=dict(rollout.of_session) | {"protocol": number, "status": status})


def times_to_status(rollout: Rollout) -> dict[str, Any]:
    """`sessions_to_status` and `trials_to_status` for results.json: of each status that some mouse reached.

    Median, mean, standard deviation and 95 % interval of the mean (Student's t) are of the mice that reached it, as
    published days to proficiency are; `fraction_reached` is of all. The rollout needs its statuses (`with_status`).
    """
    status, mice = rollout.of_session["status"], mice_offsets(rollout)
    lengths = rollout.sessions.stop - rollout.sessions.start
    labels = [s.label for s in (*TARGETS, Status.UNTRAINABLE, Status.UNBIASABLE)]
    sessions = {label: _describe(sessions_to_status(status, mice, label)) for label in labels}
    trials = {label: _describe(trials_to_status(status, mice, lengths, label)) for label in labels}
    return {"sessions_to_status": _reached(sessions), "trials_to_status": _reached(trials)}


def _reached(rows: Mapping[str, Any]) -> dict[str, Any]:
    return {label: row for label, row in rows.items() if row["fraction_reached"] > 0}


def _describe(times: np.ndarray) -> dict[str, Any]:
    """Of the mice that reached a status; times (M,), NaN where not."""
    there = times[np.isfinite(times)]
    n = len(there)
    if n == 0:
        return {"fraction_reached": 0.0}
    sd = float(there.std(ddof=1)) if n > 1 else None
    half = student.ppf(0.975, n - 1) * sd / np.sqrt(n) if sd is not None else None
    mean = float(there.mean())
    return {
        "median": float(np.median(there)),
        "mean": mean,
        "sd": sd,
        "ci95": None if half is None else [mean - half, mean + half],
        "fraction_reached": n / len(times),
    }
