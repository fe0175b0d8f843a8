"""What a mouse will do: its twins go on, under the protocol they are in or another, and what they do is the forecast."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from envs.protocols import Protocol, ProtocolLike, find_protocol
from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.engine import Engine, map_jobs
from twin.evaluation.designs import DesignOutcome, compare_designs
from twin.evaluation.session_summary import ALL_TRIALS, easy_performances, summarise_rollout
from twin.evaluation.status import Status, sessions_to_status
from twin.evaluation.status_times import with_status_after
from twin.evaluation.targets import TARGETS
from twin.simulation import CohortState, Simulation
from twin.simulation.designs import train_design
from twin.simulation.loops import check_room, compile_fused
from twin.twins.posterior import Twins

TWINS_PER_JOB = 25
CURVE_SESSIONS = 3  # at the end of a forecast, of which the psychometric curve is
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)  # the ends of the 80 and 50 % bands, and the median


class Futures(NamedTuple):
    """What n mice do in H sessions to come."""

    accuracy: np.ndarray  # (n, H) fraction correct on easy trials, NaN without any
    trials: np.ndarray  # (n, H)
    status: np.ndarray  # (n, H) at the end of the session
    levels: np.ndarray  # (L,) signed contrasts, percent
    right: np.ndarray  # (n, L) right choices in the last CURVE_SESSIONS sessions
    choices: np.ndarray  # (n, L) choices there

    def days_to(self, status: Status) -> np.ndarray:
        """Sessions until each has a status, (n,), NaN where it is not reached."""
        n, h = self.status.shape
        return sessions_to_status(self.status.ravel(), np.arange(n + 1) * h, status)


def go_on(
    twins: Twins,
    sessions: int,
    protocol: ProtocolLike | None = None,
    *,
    engine: Engine = "threads",
    workers: int = 2,
    progress: bool = False,
) -> Futures:
    """The next sessions of the twins of a mouse, under the protocol it is in or another."""
    to = twins.mouse.protocol if protocol is None else find_protocol(protocol)
    return futures(
        twins.cohort, to, twins.morning(to), sessions, twins.mouse.rollout, engine=engine, workers=workers, progress=progress
    )


def futures(
    cohort: Cohort,
    protocol: Protocol,
    start: CohortState,
    sessions: int,
    before: Rollout,
    *,
    engine: Engine = "threads",
    workers: int = 2,
    progress: bool = False,
) -> Futures:
    """The next sessions of mice that begin as `start` says, and go on from the record `before` of one mouse."""
    check_room(f"sessions = {sessions}", min(start.mice, workers * TWINS_PER_JOB), 1_000 * sessions, len(cohort.features))
    if cohort.known_rule.closed_form is not None:
        compile_fused(cohort.learning_rule)  # once, before the threads do, each for itself
    groups = [start.take(np.arange(start.mice)[i : i + TWINS_PER_JOB]) for i in range(0, start.mice, TWINS_PER_JOB)]
    job = partial(_futures, cohort, protocol, sessions, before)
    parts = map_jobs(job, groups, engine=engine, workers=workers, progress="forecast" if progress else "")
    return _joined(parts)


def _futures(cohort: Cohort, protocol: Protocol, sessions: int, before: Rollout, start: CohortState) -> Futures:
    run = Simulation(cohort, protocol, state=start, engine="serial")
    run.train(run.sessions + sessions)
    rollout = with_status_after(run.rollout(), before)
    summary, shape = summarise_rollout(rollout), (start.mice, sessions)
    late = slice(max(0, sessions - CURVE_SESSIONS), None)

    def curve(counts: np.ndarray) -> np.ndarray:
        return np.asarray(counts[:, ALL_TRIALS].reshape(*shape, -1)[:, late].sum(axis=1))

    return Futures(
        easy_performances(summary).reshape(shape),
        summary.n_trials.reshape(shape),
        rollout.of_session["status"].reshape(shape),
        summary.levels,
        curve(summary.right),
        curve(summary.right + summary.left),
    )


def _joined(parts: list[Futures]) -> Futures:
    """All parts together; they may have met different contrasts."""
    levels = np.unique(np.concatenate([part.levels for part in parts]))

    def on_all(part: Futures, counts: np.ndarray) -> np.ndarray:
        out = np.zeros((len(counts), len(levels)), np.int64)
        out[:, np.searchsorted(levels, part.levels)] = counts
        return out

    columns = (np.concatenate([getattr(part, name) for part in parts]) for name in ("accuracy", "trials", "status"))
    curves = (np.concatenate([on_all(part, getattr(part, name)) for part in parts]) for name in ("right", "choices"))
    return Futures(*(*columns, levels, *curves))


def describe(found: Futures, reached: Status) -> dict[str, Any]:
    """A forecast for results.json; `reached` is the status of the mouse now.

    Of every session QUANTILES of accuracy and trials; of P(right) those at contrasts that most twins met, since the few that
    meet one which others do not are not like them. For every status that the mouse has not: the fraction of twins that have it
    by each session, and quantiles of the sessions it takes (None beyond the horizon).
    """
    with np.errstate(invalid="ignore"):
        p_right = np.where(found.choices > 0, found.right / np.maximum(found.choices, 1), np.nan)
    met = np.isfinite(p_right).mean(axis=0) >= 0.5
    return {
        "quantiles": list(QUANTILES),
        "accuracy": _quantiles(found.accuracy),
        "trials": _quantiles(found.trials.astype(float)),
        "psychometric": {"levels": found.levels[met].tolist(), "p_right": _quantiles(p_right[:, met])},
        "statuses": {s.label: _arrival(found, s) for s in TARGETS if s > reached and (found.status >= s).any()},
    }


def _quantiles(values: np.ndarray) -> list[list[float | None]]:
    """QUANTILES (Q, H) over twins of values (n, H), None where no twin has one."""
    known = np.isfinite(values).any(axis=0)
    out = np.full((len(QUANTILES), values.shape[1]), np.nan)
    out[:, known] = np.nanquantile(values[:, known], QUANTILES, axis=0)
    return [[value if np.isfinite(value) else None for value in row] for row in out.tolist()]


def _arrival(found: Futures, status: Status) -> dict[str, Any]:
    days = found.days_to(status)
    by = (found.status >= status).mean(axis=0)
    at = np.quantile(np.where(np.isfinite(days), days, np.inf), QUANTILES, method="inverted_cdf")
    return {"by_session": by.tolist(), "sessions": [float(value) if np.isfinite(value) else None for value in at]}


def compare_on_twins(
    twins: Twins,
    designs: Mapping[str, Protocol],
    until: str,
    horizon: int,
    seed: int = 1,
    *,
    engine: Engine = "threads",
    workers: int = 2,
    progress: bool = False,
) -> tuple[dict[str, DesignOutcome], dict[str, Any]]:
    """Every design on the same twins with common random numbers: the outcomes, and what `compare_designs` makes of them.

    Intervals are over twins: of what is expected of this mouse, given what its record leaves open.
    """
    how: dict[str, Any] = {"engine": engine, "workers": workers, "progress": progress}
    outcomes = {}
    for name, design in designs.items():
        start = twins.morning(design)
        days = train_design(
            twins.cohort, design, until=until, horizon=horizon, start=start, before=twins.mouse.rollout, name=name, **how
        )
        outcomes[name] = DesignOutcome.of(days, until)
    return outcomes, compare_designs(outcomes, horizon, seed)
