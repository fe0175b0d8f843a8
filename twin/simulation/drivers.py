"""Two ways of taking mice on by some trials, as jobs that any engine can do; the trials are the same.

`run_fused` puts one mouse after the other through a compiled loop, for closed-form rules. `run_stepped` takes all mice of a
job through one trial after the other, for any rule with `init` and `learn`, neural ones too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from agents.closed_form import Memory, as_mice
from agents.features import feature_codes
from agents.theta import Layout
from envs.protocols import Protocol
from envs.records import Record
from twin.simulation.loops import Columns, Trial, compile_fused, finish_step, join, recorded_step, shown_step, step
from twin.simulation.state import CohortState

TRIALS_PER_BLOCK = 1_000  # trials of each mouse that the stepped driver keeps room for, when their number is not known


class Job(NamedTuple):
    """M mice to be taken on. It can be pickled; who does it in this process writes into `columns`."""

    rule: Any  # an `agents.rules.Rule`, or a neural rule
    layout: Layout
    protocol: Protocol
    state: CohortState  # the job's own: changed in place
    sessions: np.ndarray  # (M,) each mouse stops at the end of the session that is its number so many, from 1
    trials: int  # and after so many trials at the latest
    columns: Columns | None = None  # room for the trials of each mouse in turn, if every mouse does all of them


class Done(NamedTuple):
    """What comes of a job."""

    state: CohortState
    trials: list[Columns]  # of each mouse


def run_fused(job: Job) -> Done:
    """Do a job mouse by mouse, in the compiled loop of a closed-form rule."""
    state = job.state
    one_mouse = compile_fused(job.rule)
    codes = feature_codes(job.layout.features)
    protocol = job.protocol.record[0]
    parameters = job.layout.unpack(state.theta)
    memories = Memory(weights=state.weights, x=np.zeros_like(state.weights), previous=state.previous, **state.memory)
    room = job.columns or Columns.of(job.trials, len(codes))
    trials = []
    for m in range(state.mice):
        start = m * job.trials if job.columns else 0
        memory = Memory(*(part[m] for part in memories))
        inputs = protocol, state.rig[m], memory, codes, parameters, m, room
        n = one_mouse(*inputs, start, start + job.trials, int(job.sessions[m]))
        done = room.rows(start, start + n)
        trials.append(done if job.columns else done.copy())
    return Done(state, trials)


def run_stepped(job: Job, progress: bool = False) -> Done:
    """Do a job trial by trial, all mice at once."""
    mice = job.state.mice
    stepper = Stepper(job.rule, job.layout, job.state)
    block = job.trials if job.columns else min(TRIALS_PER_BLOCK, job.trials)
    room = job.columns or Columns.of(mice * block, len(job.layout.features))
    kept: list[list[Columns]] = [[] for _ in range(mice)]
    done = np.zeros(mice, np.int64)
    with progress_bar(job.trials, "trial", progress) as bar:
        for t in range(job.trials):
            rows = np.arange(mice) * block + t % block
            if not stepper.trial(job.protocol, room, rows, job.sessions):
                break
            done += rows >= 0
            if (t + 1) % block == 0:
                _keep(kept, room, block, np.clip(done - (t + 1 - block), 0, block), copy=not job.columns)
            bar.update()
    if done.max() % block:
        _keep(kept, room, block, np.clip(done - done.max() // block * block, 0, block), copy=not job.columns)
    stepper.leave()
    return Done(job.state, [join(parts) for parts in kept])


def _keep(kept: list[list[Columns]], room: Columns, block: int, new: np.ndarray, copy: bool) -> None:
    """Keep each mouse's first rows of its block, new (M,) of them."""
    for m, n in enumerate(new):
        rows = room.rows(m * block, m * block + n)
        kept[m].append(rows.copy() if copy else rows)


class Stepper:
    """Mice of any rule taken through their trials together; their state is changed in place, complete after `leave`."""

    def __init__(self, rule: Any, layout: Layout, state: CohortState) -> None:
        self.state = state
        self.codes = feature_codes(layout.features)
        self.parameters = layout.unpack(state.theta)
        self._agent = as_mice(rule, self.parameters.rule_parameters, state.weights)
        self._carried = self._agent.resume(state.weights, state.memory)
        self._now = Trial.of(state.weights, state.previous)

    def trial(self, protocol: Protocol, out: Columns, rows: np.ndarray, sessions: np.ndarray) -> bool:
        """One trial of every mouse that has one to do, into its row of `out`; was there any?"""
        step(protocol.record[0], self.state.rig, self._now, self.codes, self.parameters, out, rows, sessions)
        if rows.max() < 0:
            return False
        self._learn(out, rows)
        return True

    def recorded_trial(self, record: Record, rows: np.ndarray, day_noise: np.ndarray) -> None:
        """One trial that has happened, from row rows[m] of a record; -1 for a mouse that has no more.

        The record has columns contrast, choice, reward and new_session. Of the rigs the count of trials alone goes on.
        """
        recorded_step(self.state.rig, self._now, self.codes, day_noise, record, rows)
        self._learn(record, rows)

    def shown_trial(self, out: Record, rows: np.ndarray) -> None:
        """One trial with the recorded stimulus of row rows[m], where choice and reward of the mouse go (`shown_step`).

        The rows have columns contrast, side, choice, reward and new_session. Of the rigs the count of trials alone goes on.
        """
        shown_step(self.state.rig, self._now, self.codes, self.parameters, out, rows)
        self._learn(out, rows)

    def leave(self) -> None:
        """Write what the rule remembers into the state."""
        for name, values in self._agent.remembered(self._carried).items():
            self.state.memory[name][:] = values

    def _learn(self, out: Record, rows: np.ndarray) -> None:
        now = self._now
        before = self._carried._replace(weights=now.weights.copy())
        self._carried = self._agent.learn(before, now.x.copy(), now.choice.copy(), now.reward.copy(), now.p.copy())
        learned = np.asarray(self._carried.weights).astype(float)
        finish_step(self.state.rig, now, learned, self.parameters.trial_noise, out, rows)


def progress_bar(total: int, unit: str, progress: bool) -> tqdm:
    """A bar on stderr, if `progress` and stderr is a terminal, from half a second on."""
    return tqdm(total=total, unit=unit, desc="simulate", disable=None if progress else True, delay=0.5)
