"""Where mice have been: which stimuli, at which weights, with which choice. Elsewhere a fitted rule is not told by any trial.

The cells are every stimulus that was shown, times steps of the stimulus weight from naive mice (0) to the largest that the mice
have had, times both choices. Other weights and features may be anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Self

import numpy as np

from twin.data.trials import Trials

STEPS = 17  # of the weight, and stimuli at most, as on the grid of Liu, Geadah & Pillow 2025
ENDS = 1.0, 99.0  # percentiles of the weights
POINTS = 200  # trials of each mouse, at most


def weight_range(weights: Iterable[np.ndarray]) -> tuple[float, float]:
    """Whole numbers between which stimulus weights lie, 0 among them; the rarest weights on either side are left out."""
    known = np.concatenate([w[np.isfinite(w)] for w in weights])
    low, high = np.percentile(known, ENDS) if known.size else (0.0, 0.0)
    floor, ceiling = float(np.floor(min(low, 0.0))), float(np.ceil(max(high, 0.0)))
    return floor, max(ceiling, floor + 1.0)


class Visits(NamedTuple):
    """How often mice were in each cell."""

    stimulus: np.ndarray  # (L,) ascending
    weights: tuple[float, float]  # between which the steps are
    counts: np.ndarray  # (2, STEPS, L): after left, after right choices

    @classmethod
    def of(cls, trials: Trials, weights: np.ndarray, column: int) -> Self:
        """Of all mice; weights (M, T, K) before each trial, of which `column` is that of the stimulus."""
        x, w, choice = trials.x[trials.mask][:, column], weights[trials.mask][:, column], trials.choice[trials.mask]
        levels = np.unique(x)
        levels = levels if len(levels) <= STEPS else np.linspace(levels[0], levels[-1], STEPS)
        empty = cls(levels, weight_range([w]), np.zeros((2, STEPS, len(levels)), int))
        known = np.isfinite(w)
        step, level, inside = empty._cells(x[known], w[known])
        np.add.at(empty.counts, (choice[known][inside], step[inside], level[inside]), 1)
        return empty

    @property
    def never(self) -> float:
        """Fraction of the cells that no trial was in."""
        return float(np.mean(self.counts == 0))

    def at(self, stimulus: np.ndarray, weight: np.ndarray, choice: int) -> np.ndarray:
        """Was there a trial like this? Of the shape of stimulus and weight, which are alike."""
        step, level, inside = self._cells(stimulus, weight)
        return np.asarray(inside & (self.counts[choice, step, level] > 0))

    def _cells(self, stimulus: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Step and level of each place, and whether its weight is in the range; a stimulus is that of the nearest level."""
        low, high = self.weights
        step = np.floor(STEPS * (weight - low) / (high - low)).astype(int)
        level = np.searchsorted((self.stimulus[1:] + self.stimulus[:-1]) / 2, stimulus)
        return np.clip(step, 0, STEPS - 1), level, (weight >= low) & (weight <= high)


def visited_points(trials: Trials, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Trials of all mice, spread evenly over each one's record: weights, features (N, K), choices and rewards (N,)."""
    parts = []
    for m, mask in enumerate(trials.mask):
        made = np.flatnonzero(mask)
        at = made[np.linspace(0, len(made) - 1, min(POINTS, len(made))).astype(int)]
        parts.append((weights[m, at], trials.x[m, at], trials.choice[m, at], trials.reward[m, at]))
    w, x, choice, reward = (np.concatenate(each) for each in zip(*parts, strict=True))
    return w, x, choice, reward
