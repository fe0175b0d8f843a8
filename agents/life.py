"""The life of a mouse, compiled: it sees a stimulus, decides, learns from the outcome, and sleeps between sessions."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from agents.closed_form import compile_learn
from agents.features import fill_features, remember
from agents.policy import evidence, sigmoid, with_lapses
from agents.response import response_time
from agents.rules import Rule
from envs.compiled import kernel, loop
from envs.draws import CHOICE, DAY_NOISE, TRIAL_NOISE, normal, uniform

RESPONSE_WINDOW = 60.0  # seconds; a mouse that has not answered by then makes no choice (the rig's time-out)


@kernel
def decide(memory: Any, codes: np.ndarray, lapses: np.ndarray, traits: np.ndarray, contrast: float, when: tuple) -> tuple:
    """Decide on one stimulus: (choice, response time in seconds, P(right) before lapses, P(right)).

    `memory` has weights, previous, and x (K,), where the features are left. `when` is (key, trial, session, session_trial),
    from which all randomness follows. An answer that would come after the response window is none: choice -1.
    """
    fill_features(memory.x, codes, contrast, memory.previous)
    logit = evidence(memory.weights, memory.x)
    p = sigmoid(logit)
    lapsed = with_lapses(p, lapses[0], lapses[1])
    seconds = response_time(traits, logit, when)
    if seconds < 0.0 or seconds >= RESPONSE_WINDOW:
        return -1, RESPONSE_WINDOW, p, lapsed
    return (1 if uniform(when[0], when[1], CHOICE) < lapsed else 0), seconds, p, lapsed


@kernel
def add_noise(weights: np.ndarray, sd: np.ndarray, key: np.uint64, trial: int, stream: int) -> None:
    """Add normal noise to weights (K,), of standard deviation sd (K,), in place."""
    for k in range(weights.shape[0]):
        if sd[k] > 0.0:
            weights[k] += sd[k] * normal(key, trial, stream + k)


@kernel
def sleep(weights: np.ndarray, previous: np.ndarray, day_noise: np.ndarray, key: np.uint64, trial: int) -> None:
    """The night between two sessions: the mouse forgets the last trial, and its weights take day noise, in place."""
    previous[:] = 0.0
    add_noise(weights, day_noise, key, trial, DAY_NOISE)


@lru_cache(maxsize=64)
def compile_finish(rule: Rule) -> Any:
    """Compiled end of a trial, after its outcome: the mouse learns, its weights take noise, and it remembers the trial.

    `rule_parameters` (K, R) and `trial_noise` (K,) are the mouse's; `p` is P(right) before lapses.
    """
    learn = compile_learn(rule)

    @loop
    def finish(
        memory: Any,
        rule_parameters: np.ndarray,
        trial_noise: np.ndarray,
        contrast: float,
        choice: int,
        reward: int,
        p: float,
        key: np.uint64,
        trial: int,
    ) -> None:
        if choice >= 0:
            learn(memory, float(choice), float(reward), p, rule_parameters)
        add_noise(memory.weights, trial_noise, key, trial, TRIAL_NOISE)
        remember(memory.previous, contrast, choice, float(reward))

    return finish
