"""Files are written whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from twin.data.store import content_hash, describe, is_rollout, read_rollout, verify, write_rollout

FILLED = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from fuzz.fuzz_hdf5 import whole_file
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    whole_file(Path(sys.argv[2]))
except OSError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("room", [0, 3_000, 12_000])
def test_full_disk_is_one_sentence_and_leaves_nothing(room, tmp_path):
    arguments = [str(Path(__file__).parents[3]), str(tmp_path / "r.h5"), str(room)]
    done = subprocess.run([sys.executable, "-c", FILLED, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"DiskFull {tmp_path / 'r.h5'}: no space left for this file, which needs ")
    assert done.stdout.count("\n") == 1 and not done.stderr
    assert not list(tmp_path.iterdir())


def test_paths_may_be_text(small, tmp_path):
    path = str(tmp_path / "folder" / "r.h5")
    write_rollout(small[1], path)
    assert is_rollout(path)
    assert verify(path) == content_hash(read_rollout(path))
    assert describe(path)["mice"] == 4
