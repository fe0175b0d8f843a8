"""Files are whole or not there, and what cannot be written or read is one sentence of its file."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from twin.cli import main
from twin.data.files import DiskFull, _limits_of_groups, remove_partial, replace_file, said_of, told, written_whole


def full(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content[:2])
    raise OSError(errno.ENOSPC, "No space left on device")


def test_file_is_replaced_whole_in_a_folder_that_may_be_new(tmp_path):
    replace_file(str(tmp_path / "new" / "a"), b"one")
    replace_file(tmp_path / "new" / "a", b"two")
    assert (tmp_path / "new" / "a").read_bytes() == b"two"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a"]


def test_full_disk_keeps_the_old_file_and_says_what_is_needed(tmp_path, monkeypatch):
    replace_file(tmp_path / "a", b"old")
    monkeypatch.setattr(Path, "write_bytes", full)
    expected = rf"^{tmp_path / 'a'}: no space left for this file, which needs 2 MB \(.* free on its disk"
    with pytest.raises(DiskFull, match=expected):
        replace_file(tmp_path / "a", b"x" * 2_000_000)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


def test_whatever_goes_wrong_leaves_nothing(tmp_path):
    def interrupted():
        with written_whole(tmp_path / "a") as partial:
            partial.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())


def test_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=rf"^{tmp_path / 'file'}.*: (Not a directory|File exists); give a path"):
        replace_file(tmp_path / "file" / "a", b"")
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError, match=rf"^{tmp_path / 'a'}: Is a directory"):
        replace_file(tmp_path / "a", b"")


def test_sentence_is_said_once(tmp_path):
    with pytest.raises(DiskFull, match=r"^b: no space left") as caught, said_of("a"), said_of("b"):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")
    assert told(caught.value) == str(caught.value)
    assert told(OSError(errno.EIO, "Input/output error", "c")) == "c: Input/output error"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a"), 1),
        (DiskFull("a: no space left"), 1),
        (PermissionError(errno.EACCES, "Permission denied", "a"), 2),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a"), 2),
    ],
)
def test_command_line_says_it_in_one_sentence(error, status, monkeypatch, capsys):
    def fails(path):
        raise error

    monkeypatch.setattr("twin.data.store.describe", fails)
    assert main(["info", "a"]) == status
    said = capsys.readouterr().err
    assert said.startswith("twin: a: ") and said.count("\n") == 1 and "Traceback" not in said


@pytest.mark.parametrize(
    ("listed", "files", "limits"),
    [
        ("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": "5000"}, [5000]),
        ("0::/", {"memory.max": "7000"}, [7000]),
        ("3:memory:/a\n1:cpu:/b", {"memory/a/memory.limit_in_bytes": "300", "b/memory.max": "1"}, [300]),
        ("nothing of the kind", {}, []),
    ],
)
def test_limits_of_containers_are_those_of_all_groups_above(listed, files, limits, tmp_path):
    (tmp_path / "cgroup").write_text(listed)
    for name, text in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(text)
    assert _limits_of_groups(tmp_path / "cgroup", tmp_path / "fs") == limits


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path):
    kept = [tmp_path / "a.tmp", tmp_path / "b.h5", tmp_path / "c.0123.tmp"]
    for path in [*kept, tmp_path / "b.h5.0123abcd.tmp"]:
        path.write_text("")
    remove_partial(tmp_path)
    assert sorted(tmp_path.iterdir()) == kept
