"""Mice as recorded trials left them: where a simulation goes on from a record, simulated or real."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs.task.state import MOUSE_DTYPE
from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.replay import Replay
from twin.simulation.drivers import Stepper
from twin.simulation.state import CohortState, naive_mice


class _Outcomes(NamedTuple):
    """What a rule learns from in recorded trials, (N,) each."""

    contrast: np.ndarray
    choice: np.ndarray
    reward: np.ndarray
    new_session: np.ndarray


def state_after(
    replayed: Replay, cohort: Cohort, theta: np.ndarray | None = None, weights: np.ndarray | None = None
) -> CohortState:
    """State of recorded mice after their last trials: the rigs as replayed, rule and weights as the record teaches them.

    The mice's rule is the cohort's, with parameters theta (M, P), by default those that the record itself has. It learns from
    the recorded choices and rewards, with the noise that the rigs' keys draw; so a simulated mouse comes out as it was.
    `weights` (N, K), for instance of a fit, takes the place of its own weights before each trial; then the rule remembers what
    it would have with those, and its weights are one update beyond the last of them. Put others in their place, and other
    keys, with `dataclasses.replace` and `CohortState.with_keys`. Raises ValueError if theta is not known.

    The keys are those of the replay: the rollout's own, or arbitrary ones. `twin.replay` says what a record leaves open.
    """
    rollout = replayed.rollout
    theta = _theta(rollout, cohort) if theta is None else np.array(theta, float)
    naive = naive_mice(cohort.learning_rule, cohort.layout, theta)
    rig = np.zeros(rollout.n_mice, MOUSE_DTYPE)
    rig["key"] = replayed.rig["key"]  # that, and the number of the trial, is what learning asks of a rig
    state = CohortState(rollout.ids, cohort.layout.names, theta, rig, **naive)
    _learn_from(rollout, state, cohort, weights)
    state.rig[:] = replayed.rig
    return state


def _theta(rollout: Rollout, cohort: Cohort) -> np.ndarray:
    if rollout.theta is None or rollout.theta_names != cohort.layout.names:
        raise ValueError(
            f"theta: the record has no parameters of rule {cohort.rule!r} on features {list(cohort.features)}; "
            f"give those of its {rollout.n_mice} mice"
        )
    return rollout.theta.copy()


def _learn_from(rollout: Rollout, state: CohortState, cohort: Cohort, weights: np.ndarray | None) -> None:
    """Take mice that have seen nothing through their recorded trials; changes the state in place."""
    stepper = Stepper(cohort.learning_rule, cohort.layout, state)
    outcomes = _Outcomes(rollout.contrast, rollout.choice, rollout.reward, rollout.new_session)
    day_noise = stepper.parameters.day_noise * (weights is None)
    for t in range(int(np.diff(rollout.starts).max(initial=0))):
        rows = rollout.starts[:-1] + t
        rows = np.where(rows < rollout.starts[1:], rows, -1)
        if weights is not None:
            state.weights[rows >= 0] = weights[rows[rows >= 0]]
        stepper.recorded_trial(outcomes, rows, day_noise)
    stepper.leave()
