"""Initialise at the base rule's maximum-likelihood estimate.

One base rule for all mice, each mouse with its own initial weights if they are fitted too. The gradient is that of the unrolled
recurrence, in float64, with a network that adds nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from agents.neural.models.dnnglm import DNNRule
from agents.neural.settings import NetworkSettings
from twin.inference.neural.unroll import Batch, unroll

STEPS = 100  # of L-BFGS, at most


def warm_start(model: Any, batch: Batch, weights: Tensor, counts: Tensor) -> None:
    """Give the base rule's parameters, and initial weights (M, K) that require a gradient, the most likely values, in place.

    `counts` (M, T) tells which trials count. Nothing happens to a rule whose base rule has no parameters.
    """
    if not model.base_rule.parameters:
        return
    alone = base_rule_alone(model).double().to(weights.device)
    wide = batch.each(Tensor.double)
    initial = weights.detach().double().requires_grad_(weights.requires_grad)
    free = [alone.free_base_parameters, initial] if weights.requires_grad else [alone.free_base_parameters]
    optimiser = torch.optim.LBFGS(free, max_iter=STEPS, line_search_fn="strong_wolfe", tolerance_grad=1e-9)

    def loss() -> Tensor:
        optimiser.zero_grad()
        logits, _ = unroll(alone, wide, initial, strategy="auto")
        value = mean_nll(logits, wide.choice, counts)
        value.backward()
        return value

    optimiser.step(loss)
    if all(torch.isfinite(p).all() for p in free):
        model.free_base_parameters.data.copy_(alone.free_base_parameters.detach())
        weights.data.copy_(initial.detach())


def base_rule_alone(model: Any) -> DNNRule:
    """The base rule of a rule as a rule; its network is as small as can be and adds nothing."""
    alone = DNNRule(model.features, NetworkSettings(base_rule=model.settings.base_rule, hidden=1, layers=1, mirror=False))
    alone.free_base_parameters.data.copy_(model.free_base_parameters.data)
    return alone


def mean_nll(logits: Tensor, choice: Tensor, counts: Tensor) -> Tensor:
    """Negative log-likelihood per trial that counts; logits and counts (M, T), choice (M, T, 1)."""
    each = nn.functional.binary_cross_entropy_with_logits(logits, choice[..., 0].clamp(min=0), reduction="none")
    return each[counts].mean()
