"""What the training status needs of each session, counted in one compiled pass over the trials.

Choices are counted at each signed contrast, over all trials and within the .2 and .8 blocks, no-gos in the denominators
(ibllib `compute_performance`). Sessions are pooled by adding their counts, so no trial is read twice.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EASY_CONTRAST = 0.5  # ibllib compute_performance_easy
MAX_LEVELS = 64  # signed contrasts in a data set
ALL_TRIALS, BLOCK_20, BLOCK_80 = 0, 1, 2  # the middle axis of `counts` and `right`, by probability_left


class SessionSummary(NamedTuple):
    """Counts of S sessions at L signed contrast levels."""

    levels: Floats  # (L,) percent, ascending
    n_trials: Ints  # (S,) all trials, no-gos and repeats among them
    easy_trials: Ints  # (S,) at |contrast| >= 50 %
    easy_correct: Ints  # (S,)
    counts: Ints  # (S, 3, L) trials: all, .2 blocks, .8 blocks
    right: Ints  # (S, 3, L) right choices
    zero_times: Floats  # response times at zero contrast, s, all sessions in order
    zero_starts: Ints  # (S + 1,) offsets into zero_times


def summarise_sessions(
    contrast: npt.ArrayLike,
    choice: npt.ArrayLike,
    reward: npt.ArrayLike,
    response_time: npt.ArrayLike,
    probability_left: npt.ArrayLike,
    sessions: npt.ArrayLike,
) -> SessionSummary:
    """Count the trials of every session.

    Trial columns are (T,): contrast signed, in [-1, 1]; choice 0 left, 1 right, -1 no-go; reward 0/1; response_time
    from stimulus onset in s, NaN allowed; probability_left. sessions: (S + 1,) offsets into them. Raises ValueError if
    shapes, offsets or contrasts do not fit.
    """
    columns = {"contrast": contrast, "choice": choice, "reward": reward, "response_time": response_time}
    trials = {name: np.asarray(column) for name, column in (columns | {"probability_left": probability_left}).items()}
    shapes = {name: column.shape for name, column in trials.items()}
    if trials["contrast"].ndim != 1 or len(set(shapes.values())) > 1:
        raise ValueError(f"trial columns have shapes {shapes}; expected the same (T,) for all")
    starts = check_offsets("sessions", sessions, trials["contrast"].size)
    signed = trials["contrast"]
    if signed.size and not np.abs(signed).max() <= 1.0:
        raise ValueError("contrast is NaN or beyond 1; give signed fractions in [-1, 1], 0 where there is no stimulus")
    levels = _distinct(signed)
    if levels.size > MAX_LEVELS:
        raise ValueError(f"contrast has more than {MAX_LEVELS} different values; expected a discrete set")
    return SessionSummary(100.0 * levels, *_count(levels, tuple(trials.values()), starts))


def check_offsets(name: str, offsets: npt.ArrayLike, total: int) -> Ints:
    """Offsets as int64, or ValueError unless they rise from 0 to `total`."""
    starts = np.asarray(offsets, dtype=np.int64)
    if starts.ndim != 1 or starts.size == 0 or starts[0] != 0 or starts[-1] != total or np.any(np.diff(starts) < 0):
        raise ValueError(f"{name} is {starts}; expected offsets rising from 0 to {total}")
    return starts


@njit(cache=True, nogil=True)
def easy_performance(summary: SessionSummary, session: int) -> float:
    """Fraction correct of easy trials, NaN without any (ibllib `compute_performance_easy`)."""
    trials = summary.easy_trials[session]
    return summary.easy_correct[session] / trials if trials else np.nan


@njit(cache=True, nogil=True)
def median_zero_time(summary: SessionSummary, window: Ints) -> float:
    """Median response time (s) at zero contrast, NaNs left out (ibllib `compute_median_reaction_time`)."""
    size = 0
    for s in window:
        size += summary.zero_starts[s + 1] - summary.zero_starts[s]
    times, end = np.empty(size), 0
    for s in window:
        start, end = end, end + summary.zero_starts[s + 1] - summary.zero_starts[s]
        times[start:end] = summary.zero_times[summary.zero_starts[s] : summary.zero_starts[s + 1]]
    times = times[~np.isnan(times)]
    return np.median(times) if times.size else np.nan


@njit(cache=True, nogil=True)
def pooled(summary: SessionSummary, window: Ints) -> tuple[Floats, Floats]:
    """Trials and right choices over some sessions: two (3, L) arrays, rows ALL_TRIALS, BLOCK_20, BLOCK_80."""
    n, right = np.zeros((3, summary.levels.size)), np.zeros((3, summary.levels.size))
    for s in window:
        n += summary.counts[s]
        right += summary.right[s]
    return n, right


@njit(cache=True, nogil=True)
def _distinct(contrast: Floats) -> Floats:
    """Different contrasts, ascending; stops beyond MAX_LEVELS."""
    found, size = np.empty(MAX_LEVELS + 1), 0
    for c in contrast:
        if size <= MAX_LEVELS and not (found[:size] == c).any():
            found[size] = c
            size += 1
    return np.sort(found[:size])


@njit(cache=True, nogil=True)
def _count(levels, trials, sessions):  # type: ignore[no-untyped-def]
    """The fields of SessionSummary after the levels."""
    contrast, choice, reward, response_time, probability_left = trials
    n = sessions.size - 1
    easy_trials, easy_correct = np.zeros(n, np.int64), np.zeros(n, np.int64)
    counts, right = np.zeros((n, 3, levels.size), np.int64), np.zeros((n, 3, levels.size), np.int64)
    zero_times, zero_starts, zeros = np.empty(contrast.size), np.zeros(n + 1, np.int64), 0
    for s in range(n):
        for t in range(sessions[s], sessions[s + 1]):
            level = np.searchsorted(levels, contrast[t])
            counts[s, ALL_TRIALS, level] += 1
            right[s, ALL_TRIALS, level] += choice[t] == 1
            for block, probability in ((BLOCK_20, 0.2), (BLOCK_80, 0.8)):
                if abs(probability_left[t] - probability) < 1e-6:  # float32 columns
                    counts[s, block, level] += 1
                    right[s, block, level] += choice[t] == 1
            if abs(contrast[t]) >= EASY_CONTRAST:
                easy_trials[s] += 1
                easy_correct[s] += reward[t] == 1
            elif contrast[t] == 0:
                zero_times[zeros] = response_time[t]
                zeros += 1
        zero_starts[s + 1] = zeros
    return np.diff(sessions), easy_trials, easy_correct, counts, right, zero_times[:zeros].copy(), zero_starts
