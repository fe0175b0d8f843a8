"""Deciding the IBL training status of every session of every mouse.

A mouse's status on a day follows from its last three days (fewer if it has fewer), habituation days left out: the
trials of the window are pooled for the psychometric fits and the response time, while trial counts and easy performance
must hold in each session of the window. A status is never below that of the day before. `summarise_sessions` reads the
trials once; the status is then decided from the summary, and a curve is fitted only where every cheaper criterion holds
and the answer could raise the status.

Limits: a session is a day (join a day's recordings first); three sessions are not required, as in ibllib; and reaching
ready4delay without ever being ready4ephysrig does not save a mouse from unbiasable, also as in ibllib.

Sources: ibllib `brainbox/behavior/training.py` (windows, criteria) and `ibllib/pipes/training_status.py` (no regression,
untrainable, unbiasable).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from envs.compiled import njit
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
from twin.evaluation.status import PATIENCE, READY4EPHYSRIG, TRAINED_1A, TRAINED_1B, Status, Task, per_session

Ints = npt.NDArray[np.int64]
Int8s = npt.NDArray[np.int8]

WINDOW = 3  # sessions, ibllib compute_training_status
RIG_SESSIONS = 3  # on the ephys rig, in the window, before ready4recording: ibllib criteria_recording
LONG_DELAY = 900.0  # s between session start and first trial, ibllib compute_training_status
UNDECIDED = -128  # in `known` of training_status: to be decided


def training_status(
    summary: SessionSummary,
    mice: npt.ArrayLike,
    task: str | Sequence[str] | npt.ArrayLike = "training",
    *,
    ephys_rig: npt.ArrayLike | None = None,
    start_delay: npt.ArrayLike | None = None,
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
    rig = per_session("ephys_rig", tasks == Task.EPHYS if ephys_rig is None else ephys_rig, n_sessions, np.bool_)
    delay = per_session("start_delay", 0.0 if start_delay is None else start_delay, n_sessions, np.float64)
    status = per_session("known", UNDECIDED if known is None else known, n_sessions, np.int8)
    _decide(status, summary, starts, tasks, rig, delay >= LONG_DELAY)
    give_up(status, starts, tasks)
    return status


def _task_codes(task: str | Sequence[str] | npt.ArrayLike, n_sessions: int) -> Int8s:
    values, where = np.unique(np.atleast_1d(np.asarray(task)), return_inverse=True)
    try:
        codes = [Task[v.upper()] if isinstance(v, str) else Task(int(v)) for v in values.tolist()]
    except (KeyError, ValueError) as error:
        raise ValueError(f"unknown task {error.args[0]}; expected {', '.join(t.name.lower() for t in Task)}") from None
    names = np.array(codes, dtype=np.int8)[where]
    return per_session("task", names[0] if np.ndim(task) == 0 else names, n_sessions, np.int8)


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
def _decide(status, summary, mice, task, rig, late):  # type: ignore[no-untyped-def]
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
                best = max(best, _of_training(summary, window, best))
            elif practising > 0:
                best = max(best, Status.TRAINED_1B.value)
            else:
                best = max(best, _of_biased(summary, window, best, rig, late))
            status[session] = best


@njit(cache=True, nogil=True)
def _of_training(summary, window, best):  # type: ignore[no-untyped-def]
    """Status of a window of training sessions, where it may exceed `best` (ibllib `criterion_1b`, `criterion_1a`)."""
    may_1b = best < Status.TRAINED_1B and _cheap(summary, window, TRAINED_1B)
    may_1a = best < Status.TRAINED_1A and _cheap(summary, window, TRAINED_1A)
    if may_1b or may_1a:
        n, right = pooled(summary, window)
        fit = fit_counts(summary.levels, n[ALL_TRIALS], right[ALL_TRIALS])
        if may_1b and _curve_passes(fit, TRAINED_1B):
            return Status.TRAINED_1B.value
        if may_1a and _curve_passes(fit, TRAINED_1A):
            return Status.TRAINED_1A.value
    return Status.IN_TRAINING.value


@njit(cache=True, nogil=True)
def _of_biased(summary, window, best, rig, late):  # type: ignore[no-untyped-def]
    """Status of a window without training sessions (ibllib `criteria_recording`, `criterion_delay`, `_ephys`)."""
    trials = easy = False
    for s in window[rig[window]]:
        trials |= summary.n_trials[s] > READY4EPHYSRIG.trials
        easy |= easy_performance(summary, s) > READY4EPHYSRIG.easy
    delay = trials and easy
    recording = rig[window].sum() >= RIG_SESSIONS and late[window].any() and best < Status.READY4RECORDING
    useful = recording or (best < Status.READY4EPHYSRIG and not delay)
    if useful and _cheap(summary, window, READY4EPHYSRIG) and _blocks_pass(summary, window):
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
def _blocks_pass(summary, window):  # type: ignore[no-untyped-def]
    """The criteria on the curves of the .2 and .8 blocks, and on the shift between their biases."""
    n, right = pooled(summary, window)
    fit_20 = fit_counts(summary.levels, n[BLOCK_20], right[BLOCK_20])
    fit_80 = fit_counts(summary.levels, n[BLOCK_80], right[BLOCK_80])
    shift = fit_80[0] - fit_20[0] > READY4EPHYSRIG.bias_shift
    return shift and _curve_passes(fit_20, READY4EPHYSRIG) and _curve_passes(fit_80, READY4EPHYSRIG)
