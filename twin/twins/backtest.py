"""Forecasts made at earlier points of a record, and scored on what followed, beside simple ones (`forecasters`).

Choices are scored by the log-probability of each given those before it; the accuracy of sessions to come by the CRPS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from twin.data.rollout import Rollout
from twin.evaluation.ensembles import BANDS, censored_pit, covered, crps, pit, pit_counts
from twin.evaluation.session_summary import easy_performances, summarise_rollout
from twin.evaluation.status import sessions_to_status
from twin.inference.closed_form.rule_fit import RuleFit
from twin.twins.forecasters import UNTIL, Cut, Prediction, forecasters
from twin.twins.futures import QUANTILES, Futures
from twin.twins.model import TwinModel
from twin.twins.record import RecordedMouse


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
    return [_scored(name, cut, say(cut, how)) for name, say in forecasters(population).items()]


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
