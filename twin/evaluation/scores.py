"""How well models predict recorded choices: on the trials they were fitted to, and on those that came after."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import norm

from twin.data.trials import Trials
from twin.evaluation.mice import fitted_rows
from twin.evaluation.told import told_of
from twin.inference.fit import Fit, fit

CHANCE = float(np.log(0.5))
BLOCK = 50  # trials over which differences are pooled before their standard error, since neighbours are alike


def compare(
    fits: dict[str, tuple[Fit, float]],
    train: Trials,
    future: Trials | None,
    held_out: Mapping[str, dict[str, float]] | None = None,
    weights: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Scores of every model beside chance and a static GLM, and pairwise comparisons on the later trials (else on the fitted).

    Log-likelihoods are natural, per trial with a choice. `held_out` are scores to be added to those of each model,
    `weights` (M, T, K) those of each on the fitted trials, by which its rule is read (`told_of`). The comparisons' p is
    two-sided, from differences summed over blocks of 50 trials. `mouse_fits` tells what the models make of each mouse, in the
    order of the trials.
    """
    every = dict(fits)
    if "static-glm" not in every:
        every = {"static-glm": (fit(train, "static-glm"), 0.0), **every}
    scored = future or train
    fitted = {name: _log_likelihood(model, train) for name, (model, _) in every.items()}
    each = {name: _log_likelihood(model, future) for name, (model, _) in every.items()} if future else fitted
    asked = {"train": True, "future": future, "heldout": held_out}
    models: dict[str, Any] = {"chance": {f"{which}_ll_per_trial": CHANCE for which, there in asked.items() if there}}
    for name, (_, seconds) in every.items():
        models[name] = {
            "train_ll_per_trial": _per_trial(fitted[name], train),
            "accuracy": _accuracy(each[name], scored),
            "seconds": seconds,
            **(held_out or {}).get(name, {}),
        }
        if name in fits:
            models[name] |= told_of(
                fits[name][0], train, fitted[name], (weights or {}).get(name), models[name].get("update_se")
            )
        if future:
            models[name]["future_ll_per_trial"] = _per_trial(each[name], future)
    pairs = combinations(each, 2)
    sums, counts = {name: ll.sum(axis=1) for name, ll in fitted.items()}, train.mask.sum(axis=1)
    return {
        "models": models,
        "comparisons": [difference(a, b, each[a], each[b], scored.mask) for a, b in pairs],
        "mouse_fits": fitted_rows({name: model for name, (model, _) in every.items()}, sums, counts),
    }


def _log_likelihood(model: Fit, trials: Trials) -> np.ndarray:
    """That of each choice, (M, T); NaN where the arithmetic fails, as with weights that have no finite optimum."""
    try:
        with np.errstate(all="ignore"):
            return model.log_likelihood(trials)
    except (ArithmeticError, np.linalg.LinAlgError):
        return np.where(trials.mask, np.nan, 0.0)


def _per_trial(ll: np.ndarray, trials: Trials) -> float | None:
    """Mean over the choices that count, None without any."""
    return float(ll.sum() / trials.mask.sum()) if trials.mask.any() else None


def _accuracy(ll: np.ndarray, trials: Trials) -> float | None:
    """Fraction of the choices that are given more than chance, None without any, or where their probabilities are unknown."""
    counted = ll[trials.mask]
    return float((counted > CHANCE).mean()) if counted.size and np.isfinite(counted).all() else None


def difference(a: str, b: str, ll_a: np.ndarray, ll_b: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """Log-likelihood per trial of model a minus that of b, (M, T) each, and the p of no difference.

    Where there is no p, or no difference, `reason` says why.
    """
    blocks = []
    for row, counted in zip(ll_a - ll_b, mask, strict=True):
        values = row[counted]
        blocks += [values[i : i + BLOCK].sum() for i in range(0, len(values), BLOCK)]
    total = float(np.sum(blocks))
    pair: dict[str, Any] = {"a": a, "b": b, "difference": total / mask.sum() if blocks else None}
    if not np.isfinite(total) or not blocks:
        return pair | {"p": None, "reason": "no choices to compare on" if not blocks else "a log-likelihood is not finite"}
    if total == 0 and not np.any(blocks):
        return pair | {"p": 1.0}
    if len(blocks) == 1:
        return pair | {"p": None, "reason": f"one block of {BLOCK} trials at most: its spread is not known"}
    spread = np.std(blocks, ddof=1) * np.sqrt(len(blocks))
    if not spread > 0:
        return pair | {"p": None, "reason": "the difference is the same in every block of trials: it has no spread"}
    return pair | {"p": float(2 * norm.sf(abs(total) / spread))}
