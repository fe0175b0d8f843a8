"""Does a fit report a negative baseline, and is there one?

A mouse is reported to have a negative baseline if its 95 % interval lies below 0. If intervals cover, that is so of at most one
mouse in 40 where no baseline is negative. A fit reports negative baselines if it is so of more mice than that leaves to chance.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from scipy.stats import binom

from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.data.trials import Trials
from twin.evaluation.flags import parameter_flags
from twin.evaluation.recovery import Points, errors, stimulus_column, true_update, visited
from twin.inference.closed_form.rule_fit import RuleFit

NAME = "baseline"
BY_CHANCE = 0.025  # of the mice
RARE = 0.01  # probability of what is not left to chance
ENDS = (0.025, 0.5, 0.975)


def baseline_of(fit: RuleFit, rollout: Rollout) -> dict[str, Any]:
    """Estimates and 95 % intervals of every simulated mouse's baseline, of the population's, and how often they hold it."""
    estimates, intervals = (a[fit.rows(rollout.ids)] for a in fit.parameters()[NAME])
    true, (low, high) = true_baselines(rollout), intervals.T
    flags = Counter(flag for flag in parameter_flags(fit)[NAME] if flag)
    return {
        "estimate": float(np.median(estimates)),
        "population": _population(fit),
        "estimates": estimates.tolist(),
        "ci95": intervals.tolist(),
        "below_zero": float(np.mean(high < 0)),
        "negative": beyond_chance(int(np.sum(high < 0)), len(high)),
        "covered": float(np.mean((low <= true) & (true <= high))),
        "flags": dict(flags),
        "converged": float(np.mean(fit.converged)),
    }


def beyond_chance(below: int, mice: int) -> bool:
    """Would so many of the mice rarely have an interval below 0 if no baseline were negative?"""
    return bool(binom.sf(below - 1, mice, BY_CHANCE) < RARE)


def true_baselines(rollout: Rollout) -> np.ndarray:
    """The baseline of each simulated mouse (M,)."""
    assert rollout.theta is not None
    values: np.ndarray = rollout.theta[:, rollout.theta_names.index(NAME)]
    return values


def _population(fit: RuleFit) -> dict[str, float] | None:
    """Median and 95 % interval of mice of the population that are not yet seen; None of a fit without a posterior."""
    if fit.draws is None:
        return None
    drawn = fit.draws.new_mice[:, fit.layout.index(NAME)[0]]
    return dict(zip(("low", "median", "high"), np.quantile(drawn, ENDS).tolist(), strict=True))


def relative_rmse_visited(fit: RuleFit, cohort: Cohort, rollout: Rollout, trials: Trials) -> float:
    """Error of the stimulus weight's update on trials that the mice did, relative to the root mean square of the true one.

    `trials` have the features of the mice, of which the fit may see only some.
    """
    assert rollout.theta is not None
    seen = [trials.features.index(name) for name in fit.features]
    true, inferred = [], []
    for m, row in enumerate(fit.rows(trials.ids)):
        w, x, choice, reward = points = visited(rollout, trials, m)
        true.append(true_update(cohort, rollout.theta[m], points)[:, stimulus_column(trials.features)])
        of_fit = fit.update(row, *Points(w[:, seen], x[:, seen], choice, reward))
        inferred.append(of_fit[:, stimulus_column(fit.features)])
    return errors(np.concatenate(true), np.concatenate(inferred))["relative_rmse"]
