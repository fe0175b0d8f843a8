"""Neural rules whose weights are noisy: an extended Kalman filter along the recurrence, and the levels of the noise.

    w_{t+1} = w_t + f(w_t, x_t, y_t, r_t) + N(0, trial_noise^2),   + N(0, day_noise^2) between sessions

Idea. Teacher-forced, a noisy mouse drifts away from its rule and the fit bends the rule to follow it. A filter instead lets
each choice correct the weights before they are learned from, by gain (y - p): the gain is their covariance times the features.
Predicted choices then are the factors of the likelihood (prediction-error decomposition), so training on them is maximum
likelihood, by the trainer, the kernels and the gradients of a fit without noise: for given gains the corrected recurrence is one
more recurrence. Gains depend weakly on the rule, strongly on the noise. So three steps take turns: filter all mice under the
rule, which gives its linearisation along the way; maximise the likelihood of the linearised chain over the noise levels; train
the network under the new gains.

Uncertain weights flatten the choice: p = sigmoid(k w . x), k = (1 + pi/8 Var(w . x))^-1/2 (MacKay 1992, Neural Comput 4:720).

Why not EM, smoothing the weights and regressing the increments on the covariates: a choice says little of a single increment, so
the smoothed increments are nearly those of the rule that smoothed them. At noise of sd a = 2^-4 a round moves the rule by some
2 % of its error, at a / 4 by .4 %: hundreds of rounds, for the maximum that this finds in three.

Limits. f is linearised: its mean over uncertain weights counts as its value at their mean. The memory of a GRU is that of the
corrected path. Noise levels are shared by all mice, as the rule is.
"""

from __future__ import annotations

import copy
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from agents.neural import DNNRule, NeuralState
from agents.policy import evidence, sigmoid
from envs.compiled import kernel
from twin.data.trials import Trials
from twin.inference.linearised import noise_variance

DIFFERENCE = 1e-6  # of a weight, for slopes of the network in float64
FLATTENING = math.pi / 8
LEAST_NOISE, MOST_NOISE = 1e-4, 3.0
START, LEAST_START = 0.03, 0.01  # of the noise levels: at first, and at least in later rounds


class Noise(NamedTuple):
    """Standard deviations of what is added to each weight, (K,) each."""

    trial: np.ndarray
    day: np.ndarray


class Tracked(NamedTuple):
    """All mice under the filter."""

    mean: Tensor  # (M, T, K) weights before each choice
    gain: Tensor  # (M, T, K) of their correction by the choice
    seen: Tensor  # (M, T, K) features, scaled by how far the uncertainty flattens the choice
    slope: Tensor  # (M, T, K, K) of the weights after a trial over those before it, corrected
    shift: Tensor  # (M, T, K) weights after a trial where those before it are 0, on the tangent


def track(rule: DNNRule, trials: Trials, initial_weights: np.ndarray, noise: Noise) -> Tracked:
    """Filter the weights of every mouse under a rule, from known initial weights (M, K)."""
    rule, kind = copy.deepcopy(rule).double(), torch.float64
    x, choice, reward = (torch.as_tensor(a).to(kind) for a in (trials.x, trials.choice, trials.reward))
    variance = torch.as_tensor(noise_variance(trials.new_session, *noise)).to(kind)
    mice, n_weights = initial_weights.shape
    state = rule.init(mice)._replace(weights=torch.as_tensor(initial_weights).to(kind))
    covariance, kept = torch.zeros(mice, n_weights, n_weights, dtype=kind), []
    with torch.no_grad():
        for t in range(x.shape[1]):
            before = (covariance @ x[:, t, :, None])[..., 0]
            flat = (1.0 + FLATTENING * (before * x[:, t]).sum(-1, keepdim=True)) ** -0.5
            seen, gain, mean = flat * x[:, t], flat * before, state.weights
            p = torch.sigmoid((mean * seen).sum(-1, keepdim=True))
            chose = (choice[:, t, None] >= 0).to(kind)
            at = mean + chose * gain * (choice[:, t, None] - p)
            narrowed = covariance - (chose * p * (1 - p))[..., None] * gain[:, :, None] * gain[:, None, :]
            state, slope = _step(rule, state._replace(weights=at), x[:, t], choice[:, t, None], reward[:, t, None])
            covariance = slope @ narrowed @ slope.mT + torch.diag_embed(variance[:, t])
            kept.append((mean, gain, seen, slope, state.weights - (slope @ at[..., None])[..., 0]))
    return Tracked(*(torch.stack(part, dim=1) for part in zip(*kept, strict=True)))


def _step(rule: DNNRule, state: NeuralState, *trial: Tensor) -> tuple[NeuralState, Tensor]:
    """State after a trial, and the slope (M, K, K) of its weights over those before."""
    mice, k = state.weights.shape
    nudges = torch.cat([torch.zeros(1, k), torch.eye(k)]).to(state.weights) * DIFFERENCE
    weights = (state.weights + nudges[:, None]).flatten(0, 1)
    wide = NeuralState(weights, state.hidden.repeat(1, k + 1, 1))
    learned = rule.learn(wide, *(a.repeat(k + 1, 1) for a in trial), weights[:, :1])
    after = learned.weights.unflatten(0, (k + 1, mice))
    slope = (after[1:] - after[0]).movedim(0, -1) / DIFFERENCE
    return NeuralState(after[0], learned.hidden[:, :mice]), slope


