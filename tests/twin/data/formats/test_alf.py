"""ALF folders: made by numpy and pandas under the names that ONE gives them, and those that are not whole."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas
import pytest

from twin.data import formats
from twin.data.formats import read

SUBJECT = "lab_a/Subjects/KS_1"


def session(root, place=f"{SUBJECT}/2019-08-06/001", trials=6, **changes):
    """Write a session as the IBL does; choice 1 is left, a NaN marks the side without a stimulus. Returns its alf folder."""
    draw = np.random.default_rng(trials)
    right = draw.random(trials) < 0.5
    contrast = draw.choice([0.0, 0.125, 1.0], trials)
    choice = draw.choice([-1, 1], trials)
    arrays = {
        "contrastLeft": np.where(right, np.nan, contrast),
        "contrastRight": np.where(right, contrast, np.nan),
        "choice": choice,
        "feedbackType": np.where((choice == -1) == right, 1, -1),
        "probabilityLeft": np.full(trials, 0.5),
        "stimOn_times": np.arange(trials) + 0.25,
        "response_times": np.arange(trials) + 0.75,
        "intervals": np.stack([np.arange(trials), np.arange(trials) + 1.0], axis=1),
        "rewardVolume": np.where((choice == -1) == right, 3.0, 0.0),
        "repNum": np.zeros(trials, int),
    } | changes
    folder = root / place / "alf"
    folder.mkdir(parents=True)
    for name, values in arrays.items():
        if values is not None:
            np.save(folder / f"_ibl_trials.{name}.npy", values)
    return folder


def agrees(rollout, folder) -> bool:
    """Is a session what numpy loads of it?"""
    one = {name: np.load(folder / f"_ibl_trials.{name}.npy") for name in ("contrastRight", "choice", "feedbackType")}
    right = ~np.isnan(one["contrastRight"])
    return (
        (rollout.side == np.where(right, 1, -1)).all()
        and (rollout.choice == (one["choice"] == -1)).all()
        and (rollout.reward == (one["feedbackType"] == 1)).all()
    )


@pytest.mark.parametrize("depth", [0, 1, 2, 4, 5, 6])
def test_a_session_is_read_from_any_folder_above_it(depth, tmp_path):
    folder = session(tmp_path)
    where = [tmp_path, *reversed([folder, *folder.parents][: len(folder.relative_to(tmp_path).parts)])][depth]
    rollout = read(where)
    assert rollout.ids == ("KS_1",) and agrees(rollout, folder)
    assert rollout.of_session["date"].tolist() == [20190806]
    assert rollout.response_time.tolist() == [0.5] * 6
    assert rollout.start_time.tolist() == [0, 1, 2, 3, 4, 5]
    assert (rollout.water_ul == 3.0 * rollout.reward).all()
    assert not rollout.is_repeat.any()


def test_labs_mice_dates_and_numbers(tmp_path):
    """Mice of one name in two labs are two; two sessions of one day are two, in the order of their numbers."""
    session(tmp_path, "lab_a/Subjects/m/2020-01-02/001", 5)
    session(tmp_path, "lab_a/Subjects/m/2020-01-01/002", 4)
    session(tmp_path, "lab_a/Subjects/m/2020-01-01/001", 3)
    session(tmp_path, "lab_b/Subjects/m/2020-01-01/001", 2)
    rollout = read(tmp_path)
    assert rollout.ids == ("lab_a/m", "lab_b/m")
    assert np.diff(np.append(rollout.sessions.start, len(rollout))).tolist() == [3, 4, 5, 2]


def test_the_table_of_later_releases_is_the_same_as_single_files(tmp_path):
    folder = session(tmp_path / "a")
    other = tmp_path / "b" / folder.relative_to(tmp_path / "a")
    other.mkdir(parents=True)
    arrays = {file.name.split(".")[1]: np.load(file) for file in folder.iterdir()}
    arrays["intervals_0"], arrays["intervals_1"] = arrays.pop("intervals").T
    pandas.DataFrame(arrays).to_parquet(other / "_ibl_trials.table.61f6982a-40fb-44a6-8f2f-170235951e26.pqt")
    one, two = read(tmp_path / "a"), read(tmp_path / "b")
    assert one.columns.keys() == two.columns.keys()
    assert all(np.array_equal(one.columns[name], two.columns[name]) for name in one.columns)
    newer = other / "#2024-02-20#"
    newer.mkdir()
    np.save(newer / "_ibl_trials.probabilityLeft.npy", np.full(6, 0.8))  # a revision of one attribute
    assert read(tmp_path / "b").probability_left.tolist() == pytest.approx([0.8] * 6)


def test_an_aggregate_of_all_sessions_of_a_mouse(tmp_path):
    folders = [session(tmp_path / "tree", f"{SUBJECT}/2019-08-0{d}/001", trials=4 + d) for d in (1, 2)]
    frames = []
    for d, folder in enumerate(folders, 1):
        arrays = {file.name.split(".")[1]: np.load(file) for file in folder.iterdir() if "intervals" not in file.name}
        start = pandas.Timestamp(f"2019-08-0{d} 10:30:00")
        more = {
            "session": f"{'ba'[d - 1]}e9",
            "session_start_time": start,
            "session_number": 1,
            "task_protocol": "_biasedChoiceWorld",
        }
        frames.append(pandas.DataFrame(arrays | more))
    table = tmp_path / "aggregates" / "KS_1" / "_ibl_subjectTrials.table.pqt"
    table.parent.mkdir(parents=True)
    pandas.concat(frames).to_parquet(table)
    rollout, tree = read(table), read(tmp_path / "tree")
    assert rollout.ids == tree.ids
    assert (rollout.choice == tree.choice).all() and (rollout.contrast == tree.contrast).all()
    assert rollout.of_session["clock_s"].tolist() == [37_800.0] * 2
    assert rollout.of_session["task"].tolist() == [1, 1]


def test_what_the_release_of_2019_has_that_it_should_not(tmp_path):
    """Columns of shape (n, 1), left contrasts as negative right ones, feedback of 0, a session without trials."""
    session(tmp_path, f"{SUBJECT}/2019-08-08/001", trials=0)
    folder = session(
        tmp_path,
        contrastLeft=np.array([np.nan, np.nan, 1.0])[:, None],
        contrastRight=np.array([0.5, -0.25, np.nan])[:, None],
        choice=np.array([-1, 1, 1])[:, None],
        feedbackType=np.array([1, 1, 0])[:, None],
        **dict.fromkeys(("probabilityLeft", "stimOn_times", "response_times", "intervals", "rewardVolume", "repNum")),
    )
    rollout = read(tmp_path)
    assert rollout.contrast.tolist() == [0.5, -0.25, -1.0]
    assert rollout.choice.tolist() == [1, 0, 0]
    assert rollout.reward.tolist() == [1, 1, 1]
    told = " ".join(rollout.notes)
    for words in ("1 sessions have no trials", "1 trials have a negative contrast on the right", "1 trials have no outcome"):
        assert words in told
    np.save(folder / "_ibl_trials.choice.npy", np.array([-1, 1, 7]))
    with pytest.raises(
        ValueError, match=r"session lab_a/KS_1/2019-08-06/001, trial 3, column 'choice': '7'; expected one of 1, -1, 0"
    ):
        read(tmp_path)


def test_settings_of_the_rig_tell_task_weight_and_start(tmp_path):
    folder = session(tmp_path)
    raw = folder.parent / "raw_behavior_data"
    raw.mkdir()
    settings = {"PYBPOD_PROTOCOL": "_iblrig_tasks_trainingChoiceWorld6.4.2", "SUBJECT_WEIGHT": 22.5}
    settings["SESSION_DATETIME"] = "2019-08-06T09:15:00.123456"
    (raw / "_iblrig_taskSettings.raw.json").write_text(json.dumps(settings))
    known = read(tmp_path).of_session
    assert {name: values.tolist() for name, values in known.items()} == {
        "date": [20190806],
        "clock_s": [33_300.0],
        "task": [0],
        "weight_g": [22.5],
    }
    (raw / "_iblrig_taskSettings.raw.json").write_text("[" * 100_000)
    assert read(tmp_path).of_session.keys() == {"date"}


def test_what_is_written_is_named_as_one_expects(tmp_path, small):
    """`{lab}/Subjects/{subject}/{date}/{number}/alf/_ibl_trials.*`, loaded by numpy alone."""
    formats.write(small[1], tmp_path / "mice.alf")
    folders = sorted((tmp_path / "mice.alf").glob("simulated/Subjects/*/????-??-??/???/alf"))
    assert len(folders) == len(small[1].sessions.start)
    choice = np.load(folders[0] / "_ibl_trials.choice.npy", allow_pickle=False)
    assert (choice == np.array([1, -1, 0])[small[1].choice[: len(choice)]]).all()
    left, right = (np.load(folders[0] / f"_ibl_trials.contrast{side}.npy") for side in ("Left", "Right"))
    assert (np.isnan(left) ^ np.isnan(right)).all()
    back = read(tmp_path / "mice.alf")
    assert back.simulated and "date" not in back.of_session


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("choice", b"\x93NUMPY", r"_ibl_trials\.choice\.npy: not whole as \.npy"),
        ("choice", b"", r"_ibl_trials\.choice\.npy: not whole as \.npy"),
        ("choice", np.arange(5), r"trials\.\w+\.npy: 6 values of session lab_a/KS_1/2019-08-06/001; expected 5"),
        ("choice", np.array([1, "x", 1, 1, 1, 1], object), r"choice\.npy: holds Python objects, which are not loaded"),
        ("choice", np.zeros((6, 2)), r"choice\.npy: the shape \(6, 2\); expected one value a trial"),
        ("contrastLeft", np.full(6, 50.0), r"session .*001, trial 1, column 'contrastLeft': '50\.0'; expected a contrast"),
    ],
)
def test_what_is_wrong_is_told_by_file_session_and_trial(name, content, message, tmp_path):
    file = session(tmp_path) / f"_ibl_trials.{name}.npy"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        np.save(file, content, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_a_size_that_is_not_there_is_not_allocated(tmp_path):
    file = session(tmp_path) / "_ibl_trials.choice.npy"
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"(6,), }             ", b"(9999999999999,), } "))
    with pytest.raises(ValueError, match=r"choice\.npy: declares the shape \(9999999999999,\)"):
        read(tmp_path)


def test_links_out_of_the_tree_are_not_followed(tmp_path):
    folder = session(tmp_path / "tree")
    outside = tmp_path / "outside.npy"
    os.replace(folder / "_ibl_trials.choice.npy", outside)
    (folder / "_ibl_trials.choice.npy").symlink_to(outside)
    with pytest.raises(ValueError, match=r"_ibl_trials\.choice\.npy: a link out of .*tree, which is not followed"):
        read(tmp_path / "tree")
    (tmp_path / "tree" / "more").symlink_to(session(tmp_path / "other").parent)
    os.replace(outside, folder / "_ibl_trials.choice.npy")
    assert len(read(tmp_path / "tree")) == 6


@pytest.mark.parametrize("name", ["a/b", "..", "a b"])
def test_a_mouse_that_cannot_be_a_folder_is_refused(name, small, tmp_path):
    from dataclasses import replace

    mice = replace(small[1].select([0]), ids=(name,))
    with pytest.raises(ValueError, match="cannot be the name of a folder"):
        formats.write(mice, tmp_path / "mice.alf")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("choice", [1, -1, 0])
def test_a_mouse_that_always_does_the_same(choice, tmp_path):
    right = np.array([1, 0, 1, 0, 1, 0]) > 0
    session(
        tmp_path,
        contrastLeft=np.where(right, np.nan, 1.0),
        contrastRight=np.where(right, 1.0, np.nan),
        choice=np.full(6, choice),
        feedbackType=np.where((choice == -1) & right | (choice == 1) & ~right, 1, -1),
    )
    assert (read(tmp_path).choice == {1: 0, -1: 1, 0: -1}[choice]).all()
