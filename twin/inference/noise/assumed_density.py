"""The likelihood of a closed-form rule whose weights are noisy: a compiled filter over trials, at 16 parameters at once.

    w_{t+1} = w_t + f(w_t, x_t, y_t, r_t) + N(0, trial_noise^2),   + N(0, day_noise^2) between sessions

Idea. The weights before a trial are a Gaussian N(m, P) given the choices so far. A choice sees them through one number, the
logit u = w . x, and so does every rule's update; given u, the rest of w is Gaussian and moves linearly. So all that the filter
needs are one-dimensional integrals over u: the probability of the choice, which is the factor of the likelihood, and mean and
covariance of the updated weights given the choice, which make the next Gaussian. They are sums over the nodes of a
Gauss-Hermite rule. Whatever uses the likelihood asks for it at many parameters (draws, or small steps in each of them, which
give derivatives), so 16 copies of a mouse are run side by side (`twin.inference.lanes`).

References. Assumed-density filtering: Maybeck 1982, Stochastic Models vol. 2, ch. 12; Minka 2001, UAI. State-space models of
choices: Smith et al 2004, J Neurosci 24:447. Learning with noise in the weights: Ashwood et al 2020, NeurIPS; Geadah & Pillow
2025.

Limits. The Gaussian is an approximation, the worse the larger the noise. An update that is not linear in w at a given logit
is linearised. What a rule remembers beside the weights (eligibility, critic, window) is carried by its mean.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from agents.rules import Rule
from agents.theta import Layout, Unpacked
from envs.compiled import njit
from twin.data.trials import Trials
from twin.inference.closed_form.likelihood import MouseLikelihood
from twin.inference.lanes import OPTIONS, WIDTH, lanes, larger, load, magnitude, rows, square_root, store, where

N_NODES = 5  # 3 give the log-likelihood of 8,000 trials of mice like the IBL's to 4e-4, 5 to 4e-7
CERTAIN = 1e-24  # variance of the logit below which the weights count as known
LEAST_P = 1e-30  # of a choice: what is less probable counts as this

lane_kernel = njit(**OPTIONS)
lane_loop = njit(**{**OPTIONS, "cache": False})  # of functions that close over a rule


class Belief(NamedTuple):
    """Copies of one mouse: what the filter believes of each, and room for one trial; rows of 16, changed in place."""

    weights: np.ndarray  # (K, 16) means
    covariance: np.ndarray  # (K K, 16)
    eligibility: np.ndarray  # (K, 16)
    critic: np.ndarray  # (1, 16)
    gradients: np.ndarray  # (S K, 16) of the window: gradient of the log-probability of the last S choices, oldest first
    rewards: np.ndarray  # (S,) their rewards
    learned: np.ndarray  # (1,) trials learned from so far
    across: np.ndarray  # (K, 16) covariance of weights and logit, divided by the logit's sd
    slope: np.ndarray  # (K, 16) of the updated weight over the old one, at a given logit
    posterior: np.ndarray  # (N, 16) probability of each node given the choice
    p_right: np.ndarray  # (N, 16) before lapses
    at_node: np.ndarray  # (K N, 16) updated weights at each node

    @classmethod
    def certain(cls, initial_weights: np.ndarray, window: int, nodes: int) -> Belief:
        """Copies whose initial weights (K, 16) are known."""
        k = len(initial_weights)
        rows = (k * k, k, 1, window * k), (k, k, nodes, nodes, k * nodes)
        before, room = ([np.zeros((n, WIDTH)) for n in part] for part in rows)
        return cls(*[initial_weights.copy(), *before, np.zeros(window), np.zeros(1, np.int64), *room])


class FilterParameters(NamedTuple):
    """What the filter assumes of each copy, and the nodes it integrates over."""

    rule_parameters: np.ndarray  # (K, R, 16)
    lapses: np.ndarray  # (2, 16)
    trial_variance: np.ndarray  # (K, 16)
    day_variance: np.ndarray  # (K, 16)
    nodes: np.ndarray  # (N,)
    factors: np.ndarray  # (N,)


class Filtered(NamedTuple):
    """What the filter believes at B parameters."""

    chosen: np.ndarray  # (B, T) probability of each choice given those before it, 1 where there is none
    weights: np.ndarray  # (B, T, K) expected before each trial given the choices before it
    last_weights: np.ndarray  # (B, K) expected after the last trial
    last_covariance: np.ndarray  # (B, K, K)


@lane_kernel
def exponential(x: Any) -> Any:
    """exp of lanes that are not positive, to a relative 1e-12; below -690 that of -690."""
    x = larger(x, -690.0) * (1.0 / 1024.0)
    y = 1.0 + x * (1.0 + x * (1.0 / 2 + x * (1.0 / 6 + x * (1.0 / 24 + x * (1.0 / 120 + x * (1.0 / 720))))))
    for _ in range(10):
        y = y * y
    return y


@lane_kernel
def predict_logit(belief: Any, x: Any) -> tuple:
    """Mean and standard deviation of the logit; leaves `across`."""
    n = x.shape[0]
    mean, variance = lanes(0.0), lanes(0.0)
    for k in range(n):
        across = lanes(0.0)
        for j in range(n):
            across = across + load(belief.covariance, k * n + j, 0) * x[j]
        store(belief.across, k, 0, across)
        mean = mean + load(belief.weights, k, 0) * x[k]
        variance = variance + across * x[k]
    sd = square_root(larger(variance, 0.0))
    inverse = where(variance - CERTAIN, 1.0 / larger(sd, 1e-12), 0.0)
    for k in range(n):
        store(belief.across, k, 0, load(belief.across, k, 0) * inverse)
    return mean, sd


@lane_kernel
def predict_choice(belief: Any, x: Any, choice: int, parameters: Any) -> tuple:
    """Probability of a choice, and the expected p_right given it; leaves `across`, and posterior and p_right of every node."""
    mean, sd = predict_logit(belief, x)
    low, high = load(parameters.lapses, 0, 0), load(parameters.lapses, 1, 0)
    floor, sign = (low, 1.0) if choice == 1 else (high, -1.0)
    nodes = parameters.nodes
    engaged = 1.0 - low - high
    total, p_mean = lanes(0.0), lanes(0.0)
    for i in range(nodes.shape[0]):
        logit = (mean + sd * nodes[i]) * sign
        e = exponential(-magnitude(logit))
        likely = 1.0 / (1.0 + e)
        chosen = where(logit, likely, e * likely)
        right = chosen if choice == 1 else 1.0 - chosen
        p = (floor + engaged * chosen) * parameters.factors[i]
        total, p_mean = total + p, p_mean + p * right
        store(belief.posterior, i, 0, p)
        store(belief.p_right, i, 0, right)
    total = larger(total, LEAST_P)
    for i in range(nodes.shape[0]):
        store(belief.posterior, i, 0, load(belief.posterior, i, 0) / total)
    return total, p_mean / total


@lane_kernel
def match_moments(belief: Any) -> None:
    """From the updated weights at the nodes to their covariance; `weights` are their means already."""
    n, nodes = belief.weights.shape[0], belief.posterior.shape[0]
    for k in range(n):
        for i in range(nodes):
            store(belief.at_node, k * nodes + i, 0, load(belief.at_node, k * nodes + i, 0) - load(belief.weights, k, 0))
        for j in range(k + 1):
            rest = load(belief.covariance, k * n + j, 0) - load(belief.across, k, 0) * load(belief.across, j, 0)
            total = load(belief.slope, k, 0) * load(belief.slope, j, 0) * rest
            for i in range(nodes):
                away = load(belief.at_node, k * nodes + i, 0) * load(belief.at_node, j * nodes + i, 0)
                total = total + load(belief.posterior, i, 0) * away
            store(belief.covariance, k * n + j, 0, total)
            store(belief.covariance, j * n + k, 0, total)


@lane_kernel
def add_variance(belief: Any, variance: Any) -> None:
    """Add noise of this variance (K, 16) to the weights."""
    n = variance.shape[0]
    for k in range(n):
        store(belief.covariance, k * n + k, 0, load(belief.covariance, k * n + k, 0) + load(variance, k, 0))


@lane_kernel
def push_lanes(belief: Any, x: Any, choice: float, reward: float, p_right: Any) -> float:
    """As `agents.closed_form.push_window`, of 16 copies."""
    s, n = belief.rewards.shape[0], x.shape[0]
    for i in range(s - 1):
        belief.rewards[i] = belief.rewards[i + 1]
        for k in range(n):
            store(belief.gradients, i * n + k, 0, load(belief.gradients, (i + 1) * n + k, 0))
    belief.rewards[s - 1] = reward
    rewarded = 0.0
    for i in range(s):
        rewarded += belief.rewards[i]
    for k in range(n):
        store(belief.gradients, (s - 1) * n + k, 0, (choice - p_right) * x[k])
        total = lanes(0.0)
        for i in range(s):
            total = total + load(belief.gradients, i * n + k, 0)
        store(belief.eligibility, k, 0, total)
    belief.learned[0] += 1
    return 1.0 if 2.0 * rewarded >= min(belief.learned[0], s) else 0.0


def _compile_update(rule: Rule) -> Callable[..., None]:
    """Compiled update of one trial at every node, which leaves means and slopes; `p_mean` is the expected p_right."""
    update, parameters_of = lane_loop(rule.update), rows(len(rule.parameters))

    @lane_loop
    def update_nodes(belief: Any, x: Any, choice: float, reward: float, p_mean: Any, parameters: Any) -> None:
        n, nodes = x.shape[0], parameters.nodes
        critic = load(belief.critic, 0, 0)
        expected = critic
        for k in range(n):
            own = parameters_of(parameters.rule_parameters[k])
            w, old, across = load(belief.weights, k, 0), load(belief.eligibility, k, 0), load(belief.across, k, 0)
            above, _, _ = update(w + 1.0, old, critic, x[k], choice, reward, p_mean, *own)
            here, _, _ = update(w, old, critic, x[k], choice, reward, p_mean, *own)
            store(belief.slope, k, 0, above - here)
            mean, trace, expected = lanes(0.0), lanes(0.0), lanes(0.0)
            for i in range(nodes.shape[0]):
                at, right, p = w + across * nodes[i], load(belief.p_right, i, 0), load(belief.posterior, i, 0)
                new, new_trace, new_critic = update(at, old, critic, x[k], choice, reward, right, *own)
                store(belief.at_node, k * nodes.shape[0] + i, 0, new)
                mean, trace, expected = mean + p * new, trace + p * new_trace, expected + p * new_critic
            store(belief.weights, k, 0, mean)
            store(belief.eligibility, k, 0, trace)
        store(belief.critic, 0, 0, expected)

    return update_nodes


@lru_cache(maxsize=64)
def _compile_filter(rule: Rule) -> Callable[..., None]:
    """Compiled run of 16 copies of one mouse: fills chosen (T, 16) and means (T, K, 16), and leaves the last belief."""
    update_nodes, windowed = _compile_update(rule), rule.window > 0

    @lane_loop
    def run(trials: Any, belief: Any, parameters: Any, chosen: Any, means: Any) -> None:
        for t in range(trials.x.shape[0]):
            x, choice = trials.x[t], trials.choice[t]
            if trials.new_session[t] and t > 0:
                add_variance(belief, parameters.day_variance)
            for k in range(x.shape[0]):
                store(means[t], k, 0, load(belief.weights, k, 0))
            if choice >= 0:
                p, p_mean = predict_choice(belief, x, choice, parameters)
                store(chosen, t, 0, p)
                reward = float(trials.reward[t])
                if windowed:
                    reward = push_lanes(belief, x, float(choice), reward, p_mean)
                update_nodes(belief, x, float(choice), reward, p_mean, parameters)
                match_moments(belief)
            add_variance(belief, parameters.trial_variance)

    return run


class FilteredLikelihood(MouseLikelihood):
    """The trials of one mouse whose weights are noisy; the noise levels are columns of theta like the rule's parameters.

    With `nodes` = 1 and noise levels of 0 it is the likelihood of weights that move by the rule alone.
    """

    def __init__(self, trials: Trials, mouse: int, layout: Layout, nodes: int = N_NODES) -> None:
        super().__init__(trials, mouse, layout)
        self._filter = _compile_filter(layout.rule)
        self._nodes, factors = np.polynomial.hermite_e.hermegauss(nodes)
        self._factors = factors / factors.sum()  # of the standard normal

    def last_belief(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (B, K) and covariance (B, K, K) of the weights after the last trial, at parameters theta (B, P)."""
        batches = [self._copies(theta[i : i + WIDTH]) for i in range(0, len(theta), WIDTH)]
        means, covariances = ([getattr(found, f"last_{part}") for found in batches] for part in ("weights", "covariance"))
        return np.concatenate(means)[: len(theta)], np.concatenate(covariances)[: len(theta)]

    def log_likelihoods(self, theta: np.ndarray) -> np.ndarray:
        """Log-probability (natural) of all choices that count, at parameters theta (B, P): (B,)."""
        return self.log_chosen(theta).sum(axis=1)

    def log_chosen(self, theta: np.ndarray) -> np.ndarray:
        """Log-probability (natural) of each choice that counts, at parameters theta (B, P): (B, counted)."""
        counted = self.trials.counts
        return np.concatenate(
            [np.log(self._copies(theta[i : i + WIDTH]).chosen[:, counted]) for i in range(0, len(theta), WIDTH)]
        )[: len(theta)]

    def run(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Expected weights before each trial given the choices before it (T, K), and as `MouseLikelihood`; theta (P,)."""
        found = self._copies(theta[None])
        return found.weights[0], found.chosen[0], 1.0 - found.chosen[0]

    def _copies(self, theta: np.ndarray) -> Filtered:
        """What the filter finds at up to 16 parameters; always 16 are given back."""
        parts = self.parts(theta[np.minimum(np.arange(WIDTH), len(theta) - 1)])
        n, k = self.trials.x.shape
        side_by_side = [np.ascontiguousarray(np.moveaxis(np.asarray(part, float), 0, -1)) for part in parts]
        own = Unpacked(*side_by_side)
        noise = own.trial_noise**2, own.day_noise**2
        parameters = FilterParameters(own.rule_parameters, own.lapses, *noise, self._nodes, self._factors)
        belief = Belief.certain(own.initial_weight, self.layout.rule.window, len(self._nodes))
        chosen, means = np.ones((n, WIDTH)), np.empty((n, k, WIDTH))
        self._filter(self.trials, belief, parameters, chosen, means)
        return Filtered(chosen.T, np.moveaxis(means, -1, 0), belief.weights.T, belief.covariance.T.reshape(WIDTH, k, k))
