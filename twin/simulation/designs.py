"""Training a cohort under one design, mice in small groups, of whose sessions only the sums are kept."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from envs.protocols import Protocol, ProtocolLike, find_protocol
from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.engine import Engine, map_jobs
from twin.evaluation.designs import DesignSessions
from twin.evaluation.status import Status
from twin.evaluation.status_times import mice_offsets
from twin.simulation.loops import check_room, compile_fused
from twin.simulation.state import CohortState
from twin.simulation.until import simulate_until

MICE_PER_JOB = 25  # simulated together; their trials are dropped once their sessions are summed up


def train_design(
    cohort: Cohort,
    protocol: ProtocolLike,
    *,
    until: Status | str,
    horizon: int,
    seed: int = 1,
    start: CohortState | None = None,
    before: Rollout | None = None,
    engine: Engine = "threads",
    workers: int = 2,
    progress: bool = False,
    name: str = "",
) -> DesignSessions:
    """Train a cohort under one design; mice are worked through in small groups, so no more than those are in memory.

    Naive mice, or those of the state `start`, which go on from the record `before`, as `simulate_until` has it.
    """
    mice = cohort.mice if start is None else start.mice
    check_room(f"horizon = {horizon}", mice, 1, len(cohort.features))  # of a mouse that is done, little is kept
    if cohort.known_rule.closed_form is not None:
        compile_fused(cohort.learning_rule)  # once, before the threads do, each for itself
    groups = [range(m, min(m + MICE_PER_JOB, mice)) for m in range(0, mice, MICE_PER_JOB)]
    job = partial(_train_mice, cohort, find_protocol(protocol), until, horizon, seed, start, before)
    title = (name or "train") if progress else ""
    parts = map_jobs(job, groups, engine=engine, workers=workers, progress=title)
    counts = np.concatenate([np.diff(part.starts) for part in parts])
    starts = np.concatenate([[0], np.cumsum(counts)])
    columns = (np.concatenate(column) for column in list(zip(*parts, strict=True))[1:])
    return DesignSessions(starts, *columns)


def _train_mice(
    cohort: Cohort,
    protocol: Protocol,
    until: Status | str,
    horizon: int,
    seed: int,
    start: CohortState | None,
    before: Rollout | None,
    mice: range,
) -> DesignSessions:
    """What is kept of the training of some mice."""
    who: dict[str, Any] = {"mice": mice} if start is None else {"start": start.take(np.array(mice)), "before": before}
    rollout = simulate_until(cohort, protocol, until=until, horizon=horizon, seed=seed, engine="serial", **who)
    totals = rollout.session_totals()
    lengths = rollout.sessions.stop - rollout.sessions.start
    return DesignSessions(
        mice_offsets(rollout), lengths, rollout.of_session["status"], totals["water_ul"], totals["duration_s"]
    )
