"""Where the training of a neural rule with a closed-form core begins: at the core's own maximum likelihood.

One core for all mice, each mouse with its own initial weights if they are fitted too. The gradient is that of the unrolled
recurrence, in float64, with a network that adds nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from agents.neural.networks import DNNRule
from agents.neural.settings import NetworkSettings
from twin.inference.neural.unroll import Batch, unroll

STEPS = 100  # of L-BFGS, at most; one to three dozen are needed


def start_core(model: Any, batch: Batch, weights: Tensor, counts: Tensor) -> None:
    """Give the core's parameters, and initial weights (M, K) that require a gradient, the values that fit best, in place.

    `counts` (M, T) tells which trials count. Nothing happens to a rule whose core has no parameters.
    """
    if not model.core.parameters:
        return
    core = core_alone(model).double().to(weights.device)
    wide = batch.each(Tensor.double)
    initial = weights.detach().double().requires_grad_(weights.requires_grad)
    free = [core.core_free, initial] if weights.requires_grad else [core.core_free]
    optimiser = torch.optim.LBFGS(free, max_iter=STEPS, line_search_fn="strong_wolfe", tolerance_grad=1e-9)

    def loss() -> Tensor:
        optimiser.zero_grad()
        logits, _ = unroll(core, wide, initial, strategy="auto")
        value = mean_nll(logits, wide.choice, counts)
        value.backward()
        return value

    optimiser.step(loss)
    if all(torch.isfinite(p).all() for p in free):
        model.core_free.data.copy_(core.core_free.detach())
        weights.data.copy_(initial.detach())


def core_alone(model: Any) -> DNNRule:
    """The core of a rule as a rule; its network is as small as can be and adds nothing."""
    core = DNNRule(model.features, NetworkSettings(core=model.settings.core, hidden=1, layers=1, mirror=False))
    core.core_free.data.copy_(model.core_free.data)
    return core


def mean_nll(logits: Tensor, choice: Tensor, counts: Tensor) -> Tensor:
    """Negative log-likelihood per trial that counts; logits and counts (M, T), choice (M, T, 1)."""
    each = nn.functional.binary_cross_entropy_with_logits(logits, choice[..., 0].clamp(min=0), reduction="none")
    return each[counts].mean()