class Chains(NamedTuple):
    """Trials of all mice and their linearised dynamics, as the kernel reads them."""

    x: np.ndarray  # (M, T, K)
    choice: np.ndarray  # (M, T)
    reward: np.ndarray  # (M, T)
    counts: np.ndarray  # (M, T)
    new_session: np.ndarray  # (M, T)
    lengths: np.ndarray  # (M,)
    slope: np.ndarray  # (M, T, K, K)
    shift: np.ndarray  # (M, T, K)
    start: np.ndarray  # (M, K) initial weights


@kernel
def advance(m: Any, c: Any, slope: Any, shift: Any, x: Any, rates: Any, error: float, steepness: float, out: Any, wide: Any) -> None:
    """Mean m (K,) and covariance c (K, K) after a trial, in place; the rates add rate x (y - p) to the linear chain."""
    n = x.shape[0]
    for k in range(n):
        out[k] = shift[k] + rates[k] * x[k] * error
        for j in range(n):
            out[k] += slope[k, j] * m[j]
            wide[k, j] = 0.0
            for i in range(n):
                wide[k, j] += (slope[k, i] - rates[k] * x[k] * steepness * x[i]) * c[i, j]
    for k in range(n):
        m[k] = out[k]
        for j in range(n):
            c[k, j] = 0.0
            for i in range(n):
                c[k, j] += wide[k, i] * (slope[j, i] - rates[j] * x[j] * steepness * x[i])


@kernel
def chain_log_likelihood(chains: Any, mouse: int, variance: Any, rates: Any, room: Any) -> float:
    """Log-probability of one mouse's choices, each given those before it.

    variance (2, K) of the trial and the day noise; rates (2, K) after errors and after rewards; room (2K + 3, K).
    """
    n, total = chains.x.shape[2], 0.0
    c, wide, m, out, before = room[:n], room[n : 2 * n], room[2 * n], room[2 * n + 1], room[2 * n + 2]
    c[:] = 0.0
    for k in range(n):
        m[k] = chains.start[mouse, k]
    for t in range(chains.lengths[mouse]):
        x, choice = chains.x[mouse, t], chains.choice[mouse, t]
        spread, logit, error, steepness = 0.0, 0.0, 0.0, 0.0
        for k in range(n):
            c[k, k] += variance[1, k] if chains.new_session[mouse, t] and t > 0 else 0.0
            before[k] = 0.0
        for k in range(n):
            logit += m[k] * x[k]
            for j in range(n):
                before[k] += c[k, j] * x[j]
            spread += before[k] * x[k]
        if choice >= 0:
            flat = 1.0 / math.sqrt(1.0 + FLATTENING * spread)
            p = sigmoid(flat * logit)
            if chains.counts[mouse, t]:
                total += math.log(max(p if choice == 1 else 1.0 - p, 1e-300))
            for k in range(n):
                m[k] += flat * before[k] * (choice - p)
                for j in range(n):
                    c[k, j] -= flat * flat * p * (1.0 - p) * before[k] * before[j]
            q = sigmoid(evidence(m, x))
            error, steepness = choice - q, q * (1.0 - q)
        advance(m, c, chains.slope[mouse, t], chains.shift[mouse, t], x, rates[chains.reward[mouse, t]], error, steepness, out, wide)
        for k in range(n):
            c[k, k] += variance[0, k]
    return total


class NoiseFit(NamedTuple):
    """The most likely noise."""

    noise: Noise
    rates: np.ndarray  # (2, K) of what rule and gains leave over, after errors and after rewards: 0 once they agree
    log_likelihood: float  # per trial


def fit_noise(chains: Chains, noise: Noise) -> NoiseFit:
    """Noise levels of highest likelihood on linearised chains, beginning from `noise`.

    What a filter adds to the weights, gain (y - p), is just what a learning rule may add, so a rule that was fitted without
    noise, or with too little, stands in for it. Therefore rates of x (y - p), after errors and after rewards, are free here too.
    """
    nights, k = bool(chains.new_session[:, 1:].any()), chains.x.shape[2]
    counted, groups = chains.counts.sum(), np.array_split(np.arange(len(chains.x)), torch.get_num_threads())

    def parts(free: np.ndarray) -> tuple[Noise, np.ndarray]:
        sd = np.exp(free[: -2 * k]).reshape(-1, k)
        return Noise(sd[0], sd[1] if nights else np.zeros(k)), free[-2 * k :].reshape(2, k)

    def objective(free: np.ndarray) -> float:
        levels, rates = parts(free)

        def of_group(mice: np.ndarray) -> float:
            room = np.empty((2 * k + 3, k))
            return sum(chain_log_likelihood(chains, m, np.square(levels), rates, room) for m in mice)

        return -sum(pool.map(of_group, groups)) / counted

    sd = np.log(np.clip(np.concatenate([noise.trial, noise.day] if nights else [noise.trial]), LEAST_START, MOST_NOISE))
    bounds = [(math.log(LEAST_NOISE), math.log(MOST_NOISE))] * len(sd) + [(-1.0, 1.0)] * (2 * k)
    options = {"ftol": 1e-8, "gtol": 1e-6, "maxiter": 40}
    with ThreadPoolExecutor(len(groups)) as pool:
        found = minimize(objective, np.append(sd, np.zeros(2 * k)), method="L-BFGS-B", bounds=bounds, options=options)
    return NoiseFit(*parts(found.x), -float(found.fun))
