"""What each mouse did from its first day on: the numbers that every summary statistic of a cohort is made of.

A mouse is proficient at the end of the session in which it first has status trained_1a or 1b (IBL et al 2021, eLife
10:e63711); its *last* sessions are the three that led there, from which that status was decided. Training ends with that
session, or with the horizon for a mouse that does not get there. Sessions with blocks, if there are any, are its *biased* ones.

Easy trials are those of 50 % contrast and more. `side_bias` of a session is the mean of P(right) at easy stimuli on the right
and on the left, minus 1/2: 0 for a mouse without a preference, 1/2 for one that only goes right. `balanced` accuracy is the
mean over the two sides of the fraction correct at contrasts other than 0, which the debiasing of the rig does not move.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from twin.data.rollout import Rollout
from twin.evaluation.psychometric.curve import judged_fit
from twin.evaluation.session_summary import ALL_TRIALS, EASY_CONTRAST, SessionSummary, easy_performances, summarise_rollout
from twin.evaluation.statistics.choices import balanced_accuracy, by_contrast, repetitions, response_medians, side_biases
from twin.evaluation.status import Status, Task, sessions_to_status, trials_to_status
from twin.evaluation.status_times import mice_offsets, session_tasks, with_status

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HORIZON = 60  # sessions; the slowest published mouse took 59
LAST = 3  # sessions from which status is decided, and that are compared at the beginning of training
LEAST_SESSIONS = 6  # of a mouse whose first and last three sessions are compared
STAGES = ("first", "last", "biased")  # of the psychometric curves


class MouseNumbers(NamedTuple):
    """Of M mice, NaN where a mouse has none; D sessions of training, L signed levels, C contrasts."""

    reached: Floats  # (M,) 1 if proficient within the horizon, else 0
    sessions: Floats  # (M,) to proficiency
    trials: Floats  # (M,) to proficiency
    easy_error: Floats  # (M,) in the last sessions
    threshold: Floats  # (M,) in the last sessions, %
    bias: Floats  # (M,) psychometric, in the last sessions, %
    training_threshold: Floats  # (M,) mean over sessions of training, %
    easy_first: Floats  # (M,) fraction correct of easy choices, first sessions, of mice proficient after LEAST_SESSIONS or more
    easy_last: Floats  # (M,) the same in the last sessions
    totals: Floats  # (M, 3) sessions, trials and no-gos of training
    stays_training: Floats  # (M, 4) after reward: trials, of them same choice; after error: trials, of them other choice
    stays_biased: Floats  # (M, 4) the same in biased sessions
    side_bias: Floats  # (M, D) by session
    easy: Floats  # (M, D) easy performance by session
    balanced: Floats  # (M, D) balanced accuracy by session
    accuracy: Floats  # (M, C) fraction correct of choices at each contrast, biased sessions
    response_time: Floats  # (M, C) median, s, biased sessions
    p_right: Floats  # (M, 3, L) fraction of right choices by STAGES

    @property
    def mice(self) -> int:
        """Number of mice."""
        return len(self.reached)

    def take(self, rows: npt.ArrayLike) -> MouseNumbers:
        """Some of the mice, by row."""
        return MouseNumbers(*(column[np.asarray(rows)] for column in self))


def join_mice(parts: Sequence[MouseNumbers]) -> MouseNumbers:
    """The mice of several tables in a row."""
    return MouseNumbers(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def describe_mice(rollout: Rollout, horizon: int = HORIZON) -> MouseNumbers:
    """The numbers of every mouse of a rollout, simulated from naive mice or recorded from the first day on."""
    rollout = with_status(rollout)
    summary, offsets = summarise_rollout(rollout), mice_offsets(rollout)
    status, tasks = rollout.of_session["status"], session_tasks(rollout)
    sessions = sessions_to_status(status, offsets, Status.TRAINED_1A)
    sessions[sessions > horizon] = np.nan
    trials = trials_to_status(status, offsets, summary.n_trials, Status.TRAINED_1A)
    parts = _Parts.of(rollout, tasks, offsets, sessions, horizon)
    easy, bias = easy_performances(summary), side_biases(summary)
    balanced = balanced_accuracy(rollout)
    accuracies = easy_correct_of_choices(summary)
    compared = sessions >= LEAST_SESSIONS
    last_threshold, last_bias = _pooled_curves(rollout, summary, parts.last)
    stays_plain, stays = repetitions(rollout, repeats=False), repetitions(rollout, repeats=True)
    no_gos = np.add.reduceat((rollout.choice < 0).astype(float), rollout.sessions.start)
    totals = np.stack([np.ones(len(no_gos)), summary.n_trials, no_gos], axis=1)
    by_stage = [by_contrast(rollout, summary, there) for there in (parts.first, parts.last, parts.biased)]
    correct, medians = response_medians(rollout, parts.biased)
    reached = np.isfinite(sessions)
    return MouseNumbers(
        reached.astype(float),
        sessions,
        np.where(reached, trials, np.nan),
        1 - parts.ratio(parts.last, summary.easy_correct, summary.easy_trials),
        last_threshold,
        last_bias,
        _mean_threshold(rollout, summary, parts.training),
        np.where(compared, parts.mean(parts.first, accuracies), np.nan),
        np.where(compared, parts.mean(parts.last, accuracies), np.nan),
        parts.sums(parts.training, totals),
        parts.sums(parts.last, stays_plain),
        parts.sums(parts.biased, stays),
        parts.by_session(bias, horizon),
        parts.by_session(easy, horizon),
        parts.by_session(balanced, horizon),
        correct,
        medians,
        np.stack(by_stage, axis=1),
    )


def easy_correct_of_choices(summary: SessionSummary) -> Floats:
    """Fraction correct of the easy trials with a choice, (S,); NaN without any."""
    easy = np.abs(summary.levels) >= 100 * EASY_CONTRAST
    made = (summary.left + summary.right)[:, ALL_TRIALS, easy].sum(axis=1)
    return np.where(made > 0, summary.easy_correct / np.maximum(made, 1), np.nan)


class _Parts(NamedTuple):
    """Which sessions (S,) are a mouse's training, its first, its last and its biased ones."""

    mouse: Ints
    position: Ints  # of a session in its mouse's record, from 0
    mice: int
    training: npt.NDArray[np.bool_]
    first: npt.NDArray[np.bool_]
    last: npt.NDArray[np.bool_]
    biased: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, rollout: Rollout, tasks: Ints, offsets: Ints, sessions: Floats, horizon: int) -> _Parts:
        """From the task of each session (S,) and each mouse's sessions to proficiency (M,), NaN without."""
        mouse = rollout.sessions.mouse
        practice = (tasks != Task.HABITUATION).astype(np.int64)
        before = np.cumsum(practice) - practice
        position = before - before[np.minimum(offsets[:-1], len(before) - 1)][mouse]
        end = np.where(np.isfinite(sessions), sessions, horizon)[mouse]
        training = (tasks == Task.TRAINING) & (position < end)
        last = training & (position >= end - LAST) & np.isfinite(sessions)[mouse]
        return cls(mouse, position, rollout.n_mice, training, training & (position < LAST), last, tasks == Task.BIASED)

    def sums(self, there: npt.NDArray[np.bool_], values: npt.NDArray[np.generic]) -> Floats:
        """Sums over some sessions of values (S, ...), for each mouse."""
        total = np.zeros((self.mice, *values.shape[1:]))
        np.add.at(total, self.mouse[there], values[there])
        return total

    def ratio(self, there: npt.NDArray[np.bool_], part: npt.NDArray[np.generic], whole: npt.NDArray[np.generic]) -> Floats:
        """Sum of a part over that of the whole, for each mouse."""
        total = self.sums(there, whole)
        return np.where(total > 0, self.sums(there, part) / np.maximum(total, 1), np.nan)

    def mean(self, there: npt.NDArray[np.bool_], values: Floats) -> Floats:
        """Mean over some sessions of values (S,), for each mouse; unknown ones are left out."""
        known = there & np.isfinite(values)
        return self.ratio(known, values, np.ones(len(values)))

    def by_session(self, values: Floats, horizon: int) -> Floats:
        """Values (S,) of the sessions of training, (M, horizon)."""
        table = np.full((self.mice, horizon), np.nan)
        table[self.mouse[self.training], self.position[self.training]] = values[self.training]
        return table


