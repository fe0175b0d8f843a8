"""What a run will take of disk, memory and time, measured by a few of its mice: what `--dry-run` says."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from twin.data.files import memory_of_machine
from twin.data.store import write_rollout
from twin.simulation.loops import bytes_per_trial
from twin.studies.cohort import CohortStudy
from twin.studies.study import Options, Study

PROBED_TRIALS = 50_000  # simulated and written to measure by
PROGRAM = 400_000_000  # bytes of memory of an interpreter with all that is imported and compiled: measured
COPIES = 3  # of its trials that a worker holds while it simulates, joins and writes a shard: measured
BYTES_PER_SESSION = 900  # of what is counted for the results: three arrays of 3 x 9 counts and a few numbers


class Plan(NamedTuple):
    """What a cohort takes."""

    mice: int
    trials: float
    shards: int
    disk: float  # bytes
    worker: float  # bytes of memory of each worker
    results: float  # bytes of memory for the results
    seconds: float  # of one worker


def plan(study: CohortStudy) -> Plan:
    """What a study will take, measured by simulating and writing its first mice."""
    mice = study.cohort.mice
    some = range(min(mice, max(1, PROBED_TRIALS // study.expected_trials)))
    study.simulate(range(1))  # compiles what is not yet
    with tempfile.TemporaryDirectory() as folder:
        path, started = Path(folder) / "probe.h5", time.perf_counter()
        rollout = study.simulate(some)
        write_rollout(rollout, path)
        seconds, size = time.perf_counter() - started, path.stat().st_size
    scale = mice / len(some)
    shards = study.shard_mice
    row, trials = bytes_per_trial(len(study.cohort.features)), len(rollout) * scale
    return Plan(
        mice=mice,
        trials=trials,
        shards=len(shards),
        disk=size * scale,
        worker=PROGRAM + COPIES * row * trials / mice * len(shards[0]),
        results=PROGRAM + BYTES_PER_SESSION * len(rollout.sessions.start) * scale,
        seconds=seconds * scale,
    )


def plan_lines(study: Study, out: Path, options: Options) -> list[str]:
    """What a study will take, and what there is, for people to read; nothing for kinds that are not simulated cohorts."""
    if not isinstance(study, CohortStudy):
        return []
    found = plan(study)
    there = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    workers = 1 if options.engine == "serial" else options.workers
    free, memory = shutil.disk_usage(there).free, memory_of_machine()
    return [
        f"{found.mice:,} mice, {found.trials:,.0f} trials, {found.shards} shards of {found.mice / found.shards:,.0f} mice",
        f"disk: {_size(found.disk)}, of {_size(free)} free at {there}",
        f"memory: {_size(found.worker)} for each of {workers} workers, {_size(found.results)} for results; of {_size(memory)}",
        f"time: {_duration(found.seconds / workers)} to simulate and write with {workers} workers, judged by the first mice",
    ]


def _size(size: float) -> str:
    return f"{size / 1e9:,.2f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"


def _duration(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} hours"
        if seconds >= 3600
        else f"{seconds / 60:.1f} minutes"
        if seconds >= 60
        else f"{seconds:.0f} s"
    )
