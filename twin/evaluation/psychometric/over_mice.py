"""Psychometric curves of single mice and their mean, so that mice at different stages are not one average mouse.

Pooled choices of a cohort are those of no mouse: mice with other thresholds and biases make a curve flatter than any of them,
and a contrast is pooled over the mice that were shown it. Here each mouse counts once at each contrast that it chose at.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from twin.evaluation.digest import Digest
from twin.evaluation.psychometric.curve import judged_fit
from twin.evaluation.session_summary import ALL_TRIALS

Floats = npt.NDArray[np.float64]


def curves_over_mice(data: Digest, there: npt.NDArray[np.bool_], some: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Curves of the mice in some sessions, `there` (S,), for results.json; of the mice `some` (rows) their own fractions too.

    Mean and 95 % interval (Student's t over mice) are of the mice that chose at a contrast; None with fewer than two.
    """
    n, right = _counts(data, there)
    seen = n.sum(axis=0) > 0
    levels, n, right = data.summary.levels[seen], n[:, seen], right[:, seen]
    p = np.where(n > 0, right / np.maximum(n, 1), np.nan)
    low, high = _interval(p)
    return {
        "levels": levels.tolist(),
        "mice": (n > 0).sum(axis=0).tolist(),
        "mean": np.nanmean(p, axis=0).tolist() if p.size else [],
        "ci95": [_known(low), _known(high)],
        "single_mice": {data.ids[m]: _known(p[m]) for m in some},
        "stages": _stages(data, there),
        **_determined(levels, n, p),
    }


def _counts(data: Digest, there: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Choices and right choices of each mouse at each level, (M, L)."""
    summary, mouse = data.summary, data.sessions.mouse[there]
    right = np.zeros((data.n_mice, summary.levels.size), np.int64)
    left = np.zeros_like(right)
    np.add.at(right, mouse, summary.right[there, ALL_TRIALS])
    np.add.at(left, mouse, summary.left[there, ALL_TRIALS])
    return left + right, right


def _interval(p: Floats) -> tuple[Floats, Floats]:
    """95 % intervals of the means over mice of fractions (M, L), NaN where a mouse is not counted or there are not two."""
    known = np.isfinite(p)
    mice = known.sum(axis=0)
    mean = np.where(known, p, 0.0).sum(axis=0) / np.maximum(mice, 1)
    spread = np.where(known, p - mean, 0.0)
    sd = np.sqrt((spread**2).sum(axis=0) / np.maximum(mice - 1, 1))
    half = student.ppf(0.975, np.maximum(mice - 1, 1)) * sd / np.sqrt(np.maximum(mice, 1))
    several = mice > 1
    return np.where(several, np.maximum(mean - half, 0.0), np.nan), np.where(several, np.minimum(mean + half, 1.0), np.nan)


def _determined(levels: Floats, n: npt.NDArray[np.int64], p: Floats) -> dict[str, Any]:
    """How many mice have a curve that determines threshold and bias, and the median and quartiles of these."""
    fits = [judged_fit(levels[row > 0], row[row > 0], fractions[row > 0]) for row, fractions in zip(n, p, strict=True)]
    good = [fit for fit, reason in fits if fit is not None and reason is None]
    return {
        "mice_determined": len(good),
        "threshold": _quartiles([fit.threshold for fit in good]),
        "bias": _quartiles([fit.bias for fit in good]),
    }


def _quartiles(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    low, median, high = np.percentile(values, [25, 50, 75])
    return {"median": float(median), "lower": float(low), "upper": float(high)}


def _stages(data: Digest, there: npt.NDArray[np.bool_]) -> dict[str, int]:
    """How many mice end the last of these sessions in each stage of their protocol; empty where stages are unknown."""
    if data.stages is None:
        return {}
    sessions = np.flatnonzero(there)
    last = sessions[np.append(np.diff(data.sessions.mouse[sessions]) > 0, True)] if len(sessions) else sessions
    stages, mice = np.unique(data.stages.last[last], return_counts=True)
    return {str(stage): int(count) for stage, count in zip(stages, mice, strict=True)}


def _known(values: Floats) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values.tolist()]
