"""Simulating a cohort for its statistics: mice in small groups, of whose trials only each mouse's numbers are kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from envs.protocols import Protocol, ProtocolLike, find_protocol
from twin.cohort import Cohort
from twin.engine import Engine, map_jobs
from twin.evaluation.statistics.mice import HORIZON, MouseNumbers, describe_mice, join_mice
from twin.evaluation.status import Status
from twin.simulation.loops import compile_fused
from twin.simulation.until import Phase, simulate_until

MICE_PER_JOB = 25  # simulated together


def simulate_mice(
    cohort: Cohort,
    protocol: ProtocolLike = "ibl-2019",
    *,
    horizon: int = HORIZON,
    biased: ProtocolLike = "biased",
    biased_sessions: int = 3,
    seed: int = 1,
    engine: Engine = "threads",
    workers: int = 2,
    progress: str = "",
) -> MouseNumbers:
    """The numbers of every mouse of a cohort: trained until proficient, or to the horizon, then some biased sessions.

    As many mice as the cohort has; mouse m's depend on seed and m alone. `progress` is the title of a bar, none without.
    """
    if cohort.known_rule.closed_form is not None:
        compile_fused(cohort.learning_rule)  # once, before the threads do, each for itself
    then = (Phase(find_protocol(biased), Status.READY4EPHYSRIG, biased_sessions),) if biased_sessions else ()
    groups = [range(m, min(m + MICE_PER_JOB, cohort.mice)) for m in range(0, cohort.mice, MICE_PER_JOB)]
    job = partial(_numbers, cohort, find_protocol(protocol), horizon, then, seed)
    return join_mice(map_jobs(job, groups, engine=engine, workers=workers, progress=progress))


def _numbers(cohort: Cohort, protocol: Protocol, horizon: int, then: Sequence[Phase], seed: int, mice: range) -> MouseNumbers:
    rollout = simulate_until(
        cohort, protocol, until=Status.TRAINED_1A, horizon=horizon, then=then, seed=seed, mice=mice, engine="serial"
    )
    return describe_mice(rollout, horizon)
