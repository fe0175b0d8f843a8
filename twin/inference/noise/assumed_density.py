"""The likelihood of a closed-form rule whose weights are noisy: a filter over each mouse's trials, compiled and differentiated.

    w_{t+1} = w_t + f(w_t, x_t, y_t, r_t) + N(0, trial_noise^2),   + N(0, day_noise^2) between sessions

Idea. The weights before a trial are a Gaussian N(m, P) given the choices so far. A choice sees them through one number, the
logit u = w . x, and so does every rule's update; given u, the rest of w is Gaussian and moves linearly. So all that the filter
needs are one-dimensional integrals over u: the probability of the choice, which is the factor of the likelihood, and mean and
covariance of the updated weights given the choice, which make the next Gaussian. They are sums over the nodes of a
Gauss-Hermite rule. The noise levels are parameters like others, and because every step is analytic the complex step gives exact
derivatives, as in `closed_form.likelihood`.

References. Assumed-density filtering: Maybeck 1982, Stochastic Models vol. 2, ch. 12; Minka 2001, UAI. State-space models of
choices: Smith et al 2004, J Neurosci 24:447. Learning with noise in the weights: Ashwood et al 2020, NeurIPS; Geadah & Pillow
2025.

Limits. The Gaussian is an approximation, the worse the larger the noise. An update that is not linear in w at a given logit
is linearised. What a rule remembers beside the weights (eligibility, critic, window) is carried by its mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from agents.closed_form import new_memory, push_window, row
from agents.rules import Rule
from agents.theta import Layout
from envs.compiled import kernel, loop
from twin.data.trials import Trials
from twin.inference.closed_form.likelihood import STEP, Evaluation, MouseLikelihood, sigmoid, stepped

N_NODES = 11
NODES, _FACTORS = np.polynomial.hermite_e.hermegauss(N_NODES)
FACTORS = _FACTORS / _FACTORS.sum()  # of the standard normal
CERTAIN = 1e-200  # variance of the logit below which the weights count as known


class Belief(NamedTuple):
    """What the filter carries beside the mean of the weights, and room for one trial; complex, changed in place."""

    covariance: np.ndarray  # (K, K) of the weights
    across: np.ndarray  # (K,) covariance of weights and logit, divided by the logit's sd
    at_node: np.ndarray  # (N, K) updated weights at each node
    posterior: np.ndarray  # (N,) probability of each node given the choice
    p_right: np.ndarray  # (N,) before lapses
    slope: np.ndarray  # (K,) of the updated weight over the old one, at a given logit
    learned: np.ndarray  # (K + 1,) mean of the eligibility after the trial, and of the critic

    @classmethod
    def empty(cls, k: int) -> Belief:
        """Weights known exactly."""
        shapes = ((k, k), (k,), (N_NODES, k), (N_NODES,), (N_NODES,), (k,), (k + 1,))
        return cls(*(np.zeros(shape, complex) for shape in shapes))


class FilterParameters(NamedTuple):
    """What the filter assumes of one mouse, and the nodes it integrates over."""

    rule_parameters: np.ndarray  # (K, R)
    lapses: np.ndarray  # (2,)
    noise: np.ndarray  # (2, K) standard deviations, of trials and of nights
    nodes: np.ndarray  # (N,)
    factors: np.ndarray  # (N,)


class Filtered(NamedTuple):
    """The weights before each trial given the choices before it, and how probable its choice was; complex."""

    mean: np.ndarray  # (T, K)
    covariance: np.ndarray  # (T, K, K)
    chosen: np.ndarray  # (T,)


@kernel
def square_root(z: complex) -> complex:
    """Root of a number whose imaginary part is a complex step; 0 where its real part is not positive."""
    if z.real <= CERTAIN:
        return 0.0j
    r = math.sqrt(z.real)
    return complex(r, 0.5 * z.imag / r)


@kernel
def predict_logit(belief: Any, weights: Any, x: Any) -> tuple:
    """Mean and standard deviation of the logit; leaves `across`."""
    mean, variance = 0.0j, 0.0j
    for k in range(x.shape[0]):
        mean += weights[k] * x[k]
        belief.across[k] = 0.0j
        for j in range(x.shape[0]):
            belief.across[k] += belief.covariance[k, j] * x[j]
        variance += belief.across[k] * x[k]
    sd = square_root(variance)
    for k in range(x.shape[0]):
        belief.across[k] = belief.across[k] / sd if sd.real > 0.0 else 0.0j
    return mean, sd


@kernel
def predict_choice(belief: Any, weights: Any, x: Any, choice: int, parameters: Any) -> complex:
    """Probability of a choice; leaves `across` and, for every node, its posterior probability and p_right."""
    mean, sd = predict_logit(belief, weights, x)
    lapses, factors = parameters.lapses, parameters.factors
    engaged = 1.0 - lapses[0] - lapses[1]
    total = 0.0j
    for i in range(factors.shape[0]):
        right, left = sigmoid(mean + sd * parameters.nodes[i])
        p = lapses[0] + engaged * right if choice == 1 else lapses[1] + engaged * left
        belief.p_right[i] = right
        belief.posterior[i] = factors[i] * p
        total += belief.posterior[i]
    for i in range(factors.shape[0]):
        belief.posterior[i] = belief.posterior[i] / total if total.real > 0.0 else complex(factors[i])
    return total


@kernel
def match_moments(belief: Any, weights: Any) -> None:
    """From the updated weights at the nodes to their mean, left in `weights` (K,), and covariance."""
    n_weights, nodes = weights.shape[0], belief.posterior.shape[0]
    for k in range(n_weights):
        weights[k] = 0.0j
        for i in range(nodes):
            weights[k] += belief.posterior[i] * belief.at_node[i, k]
    for k in range(n_weights):
        for j in range(k + 1):
            rest = belief.covariance[k, j] - belief.across[k] * belief.across[j]
            total = belief.slope[k] * belief.slope[j] * rest
            for i in range(nodes):
                total += belief.posterior[i] * (belief.at_node[i, k] - weights[k]) * (belief.at_node[i, j] - weights[j])
            belief.covariance[k, j] = belief.covariance[j, k] = total


@kernel
def begin_filter_trial(t: int, x: Any, night: bool, weights: Any, belief: Any, noise: Any, filtered: Any) -> None:
    """Add the noise of the night, where there is one before trial t, and write down the belief."""
    for k in range(x.shape[0]):
        if night:
            belief.covariance[k, k] += noise[1, k] * noise[1, k]
        filtered.mean[t, k] = weights[k]
    for k in range(x.shape[0]):
        for j in range(x.shape[0]):
            filtered.covariance[t, k, j] = belief.covariance[k, j]


def _compile_update(rule: Rule) -> Callable[..., None]:
    """Compiled update of one trial at every node, left in the belief; `p_mean` is the expected p_right."""
    update, n_parameters = loop(rule.update), len(rule.parameters)

    @loop
    def update_nodes(memory: Any, belief: Any, choice: float, reward: float, p_mean: complex, parameters: Any) -> None:
        n_weights, critic, nodes = memory.x.shape[0], memory.critic[0], parameters.nodes
        belief.learned[:] = 0.0j
        for k in range(n_weights):
            w, old, x = memory.weights[k], memory.eligibility[k], memory.x[k]
            own = row(parameters.rule_parameters[k], n_parameters)
            for i in range(nodes.shape[0]):
                at = w + belief.across[k] * nodes[i]
                new, trace, expected = update(at, old, critic, x, choice, reward, belief.p_right[i], *own)
                belief.at_node[i, k] = new
                belief.learned[k] += belief.posterior[i] * trace
                if k == n_weights - 1:
                    belief.learned[n_weights] += belief.posterior[i] * expected
            above, _, _ = update(w + 1.0, old, critic, x, choice, reward, p_mean, *own)
            here, _, _ = update(w, old, critic, x, choice, reward, p_mean, *own)
            belief.slope[k] = above - here

    return update_nodes


@lru_cache(maxsize=64)
def _compile_filter(rule: Rule) -> Callable[..., None]:
    """Compiled run of one mouse, which fills a Filtered."""
    update_nodes, windowed = _compile_update(rule), rule.window > 0

    @loop
    def learn(memory: Any, belief: Any, choice: float, reward: float, parameters: Any) -> None:
        p_mean = 0.0j
        for i in range(belief.posterior.shape[0]):
            p_mean += belief.posterior[i] * belief.p_right[i]
        if windowed:
            reward = push_window(memory, choice, reward, p_mean)
        update_nodes(memory, belief, choice, reward, p_mean, parameters)
        match_moments(belief, memory.weights)
        n_weights = memory.x.shape[0]
        for k in range(n_weights):
            memory.eligibility[k] = belief.learned[k]
        memory.critic[0] = belief.learned[n_weights]

    @loop
    def run(trials: Any, memory: Any, belief: Any, parameters: Any, filtered: Any) -> None:
        noise = parameters.noise
        for t in range(trials.x.shape[0]):
            x, choice = trials.x[t], trials.choice[t]
            begin_filter_trial(t, x, trials.new_session[t] and t > 0, memory.weights, belief, noise, filtered)
            for k in range(x.shape[0]):
                memory.x[k] = x[k]
            if choice >= 0:
                filtered.chosen[t] = predict_choice(belief, memory.weights, x, choice, parameters)
                learn(memory, belief, float(choice), float(trials.reward[t]), parameters)
            for k in range(x.shape[0]):
                belief.covariance[k, k] += noise[0, k] * noise[0, k]

    return run


class FilteredLikelihood(MouseLikelihood):
    """The trials of one mouse whose weights are noisy; the noise levels are columns of theta like the rule's parameters."""

    noise = True

    def __init__(self, trials: Trials, mouse: int, layout: Layout) -> None:
        super().__init__(trials, mouse, layout)
        self._filter = _compile_filter(layout.rule)

    def run(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Expected weights before each trial given the choices before it (T, K), and as `MouseLikelihood`."""
        filtered = self.filter(theta)
        return filtered.mean.real, filtered.chosen.real, 1.0 - filtered.chosen.real

    def filter(self, theta: np.ndarray) -> Filtered:
        """The weights before each trial given the choices before it; theta (P,), real or complex."""
        parts = self.parts(np.asarray(theta, complex))
        n, k = self.trials.x.shape
        filtered = Filtered(np.empty((n, k), complex), np.empty((n, k, k), complex), np.ones(n, complex))
        noise = np.stack([parts.trial_noise, parts.day_noise])
        parameters = FilterParameters(parts.rule_parameters, parts.lapses, noise, NODES, FACTORS)
        self._filter(self.trials, new_memory(self.layout.rule, parts.initial_weight), Belief.empty(k), parameters, filtered)
        return filtered

    def evaluate(self, theta: np.ndarray, free: Sequence[int]) -> Evaluation:
        """Value, gradient and information over the `free` columns of theta: one complex run for each."""
        counts = self.trials.counts
        p = self.run(theta)[1][counts] if not free else np.empty(0)
        slopes = np.empty((len(free), int(counts.sum())))
        for f, stepped_theta in enumerate(stepped(theta, free)):
            chosen = self.filter(stepped_theta).chosen[counts]
            p = chosen.real
            slopes[f] = chosen.imag / STEP
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            variance = p * (1.0 - p)
            weighted = np.divide(slopes, variance, out=np.zeros_like(slopes), where=variance > 0)
            return Evaluation(-float(np.log(p).sum()), -(slopes / p).sum(axis=1), weighted @ slopes.T)
