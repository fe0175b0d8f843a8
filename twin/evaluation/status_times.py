"""Training statuses of a rollout's sessions, and how long its mice took to reach each status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import t as student

from envs.protocols import Protocol
from twin.data.rollout import Rollout
from twin.data.store import StoredRollout
from twin.evaluation.session_summary import summarise_rollout, summarise_sessions
from twin.evaluation.status import Status, Task, sessions_to_status, trials_to_status
from twin.evaluation.targets import TARGETS
from twin.evaluation.training_status import UNDECIDED, WINDOW, training_status

# Columns that the status follows from.
DECISIVE = ("contrast", "choice", "reward", "response_time", "probability_left")


def mice_offsets(rollout: Rollout | StoredRollout) -> np.ndarray:
    """First session of each mouse, and the number of all sessions, (M + 1,)."""
    return np.searchsorted(rollout.sessions.mouse, np.arange(rollout.n_mice + 1))


def session_tasks(rollout: Rollout) -> np.ndarray:
    """Task of every session (S,) int8, values of `Task`: as its protocol says or it was recorded to be, else by its blocks.

    A session of unknown task is a biased one if more than half of its trials are in blocks of .2 and .8 (`by_blocks`).
    """
    if "protocol" not in rollout.origin:
        told = told_tasks(rollout)
        return np.where(told >= 0, told, np.where(by_blocks(rollout), Task.BIASED, Task.TRAINING)).astype(np.int8)
    number = rollout.of_session.get("protocol", np.zeros(len(rollout.sessions.start), np.int8))
    stage, tasks = rollout.stage[rollout.sessions.start], np.zeros(len(number), np.int8)
    for i, table in enumerate([rollout.origin["protocol"], *rollout.origin.get("then", ())]):
        codes = np.array([Task[task.upper()] for task in Protocol(**table).tasks], np.int8)
        tasks[number == i] = codes[stage[number == i]]
    return tasks


def told_tasks(rollout: Rollout) -> np.ndarray:
    """Task of every recorded session (S,), -1 where it was not recorded."""
    return rollout.of_session.get("task", np.full(len(rollout.sessions.start), -1, np.int8))


def by_blocks(rollout: Rollout) -> np.ndarray:
    """Whether more than half of a session's trials are in blocks of .2 and .8, (S,) bool."""
    block = np.abs(np.abs(np.nan_to_num(rollout.probability_left, nan=0.5) - 0.5) - 0.3) < 1e-6
    sessions = rollout.sessions
    return np.add.reduceat(block, sessions.start) > 0.5 * (sessions.stop - sessions.start)


def with_status(rollout: Rollout) -> Rollout:
    """A rollout with the training status of every session in `of_session`, decided if it is not there yet."""
    if "status" in rollout.of_session:
        return rollout
    number = rollout.of_session.get("protocol", np.zeros(len(rollout.sessions.start), np.int8))
    status = training_status(summarise_rollout(rollout), mice_offsets(rollout), session_tasks(rollout))
    return replace(rollout, of_session=dict(rollout.of_session) | {"protocol": number, "status": status})


def decisive(rollout: Rollout) -> Rollout:
    """A rollout that has every column which a status follows from, NaN where it is not told."""
    unknown = np.full(len(rollout), np.nan, np.float32)
    return replace(rollout, columns=dict.fromkeys(DECISIVE, unknown) | dict(rollout.columns))


def with_status_after(rollout: Rollout, before: Rollout) -> Rollout:
    """A rollout with the status of every session, all its mice going on from the record `before` of one mouse.

    The statuses of that record must be there; its last sessions count in those that follow (`training_status`).
    """
    mice, days = rollout.n_mice, len(before.sessions.start)
    last = before.of_sessions(np.arange(days)[1 - WINDOW :])
    gone = np.zeros(days - len(last.sessions.start), np.int64)  # days of which the status alone counts
    lengths = np.concatenate([gone, last.sessions.stop - last.sessions.start])
    own, offsets = rollout.sessions.stop - rollout.sessions.start, mice_offsets(rollout)

    def joined(earlier: np.ndarray, later: np.ndarray, starts: np.ndarray) -> np.ndarray:
        return np.concatenate([part for m in range(mice) for part in (earlier, later[starts[m] : starts[m + 1]])])

    told = decisive(last)
    trials: dict[str, Any] = {name: joined(told.columns[name], rollout.columns[name], rollout.starts) for name in DECISIVE}
    sessions = np.concatenate([[0], np.cumsum(joined(lengths, own, offsets))])
    known = joined(before.of_session["status"], np.full(len(own), UNDECIDED, np.int8), offsets)
    tasks = joined(session_tasks(before), session_tasks(rollout), offsets)
    each = np.diff(offsets) + days
    status = training_status(
        summarise_sessions(**trials, sessions=sessions), np.concatenate([[0], np.cumsum(each)]), tasks, known=known
    )
    place = np.concatenate([np.arange(n) for n in each])
    return replace(rollout, of_session=dict(rollout.of_session) | {"status": status[place >= days]})


def times_to_status(rollout: Rollout | StoredRollout) -> dict[str, Any]:
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
