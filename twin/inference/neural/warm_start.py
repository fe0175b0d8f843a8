"""Initialise at the base rule's maximum-likelihood estimate.

One base rule for all mice, each mouse with its own initial weights if they are fitted too. The gradient is that of the unrolled
recurrence, in float64, with a network that adds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from agents.neural.base_rule import natural, unconstrained
from agents.neural.models.dnnglm import DNNRule
from agents.neural.settings import NetworkSettings
from twin.inference.neural.individuals import Individuals, log_chosen
from twin.inference.neural.unroll import Batch, unroll

STEPS = 100  # of L-BFGS, at most
STEPS_OF_DRAWS = 15  # where mice are drawn, and found again soon


def warm_start(
    model: Any,
    batch: Batch,
    weights: Tensor,
    counts: Tensor,
    mice: Individuals | None = None,
    draws: Sequence[Tensor | None] = (None,),
) -> None:
    """Give the base rule's parameters, and initial weights (M, K) that require a gradient, the most likely values, in place.

    `counts` (M, T) tells which trials count; what is the mice's own stays, and is drawn from what is left open of it by each of
    `draws` (M, F + K), standard normal, for the mean of the log-likelihood over them.
    Nothing happens to a rule whose base rule has no parameters.
    """
    if not model.base_rule.parameters:
        return
    alone = base_rule_alone(model).double().to(weights.device)
    wide = batch.each(Tensor.double)
    initial = weights.detach().double().requires_grad_(weights.requires_grad)
    free = [alone.free_base_parameters, initial] if weights.requires_grad else [alone.free_base_parameters]
    optimiser = torch.optim.LBFGS(
        free, max_iter=STEPS if mice is None else STEPS_OF_DRAWS, line_search_fn="strong_wolfe", tolerance_grad=1e-9
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        total = torch.zeros((), dtype=torch.float64, device=weights.device)
        for z in draws:
            one, start = (mice, initial) if mice is None or z is None else mice.drawn(z, initial)
            own = None if one is None else alone.own(one.own.double())
            logits, _ = unroll(alone, wide._replace(own=own), start, strategy="auto")
            lapses = None if one is None or one.lapses is None else one.lapses.double()
            value = -log_chosen(logits, wide.choice[..., 0], lapses)[counts].mean() / len(draws)
            value.backward()
            total += value.detach()
        return total

    optimiser.step(loss)
    if all(torch.isfinite(p).all() for p in free):
        model.free_base_parameters.data.copy_(alone.free_base_parameters.detach())
        weights.data.copy_(initial.detach())


def center(model: Any, mice: Individuals) -> Individuals:
    """Give the base rule's parameters what mice have in common, in place, and the mice only how they differ from it.

    It is exact for a network that adds nothing, as far as the bounds of rates allow.
    """
    if not model.base_rule.parameters:
        return mice
    k = len(model.features)
    common = mice.u.mean(0).double()
    values = natural(model.base_rule, model.free_base_parameters.data.double())
    for i, parameter in enumerate(model.base_rule.parameters):
        if parameter.by_factors:
            values[i] *= (common[0] + common[1 : 1 + k]).exp()
    model.free_base_parameters.data.copy_(torch.as_tensor(unconstrained(model.base_rule, values.numpy())))
    moved = torch.zeros_like(mice.mean)
    moved[: 1 + k] = common[: 1 + k]
    return replace(mice, u=mice.u - moved)


def base_rule_alone(model: Any) -> DNNRule:
    """The base rule of a rule as a rule; its network is as small as can be and adds nothing."""
    alone = DNNRule(model.features, NetworkSettings(base_rule=model.settings.base_rule, hidden=1, layers=1, mirror=False))
    alone.free_base_parameters.data.copy_(model.free_base_parameters.data)
    return alone
