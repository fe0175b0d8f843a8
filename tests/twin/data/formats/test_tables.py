"""Tables of other libraries: written by pyarrow, pandas, polars, scipy and numpy, read to the same trials as csv; and back."""

from __future__ import annotations

import gzip
import tracemalloc

import numpy as np
import pandas
import polars
import pyarrow
import pyarrow.feather
import pyarrow.parquet
import pytest
import scipy.io
from tables import CASES, same

from twin.data import formats
from twin.data.formats import lost, read

CSV = CASES / "two_mice.csv"


def save_parquet(frame, path):
    pyarrow.parquet.write_table(pyarrow.Table.from_pandas(frame), path)


def save_by_polars(frame, path):
    polars.from_pandas(frame).write_parquet(path)


def save_feather(frame, path):
    pyarrow.feather.write_feather(frame, str(path))


def save_ipc(frame, path):
    polars.from_pandas(frame).write_ipc(path, compression="lz4")


def save_npz(frame, path):
    np.savez(path.with_suffix(".npz"), **{name: frame[name].to_numpy().astype(kind(frame[name])) for name in frame})
    path.with_suffix(".npz").rename(path)


def save_struct(frame, path):
    """A struct of columns, texts in cell arrays."""
    scipy.io.savemat(path, {"data": {name: frame[name].to_numpy(kind(frame[name], object)) for name in frame}}, appendmat=False)


def save_variables(frame, path):
    scipy.io.savemat(path, {name: frame[name].to_numpy(kind(frame[name], object)) for name in frame}, appendmat=False)


def save_struct_array(frame, path):
    """One struct a trial, as MATLAB's `data(t).choice`."""
    types = [(name, object) for name in frame]
    rows = np.array([tuple(row) for row in frame.astype(object).itertuples(index=False)], types)
    scipy.io.savemat(path, {"data": rows}, appendmat=False)


def save_csv(frame, path):
    frame.to_csv(path, index=False, sep="\t", lineterminator="\r\n", encoding="utf-8-sig")


def save_gz(frame, path):
    with gzip.open(path, "wt") as file:
        frame.to_csv(file, index=False, sep=";")


def kind(column, text=str):
    return text if not pandas.api.types.is_numeric_dtype(column) else float


SAVED = [save_parquet, save_by_polars, save_feather, save_ipc, save_npz, save_struct, save_variables, save_struct_array]
SAVED += [save_csv, save_gz]


@pytest.mark.parametrize("save", SAVED)
@pytest.mark.parametrize("name", ["two_mice.csv", "ibl_names.csv", "few_columns.csv", "reward_unknown_at_zero.csv"])
def test_the_same_trials_whatever_library_wrote_them(save, name, tmp_path):
    """Under a name that tells nothing."""
    save(pandas.read_csv(CASES / name), tmp_path / "table")
    one, other = read(tmp_path / "table"), read(CASES / name)
    assert same(one, other)
    assert one.of_session.keys() == other.of_session.keys()
    assert [note.replace("'table'", "") for note in one.notes] == other.notes


@pytest.mark.parametrize("make", [pandas.read_csv, polars.read_csv, lambda path: pyarrow.table(pandas.read_csv(path))])
def test_data_frames(make):
    assert same(read(make(CSV)), read(CSV))


def test_a_dict_of_arrays_and_typed_columns():
    frame = pandas.read_csv(CSV)
    frame["date"] = pandas.to_datetime(frame["date"])
    frame["subject"] = frame["subject"].astype("category")
    frame["correct"] = frame["correct"].astype("boolean")
    assert same(read(frame), read(CSV))
    assert same(read({name: frame[name].to_list() for name in frame}), read(CSV))


def test_mice_of_long_numbers_are_not_confused():
    frame = pandas.read_csv(CSV)
    frame["subject"] = 2**53 + np.arange(2)[(frame["subject"] == "m2").astype(int)]
    assert read(frame).ids == (str(2**53), str(2**53 + 1))


