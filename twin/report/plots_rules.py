"""The numbers behind the figures of rules: updates over a grid of stimuli and weights, and axes that strays do not stretch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

Update = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # (w, x, choice, reward) -> (N, K)

CELLS = 60  # along either side of a map; even, so that no cell is centred on a zero stimulus
STRAY = 5.0  # times the usual error and half interval: an estimate farther from the truth does not stretch the axis


class UpdateGrid(NamedTuple):
    """Updates of the stimulus weight by rule, 'true' first."""

    stimulus: np.ndarray  # (CELLS,)
    weight: float  # where the slices are
    maps: dict[str, np.ndarray]  # (2, CELLS, CELLS): after right, after left choices; rows are stimulus weights
    slices: dict[str, np.ndarray]  # (2, CELLS): after correct, after incorrect choices


def update_grid(
    updates: Mapping[str, Update],
    features: Sequence[str],
    weight_range: tuple[float, float],
    stimulus_range: tuple[float, float],
) -> UpdateGrid:
    """Updates at the centres of a grid, bias weight 0, other features 0; rewarded if the choice has the sign of the stimulus.

    Raises ValueError if there is no stimulus or no bias among the features.
    """
    stimulus, weight = (np.linspace(*ends, 2 * CELLS + 1)[1::2] for ends in (stimulus_range, weight_range))
    s, w = np.meshgrid(stimulus, weight)
    middle = np.full(CELLS, np.mean(weight_range))
    correct = (stimulus >= 0).astype(int)
    maps, slices = {}, {}
    for name in sorted(updates, key=lambda name: name != "true"):
        rule = updates[name]
        maps[name] = np.array([_stimulus_update(rule, features, s, w, np.full(s.shape, c)) for c in (1, 0)])
        slices[name] = np.array([_stimulus_update(rule, features, stimulus, middle, c) for c in (correct, 1 - correct)])
    return UpdateGrid(stimulus, float(middle[0]), maps, slices)


def _stimulus_update(
    update: Update, features: Sequence[str], s: np.ndarray, weight: np.ndarray, choice: np.ndarray
) -> np.ndarray:
    from twin.evaluation.recovery import stimulus_column  # torch is imported only when inference is used

    column = stimulus_column(features)
    x, w = np.zeros((2, s.size, len(features)))
    x[:, column], x[:, list(features).index("bias")], w[:, column] = s.ravel(), 1.0, weight.ravel()
    reward = (choice == (s >= 0)).astype(int)
    return np.asarray(update(w, x, choice.ravel(), reward.ravel()))[:, column].reshape(s.shape)


def recovery_limits(true: np.ndarray, estimate: np.ndarray, ci95: np.ndarray) -> tuple[float, float]:
    """An axis for true values, estimates (M,) and typical intervals (M, 2), whatever strays and unbounded intervals are."""
    error, half = np.abs(estimate - true), np.abs(ci95 - estimate[:, None])
    typical = float(np.median(half[np.isfinite(half)])) if np.isfinite(half).any() else 0.0
    core = np.concatenate([true, estimate[error <= STRAY * (np.median(error) + typical)]])
    span = float(np.ptp(core))
    pad = max(min(1.5 * typical, span or math.inf), 0.1 * span) or max(0.1 * abs(core[0]), 1e-3)
    return float(core.min()) - pad, float(core.max()) + pad
