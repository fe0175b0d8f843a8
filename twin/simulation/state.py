"""What mice and their rigs carry from one trial to the next: where a simulation starts, and what it leaves.

All randomness is a function of a mouse's key, the number of the trial and what is drawn, so nothing of a random generator
has to be kept: the keys are part of the rig's records. Copies of a mouse with its own key all have the same future; copies
with other keys (`with_keys`, `repeat`) have futures of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agents.closed_form import as_mice
from agents.life import sleep
from agents.theta import Layout
from envs.protocols import Protocol, ProtocolLike, find_protocol
from envs.task.session import moved_mice, new_mice, next_session
from twin.cohort import Cohort


@dataclass(frozen=True, eq=False)
class CohortState:
    """M mice between two trials: parameters, weights, what their rule and their rigs remember. Every array is (M, ...).

    `dataclasses.replace` gives other parameters (theta) or weights to the same mice. Raises ValueError naming what does not
    have one row for each mouse.
    """

    ids: tuple[str, ...]
    theta_names: tuple[str, ...]
    theta: np.ndarray  # (M, P) parameters in natural units
    rig: np.ndarray  # (M,) of MOUSE_DTYPE: key, day, clock, stage, buffers, counters, reward volume, gain
    weights: np.ndarray  # (M, K) those that will produce the next choice
    previous: np.ndarray  # (M, 3) what history features need of the last trial
    memory: Mapping[str, np.ndarray]  # what the rule carries beside the weights, by name

    def __post_init__(self) -> None:
        for name, values in self.arrays.items():
            if len(values) != self.mice:
                raise ValueError(f"{name}: {len(values)} rows for {self.mice} mice; expected one for each mouse")

    def __repr__(self) -> str:
        """Its size and the names of its arrays."""
        return f"<CohortState of {self.mice} mice: {', '.join(self.arrays)}>"

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Every array by name, the rule's memory among them."""
        own = {name: getattr(self, name) for name in ("theta", "rig", "weights", "previous")}
        return own | {f"memory.{name}": values for name, values in self.memory.items()}

    @property
    def mice(self) -> int:
        """Number of mice."""
        return len(self.ids)

    @property
    def keys(self) -> np.ndarray:
        """Key of each mouse, (M,) uint64."""
        return self.rig["key"].copy()

    def take(self, mice: np.ndarray) -> CohortState:
        """A copy of some mice, by number, in that order; one may be taken more than once."""
        own = {name: getattr(self, name)[mice] for name in ("theta", "rig", "weights", "previous")}
        memory = {name: values[mice] for name, values in self.memory.items()}
        return replace(self, ids=tuple(self.ids[m] for m in mice), memory=memory, **own)

    def copy(self) -> CohortState:
        """A copy that shares nothing."""
        return self.take(np.arange(self.mice))

    def put(self, mice: np.ndarray, state: CohortState) -> None:
        """Overwrite some mice, by number, with those of another state."""
        for name, values in self.arrays.items():
            values[mice] = state.arrays[name]

    def with_keys(self, keys: np.ndarray) -> CohortState:
        """The same mice with other keys (M,): what happens to them next is drawn anew."""
        rig = self.rig.copy()
        rig["key"] = keys
        return replace(self.copy(), rig=rig)

    def repeat(self, n: int, keys: np.ndarray) -> CohortState:
        """n copies of each mouse, one after the other, with these keys (M * n,), as `envs.draws.mouse_keys` makes them."""
        if np.shape(keys) != (n * self.mice,):
            raise ValueError(f"keys of shape {np.shape(keys)}: expected one for each of {n} copies of {self.mice} mice")
        copies = self.take(np.repeat(np.arange(self.mice), n)).with_keys(keys)
        return replace(copies, ids=tuple(f"{name}-{c:04d}" for name in self.ids for c in range(n)))


def naive_state(cohort: Cohort, protocol: ProtocolLike, seed: int = 1, mice: range | None = None) -> CohortState:
    """A cohort's mice, or some of them, before their first trial."""
    members = np.arange(cohort.mice)[slice(None) if mice is None else slice(mice.start, mice.stop)]
    theta = cohort.theta(seed)[members]
    return CohortState(
        ids=tuple(f"mouse-{m:04d}" for m in members),
        theta_names=cohort.layout.names,
        theta=theta,
        rig=new_mice(find_protocol(protocol).record[0], cohort.keys(seed)[members]),
        **naive_mice(cohort.learning_rule, cohort.layout, theta),
    )


def naive_mice(rule: Any, layout: Layout, theta: np.ndarray) -> dict[str, Any]:
    """Weights, memory and what the history features need, of mice that have seen nothing; theta (M, P)."""
    parameters = layout.unpack(theta)
    agent = as_mice(rule, parameters.rule_parameters, parameters.initial_weight)
    first = agent.init(len(theta))
    weights = np.asarray(first.weights).astype(float, order="C")
    return {"weights": weights, "previous": np.zeros((len(theta), 3)), "memory": agent.remembered(first)}


def check_state(state: CohortState, cohort: Cohort, protocol: Protocol) -> None:
    """Raise ValueError, naming what does not fit, for a state whose mice are not of this cohort's kind or rig."""
    if state.theta_names != cohort.layout.names:
        raise ValueError(
            f"state of mice with parameters {', '.join(state.theta_names)}; "
            f"rule {cohort.rule!r} on features {list(cohort.features)} has {', '.join(cohort.layout.names)}"
        )
    fresh = naive_mice(cohort.learning_rule, cohort.layout, state.theta)
    expected = {name: values.shape for name, values in fresh["memory"].items()}
    found = {name: values.shape for name, values in state.memory.items()}
    if found != expected:
        raise ValueError(f"state whose rule remembers {found}; rule {cohort.rule!r} remembers {expected}")
    stage = state.rig["stage"].max(initial=0)
    if stage >= len(protocol.stages):
        raise ValueError(
            f"state of a mouse in stage {stage}: protocol {protocol.name!r} has {len(protocol.stages)} stages; "
            f"give the protocol that the state was left by, or move the mice to this one (`move_mice`)"
        )


def move_mice(state: CohortState, layout: Layout, protocol: ProtocolLike) -> CohortState:
    """The mice on the morning of their first day under another protocol.

    They keep their weights and whatever else they learned, over a night like any other, and their counts of trials and
    sessions; the rig begins anew.
    """
    moved = _after_night(state, layout)
    return replace(moved, rig=moved_mice(find_protocol(protocol).record[0], moved.rig))


def begin_session(state: CohortState, layout: Layout, protocol: ProtocolLike) -> CohortState:
    """The mice on the morning of their next session, whether or not the rig would have ended the last one."""
    rested, rig = _after_night(state, layout), find_protocol(protocol).record[0]
    for mouse in rested.rig:
        next_session(rig, mouse)
    return rested


def _after_night(state: CohortState, layout: Layout) -> CohortState:
    rested, day_noise = state.copy(), layout.unpack(state.theta).day_noise
    for m, mouse in enumerate(rested.rig):
        sleep(rested.weights[m], rested.previous[m], day_noise[m], mouse["key"], mouse["trial"])
    return rested
