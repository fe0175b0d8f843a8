"""Posterior twins of a mouse: copies of it with parameters and weights as its record leaves them likely, ready to go on.

    mouse = recorded_mouse(rollout, "KS014")
    fitted = fit_twins(Trials.from_rollout(mouse.rollout, features), TwinModel())
    twins = twins_of(fitted, mouse, n=200)
    train_design(twins.cohort, design, until="trained_1a", horizon=40, start=twins.morning(design), before=mouse.rollout)

The rig is as the replayed record leaves it. What choices do not tell is taken from the record simply: trials before a session
ends and response times are compared with those of a trial run of the twins under the same protocol (`with_session_traits`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from envs.draws import mouse_keys
from envs.protocols import Protocol, ProtocolLike, find_protocol
from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.data.trials import Trials
from twin.inference.closed_form.rule_fit import RuleFit
from twin.replay import Replay
from twin.simulation import CohortState, Simulation, begin_session, move_mice, state_after
from twin.simulation.state import naive_mice
from twin.twins.record import RecordedMouse

TRIAL_RUN = (48, 3)  # twins and sessions
RECENT = 10  # sessions that tell how long those to come are
SPREAD_WORTH = 4  # sessions that the usual spread of session lengths counts as much as
LEAST_ENGAGED = 20.0  # trials
USUAL_SD = 0.3  # of the mean trials that mice work, where the population does not tell


@dataclass(frozen=True, eq=False)
class Twins:
    """n twins of one mouse on the evening of its last session."""

    cohort: Cohort  # their kind
    mouse: RecordedMouse
    evening: CohortState  # (n,)

    def morning(self, protocol: ProtocolLike | None = None) -> CohortState:
        """The twins at the start of their next session, under the protocol they are in or another.

        Under one whose stages show the same contrasts the rig goes on where it was left; under any other it begins anew.
        """
        to = self.mouse.protocol if protocol is None else find_protocol(protocol)
        if goes_on(self.mouse.protocol, to):
            return begin_session(self.evening, self.cohort.layout, to)
        return move_mice(self.evening, self.cohort.layout, to)


def goes_on(protocol: Protocol, to: Protocol) -> bool:
    """Do both protocols show the same contrasts in each of their stages?"""
    shown = [[tuple(stage.shown) for stage in one.stages] for one in (protocol, to)]
    return shown[0] == shown[1] and not any(stage.contingencies for one in (protocol, to) for stage in one.stages)


def twins_of(fitted: RuleFit, mouse: RecordedMouse, cohort: Cohort, n: int = 200, seed: int = 1) -> Twins:
    """n twins of a mouse: draws of its posterior, each with random futures of its own.

    `fitted` is a fit with draws, in which the mouse is; `cohort` is of its rule, and tells how mice's sessions vary. Raises
    ValueError for more twins than the fit has draws, or a fit without.
    """
    if fitted.draws is None:
        raise ValueError(f"the fit of {fitted.model!r} has no posterior draws; twins need one with noise = true")
    draws = fitted.draws.of_mice(fitted.rows((mouse.name,)))
    if not 1 <= n <= draws.theta.shape[1]:
        raise ValueError(f"{n} twins: expected 1 to {draws.theta.shape[1]}, as many as the posterior has draws")
    path = None if fitted.rule.base_rule_form else fitted.weights(Trials.from_rollout(mouse.rollout, fitted.features))[0]
    evening = evening_state(mouse, cohort, draws.theta[0, :n], draws.weights[0, :n], path, seed)
    return with_session_traits(Twins(cohort, mouse, evening), seed)


def evening_state(
    mouse: RecordedMouse,
    cohort: Cohort,
    theta: np.ndarray,
    weights: np.ndarray | None,
    path: np.ndarray | None = None,
    seed: int = 1,
) -> CohortState:
    """Twins with parameters theta (n, P) and weights (n, K) after the last recorded trial.

    Without `weights`, those that the rule itself comes to by the recorded trials. A rule that remembers more than weights is
    taken through the record; `path` (T, K) are then the weights it had there.
    """
    n, rule = len(theta), cohort.learning_rule
    if rule.base_rule_form and weights is not None:
        rig = np.repeat(mouse.rig, n)
        names = tuple(mouse.name for _ in range(n))
        naive = naive_mice(rule, cohort.layout, theta)
        state = CohortState(names, cohort.layout.names, theta.copy(), rig, naive["weights"], naive["previous"], naive["memory"])
    else:
        state = state_after(_copies(mouse, n), cohort, theta, None if path is None else np.tile(path, (n, 1)))
    own = state.weights if weights is None else weights.copy()
    names = tuple(f"{mouse.name}-{i:04d}" for i in range(n))
    return replace(state, ids=names, weights=own).with_keys(mouse_keys(seed, n))


def _copies(mouse: RecordedMouse, n: int) -> Replay:
    """n mice that all did what one did, and their rigs."""
    one = mouse.rollout
    columns = {name: np.tile(column, n) for name, column in one.columns.items()}
    starts = np.arange(n + 1) * len(one)
    many = Rollout(columns, starts, tuple(f"{one.ids[0]}-{i:04d}" for i in range(n)))
    unused = np.empty(0)
    return Replay(unused, unused, unused, unused, unused, np.repeat(mouse.rig, n), many)


class SessionTraits(NamedTuple):
    """How sessions of a mouse go: what is changed of its twins so that they go alike."""

    engaged: float  # trials before engagement fades, mean over sessions
    engaged_sd: float  # standard deviation of what is believed of that mean
    spread: float  # half the range over sessions, fraction
    slower: float  # factor of the response times


def with_session_traits(twins: Twins, seed: int) -> Twins:
    """The same twins with session lengths, and where they are recorded response times, like their mouse's."""
    found = session_traits(twins)
    state, layout = twins.evening, twins.cohort.layout
    theta, rng = state.theta.copy(), np.random.default_rng([seed, 1])
    mean = found.engaged + found.engaged_sd * rng.standard_normal(len(theta))
    theta[:, layout.index("engaged_trials")[0]] = np.maximum(mean, LEAST_ENGAGED)
    theta[:, layout.index("engaged_spread")[0]] = found.spread
    median, slowing = (layout.index(name)[0] for name in ("response_median", "response_slowing"))
    theta[:, median] = np.maximum(theta[:, median] * found.slower, layout.columns["response_median"].low)
    theta[:, slowing] *= found.slower
    return replace(twins, evening=replace(state, theta=theta))


