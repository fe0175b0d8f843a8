"""What is reported of each session and what its training status needs, counted in one compiled pass over the trials.

Trials, left and right choices are counted at each signed contrast, over all trials and within the .2 and .8 blocks. Training
status keeps no-gos in the denominator (trials: ibllib `compute_performance`), reports leave them out (left + right: the IBL's
paper-behavior). Sessions are pooled by adding their counts, so no trial is read twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from envs.compiled import njit
from twin.data.rollout import Rollout

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EASY_CONTRAST = 0.5  # ibllib compute_performance_easy
MAX_LEVELS = 64  # signed contrasts in a data set
ALL_TRIALS, BLOCK_20, BLOCK_80 = 0, 1, 2  # the middle axis of `counts`, `left` and `right`, by probability_left


class SessionSummary(NamedTuple):
    """Counts of S sessions at L signed contrast levels."""

    levels: Floats  # (L,) percent, ascending
    n_trials: Ints  # (S,) all trials, no-gos and repeats among them
    easy_trials: Ints  # (S,) at strong contrasts, 50 % and more unless told otherwise
    easy_correct: Ints  # (S,)
    counts: Ints  # (S, 3, L) trials: all, .2 blocks, .8 blocks
    left: Ints  # (S, 3, L) left choices
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
    easy: float = EASY_CONTRAST,
) -> SessionSummary:
    """Count the trials of every session.

    Trial columns are (T,): contrast signed, in [-1, 1]; choice 0 left, 1 right, -1 no-go; reward 0/1; response_time
    from stimulus onset in s, NaN allowed; probability_left. sessions: (S + 1,) offsets into them. easy: the contrast
    from which a trial is an easy one. Raises ValueError if shapes, offsets or contrasts do not fit.
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
    return SessionSummary(100.0 * levels, *_count(levels, tuple(trials.values()), starts, easy))


def summarise_rollout(rollout: Rollout, easy: float = EASY_CONTRAST) -> SessionSummary:
    """`summarise_sessions` of all sessions of a rollout."""
    unknown = np.full(len(rollout), np.nan, np.float32)
    return summarise_sessions(
        rollout.contrast,
        rollout.choice,
        rollout.reward,
        rollout.columns.get("response_time", unknown),
        rollout.probability_left,
        np.append(rollout.sessions.start, len(rollout)),
        easy,
    )


def join_summaries(parts: Sequence[SessionSummary]) -> SessionSummary:
    """The sessions of all parts, one after the other, at every level that any of them has."""
    if len(parts) == 1:
        return parts[0]
    levels = np.unique(np.concatenate([part.levels for part in parts]))
    if levels.size > MAX_LEVELS:
        raise ValueError(f"contrast has more than {MAX_LEVELS} different values; expected a discrete set")
    sessions = sum(len(part.n_trials) for part in parts)
    counts = [np.zeros((sessions, 3, levels.size), np.int64) for _ in ("counts", "left", "right")]
    first = 0
    for part in parts:
        rows, at = slice(first, first + len(part.n_trials)), np.searchsorted(levels, part.levels)
        for whole, own in zip(counts, (part.counts, part.left, part.right), strict=True):
            whole[rows][..., at] = own
        first = rows.stop
    each = [np.concatenate(column) for column in zip(*(part[1:4] for part in parts), strict=True)]
    zeros = np.concatenate([np.diff(part.zero_starts) for part in parts])
    times = np.concatenate([part.zero_times for part in parts])
    fields: list[Any] = [levels, *each, *counts, times, np.append(0, np.cumsum(zeros))]
    return SessionSummary(*fields)


def easy_contrast(contrast: npt.NDArray[np.float32]) -> float:
    """The contrast from which trials are easy: EASY_CONTRAST, or the highest of these (T,) if none reaches it."""
    return min(EASY_CONTRAST, float(np.abs(contrast).max(initial=0.0)))


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
def easy_performances(summary: SessionSummary) -> Floats:
    """`easy_performance` of every session, (S,)."""
    fractions = np.empty(summary.n_trials.size)
    for session in range(fractions.size):
        fractions[session] = easy_performance(summary, session)
    return fractions


@njit(cache=True, nogil=True)
def median_zero_time(summary: SessionSummary, window: Ints) -> float:
    """Median response time (s) at zero contrast, NaNs left out (ibllib `compute_median_reaction_time`)."""
    size = 0
    for s in window:
        size += summary.zero_starts[s + 1] - summary.zero_starts[s]
    times = np.empty(size)
    end = 0
    for s in window:
        start = end
        end += summary.zero_starts[s + 1] - summary.zero_starts[s]
        times[start:end] = summary.zero_times[summary.zero_starts[s] : summary.zero_starts[s + 1]]
    times = times[~np.isnan(times)]
    return np.median(times) if times.size else np.nan


@njit(cache=True, nogil=True)
def pooled(summary: SessionSummary, window: Ints) -> tuple[Floats, Floats]:
    """Trials and right choices over some sessions: two (3, L) arrays, rows ALL_TRIALS, BLOCK_20, BLOCK_80."""
    n = np.zeros((3, summary.levels.size))
    right = np.zeros((3, summary.levels.size))
    for s in window:
        n += summary.counts[s]
        right += summary.right[s]
    return n, right


@njit(cache=True, nogil=True)
def _distinct(contrast: Floats) -> Floats:
    """Different contrasts, ascending; stops beyond MAX_LEVELS."""
    found = np.empty(MAX_LEVELS + 1)
    size = 0
    for c in contrast:
        if size <= MAX_LEVELS and not (found[:size] == c).any():
            found[size] = c
            size += 1
    return np.sort(found[:size])


@njit(cache=True, nogil=True)
def _count(levels, trials, sessions, easy):  # type: ignore[no-untyped-def]
    """The fields of SessionSummary after the levels."""
    contrast, choice, reward, response_time, probability_left = trials
    n = sessions.size - 1
    easy_trials = np.zeros(n, np.int64)
    easy_correct = np.zeros(n, np.int64)
    counts = np.zeros((n, 3, levels.size), np.int64)
    left = np.zeros((n, 3, levels.size), np.int64)
    right = np.zeros((n, 3, levels.size), np.int64)
    zero_times = np.empty(contrast.size)
    zero_starts = np.zeros(n + 1, np.int64)
    zeros = 0
    for s in range(n):
        for t in range(sessions[s], sessions[s + 1]):
            level = np.searchsorted(levels, contrast[t])
            counts[s, ALL_TRIALS, level] += 1
            left[s, ALL_TRIALS, level] += choice[t] == 0
            right[s, ALL_TRIALS, level] += choice[t] == 1
            for block, probability in ((BLOCK_20, 0.2), (BLOCK_80, 0.8)):
                if abs(probability_left[t] - probability) < 1e-6:  # float32 columns
                    counts[s, block, level] += 1
                    left[s, block, level] += choice[t] == 0
                    right[s, block, level] += choice[t] == 1
            if abs(contrast[t]) >= easy:
                easy_trials[s] += 1
                easy_correct[s] += reward[t] == 1
            if contrast[t] == 0:
                zero_times[zeros] = response_time[t]
                zeros += 1
        zero_starts[s + 1] = zeros
    return np.diff(sessions), easy_trials, easy_correct, counts, left, right, zero_times[:zeros].copy(), zero_starts
