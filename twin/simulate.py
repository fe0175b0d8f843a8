"""A cohort under a protocol: the same trials by either of two drivers.

`fused` runs rig and mouse in one compiled loop (closed-form rules); `stepped` advances all mice together, trial by trial,
and takes any rule with `init` and `learn` (neural rules). Both call the same task functions, features and decision, draw
from the same counter-based streams and give the same choices.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from tqdm import tqdm

from agents.features import feature_codes, remember
from agents.learning import BatchRule, new_memory
from agents.mouse import add_noise, compile_finish, decide, sleep
from agents.rules import Rule
from agents.theta import Unpacked
from envs.compiled import kernel, loop
from envs.draws import TRIAL_NOISE
from envs.protocols import Protocol, load_protocol
from envs.session import new_mice, next_session, session_over
from envs.task import draw, score
from twin.cohort import Cohort
from twin.data.rollout import COLUMNS, Rollout

TRIALS_PER_JOB = 200_000  # work handed to a thread at once; also the grain of the progress bar


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
    weights: np.ndarray


def simulate(
    cohort: Cohort,
    protocol: Protocol | str = "ibl-documented",
    *,
    trials: int | None = None,
    sessions: int | None = None,
    seed: int = 1,
    driver: Literal["auto", "fused", "stepped"] = "auto",
    workers: int = 2,
    progress: bool = False,
) -> Rollout:
    """Run every mouse of a cohort for a number of trials or of sessions.

    The result depends on cohort, protocol, seed and length alone: not on the driver nor on the number of workers
    (threads). Raises ValueError if not exactly one of `trials` and `sessions` is given, or a neural rule is to be fused.
    """
    protocol = load_protocol(protocol) if isinstance(protocol, str) else protocol
    if (trials is None) == (sessions is None):
        raise ValueError(f"trials = {trials}, sessions = {sessions}: give exactly one of them")
    most = trials if trials is not None else (sessions or 0) * protocol.session_trials
    if most < 1:
        raise ValueError(f"{trials if sessions is None else sessions}: a run needs at least one trial")
    closed_form = isinstance(cohort.learning_rule, Rule)
    if driver == "fused" and not closed_form:
        raise ValueError(f"rule {cohort.rule!r} is neural: use driver='stepped' (or 'auto')")
    fused = closed_form and driver != "stepped"
    run = _Run(cohort, protocol, most, sessions or most, seed)
    if fused:
        run.fused(workers, progress)
    else:
        run.stepped(progress)
    return run.rollout()


@lru_cache(maxsize=64)
def _compile_fused(rule: Rule) -> Callable[..., int]:
    """The whole loop of one mouse under one rule: rows `start` to `stop` of the columns; returns the trials done."""
    finish = compile_finish(rule)

    @loop
    def one_mouse(
        rig: Any, mouse: Any, memory: Any, codes: Any, u: Any, m: int, out: Any, start: int, stop: int, sessions: int
    ) -> int:
        for i in range(start, stop):
            if session_over(rig, mouse):
                if mouse.session + 1 == sessions:
                    return i - start
                next_session(rig, mouse)
                sleep(memory.weights, memory.previous, u.day_noise[m], mouse.key, mouse.trial)
            draw(rig, mouse)
            trial, contrast = mouse.trial, float(mouse.contrast)
            choice, p, lapsed = decide(
                memory.weights, memory.x, memory.previous, codes, u.lapses[m], contrast, mouse.key, trial
            )
            reward = _record(rig, mouse, out, i, memory.weights, choice, lapsed)
            finish(memory, u.rule[m], u.trial_noise[m], contrast, choice, reward, p, mouse.key, trial)
        return stop - start

    return one_mouse


@kernel
def _record(rig: Any, mouse: Any, out: Any, i: int, weights: np.ndarray, choice: int, p_right: float) -> int:
    """Score a choice and write the trial into row i of the columns; returns the reward."""
    out.session[i] = mouse.session
    out.contrast[i] = mouse.contrast
    out.side[i] = mouse.side
    out.choice[i] = choice
    out.probability_left[i] = mouse.probability_left
    out.is_repeat[i] = mouse.is_repeat
    out.stage[i] = mouse.stage
    out.p_right[i] = p_right
    for k in range(weights.shape[0]):
        out.weights[i, k] = weights[k]
    reward = score(rig, mouse, choice)
    out.reward[i] = reward
    out.water_ul[i] = reward * rig.reward_ul
    return reward


class _Bodies(NamedTuple):
    """What the stepped driver holds of M mice beside the agent's own state."""

    weights: np.ndarray  # (M, K)
    x: np.ndarray  # (M, K)
    previous: np.ndarray  # (M, 3)
    choice: np.ndarray  # (M, 1)
    reward: np.ndarray  # (M, 1)
    p: np.ndarray  # (M, 1) P(right) before lapses

    @classmethod
    def of(cls, mice: int, features: int) -> _Bodies:
        return cls(*(np.zeros((mice, width)) for width in (features, features, 3, 1, 1, 1)))


