"""Training a cohort under one design, mice in small groups, of whose sessions only the sums are kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from agents.rules import Rule
from envs.protocols import Protocol
from twin.cohort import Cohort
from twin.evaluation.designs import DesignSessions
from twin.evaluation.status import Status
from twin.simulation.loops import compile_fused
from twin.simulation.until import mice_offsets, simulate_until

MICE_PER_JOB = 25  # simulated together; their trials are dropped once their sessions are summed up


def train_design(
    cohort: Cohort,
    protocol: Protocol,
    *,
    until: Status | str,
    horizon: int,
    seed: int = 1,
    workers: int = 2,
    progress: bool = False,
    name: str = "",
) -> DesignSessions:
    """Train a cohort under one design; mice are worked through in small groups, so no more than those are in memory."""

    def run(mice: range) -> DesignSessions:
        rollout = simulate_until(cohort, protocol, until=until, horizon=horizon, seed=seed, mice=mice, workers=1)
        totals, lengths = rollout.session_totals(), rollout.sessions.stop - rollout.sessions.start
        status = rollout.of_session["status"]
        return DesignSessions(mice_offsets(rollout), lengths, status, totals["water_ul"], totals["duration_s"])

    if isinstance(cohort.learning_rule, Rule):
        compile_fused(cohort.learning_rule)  # before the threads do, each for itself
    groups = [range(m, min(m + MICE_PER_JOB, cohort.mice)) for m in range(0, cohort.mice, MICE_PER_JOB)]
    with ThreadPoolExecutor(workers) as pool:
        bar = tqdm(pool.map(run, groups), total=len(groups), desc=name, disable=None if progress else True, delay=0.5)
        parts = list(bar)
    counts = np.concatenate([np.diff(part.starts) for part in parts])
    columns = (np.concatenate(column) for column in list(zip(*parts, strict=True))[1:])
    return DesignSessions(np.concatenate([[0], np.cumsum(counts)]), *columns)
