"""Training a cohort under one design, mice in small groups, of whose sessions only the sums are kept."""

from __future__ import annotations

from functools import partial

import numpy as np

from envs.protocols import Protocol, ProtocolLike, find_protocol
from twin.cohort import Cohort
from twin.engine import Engine, map_jobs
from twin.evaluation.designs import DesignSessions
from twin.evaluation.status import Status
from twin.evaluation.status_times import mice_offsets
from twin.simulation.loops import check_room, compile_fused
from twin.simulation.until import simulate_until

MICE_PER_JOB = 25  # simulated together; their trials are dropped once their sessions are summed up


def train_design(
    cohort: Cohort,
    protocol: ProtocolLike,
    *,
    until: Status | str,
    horizon: int,
    seed: int = 1,
    engine: Engine = "threads",
    workers: int = 2,
    progress: bool = False,
    name: str = "",
) -> DesignSessions:
    """Train a cohort under one design; mice are worked through in small groups, so no more than those are in memory."""
    check_room(f"horizon = {horizon}", cohort.mice, 1, len(cohort.features))  # of a mouse that is done, little is kept
    if cohort.known_rule.closed_form is not None:
        compile_fused(cohort.learning_rule)  # once, before the threads do, each for itself
    groups = [range(m, min(m + MICE_PER_JOB, cohort.mice)) for m in range(0, cohort.mice, MICE_PER_JOB)]
    job = partial(_train_mice, cohort, find_protocol(protocol), until, horizon, seed)
    title = (name or "train") if progress else ""
    parts = map_jobs(job, groups, engine=engine, workers=workers, progress=title)
    counts = np.concatenate([np.diff(part.starts) for part in parts])
    starts = np.concatenate([[0], np.cumsum(counts)])
    columns = (np.concatenate(column) for column in list(zip(*parts, strict=True))[1:])
    return DesignSessions(starts, *columns)


def _train_mice(
    cohort: Cohort, protocol: Protocol, until: Status | str, horizon: int, seed: int, mice: range
) -> DesignSessions:
    """What is kept of the training of some mice."""
    rollout = simulate_until(cohort, protocol, until=until, horizon=horizon, seed=seed, mice=mice, engine="serial")
    totals = rollout.session_totals()
    lengths = rollout.sessions.stop - rollout.sessions.start
    return DesignSessions(
        mice_offsets(rollout), lengths, rollout.of_session["status"], totals["water_ul"], totals["duration_s"]
    )
