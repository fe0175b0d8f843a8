"""The likelihood of a closed-form rule whose weights are noisy: a filter over each mouse's trials, compiled and differentiated.

    w_{t+1} = w_t + f(w_t, x_t, y_t, r_t) + N(0, trial_noise^2),   + N(0, day_noise^2) between sessions

Idea. The weights before a trial are a Gaussian N(m, P) given the choices so far. A choice sees them through one number, the
logit u = w . x, and so does every rule's update; given u, the rest of w is Gaussian and moves linearly. So all that the filter
needs are one-dimensional integrals over u: the probability of the choice, which is the factor of the likelihood, and mean and
covariance of the updated weights given the choice, which make the next Gaussian. They are sums over the nodes of a
Gauss-Hermite rule. The noise levels are parameters like others, and because every step is analytic the complex step gives exact
derivatives, as in `likelihood`.

References. Assumed-density filtering: Maybeck 1982, Stochastic Models vol. 2, ch. 12; Minka 2001, UAI. State-space models of
choices: Smith et al 2004, J Neurosci 24:447. Learning with noise in the weights: Ashwood et al 2020, NeurIPS; Geadah & Pillow
2025.

Limits. The Gaussian is an approximation: in 12 trials of one weight the log-probability of a choice differs from numerical
integration by less than 1e-4 at noise of .06, and 3e-3 at .3. An update that is not linear in w at a
given logit is linearised. What a rule remembers beside the weights (eligibility, critic, window) is carried by its mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from agents.closed_form import new_memory, push_window, row
from agents.rules import Rule
from agents.theta import Layout, Unpacked
from envs.compiled import kernel, loop
from twin.data.trials import Trials
from twin.inference.closed_form.likelihood import MouseLikelihood, sigmoid

N_NODES = 11
_NODES, _FACTORS = np.polynomial.hermite_e.hermegauss(N_NODES)
NODES, FACTORS = _NODES, _FACTORS / _FACTORS.sum()  # of the standard normal
CERTAIN = 1e-200  # variance of the logit below which the weights count as known


class Belief(NamedTuple):
    """What the filter carries, and room for one trial; complex, changed in place."""

    covariance: np.ndarray  # (K, K) of the weights
    across: np.ndarray  # (K,) covariance of weights and logit, then divided by the logit's sd
    at_node: np.ndarray  # (N, K) updated weights at each node
    share: np.ndarray  # (N,) posterior probability of each node
    p_right: np.ndarray  # (N,) before lapses
    kept: np.ndarray  # (K,) slope of the updated weight over the old one, at a given logit
    learned: np.ndarray  # (K + 1,) mean of the eligibility after the trial, and of the critic

    @classmethod
    def empty(cls, k: int) -> Belief:
        """Weights known exactly."""
        shapes = ((k, k), (k,), (N_NODES, k), (N_NODES,), (N_NODES,), (k,), (k + 1,))
        return cls(*(np.zeros(shape, complex) for shape in shapes))


@kernel
def square_root(z: complex) -> complex:
    """Root of a number whose imaginary part is a complex step; 0 where its real part is not positive."""
    if z.real <= CERTAIN:
        return 0.0j
    r = math.sqrt(z.real)
    return complex(r, 0.5 * z.imag / r)


@kernel
def see(belief: Any, weights: Any, x: Any, choice: int, lapses: Any, nodes: Any, factors: Any) -> complex:
    """Probability of a choice; leaves `across` and, for every node, the posterior share and p_right."""
    n_weights = x.shape[0]
    mean, variance = 0.0j, 0.0j
    for k in range(n_weights):
        mean += weights[k] * x[k]
        belief.across[k] = 0.0j
        for j in range(n_weights):
            belief.across[k] += belief.covariance[k, j] * x[j]
        variance += belief.across[k] * x[k]
    sd = square_root(variance)
    for k in range(n_weights):
        belief.across[k] = belief.across[k] / sd if sd.real > 0.0 else 0.0j
    total = 0.0j
    for i in range(nodes.shape[0]):
        right, left = sigmoid(mean + sd * nodes[i])
        engaged = 1.0 - lapses[0] - lapses[1]
        p = lapses[0] + engaged * right if choice == 1 else lapses[1] + engaged * left
        belief.p_right[i], belief.share[i] = right, factors[i] * p
        total += belief.share[i]
    for i in range(nodes.shape[0]):
        belief.share[i] = belief.share[i] / total if total.real > 0.0 else complex(factors[i])
    return total


@kernel
def spread(belief: Any, weights: Any) -> None:
    """From the updated weights at the nodes to their mean, left in `weights` (K,), and covariance."""
    n_weights, nodes = weights.shape[0], belief.share.shape[0]
    for k in range(n_weights):
        weights[k] = 0.0j
        for i in range(nodes):
            weights[k] += belief.share[i] * belief.at_node[i, k]
    for k in range(n_weights):
        for j in range(k + 1):
            rest = belief.covariance[k, j] - belief.across[k] * belief.across[j]
            total = belief.kept[k] * belief.kept[j] * rest
            for i in range(nodes):
                total += belief.share[i] * (belief.at_node[i, k] - weights[k]) * (belief.at_node[i, j] - weights[j])
            belief.covariance[k, j] = belief.covariance[j, k] = total


@lru_cache(maxsize=64)
def _compile_filter(rule: Rule) -> Callable[..., None]:
    """Compiled run of one mouse: mean and covariance of the weights before each trial, probability of each choice."""
    update, n_parameters, windowed = loop(rule.update), len(rule.parameters), rule.window > 0

    @loop
    def learn(memory: Any, belief: Any, choice: float, reward: float, theta: Any, nodes: Any) -> None:
        n_weights, p_mean = memory.x.shape[0], 0.0j
        for i in range(nodes.shape[0]):
            p_mean += belief.share[i] * belief.p_right[i]
        if windowed:
            reward = push_window(memory, choice, reward, p_mean)
        critic = memory.critic[0]
        belief.learned[:] = 0.0j
        for k in range(n_weights):
            w, old, x, parameters = memory.weights[k], memory.eligibility[k], memory.x[k], row(theta[k], n_parameters)
            for i in range(nodes.shape[0]):
                at = w + belief.across[k] * nodes[i]
                new, trace, expected = update(at, old, critic, x, choice, reward, belief.p_right[i], *parameters)
                belief.at_node[i, k] = new
                belief.learned[k] += belief.share[i] * trace
                if k == n_weights - 1:
                    belief.learned[n_weights] += belief.share[i] * expected
            above, _, _ = update(w + 1.0, old, critic, x, choice, reward, p_mean, *parameters)
            here, _, _ = update(w, old, critic, x, choice, reward, p_mean, *parameters)
            belief.kept[k] = above - here
        spread(belief, memory.weights)
        for k in range(n_weights):
            memory.eligibility[k] = belief.learned[k]
        memory.critic[0] = belief.learned[n_weights]

    @loop
    def run(
        data: Any,
        memory: Any,
        belief: Any,
        theta: Any,
        lapses: Any,
        noise: Any,
        rule_of: Any,
        means: Any,
        covs: Any,
        chosen: Any,
    ) -> None:
        x, choice, reward, new_session = data
        nodes, factors = rule_of
        for t in range(x.shape[0]):
            for k in range(x.shape[1]):
                if new_session[t] and t > 0:
                    belief.covariance[k, k] += noise[1, k] * noise[1, k]
                memory.x[k] = x[t, k]
            for k in range(x.shape[1]):
                means[t, k] = memory.weights[k]
                for j in range(x.shape[1]):
                    covs[t, k, j] = belief.covariance[k, j]
            if choice[t] >= 0:
                chosen[t] = see(belief, memory.weights, x[t], choice[t], lapses, nodes, factors)
                learn(memory, belief, float(choice[t]), float(reward[t]), theta, nodes)
            for k in range(x.shape[1]):
                belief.covariance[k, k] += noise[0, k] * noise[0, k]

    return run


class FilteredLikelihood(MouseLikelihood):
    """The trials of one mouse whose weights are noisy; the noise levels are columns of theta like the rule's parameters."""

    noise = True

    def __init__(self, trials: Trials, mouse: int, layout: Layout) -> None:
        super().__init__(trials, mouse, layout)
        self._new_session = trials.new_session[mouse, : len(self._x)].copy()
        self._filter = _compile_filter(layout.rule)

    def run(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Expected weights before each trial given the choices before it (T, K), and as `MouseLikelihood`."""
        means, _, chosen = self.filter(theta)
        return means, chosen, 1.0 - chosen

    def filter(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean (T, K) and covariance (T, K, K) of the weights before each trial, probability of its choice (T,); complex."""
        u: Unpacked = self.layout.unpack(np.asarray(theta, complex)[None])
        n, k = self._x.shape
        means, covs, chosen = np.empty((n, k), complex), np.empty((n, k, k), complex), np.ones(n, complex)
        data = self._x, self._choice, self._reward, self._new_session
        noise = np.stack([u.trial_noise[0], u.day_noise[0]])
        memory, belief = new_memory(self.layout.rule, u.initial_weight[0]), Belief.empty(k)
        self._filter(data, memory, belief, u.rule_parameters[0], u.lapses[0], noise, (NODES, FACTORS), means, covs, chosen)
        return means, covs, chosen
