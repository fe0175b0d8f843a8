"""A run killed once at the moment its first shard is there, and one in its midst; `tests/kill.py` does it at random moments."""

from __future__ import annotations

import subprocess
import time

import kill
import pytest


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_killed_run_goes_on_to_the_same_bytes(engine, tmp_path):
    scenario, out = tmp_path / "killed.toml", tmp_path / "out"
    scenario.write_text(kill.SCENARIO.format(kind="cohort", trials=5_000))
    run = subprocess.Popen(kill.command(scenario, out, engine), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while run.poll() is None and not list((out / "rollouts").glob("mice-*.h5")):
        time.sleep(0.005)
    run.kill()
    run.wait()
    before = kill.finished(out)
    assert before
    for folder in (out, tmp_path / "whole"):
        subprocess.run(kill.command(scenario, folder, "serial"), check=True, stdout=subprocess.DEVNULL)
    assert {name: kill.finished(out)[name] for name in before} == before
    assert kill.content(out) == kill.content(tmp_path / "whole")
    assert not list(out.rglob("*.tmp"))
