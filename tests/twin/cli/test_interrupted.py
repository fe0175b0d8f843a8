"""Runs that another program or a full disk gets in the way of."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from twin.cli import main

LOCKING = "import h5py, sys; file = h5py.File(sys.argv[1], 'r+'); print('open', flush=True); sys.stdin.read()"


def test_rollouts_that_another_program_holds_are_locked_and_kept(tiny, tmp_path, capsys):
    """Not cut short, and not simulated again."""
    out = tmp_path / "run"
    assert main(["run", str(tiny), "--out", str(out)]) == 0
    file, before, log = out / "rollouts.h5", (out / "rollouts.h5").read_bytes(), (out / "log.txt").read_text()
    capsys.readouterr()
    with subprocess.Popen([sys.executable, "-c", LOCKING, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"open\n"
        for command in (["info", str(file)], ["run", str(tiny), "--out", str(out)]):
            assert main(command) == 1
            said = capsys.readouterr().err
            assert said.startswith(f"twin: {file}: locked by another program") and said.count("\n") == 1
        holder.communicate()
    assert file.read_bytes() == before
    assert (out / "log.txt").read_text() == log
    assert main(["run", str(tiny), "--out", str(out)]) == 0


FULL = """
import resource, sys
from twin.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.exit(main(["run", sys.argv[2], "--out", sys.argv[3]]))
"""


@pytest.mark.parametrize("room", [0, 400, 5_000, 30_000])
def test_disk_that_is_full_at_any_point_is_one_sentence_and_the_run_goes_on_later(room, tiny, tmp_path):
    """At the scenario, the log, the rollouts, the figures."""
    out = tmp_path / "run"
    done = subprocess.run([sys.executable, "-c", FULL, str(room), str(tiny), str(out)], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "%|" not in line]  # but for bars of progress
    assert done.returncode == 1
    assert len(said) == 1 and said[0].startswith(f"twin: {out}") and "no space left for this file" in said[0]
    assert not list(tmp_path.rglob("*.tmp"))
    assert main(["run", str(tiny), "--out", str(out)]) == 0
    assert json.loads((out / "results.json").read_text())["mice"] == 2
