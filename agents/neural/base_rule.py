"""The closed-form core of a neural rule: a rule whose change of a weight is known, to which a network adds the rest.

A core is a closed-form rule without memory whose update is quadratic in the policy's p and linear in the weight itself, which
holds for the whole REINFORCE family. So on every recorded trial it is four numbers for each weight,

    change = constant + linear p + square p^2 + own w

found from the rule's own `update` at a few points. That is what compiled kernels know of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.rules import RULES, Rule


def core_change(rule: Rule, theta: Tensor, w: Any, x: Any, choice: Any, reward: Any, p: Any) -> Any:
    """Change of the weights w (..., K) in a trial; x as w, the others (..., 1), theta (R, K) natural units."""
    return rule.update(w, 0.0, 0.0, x, choice, reward, p, *theta)[0] - w


def core_coefficients(rule: Rule, theta: Tensor, x: Tensor, choice: Tensor, reward: Tensor) -> Tensor:
    """The four numbers of every trial and weight, (..., 4, K); arguments as in `core_change`."""

    def change(w: float, p: float) -> Tensor:
        return core_change(rule, theta, w, x, choice, reward, p)

    constant, half, one, own = change(0.0, 0.0), change(0.0, 0.5), change(0.0, 1.0), change(1.0, 0.0)
    linear, square = 4.0 * half - one - 3.0 * constant, 2.0 * (constant + one) - 4.0 * half
    return torch.stack([part + torch.zeros_like(x) for part in (constant, linear, square, own - constant)], dim=-2)


def can_be_core(rule: Rule) -> bool:
    """Is the update of this form, and without memory?"""
    draw = np.random.default_rng(0)
    theta = torch.as_tensor(draw.uniform(0.1, 0.4, (len(rule.parameters), 1)))
    w, memory, critic, x, p = torch.as_tensor(draw.uniform(0.1, 0.9, (5, 100, 1)))
    choice, reward = torch.as_tensor(draw.integers(0, 2, (2, 100, 1))).to(w.dtype)
    constant, linear, square, own = core_coefficients(rule, theta, x, choice, reward).unbind(-2)
    after, _, kept = rule.update(w, memory, critic, x, choice, reward, p, *theta)
    expected = w + constant + linear * p + square * p**2 + own * w
    return not rule.window and bool(torch.allclose(after, expected)) and bool((kept == critic).all())


CORES = tuple(name for name, rule in RULES.items() if can_be_core(rule))


def natural(rule: Rule, free: Tensor) -> Tensor:
    """Parameters (R, K) in natural units, each between its bounds, from unconstrained ones."""
    low, high = (free.new_tensor([getattr(p, end) for p in rule.parameters])[:, None] for end in ("low", "high"))
    return low + (high - low) * torch.sigmoid(free)


def unconstrained(rule: Rule, theta: np.ndarray) -> np.ndarray:
    """The inverse of `natural`."""
    return np.stack([p.free(row) for p, row in zip(rule.parameters, theta, strict=True)]) if len(theta) else theta
