"""How well models predict mice they have never seen: cross-validation over folds of mice.

A new mouse may be like any of those that its model was fitted to: its choices have the mean of the probabilities that they have
by the parameters of each of those (`Fit.log_likelihood_of_new_mice`). A network is the same for all mice; their initial weights
are what differs.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from twin.data.trials import Trials
from twin.engine import map_jobs
from twin.inference.fit import fit, fitter


def held_out_scores(
    trials: Trials, model: str, folds: int, seed: int = 0, progress: bool = False, **settings: Any
) -> dict[str, float]:
    """Log-likelihood per trial of mice held out fold by fold, mean over mice and its standard error.

    Raises ValueError for less than two folds, or more than there are mice, or settings that the model does not have.
    """
    mice = len(trials.ids)
    if not 2 <= folds <= mice:
        raise ValueError(f"folds = {folds}: with {mice} mice expected 2 to {mice}; each fold holds out at least one mouse")
    parts = np.array_split(np.random.default_rng(seed).permutation(mice), folds)
    fitter(model, **settings)  # says what is wrong, and loads what the folds need, before they begin
    job = partial(_scores_of, trials, model, settings)
    each = np.concatenate(map_jobs(job, parts, progress=f"hold out {model}" if progress else "", unit="fold"))
    return {"heldout_ll_per_trial": float(each.mean()), "heldout_se": float(each.std(ddof=1) / np.sqrt(mice))}


def _scores_of(trials: Trials, model: str, settings: dict[str, Any], held: np.ndarray) -> np.ndarray:
    """Log-likelihood per trial of the mice of one fold, by a fit to the others."""
    rest = np.setdiff1d(np.arange(len(trials.ids)), held)
    new = trials.of_mice(held)
    fitted = fit(trials.of_mice(rest), model, **settings)
    return fitted.log_likelihood_of_new_mice(new).sum(axis=1) / np.maximum(new.mask.sum(axis=1), 1)
