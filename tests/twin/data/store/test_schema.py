"""Files that are not what they say are refused in one sentence, before any of them is read."""

from __future__ import annotations

import os

import h5py
import numpy as np
import pytest
from fuzz import fuzz_hdf5

from twin.data.rollout import COLUMNS
from twin.data.store import read_rollout, verify


def refused(path, message: str) -> None:
    """Reading and verifying a file fail with one sentence that names it."""
    for act in (read_rollout, verify):
        with pytest.raises(ValueError, match=message) as caught:
            act(path)
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


POSSIBLE = [
    ("contrast", 1e30, r"contrast of mouse 'mouse-0000', trial 3: .*e\+30; expected -1 to 1"),
    ("contrast", np.nan, r"contrast of mouse 'mouse-0000', trial 3: nan"),
    ("choice", 2, r"choice of mouse 'mouse-0000', trial 3: 2; expected -1 to 1"),
    ("side", 2, r"side of mouse 'mouse-0000', trial 3: 2; expected -1 to 1"),
    ("reward", 2, r"reward of mouse 'mouse-0000', trial 3: 2; expected -1 to 1"),
    ("probability_left", 20, r"probability_left .*: 20.0; expected 0 to 1"),
    ("p_right", np.nan, r"p_right .*: nan; expected 0 to 1"),
    ("water_ul", np.inf, r"water_ul .*: inf"),
    ("session", 1, r"session of mouse 'mouse-0000' falls from 1 to 0 at trial 4"),
]


@pytest.mark.parametrize(("name", "value", "message"), POSSIBLE)
def test_impossible_value_is_refused_by_mouse_and_trial(name, value, message, file):
    with h5py.File(file, "r+") as opened:
        opened[f"trials/{name}"][3] = value
    refused(file, message)


COMPOUND = np.dtype([("re", "f4"), ("im", "f4")])
OTHER_KINDS = ["complex64", "S3", "float64", COMPOUND, h5py.string_dtype(), h5py.vlen_dtype(np.int8)]


@pytest.mark.parametrize(
    "dtype", ["complex64", "S3", "float64", COMPOUND, h5py.string_dtype(), h5py.vlen_dtype(np.int8)], ids=str
)
def test_column_of_another_kind_is_refused(dtype, file):
    with h5py.File(file, "r+") as opened:
        del opened["trials/choice"]
        opened.create_dataset("trials/choice", shape=(2400,), dtype=dtype)
    refused(file, r"/trials/choice is of the type .*; expected whole numbers")


@pytest.mark.parametrize("shape", [(), (2399,), (2400, 1), (10**12,)], ids=str)
def test_column_of_another_shape_is_refused(shape, file):
    with h5py.File(file, "r+") as opened:
        del opened["trials/choice"]
        opened.create_dataset("trials/choice", shape=shape, dtype="i1")
    refused(file, r"/trials/choice has the shape \(.*\); expected \(2400\)")


@pytest.mark.parametrize("name", ["trials/choice", "mice/theta", "mice/id", "sessions/start", "trials", "mice"])
def test_group_or_dataset_in_place_of_the_other_is_refused(name, file):
    with h5py.File(file, "r+") as opened:
        kind = type(opened[name])
        del opened[name]
        opened.create_group(name) if kind is h5py.Dataset else opened.create_dataset(name, data=1)
    refused(file, rf"/{name} is a (group|dataset); expected a (group|dataset)")


def declared(opened, trials: int, **how) -> None:
    """Let a file declare so many trials of one mouse, of which it stores none."""
    for name in list(opened["trials"]):
        del opened[f"trials/{name}"]
        opened.create_dataset(f"trials/{name}", shape=(trials,), dtype=COLUMNS[name][0] if name in COLUMNS else "f4", **how)
    opened["mice/start"][...] = [0, 0, 0, 0, trials]


def test_more_declared_than_stored_is_refused_before_it_is_allocated(file):
    with h5py.File(file, "r+") as opened:
        declared(opened, 10**12)
    refused(file, r"declares \(1000000000000,\) values, .* of which the file stores 0 bytes")


