"""How a cohort looks, for results.json: curves and distributions over its mice, and whether recorded mice lie inside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from twin.evaluation.statistics.choices import CONTRASTS, LEVELS
from twin.evaluation.statistics.definitions import aligned_curve
from twin.evaluation.statistics.mice import LAST, STAGES, Floats, MouseNumbers

QUANTILES = (2.5, 25.0, 50.0, 75.0, 97.5)  # percent, of bands over mice
LEAST_MICE = 10  # of a band


def fingerprint(mice: MouseNumbers) -> dict[str, Any]:
    """Bands over mice by session and contrast, and what each mouse is a point of; None where no mouse tells."""
    sessions, trials, _ = mice.totals.T
    return {
        "mice": mice.mice,
        "easy": bands(mice.easy),
        "balanced": bands(mice.balanced),
        "aligned": known(aligned_curve(mice)),
        "side_bias": bands(mice.side_bias),
        "levels": list(LEVELS),
        "psychometric": {stage: bands(mice.p_right[:, i]) for i, stage in enumerate(STAGES)},
        "contrasts": list(CONTRASTS),
        "accuracy": bands(mice.accuracy),
        "response_time": bands(mice.response_time),
        "sessions_to_proficiency": known(mice.sessions),
        "trials_to_proficiency": known(mice.trials),
        "trials_per_session": known(_ratio(trials, sessions)),
        "win_stay": known(_ratio(mice.stays_biased[:, 1], mice.stays_biased[:, 0])),
        "lose_shift": known(_ratio(mice.stays_biased[:, 3], mice.stays_biased[:, 2])),
    }


def bands(table: Floats) -> dict[str, Any]:
    """Over mice, at each place of a table (M, D) up to the last that a mouse has: how many know it, mean, QUANTILES (5, D)."""
    there = np.isfinite(table)
    mice = there.sum(axis=0)
    length = int(np.flatnonzero(mice).max(initial=-1)) + 1
    mean, quantiles = np.full(length, np.nan), np.full((len(QUANTILES), length), np.nan)
    for place in np.flatnonzero(mice[:length]):
        values = table[there[:, place], place]
        mean[place], quantiles[:, place] = values.mean(), np.percentile(values, QUANTILES)
    return {"mice": mice[:length].tolist(), "mean": known(mean), "quantiles": [known(row) for row in quantiles]}


def inside(recorded: MouseNumbers, virtual: MouseNumbers) -> float:
    """Fraction of recorded sessions inside the 95 % band of virtual learning curves (balanced accuracy); NaN if there are none.

    The band is over all virtual mice: one that is proficient, and trained no further, counts as in its last sessions.
    """
    curves = _carried_on(virtual)
    values, band = recorded.balanced[:, : curves.shape[1]], np.full((2, curves.shape[1]), np.nan)
    for session in range(curves.shape[1]):
        there = curves[np.isfinite(curves[:, session]), session]
        if len(there) >= LEAST_MICE:
            band[:, session] = np.percentile(there, [QUANTILES[0], QUANTILES[-1]])
    known = np.isfinite(values)
    hits = known & (values >= band[0, : values.shape[1]]) & (values <= band[1, : values.shape[1]])
    return hits.sum() / known.sum() if known.any() else np.nan


def _carried_on(mice: MouseNumbers) -> Floats:
    """Balanced accuracy by session (M, D); after proficiency, the mean of the sessions that led there."""
    curves = mice.balanced.copy()
    for m in np.flatnonzero(mice.reached > 0):
        end = int(mice.sessions[m])
        curves[m, end:] = curves[m, max(end - LAST, 0) : end].mean()
    return curves


def known(values: npt.NDArray[np.float64]) -> list[float | None]:
    """Values as JSON has them: None for what is not known."""
    return [value if np.isfinite(value) else None for value in values.tolist()]


def _ratio(part: Floats, whole: Floats) -> Floats:
    ratio: Floats = np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
    return ratio
