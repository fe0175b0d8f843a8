"""The compiled loops of a simulation: one mouse through all its trials (fused), or all mice through one trial (stepped).

Both call the same task functions, features and decision, draw from the same counter-based streams and write the same
columns. `recorded_step` is `step` on trials that have already happened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from agents.features import fill_features, remember
from agents.life import add_noise, compile_finish, decide, sleep
from agents.policy import evidence, sigmoid, with_lapses
from agents.rules import Rule
from envs.compiled import kernel, loop
from envs.draws import CHOICE, TRIAL_NOISE, uniform
from envs.records import Record
from envs.task.session import next_session, session_over, sessions_done
from envs.task.trial import draw, score
from twin.data.files import memory_of_machine
from twin.data.rollout import COLUMNS


def check_room(asked: str, mice: int, trials: int, features: int) -> None:
    """Raise ValueError, saying what was asked, if so many trials of each of so many mice take more memory than there is."""
    needed, there = mice * trials * bytes_per_trial(features) / 2**30, memory_of_machine() / 2**30
    if needed > there:
        raise ValueError(
            f"{asked} of {mice} mice: that takes about {needed:,.0f} GiB of memory or more, of {there:,.3g} there are; "
            f"ask for fewer trials, sessions or mice"
        )


def bytes_per_trial(features: int) -> int:
    """Bytes of memory of a trial, with the weights of so many features."""
    return sum(np.dtype(kind).itemsize for kind, _ in COLUMNS.values()) + np.dtype(np.float32).itemsize * features


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
        """Some rows, not copied."""
        return Columns(*(column[start:stop] for column in self))

    def copy(self) -> Columns:
        """A copy that shares nothing."""
        return Columns(*(column.copy() for column in self))


def join(parts: Sequence[Columns]) -> Columns:
    """The rows of all parts, one after the other."""
    return parts[0] if len(parts) == 1 else Columns(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


@lru_cache(maxsize=64)
def compile_fused(rule: Rule) -> Callable[..., int]:
    """The loop of one mouse under one rule: fills rows `start` to `stop` of the columns; returns the trials done.

    It ends with the rows, or with the session that is the mouse's number `sessions` (from 1); called again, it goes on.
    """
    finish = compile_finish(rule)

    @loop
    def one_mouse(
        protocol: Record,
        mouse: Record,
        memory: Record,
        codes: np.ndarray,
        parameters: Record,
        m: int,
        out: Record,
        start: int,
        stop: int,
        sessions: int,
    ) -> int:
        for i in range(start, stop):
            if session_over(protocol, mouse):
                if mouse.session + 1 >= sessions:
                    return i - start
                next_session(protocol, mouse)
                sleep(memory.weights, memory.previous, parameters.day_noise[m], mouse.key, mouse.trial)
            draw(protocol, mouse)
            trial = mouse.trial
            contrast = float(mouse.contrast)
            when = (mouse.key, trial, mouse.session, mouse.session_trial)
            traits = parameters.response_traits[m]
            choice, seconds, p, lapsed = decide(memory, codes, parameters.lapses[m], traits, contrast, when)
            reward = _record(protocol, mouse, out, i, memory.weights, choice, seconds, lapsed)
            learned_from = int(mouse.choice)
            noise = parameters.trial_noise[m]
            finish(memory, parameters.rule_parameters[m], noise, contrast, learned_from, reward, p, mouse.key, trial)
        return stop - start

    return one_mouse


@kernel
def _record(
    protocol: Record, mouse: Record, out: Record, i: int, weights: np.ndarray, choice: int, seconds: float, p_right: float
) -> int:
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
    reward = score(protocol, mouse, choice, seconds)
    out.choice[i] = mouse.choice
    out.response_time[i] = mouse.response_time
    out.reward[i] = reward
    out.water_ul[i] = mouse.drop_ul
    return reward


class Trial(NamedTuple):
    """The current trial of M mice, as a rule's `learn` takes it, and what decides it; (M, ...) each."""

    weights: np.ndarray  # (M, K)
    previous: np.ndarray  # (M, 3)
    x: np.ndarray  # (M, K)
    choice: np.ndarray  # (M, 1)
    reward: np.ndarray  # (M, 1)
    p: np.ndarray  # (M, 1) P(right) before lapses

    @classmethod
    def of(cls, weights: np.ndarray, previous: np.ndarray) -> Trial:
        """A trial of mice that have these weights (M, K) and this `previous` (M, 3), which the steps change in place."""
        return cls(weights, previous, np.zeros_like(weights), *(np.zeros((len(weights), 1)) for _ in range(3)))


