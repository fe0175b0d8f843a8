"""Run folders that one process holds at a time."""

from __future__ import annotations

import os

import pytest

from twin.data.files import Locked
from twin.studies.lock import LOCK, Part, locked


def test_second_run_is_told_who_is_there(tmp_path):
    message = f"{tmp_path}: in use by another run \\(process {os.getpid()} on "
    with locked(tmp_path), pytest.raises(Locked, match=message), locked(tmp_path):
        pass
    with locked(tmp_path):  # it ended
        pass


def test_parts_go_together_each_once_and_not_with_a_whole_run(tmp_path):
    with locked(tmp_path, Part(0, 2)), locked(tmp_path, Part(1, 2)):
        for other in (None, Part(1, 2)):
            with pytest.raises(Locked), locked(tmp_path, other):
                pass
    with locked(tmp_path):
        pass


def test_lock_is_a_file_that_stays(tmp_path):
    with locked(tmp_path / "new" / "folder"):
        assert (tmp_path / "new" / "folder" / LOCK).read_text().startswith(f"process {os.getpid()} on ")


def test_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=str(tmp_path / "file")), locked(tmp_path / "file" / "run"):
        pass
