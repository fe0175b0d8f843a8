"""Runs killed at random moments go on to the bytes of a run that nobody interrupted, and no finished shard is made twice.

    PYTHONPATH=tests python tests/kill.py --engine serial --times 20       (or processes, dask)

Only the process that was started is killed, with SIGKILL; its workers have to end by themselves.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCENARIO = """
kind = "{kind}"
name = "killed"
[cohort]
mice = 24
parameters.rate = {{ distribution = "lognormal", median = 0.06, sigma = 0.3 }}
[protocol]
base = "ibl-documented"
[run]
trials = {trials}
mice_per_shard = 3
"""
SHARDS = 8


def command(scenario: Path, out: Path, engine: str) -> list[str]:
    """The run of a scenario."""
    return [sys.executable, "-m", "twin", "run", str(scenario), "--out", str(out), "--engine", engine, "--workers", "2"]


def content(out: Path) -> dict[str, object]:
    """What a run left, without what tells of time."""
    files: dict[str, object] = {str(path.relative_to(out)): path.read_bytes() for path in sorted((out / "rollouts").iterdir())}
    results = json.loads((out / "results.json").read_text())
    return files | {"results": {key: value for key, value in results.items() if key != "seconds"}}


def finished(out: Path) -> dict[str, tuple[int, int]]:
    """Shards that are there: name -> inode and time, which a shard that is made again does not keep."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (out / "rollouts").glob("mice-*.h5")}


def killed(arguments: list[str], out: Path, shards: int, seconds: float) -> bool:
    """Start a run and kill it so many seconds after it has so many shards; was it still running?"""
    run = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while run.poll() is None and len(finished(out)) < shards:
        time.sleep(0.002)
    try:
        run.wait(seconds)
    except subprocess.TimeoutExpired:
        run.send_signal(signal.SIGKILL)
        run.wait()
        return True
    return False


def check(engine: str, times: int, seed: int, trials: int, folder: Path) -> None:
    """Kill and go on, so many times. Raises AssertionError if anything differs or was lost."""
    scenario, chance = folder / "killed.toml", random.Random(seed)
    scenario.write_text(SCENARIO.format(kind="cohort", trials=trials))
    started = time.perf_counter()
    subprocess.run(command(scenario, folder / "whole", engine), check=True, stdout=subprocess.DEVNULL)
    lasts, expected = time.perf_counter() - started, content(folder / "whole")
    for number in range(times):
        out = folder / f"run-{number}"
        if number % 2:  # any moment of the run, or one while shards are made
            shards, moment = 0, chance.uniform(0, lasts)
        else:
            shards, moment = chance.randrange(1, SHARDS), chance.uniform(0, 0.3)
        was_running = killed(command(scenario, out, engine), out, shards, moment)
        before = finished(out)
        subprocess.run(command(scenario, out, engine), check=True, stdout=subprocess.DEVNULL)
        kept = sum(finished(out)[name] == at for name, at in before.items())
        assert kept == len(before), f"{len(before) - kept} finished shards were made again"
        assert content(out) == expected, f"{out}: not what an uninterrupted run leaves"
        assert not list(out.rglob("*.tmp")), f"{out}: half a file was left"
        how = f"killed {moment:.2f} s after shard {shards}" if was_running else "done before it was killed"
        print(f"{engine} {number}: {how}, {len(before)} shards kept, the same bytes", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="serial")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        check(given.engine, given.times, given.seed, given.trials, Path(place))
