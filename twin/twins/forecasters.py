"""Forecasters of a mouse from a cut of its record on: its twins, and simple ones beside them.

twin             posterior twins of the mouse
last session     its last session over and over: its accuracy, and its choices by contrast
random walk      weights that move at random, at rates that its record tells (`random-walk`)
static GLM       weights that stay as they were in its last three sessions
population mean  mice of the population, whatever this one did: its accuracy from their first day, and their parameters'
                 predictions of its choices
pooled REINFORCE one learning rate for all mice of the record, no noise, no lapses, weights from 0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from agents.theta import Layout
from envs.draws import mouse_keys
from envs.task.session import new_mice
from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.data.trials import Trials
from twin.evaluation.session_summary import easy_performances, summarise_rollout
from twin.evaluation.status import Status
from twin.inference.closed_form.likelihood import MouseLikelihood
from twin.inference.closed_form.rule_fit import RuleFit
from twin.inference.fit import fit, mixture
from twin.inference.noise.assumed_density import FilteredLikelihood
from twin.inference.posterior.draws import Draws
from twin.simulation.state import CohortState, naive_mice
from twin.twins.futures import Futures, futures, go_on
from twin.twins.model import TwinModel, fit_twins
from twin.twins.posterior import Twins, evening_state, with_session_traits
from twin.twins.record import RecordedMouse

TWIN = "twin"
NEXT_CHOICES = 500
STATIC_SESSIONS = 3
RATES = (1e-5, 0.3)  # within which a pooled rate is looked for
UNTIL = Status.TRAINED_1A  # whose time is scored
HALF = 0.5  # of a choice, added to counts of either side (Jeffreys' prior)


class Cut(NamedTuple):
    """A point of a record: what was known, and what followed."""

    known: RecordedMouse  # on the evening of its last session before the cut
    later: RecordedMouse  # the whole record
    model: TwinModel
    rest: Rollout | None  # the other mice of the record
    others: RuleFit | None  # their population (`fit_others`)
    sessions: int  # to be forecast
    twins: int
    seed: int

    @property
    def trial(self) -> int:
        """Trials before the cut."""
        return len(self.known.rollout)


class Prediction(NamedTuple):
    """What one forecaster says at a cut."""

    accuracy: np.ndarray  # (S, H) of sessions to come
    log_p: np.ndarray  # (N,) log-probability of each of the next choices
    days: np.ndarray | None = None  # (S,) sessions until the status, NaN beyond the horizon; None where it is not said


def forecasters(population: Futures | None) -> dict[str, Callable[[Cut, Mapping[str, Any]], Prediction]]:
    return {
        TWIN: _by_twins,
        "last session": _last_session,
        "random walk": _random_walk,
        "static GLM": _static,
        "population mean": partial(_population, population),
        "pooled REINFORCE": _pooled,
    }


def _by_twins(cut: Cut, how: Mapping[str, Any]) -> Prediction:
    cohort = cut.model.cohort
    fitted = fit_twins(Trials.from_rollout(cut.known.rollout, cohort.features), cut.model, cut.others)
    assert fitted.draws is not None
    return _of_draws(cut, cohort, fitted.draws, how)


def _of_draws(cut: Cut, cohort: Cohort, draws: Draws, how: Mapping[str, Any]) -> Prediction:
    """The forecast of draws of one mouse."""
    n = min(cut.twins, draws.theta.shape[1])
    evening = evening_state(cut.known, cohort, draws.theta[0, :n], draws.weights[0, :n], None, cut.seed)
    twins = with_session_traits(Twins(cohort, cut.known, evening), cut.seed)
    found = go_on(twins, cut.sessions, **how)
    return Prediction(found.accuracy, next_choices(cut, cohort.layout, draws.theta[0]), found.days_to(UNTIL))


def next_choices(cut: Cut, layout: Layout, theta: np.ndarray) -> np.ndarray:
    """Log-probability (N,) of each of the next choices given those before it, of a mouse that is any of theta (S, P)."""
    trials = Trials.from_rollout(cut.later.rollout, layout.features)
    counted = np.flatnonzero(trials.mask[0])
    last = counted[counted >= cut.trial][:NEXT_CHOICES]
    likelihood = FilteredLikelihood(trials.first(int(last[-1]) + 1), 0, layout)
    each = likelihood.log_chosen(theta)[:, -len(last) :]
    return np.asarray(mixture(each[:, None, :])[0])


def _last_session(cut: Cut, how: Mapping[str, Any]) -> Prediction:
    known = cut.known.rollout
    accuracy = easy_performances(summarise_rollout(known))
    told = accuracy[np.isfinite(accuracy)]
    last = float(told[-1]) if len(told) else 0.5
    session = known.of_sessions(np.array([cut.known.sessions - 1]))
    chose = session.choice >= 0
    right, total = float((session.choice[chose] == 1).sum()), float(chose.sum())
    after = np.flatnonzero(cut.later.rollout.choice >= 0)
    after = after[after >= cut.trial][:NEXT_CHOICES]
    log_p = []
    for t in after:
        same = chose & (session.contrast == cut.later.rollout.contrast[t])
        some = same.any()
        hits, n = (float((session.choice[same] == 1).sum()), float(same.sum())) if some else (right, total)
        p = (hits + HALF) / (n + 2 * HALF)
        log_p.append(np.log(p if cut.later.rollout.choice[t] == 1 else 1 - p))
    return Prediction(np.full((1, cut.sessions), last), np.array(log_p))


def _random_walk(cut: Cut, how: Mapping[str, Any]) -> Prediction:
    cohort = Cohort(rule="static", features=cut.model.cohort.features)
    fitted: Any = fit(Trials.from_rollout(cut.known.rollout, cohort.features), "random-walk")
    return _of_draws(cut, cohort, fitted.draws, how)


def _static(cut: Cut, how: Mapping[str, Any]) -> Prediction:
    cohort = Cohort(rule="static", features=cut.model.cohort.features)
    sessions = np.arange(cut.known.sessions)[-STATIC_SESSIONS:]
    fitted: Any = fit(Trials.from_rollout(cut.known.rollout.of_sessions(sessions), cohort.features), "static-glm")
    weights = cohort.layout.unpack(fitted.theta).initial_weight
    return _of_draws(cut, cohort, _one(fitted.theta[0], weights[0], cut.twins), how)


def _pooled(cut: Cut, how: Mapping[str, Any]) -> Prediction:
    cohort = Cohort(rule="reinforce", features=("stimulus", "bias"))
    records = [cut.known.rollout, *([] if cut.rest is None else [cut.rest])]
    theta = pooled_rate([Trials.from_rollout(record, cohort.features) for record in records], cohort.layout)
    state = evening_state(cut.known, cohort, theta[None], None)
    return _of_draws(cut, cohort, _one(theta, state.weights[0], cut.twins), how)


def pooled_rate(records: Sequence[Trials], layout: Layout) -> np.ndarray:
    """theta (P,) of REINFORCE with the rate under which the choices of all mice are the likeliest, from weights of 0."""
    likelihoods = [MouseLikelihood(trials, m, layout) for trials in records for m in range(len(trials.ids))]
    theta, rate = layout.defaults(), layout.index("rate")

    def at(log_rate: float) -> np.ndarray:
        theta[rate] = np.exp(log_rate)
        return theta

    def loss(log_rate: float) -> float:
        return -sum(float(one.log_likelihood(at(log_rate)).sum()) for one in likelihoods)

    best = minimize_scalar(loss, bounds=np.log(RATES), method="bounded", options={"xatol": 0.01})
    return at(float(best.x)).copy()


def _one(theta: np.ndarray, weights: np.ndarray, n: int) -> Draws:
    """n twins that are all alike."""
    return Draws(np.tile(theta, (1, n, 1)), np.tile(weights, (1, n, 1)), theta[None])


def _population(known: Futures | None, cut: Cut, how: Mapping[str, Any]) -> Prediction:
    found = known or population_futures(cut, cut.known.sessions + cut.sessions, how)
    done = cut.known.sessions
    log_p = next_choices(cut, cut.model.cohort.layout, population_theta(cut))
    return Prediction(found.accuracy[:, done : done + cut.sessions], log_p)


def population_theta(cut: Cut) -> np.ndarray:
    """Mice (n, P) of the population that the mouse is believed to be of."""
    if cut.others is None:
        return cut.model.cohort.theta(0, cut.twins)
    assert cut.others.draws is not None
    return cut.others.draws.new_mice[: cut.twins]


def population_futures(cut: Cut, sessions: int, how: Mapping[str, Any]) -> Futures:
    """Mice of the population from their first day on, under the protocol of the mouse."""
    cohort, theta, protocol = cut.model.cohort, population_theta(cut), cut.known.protocol
    ids = tuple(f"mouse-{m:04d}" for m in range(len(theta)))
    naive = naive_mice(cohort.learning_rule, cohort.layout, theta)
    rig = new_mice(protocol.record[0], mouse_keys(cut.seed, len(theta)))
    start = CohortState(ids, cohort.layout.names, theta, rig, **naive)
    return futures(cohort, protocol, start, sessions, cut.known.rollout.of_sessions(np.arange(0)), **how)
