"""A closed-form rule along a given path of weights: where each trial leads, and how that depends on where it began."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from agents.closed_form import compile_learn, new_memory
from agents.rules import Rule
from agents.theta import Layout
from envs.compiled import loop
from twin.data.trials import Trials
from twin.inference.closed_form.likelihood import STEP, sigmoid
from twin.inference.noise.assumed_density import FilteredLikelihood
from twin.inference.noise.laplace_smoother import Dynamics, ObservedChoices, Smoothed, smooth


@lru_cache(maxsize=64)
def _compile_along(rule: Rule) -> Callable[..., None]:
    """Compiled: weights after each trial of a path, with a complex step in one of the weights before each trial alone."""
    learn = compile_learn(rule)

    @loop
    def along(
        x: Any, choice: Any, reward: Any, memory: Any, rule_parameters: Any, path: Any, stepped: int, step: complex, after: Any
    ) -> None:
        for t in range(x.shape[0]):
            logit = 0.0j
            for k in range(x.shape[1]):
                memory.x[k], memory.weights[k] = x[t, k], complex(path[t, k])
                if k == stepped:
                    memory.weights[k] += step
                logit += memory.weights[k] * x[t, k]
            if choice[t] >= 0:
                learn(memory, float(choice[t]), float(reward[t]), sigmoid(logit)[0], rule_parameters)
            memory.critic[0] = memory.critic[0].real
            for k in range(x.shape[1]):
                after[t, k] = memory.weights[k]
                memory.eligibility[k] = memory.eligibility[k].real
                for s in range(memory.gradients.shape[0]):
                    memory.gradients[s, k] = memory.gradients[s, k].real

    return along


def noise_variance(new_session: np.ndarray, trial_noise: np.ndarray, day_noise: np.ndarray) -> np.ndarray:
    """Variance of the noise between each trial and the next, (..., T, K); new_session (..., T), noise levels (K,)."""
    night = np.concatenate([new_session[..., 1:], np.zeros_like(new_session[..., :1])], axis=-1)
    return trial_noise**2 + night[..., None] * day_noise**2


def smooth_rule(trials: Trials, mouse: int, layout: Layout, theta: np.ndarray) -> Smoothed:
    """Smooth the weights of one mouse whose parameters are theta (P,), noise levels among them."""
    likelihood = FilteredLikelihood(trials, mouse, layout)
    observed = likelihood.trials
    parts = likelihood.parts(np.asarray(theta, float))
    variance = noise_variance(observed.new_session, parts.trial_noise, parts.day_noise)
    along = _compile_along(layout.rule)

    def dynamics(path: np.ndarray) -> Dynamics:
        after = np.empty(path.shape, complex)
        slope = np.empty((*path.shape, path.shape[1]))
        for k in range(path.shape[1]):
            memory = new_memory(layout.rule, path[0].astype(complex))
            parameters = parts.rule_parameters.astype(complex)
            along(observed.x, observed.choice, observed.reward, memory, parameters, path, k, 1j * STEP, after)
            slope[:, :, k] = after.imag / STEP
        return slope, after.real - np.einsum("tij,tj->ti", slope, path)

    data = ObservedChoices(observed.x, observed.choice, variance, parts.lapses)
    return smooth(data, likelihood.run(theta)[0], dynamics)
