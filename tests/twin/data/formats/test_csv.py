"""Csv files of trials, as people and programs write them."""

from __future__ import annotations

import csv
import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.data.formats import detect, read, write
from twin.data.rollout import COLUMNS, REQUIRED, Rollout
from twin.data.tables.columns import FIRST

HEADER_A = "subject,session,date,trial,contrast_left,contrast_right,choice,correct,probability_left"
ROWS_A = ["a,1,2020-01-01,1,1.0,0.0,-1,1,0.5", "a,1,2020-01-01,2,0.0,0.0,-1,0,0.5", "a,2,2020-01-02,1,0.0,0.5,-1,0,0.4"]
HEADER_B = "subject,date,session,contrastLeft,contrastRight,choice,feedbackType,probabilityLeft"
ROWS_B = ["a,2020-01-01,001,1.0,,1,1,0.5", "b,2020-01-01,001,,0.0,-1,1,0.5", "a,2020-01-02,001,,0.5,0,-1,0.8"]


def written(tmp_path, header, rows):
    path = tmp_path / "mouse.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_csv_with_signed_choice(tmp_path):
    rollout = read(written(tmp_path, HEADER_A, ROWS_A))
    assert rollout.choice.tolist() == [0, 0, 0]
    assert rollout.side.tolist() == [-1, 1, 1]  # an unrewarded left choice at zero contrast: right was correct
    assert rollout.contrast.tolist() == [-1, 0, 0.5]
    assert rollout.session.tolist() == [0, 0, 1]
    assert rollout.probability_left.tolist() == pytest.approx([0.5, 0.5, 0.4])


def test_csv_with_alf_names(tmp_path):
    rollout = read(written(tmp_path, HEADER_B, ROWS_B))
    assert rollout.ids == ("a", "b")
    assert rollout.starts.tolist() == [0, 2, 3]
    assert rollout.choice.tolist() == [0, -1, 1]  # wheel clockwise (+1) reports left
    assert rollout.side.tolist() == [-1, 1, 1]  # the side that holds a number is the rewarded one
    assert rollout.session.tolist() == [0, 1, 0]
    assert rollout.reward.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (HEADER_A.replace("choice", "choise"), ROWS_A, r"column 'choice' is missing.*nearest there is 'choise'"),
        (HEADER_A, [*ROWS_A, "a,2,2020-01-02,2,0.0,0.5,7,0,0.4"], r"row 5, column 'choice': '7'; expected one of -1, 1, 0"),
        (HEADER_A, [*ROWS_A, "a,2,2020-01-02,2,0.0,50,1,0,0.4"], r"row 5, column 'contrast_right': '50'; expected a contrast"),
        (HEADER_A, [*ROWS_A, "a,2,2020-01-02,2,0.0,x,1,0,0.4"], r"row 5, column 'contrast_right': 'x'; expected a number"),
        (
            HEADER_A,
            [*ROWS_A, "a,2,2020-01-02,2,0.0,0.5,-1,1,0.4"],
            r"row 5, column 'choice': '-1'; expected a choice that agrees",
        ),
        (HEADER_A, [*ROWS_A, "a,2,2020-01-02"], r"row 5: 3 values"),
        (HEADER_A, [], r"1 rows; expected a header and at least one trial"),
    ],
)
def test_wrong_csv_is_refused_by_name(tmp_path, header, rows, message):
    with pytest.raises(ValueError, match=message):
        read(written(tmp_path, header, rows))


def test_real_mouse_is_read_whole(real_mouse):
    rollout = read(real_mouse)
    easy = np.abs(rollout.contrast) > 0
    accuracy = [rollout.reward[(rollout.session == s) & easy].mean() for s in range(15)]
    assert len(rollout) == 10_310
    assert rollout.ids == ("KS014",)
    assert accuracy == pytest.approx(
        [0.37, 0.39, 0.38, 0.47, 0.38, 0.31, 0.53, 0.66, 0.64, 0.79, 0.73, 0.83, 0.90, 0.86, 0.80], abs=0.0055
    )


