"""A closed-form rule fitted to each of M mice, and what can be asked of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agents.closed_form import BatchRule
from agents.rules import Rule
from agents.theta import Layout
from twin.data.trials import Trials
from twin.inference.closed_form.likelihood import MouseLikelihood
from twin.inference.noise.assumed_density import FilteredLikelihood
from twin.inference.noise.linearised import smooth_rule


def likelihood_of(noise: bool) -> type[MouseLikelihood]:
    """The likelihood of one mouse whose weights move by the rule alone, or at random too."""
    return FilteredLikelihood if noise else MouseLikelihood


@dataclass(frozen=True)
class RuleFit:
    """A closed-form rule fitted to each of M mice."""

    layout: Layout
    theta: np.ndarray  # (M, P) natural units
    ci95: np.ndarray  # (M, P, 2); NaN for parameters that were not fitted
    nll: np.ndarray  # (M,) on the trials fitted
    converged: np.ndarray  # (M,) bool
    ids: tuple[str, ...]
    name: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def rule(self) -> Rule:
        """The rule that was fitted."""
        return self.layout.rule

    @property
    def noise(self) -> bool:
        """Whether weights also move at random."""
        return bool(self.settings.get("noise", False))

    def log_likelihood(self, trials: Trials) -> np.ndarray:
        """Log-probability (natural) of each choice given those before it, (M, T), 0 where no trial counts."""
        out, likelihood = np.zeros(trials.choice.shape), likelihood_of(self.noise)
        for m in range(len(out)):
            out[m, : trials.lengths[m]] = likelihood(trials, m, self.layout).log_likelihood(self.theta[m])
        return out

    def weights(self, trials: Trials) -> np.ndarray:
        """Weights before each trial, driven by the recorded choices, (M, T, K); NaN beyond a mouse's last trial.

        With noise, the most probable ones given all choices, later ones too.
        """
        out = np.full(trials.x.shape, np.nan)
        for m in range(len(out)):
            if self.noise:
                path = smooth_rule(trials, m, self.layout, self.theta[m]).path
            else:
                path = MouseLikelihood(trials, m, self.layout).run(self.theta[m])[0].real
            out[m, : trials.lengths[m]] = path
        return out

    def update(self, mouse: int, w: np.ndarray, x: np.ndarray, choice: np.ndarray, reward: np.ndarray) -> np.ndarray:
        """Change of the weights (N, K) by single trials of a mouse that remembers none; w, x (N, K), the others (N,)."""
        return rule_update(self.layout, self.theta[mouse], w, x, choice, reward)


def rule_update(
    layout: Layout, theta: np.ndarray, w: np.ndarray, x: np.ndarray, choice: np.ndarray, reward: np.ndarray
) -> np.ndarray:
    """Change of the weights (N, K) by single trials under a closed-form rule with parameters theta (P,)."""
    n = len(w)
    p = 1.0 / (1.0 + np.exp(-np.sum(w * x, axis=1, keepdims=True)))
    mice = BatchRule(layout.rule, np.repeat(layout.unpack(theta[None]).rule_parameters, n, axis=0), w)
    after = mice.learn(mice.init(n), x, choice[:, None].astype(float), reward[:, None].astype(float), p)
    return after.weights - w
