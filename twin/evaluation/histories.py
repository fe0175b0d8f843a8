"""Rewarded and unrewarded histories to be compared, and the probes that are put after them.

A history is a mouse's record up to a trial. It is called rewarded if at least MANY of its last LAST choices were rewarded, and
unrewarded if at most FEW were. Where mice learn, rewarded histories are those of large weights, so only those are compared
whose weights are near where the two kinds meet, and the probes have such weights: elsewhere no mouse tells what would happen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from twin.data.trials import Trials

LAST, FEW, MANY = 10, 3, 7
NEAR = 0.1  # fraction of the histories of either kind that are compared, those of weights nearest to where the kinds meet
PER_MOUSE = 5  # histories of either kind, at most
LEVELS = 17  # stimuli among the probes, at most
PLACES = 2  # recorded trials after either kind of history whose weights the probes have


class Record(NamedTuple):
    """What M mice went through (T, K weights)."""

    trials: Trials
    weights: np.ndarray  # (M, T, K) the true ones, finite
    column: int  # of the stimulus


class Histories(NamedTuple):
    """Which histories are compared (H), sorted by mouse, each mouse with both kinds; and where the two kinds meet."""

    mouse: np.ndarray
    trial: np.ndarray
    rewarded: np.ndarray
    meeting: float  # stimulus weight: the fraction of rewarded histories below it is that of unrewarded ones above

    @classmethod
    def of(cls, record: Record) -> Histories:
        """Histories near the meeting, spread evenly over each mouse's."""
        recent, w = recent_rewards(record.trials), record.weights[..., record.column]
        kinds = _shared([recent >= MANY, (recent >= 0) & (recent <= FEW)])
        if not kinds[0].any():
            return cls(np.zeros(0, int), np.zeros(0, int), np.zeros(0, bool), float("nan"))
        meeting = _meeting(*(w[kind] for kind in kinds))
        away = np.abs(w - meeting)
        rewarded, unrewarded = _shared([kind & (away <= np.quantile(away[kind], NEAR)) for kind in kinds])
        found = [
            (m, t, kind is rewarded)
            for m in range(len(w))
            for kind in (rewarded, unrewarded)
            for t in _spread(np.flatnonzero(kind[m]), PER_MOUSE)
        ]
        mouse, trial, which = np.array(found, int).reshape(-1, 3).T
        return cls(mouse, trial, which == 1, meeting)


class Probes(NamedTuple):
    """Rewarded choices of the stimulus's side (N), put after every history; those of one stimulus follow each other."""

    w: np.ndarray  # (N, K)
    x: np.ndarray  # (N, K)
    choice: np.ndarray  # (N, 1)
    p_right: np.ndarray  # (N, 1)

    @classmethod
    def of(cls, record: Record, histories: Histories) -> Probes:
        """Stimuli that were shown, times weights (and other features) of recorded trials nearest to the meeting."""
        trials, column = record.trials, record.column
        levels = _spread(np.unique(trials.x[trials.mask][:, column]), LEVELS)
        away = np.abs(record.weights[histories.mouse, histories.trial, column] - histories.meeting)
        kinds = (histories.rewarded, ~histories.rewarded)
        nearest = np.concatenate([np.flatnonzero(k)[np.argsort(away[k], kind="stable")[:PLACES]] for k in kinds])
        at = histories.mouse[nearest], histories.trial[nearest]
        w, x = (np.tile(a[at], (len(levels), 1)) for a in (record.weights, trials.x))
        x[:, column] = np.repeat(levels, len(nearest))
        return cls(w, x, (x[:, [column]] >= 0).astype(float), p_right(w, x))


def p_right(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Probability of a right choice before lapses, (..., 1)."""
    return 1.0 / (1.0 + np.exp(-np.sum(w * x, axis=-1, keepdims=True)))


def recent_rewards(trials: Trials) -> np.ndarray:
    """Rewards of the last LAST choices before each choice, (M, T); -1 where there were fewer choices, or is none."""
    recent = np.full(trials.choice.shape, -1)
    for m, counted in enumerate(trials.mask):
        total = np.concatenate([[0], np.cumsum(trials.reward[m, counted], dtype=int)])
        recent[m, np.flatnonzero(counted)[LAST:]] = total[LAST:-1] - total[: -LAST - 1]
    return recent


def _shared(kinds: list[np.ndarray]) -> list[np.ndarray]:
    """The same (M, T) without mice that have only one of the kinds."""
    both = np.all([kind.any(axis=1) for kind in kinds], axis=0)
    return [kind & both[:, None] for kind in kinds]


def _meeting(rewarded: np.ndarray, unrewarded: np.ndarray) -> float:
    either = np.concatenate([rewarded, unrewarded])
    below, below_too = (np.searchsorted(np.sort(w), either) / len(w) for w in (rewarded, unrewarded))
    return float(either[np.argmin(np.abs(below + below_too - 1.0))])


def _spread(values: np.ndarray, most: int) -> np.ndarray:
    return values[np.linspace(0, len(values) - 1, min(most, len(values))).astype(int)]
