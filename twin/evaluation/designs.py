"""Comparing training designs: the same mice under each design, trained to a status or to the horizon.

Mouse m has the same parameters and the same random streams under every design (common random numbers), so designs are
compared mouse by mouse, and a design compared with itself differs by exactly zero in every mouse.

What is compared is what training a mouse costs: the sessions, trials, water and hours until it reached the status or, if
it did not, until the horizon. Costs are known for every mouse; the mean number of sessions is the mean time to the
status restricted to the horizon, the area under the survival curve (Royston & Parmar 2013, BMC Med Res Methodol 13:152).
It says nothing of what would have happened later: with few trained mice, differences are underestimates, and the
fraction trained must be looked at first.

Intervals and the probability of a ranking are from a bootstrap over mice, which keeps each mouse's designs together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import ttest_1samp

from twin.evaluation.intervals import wilson
from twin.evaluation.status import Status, sessions_to_status, trials_to_status
from twin.evaluation.survival import logrank_p, median_time, survival

RESAMPLES = 4_000  # of the mice, for intervals and rankings
_RESAMPLES_AT_ONCE = 200
COSTS = ("sessions", "trials", "water_ul", "hours")


class DesignSessions(NamedTuple):
    """What is kept of every session of M mice under one design, (S,) each, and where each mouse begins."""

    starts: np.ndarray  # (M + 1,)
    trials: np.ndarray
    status: np.ndarray  # at the end of the session
    water_ul: np.ndarray
    duration_s: np.ndarray


@dataclass(frozen=True)
class DesignOutcome:
    """What one design did to each of M mice, (M,) each: costs are until the status, or until the horizon without it."""

    reached: np.ndarray  # bool
    untrainable: np.ndarray  # bool: labelled so by the end of the 40th session
    sessions: np.ndarray
    trials: np.ndarray
    water_ul: np.ndarray
    hours: np.ndarray

    @classmethod
    def of(cls, sessions: DesignSessions, until: Status | str) -> DesignOutcome:
        """The outcome of training until a status."""
        to_status = sessions_to_status(sessions.status, sessions.starts, until)
        trials = trials_to_status(sessions.status, sessions.starts, sessions.trials, until)
        to_untrainable = sessions_to_status(sessions.status, sessions.starts, Status.UNTRAINABLE)
        reached = np.isfinite(to_status)
        return cls(
            reached=reached,
            untrainable=np.isfinite(to_untrainable),
            sessions=np.where(reached, to_status, np.diff(sessions.starts)),
            trials=np.where(reached, trials, _per_mouse(sessions.trials, sessions.starts)),
            water_ul=_per_mouse(sessions.water_ul, sessions.starts),
            hours=_per_mouse(sessions.duration_s, sessions.starts) / 3600,
        )

    @property
    def costs(self) -> np.ndarray:
        """Costs of each mouse in the order of COSTS, (M, 4)."""
        return np.column_stack([getattr(self, name) for name in COSTS])


def _per_mouse(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    return np.add.reduceat(values.astype(float), starts[:-1])


def compare_designs(outcomes: Mapping[str, DesignOutcome], horizon: int, seed: int = 1) -> dict[str, Any]:
    """`designs`, `comparisons` and `ranking` of results.json.

    Medians are Kaplan-Meier estimates, None if fewer than half of the mice were trained; means are costs, per mouse.
    `difference` is a minus b: negative where a is the cheaper; `histogram` counts the mice by their difference in sessions
    (whole numbers, those that occur, ascending). `p` is of the log-rank test, which takes the designs' mice
    for different ones and so is conservative; `p_paired` of the paired t-test of the sessions. A design's
    `probability_best` is the share of resamples of the mice in which its mean number of sessions is the smallest.
    """
    names = list(outcomes)
    costs = np.stack([outcome.costs for outcome in outcomes.values()])  # (D, M, 4)
    sums, n = _resampled_sums(costs, seed), costs.shape[1]  # (B, D, 4)
    designs = {name: describe_design(outcome, horizon) for name, outcome in outcomes.items()}
    for i, name in enumerate(names):
        designs[name]["ci95"] = {cost: _ci95(sums[:, i, c] / n) for c, cost in enumerate(COSTS)}
    pairs = [_compare(names, i, j, outcomes, costs, sums) for i, j in combinations(range(len(names)), 2)]
    return {"designs": designs, "comparisons": pairs, "ranking": _rank(names, costs[..., 0].mean(axis=1), sums[..., 0])}


def describe_design(outcome: DesignOutcome, horizon: int) -> dict[str, Any]:
    """One design by itself; `survival` is the fraction of mice not yet there after 0, 1, ... `horizon` sessions."""
    n, grid = len(outcome.reached), np.arange(horizon + 1)
    curve = survival(outcome.sessions, outcome.reached, grid)
    low, high = wilson(np.round(curve * n), n)  # all are watched to the horizon or the status: the curve is a plain fraction
    return {
        "fraction_trained": float(outcome.reached.mean()),
        "fraction_untrainable": float(outcome.untrainable.mean()),
        "median_sessions": median_time(outcome.sessions, outcome.reached),
        "median_trials": median_time(outcome.trials, outcome.reached),
        "mean_sessions": float(outcome.sessions.mean()),
        "mean_trials": float(outcome.trials.mean()),
        "water_ul": float(outcome.water_ul.mean()),
        "hours": float(outcome.hours.mean()),
        "survival": curve.tolist(),
        "survival_ci95": [low.tolist(), high.tolist()],
    }


def savings(start: DesignOutcome, found: DesignOutcome, seed: int = 1) -> dict[str, dict[str, Any]]:
    """By how much less mice cost under one design than under another, the same mice: by cost, the fraction that is saved.

    `saved` is 1 - mean found / mean start, `ci95` its bootstrap interval over mice.
    """
    costs = np.stack([start.costs, found.costs])
    before, after = costs.mean(axis=1)
    sums = _resampled_sums(costs, seed)
    drawn = 1.0 - sums[:, 1] / sums[:, 0]
    return {name: {"saved": float(1.0 - after[c] / before[c]), "ci95": _ci95(drawn[:, c])} for c, name in enumerate(COSTS)}


def _compare(
    names: list[str], i: int, j: int, outcomes: Mapping[str, DesignOutcome], costs: np.ndarray, sums: np.ndarray
) -> dict[str, Any]:
    """Design i minus design j."""
    a, b = (outcomes[names[k]] for k in (i, j))
    rows = {
        cost: {
            "difference": float((costs[i, :, c] - costs[j, :, c]).mean()),
            "ci95": _ci95((sums[:, i, c] - sums[:, j, c]) / costs.shape[1]),
        }
        for c, cost in enumerate(COSTS)
    }
    return {
        "a": names[i],
        "b": names[j],
        **rows["sessions"],
        "p": logrank_p((a.sessions, a.reached), (b.sessions, b.reached)),
        "p_paired": _paired_p(a.sessions - b.sessions),
        "histogram": _histogram(a.sessions - b.sessions),
        "a_faster": float((a.sessions < b.sessions).mean()),
        "b_faster": float((b.sessions < a.sessions).mean()),
        **{cost: rows[cost] for cost in COSTS[1:]},
    }


def _histogram(differences: np.ndarray) -> dict[str, list[int]]:
    """How many mice have each difference in sessions (M,)."""
    values, mice = np.unique(np.round(differences).astype(int), return_counts=True)
    return {"difference": values.tolist(), "mice": mice.tolist()}


def _paired_p(differences: np.ndarray) -> float | None:
    """Two-sided p of Student's test that differences (M,) have mean 0; None where they have no spread."""
    if np.ptp(differences) == 0:
        return 1.0 if differences[0] == 0 else None
    return float(ttest_1samp(differences, 0.0).pvalue)


def _resampled_sums(costs: np.ndarray, seed: int) -> np.ndarray:
    """Costs (D, M, 4) summed over resamples of the mice, (B, D, 4); the same mice are drawn for every design and cost."""
    designs, mice, kinds = costs.shape
    flat = costs.transpose(1, 0, 2).reshape(mice, -1)
    random, parts = np.random.default_rng(seed), []
    for _ in range(0, RESAMPLES, _RESAMPLES_AT_ONCE):
        drawn = random.multinomial(mice, np.full(mice, 1 / mice), size=_RESAMPLES_AT_ONCE)
        parts.append(drawn.astype(float) @ flat)
    return np.concatenate(parts).reshape(RESAMPLES, designs, kinds)


def _ci95(values: np.ndarray) -> list[float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return [float(low), float(high)]


def _rank(names: list[str], sessions: np.ndarray, resampled: np.ndarray) -> list[dict[str, Any]]:
    """Designs by mean number of sessions, fewest first; designs that tie in a resample share it."""
    best = resampled == resampled.min(axis=1, keepdims=True)
    probability = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    order = np.argsort(sessions, kind="stable")
    return [{"design": names[i], "mean_sessions": float(sessions[i]), "probability_best": float(probability[i])} for i in order]