def session_traits(twins: Twins) -> SessionTraits:
    """Session traits of a mouse: those of a trial run of its twins, corrected by how much its own last sessions differ."""
    usual, usual_sd = _usual_engagement(twins.cohort)
    spread = float(twins.cohort.theta(0, 1)[0, twins.cohort.layout.index("engaged_spread")[0]])
    tried = _trial_run(twins, usual)
    mouse = twins.mouse
    lengths = mouse.lengths[-RECENT:].astype(float)
    n, simulated = len(lengths), tried.sessions.stop - tried.sessions.start
    told = max(usual + lengths.mean() - simulated.mean(), LEAST_ENGAGED)
    of_one = told * spread / np.sqrt(3.0)  # sd of a session's trials about the mean: they are uniform
    scatter = np.sqrt((((lengths - lengths.mean()) ** 2).sum() + SPREAD_WORTH * of_one**2) / (n - 1 + SPREAD_WORTH))
    weight = usual_sd**2 / (usual_sd**2 + scatter**2 / n)
    engaged = max(usual + weight * (told - usual), LEAST_ENGAGED)
    return SessionTraits(
        engaged, usual_sd * float(np.sqrt(1 - weight)), min(1.0, float(np.sqrt(3.0) * scatter / engaged)), _slower(mouse, tried)
    )


def _usual_engagement(cohort: Cohort) -> tuple[float, float]:
    """Mean and standard deviation over mice of the trials that they work."""
    values = cohort.theta(0, 500)[:, cohort.layout.index("engaged_trials")[0]]
    return float(values.mean()), float(values.std()) or USUAL_SD * float(values.mean())


def _trial_run(twins: Twins, engaged: float) -> Rollout:
    """Some twins in some sessions, working so many trials in each of them on average."""
    mice, sessions = TRIAL_RUN
    state = twins.morning().take(np.arange(min(mice, twins.evening.mice)))
    state.theta[:, twins.cohort.layout.index("engaged_trials")[0]] = engaged
    run = Simulation(twins.cohort, twins.mouse.protocol, state=state, engine="serial")
    run.train(run.sessions + sessions)
    return run.rollout()


def _slower(mouse: RecordedMouse, tried: Rollout) -> float:
    """Median response time of the last sessions over that of the trial run; 1 where none are recorded."""
    if "response_time" not in mouse.rollout.columns:
        return 1.0
    recent = _at_work(mouse.rollout.of_sessions(np.arange(mouse.sessions)[-RECENT:]))
    return float(np.median(recent) / np.median(_at_work(tried))) if len(recent) else 1.0


def _at_work(rollout: Rollout) -> np.ndarray:
    """Response times, s, in the first half of every session, before a mouse slows down."""
    s = rollout.sessions
    rows = np.concatenate(
        [np.arange(start, start + (stop - start + 1) // 2) for start, stop in zip(s.start, s.stop, strict=True)]
    )
    times = rollout.response_time[rows]
    return np.asarray(times[np.isfinite(times)])
