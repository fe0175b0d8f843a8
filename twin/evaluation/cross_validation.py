"""How well models predict mice they have never seen: cross-validation over folds of mice.

A new mouse may be like any of those that its model was fitted to: its choices have the mean of the probabilities that they have
by the parameters of each of those (`Fit.log_likelihood_of_new_mice`). A network is the same for all mice; their initial weights
are what differs, and what else is their own under it.

With `adapt`, the first sessions of a new mouse tell its parameters (`Fit.adapted`), by which its later trials are predicted;
beside it stand those same trials without.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from twin.data.trials import Trials
from twin.engine import map_jobs
from twin.inference.fit import fit, fitter


def held_out_scores(
    trials: Trials, model: str, folds: int, seed: int = 0, progress: bool = False, adapt: int = 0, **settings: Any
) -> dict[str, float]:
    """Log-likelihood per trial of mice held out fold by fold, mean over mice and its standard error.

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
    each = np.concatenate(map_jobs(job, parts, progress=f"hold out {model}" if progress else "", unit="fold"), axis=1)
    found = {"heldout_ll_per_trial": float(each[0].mean()), "heldout_se": float(each[0].std(ddof=1) / np.sqrt(mice))}
    if adapt:
        gain = each[2] - each[1]
        found |= {"unadapted_ll_per_trial": float(each[1].mean()), "adapted_ll_per_trial": float(each[2].mean())}
        found["adapted_gain_se"] = float(gain.std(ddof=1) / np.sqrt(mice))
    return found


def _scores_of(trials: Trials, model: str, settings: dict[str, Any], adapt: int, held: np.ndarray) -> np.ndarray:
    """Log-likelihood per trial of the mice of one fold, by a fit to the others: (1, M), or (3, M) with those that adapt."""
    rest = np.setdiff1d(np.arange(len(trials.ids)), held)
    new = trials.of_mice(held)
    fitted = fit(trials.of_mice(rest), model, **settings)
    scores = [_per_trial(fitted.log_likelihood_of_new_mice(new), new)]
    if adapt:
        first, later = new.after_sessions(adapt)
        scores += [_per_trial(fitted.log_likelihood_of_new_mice(later), later)]
        scores += [_per_trial(fitted.adapted(first).log_likelihood(later), later)]
    return np.array(scores)


def _per_trial(log_likelihood: np.ndarray, trials: Trials) -> np.ndarray:
    return np.asarray(log_likelihood.sum(axis=1) / np.maximum(trials.mask.sum(axis=1), 1))