def test_columns_of_other_names_are_asked_for(tmp_path):
    frame = pandas.read_csv(CSV).rename(columns={"choice": "resp", "contrast_left": "L", "contrast_right": "R"})
    with pytest.raises(ValueError, match=r"column 'contrast_left' is missing.*--columns"):
        read(frame)
    assert same(read(frame, {"choice": "resp", "contrastLeft": "L", "right_contrast": "R"}), read(CSV))
    with pytest.raises(ValueError, match=r"'rsp', which --columns names, is missing; the nearest there is 'resp'"):
        read(frame, {"choice": "rsp"})
    with pytest.raises(ValueError, match=r"unknown quantity of --columns: 'chioce'; did you mean 'choice'"):
        read(frame, {"chioce": "resp"})


SYNONYMS = {"subject": "Mouse", "session": "eid", "choice": "response", "correct": "rewarded", "probability_left": "pLeft"}


def test_synonyms_and_one_contrast_with_a_side():
    frame = pandas.read_csv(CSV).rename(columns=SYNONYMS | {"response_time": "RT"})
    frame["contrast"] = frame[["contrast_left", "contrast_right"]].max(axis=1)
    whole = read(CSV)
    frame["position"] = 35 * whole.side  # degrees
    assert same(read(frame.drop(columns=["contrast_left", "contrast_right"])), whole)


CODES = [
    (0, 1, None),
    (1, 0, None),
    (1, 2, None),
    (2, 1, None),
    ("L", "R", None),
    ("left", "right", ""),
    (1, -1, 0),
    (-1, 1, 0),
]


@pytest.mark.parametrize(("left", "right", "none"), CODES)
def test_codes_of_choices_are_told_by_the_rewards(left, right, none):
    whole = read(CSV)
    frame = pandas.read_csv(CSV)
    if none is None:
        frame = frame[whole.choice >= 0]
    frame["choice"] = np.array([left, right, none], object)[whole.choice][np.asarray(frame.index)]
    assert (read(frame).choice == whole.choice[np.asarray(frame.index)]).all()


def test_codes_that_no_reward_tells_are_asked_for():
    whole = read(CSV)
    frame = pandas.DataFrame({"stimulus": whole.contrast, "choice": np.array([1, 2, 0])[whole.choice]})[whole.choice >= 0]
    with pytest.raises(ValueError, match=r"row \d+, column 'choice': '\d'; expected L or R, .*--choice-left VALUE"):
        read(frame)
    for left, code in ((1, 0), (2, 1), ("1.0", 0)):
        assert (read(frame, choice_left=left).choice == np.where(frame["choice"] == 1, code, 1 - code)).all()
    with pytest.raises(ValueError, match=r"expected '3' among the values, since it was said to be left; there are '\d', '\d'"):
        read(frame, choice_left=3)
    frame.loc[frame.index[4], "choice"] = 7
    with pytest.raises(ValueError, match=r"row \d+, column 'choice': '\d'; expected one value beside '1'"):
        read(frame, choice_left=1)


def test_the_csv_of_the_pillow_lab(tmp_path):
    """`ibl_processed.csv` has the IBL's names, choices of 0 and 1, and rewards of 0 and 1."""
    whole = read(CSV)
    names = {"choice": whole.choice, "feedbackType": whole.reward, "probabilityLeft": whole.probability_left}
    frame = pandas.read_csv(CSV)[["subject", "date", "session"]].assign(lab="a", **names)
    frame["contrastLeft"], frame["contrastRight"] = np.maximum(-whole.contrast, 0), np.maximum(whole.contrast, 0)
    frame["answer"] = (whole.side > 0).astype(int)
    chosen = whole.choice >= 0
    frame[chosen].to_csv(tmp_path / "ibl_processed.csv", index=False)
    rollout = read(tmp_path / "ibl_processed.csv")
    for name in ("contrast", "choice", "reward", "side", "session"):
        assert (rollout.columns[name] == whole.columns[name][chosen]).all(), name
    assert "a choice of 0 is taken for left, as the rewards tell" in rollout.notes


