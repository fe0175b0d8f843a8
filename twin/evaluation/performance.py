"""How a cohort performs: the numbers of a learning curve, and of training status."""

from __future__ import annotations

from typing import Any

import numpy as np

from twin.data.rollout import Rollout
from twin.evaluation.psychometric.curve import fit_psychometric, summarise
from twin.evaluation.session_summary import EASY_CONTRAST

FIRST_LAST = 3  # sessions at either end that are compared


def easy_performance(rollout: Rollout, least: float = EASY_CONTRAST) -> np.ndarray:
    """Fraction correct on easy trials in each session, (S,), NaN without any; a no-go counts as an error.

    Easy are contrasts of `least` and more.
    """
    easy = np.abs(rollout.contrast) >= least
    session = np.cumsum(rollout.new_session) - 1
    n = np.bincount(session, easy, minlength=len(rollout.sessions.start))
    correct = np.bincount(session, easy & (rollout.reward == 1), minlength=len(n))
    return np.divide(correct, n, out=np.full(len(n), np.nan), where=n > 0)


def session_in_order(rollout: Rollout) -> tuple[np.ndarray, np.ndarray]:
    """Position of each session in its mouse's record, from 0, and counted from the end, from 1; (S,) each."""
    mouse = rollout.sessions.mouse
    counts = np.bincount(mouse, minlength=rollout.n_mice)
    position = np.arange(len(mouse)) - np.concatenate([[0], np.cumsum(counts)])[mouse]
    return position, counts[mouse] - position


def behavior(rollout: Rollout) -> dict[str, Any]:
    """Summary of a rollout, for results.json: performance early and late, psychometric fit of the last sessions, stages."""
    performance, (position, from_end) = easy_performance(rollout), session_in_order(rollout)
    late = np.repeat(from_end <= FIRST_LAST, rollout.sessions.stop - rollout.sessions.start)
    levels, n, p_right = summarise(rollout.contrast[late], rollout.choice[late], no_go="excluded")
    curve = fit_psychometric(levels, n, p_right)
    lengths = rollout.sessions.stop - rollout.sessions.start
    return {
        "mice": rollout.n_mice,
        "trials": len(rollout),
        "trials_per_session": {"mean": float(lengths.mean()), "sd": float(lengths.std())},
        "easy_performance_first3": _mean(performance[position < FIRST_LAST]),
        "easy_performance_last3": _mean(performance[from_end <= FIRST_LAST]),
        "psychometric": {key: getattr(curve, key) for key in ("threshold", "bias", "lapse_low", "lapse_high")},
        "sessions_to_stage": _sessions_to_stage(rollout, position),
    }


def _sessions_to_stage(rollout: Rollout, position: np.ndarray) -> dict[str, Any]:
    """Session (from 1) in which mice first reach each stage of the protocol."""
    if "stage" not in rollout.columns:
        return {}
    session = position[np.cumsum(rollout.new_session) - 1] + 1
    out = {}
    for stage in range(1, int(rollout.stage.max()) + 1):
        reached = np.full(rollout.n_mice, np.inf)
        at = rollout.stage >= stage
        np.minimum.at(reached, rollout.mouse[at], session[at])
        there = reached[np.isfinite(reached)]
        out[str(stage)] = {
            "fraction_reached": len(there) / rollout.n_mice,
            "median": float(np.median(there)),
            "sd": float(there.std()),
        }
    return out


def _mean(values: np.ndarray) -> float | None:
    return float(np.nanmean(values)) if np.isfinite(values).any() else None
