"""The compiled loops of a simulation: one mouse through all its trials (fused), or all mice through one trial (stepped).

Both call the same task functions, features and decision, draw from the same counter-based streams and write the same
columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from agents.features import remember
from agents.life import add_noise, compile_finish, decide, sleep
from agents.rules import Rule
from envs.compiled import kernel, loop
from envs.draws import TRIAL_NOISE
from envs.task.session import next_session, session_over, sessions_done
from envs.task.trial import draw, score
from twin.data.rollout import COLUMNS


class Columns(NamedTuple):
    """The trial columns a driver writes, (N,) each, in the order of COLUMNS, and the weights (N, K)."""

    session: np.ndarray
    contrast: np.ndarray
    side: np.ndarray
    choice: np.ndarray
    reward: np.ndarray
    probability_left: np.ndarray
    is_repeat: np.ndarray
    stage: np.ndarray
    p_right: np.ndarray
    water_ul: np.ndarray
    response_time: np.ndarray
    start_time: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, trials: int, features: int) -> Columns:
        """Columns to be filled."""
        columns = [np.empty(trials, kind) for kind, _ in COLUMNS.values()]
        return cls(*[*columns, np.empty((trials, features), np.float32)])

    def rows(self, start: int, stop: int) -> Columns:
        """A copy of some rows."""
        return Columns(*(column[start:stop].copy() for column in self))


def join(pieces: Sequence[Columns]) -> Columns:
    """Pieces one after the other."""
    return pieces[0] if len(pieces) == 1 else Columns(*(np.concatenate(columns) for columns in zip(*pieces, strict=True)))


@lru_cache(maxsize=64)
def compile_fused(rule: Rule) -> Callable[..., int]:
    """The loop of one mouse under one rule: rows `start` to `stop` of the columns; returns the trials done.

    It ends with the columns, or with the session that is the mouse's number `sessions` (from 1); called again, it goes on.
    """
    finish = compile_finish(rule)

    @loop
    def one_mouse(
        rig: Any, mouse: Any, memory: Any, codes: Any, u: Any, m: int, out: Any, start: int, stop: int, sessions: int
    ) -> int:
        for i in range(start, stop):
            if session_over(rig, mouse):
                if mouse.session + 1 >= sessions:
                    return i - start
                next_session(rig, mouse)
                sleep(memory.weights, memory.previous, u.day_noise[m], mouse.key, mouse.trial)
            draw(rig, mouse)
            trial, contrast = mouse.trial, float(mouse.contrast)
            when = (mouse.key, trial, mouse.session, mouse.session_trial)
            choice, seconds, p, lapsed = decide(memory, codes, u.lapses[m], u.response_traits[m], contrast, when)
            reward = _record(rig, mouse, out, i, memory.weights, choice, seconds, lapsed)
            finish(memory, u.rule_parameters[m], u.trial_noise[m], contrast, int(mouse.choice), reward, p, mouse.key, trial)
        return stop - start

    return one_mouse


@kernel
def _record(rig: Any, mouse: Any, out: Any, i: int, weights: np.ndarray, choice: int, seconds: float, p_right: float) -> int:
    """Score a choice made after so many seconds and write the trial into row i of the columns; returns the reward."""
    out.session[i] = mouse.session
    out.contrast[i] = mouse.contrast
    out.side[i] = mouse.side
    out.probability_left[i] = mouse.probability_left
    out.is_repeat[i] = mouse.is_repeat
    out.stage[i] = mouse.stage
    out.p_right[i] = p_right
    out.start_time[i] = mouse.start_time
    for k in range(weights.shape[0]):
        out.weights[i, k] = weights[k]
    reward = score(rig, mouse, choice, seconds)
    out.choice[i] = mouse.choice
    out.response_time[i] = mouse.response_time
    out.reward[i] = reward
    out.water_ul[i] = mouse.drop_ul
    return reward


class Bodies(NamedTuple):
    """What the stepped driver holds of M mice beside the agent's own state."""

    weights: np.ndarray  # (M, K)
    x: np.ndarray  # (M, K)
    previous: np.ndarray  # (M, 3)
    choice: np.ndarray  # (M, 1)
    reward: np.ndarray  # (M, 1)
    p: np.ndarray  # (M, 1) P(right) before lapses

    @classmethod
    def of(cls, mice: int, features: int) -> Bodies:
        """Of mice that have seen nothing."""
        return cls(*(np.zeros((mice, width)) for width in (features, features, 3, 1, 1, 1)))


class _Body(NamedTuple):
    """One mouse of Bodies, as `decide` reads it."""

    weights: np.ndarray
    x: np.ndarray
    previous: np.ndarray


@kernel
def step(rig: Any, mice: Any, bodies: Any, codes: Any, u: Any, out: Any, rows: Any, sessions: Any) -> None:
    """One trial of every mouse up to its outcome; one that has done its `sessions` (M,) gets choice -1 and row -1."""
    for m in range(mice.shape[0]):
        mouse, body = mice[m], _Body(bodies.weights[m], bodies.x[m], bodies.previous[m])
        if sessions_done(rig, mouse) >= sessions[m]:
            bodies.choice[m, 0], rows[m] = -1, -1
            continue
        if session_over(rig, mouse):
            next_session(rig, mouse)
            sleep(body.weights, body.previous, u.day_noise[m], mouse.key, mouse.trial)
        draw(rig, mouse)
        when = (mouse.key, mouse.trial, mouse.session, mouse.session_trial)
        choice, seconds, p, lapsed = decide(body, codes, u.lapses[m], u.response_traits[m], float(mouse.contrast), when)
        bodies.reward[m, 0] = _record(rig, mouse, out, rows[m], body.weights, choice, seconds, lapsed)
        bodies.choice[m, 0], bodies.p[m, 0] = mouse.choice, p


@kernel
def finish_step(mice: Any, bodies: Any, weights: Any, trial_noise: Any, out: Any, rows: Any) -> None:
    """What follows learning, for every mouse that did the trial: noise on the new weights, and the memory of the trial."""
    for m in range(mice.shape[0]):
        i = rows[m]
        if i >= 0:
            add_noise(weights[m], trial_noise[m], mice[m].key, mice[m].trial - 1, TRIAL_NOISE)
            remember(bodies.previous[m], float(out.contrast[i]), out.choice[i], float(out.reward[i]))