class _TrialOfMouse(NamedTuple):
    """One mouse's row of a Trial, as `decide` reads it."""

    weights: np.ndarray
    x: np.ndarray
    previous: np.ndarray


@kernel
def step(
    protocol: Record,
    mice: Record,
    now: Record,
    codes: np.ndarray,
    parameters: Record,
    out: Record,
    rows: np.ndarray,
    sessions: np.ndarray,
) -> None:
    """One trial of every mouse up to its outcome; one that has done its `sessions` (M,) gets choice -1 and row -1."""
    for m in range(mice.shape[0]):
        mouse = mice[m]
        own = _TrialOfMouse(now.weights[m], now.x[m], now.previous[m])
        if sessions_done(protocol, mouse) >= sessions[m]:
            now.choice[m, 0] = -1
            rows[m] = -1
            continue
        if session_over(protocol, mouse):
            next_session(protocol, mouse)
            sleep(own.weights, own.previous, parameters.day_noise[m], mouse.key, mouse.trial)
        draw(protocol, mouse)
        contrast = float(mouse.contrast)
        when = (mouse.key, mouse.trial, mouse.session, mouse.session_trial)
        choice, seconds, p, lapsed = decide(own, codes, parameters.lapses[m], parameters.response_traits[m], contrast, when)
        now.reward[m, 0] = _record(protocol, mouse, out, rows[m], own.weights, choice, seconds, lapsed)
        now.choice[m, 0] = mouse.choice
        now.p[m, 0] = p


@kernel
def see(mouse: Record, now: Record, m: int, codes: np.ndarray, day_noise: np.ndarray, record: Record, i: int) -> None:
    """The m-th mouse sees the stimulus of row i of a record, after a night if a session begins there."""
    if record.new_session[i] and mouse.trial > 0:
        sleep(now.weights[m], now.previous[m], day_noise[m], mouse.key, mouse.trial)
    fill_features(now.x[m], codes, float(record.contrast[i]), now.previous[m])
    now.p[m, 0] = sigmoid(evidence(now.weights[m], now.x[m]))


@kernel
def recorded_step(
    mice: Record, now: Record, codes: np.ndarray, day_noise: np.ndarray, record: Record, rows: np.ndarray
) -> None:
    """One recorded trial of every mouse, in row rows[m] of the record, as `step` does it; one without a row gets choice -1."""
    for m in range(mice.shape[0]):
        i = rows[m]
        if i < 0:
            now.choice[m, 0] = -1
            continue
        see(mice[m], now, m, codes, day_noise, record, i)
        now.choice[m, 0] = record.choice[i]
        now.reward[m, 0] = record.reward[i]
        mice[m].trial += 1


@kernel
def shown_step(mice: Record, now: Record, codes: np.ndarray, parameters: Record, out: Record, rows: np.ndarray) -> None:
    """One trial of every mouse with the stimulus and the rewarded side of row rows[m] of `out`, where choice and reward go.

    A mouse without a row gets choice -1, and so does one whose row has it already: there it makes no choice.
    """
    for m in range(mice.shape[0]):
        i = rows[m]
        if i < 0:
            now.choice[m, 0] = -1
            continue
        mouse = mice[m]
        see(mouse, now, m, codes, parameters.day_noise, out, i)
        if out.choice[i] >= 0:
            right = with_lapses(now.p[m, 0], parameters.lapses[m, 0], parameters.lapses[m, 1])
            out.choice[i] = 1 if uniform(mouse.key, mouse.trial, CHOICE) < right else 0
            out.reward[i] = 1 if 2 * out.choice[i] - 1 == out.side[i] else 0
        now.choice[m, 0] = out.choice[i]
        now.reward[m, 0] = out.reward[i]
        mouse.trial += 1


@kernel
def finish_step(mice: Record, now: Record, learned: np.ndarray, trial_noise: np.ndarray, out: Record, rows: np.ndarray) -> None:
    """End the trial of every mouse that did it: the learned weights (M, K) and noise, and the memory of what happened."""
    for m in range(mice.shape[0]):
        i = rows[m]
        if i >= 0:
            for k in range(learned.shape[1]):
                now.weights[m, k] = learned[m, k]
            add_noise(now.weights[m], trial_noise[m], mice[m].key, mice[m].trial - 1, TRIAL_NOISE)
            remember(now.previous[m], float(out.contrast[i]), out.choice[i], float(out.reward[i]))
