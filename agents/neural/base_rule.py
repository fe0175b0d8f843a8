"""The closed-form base rule of a neural rule: it gives part of each change of a weight, and a network adds the rest.

A rule can be a base rule if it has no memory and its update is quadratic in the probability p of a right choice and linear in
the weight itself (`Rule.base_rule_form`), which holds for the whole REINFORCE family. So on every recorded trial it is four
numbers for each weight,

    change = constant + linear p + square p^2 + own w

found from the rule's own `update` at a few points. The compiled kernels know no more of it than these coefficients.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.rules import Rule


def base_rule_change(rule: Rule, parameters: Tensor, w: Any, x: Any, choice: Any, reward: Any, p: Any) -> Any:
    """Change of the weights w (..., K) in a trial; x as w, the others (..., 1), parameters (R, K) in natural units."""
    return rule.update(w, 0.0, 0.0, x, choice, reward, p, *parameters)[0] - w


def base_rule_coefficients(rule: Rule, parameters: Tensor, x: Tensor, choice: Tensor, reward: Tensor) -> Tensor:
    """The four numbers of every trial and weight, (..., 4, K); arguments as in `base_rule_change`."""

    def change(w: float, p: float) -> Tensor:
        return base_rule_change(rule, parameters, w, x, choice, reward, p)

    constant = change(0.0, 0.0)
    half = change(0.0, 0.5)
    one = change(0.0, 1.0)
    unit = change(1.0, 0.0)
    linear = 4.0 * half - one - 3.0 * constant
    square = 2.0 * (constant + one) - 4.0 * half
    return torch.stack([part + torch.zeros_like(x) for part in (constant, linear, square, unit - constant)], dim=-2)


def natural(rule: Rule, free: Tensor) -> Tensor:
    """Parameters (R, K) in natural units, each within the bounds where learning is stable, from unconstrained ones."""
    low, high = (free.new_tensor([getattr(p.steady, end) for p in rule.parameters])[:, None] for end in ("low", "high"))
    return low + (high - low) * torch.sigmoid(free)


def unconstrained(rule: Rule, parameters: np.ndarray) -> np.ndarray:
    """The inverse of `natural`."""
    if not len(parameters):
        return parameters
    return np.stack([p.steady.free(row) for p, row in zip(rule.parameters, parameters, strict=True)])
