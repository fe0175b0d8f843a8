"""How a cohort performs: the numbers of its psychometric and learning curves, and of its progress through the protocol.

`behavior` computes each of them once; the terminal and the figures show what it returns.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.data.rollout import Rollout
from twin.evaluation.mice import mouse_rows
from twin.evaluation.psychometric.curve import describe_choices
from twin.evaluation.psychometric.over_mice import curves_over_mice
from twin.evaluation.session_summary import easy_contrast, easy_performances, summarise_rollout

Floats = npt.NDArray[np.float64]

FIRST_LAST = 3  # sessions at either end that are compared
MICE_SHOWN = 20  # whose own curves are kept beside those of all
LEAST_MICE, LEAST_SHARE = 5, 0.1  # a median of fewer mice, or of less than this share of all, is one of a few survivors


def behavior(rollout: Rollout) -> dict[str, Any]:
    """What mice did, for results.json: performance and psychometric curves early and late, learning curve, stages, each mouse.

    Easy performance is the fraction correct on easy trials, no-gos being errors; `psychometric` is the fit of the last
    sessions, None where there is no curve to speak of (`psychometric_curves` says why). Raises ValueError for contrasts that
    are not a discrete set.
    """
    easy = easy_contrast(rollout.contrast)
    summary = summarise_rollout(rollout, easy)
    performance = easy_performances(summary)
    position, from_end = session_in_order(rollout)
    ends = {"first": position < FIRST_LAST, "last": from_end <= FIRST_LAST}
    curves = {end: describe_choices(summary, np.flatnonzero(there)) for end, there in ends.items()}
    some = _mice_shown(rollout)
    by_mouse = {end: curves_over_mice(rollout, summary, there, some) for end, there in ends.items()}
    return {
        "mice": rollout.n_mice,
        "trials": len(rollout),
        "trials_per_session": {"mean": float(summary.n_trials.mean()), "sd": float(summary.n_trials.std())},
        **{f"easy_performance_{end}{FIRST_LAST}": _mean(performance[there]) for end, there in ends.items()},
        "psychometric": curves["last"]["fit"],
        "psychometric_curves": curves,
        "psychometric_over_mice": by_mouse,
        "learning_curve": {"easy_contrast": easy, **learning_curve(rollout, performance)},
        "sessions_to_stage": _sessions_to_stage(rollout, position),
        "stage_fractions": stage_fractions(rollout),
        "mice_table": mouse_rows(rollout, performance, {f"{end}{FIRST_LAST}": there for end, there in ends.items()}),
    }


def _mice_shown(rollout: Rollout) -> npt.NDArray[np.int64]:
    """Rows of the mice whose own curves are kept, spread evenly over all."""
    return np.unique(np.linspace(0, rollout.n_mice - 1, MICE_SHOWN).astype(np.int64))


def session_in_order(rollout: Rollout) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Position of each session in its mouse's record, from 0, and counted from the end, from 1; (S,) each."""
    mouse = rollout.sessions.mouse
    counts = np.bincount(mouse, minlength=rollout.n_mice)
    position = np.arange(len(mouse)) - np.concatenate([[0], np.cumsum(counts)])[mouse]
    return position, counts[mouse] - position


def learning_curve(rollout: Rollout, performance: Floats) -> dict[str, Any]:
    """Easy performance (S,) of each session by its number: median and quartiles over the mice, how many these are, some mice.

    Lists are by session, from the first; None where no mouse had easy trials.
    """
    sessions = rollout.sessions
    table = np.full((rollout.n_mice, int(sessions.session.max(initial=0)) + 1), np.nan)
    table[sessions.mouse, sessions.session] = performance
    known = np.isfinite(table)
    quartiles = np.full((3, table.shape[1]), np.nan)
    if known.any():
        there = known.any(axis=0)
        quartiles[:, there] = np.nanpercentile(table[:, there], [25, 50, 75], axis=0)
    low, median, high = (_known(row) for row in quartiles)
    return {
        "mice": known.sum(axis=0).tolist(),
        "median": median,
        "quartiles": [low, high],
        "single_mice": {rollout.ids[m]: _known(table[m]) for m in _mice_shown(rollout)},
        "least_mice": min(rollout.n_mice, max(LEAST_MICE, math.ceil(LEAST_SHARE * rollout.n_mice))),
    }


def stage_fractions(rollout: Rollout) -> dict[str, Any]:
    """By stage of the protocol, the fraction of mice in it at the end of each session, of the mice that had the session.

    Sessions under a protocol that followed the first are left out: its stages are others. Empty if stages are unknown.
    """
    if "stage" not in rollout.columns:
        return {}
    s = rollout.sessions
    first = rollout.of_session.get("protocol", np.zeros(len(s.session))) == 0
    session, reached = s.session[first], rollout.stage[s.stop[first] - 1]
    length = int(s.session.max(initial=0)) + 1
    counts = {str(k): np.bincount(session[reached == k], minlength=length) for k in np.unique(reached)}
    total = np.maximum(sum(counts.values()), 1)
    return {stage: (count / total).tolist() for stage, count in counts.items()}


def _sessions_to_stage(rollout: Rollout, position: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Session (from 1) in which mice first reach each stage of the protocol."""
    if "stage" not in rollout.columns:
        return {}
    session = position[np.cumsum(rollout.new_session) - 1] + 1
    out = {}
    for stage in range(1, int(rollout.stage.max()) + 1):
        at = np.flatnonzero(rollout.stage >= stage)
        mice, first = np.unique(rollout.mouse[at], return_index=True)
        reached = session[at[first]]
        out[str(stage)] = {
            "fraction_reached": len(mice) / rollout.n_mice,
            "median": float(np.median(reached)),
            "sd": float(reached.std()),
        }
    return out


def _mean(values: Floats) -> float | None:
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


def _known(values: Floats) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values.tolist()]
