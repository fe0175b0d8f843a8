"""HDF5 files of rollouts: what they give back, and what their hash sees."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np
import pytest

from twin.data.rollout import COLUMNS, SESSION_COLUMNS, Rollout
from twin.data.store import content_hash, describe, read_rollout, verify, write_rollout


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
        return dataclasses.replace(rollout, columns={**rollout.columns, what: one_changed(rollout.columns[what])})
    if what in SESSION_COLUMNS:
        return dataclasses.replace(rollout, of_session={**rollout.of_session, what: one_changed(rollout.of_session[what])})
    value = getattr(rollout, what)
    if isinstance(value, np.ndarray):
        return dataclasses.replace(rollout, **{what: one_changed(value)})
    other = (*value[:-1], value[-1] + "x") if isinstance(value, tuple) else {**value, "seed": 77}
    return dataclasses.replace(rollout, **{what: other})


def one_changed(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[1] = ~values[1] if values.dtype == bool else values[1] + 1
    return values


@pytest.fixture(scope="module")
def complete(small):
    """A rollout that has everything a file can hold."""
    sessions = len(small[1].sessions.start)
    return dataclasses.replace(small[1], of_session={name: np.zeros(sessions, np.int8) for name in SESSION_COLUMNS})


READ_BACK = [*COLUMNS, *SESSION_COLUMNS, "weights", "features", "theta", "theta_names", "keys", "ids", "starts", "origin"]


@pytest.mark.parametrize("what", READ_BACK)
def test_hash_sees_every_change(what, complete, tmp_path):
    """Of all that is read back: the file of the other trials with the hash of these does not pass."""
    other = changed(complete, what)
    assert content_hash(other) != content_hash(complete)
    write_rollout(other, tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r+") as file:
        file.attrs["content_hash"] = content_hash(complete)
    with pytest.raises(ValueError, match="the content is not what was written"):
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