def test_dates_times_tasks_and_weights_are_kept_by_every_table(tmp_path, small):
    frame = pandas.read_csv(CSV)
    frame["date"] += " 10:30:15"
    frame["task_protocol"], frame["weight"] = "_iblrig_tasks_biasedChoiceWorld6.4", 21.5
    first = read(frame)
    assert first.of_session["date"].tolist()[:2] == [20210301, 20210302]
    for name in ("clock_s", "task", "weight_g"):
        assert set(first.of_session[name].tolist()) == {{"clock_s": 37_815.0, "task": 1, "weight_g": 21.5}[name]}
    for name, form in formats.formats().items():
        keeps_all = form.carries is None or set(first.of_session) <= set(form.carries_of_session)
        if form.write is None or not keeps_all:
            continue
        path = tmp_path / f"mice-{name}{form.endings[0]}"
        formats.write(first, path)
        back = read(path)
        assert {k: v.tolist() for k, v in back.of_session.items()} == {k: v.tolist() for k, v in first.of_session.items()}, name
        assert back.response_time.tolist() == first.response_time.tolist()
        assert not back.simulated
    assert lost(first, formats.formats()["psytrack"]) == [
        "the format psytrack does not keep response_time, clock_s of sessions, task of sessions, weight_g of sessions; "
        "HDF5 (.h5) keeps all"
    ]
    assert lost(small[1], formats.formats()["hdf5"]) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choice": [[1], [2]] * 120}, r"column 'choice': of the type list.*; expected numbers, texts"),
        ({"contrast_left": "high"}, r"row 1, column 'contrast_left': 'high'; expected a number"),
        ({"choice": range(240)}, r"row \d+, column 'choice': '\d+'; expected one of -1, 1, 0, or 0, 1"),
        ({"response_time": np.inf}, r"row 1, column 'response_time': 'inf'; expected a number"),
    ],
)
def test_what_is_wrong_is_told_by_row_and_column(change, message):
    with pytest.raises(ValueError, match=rf"^the DataFrame, {message}"):
        read(pandas.read_csv(CSV).assign(**change))


def test_what_is_no_table_is_refused(tmp_path):
    for source, message in (
        (3, "the int is no behaviour; expected a path, a table of pandas"),
        ({"choice": [1, 2], "stimulus": [1, 2, 3]}, r"different lengths \(choice 2, stimulus 3\)"),
        ({"choice": np.zeros((2, 2))}, r"column 'choice': an array of float64 and shape \(2, 2\)"),
    ):
        with pytest.raises(ValueError, match=message):
            read(source)
    np.savez(tmp_path / "a.npz", choice=np.array([1, None], object))
    with pytest.raises(ValueError, match=r"a\.npz, array 'choice': holds Python objects, which are not loaded"):
        read(tmp_path / "a.npz")


@pytest.mark.parametrize("save", [save_parquet, save_feather, save_npz, save_struct])
def test_a_file_cut_short_is_refused_by_name(save, tmp_path):
    save(pandas.read_csv(CSV), tmp_path / "table")
    whole = (tmp_path / "table").read_bytes()
    for n in (12, len(whole) // 2, len(whole) - 5):
        (tmp_path / "table").write_bytes(whole[:n])
        with pytest.raises(ValueError, match=r"table: (not whole|its content is of no known format)"):
            read(tmp_path / "table")


@pytest.mark.parametrize("name", ["rows.parquet", "array.npz", "line.csv.gz"])
def test_more_than_memory_is_refused_before_it_is_there(name, tmp_path, monkeypatch):
    """A few bytes that are a thousand times as many: rows of one value, zeros, a header without end."""
    path = tmp_path / name
    if name == "rows.parquet":
        pyarrow.parquet.write_table(pyarrow.table({"choice": np.ones(200_000), "stimulus": np.ones(200_000)}), path)
    elif name == "array.npz":
        np.savez_compressed(path, choice=np.zeros(400_000), stimulus=np.zeros(400_000))
    else:
        path.write_bytes(gzip.compress(b"x" * 100_000_000, 1))
    for module in ("arrow", "arrays"):
        monkeypatch.setattr(f"twin.data.tables.{module}.memory_of_machine", lambda: 1_000_000)
    tracemalloc.start()
    with pytest.raises(ValueError, match=rf"{name}[:,] "):
        read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60_000_000
