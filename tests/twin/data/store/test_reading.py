"""HDF5 files of rollouts: what they give back, and what their hash sees."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from twin.data.files import Locked
from twin.data.rollout import COLUMNS, SESSION_COLUMNS, Rollout
from twin.data.store import content_hash, describe, is_rollout, read_rollout, verify, write_rollout


def test_file_gives_back_what_was_written(small, tmp_path):
    _, rollout, _ = small
    write_rollout(rollout, tmp_path / "r.h5", "kind = 'cohort'")
    back = read_rollout(tmp_path / "r.h5")
    for name in COLUMNS:
        assert back.columns[name].dtype == np.dtype(COLUMNS[name][0])
        assert (back.columns[name] == rollout.columns[name]).all()
    for name in ("weights", "theta", "keys", "starts"):
        assert (getattr(back, name) == getattr(rollout, name)).all()
    assert (back.ids, back.features, back.theta_names) == (rollout.ids, rollout.features, rollout.theta_names)
    assert back.origin == rollout.origin
    assert verify(tmp_path / "r.h5") == content_hash(rollout) == content_hash(back)
    assert describe(tmp_path / "r.h5")["trials"] == len(rollout)
    assert not list(tmp_path.glob("*.tmp"))


def changed(rollout: Rollout, what: str) -> Rollout:
    """The rollout with one thing of what a file gives back made different."""
    if what in COLUMNS:
        return dataclasses.replace(rollout, columns={**rollout.columns, what: another_possible(what, rollout.columns[what])})
    if what in SESSION_COLUMNS:
        return dataclasses.replace(rollout, of_session={**rollout.of_session, what: one_changed(rollout.of_session[what])})
    value = getattr(rollout, what)
    if isinstance(value, np.ndarray):
        return dataclasses.replace(rollout, **{what: one_changed(value)})
    other = (*value[:-1], "contrast" if what == "features" else "x") if isinstance(value, tuple) else {**value, "seed": 77}
    return dataclasses.replace(rollout, **{what: other})


def one_changed(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[1] = ~values[1] if values.dtype == bool else values[1] + 1
    return values


OTHERS = {
    "side": lambda side: -side,
    "choice": lambda choice: 1 - abs(choice),
    "reward": lambda reward: 1 - reward,
    **dict.fromkeys(("contrast", "probability_left", "p_right"), lambda number: number / 2 + 0.125),
}


def another_possible(name: str, values: np.ndarray) -> np.ndarray:
    """A column with other values that it may have."""
    if name == "session":
        return values + 1
    if name not in OTHERS:
        return one_changed(values)
    values = values.copy()
    values[1] = OTHERS[name](values[1])
    return values


READ_BACK = [*COLUMNS, *SESSION_COLUMNS, "weights", "features", "theta", "theta_names", "keys", "ids", "starts", "origin"]


@pytest.mark.parametrize("what", READ_BACK)
def test_hash_sees_every_change(what, complete, tmp_path):
    """Of all that is read back: the file of the other trials with the hash of these does not pass."""
    other = changed(complete, what)
    assert content_hash(other) != content_hash(complete)
    write_rollout(other, tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r+") as file:
        file.attrs["content_hash"] = content_hash(complete)
    moved = "session of mouse .* falls from 1 to 0|" if what == "starts" else ""  # a trial cannot become another mouse's
    with pytest.raises(ValueError, match=rf"r\.h5: ({moved}the content is not what was written)"):
        verify(tmp_path / "r.h5")


def test_nothing_of_a_rollout_escapes_the_hash():
    names = {f.name for f in dataclasses.fields(Rollout)} - {"columns", "of_session"}
    assert names <= {*READ_BACK}


def test_file_of_an_older_version_says_what_to_do(small, tmp_path):
    write_rollout(small[1], tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r+") as file:
        file.attrs["format_version"] = 1
    with pytest.raises(ValueError, match=r"r\.h5: format version 1; .* reads 2; make the file again with `twin run` or"):
        read_rollout(tmp_path / "r.h5")


def test_changed_file_is_found_out(small, tmp_path):
    write_rollout(small[1], tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r+") as file:
        file["trials/choice"][3] = 1 - file["trials/choice"][3]
    with pytest.raises(ValueError, match=r"r.h5: the content is not what was written"):
        verify(tmp_path / "r.h5")


def test_truncated_unfinished_foreign_and_missing_files(small, tmp_path):
    whole = tmp_path / "r.h5"
    write_rollout(small[1], whole)
    cut = tmp_path / "cut.h5"
    cut.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"cut\.h5: not a readable HDF5 file, or cut short"):
        read_rollout(cut)
    with h5py.File(whole, "r+") as file:
        file.attrs["complete"] = False
    with pytest.raises(ValueError, match="never finished"):
        read_rollout(whole)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["format"] = "something else"
    with pytest.raises(ValueError, match="not a behavioral-twin rollout"):
        read_rollout(tmp_path / "other.h5")
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_rollout(tmp_path / "none.h5")


def test_failed_write_leaves_the_old_file(small, tmp_path):
    path = tmp_path / "r.h5"
    write_rollout(small[1], path)
    before = path.read_bytes()
    broken = dataclasses.replace(small[1], origin={"seed": object()})
    with pytest.raises(TypeError):
        write_rollout(broken, path)
    assert path.read_bytes() == before


def stored_bytes(path) -> dict[str, tuple[int, int]]:
    """Where in the file each dataset and each text of an attribute is: first byte, and how many."""
    places, content = {}, path.read_bytes()
    with h5py.File(path, "r") as opened:
        owners = [opened]
        opened.visititems(lambda _, item: owners.append(item))
        for item in owners:
            for name, text in item.attrs.items():
                if np.asarray(text).dtype.kind == "S":
                    places[f"{item.name}@{name}"] = content.index(np.asarray(text).tobytes()), np.asarray(text).nbytes
            if isinstance(item, h5py.Dataset):
                chunk = item.id.get_chunk_info(0) if item.chunks else None
                where = (chunk.byte_offset, chunk.size) if chunk else (item.id.get_offset(), item.id.get_storage_size())
                places[item.name] = where
    return places


def test_single_flipped_bits_are_found_wherever_they_are(file):
    whole, places, draw = file.read_bytes(), stored_bytes(file), np.random.default_rng(1)
    assert {"/@origin", "/@scenario", "/@versions", "/mice/theta@names", "/trials/weights@features", "/mice/id"} <= {*places}
    assert {"/trials/choice", "/mice/theta", "/mice/key", "/sessions/status", "/sessions/water_ul"} <= {*places}
    for name, (first, size) in places.items():
        for at in {first, first + size - 1, first + int(draw.integers(size))}:
            content = bytearray(whole)
            content[at] ^= 1 << int(draw.integers(8))
            file.write_bytes(content)
            with pytest.raises(ValueError, match=r"r\.h5: "):
                print(name, at, verify(file))


LOCKING = "import h5py, sys; file = h5py.File(sys.argv[1], 'r+'); print('open', flush=True); sys.stdin.read()"


def test_file_that_another_program_holds_is_locked_not_corrupt(file):
    before = file.read_bytes()
    with subprocess.Popen([sys.executable, "-c", LOCKING, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"open\n"
        assert is_rollout(file)
        for act in (read_rollout, describe, verify):
            with pytest.raises(Locked, match=rf"^{file}: locked by another program .* Close it there") as caught:
                act(file)
            assert "\n" not in str(caught.value) and "cut short" not in str(caught.value)
        holder.communicate()
    assert file.read_bytes() == before
    verify(file)


def test_file_that_may_not_be_read_is_said_so(file, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may be run by root, who may read anything
    with pytest.raises(PermissionError, match=rf"^{file}: you may not read it"):
        read_rollout(file)
