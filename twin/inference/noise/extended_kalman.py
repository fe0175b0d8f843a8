"""Neural rules whose weights are noisy: an extended Kalman filter along the recurrence, and the levels of the noise.

    w_{t+1} = w_t + f(w_t, x_t, y_t, r_t) + N(0, trial_noise^2),   + N(0, day_noise^2) between sessions

Idea. Teacher-forced, a noisy mouse drifts away from its rule and the fit bends the rule to follow it. A filter instead lets
each choice correct the weights before they are learned from, by gain (y - p); the gain is their covariance times the features.
The choices so predicted are the factors of the likelihood (prediction-error decomposition), so training on them is maximum
likelihood, by the trainer, kernels and gradients of a fit without noise: with gains given, the corrected recurrence is one more
recurrence. Gains depend weakly on the rule and strongly on the noise, so the steps take turns: filter all mice under the rule,
fit the noise levels to the tangent along their paths (`noise_levels`), train the network under the new gains. The first round
begins without a rule: one fitted as if there were no noise has taken the gains into itself.

Measured in the setting of Liu, Geadah & Pillow 2025, Table 4 (1,000 mice x 500 trials, rate a = 2^-4, noise of sd a on every
update; default network, two rounds of 25 epochs): RMSE of the update on the paper's grid .0049 (.065 in the paper, without
noise in the fit), noise .97 a. With 13 epochs a round, noise a / 2: .0042, noise .46 a; a / 4: .0026, .21 a; none: .0038,
.14 a. Noise of days (20 mice, 12 sessions of some 540 trials, sd .4 and .2 of stimulus and bias weight): .41 and .23.

Compared with EM (smooth the weights by `smoothing`, regress their increments on the covariates, re-estimate the noise from the
second moments), which a single rate fitted to 30 of these mice shows: the smoothed increments are largely those of the rule
and the noise that smoothed them. From half the true rate its error falls by 16 % a round (7 % at noise a / 4); from half the
true noise, 12 rounds bring .50 a to .52 a. 25 rounds take 28 s; the filter's likelihood and its gradient reach the maximum in
1.8 s.

Limits. f is linearised: its mean over uncertain weights counts as its value at their mean. The memory of a GRU is that of the
corrected path. Noise levels are shared by all mice, as the rule is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.neural.ensemble import Ensemble
from agents.neural.networks import DNNRule, NeuralState
from agents.neural.settings import NetworkSettings
from twin.data.trials import Trials
from twin.inference.neural.trainer import History, Trainer
from twin.inference.noise.laplace_smoother import ObservedChoices, smooth
from twin.inference.noise.levels import FLATTENING, START, Chains, Noise, fit_noise
from twin.inference.noise.linearised import noise_variance
from twin.inference.settings import TrainSettings

ROUNDS = 2  # of noise levels and training in turn
DIFFERENCE = 1e-6  # of a weight, for slopes of the network in float64


class Tracked(NamedTuple):
    """All mice under the filter."""

    mean: Tensor  # (M, T, K) weights before each choice
    gain: Tensor  # (M, T, K) of their correction by the choice
    seen: Tensor  # (M, T, K) features, scaled by how far the uncertainty flattens the choice
    slope: Tensor  # (M, T, K, K) of the weights after a trial over those before it, corrected
    shift: Tensor  # (M, T, K) weights after a trial where those before it are 0, on the tangent


def track(rule: DNNRule | Ensemble, trials: Trials, initial_weights: np.ndarray, noise: Noise) -> Tracked:
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


def _step(rule: DNNRule | Ensemble, state: NeuralState, *trial: Tensor) -> tuple[NeuralState, Tensor]:
    """State after a trial, and the slope (M, K, K) of its weights over those before."""
    mice, k = state.weights.shape
    nudges = torch.cat([torch.zeros(1, k), torch.eye(k)]).to(state.weights) * DIFFERENCE
    weights = (state.weights + nudges[:, None]).flatten(0, 1)
    wide = NeuralState(weights, state.hidden.repeat(1, k + 1, 1))
    x, choice, reward = (a.repeat(k + 1, 1) for a in trial)
    learned = rule.learn(wide, x, choice, reward, weights[:, :1])
    after = learned.weights.unflatten(0, (k + 1, mice))
    slope = (after[1:] - after[0]).movedim(0, -1) / DIFFERENCE
    return NeuralState(after[0], learned.hidden[:, :mice]), slope


class NoisyTraining(NamedTuple):
    """What a training with noise leaves beside the trained rule."""

    initial_weights: np.ndarray  # (M, K)
    noise: Noise
    history: History  # of the last round


def train_noisy(
    rule: DNNRule,
    trials: Trials,
    settings: TrainSettings,
    known: np.ndarray | None,
    epoch_done: Callable[[float, float], None] = lambda train, held_out: None,
) -> NoisyTraining:
    """Train a rule and fit the noise of the weights, from known initial weights (M, K), or with those fitted too.

    Unknown initial weights begin as those of a training without noise. Raises DivergedError as the trainer does.
    """
    untrained, weights = copy.deepcopy(rule.state_dict()), known
    if weights is None:
        trainer = Trainer(rule, trials, settings)
        trainer.run(epoch_done)
        weights = trainer.weights.detach().numpy().astype(float)
        rule.load_state_dict(untrained)
    k = len(trials.features)
    noise, trained = Noise(*(np.full(k, sd) for sd in START)), without_learning(rule)
    for _ in range(ROUNDS):
        tracked = track(trained, trials, weights, noise)
        noise = fit_noise(chains(trials, weights, tracked), noise)
        tracked = track(trained, trials, weights, noise)
        trainer = Trainer(rule, trials, settings, known, start=weights)
        gain, seen = (a.to(trainer.batch.x) for a in (tracked.gain, tracked.seen))
        trainer.batch = trainer.batch._replace(gain=gain, seen=seen)
        history, trained = trainer.run(epoch_done), rule
        weights = trainer.weights.detach().numpy().astype(float)
    return NoisyTraining(weights, noise, history)


def without_learning(rule: DNNRule) -> DNNRule:
    """A rule on the same features that changes no weight."""
    still = DNNRule(rule.features, NetworkSettings(hidden=1, layers=1, core="static"))
    still.scale.data.zero_()
    return still


def chains(trials: Trials, initial_weights: np.ndarray, tracked: Tracked) -> Chains:
    """What the noise levels are fitted to."""
    arrays = trials.x, trials.choice, trials.reward, trials.mask, trials.new_session, trials.lengths
    return Chains(*arrays, tracked.slope.numpy(), tracked.shift.numpy(), np.ascontiguousarray(initial_weights, float))


def smooth_tracked(trials: Trials, tracked: Tracked, noise: Noise) -> np.ndarray:
    """Most probable weights of each mouse given all its choices, on the tangent of the rule, (M, T, K); NaN beyond its last."""
    out, variance = np.full(trials.x.shape, np.nan), noise_variance(trials.new_session, *noise)
    slope, shift, mean = (a.numpy() for a in (tracked.slope, tracked.shift, tracked.mean))
    for m, n in enumerate(trials.lengths):
        data = ObservedChoices(trials.x[m, :n], trials.choice[m, :n], variance[m, :n], np.zeros(2))
        dynamics = slope[m, :n], shift[m, :n]
        out[m, :n] = smooth(data, mean[m, :n], lambda path, dynamics=dynamics: dynamics).path  # type: ignore[misc]
    return out
