"""A cohort under a protocol: the same trials by either of two drivers.

`fused` runs rig and mouse in one compiled loop (closed-form rules); `stepped` advances all mice together, trial by trial,
and takes any rule with `init` and `learn` (neural rules). Both call the same task functions, features and decision, draw
from the same counter-based streams and give the same choices.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from agents.features import feature_codes
from agents.learning import BatchRule, new_memory
from agents.rules import Rule
from agents.theta import Unpacked
from envs.protocols import Protocol, load_protocol
from envs.session import new_mice
from twin.cohort import Cohort
from twin.data.rollout import COLUMNS, Rollout
from twin.drivers import Bodies, Columns, compile_fused, finish_step, step

TRIALS_PER_JOB = 200_000  # work handed to a thread at once; also the grain of the progress bar
TRIALS_PER_BLOCK = 1_000  # trials of each mouse that the stepped driver keeps room for, when their number is not known


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
    run = _Run(cohort, protocol, trials, sessions, seed)
    if fused:
        run.fused(workers, progress)
    else:
        run.stepped(progress)
    return run.rollout()


class _Run:
    """One simulation: its inputs, unpacked, and the columns it fills.

    A run of so many trials fills one set of columns, mouse m from row m * trials on. How many trials a run of sessions
    has is known afterwards only, so its columns are pieces, joined at the end.
    """

    def __init__(self, cohort: Cohort, protocol: Protocol, trials: int | None, sessions: int | None, seed: int) -> None:
        self.cohort, self.protocol, self.seed = cohort, protocol, seed
        self.exact = trials is not None
        self.most = trials or (sessions or 0) * protocol.session_trials  # of each mouse
        self.sessions = sessions or self.most + 1
        self.theta = cohort.theta(seed)
        self.unpacked: Unpacked = cohort.layout.unpack(self.theta)
        self.codes = feature_codes(cohort.features)
        self.rig: Any = protocol.record[0]
        self.mice = new_mice(self.rig, cohort.keys(seed))
        self.done = np.zeros(cohort.mice, np.int64)  # trials of each mouse
        self.out = self._columns(self.most) if self.exact else None
        self.pieces: list[list[Columns]] = [[] for _ in range(cohort.mice)]

    def _columns(self, trials: int, mice: int | None = None) -> Columns:
        return Columns.of((mice or self.cohort.mice) * trials, len(self.codes))

    def fused(self, workers: int, progress: bool) -> None:
        """Every mouse in the compiled loop, mice shared out over threads."""
        rule, u = self.cohort.learning_rule, self.unpacked
        one_mouse = compile_fused(rule)

        def run(mice: range) -> int:
            out = self.out or self._columns(self.most, mice=1)
            for m in mice:
                memory = new_memory(rule, u.initial_weight[m])
                start = m * self.most if self.exact else 0
                rows = start, start + self.most
                self.done[m] = one_mouse(self.rig, self.mice[m], memory, self.codes, u, m, out, *rows, self.sessions)
                if not self.exact:
                    self.pieces[m].append(out.rows(0, self.done[m]))
            return len(mice)

        grain = max(1, TRIALS_PER_JOB // self.most)
        jobs = [range(m, min(m + grain, self.cohort.mice)) for m in range(0, self.cohort.mice, grain)]
        with ThreadPoolExecutor(workers) as pool, _bar(self.cohort.mice, "mouse", progress) as bar:
            for n in pool.map(run, jobs):
                bar.update(n)

    def stepped(self, progress: bool) -> None:
        """All mice together, one trial at a time."""
        u, rule, n = self.unpacked, self.cohort.learning_rule, self.cohort.mice
        agent = BatchRule(rule, u.rule, u.initial_weight) if isinstance(rule, Rule) else rule.as_mice(u.initial_weight)
        state = agent.init(n)
        bodies = Bodies.of(n, len(self.codes))
        span = self.most if self.exact else TRIALS_PER_BLOCK
        out = self.out or self._columns(span)
        with _bar(self.most, "trial", progress) as bar:
            for t in range(self.most):
                bodies.weights[:] = state.weights
                rows = np.arange(n) * span + t % span
                step(self.rig, self.mice, bodies, self.codes, u, out, rows, self.sessions)
                if rows.max() < 0:
                    break
                state = state._replace(weights=bodies.weights.copy())
                state = agent.learn(state, bodies.x.copy(), bodies.choice.copy(), bodies.reward.copy(), bodies.p.copy())
                weights = np.asarray(state.weights).astype(float)
                finish_step(self.mice, bodies, weights, u.trial_noise, out, rows)
                state = state._replace(weights=weights)
                self.done += rows >= 0
                if not self.exact and (t + 1) % span == 0:
                    self._keep(out, t + 1 - span, span)
                bar.update()
        if not self.exact:
            self._keep(out, int(self.done.max()) // span * span, span)

    def _keep(self, out: Columns, first: int, span: int) -> None:
        """Keep what the mice did of their trials `first` to `first + span`, which are in `out`."""
        for m, done in enumerate(np.clip(self.done - first, 0, span)):
            self.pieces[m].append(out.rows(m * span, m * span + done))

    def rollout(self) -> Rollout:
        """The trials done."""
        pieces = [piece for mouse in self.pieces for piece in mouse]
        out = self.out or Columns(*(np.concatenate(columns) for columns in zip(*pieces, strict=True)))
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
