"""How a cohort performs: the numbers of its psychometric and learning curves, and of its progress through the protocol.

`behavior` computes each of them once; the terminal and the figures show what it returns.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.data.rollout import Rollout
from twin.data.store import StoredRollout
from twin.evaluation.digest import Digest, digest
from twin.evaluation.mice import mouse_rows
from twin.evaluation.psychometric.curve import describe_choices
from twin.evaluation.psychometric.over_mice import curves_over_mice
from twin.evaluation.session_summary import easy_performances

Floats = npt.NDArray[np.float64]

FIRST_LAST = 3  # sessions at either end that are compared
MICE_SHOWN = 20  # whose own curves are kept beside those of all
LEAST_MICE, LEAST_SHARE = 5, 0.1  # a median of fewer mice, or of less than this share of all, is one of a few survivors


def behavior(rollout: Rollout | StoredRollout) -> dict[str, Any]:
    """What mice did, for results.json: performance and psychometric curves early and late, learning curve, stages, each mouse.

    Easy performance is the fraction correct on easy trials, no-gos being errors; `psychometric` is the fit of the last
    sessions, None where there is no curve to speak of (`psychometric_curves` says why). Raises ValueError for contrasts that
    are not a discrete set.
    """
    data = digest(rollout)
    summary = data.summary
    performance = easy_performances(summary)
    position, from_end = session_in_order(data)
    ends = {"first": position < FIRST_LAST, "last": from_end <= FIRST_LAST}
    curves = {end: describe_choices(summary, np.flatnonzero(there)) for end, there in ends.items()}
    some = _mice_shown(data)
    by_mouse = {end: curves_over_mice(data, there, some) for end, there in ends.items()}
    return {
        "mice": data.n_mice,
        "trials": int(data.trials.sum()),
        "trials_per_session": {"mean": float(summary.n_trials.mean()), "sd": float(summary.n_trials.std())},
        **{f"easy_performance_{end}{FIRST_LAST}": _mean(performance[there]) for end, there in ends.items()},
        "psychometric": curves["last"]["fit"],
        "psychometric_curves": curves,
        "psychometric_over_mice": by_mouse,
        "learning_curve": {"easy_contrast": data.easy, **learning_curve(data, performance)},
        "sessions_to_stage": _sessions_to_stage(data, position),
        "stage_fractions": stage_fractions(data),
        "mice_table": mouse_rows(data, performance, {f"{end}{FIRST_LAST}": there for end, there in ends.items()}),
    }


def _mice_shown(data: Digest) -> npt.NDArray[np.int64]:
    """Rows of the mice whose own curves are kept, spread evenly over all."""
    return np.unique(np.linspace(0, data.n_mice - 1, MICE_SHOWN).astype(np.int64))


def session_in_order(data: Digest) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Position of each session in its mouse's record, from 0, and counted from the end, from 1; (S,) each."""
    mouse = data.sessions.mouse
    counts = np.bincount(mouse, minlength=data.n_mice)
    position = np.arange(len(mouse)) - np.concatenate([[0], np.cumsum(counts)])[mouse]
    return position, counts[mouse] - position


def learning_curve(data: Digest, performance: Floats) -> dict[str, Any]:
    """Easy performance (S,) of each session by its number: median and quartiles over the mice, how many these are, some mice.

    Lists are by session, from the first; None where no mouse had easy trials.
    """
    sessions = data.sessions
    table = np.full((data.n_mice, int(sessions.session.max(initial=0)) + 1), np.nan)
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
        "single_mice": {data.ids[m]: _known(table[m]) for m in _mice_shown(data)},
        "least_mice": min(data.n_mice, max(LEAST_MICE, math.ceil(LEAST_SHARE * data.n_mice))),
    }


def stage_fractions(data: Digest) -> dict[str, Any]:
    """By stage of the protocol, the fraction of mice in it at the end of each session, of the mice that had the session.

    Sessions under a protocol that followed the first are left out: its stages are others. Empty if stages are unknown.
    """
    if data.stages is None:
        return {}
    s = data.sessions
    first = data.of_session.get("protocol", np.zeros(len(s.session))) == 0
    session, reached = s.session[first], data.stages.last[first]
    length = int(s.session.max(initial=0)) + 1
    counts = {str(k): np.bincount(session[reached == k], minlength=length) for k in np.unique(reached)}
    total = np.maximum(sum(counts.values()), 1)
    return {stage: (count / total).tolist() for stage, count in counts.items()}


def _sessions_to_stage(data: Digest, position: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Session (from 1) in which mice first reach each stage of the protocol."""
    if data.stages is None:
        return {}
    mouse, highest = data.sessions.mouse, data.stages.highest
    out = {}
    for stage in range(1, int(highest.max()) + 1):
        at = np.flatnonzero(highest >= stage)
        mice, first = np.unique(mouse[at], return_index=True)
        reached = position[at[first]] + 1
        out[str(stage)] = {
            "fraction_reached": len(mice) / data.n_mice,
            "median": float(np.median(reached)),
            "sd": float(reached.std()),
        }
    return out


def _mean(values: Floats) -> float | None:
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


def _known(values: Floats) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values.tolist()]