def _pooled_curves(rollout: Rollout, summary: SessionSummary, there: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Threshold and bias (M,) of the curve through all choices of some sessions, where these determine it."""
    threshold, bias = np.full((2, rollout.n_mice), np.nan)
    for m in np.unique(rollout.sessions.mouse[there]):
        threshold[m], bias[m] = _curve(summary, np.flatnonzero(there & (rollout.sessions.mouse == m)))
    return threshold, bias


def _mean_threshold(rollout: Rollout, summary: SessionSummary, there: npt.NDArray[np.bool_]) -> Floats:
    """Mean over some sessions of the threshold of the session's own curve, where it determines it; (M,)."""
    found = np.array([_curve(summary, np.array([s]))[0] if there[s] else np.nan for s in range(len(there))])
    known = np.isfinite(found)
    n = np.bincount(rollout.sessions.mouse[known], minlength=rollout.n_mice)
    total = np.bincount(rollout.sessions.mouse[known], found[known], minlength=rollout.n_mice)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def _curve(summary: SessionSummary, sessions: Ints) -> tuple[float, float]:
    """Threshold and bias of the curve through the choices of some sessions, NaN where they do not determine it."""
    right = summary.right[sessions, ALL_TRIALS].sum(axis=0)
    n = right + summary.left[sessions, ALL_TRIALS].sum(axis=0)
    seen = n > 0
    fit, reason = judged_fit(summary.levels[seen], n[seen], right[seen] / n[seen])
    return (fit.threshold, fit.bias) if fit is not None and reason is None else (np.nan, np.nan)
