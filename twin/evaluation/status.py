"""IBL training status of every session of every mouse.

A mouse's status on a day follows from its last three days (fewer if it has fewer), habituation days left out: the
trials of the window are pooled for the psychometric fits and the response time, while trial counts and easy performance
must hold in each session of the window. A status is never below that of the day before. `summarise_sessions` reads the
trials once; the status is then decided from the summary, and a curve is fitted only where every cheaper criterion holds
and the answer could raise the status.

Limits: a session is a day (join a day's recordings first); three sessions are not required, as in ibllib; and reaching
ready4delay without ever being ready4ephysrig does not save a mouse from unbiasable, also as in ibllib.

Sources: ibllib `brainbox/behavior/training.py` (windows, criteria) and `ibllib/pipes/training_status.py` (order, no
regression, untrainable, unbiasable).
"""

import math
from collections.abc import Sequence
from enum import IntEnum
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from twin.evaluation.psychometric.curve import STATUS as STATUS_BOUNDS
from twin.evaluation.psychometric.kernels import fit_counts
from twin.evaluation.session_summary import (
    ALL_TRIALS,
    BLOCK_20,
    BLOCK_80,
    SessionSummary,
    check_offsets,
    easy_performance,
    median_zero_time,
    pooled,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Int8s = npt.NDArray[np.int8]

WINDOW = 3  # sessions, ibllib compute_training_status
PATIENCE = 40  # sessions before untrainable and unbiasable, ibllib get_latest_training_information
RIG_SESSIONS = 3  # on the ephys rig, in the window, before ready4recording: ibllib criteria_recording
LONG_DELAY = 900.0  # s between session start and first trial, ibllib compute_training_status
UNDECIDED = -128  # in `known` of training_status: to be decided
STARTS = 5  # of each psychometric fit, psychofit mle_fit_psycho


class Status(IntEnum):
    """Training status, in order of progress (ibllib `TRAINING_STATUS`)."""

    UNTRAINABLE = -4
    UNBIASABLE = -3
    NOT_COMPUTED = -2
    HABITUATION = -1
    IN_TRAINING = 0
    TRAINED_1A = 1
    TRAINED_1B = 2
    READY4EPHYSRIG = 3
    READY4DELAY = 4
    READY4RECORDING = 5

    @property
    def label(self) -> str:
        """Name as written in files and reports, such as "trained_1a"."""
        return "in training" if self is Status.IN_TRAINING else self.name.lower()

    @classmethod
    def parse(cls, label: str) -> "Status":
        """The status with this label; spaces and underscores are the same. Raises ValueError if there is none."""
        for status in cls:
            if status.name == label.strip().replace(" ", "_").upper():
                return status
        raise ValueError(f"no training status {label!r}; expected one of {', '.join(s.label for s in cls)}")


class Task(IntEnum):
    """The task of a session: trainingChoiceWorld, biasedChoiceWorld, ephysChoiceWorld, habituationChoiceWorld."""

    TRAINING = 0
    BIASED = 1
    EPHYS = 2
    HABITUATION = 3


class Criteria(NamedTuple):
    """What a window must satisfy; every inequality is strict, and an infinite bound is no criterion."""

    trials: float  # more than this in every session
    easy: float  # more than this fraction correct at |contrast| >= 50 %, no-gos wrong, in every session
    zero_contrast: bool  # zero-contrast trials must be in the window
    lapse: float  # each lapse below this
    bias: float = math.inf  # |bias| below this, percent
    threshold: float = math.inf  # threshold below this, percent
    response_time: float = math.inf  # median at zero contrast below this, s; NaN fails
    bias_shift: float = -math.inf  # bias in .8 blocks minus bias in .2 blocks above this, percent


# ibllib criterion_1a; values from averages of sessions judged good
TRAINED_1A = Criteria(trials=200.0, easy=0.8, zero_contrast=True, lapse=0.2, bias=16.0, threshold=19.0)
# ibllib criterion_1b; its threshold is looser than that of 1a, which ibllib notes and keeps
TRAINED_1B = Criteria(trials=400.0, easy=0.9, zero_contrast=True, lapse=0.1, bias=10.0, threshold=20.0, response_time=2.0)
# ibllib criterion_ephys; lapses in both blocks. Its trials and easy also serve criterion_delay, in any rig session
READY4EPHYSRIG = Criteria(trials=400.0, easy=0.9, zero_contrast=False, lapse=0.1, response_time=2.0, bias_shift=5.0)


class CriteriaSet(NamedTuple):
    """The criteria of the three statuses that have their own."""

    trained_1a: Criteria = TRAINED_1A
    trained_1b: Criteria = TRAINED_1B
    ready4ephysrig: Criteria = READY4EPHYSRIG


IBL = CriteriaSet()


def training_status(
    summary: SessionSummary,
    mice: npt.ArrayLike,
    task: str | Sequence[str] | npt.ArrayLike = "training",
    *,
    ephys_rig: npt.ArrayLike | None = None,
    start_delay: npt.ArrayLike | None = None,
    criteria: CriteriaSet = IBL,
    known: npt.ArrayLike | None = None,
) -> Int8s:
    """Status at the end of each session: (S,) int8, values of `Status` (ibllib `get_latest_training_information`).

    mice: (M + 1,) offsets into sessions. task: (S,) or one for all, "training", "biased", "ephys", "habituation" or
    values of `Task`. ephys_rig: (S,) bool, run on an electrophysiology rig (default: sessions of the ephys task).
    start_delay: (S,) s before the first trial (default 0). known: (S,) statuses decided before, which are kept, UNDECIDED for
    the others: a day's status follows from the last WINDOW sessions and the status of the day before. Raises ValueError if
    shapes, offsets or names do not fit.
    """
    n_sessions = summary.n_trials.size
    starts = check_offsets("mice", mice, n_sessions)
    tasks = _task_codes(task, n_sessions)
    rig = _per_session("ephys_rig", tasks == Task.EPHYS if ephys_rig is None else ephys_rig, n_sessions, np.bool_)
    delay = _per_session("start_delay", 0.0 if start_delay is None else start_delay, n_sessions, np.float64)
    status = _per_session("known", UNDECIDED if known is None else known, n_sessions, np.int8)
    _decide(status, summary, starts, tasks, rig, delay >= LONG_DELAY, criteria, STATUS_BOUNDS.table)
    give_up(status, starts, tasks)
    return status


def sessions_to_status(status: npt.ArrayLike, mice: npt.ArrayLike, target: Status | str) -> Floats:
    """Sessions a mouse took to reach `target`, that session included, habituation not: (M,), NaN where not reached.

    status: (S,) from `training_status`. A target below "in training" is reached only by being exactly that.
    """
    return _total_until(status, mice, np.ones(np.size(status)), target)


def trials_to_status(status: npt.ArrayLike, mice: npt.ArrayLike, n_trials: npt.ArrayLike, target: Status | str) -> Floats:
    """As `sessions_to_status`, counting the trials of those sessions; n_trials: (S,)."""
    return _total_until(status, mice, _per_session("n_trials", n_trials, np.size(status), np.float64), target)


def _total_until(status: npt.ArrayLike, mice: npt.ArrayLike, amount: npt.NDArray[Any], target: Status | str) -> Floats:
    goal = Status.parse(target) if isinstance(target, str) else target
    days = np.asarray(status)
    starts = check_offsets("mice", mice, days.size)
    reached = days == goal if goal < Status.IN_TRAINING else days >= goal
    running = np.cumsum(np.where(days == Status.HABITUATION, 0.0, amount))
    total = np.full(starts.size - 1, np.nan)
    for mouse, (first, last) in enumerate(pairwise(starts)):
        hits = np.flatnonzero(reached[first:last])
        if hits.size:
            total[mouse] = running[first + hits[0]] - (running[first - 1] if first else 0.0)
    return total


def _task_codes(task: str | Sequence[str] | npt.ArrayLike, n_sessions: int) -> Int8s:
    values, where = np.unique(np.atleast_1d(np.asarray(task)), return_inverse=True)
    try:
        codes = [Task[v.upper()] if isinstance(v, str) else Task(int(v)) for v in values.tolist()]
    except (KeyError, ValueError) as error:
        raise ValueError(f"unknown task {error.args[0]}; expected {', '.join(t.name.lower() for t in Task)}") from None
    names = np.array(codes, dtype=np.int8)[where]
    return _per_session("task", names[0] if np.ndim(task) == 0 else names, n_sessions, np.int8)


def _per_session(name: str, values: npt.ArrayLike, n_sessions: int, dtype: type) -> npt.NDArray[Any]:
    column: npt.NDArray[Any] = np.array(values, dtype=dtype)
    if column.shape not in ((), (n_sessions,)):
        raise ValueError(f"{name} has shape {column.shape}; expected one value, or one per session: ({n_sessions},)")
    return np.full(n_sessions, column) if column.ndim == 0 else column


def give_up(status: Int8s, mice: Ints, task: Int8s) -> None:
    """Label in place the day a mouse is untrainable or unbiasable (ibllib `get_latest_training_information`)."""
    for first, last in pairwise(mice):
        days = status[first:last]
        waiting = np.flatnonzero(days == Status.IN_TRAINING)[:PATIENCE]
        if waiting.size == PATIENCE:
            days[waiting[-1]] = Status.UNTRAINABLE
        biased = np.flatnonzero(task[first:last] == Task.BIASED)[:PATIENCE]
        if biased.size == PATIENCE and not np.any(days[biased] == Status.READY4EPHYSRIG):
            days[biased[-1]] = Status.UNBIASABLE


@njit(cache=True, nogil=True)
def _decide(status, summary, mice, task, rig, late, criteria, table):  # type: ignore[no-untyped-def]
    """Decide in place every undecided status, never below the day before (ibllib `compute_training_status`)."""
    for mouse in range(mice.size - 1):
        best = Status.NOT_COMPUTED.value
        for session in range(mice[mouse], mice[mouse + 1]):
            if task[session] == Task.HABITUATION:
                status[session] = Status.HABITUATION.value
                continue
            if status[session] != UNDECIDED:
                best = max(best, status[session])
                continue
            days = np.arange(max(session + 1 - WINDOW, mice[mouse]), session + 1)
            window = days[task[days] != Task.HABITUATION.value]
            practising = (task[window] == Task.TRAINING.value).sum()
            if practising == window.size:
                best = max(best, _of_training(summary, window, best, criteria, table))
            elif practising > 0:
                best = max(best, Status.TRAINED_1B.value)
            else:
                best = max(best, _of_biased(summary, window, best, rig, late, criteria.ready4ephysrig, table))
            status[session] = best


@njit(cache=True, nogil=True)
def _of_training(summary, window, best, criteria, table):  # type: ignore[no-untyped-def]
    """Status of a window of training sessions, where it may exceed `best` (ibllib `criterion_1b`, `criterion_1a`)."""
    may_1b = best < Status.TRAINED_1B and _cheap(summary, window, criteria.trained_1b)
    may_1a = best < Status.TRAINED_1A and _cheap(summary, window, criteria.trained_1a)
    if may_1b or may_1a:
        n, right = pooled(summary, window)
        fit = fit_counts(summary.levels, n[ALL_TRIALS], right[ALL_TRIALS], table, STARTS)
        if may_1b and _curve_passes(fit, criteria.trained_1b):
            return Status.TRAINED_1B.value
        if may_1a and _curve_passes(fit, criteria.trained_1a):
            return Status.TRAINED_1A.value
    return Status.IN_TRAINING.value


@njit(cache=True, nogil=True)
def _of_biased(summary, window, best, rig, late, criteria, table):  # type: ignore[no-untyped-def]
    """Status of a window without training sessions (ibllib `criteria_recording`, `criterion_delay`, `_ephys`)."""
    trials = easy = False
    for s in window[rig[window]]:
        trials |= summary.n_trials[s] > criteria.trials
        easy |= easy_performance(summary, s) > criteria.easy
    delay = trials and easy
    recording = rig[window].sum() >= RIG_SESSIONS and late[window].any() and best < Status.READY4RECORDING
    useful = recording or (best < Status.READY4EPHYSRIG and not delay)
    if useful and _cheap(summary, window, criteria) and _blocks_pass(summary, window, criteria, table):
        return Status.READY4RECORDING.value if recording else Status.READY4EPHYSRIG.value
    return Status.READY4DELAY.value if delay else Status.TRAINED_1B.value


@njit(cache=True, nogil=True)
def _cheap(summary, window, criteria):  # type: ignore[no-untyped-def]
    """The criteria that need no fit."""
    zeros = 0
    for s in window:
        if not (summary.n_trials[s] > criteria.trials and easy_performance(summary, s) > criteria.easy):
            return False
        zeros += summary.zero_starts[s + 1] - summary.zero_starts[s]
    if criteria.zero_contrast and zeros == 0:
        return False
    return math.isinf(criteria.response_time) or median_zero_time(summary, window) < criteria.response_time


@njit(cache=True, nogil=True)
def _curve_passes(fit, criteria):  # type: ignore[no-untyped-def]
    """The criteria on one fitted curve (bias, threshold, lapses); NaN fails."""
    lapses = fit[2] < criteria.lapse and fit[3] < criteria.lapse
    return lapses and abs(fit[0]) < criteria.bias and fit[1] < criteria.threshold


@njit(cache=True, nogil=True)
def _blocks_pass(summary, window, criteria, table):  # type: ignore[no-untyped-def]
    """The criteria on the curves of the .2 and .8 blocks, and on the shift between their biases."""
    n, right = pooled(summary, window)
    fit_20 = fit_counts(summary.levels, n[BLOCK_20], right[BLOCK_20], table, STARTS)
    fit_80 = fit_counts(summary.levels, n[BLOCK_80], right[BLOCK_80], table, STARTS)
    shift = fit_80[0] - fit_20[0] > criteria.bias_shift
    return shift and _curve_passes(fit_20, criteria) and _curve_passes(fit_80, criteria)
