"""Neural rules whose weights also move at random: an extended Kalman filter of the weights, and the levels of their noise.

    w_{t+1} = w_t + f(w_t, x_t, y_t, r_t) + N(0, trial_noise^2),   + N(0, day_noise^2) between sessions

Idea. A fit that follows the rule alone drifts away from a noisy mouse, and bends the rule to stay near it. A filter instead
lets each choice correct the weights before they are learned from, by gain times innovation (y - p); the gain is the covariance
of the weights times the features. The choices so predicted are the factors of the likelihood (prediction-error decomposition),
so training on them is maximum likelihood, by the trainer, kernels and gradients of a fit without noise: with gains given, the
corrected recurrence is one more recurrence. Gains depend weakly on the rule and strongly on the noise, so the steps take turns:
filter all mice under the rule, fit the noise levels to its linearisation along their paths (`levels`), train the network under
the new gains. The first round begins without a rule: one fitted as if there were no noise has taken the gains into itself.

EM in its place (smooth the weights, regress their increments on the covariates, re-estimate the noise from the second moments)
converges slowly: the smoothed increments are largely those of the rule and the noise that smoothed them.

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
from agents.neural.models.dnnglm import DNNRule
from agents.neural.rule import NeuralRule, NeuralState, policy
from agents.neural.settings import NetworkSettings
from twin.data.trials import Trials
from twin.inference.neural.checkpoint import Checkpoint
from twin.inference.neural.individuals import Individuals
from twin.inference.neural.trainer import History, Trainer
from twin.inference.noise.laplace_smoother import ObservedChoices, smooth
from twin.inference.noise.levels import FLATTENING, START, Chains, Noise, fit_noise
from twin.inference.noise.linearised import noise_variance
from twin.inference.settings import TrainSettings

ROUNDS = 2  # of noise levels and training in turn
DIFFERENCE = 1e-6  # of a weight, for slopes of the network in float64


class Tracked(NamedTuple):
    """What the filter makes of all mice."""

    mean: Tensor  # (M, T, K) weights before each choice
    gain: Tensor  # (M, T, K) of their correction by the choice
    moderated_x: Tensor  # (M, T, K) features, scaled by how far the uncertainty of the weights flattens the choice
    slope: Tensor  # (M, T, K, K) of the weights after a trial over those before it, corrected
    shift: Tensor  # (M, T, K) weights after a trial where those before it are 0, under the linearised rule


def track(
    rule: NeuralRule | Ensemble, trials: Trials, initial_weights: np.ndarray, noise: Noise, own: Tensor | None = None
) -> Tracked:
    """Filter the weights of every mouse under a rule, from known initial weights (M, K); `own` as in `NeuralState`."""
    rule = copy.deepcopy(rule).double()
    kind = torch.float64
    x, choice, reward = (torch.as_tensor(a).to(kind) for a in (trials.x, trials.choice, trials.reward))
    variance = torch.as_tensor(noise_variance(trials.new_session, *noise)).to(kind)
    mice, n_weights = initial_weights.shape
    state = rule.init(mice)._replace(weights=torch.as_tensor(initial_weights).to(kind))
    state = state if own is None else state._replace(own=own.detach().to(kind))
    covariance = torch.zeros(mice, n_weights, n_weights, dtype=kind)
    kept = []
    with torch.no_grad():
        for t in range(x.shape[1]):
            before = (covariance @ x[:, t, :, None])[..., 0]
            flat = (1.0 + FLATTENING * (before * x[:, t]).sum(-1, keepdim=True)) ** -0.5
            moderated_x, gain, mean = flat * x[:, t], flat * before, state.weights
            p = policy(mean, moderated_x)
            chose = (choice[:, t, None] >= 0).to(kind)
            at = mean + chose * gain * (choice[:, t, None] - p)
            narrowed = covariance - (chose * p * (1 - p))[..., None] * gain[:, :, None] * gain[:, None, :]
            state, slope = _step(rule, state._replace(weights=at), x[:, t], choice[:, t, None], reward[:, t, None])
            covariance = slope @ narrowed @ slope.mT + torch.diag_embed(variance[:, t])
            kept.append((mean, gain, moderated_x, slope, state.weights - (slope @ at[..., None])[..., 0]))
    return Tracked(*(torch.stack(part, dim=1) for part in zip(*kept, strict=True)))


def _step(rule: NeuralRule | Ensemble, state: NeuralState, *trial: Tensor) -> tuple[NeuralState, Tensor]:
    """State after a trial, and the slope (M, K, K) of its weights over those before."""
    mice, k = state.weights.shape
    nudges = torch.cat([torch.zeros(1, k), torch.eye(k)]).to(state.weights) * DIFFERENCE
    weights = (state.weights + nudges[:, None]).flatten(0, 1)
    own = None if state.own is None else state.own.repeat(k + 1, 1, 1)
    wide = NeuralState(weights, state.hidden.repeat(1, k + 1, 1), own)
    x, choice, reward = (a.repeat(k + 1, 1) for a in trial)
    learned = rule.learn(wide, x, choice, reward, policy(weights, x))
    after = learned.weights.unflatten(0, (k + 1, mice))
    slope = (after[1:] - after[0]).movedim(0, -1) / DIFFERENCE
    return NeuralState(after[0], learned.hidden[:, :mice], state.own), slope


class NoisyTraining(NamedTuple):
    """What a training with noise leaves beside the trained rule."""

    initial_weights: np.ndarray  # (M, K)
    noise: Noise
    history: History  # of the last round
    individuals: Individuals | None  # what is the mice's own


def train_noisy(
    rule: NeuralRule,
    trials: Trials,
    settings: TrainSettings,
    known: np.ndarray | None,
    epoch_done: Callable[[float, float], None] = lambda train, held_out: None,
    checkpoint: Checkpoint | None = None,
) -> NoisyTraining:
    """Train a rule and fit the noise of the weights, from known initial weights (M, K), or with those fitted too.

    Unknown initial weights begin as those of a training without noise. Each training has a `checkpoint` of its own. Raises
    DivergedError as the trainer does.
    """
    untrained = copy.deepcopy(rule.state_dict())
    weights, own, individuals = known, None, None
    if weights is None:
        trainer = Trainer(rule, trials, settings, checkpoint=checkpoint and checkpoint.of("before"))
        trainer.run(epoch_done)
        weights = trainer.weights.detach().numpy().astype(float)
        rule.load_state_dict(untrained)
    k = len(trials.features)
    noise = Noise(*(np.full(k, sd) for sd in START))
    trained = without_learning(rule)
    for number in range(ROUNDS):
        tracked = track(trained, trials, weights, noise, own)
        noise = fit_noise(chains(trials, weights, tracked), noise)
        tracked = track(trained, trials, weights, noise, own)
        of_round = checkpoint and checkpoint.of(f"round-{number}")
        trainer = Trainer(rule, trials, settings, known, start=weights, checkpoint=of_round)
        gain, moderated_x = (a.to(trainer.batch.x) for a in (tracked.gain, tracked.moderated_x))
        trainer.batch = trainer.batch._replace(gain=gain, moderated_x=moderated_x)
        history, trained = trainer.run(epoch_done), rule
        weights, individuals = trainer.weights.detach().numpy().astype(float), trainer.individuals
        own = None if individuals is None else rule.own(individuals.own)
    return NoisyTraining(weights, noise, history, individuals)


def without_learning(rule: NeuralRule) -> NeuralRule:
    """A rule on the same features that changes no weight."""
    still = DNNRule(rule.features, NetworkSettings(hidden=1, layers=1, base_rule="static"))
    still.scale.data.zero_()
    return still


def chains(trials: Trials, initial_weights: np.ndarray, tracked: Tracked) -> Chains:
    """The rule linearised along the filtered paths, to which the noise levels are fitted."""
    arrays = trials.x, trials.choice, trials.reward, trials.mask, trials.new_session, trials.lengths
    return Chains(*arrays, tracked.slope.numpy(), tracked.shift.numpy(), np.ascontiguousarray(initial_weights, float))


def smooth_tracked(trials: Trials, tracked: Tracked, noise: Noise) -> np.ndarray:
    """Most probable weights of each mouse given all its choices, under the linearised rule, (M, T, K); NaN beyond its last."""
    out = np.full(trials.x.shape, np.nan)
    variance = noise_variance(trials.new_session, *noise)
    slope, shift, mean = (a.numpy() for a in (tracked.slope, tracked.shift, tracked.mean))
    for m, n in enumerate(trials.lengths):
        data = ObservedChoices(trials.x[m, :n], trials.choice[m, :n], variance[m, :n], np.zeros(2))
        dynamics = slope[m, :n], shift[m, :n]
        out[m, :n] = smooth(data, mean[m, :n], lambda path, dynamics=dynamics: dynamics).path  # type: ignore[misc]
    return out
