"""Rollouts, trials, and the files they live in."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np
import pytest

from twin.data.formats.csv import read_csv
from twin.data.rollout import COLUMNS, Rollout
from twin.data.store import content_hash, describe, read_rollout, verify, write_rollout
from twin.data.trials import Trials

HEADER_A = "subject,session,date,trial,contrast_left,contrast_right,choice,correct,probability_left"
ROWS_A = ["a,1,2020-01-01,1,1.0,0.0,-1,1,0.5", "a,1,2020-01-01,2,0.0,0.0,-1,0,0.5", "a,2,2020-01-02,1,0.0,0.5,-1,0,0.4"]
HEADER_B = "subject,date,session,contrastLeft,contrastRight,choice,feedbackType,probabilityLeft"
ROWS_B = ["a,2020-01-01,001,1.0,,1,1,0.5", "b,2020-01-01,001,,0.0,-1,1,0.5", "a,2020-01-02,001,,0.5,0,-1,0.8"]


def written(tmp_path, header, rows):
    path = tmp_path / "mouse.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


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
    assert verify(tmp_path / "r.h5") == content_hash(rollout)
    assert describe(tmp_path / "r.h5")["trials"] == len(rollout)
    assert not list(tmp_path.glob("*.tmp"))


def test_hash_sees_one_changed_trial(small):
    _, rollout, _ = small
    choice = rollout.choice.copy()
    choice[7] = 1 - choice[7]
    changed = dataclasses.replace(rollout, columns={**rollout.columns, "choice": choice})
    assert content_hash(changed) != content_hash(rollout)


def test_changed_file_is_found_out(small, tmp_path):
    write_rollout(small[1], tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r+") as file:
        file["trials/choice"][3] = 1 - file["trials/choice"][3]
    with pytest.raises(ValueError, match=r"r.h5: the trials are not those that were written"):
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


def test_csv_with_signed_choice(tmp_path):
    rollout = read_csv(written(tmp_path, HEADER_A, ROWS_A))
    assert rollout.choice.tolist() == [0, 0, 0]
    assert rollout.side.tolist() == [-1, 1, 1]  # an unrewarded left choice at zero contrast: right was correct
    assert rollout.contrast.tolist() == [-1, 0, 0.5]
    assert rollout.session.tolist() == [0, 0, 1]
    assert rollout.probability_left.tolist() == pytest.approx([0.5, 0.5, 0.4])


def test_csv_with_alf_names(tmp_path):
    rollout = read_csv(written(tmp_path, HEADER_B, ROWS_B))
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
        read_csv(written(tmp_path, header, rows))


def test_real_mouse_is_read_whole(real_mouse):
    rollout = read_csv(real_mouse)
    easy = np.abs(rollout.contrast) > 0
    accuracy = [rollout.reward[(rollout.session == s) & easy].mean() for s in range(15)]
    assert len(rollout) == 10_310
    assert rollout.ids == ("KS014",)
    assert accuracy == pytest.approx(
        [0.37, 0.39, 0.38, 0.47, 0.38, 0.31, 0.53, 0.66, 0.64, 0.79, 0.73, 0.83, 0.90, 0.86, 0.80], abs=0.0055
    )


def ragged() -> Rollout:
    """Two mice of five and two trials, one no-go."""
    columns = {
        "session": [0, 0, 0, 1, 1, 0, 0],
        "contrast": [1, -0.5, 0.5, 0, 1, -1, 0.5],
        "side": [1, -1, 1, 1, 1, -1, 1],
        "choice": [1, 1, -1, 0, 1, 0, 1],
        "reward": [1, 0, 0, 0, 1, 1, 1],
        "probability_left": [0.5] * 7,
    }
    return Rollout({k: np.array(v, COLUMNS[k][0]) for k, v in columns.items()}, np.array([0, 5, 7]), ("a", "b"))


def test_trials_are_padded_masked_and_remember():
    trials = Trials.from_rollout(ragged(), ("previous_choice", "previous_reward", "contrast", "previous_stimulus"))
    assert trials.x.shape == (2, 5, 4)
    assert trials.x[0, :, 0].tolist() == [0, 1, 1, 0, -1]  # nothing is remembered over night, nor of a no-go
    assert trials.x[0, :, 1].tolist() == [0, 1, 0, 0, 0]
    assert trials.x[0, :, 2].tolist() == [1, -0.5, 0.5, 0, 1]
    assert trials.x[0, :, 3] == pytest.approx([0, 1, -np.tanh(2.5) / np.tanh(5), 0, 0])
    assert trials.mask.tolist() == [[True, True, False, True, True], [True, True, False, False, False]]
    assert trials.choice[1].tolist() == [0, 1, -1, -1, -1]
    assert trials.lengths.tolist() == [5, 2]


def test_split_sets_the_last_trials_aside():
    train, future = Trials.from_rollout(ragged()).split(1)
    assert train.mask.sum(axis=1).tolist() == [3 - 0, 1]
    assert future.mask.sum(axis=1).tolist() == [1, 1]
    assert not (train.mask & future.mask).any()
    assert train.choice[0, 4] == -1  # a trial to come teaches the model nothing
    assert future.choice[0, 4] == 1
    with pytest.raises(ValueError, match="mouse 'b' has 2 trials; cannot set aside the last 2"):
        Trials.from_rollout(ragged()).split(2)


def test_mouse_without_trials_is_named():
    empty = dataclasses.replace(ragged(), starts=np.array([0, 7, 7]))
    with pytest.raises(ValueError, match="mouse 'b' has no trials"):
        Trials.from_rollout(empty)
