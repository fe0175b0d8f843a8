"""How well models predict mice they have never seen: cross-validation over folds of mice.

A new mouse is what its model expects of one before a trial is seen: the median parameters and initial weights of the mice it
was fitted to. Where a model estimates initial weights from first trials (`initial = "first-trials"`), a new mouse's are too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from twin.data.trials import Trials
from twin.engine import map_jobs
from twin.inference.closed_form.rule_fit import RuleFit
from twin.inference.fit import Fit, fit
from twin.inference.neural.fit import first_weights
from twin.inference.neural.neural_fit import NeuralFit


def held_out_scores(
    trials: Trials, model: str, folds: int, seed: int = 0, progress: bool = False, **settings: Any
) -> dict[str, float]:
    """Log-likelihood per trial of mice held out fold by fold, mean over mice and its standard error.

    Folds are fitted side by side. Raises ValueError for less than two folds, or more than there are mice.
    """
    mice = len(trials.ids)
    if not 2 <= folds <= mice:
        raise ValueError(f"folds = {folds}: with {mice} mice expected 2 to {mice}; each fold holds out at least one mouse")
    parts = np.array_split(np.random.default_rng(seed).permutation(mice), folds)
    with tqdm(total=folds, unit="fold", desc=f"hold out {model}", disable=None if progress else True) as bar:

        def score(held: np.ndarray) -> np.ndarray:
            rest = np.setdiff1d(np.arange(mice), held)
            new = trials.of_mice(held)
            ll = of_new_mice(fit(trials.of_mice(rest), model, **settings), new).log_likelihood(new)
            bar.update()
            return ll.sum(axis=1) / np.maximum(new.mask.sum(axis=1), 1)

        each = np.concatenate(map_jobs(score, parts))
    return {"heldout_ll_per_trial": float(each.mean()), "heldout_se": float(each.std(ddof=1) / np.sqrt(mice))}


def of_new_mice(fitted: Fit, trials: Trials) -> Fit:
    """A fit of other mice, for these."""
    n = len(trials.ids)
    if isinstance(fitted, NeuralFit):
        weights = np.tile(np.median(fitted.initial_weights, axis=0), (n, 1))
        if fitted.settings["initial"] == "first-trials":
            weights = first_weights(trials)
        return replace(fitted, initial_weights=weights, ids=trials.ids)
    assert isinstance(fitted, RuleFit)
    theta = np.tile(np.median(fitted.theta, axis=0), (n, 1))
    intervals, nll = np.full((*theta.shape, 2), np.nan), np.full(n, np.nan)
    return replace(fitted, theta=theta, ids=trials.ids, ci95=intervals, nll=nll, converged=np.ones(n, bool))
