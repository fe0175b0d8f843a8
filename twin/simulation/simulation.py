"""A cohort under a protocol: the same trials by either of two drivers.

`fused` runs rig and mouse in one compiled loop (closed-form rules); `stepped` advances all mice together, trial by trial,
and takes any rule with `init` and `learn` (neural rules). Both call the same task functions, features and decision, draw
from the same counter-based streams and give the same choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from agents.closed_form import as_mice, new_memory
from agents.features import feature_codes
from agents.life import sleep
from agents.rules import Rule
from agents.theta import Unpacked
from envs.protocols import Protocol, load_protocol
from envs.task.session import moved_mice, new_mice
from twin.cohort import Cohort
from twin.data.rollout import COLUMNS, Rollout
from twin.engine import Engine
from twin.simulation.loops import Bodies, Columns, compile_fused, finish_step, join, step

TRIALS_PER_JOB = 200_000  # work handed to a thread at once; also the grain of the progress bar
TRIALS_PER_BLOCK = 1_000  # trials of each mouse that the stepped driver keeps room for, when their number is not known

Driver = Literal["auto", "fused", "stepped"]


def simulate(
    cohort: Cohort,
    protocol: Protocol | str = "ibl-documented",
    *,
    trials: int | None = None,
    sessions: int | None = None,
    seed: int = 1,
    driver: Driver = "auto",
    workers: int = 2,
    engine: Engine = "threads",
    progress: bool = False,
) -> Rollout:
    """Run every mouse of a cohort for a number of trials or of sessions.

    The result depends on cohort, protocol, seed and length alone: not on the driver nor on the number of workers
    (threads). Raises ValueError if not exactly one of `trials` and `sessions` is given, or a neural rule is to be fused.
    """
    if (trials is None) == (sessions is None):
        raise ValueError(f"trials = {trials}, sessions = {sessions}: give exactly one of them")
    if (trials or sessions or 0) < 1:
        raise ValueError(f"{trials if sessions is None else sessions}: a run needs at least one trial")
    simulation = Simulation(cohort, protocol, seed, driver=driver, workers=workers)
    if trials is not None:
        simulation.train_trials(trials, progress)
    else:
        simulation.train(np.full(cohort.mice, sessions), progress)
    return simulation.rollout()


class Simulation:
    """A cohort in training: `train` takes its mice further, `change_protocol` puts some under another rig.

    Mice are independent: some may stop while others go on, and a mouse that goes on does what it would have done without
    the stop. `mice` picks some of the cohort's (default: all). `pieces[m]` holds the trials of mouse m, one piece for each
    `train` that it took part in; `sessions[m]` how many sessions it has done.
    """

    def __init__(
        self,
        cohort: Cohort,
        protocol: Protocol | str,
        seed: int = 1,
        *,
        mice: range | None = None,
        driver: Driver = "auto",
        workers: int = 2,
    ) -> None:
        closed_form = isinstance(cohort.learning_rule, Rule)
        if driver == "fused" and not closed_form:
            raise ValueError(f"rule {cohort.rule!r} is neural: use driver='stepped' (or 'auto')")
        protocol = load_protocol(protocol) if isinstance(protocol, str) else protocol
        self.cohort, self.protocols, self.seed, self.workers = cohort, [protocol], seed, workers
        self.members = np.arange(cohort.mice)[slice(None) if mice is None else slice(mice.start, mice.stop)]
        self.theta, self.keys = cohort.theta(seed)[self.members], cohort.keys(seed)[self.members]
        self.unpacked: Unpacked = cohort.layout.unpack(self.theta)
        self.codes = feature_codes(cohort.features)
        self.rig: Any = protocol.record[0]
        self.mice = new_mice(self.rig, self.keys)
        self.sessions = np.zeros(len(self.members), np.int64)
        self.pieces: list[list[Columns]] = [[] for _ in self.members]
        self._whole: Columns | None = None  # of a run of so many trials: one set of columns, mouse m from row m * trials on
        self._driver = (_Fused if closed_form and driver != "stepped" else _Stepped)(self)

    def train(self, sessions: np.ndarray, progress: bool = False) -> None:
        """Take each mouse on until it has done so many sessions in all, (M,); one that has done as many already rests."""
        most = int((sessions - self.sessions).max()) * int(self.rig.session_trials)
        self._driver.train(sessions, most, None, progress)
        self.sessions = np.maximum(self.sessions, sessions)

    def train_trials(self, trials: int, progress: bool = False) -> None:
        """Train new mice for so many trials each."""
        self._whole = self.columns(trials * len(self.members))
        self._driver.train(np.full(len(self.members), trials + 1), trials, self._whole, progress)

    def change_protocol(self, protocol: Protocol, who: np.ndarray) -> None:
        """From the next session on, all that train are under another protocol; `who`: the mice that will be.

        They keep their weights and whatever else they learned, over a night like any other, and their counts of trials and
        sessions; the rig begins anew. The mice left out must not be trained any more.
        """
        self.protocols.append(protocol)
        self.rig = protocol.record[0]
        self._driver.sleep(who)
        self.mice[who] = moved_mice(self.rig, self.mice[who])

    def columns(self, trials: int) -> Columns:
        """Columns to be filled."""
        return Columns.of(trials, len(self.codes))

    def rollout(self, of_session: Mapping[str, np.ndarray] | None = None) -> Rollout:
        """All trials so far, with what else is known of each session (`Rollout.of_session`)."""
        done = [sum(len(piece.session) for piece in pieces) for pieces in self.pieces]
        if self._whole is not None:
            out, done = self._whole, [len(self._whole.session) // len(self.members)] * len(self.members)
        else:
            out = join([piece for pieces in self.pieces for piece in pieces])
        tables = [protocol.model_dump(mode="json") for protocol in self.protocols]
        origin = {"seed": self.seed, "cohort": self.cohort.model_dump(mode="json"), "protocol": tables[0]}
        return Rollout(
            columns=dict(zip(COLUMNS, out, strict=False)),
            starts=np.concatenate([[0], np.cumsum(done)]),
            ids=tuple(f"mouse-{m:04d}" for m in self.members),
            weights=out.weights,
            features=self.cohort.features,
            keys=self.keys,
            theta=self.theta,
            theta_names=self.cohort.layout.names,
            origin=origin | ({"then": tables[1:]} if tables[1:] else {}),
            of_session=of_session or {},
        )


class _Fused:
    """Every mouse in the compiled loop, mice shared out over threads."""

    def __init__(self, simulation: Simulation) -> None:
        self.run = simulation
        self.rule = simulation.cohort.learning_rule
        self.memories = [new_memory(self.rule, w) for w in simulation.unpacked.initial_weight]

    def train(self, sessions: np.ndarray, most: int, whole: Columns | None, progress: bool) -> None:
        """Up to so many sessions in all, (M,), and `most` trials each."""
        run, u, one_mouse = self.run, self.run.unpacked, compile_fused(self.rule)

        def train(mice: np.ndarray) -> int:
            out = whole or run.columns(most)
            for m in mice:
                start = m * most if whole else 0
                inputs = run.rig, run.mice[m], self.memories[m], run.codes, u, m, out, start, start + most
                done = one_mouse(*inputs, int(sessions[m]))
                if not whole:
                    run.pieces[m].append(out.rows(0, done))
            return len(mice)

        who = np.flatnonzero(sessions > run.sessions)
        grain = max(1, min(TRIALS_PER_JOB // most, -(-len(who) // run.workers)))
        jobs = [who[i : i + grain] for i in range(0, len(who), grain)]
        with ThreadPoolExecutor(run.workers) as pool, progress_bar(len(who), "mouse", progress) as bar:
            for n in pool.map(train, jobs):
                bar.update(n)

    def sleep(self, who: np.ndarray) -> None:
        """A night for some of the mice."""
        for m in who:
            memory, mouse = self.memories[m], self.run.mice[m]
            sleep(memory.weights, memory.previous, self.run.unpacked.day_noise[m], mouse.key, mouse.trial)


class _Stepped:
    """All mice together, one trial at a time."""

    def __init__(self, simulation: Simulation) -> None:
        self.run, u = simulation, simulation.unpacked
        rule = simulation.cohort.learning_rule
        self.agent = as_mice(rule, u.rule_parameters, u.initial_weight)
        self.state = self.agent.init(len(simulation.members))
        self.bodies = Bodies.of(len(simulation.members), len(simulation.codes))

    def train(self, sessions: np.ndarray, most: int, whole: Columns | None, progress: bool) -> None:
        """Up to so many sessions in all, (M,), and `most` trials each."""
        n, span = len(self.run.members), most if whole else TRIALS_PER_BLOCK
        out, done = whole or self.run.columns(n * span), np.zeros(n, np.int64)
        spans: list[list[Columns]] = [[] for _ in range(n)]

        def keep(first: int) -> None:
            """Keep the trials from `first` on, which are in `out`."""
            for m, new in enumerate(np.clip(done - first, 0, span)):
                spans[m].append(out.rows(m * span, m * span + new))

        with progress_bar(most, "trial", progress) as bar:
            for t in range(most):
                rows = np.arange(n) * span + t % span
                if not self._trial(out, rows, sessions):
                    break
                done += rows >= 0
                if not whole and (t + 1) % span == 0:
                    keep(t + 1 - span)
                bar.update()
        if not whole:
            keep(int(done.max()) // span * span)
            for m in np.flatnonzero(done):
                self.run.pieces[m].append(join(spans[m]))

    def _trial(self, out: Columns, rows: np.ndarray, sessions: np.ndarray) -> bool:
        """One trial of every mouse that has one to do, into its row; is there any?"""
        run, bodies = self.run, self.bodies
        bodies.weights[:] = self.state.weights
        step(run.rig, run.mice, bodies, run.codes, run.unpacked, out, rows, sessions)
        if rows.max() < 0:
            return False
        state = self.state._replace(weights=bodies.weights.copy())
        state = self.agent.learn(state, bodies.x.copy(), bodies.choice.copy(), bodies.reward.copy(), bodies.p.copy())
        weights = np.asarray(state.weights).astype(float)
        finish_step(run.mice, bodies, weights, run.unpacked.trial_noise, out, rows)
        self.state = state._replace(weights=weights)
        return True

    def sleep(self, who: np.ndarray) -> None:
        """A night for some of the mice."""
        weights, u = np.asarray(self.state.weights).astype(float), self.run.unpacked
        for m in who:
            mouse = self.run.mice[m]
            sleep(weights[m], self.bodies.previous[m], u.day_noise[m], mouse.key, mouse.trial)
        self.state = self.state._replace(weights=weights)


def progress_bar(total: int, unit: str, progress: bool) -> Any:
    """A bar on stderr, if `progress` and stderr is a terminal, from half a second on."""
    return tqdm(total=total, unit=unit, desc="simulate", disable=None if progress else True, delay=0.5)
