"""The registry of formats: every one of them, files of none, and one that is added."""

from __future__ import annotations

import h5py
import numpy as np
import pandas
import pytest
import scipy.io
from tables import CASES

from twin.data import formats
from twin.data.rollout import REQUIRED

WRITABLE = [name for name, form in formats.formats().items() if form.write]


@pytest.fixture
def discovered_anew():
    """The registry, to be filled again in the test and after it."""
    formats.formats.cache_clear()
    yield
    formats.formats.cache_clear()


@pytest.mark.parametrize("name", WRITABLE)
def test_a_file_is_of_the_one_format_it_was_written_in(name, small, tmp_path):
    """Also under a name that tells nothing, or another."""
    form = formats.formats()[name]
    for ending in (*form.endings, "", ".txt"):
        path = tmp_path / "folder" / f"mice{ending}"
        formats.write(small[1], path, None if ending in form.endings else name)
        assert [other.name for other in formats.formats().values() if other.detect(path)] == [name]
        back = formats.read(path)
        kept = small[1].choice >= 0 if name == "psytrack" else np.full(len(small[1]), True)  # which knows no other trials
        assert back.ids == small[1].ids and back.simulated
        for column in set(REQUIRED) | (set(form.carries or ()) & small[1].columns.keys()):
            assert np.array_equal(back.columns[column], small[1].columns[column][kept]), column


@pytest.mark.parametrize("name", WRITABLE)
@pytest.mark.parametrize("table", ["few_columns.csv", "reward_unknown_at_zero.csv", "mouse_without_choices.csv"])
def test_what_is_not_known_stays_so_in_every_format(name, table, tmp_path):
    """Rewards, sides and P(left) that nobody told, and mice that never chose, which PsyTrack does not know."""
    first, form = formats.read(CASES / table), formats.formats()[name]
    if name == "psytrack":
        first = first.select(np.flatnonzero(first.choices_by_mouse()))
    path = tmp_path / f"mice{form.endings[0]}"
    formats.write(first, path)
    back = formats.read(path)
    kept = first.choice >= 0 if name == "psytrack" else np.full(len(first), True)
    assert back.ids == first.ids
    for column in set(REQUIRED) | ({"response_time"} & first.columns.keys() & set(form.carries or first.columns)):
        assert np.array_equal(back.columns[column], first.columns[column][kept], equal_nan=True), column


def by_others(name, path):
    """A file of a format that another program made."""
    frame = pandas.read_csv(CASES / "two_mice.csv")
    columns = {column: frame[column].to_numpy() for column in frame if column not in ("subject", "date")}
    with open(path, "wb") as file:
        if name in ("npz", "psytrack"):
            np.savez(file, **(columns if name == "npz" else {"y": np.ones(3), "dayLength": np.array([3])}))
        elif name == "mat":
            scipy.io.savemat(file, columns)
        elif name in ("csv", "parquet", "feather"):
            getattr(frame, f"to_{name}")(file)
        else:
            file.write(b"\x89HDF\r\n\x1a\n of another program")


@pytest.mark.parametrize("name", WRITABLE)
def test_only_files_of_its_own_are_replaced(name, small, tmp_path):
    form = formats.formats()[name]
    path, others = (tmp_path / f"{stem}{form.endings[0]}" for stem in ("own", "others"))
    formats.write(small[1], path)
    with pytest.raises(ValueError, match=r"own.*: (there already; give another name, or --overwrite|a folder)"):
        formats.write(small[1], path)
    if form.is_ours is None:
        return
    formats.write(small[1].select([0]), path, overwrite=True)
    assert formats.read(path).n_mice == 1
    by_others(name, others)
    before = others.read_bytes()
    with pytest.raises(ValueError, match=r"others.*: there already, and not an? .* that this program wrote"):
        formats.write(small[1], others, overwrite=True)
    assert others.read_bytes() == before


def test_every_format_says_what_it_is():
    for name, form in formats.formats().items():
        assert form.name == name
        assert form.description.startswith(("a ", "an "))
        assert all(ending.startswith(".") for ending in form.endings)


def test_content_of_no_format_is_refused_with_all_there_are(tmp_path):
    (tmp_path / "a.md").write_text("# a text, not a table\n")
    (tmp_path / "b.csv").write_bytes(bytes(range(256)))
    (tmp_path / "empty").write_bytes(b"")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["x"] = np.zeros(3)
    for name in ("a.md", "b.csv", "empty", "c.h5"):
        with pytest.raises(
            ValueError, match=rf"{name}: its content is of no known format; expected an ALF .* or a csv .* or an HDF5"
        ):
            formats.read(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"none\.h5: no such file; expected an ALF .* or a csv .* or an HDF5 rollout"):
        formats.read(tmp_path / "none.h5")


def test_what_cannot_be_written_is_refused_by_name(small, tmp_path):
    with pytest.raises(ValueError, match=r"mice\.xyz: its name tells no format; expected one that ends in .*\.csv, .*\.h5"):
        formats.write(small[1], tmp_path / "mice.xyz")
    with pytest.raises(ValueError, match=r"unknown format to write: 'cvs'; did you mean 'csv'"):
        formats.write(small[1], tmp_path / "mice.csv", "cvs")
    assert not list(tmp_path.iterdir())


NEW = """
from twin.data.formats import Format
from twin.data.formats.csv import read

def detect(path):
    return path.read_bytes().startswith(b"my rig")

FORMAT = Format("my-rig", "a file of my rig", (".rig",), detect, read)
"""


def test_a_format_is_one_file(tmp_path, monkeypatch, discovered_anew):
    (tmp_path / "my_rig.py").write_text(NEW)
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    (tmp_path / "a.rig").write_text("my rig, version 1")
    assert formats.detect(tmp_path / "a.rig").name == "my-rig"
    with pytest.raises(ValueError, match="a file of my rig"):
        formats.detect(tmp_path / "my_rig.py")
    with pytest.raises(ValueError, match="unknown format to write: 'my-rig'"):
        formats.write(None, tmp_path / "b.rig", "my-rig")
