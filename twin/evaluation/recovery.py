"""Has the rule been recovered? The inferred update against the true one, and the weights and parameters likewise.

The grid is that of Liu, Geadah & Pillow 2025 (arXiv 2509.04661): 17 stimuli and 17 stimulus weights from -2 to 2, biases -1,
0 and 1, both choices. An error there scales with the learning rate, so it is also given relative to the root mean square of
the true update on the same points; and again on trials drawn from those the mice went through (visited).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from agents.closed_form import as_mice
from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.data.trials import Trials
from twin.evaluation.memory_probe import history_gap
from twin.inference.fit import Fit, single_update

STIMULI = ("stimulus", "contrast", "scaled_contrast")
VISITED = 200  # trials drawn from each mouse


class Points(NamedTuple):
    """Single trials at which updates are compared, (N, ...)."""

    w: np.ndarray  # (N, K)
    x: np.ndarray  # (N, K)
    choice: np.ndarray  # (N,)
    reward: np.ndarray  # (N,)


def paper_grid(features: Sequence[str]) -> Points:
    """The paper's grid over stimulus and bias weight; other features and their weights are 0, a zero stimulus is right's."""
    axis = np.linspace(-2, 2, 17)
    s, w, b, choice = (a.ravel() for a in np.meshgrid(axis, axis, [-1.0, 0.0, 1.0], [0, 1], indexing="ij"))
    shape = (s.size, len(features))
    x, weights = np.zeros(shape), np.zeros(shape)
    stimulus, bias = stimulus_column(features), list(features).index("bias")
    x[:, stimulus], x[:, bias], weights[:, stimulus], weights[:, bias] = s, 1.0, w, b
    return Points(weights, x, choice, (choice == (s >= 0)).astype(int))


def stimulus_column(features: Sequence[str]) -> int:
    """Where the stimulus is among the features. Raises ValueError if it is not there, or the bias is not."""
    names = [f for f in STIMULI if f in features]
    if not names or "bias" not in features:
        raise ValueError(f"features {list(features)}: the update is compared over a stimulus ({', '.join(STIMULI)}) and 'bias'")
    return list(features).index(names[0])


def visited(rollout: Rollout, trials: Trials, mouse: int) -> Points:
    """Trials of one simulated mouse, spread evenly over its record, with its true weights."""
    assert rollout.weights is not None
    counted = np.flatnonzero(trials.mask[mouse])
    at = counted[np.linspace(0, counted.size - 1, min(VISITED, counted.size)).astype(int)]
    weights = rollout.weights[rollout.of_mouse(mouse)][at].astype(float)
    return Points(weights, trials.x[mouse, at], trials.choice[mouse, at], trials.reward[mouse, at])


def true_update(cohort: Cohort, theta: np.ndarray, points: Points) -> np.ndarray:
    """What the cohort's own rule does to one mouse with parameters theta (P,) at each point, (N, K)."""
    of_rule = cohort.layout.unpack(np.tile(theta, (len(points.w), 1))).rule_parameters
    return single_update(as_mice(cohort.learning_rule, of_rule, points.w), *points)


def errors(true: np.ndarray, inferred: np.ndarray) -> dict[str, float]:
    """RMSE, RMSE relative to the rms of the true values, and R^2."""
    rmse = float(np.sqrt(np.mean((inferred - true) ** 2)))
    rms = float(np.sqrt(np.mean(true**2)))
    spread = float(np.mean((true - true.mean()) ** 2))
    return {
        "rmse": rmse,
        "relative_rmse": rmse / rms if rms else float("nan"),
        "r2": 1.0 - rmse**2 / spread if spread else float("nan"),
    }