def test_chunk_that_is_small_on_disk_and_large_in_memory_is_refused(file):
    with h5py.File(file, "r+") as opened:
        declared(opened, 2**28, chunks=(2**28,), compression="gzip")
    refused(file, r"has chunks of \(268435456,\); expected 65536 rows at most")
    with h5py.File(file, "r+") as opened:
        declared(opened, 10**6, chunks=(65536,), compression="gzip")
    refused(file, r"lacks some of its chunks")
    with h5py.File(file, "r+") as opened:
        declared(opened, 2400, chunks=(2400,), compression="lzf")
    refused(file, r"has the filter 32000; expected gzip, shuffle, fletcher32 alone")


@pytest.mark.parametrize("name", ["trials/choice", "trials", "mice/id", "sessions/start"])
def test_links_out_of_the_file_are_not_followed(name, file, tmp_path):
    """A pipe would be waited for, for ever."""
    os.mkfifo(tmp_path / "pipe")
    for link in (h5py.ExternalLink(str(tmp_path / "pipe"), "/x"), h5py.ExternalLink("/dev/zero", "/x"), h5py.SoftLink("/mice")):
        with h5py.File(file, "r+") as opened:
            del opened[name]
            opened[name] = link
        refused(file, rf"/{name} is a link; expected the data themselves")


def test_values_kept_in_other_files_are_refused(file, tmp_path):
    with h5py.File(file, "r+") as opened:
        del opened["trials/choice"]
        opened.create_dataset("trials/choice", (2400,), "i1", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])
    refused(file, "/trials/choice is stored in other files")
    with h5py.File(file, "r+") as opened:
        del opened["trials/choice"]
        layout = h5py.VirtualLayout((2400,), "i1")
        layout[...] = h5py.VirtualSource(tmp_path / "other.h5", "x", (2400,))
        opened.create_virtual_dataset("trials/choice", layout)
    refused(file, "/trials/choice is stored in other files")


def test_pipe_device_and_folder_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path):
        refused(path, "a folder")


WRONG = [
    ("mice/start", [0, 600, 500, 1800, 2400], "where mice start does not rise from 0"),
    ("mice/start", [1, 600, 1200, 1800, 2400], "where mice start does not rise from 0"),
    ("mice/id", ["a", "b", "a", "c"], "the id 'a' is there 2 times"),
    ("sessions/start", 0, "/sessions/start is not what the trials say"),
    ("sessions/mouse", 1, "/sessions/mouse is not what the trials say"),
    ("sessions/status", 9, r"status of mouse 'mouse-0000', session 0: 9; expected -4 to 5"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG)
def test_mice_and_sessions_that_do_not_fit_are_refused(name, value, message, file):
    with h5py.File(file, "r+") as opened:
        opened[name][...] = value
    refused(file, message)


ATTRIBUTES = [
    ("/", "origin", '{"seed": ', r"attribute 'origin' of / is not JSON \("),
    ("/", "origin", "[1]", "attribute 'origin' of / is a list in JSON; expected a table"),
    ("/", "origin", 3, "attribute 'origin' of / is of the type .*; expected a text"),
    ("/", "content_hash", None, "attribute 'content_hash' of / is missing; expected a text"),
    ("mice/theta", "names", "rate", "attribute 'names' of /mice/theta .*; expected a list of texts"),
    ("mice/theta", "names", ["a"], r"theta has the shape \(4, .*\); expected \(4, 1\)"),
    ("trials/weights", "features", ["stimulus", "smell"], "unknown feature 'smell'"),
    ("trials/weights", "features", [b"stimulus", b"\xff"], "attribute 'features' of /trials/weights is not UTF-8 text"),
]


@pytest.mark.parametrize(("owner", "name", "value", "message"), ATTRIBUTES)
def test_attributes_that_do_not_parse_name_the_file(owner, name, value, message, file):
    with h5py.File(file, "r+") as opened:
        if value is None:
            del opened[owner].attrs[name]
        else:
            opened[owner].attrs[name] = value
    with pytest.raises(ValueError, match=rf"^{file}: {message}"):
        verify(file)


def test_damaged_files_are_read_or_refused_in_one_sentence(tmp_path):
    """A few of the cases of `tests/fuzz/fuzz_hdf5.py`."""
    outcomes, wrong = fuzz_hdf5.run(40, 7, tmp_path)
    assert not wrong
    assert outcomes["refused"] > 20
