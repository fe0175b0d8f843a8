"""What a fit has left out: tests that need no other fit.

Of every model. If the probabilities of a model are right, what a choice adds to them, the innovation y - p, has mean 0 and
variance p (1 - p) given all that was before. So the sum of innovations, each times any number m known before the choice, over
the root of the sum of m^2 p (1 - p), is normal with variance 1, and a large value says in which way the model is wrong:

noise-in-sessions   m: past innovations of the session, by feature: weights wander and the model does not follow
noise-over-nights   m: the same of the session before: where they wandered to is there the next day
lapses              trials in which the model is nearly certain, and how often it is wrong in them
mice-differ         the mice that choose correctly more, or less, often than the model expects: more than chance would have it
decision-model      the sums of innovations in cells of trials, by predicted probability, by the first feature (contrast and
                    side) or by the place in the session: the largest excess of their squares

Fitted parameters take up part of what is wrong: a negative baseline lets weights follow the mouse, which hides their noise
from its innovations. So of a closed-form rule that was fitted without noise, or lapses, the likelihood itself is asked: does
any of a few levels, the same in all mice, raise it above that of the fit, if rates and baselines of each mouse may step back?

noise, lapses       log-likelihood gained, summed over mice

References. Score tests of what is left out: White 1982, Econometrica 50:1.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from twin.data.trials import Trials
from twin.engine import map_jobs
from twin.inference.closed_form.rule_fit import RuleFit
from twin.inference.noise.assumed_density import FilteredLikelihood

if TYPE_CHECKING:
    from twin.inference.fit import Fit

LARGE = 4.0  # standard normal: one in 30,000
GAIN = 8.0  # log-likelihood, of levels that were not fitted: odds of 3,000
STEPS_BACK = tuple(product((0.5, 1.0, 2.0), (1.0, 0.1, 0.0)))  # factors of the rates, parts of what else the rule has
NOISE_LEVELS = tuple(product((0.0, 0.005, 0.01, 0.02, 0.05), (0.0, 0.1, 0.3)))  # of trials and nights
LAPSE_LEVELS = 0.0, 0.01, 0.03, 0.06
CERTAIN = 0.95  # probability of the likelier choice
CELLS = 10  # of trials, at least, by probability, contrast and place in the session
PLACE = 100  # trials of a session in a cell
ENOUGH = 5.0  # expected variance of a cell whose sum is about normal
MEANINGS = {
    "noise": "weights move at random, and the fit has no noise: its parameters, the baseline above all, stand in for it "
    "(fit it with noise = true)",
    "noise-in-sessions": "weights move by more than the model knows within sessions (fit it with noise = true)",
    "noise-over-nights": "weights move by more than the model knows, and stay where they moved to (fit it with noise = true)",
    "lapses": "mice lapse and the fit does not (fit it with noise = true, or free = ['lapse_low', 'lapse_high'])",
    "decision-model": "at some probabilities, contrasts or places in the session choices are not as often to the right as "
    "predicted: mice decide by other features, or lapse, or not by a logistic function of them (fit other features, or lapses)",
    "never-visited": "most combinations of stimulus, weight and choice never occur: there the rule is an extrapolation "
    "(grey in the map of updates)",
    "little-memory": "these trials could not tell an effect of past rewards on half of the update: that the rule has, or "
    "lacks, a memory means little (fit more trials, or mice)",
    "seeds-disagree": "rules trained from different seeds differ (train longer, or fit more trials)",
    "folds-disagree": "the rule depends on which mice it was fitted to (fit more mice, or parameters of each mouse)",
    "not-identified": "the data do not tell some parameter of the rule in most mice (fix it, or fit a rule without it)",
    "no-spread": "some parameter of the rule is the same in all mice of the population: they are alike, or the data are too "
    "few to tell them apart",
    "simulated-mice": "mice simulated with the rule, shown the same stimuli, do not learn, choose or repeat like the data: "
    "what it predicts it has from the recorded choices that it follows",
    "mice-differ": "mice learn more, or less, than one rule for all expects (fit parameters of each mouse)",
}


def statistics(log_likelihood: np.ndarray, trials: Trials) -> dict[str, float]:
    """The five statistics, about standard normal if the model is right; NaN where there is nothing to tell one by.

    `log_likelihood` (M, T) of each choice given those before it, as `Fit.log_likelihood` gives it.
    """
    counted = trials.mask & np.isfinite(log_likelihood)
    chosen = np.exp(np.where(counted, log_likelihood, 0.0))
    innovation, variance = innovations(log_likelihood, trials)
    within, before = _past(innovation, trials)
    return {
        "noise-in-sessions": _ratio(innovation * within, variance * within**2),
        "noise-over-nights": _ratio(innovation * before, variance * before**2),
        "lapses": _surprise(chosen, variance, counted),
        "mice-differ": _spread_of_mice(innovation, variance, trials),
        "decision-model": _miscalibration(innovation, variance, np.where(trials.choice == 1, chosen, 1.0 - chosen), trials),
    }


def innovations(log_likelihood: np.ndarray, trials: Trials) -> tuple[np.ndarray, np.ndarray]:
    """Choice minus probability of a right one, and its variance, (M, T) each; 0 where no choice counts.

    `log_likelihood` (M, T) as `statistics` takes it.
    """
    counted = trials.mask & np.isfinite(log_likelihood)
    chosen = np.exp(np.where(counted, log_likelihood, 0.0))
    innovation = np.where(counted, (2.0 * trials.choice - 1.0) * (1.0 - chosen), 0.0)
    return innovation, np.where(counted, chosen * (1.0 - chosen), 0.0)


def warnings(fit: Fit, trials: Trials, log_likelihood: np.ndarray) -> dict[str, float]:
    """What is large, by name (see MEANINGS): a statistic in standard deviations, or for `noise` and `lapses` a gain.

    `log_likelihood` (M, T) is that of the fit on these trials.
    """
    with np.errstate(all="ignore"):
        found = {name: z for name, z in statistics(log_likelihood, trials).items() if z > LARGE}
        if isinstance(fit, RuleFit) and not fit.noise:
            found |= {name: gain for name, gain in gains(fit, trials).items() if gain > GAIN}
    return found


def gains(fit: RuleFit, trials: Trials) -> dict[str, float]:
    """Log-likelihood gained over all mice by noise of the weights, and by lapses, of a fit that has no noise."""
    trials = trials.with_features(fit.features)
    jobs = [(fit, trials, m) for m in range(len(trials.ids))]
    found = np.sum(map_jobs(_of_levels, jobs), axis=0)  # (noise levels, lapse levels)
    lapsing = any(name.startswith("lapse") for name in fit.settings["free"])
    out = {"noise": float(found[1:, 0].max() - found[0, 0])}
    return out if lapsing else out | {"lapses": float(found[:, 1:].max() - found[:, 0].max())}


def _of_levels(job: tuple[RuleFit, Trials, int]) -> np.ndarray:
    """Highest log-likelihood of one mouse over the steps back, for each level of noise and of lapses."""
    fit, trials, m = job
    layout, theta = fit.layout, fit.theta[fit.rows([trials.ids[m]])[0]]
    columns = [c for p in fit.rule.parameters for c in layout.index(p.name)]
    every = []
    for (trial, day), lapse, (factor, part) in product(NOISE_LEVELS, LAPSE_LEVELS, STEPS_BACK):
        tried = theta.copy()
        for c in columns:
            p = layout.columns[layout.names[c]]
            tried[c] = theta[c] * factor if p.by_factors else p.default + part * (theta[c] - p.default)
        tried[layout.index("trial_noise")], tried[layout.index("day_noise")] = trial, day
        lapses = layout.index("lapse_low") + layout.index("lapse_high")
        tried[lapses] = np.maximum(theta[lapses], lapse)
        every.append(tried)
    found = FilteredLikelihood(trials, m, layout).log_likelihoods(np.array(every))
    return np.asarray(found.reshape(len(NOISE_LEVELS), len(LAPSE_LEVELS), -1).max(axis=-1))


def _ratio(sums: np.ndarray, variances: np.ndarray) -> float:
    total = float(variances.sum())
    return float(sums.sum()) / np.sqrt(total) if total > 0 else np.nan


def _past(innovation: np.ndarray, trials: Trials) -> tuple[np.ndarray, np.ndarray]:
    """Logits (M, T) of weights that had moved with the innovations of the session so far, and of the session before."""
    moved = innovation[..., None] * trials.x
    heap = np.concatenate([np.zeros_like(moved[:, :1]), np.cumsum(moved, axis=1)], axis=1)  # before each trial
    start = _session_starts(trials)
    earlier = np.take_along_axis(start, np.maximum(start - 1, 0), axis=1)
    at_start, at_earlier = (np.take_along_axis(heap, at[..., None], axis=1) for at in (start, earlier))
    within = ((heap[:, :-1] - at_start) * trials.x).sum(axis=-1)
    before = np.where(start > 0, ((at_start - at_earlier) * trials.x).sum(axis=-1), 0.0)
    return within, before


def _session_starts(trials: Trials) -> np.ndarray:
    """First trial of the session that each trial is of, (M, T)."""
    return np.asarray(np.maximum.accumulate(np.where(trials.new_session, np.arange(trials.x.shape[1]), 0), axis=1))


def _surprise(chosen: np.ndarray, variance: np.ndarray, counted: np.ndarray) -> float:
    """Errors beyond those expected in trials in which one choice is nearly certain."""
    certain = counted & (np.maximum(chosen, 1.0 - chosen) > CERTAIN)
    expected = np.minimum(chosen, 1.0 - chosen)
    return _ratio(((chosen < 0.5) - expected)[certain], variance[certain])


def _spread_of_mice(innovation: np.ndarray, variance: np.ndarray, trials: Trials) -> float:
    """Sum of squares over mice of how much more often than expected they were rewarded, standardised."""
    if len(trials.ids) < 2:
        return np.nan
    correct = np.where(trials.choice == 1, 1.0, -1.0) * np.where(trials.reward > 0, 1.0, -1.0)
    z = (innovation * correct).sum(axis=1) / np.sqrt(np.maximum(variance.sum(axis=1), 1e-12))
    return float((np.sum(z**2) - len(z)) / np.sqrt(2.0 * len(z)))


def _miscalibration(innovation: np.ndarray, variance: np.ndarray, right: np.ndarray, trials: Trials) -> float:
    """The largest excess, in standard deviations, of squared sums in cells of trials; `right` (M, T) as predicted."""
    place = np.arange(trials.x.shape[1]) - _session_starts(trials)
    by_probability = (CELLS * right).astype(int)
    found = [
        _excess(innovation, variance, cells)
        for cells in (by_probability, _levels(trials.x[..., 0]), np.minimum(place // PLACE, CELLS - 1))
    ]
    return float(np.nanmax(found)) if np.isfinite(found).any() else np.nan


def _levels(values: np.ndarray) -> np.ndarray:
    """Cell of each value: of its own, or where there are many values of a tenth of them."""
    each, cells = np.unique(values, return_inverse=True)
    if len(each) > 3 * CELLS:
        cells = np.searchsorted(np.quantile(values, np.linspace(0, 1, CELLS + 1)[1:-1]), values)
    return np.asarray(cells).reshape(values.shape)


def _excess(innovation: np.ndarray, variance: np.ndarray, cells: np.ndarray) -> float:
    """Sum of squares over cells of their standardised innovations, standardised; NaN for less than two cells."""
    sums, variances = (np.bincount(cells.ravel(), a.ravel()) for a in (innovation, variance))
    z = (sums / np.sqrt(np.maximum(variances, ENOUGH)))[variances >= ENOUGH]
    return float((np.sum(z**2) - len(z)) / np.sqrt(2.0 * len(z))) if len(z) > 1 else np.nan