def recovery(fit: Fit, cohort: Cohort, rollout: Rollout, trials: Trials, weights: np.ndarray | None = None) -> dict[str, Any]:
    """Errors of a fit to simulated mice; updates are those of the stimulus weight, as in the paper, over all mice.

    `weights` (M, T, K) are those of the fit, if they are known already: with noise they take a second for each mouse. Raises
    ValueError for a mouse that is not in the fit, or features that are not those of the fit, in the order of the mice's.
    """
    if fit.features != rollout.features and sorted(fit.features) == sorted(rollout.features):
        raise ValueError(
            f"the fit's features {list(fit.features)} are in another order than the mice's {list(rollout.features)}"
        )
    trials = trials.with_features(fit.features)
    weights = fit.weights(trials) if weights is None else weights
    true = true_weights(rollout, trials)
    right = rollout.choice == 1
    log_true = np.log(np.where(right, rollout.p_right, 1.0 - rollout.p_right.astype(float))[rollout.choice >= 0])
    return {
        "nll_per_trial": float(-fit.log_likelihood(trials).sum() / trials.mask.sum()),
        "true_nll_per_trial": float(-log_true.mean()),
        **_update_errors(fit, cohort, rollout, trials),
        **_spread(fit, trials.features),
        "weights_rmse": float(np.sqrt(np.nanmean((weights - true) ** 2))),
        "parameters": _parameters(fit, rollout),
        "history_gap": _history_gap(fit, cohort, rollout, trials, true),
    }


def true_weights(rollout: Rollout, trials: Trials) -> np.ndarray:
    """The true weights as those of a fit are given, (M, T, K), NaN beyond a mouse's last trial."""
    weights = np.full_like(trials.x, np.nan)
    weights[np.arange(weights.shape[1]) < trials.lengths[:, None]] = rollout.weights
    return weights


def _update_errors(fit: Fit, cohort: Cohort, rollout: Rollout, trials: Trials) -> dict[str, float]:
    """Errors of the update of the stimulus weight, on the grid and on visited trials."""
    assert rollout.theta is not None
    column = stimulus_column(trials.features)
    grid = paper_grid(trials.features)
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    pairs_visited: list[tuple[np.ndarray, np.ndarray]] = []
    for m, row in enumerate(fit.rows(trials.ids)):
        for points, found in ((grid, pairs), (visited(rollout, trials, m), pairs_visited)):
            true = true_update(cohort, rollout.theta[m], points)
            found.append((true[:, column], fit.update(row, *points)[:, column]))
    on_visited = errors(*np.concatenate(pairs_visited, axis=1))
    return errors(*np.concatenate(pairs, axis=1)) | {f"{key}_visited": v for key, v in on_visited.items()}


def _spread(fit: Fit, features: Sequence[str]) -> dict[str, float]:
    """What the data leave open of the update (`Fit.spread`) relative to the rms of its mean; nothing for fits of one rule."""
    points = paper_grid(features)
    column = stimulus_column(features)
    spread = fit.spread(*points)
    if spread is None:
        return {}
    size = np.sqrt(np.mean(fit.update(0, *points)[:, column] ** 2))
    return {"relative_spread": float(np.sqrt(np.mean(spread[:, column] ** 2)) / size) if size else float("nan")}


def _history_gap(fit: Fit, cohort: Cohort, rollout: Rollout, trials: Trials, weights: np.ndarray) -> dict[str, Any]:
    """How updates depend on earlier trials, truly and by the fit; see `history_gap`."""
    assert rollout.theta is not None
    theta: np.ndarray = rollout.theta
    first = weights[:, 0]
    rows = fit.rows(trials.ids)

    def true(mice: np.ndarray) -> Any:
        return as_mice(cohort.learning_rule, cohort.layout.unpack(theta[mice]).rule_parameters, first[mice])

    def fitted(mice: np.ndarray) -> Any:
        return fit.agents(rows[mice], first[mice])

    return history_gap(true, fitted, trials, weights, stimulus_column(trials.features))


def _parameters(fit: Fit, rollout: Rollout) -> dict[str, Any]:
    """True and estimated value of every fitted parameter that the cohort's rule has too, with the coverage of its intervals."""
    assert rollout.theta is not None
    out = {}
    rows = fit.rows(rollout.ids)
    for name, estimates in fit.parameters().items():
        if name not in rollout.theta_names:
            continue
        true = rollout.theta[:, rollout.theta_names.index(name)]
        values, intervals = (a[rows] for a in estimates)
        low, high = intervals.T
        out[name] = {
            "true": true.tolist(),
            "estimate": values.tolist(),
            "ci95": intervals.tolist(),
            "covered": float(np.mean((low <= true) & (true <= high))),
        }
    return out
