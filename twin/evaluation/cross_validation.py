"""How well models predict mice they have never seen: cross-validation over folds of mice.

A new mouse may be like any of those that its model was fitted to: its choices have the mean of the probabilities that they have
by the parameters of each of those (`Fit.log_likelihood_of_new_mice`). A network is the same for all mice; their initial weights
are what differs, and what else is their own under it.

The fits of the folds also tell how much the rule depends on which mice it is fitted to: the jackknife's standard error of the
update, over fits that each leave a group of mice out (Efron & Stein 1981, Ann Stat 9:586).

With `adapt`, the first sessions of a new mouse tell its parameters (`Fit.adapted`), by which its later trials are predicted;
beside it stand those same trials without.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from twin.data.trials import Trials
from twin.engine import map_jobs
from twin.evaluation.visited import visited_points
from twin.inference.fit import Fit, fit, fitter

LIKE = 20  # mice of a fit, at most, whose mean update is compared


def held_out_scores(
    trials: Trials, model: str, folds: int, seed: int = 0, progress: bool = False, adapt: int = 0, **settings: Any
) -> dict[str, float]:
    """Log-likelihood per trial of mice held out fold by fold, mean over mice and its standard error; `update_se`, how much the
    update depends on the mice, relative to its size, of models that have one.

    With `adapt`, also of the trials after so many sessions of each mouse: by what these tell of it, and as of any mouse.
    Raises ValueError for less than two folds, or more than there are mice, settings that the model does not have, or a mouse
    that has no more sessions than `adapt`.
    """
    mice = len(trials.ids)
    if not 2 <= folds <= mice:
        raise ValueError(f"folds = {folds}: with {mice} mice expected 2 to {mice}; each fold holds out at least one mouse")
    parts = np.array_split(np.random.default_rng(seed).permutation(mice), folds)
    if adapt:
        trials.after_sessions(adapt)
    fitter(model, **settings)  # says what is wrong, and loads what the folds need, before they begin
    job = partial(_scores_of, trials, model, settings, adapt)
    done = map_jobs(job, parts, progress=f"hold out {model}" if progress else "", unit="fold")
    each = np.concatenate([scores for scores, _ in done], axis=1)
    found = {"heldout_ll_per_trial": float(each[0].mean()), "heldout_se": float(each[0].std(ddof=1) / np.sqrt(mice))}
    found |= _disagreement([fitted for _, fitted in done], trials)
    if adapt:
        gain = each[2] - each[1]
        found |= {"unadapted_ll_per_trial": float(each[1].mean()), "adapted_ll_per_trial": float(each[2].mean())}
        found["adapted_gain_se"] = float(gain.std(ddof=1) / np.sqrt(mice))
    return found


def _scores_of(trials: Trials, model: str, settings: dict[str, Any], adapt: int, held: np.ndarray) -> tuple[np.ndarray, Fit]:
    """Log-likelihood per trial of the mice of one fold, (1, M), or (3, M) with those that adapt, and the fit to the others."""
    rest = np.setdiff1d(np.arange(len(trials.ids)), held)
    new = trials.of_mice(held)
    fitted = fit(trials.of_mice(rest), model, **settings)
    scores = [_per_trial(fitted.log_likelihood_of_new_mice(new), new)]
    if adapt:
        first, later = new.after_sessions(adapt)
        scores += [_per_trial(fitted.log_likelihood_of_new_mice(later), later)]
        scores += [_per_trial(fitted.adapted(first).log_likelihood(later), later)]
    return np.array(scores), fitted


def _disagreement(fits: Sequence[Fit], trials: Trials) -> dict[str, float]:
    """`update_se` of the fits of all folds, in trials of some mice of the first; nothing for models that move no weight."""
    some = trials.of_mice(np.array([trials.ids.index(mouse) for mouse in fits[0].ids[:LIKE]]))
    points = visited_points(some, fits[0].weights(some))
    updates = np.array([np.mean([of.update(m, *points) for m in range(min(LIKE, len(of.ids)))], axis=0) for of in fits])
    size = np.sqrt(np.mean(updates.mean(axis=0) ** 2))
    error = np.sqrt((len(fits) - 1) * np.mean((updates - updates.mean(axis=0)) ** 2))
    return {"update_se": float(error / size)} if np.isfinite(error) and size > 0 else {}


def _per_trial(log_likelihood: np.ndarray, trials: Trials) -> np.ndarray:
    return np.asarray(log_likelihood.sum(axis=1) / np.maximum(trials.mask.sum(axis=1), 1))
