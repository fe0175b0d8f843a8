"""How well models predict recorded choices: on the trials they were fitted to, and on those that came after."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import norm

from twin.data.trials import Trials
from twin.inference.fit import Fit, fit

CHANCE = float(np.log(0.5))
BLOCK = 50  # trials over which differences are pooled before their standard error, since neighbours are alike


def compare(
    fits: dict[str, tuple[Fit, float]],
    train: Trials,
    future: Trials | None,
    held_out: Mapping[str, dict[str, float]] | None = None,
) -> dict[str, Any]:
    """Scores of every model beside chance and a static GLM, and pairwise comparisons on the later trials (else on the fitted).

    Log-likelihoods are natural, per trial with a choice. `held_out` are scores to be added to those of each model. The
    comparisons' p is two-sided, from differences summed over blocks of 50 trials.
    """
    every = dict(fits)
    if "static-glm" not in every:
        every = {"static-glm": (fit(train, "static-glm"), 0.0), **every}
    scored = future or train
    each = {name: model.log_likelihood(scored) for name, (model, _) in every.items()}
    models: dict[str, Any] = {"chance": {"train_ll_per_trial": CHANCE} | ({"future_ll_per_trial": CHANCE} if future else {})}
    for name, (model, seconds) in every.items():
        ll = model.log_likelihood(train)
        models[name] = {
            "train_ll_per_trial": float(ll.sum() / train.mask.sum()),
            "accuracy": float((each[name][scored.mask] > CHANCE).mean()),
            "seconds": seconds,
            **(held_out or {}).get(name, {}),
        }
        if future:
            models[name]["future_ll_per_trial"] = float(each[name].sum() / future.mask.sum())
    pairs = combinations(each, 2)
    return {"models": models, "comparisons": [difference(a, b, each[a], each[b], scored.mask) for a, b in pairs]}


def difference(a: str, b: str, ll_a: np.ndarray, ll_b: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """Log-likelihood per trial of model a minus that of b, (M, T) each, and the p of no difference."""
    blocks = []
    for row, counted in zip(ll_a - ll_b, mask, strict=True):
        values = row[counted]
        blocks += [values[i : i + BLOCK].sum() for i in range(0, len(values), BLOCK)]
    total = np.sum(blocks)
    spread = np.std(blocks, ddof=1) * np.sqrt(len(blocks)) if len(blocks) > 1 else np.nan
    p = float(2 * norm.sf(abs(total) / spread)) if spread > 0 else float(total == 0)
    return {"a": a, "b": b, "difference": float(total / mask.sum()), "p": p}
