"""Forecasts made at earlier points of a record, and scored on what followed, beside simple ones.

    twin             posterior twins of the mouse
    last session     its last session over and over: its accuracy, and its choices by contrast
    random walk      weights that move at random, at rates that its record tells (`random-walk`)
    static GLM       weights that stay as they were in its last three sessions
    population mean  mice of the population, whatever this one did: its accuracy from their first day, and their parameters'
                     predictions of its choices
    pooled REINFORCE one learning rate for all mice of the record, no noise, no lapses, weights from 0

Choices are scored by the log-probability of each given those before it; the accuracy of sessions to come by the CRPS.
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
from twin.evaluation.ensembles import BANDS, censored_pit, covered, crps, pit, pit_counts
from twin.evaluation.session_summary import easy_performances, summarise_rollout
from twin.evaluation.status import Status, sessions_to_status
from twin.inference.closed_form.likelihood import MouseLikelihood
from twin.inference.closed_form.rule_fit import RuleFit
from twin.inference.fit import fit, mixture
from twin.inference.noise.assumed_density import FilteredLikelihood
from twin.inference.posterior.draws import Draws
from twin.simulation.state import CohortState, naive_mice
from twin.twins.futures import QUANTILES, Futures, futures, go_on
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


class Scored(NamedTuple):
    """Scores of one forecaster at one cut."""

    forecaster: str
    trial: int
    crps: np.ndarray  # (H',) of the sessions that followed
    places: np.ndarray  # (H',) of the accuracies among the futures, PIT; none where there is one future alone
    log_p: np.ndarray  # (N,)
    days_place: float | None  # PIT of the time to the status; None where it was reached before, or is not forecast
    fan: np.ndarray  # (Q, H) quantiles of the accuracies to come


def cut_at(
    mouse: RecordedMouse,
    trial: int,
    model: TwinModel,
    *,
    sessions: int = 10,
    twins: int = 200,
    seed: int = 1,
    rest: Rollout | None = None,
    others: RuleFit | None = None,
) -> Cut:
    """The cut at the end of the session in which a trial (from 1) falls. Raises ValueError if no session follows it."""
    ends = mouse.rollout.sessions.stop
    session = int(np.searchsorted(ends, trial)) + 1
    if not trial >= 1 or session >= len(ends):
        raise ValueError(
            f"a back-test at trial {trial}: mouse {mouse.name!r} has {len(mouse.rollout)} trials, the last session begins "
            f"after trial {int(mouse.rollout.sessions.start[-1])}; expected one from 1 to that"
        )
    return Cut(mouse.until(session), mouse, model, rest, others, sessions, twins, seed)


def back_test(cut: Cut, how: Mapping[str, Any], population: Futures | None = None) -> list[Scored]:
    """Every forecaster's scores at a cut; `how` has engine and workers.

    `population` are mice of the population from their first day on, at least until the end of what is forecast, if they are
    known already (`population_futures`).
    """
    return [_scored(name, cut, say(cut, how)) for name, say in _forecasters(population).items()]


def _forecasters(population: Futures | None) -> dict[str, Callable[[Cut, Mapping[str, Any]], Prediction]]:
    return {
        TWIN: _by_twins,
        "last session": _last_session,
        "random walk": _random_walk,
        "static GLM": _static,
        "population mean": partial(_population, population),
        "pooled REINFORCE": _pooled,
    }


def _scored(name: str, cut: Cut, said: Prediction) -> Scored:
    rng = np.random.default_rng([cut.seed, cut.trial])
    done = cut.known.sessions
    accuracy = easy_performances(summarise_rollout(cut.later.rollout))[done : done + cut.sessions]
    there = np.isfinite(accuracy)
    ensemble = _filled(said.accuracy[:, : len(accuracy)][:, there])
    place = None
    if said.days is not None and cut.known.rollout.of_session["status"].max() < UNTIL:
        status = cut.later.rollout.of_session["status"][done : done + cut.sessions]
        came = float(sessions_to_status(status, [0, len(status)], UNTIL)[0])
        place = censored_pit(said.days, came, len(status), rng)
    fan = np.nanquantile(said.accuracy, QUANTILES, axis=0)
    scores, places = crps(ensemble, accuracy[there]), pit(ensemble, accuracy[there], rng)
    return Scored(name, cut.trial, scores, places[: len(places) * (len(ensemble) > 1)], said.log_p, place, fan)


def _filled(ensemble: np.ndarray) -> np.ndarray:
    """Futures (S, H) without gaps: one that has no easy trials in a session is taken for the median of the others."""
    return np.where(np.isfinite(ensemble), ensemble, np.nanmedian(ensemble, axis=0))


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


def summary_of(scored: list[Scored]) -> dict[str, dict[str, Any]]:
    """Scores of every forecaster over its cuts, for results.json; log scores are per choice, `pit` counts in PIT_BINS bins."""
    out: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(one.forecaster for one in scored):
        own = [one for one in scored if one.forecaster == name]
        log_p, places = (np.concatenate([getattr(one, key) for one in own]) for key in ("log_p", "places"))
        days = np.array([one.days_place for one in own if one.days_place is not None])
        out[name] = {
            "crps": float(np.concatenate([one.crps for one in own]).mean()),
            "log_score": float(log_p.mean()),
            "sessions": sum(len(one.crps) for one in own),
            "choices": len(log_p),
            **(
                {"pit": pit_counts(places)} | {f"covered{100 * b:.0f}": covered(places, b) for b in BANDS}
                if len(places)
                else {}
            ),
            **({"days_covered80": covered(days, BANDS[-1]), "days_pit": pit_counts(days)} if len(days) else {}),
        }
    return out
