"""The numbers behind the figures of behaviour: which sessions, how much was correct, how sure that is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from twin.data.rollout import Rollout
from twin.evaluation import performance as behavior
from twin.evaluation.performance import FIRST_LAST, session_in_order
from twin.evaluation.psychometric.curve import Psychometric, fit_psychometric, summarise
from twin.evaluation.session_summary import EASY_CONTRAST

FIT_LEVELS = 4  # a curve of four parameters needs as many contrasts
Z95 = 1.959963984540054  # 97.5 % quantile of the normal distribution


class Choices(NamedTuple):
    """Fractions of right choices by signed contrast, (L,) each, no-gos left out, and the curve through them, if it rises."""

    levels: np.ndarray  # percent
    p: np.ndarray
    low: np.ndarray  # of the 95 % interval
    high: np.ndarray
    n: int  # choices in all
    fit: Psychometric | None

    @property
    def on_slope(self) -> bool:
        """Does a contrast lie on the slope of the curve? If none does, threshold and bias are not determined."""
        return self.fit is not None and bool(np.abs(self.levels - self.fit.bias).min() < 1.5 * self.fit.threshold)


def choices(rollout: Rollout, pick: np.ndarray) -> Choices:
    """Choices by contrast in some trials (N,) bool; a curve is fitted to four contrasts or more."""
    levels, n, p = summarise(rollout.contrast[pick], rollout.choice[pick], no_go="excluded")
    levels, n, p = levels[n > 0], n[n > 0], p[n > 0]
    fit = fit_psychometric(levels, n, p) if len(levels) >= FIT_LEVELS else None
    rises = fit is not None and fit.lapse_low + fit.lapse_high < 1
    return Choices(levels, p, *wilson(p, n), int(n.sum()), fit if rises else None)


def wilson(p: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % intervals (low, high) of binomial fractions p of n trials (Wilson 1927, J Am Stat Assoc 22:209)."""
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 * np.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2)) / (1 + Z95**2 / n)
    return centre - half, centre + half


def ends(rollout: Rollout) -> tuple[np.ndarray, np.ndarray]:
    """Is a trial in the first, and is it in the last, FIRST_LAST sessions of its mouse? (N,) each."""
    position, from_end = session_in_order(rollout)
    trials = rollout.sessions.stop - rollout.sessions.start
    return np.repeat(position < FIRST_LAST, trials), np.repeat(from_end <= FIRST_LAST, trials)


def easy_performance(rollout: Rollout) -> tuple[np.ndarray, float]:
    """Fraction rewarded of easy trials, (M, S), NaN without any; and the contrast from which trials count as easy.

    That is EASY_CONTRAST, or the highest contrast if none reaches it. A no-go counts as an error.
    """
    least = min(EASY_CONTRAST, float(np.abs(rollout.contrast).max()))
    sessions = rollout.sessions
    table = np.full((rollout.n_mice, int(rollout.session.max()) + 1), np.nan)
    table[sessions.mouse, sessions.session] = behavior.easy_performance(rollout, least)
    return table, least


def stage_fractions(rollout: Rollout) -> tuple[np.ndarray, np.ndarray]:
    """Stages, and the fraction of mice in each at the end of each session, (stages, S), of the mice that had the session.

    Sessions under a protocol that followed the first are left out: its stages are others.
    """
    s = rollout.sessions
    first = rollout.of_session.get("protocol", np.zeros(len(s.session))) == 0
    session, reached = s.session[first], rollout.stage[s.stop[first] - 1]
    stages = np.unique(reached)
    counts = np.array([np.bincount(session[reached == k], minlength=int(s.session.max()) + 1) for k in stages])
    return stages, counts / np.maximum(counts.sum(axis=0), 1)