@kernel
def _step(rig: Any, mice: Any, bodies: Any, codes: Any, u: Any, out: Any, rows: Any, sessions: int) -> None:
    """One trial of every mouse up to its outcome; a mouse that has finished gets choice -1 and row -1."""
    for m in range(mice.shape[0]):
        mouse, weights, previous = mice[m], bodies.weights[m], bodies.previous[m]
        if session_over(rig, mouse):
            if mouse.session + 1 == sessions:
                bodies.choice[m, 0], rows[m] = -1, -1
                continue
            next_session(rig, mouse)
            sleep(weights, previous, u.day_noise[m], mouse.key, mouse.trial)
        draw(rig, mouse)
        contrast = float(mouse.contrast)
        choice, p, lapsed = decide(weights, bodies.x[m], previous, codes, u.lapses[m], contrast, mouse.key, mouse.trial)
        bodies.choice[m, 0], bodies.p[m, 0] = choice, p
        bodies.reward[m, 0] = _record(rig, mouse, out, rows[m], weights, choice, lapsed)


@kernel
def _finish_step(mice: Any, bodies: Any, weights: Any, trial_noise: Any, out: Any, rows: Any) -> None:
    """What follows learning, for every mouse that did the trial: noise on the new weights, and the memory of the trial."""
    for m in range(mice.shape[0]):
        i = rows[m]
        if i >= 0:
            add_noise(weights[m], trial_noise[m], mice[m].key, mice[m].trial - 1, TRIAL_NOISE)
            remember(bodies.previous[m], float(out.contrast[i]), out.choice[i], float(out.reward[i]))


class _Run:
    """One simulation: its inputs, unpacked, and the columns it fills; mouse m writes rows from m * trials on."""

    def __init__(self, cohort: Cohort, protocol: Protocol, trials: int, sessions: int, seed: int) -> None:
        self.cohort, self.protocol, self.trials, self.sessions, self.seed = cohort, protocol, trials, sessions, seed
        self.theta = cohort.theta(seed)
        self.unpacked: Unpacked = cohort.layout.unpack(self.theta)
        self.codes = feature_codes(cohort.features)
        self.rig: Any = protocol.record[0]
        self.mice = new_mice(cohort.keys(seed))
        self.done = np.zeros(cohort.mice, np.int64)  # trials of each mouse
        n = cohort.mice * trials
        self.out = Columns(*(np.empty(n, kind) for kind, _ in COLUMNS.values()), np.empty((n, len(self.codes)), np.float32))

    def fused(self, workers: int, progress: bool) -> None:
        """Every mouse in the compiled loop, mice shared out over threads."""
        rule, u = self.cohort.learning_rule, self.unpacked
        one_mouse = _compile_fused(rule)

        def run(mice: range) -> int:
            for m in mice:
                memory = new_memory(rule, u.initial_weight[m])
                rows = m * self.trials, (m + 1) * self.trials
                self.done[m] = one_mouse(self.rig, self.mice[m], memory, self.codes, u, m, self.out, *rows, self.sessions)
            return len(mice)

        grain = max(1, TRIALS_PER_JOB // self.trials)
        jobs = [range(m, min(m + grain, self.cohort.mice)) for m in range(0, self.cohort.mice, grain)]
        with ThreadPoolExecutor(workers) as pool, _bar(self.cohort.mice, "mouse", progress) as bar:
            for n in pool.map(run, jobs):
                bar.update(n)

    def stepped(self, progress: bool) -> None:
        """All mice together, one trial at a time."""
        u, rule, n = self.unpacked, self.cohort.learning_rule, self.cohort.mice
        agent = BatchRule(rule, u.rule, u.initial_weight) if isinstance(rule, Rule) else rule.as_mice(u.initial_weight)
        state = agent.init(n)
        bodies = _Bodies.of(n, len(self.codes))
        with _bar(self.trials, "trial", progress) as bar:
            for t in range(self.trials):
                bodies.weights[:] = state.weights
                rows = np.arange(n) * self.trials + t
                _step(self.rig, self.mice, bodies, self.codes, u, self.out, rows, self.sessions)
                if rows.max() < 0:
                    break
                state = state._replace(weights=bodies.weights.copy())
                state = agent.learn(state, bodies.x.copy(), bodies.choice.copy(), bodies.reward.copy(), bodies.p.copy())
                weights = np.array(state.weights, float)
                _finish_step(self.mice, bodies, weights, u.trial_noise, self.out, rows)
                state = state._replace(weights=weights)
                self.done += rows >= 0
                bar.update()

    def rollout(self) -> Rollout:
        """The trials done, without the rows no mouse came to."""
        out = self.out
        if self.done.min() < self.trials:
            keep = (np.arange(self.trials) < self.done[:, None]).ravel()
            out = Columns(*(column[keep] for column in out))
        return Rollout(
            columns=dict(zip(COLUMNS, out, strict=False)),
            starts=np.concatenate([[0], np.cumsum(self.done)]),
            ids=tuple(f"mouse-{m:04d}" for m in range(self.cohort.mice)),
            weights=out.weights,
            features=self.cohort.features,
            keys=self.cohort.keys(self.seed),
            theta=self.theta,
            theta_names=self.cohort.layout.names,
            origin={
                "seed": self.seed,
                "cohort": self.cohort.model_dump(mode="json"),
                "protocol": self.protocol.model_dump(mode="json"),
            },
        )


def _bar(total: int, unit: str, progress: bool) -> Any:
    return tqdm(total=total, unit=unit, desc="simulate", disable=None if progress else True, delay=0.5)
