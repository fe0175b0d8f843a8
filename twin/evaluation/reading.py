"""What a fitted rule does, as a few numbers, whatever the rule: of the stimulus weight, with intervals over mice.

Each update is read as that of the nearest rule of the REINFORCE family (agents.rules, `full-mouse`), by least squares over
trials that the mice did:

    dw = rate (reward - baseline + side reward) (choice - p_right) x - forgetting w,   side = +, - asymmetry after right, left

reward effect    rate: what a reward adds to the update; 0 if rewards do not matter
baseline         if negative, weights shrink after errors
forgetting       fraction of the weight lost in each trial
side asymmetry   of updates after rewarded choices: (right - left) / (right + left)
after correct, after error    mean change of the weight's size (its change times its sign) in such trials

Numbers are of the rule as it was fitted. Intervals are of 1,000 resamples of the mice. One network that all mice share is as
sure of itself as it likes, so of a fit without noise of the weights each resample also takes one step of Newton towards what
the choices of its mice say (`one_step`), less the step that all mice take: what is left is how far other mice would have led.

Limits. The step of all mice itself is not taken: without noise the likelihood is rugged along the baseline, and its slope at
the rule leads astray (a baseline of .5 for a true .1 in fast mice). What the rule's family lacks, fit a rule that has it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from twin.data.trials import Trials
from twin.evaluation.memory_probe import p_right
from twin.evaluation.one_step import Direction, directions, slopes_of_update
from twin.evaluation.statistics.registry import RESAMPLES
from twin.inference.fit import Fit

NAMES = ("reward_effect", "baseline", "forgetting", "side_asymmetry", "after_correct", "after_error")
TERMS = 4  # the gradient: times the reward, alone, times the reward by side; and the weight itself


class _Sums(NamedTuple):
    """Of M mice, over their choices."""

    squares: np.ndarray  # (M, TERMS, TERMS) of the terms
    products: np.ndarray  # (M, TERMS) of the terms with the update
    sizes: np.ndarray  # (M, 2) change of the weight's size: after correct, after error
    counts: np.ndarray  # (M, 2) such trials
    step: Direction | None  # towards the terms' coefficients, by the choices


def read_rule(fit: Fit, trials: Trials, weights: np.ndarray, log_likelihood: np.ndarray, column: int) -> dict[str, Any]:
    """The numbers of NAMES as {value, low, high}, NaN where nothing tells one; with one mouse there are no intervals.

    weights (M, T, K) by the fit and log_likelihood (M, T) of its choices, on these trials, whose
    features are those of the fit, in their order; `column` is that of the stimulus.
    """
    weights = np.nan_to_num(weights)
    sums = _sums(fit, trials, weights, log_likelihood, column)
    mice, random = len(trials.ids), np.random.default_rng(0)
    everyone = np.ones(mice)
    value = _numbers(sums, everyone, everyone)
    each = [np.bincount(random.integers(mice, size=mice), minlength=mice) for _ in range(RESAMPLES if mice > 1 else 0)]
    drawn = np.array([_numbers(sums, times, everyone) for times in each]).reshape(-1, len(NAMES))
    ends = np.percentile(drawn, [2.5, 97.5], axis=0) if mice > 1 else np.full((2, len(NAMES)), np.nan)
    return {n: dict(zip(("value", "low", "high"), of, strict=True)) for n, *of in zip(NAMES, value, *ends, strict=True)}


def _sums(fit: Fit, trials: Trials, weights: np.ndarray, log_likelihood: np.ndarray, column: int) -> _Sums:
    terms = _terms(trials, weights, column)
    change = np.zeros(trials.choice.shape)
    for m, row in enumerate(fit.rows(trials.ids)):
        at = np.flatnonzero(trials.mask[m])
        change[m, at] = fit.update(row, weights[m, at], *(a[m, at] for a in (trials.x, trials.choice, trials.reward)))[
            :, column
        ]
    outcome = trials.mask[..., None] & (trials.reward[..., None] == [1, 0])
    step = None
    if not getattr(fit, "noise", None):
        more = np.zeros((*weights.shape, TERMS))
        more[:, :, column] = terms
        step = directions(more, slopes_of_update(fit, trials, weights), trials, log_likelihood)
    return _Sums(
        np.einsum("mtd,mte->mde", terms, terms),
        np.einsum("mtd,mt->md", terms, change),
        np.einsum("mt,mto->mo", change * np.sign(weights[..., column]), outcome),
        outcome.sum(axis=1),
        step,
    )


def _terms(trials: Trials, weights: np.ndarray, column: int) -> np.ndarray:
    """(M, T, TERMS), 0 in trials without a choice."""
    gradient = (trials.choice - p_right(weights, trials.x)[..., 0]) * trials.x[..., column]
    rewarded = trials.reward * gradient
    every = [rewarded, gradient, (2.0 * trials.choice - 1.0) * rewarded, -weights[..., column]]
    return np.stack(every, axis=-1) * trials.mask[..., None]


def _numbers(sums: _Sums, times: np.ndarray, everyone: np.ndarray) -> np.ndarray:
    """The numbers of NAMES, of mice that are there so many times (M,); `everyone` is there once."""
    c = _solved(sums.squares, sums.products, times)
    if sums.step is not None:
        steps = (_solved(sums.step.information, sums.step.score, mice) for mice in (times, everyone))
        c = c + next(steps) - next(steps)
    after = (times @ sums.sizes) / np.maximum(times @ sums.counts, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.array([c[0], -c[1] / c[0], c[3], c[2] / (c[0] + c[1]), *after])


def _solved(squares: np.ndarray, products: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Coefficients of sums over mice that are there so many times (M,): squares (M, D, D), products (M, D)."""
    return np.asarray(np.linalg.pinv(np.tensordot(times, squares, 1), hermitian=True) @ (times @ products))