TRIAL = st.tuples(
    st.sampled_from([0.0, 0.0625, 0.125, 0.25, 1.0]) | st.floats(0, 1, width=32),
    st.sampled_from([-1, 1]),
    st.sampled_from([-1, 0, 1]),
    st.floats(0, 1, width=32),
)


@pytest.mark.parametrize("ending", [".csv.gz", ".parquet", ".feather", ".npz"])
@settings(max_examples=40, deadline=None)
@given(mice=st.lists(st.lists(st.lists(TRIAL, min_size=1, max_size=4), min_size=1, max_size=3), min_size=1, max_size=3))
def test_what_is_written_is_read_back_to_the_bit(ending, mice, tmp_path_factory):
    """Every column that recorded data have, of mice, their sessions and trials, also at zero contrast and without a choice."""
    trials = [(s, *trial) for sessions in mice for s, trials in enumerate(sessions) for trial in trials]
    session, contrast, side, choice, probability = (np.array(column) for column in zip(*trials, strict=True))
    reward = (choice >= 0) & ((choice == 1) == (side == 1))
    values = (session, contrast * side, side, choice, reward, probability)
    columns = {name: np.asarray(v, COLUMNS[name][0]) for name, v in zip(REQUIRED, values, strict=True)}
    starts = np.cumsum([0, *(sum(len(trials) for trials in sessions) for sessions in mice)])
    rollout = Rollout(columns, starts, tuple(f"mouse, {m}" for m in range(len(mice))))
    path = tmp_path_factory.mktemp("table") / f"mice{ending}"
    write(rollout, path)
    back = read(path)
    for name in REQUIRED:
        assert back.columns[name].dtype == np.dtype(COLUMNS[name][0])
        assert (back.columns[name] == rollout.columns[name]).all(), name
    assert (back.ids, back.starts.tolist()) == (rollout.ids, rollout.starts.tolist())


def test_a_row_is_as_the_first_dialect_says(tmp_path):
    """By hand, read by the csv module: left choices -1, right ones 1, contrasts as fractions on their side."""
    trials = {
        "session": [0, 0, 0],
        "contrast": [-0.5, 0.0, 1.0],
        "side": [-1, 1, 1],
        "choice": [0, 0, -1],
        "reward": [1, 0, 0],
        "probability_left": [0.5, 0.2, 0.8],
    }
    columns = {name: np.array(v, COLUMNS[name][0]) for name, v in trials.items()}
    write(Rollout(columns, np.array([0, 3]), ("a",)), tmp_path / "a.csv")
    with open(tmp_path / "a.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == [*FIRST, "simulated"]
    assert rows == [
        ["a", "0", "", "0.5", "0.0", "-1", "1", "0.5", "0"],
        ["a", "0", "", "", "0.0", "-1", "0", "0.2", "0"],
        ["a", "0", "", "0.0", "1.0", "0", "0", "0.8", "0"],
    ]
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("name", ["mouse.csv", "mouse.txt", "mouse"])
def test_it_is_told_by_its_columns_whatever_its_name(name, tmp_path):
    for number, (header, rows) in enumerate([(HEADER_A, ROWS_A), (HEADER_B, ROWS_B)]):
        text = "\ufeff" + "\n".join([header, *rows])
        (tmp_path / name).write_bytes(gzip.compress(text.encode()) if number else text.encode())
        assert detect(tmp_path / name).name == "csv"
        assert len(read(tmp_path / name)) == 3


def test_a_file_cut_short_or_in_another_encoding_is_refused_by_name(tmp_path):
    whole = gzip.compress("\n".join([HEADER_A, *ROWS_A * 100]).encode())
    (tmp_path / "cut.csv.gz").write_bytes(whole[:-20])
    with pytest.raises(ValueError, match=r"cut\.csv\.gz: not whole as UTF-8 text"):
        read(tmp_path / "cut.csv.gz")
    (tmp_path / "latin.csv").write_bytes("\n".join([HEADER_A, *ROWS_A]).replace("a,1", "ä,1").encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.csv: not whole as UTF-8 text"):
        read(tmp_path / "latin.csv")
