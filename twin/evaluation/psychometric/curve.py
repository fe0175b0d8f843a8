"""Psychometric functions of the IBL task: the curve, its maximum-likelihood fit, and what is reported of some sessions.

The curve is psychofit's `erf_psycho_2gammas`, with signed contrast c in percent (positive = right):

    P(right) = lapse_low + (1 - lapse_low - lapse_high) (erf((c - bias) / threshold) + 1) / 2

`lapse_low` is the floor at strong left stimuli, `1 - lapse_high` the ceiling at strong right ones; there is no square
root of two in the erf. Bias stays between the extreme levels, threshold below 100 %, lapses in [0, 1]. How the binomial
likelihood is maximised is in `kernels`; fits are deterministic.

Limits: data that a step explains (few levels, no errors) do not identify bias and threshold; the likelihood is then
flat and the point returned is one of many. Below a twelfth of the smallest gap between levels a smaller threshold gives
the same likelihoods, so none is returned.

Sources: ibllib `brainbox/behavior/training.py` and psychofit (curve, likelihood, bounds).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from twin.evaluation.intervals import wilson
from twin.evaluation.psychometric.kernels import fit_counts
from twin.evaluation.psychometric.likelihood import curve
from twin.evaluation.psychometric.starts import WIDEST
from twin.evaluation.session_summary import ALL_TRIALS, SessionSummary

Floats = npt.NDArray[np.float64]

FIT_LEVELS = 4  # a curve of four parameters needs as many contrasts
NOT_RISING = "no rising curve"
NOT_ON_SLOPE = "no contrast on the slope"
AT_BOUND = 1e-3  # of the width between its bounds: an estimate as near as that is at its bound
SLOPE = 1.5  # thresholds from the bias: within them a contrast lies on the slope


class Psychometric(NamedTuple):
    """A curve: bias and threshold in percent contrast, lapses in [0, 1], and its negative log-likelihood in nats."""

    bias: float
    threshold: float
    lapse_low: float
    lapse_high: float
    nll: float


def psychometric(contrast_percent: npt.ArrayLike, bias: float, threshold: float, lapse_low: float, lapse_high: float) -> Floats:
    """P(right) at signed contrasts in percent, in the shape of `contrast_percent` (psychofit `erf_psycho_2gammas`)."""
    contrast = np.asarray(contrast_percent, dtype=np.float64)
    p: Floats = curve(contrast.ravel(), bias, threshold, lapse_low, lapse_high)
    return p.reshape(contrast.shape)


def fit_psychometric(levels: npt.ArrayLike, n: npt.ArrayLike, p_right: npt.ArrayLike) -> Psychometric:
    """Maximum-likelihood curve through choices at some levels (percent): trials and p_right, each (L,).

    A level with n 0 or p_right NaN is left out; all is NaN without trials. Raises ValueError if the shapes differ.
    """
    columns = [np.asarray(column, dtype=np.float64) for column in (levels, n, p_right)]
    shapes = [column.shape for column in columns]
    if columns[0].ndim != 1 or len(set(shapes)) > 1:
        raise ValueError(f"levels, n, p_right have shapes {', '.join(map(str, shapes))}; give the same (L,) for all")
    order = np.argsort(columns[0])
    x, trials, p = (column[order] for column in columns)
    trials = np.where(np.isfinite(p), trials, 0.0)
    right = np.where(trials > 0.0, trials * p, 0.0)
    return Psychometric(*fit_counts(x, trials, right).tolist())


def describe_choices(summary: SessionSummary, sessions: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Choices by contrast in some sessions, pooled, and the curve through them, for results.json; no-gos are left out.

    `levels` (percent), `choices`, `right`, `p` and the 95 % intervals `ci95` (low, high) are of the contrasts that were chosen
    at. `fit` is None where there is no curve to speak of, and `reason` says why; a reason beside a fit says that its threshold
    and bias are not determined, only its lapses.
    """
    right = summary.right[sessions, ALL_TRIALS].sum(axis=0)
    n = right + summary.left[sessions, ALL_TRIALS].sum(axis=0)
    seen = n > 0
    levels, n, right = summary.levels[seen], n[seen], right[seen]
    p = right / n
    fit, reason = judged_fit(levels, n, p)
    columns = {"levels": levels, "choices": n, "right": right, "p": p}
    return {
        **{name: column.tolist() for name, column in columns.items()},
        "ci95": [limit.tolist() for limit in wilson(right, n)],
        "fit": None if fit is None else {key: getattr(fit, key) for key in ("threshold", "bias", "lapse_low", "lapse_high")},
        "reason": reason,
    }


def judged_fit(levels: Floats, n: npt.NDArray[np.int64], p: Floats) -> tuple[Psychometric | None, str | None]:
    """The curve through choices at some levels (L,), unless there is none, and what is wrong with it."""
    if len(levels) < FIT_LEVELS:
        return None, f"{NOT_RISING}: {len(levels)} of the {FIT_LEVELS} contrasts that a fit needs"
    fit = fit_psychometric(levels, n, p)
    if fit.lapse_low + fit.lapse_high >= 1.0:
        return None, NOT_RISING
    on_slope = np.abs(levels - fit.bias).min() < SLOPE * fit.threshold
    return fit, _bound_reached(fit, levels) if on_slope else NOT_ON_SLOPE


def _bound_reached(fit: Psychometric, levels: Floats) -> str | None:
    """Which bound a curve ends at, if it does: what is there is no estimate, the data favour what lies beyond."""
    if fit.threshold >= (1.0 - AT_BOUND) * WIDEST:
        return f"threshold at its bound of {WIDEST:.0f} %"
    low, high = float(levels[0]), float(levels[-1])
    if min(fit.bias - low, high - fit.bias) <= AT_BOUND * (high - low):
        return f"bias at its bound, the outermost contrast of {low if fit.bias < 0.5 * (low + high) else high:+.0f} %"
    return None
