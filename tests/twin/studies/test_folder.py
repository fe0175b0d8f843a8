"""The run folder: what is there is read, what is not or cannot be read is made."""

from __future__ import annotations

import pytest

from twin.data.files import Locked
from twin.studies.folder import RunFolder


def read(path):
    return int(path.read_text())


def write(value, path):
    path.write_text(str(value))


def test_part_is_made_once_and_again_only_if_it_cannot_be_read(tmp_path):
    folder, made = RunFolder(tmp_path / "run", "x = 1\n"), iter([7, 8])
    assert folder.keep("parts/a", lambda: next(made), read, write) == 7
    assert folder.keep("parts/a", lambda: next(made), read, write) == 7
    (tmp_path / "run/parts/a").write_text("half a n")
    assert folder.keep("parts/a", lambda: next(made), read, write) == 8
    assert read(tmp_path / "run/parts/a") == 8
    log = (tmp_path / "run/log.txt").read_text()
    assert log.count("parts/a: made in") == 2
    assert "parts/a: made again: invalid literal" in log


def test_failure_leaves_what_was_finished(tmp_path):
    folder = RunFolder(tmp_path, "x = 1\n")
    folder.keep("a", lambda: 1, read, write)
    with pytest.raises(ZeroDivisionError):
        folder.keep("b", lambda: 1 // 0, read, write)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "log.txt", "scenario.toml"}


def test_folder_of_another_scenario_is_refused_and_left_alone(tmp_path):
    RunFolder(tmp_path, "x = 1\n")
    RunFolder(tmp_path, "x = 1\n")
    with pytest.raises(ValueError, match="holds the run of another scenario"):
        RunFolder(tmp_path, "x = 2\n")
    assert (tmp_path / "scenario.toml").read_text() == "x = 1\n"


def test_folder_is_gone_on_with_where_the_study_says_so(tmp_path):
    RunFolder(str(tmp_path), "x = 1\n")
    seen = []
    RunFolder(tmp_path, "x = 2\n", lambda before: not seen.append(before.read_text()))
    assert seen == ["x = 1\n"]
    assert (tmp_path / "scenario.toml").read_text() == "x = 2\n"


@pytest.mark.parametrize("error", [Locked("a: locked"), PermissionError("a: you may not read it")])
def test_file_that_cannot_be_read_for_now_is_kept(error, tmp_path):
    folder = RunFolder(tmp_path, "x = 1\n")
    folder.keep("a", lambda: 1, read, write)

    def held(path):
        raise error

    with pytest.raises(type(error), match="a: "):
        folder.keep("a", lambda: 2, held, write)
    assert (tmp_path / "a").read_text() == "1"
