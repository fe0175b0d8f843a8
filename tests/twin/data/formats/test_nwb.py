"""NWB files: made by pynwb, read by ours; written by ours, read by pynwb and judged by nwbinspector."""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import UTC, datetime

import h5py
import numpy as np
import pytest

from twin.data import formats
from twin.data.formats import read

pynwb = pytest.importorskip("pynwb")
pytestmark = pytest.mark.filterwarnings("ignore")  # of pynwb and hdmf


def made_by_pynwb(path, number=1, trials=8, columns=True):
    """A file of one session as a lab may write it."""
    file = pynwb.NWBFile(
        session_description="decision task",
        identifier=f"s{number}",
        session_id=f"{number}",
        session_start_time=datetime(2021, 3, number, 10, 30, tzinfo=UTC),
        subject=pynwb.file.Subject(subject_id="KS_1", species="Mus musculus", weight="0.0225 kg", sex="F", age="P90D"),
        protocol="biasedChoiceWorld",
    )
    if columns:
        for name in ("signed_contrast", "choice", "rewarded", "reaction_time", "probability_left"):
            file.add_trial_column(name, name)
        for t in range(trials):
            stimulus, right = (-1) ** t * 0.25, t % 3 == 0
            row = {"signed_contrast": stimulus, "choice": ["left", "right"][right], "rewarded": right == (stimulus > 0)}
            file.add_trial(start_time=2.0 * t, stop_time=2.0 * t + 1, reaction_time=0.5, probability_left=0.8, **row)
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(file)


def test_a_file_of_pynwb_is_read(tmp_path):
    made_by_pynwb(tmp_path / "a.nwb")
    rollout = read(tmp_path / "a.nwb")
    assert rollout.ids == ("KS_1",) and not rollout.simulated
    assert rollout.contrast.tolist() == [0.25, -0.25] * 4
    assert rollout.choice.tolist() == [1, 0, 0, 1, 0, 0, 1, 0]
    assert rollout.reward.tolist() == [1, 1, 0, 0, 0, 1, 1, 1]
    assert rollout.start_time.tolist() == [2.0 * t for t in range(8)]
    assert rollout.response_time.tolist() == [0.5] * 8
    known = {name: values.tolist() for name, values in rollout.of_session.items()}
    assert known == {"date": [20210301], "clock_s": [37_800.0], "task": [1], "weight_g": [22.5]}


def test_a_folder_of_files_is_one_rollout(tmp_path):
    for number in (2, 1):
        made_by_pynwb(tmp_path / f"{number}.nwb", number, trials=3 + number)
    assert np.diff([*read(tmp_path).sessions.start, 9]).tolist() == [4, 5]


def test_what_is_written_is_read_by_pynwb_and_says_that_it_is_simulated(tmp_path, small):
    mice = small[1].select([0])
    formats.write(mice, tmp_path / "mice.nwb")
    first, *_ = sorted((tmp_path / "mice.nwb").iterdir())
    with pynwb.NWBHDF5IO(str(first), "r") as io:
        nwb = io.read()
        n = len(nwb.trials)
        assert nwb.session_description.startswith("A simulated mouse, no recording")
        assert "one that is not known" in nwb.session_description
        assert nwb.trials["choice"][:].tolist() == [("left", "right", "none")[code] for code in mice.choice[:n]]
        assert np.array_equal(nwb.trials["correct"][:], mice.reward[:n])
    back = read(tmp_path / "mice.nwb")
    assert back.simulated and "date" not in back.of_session


def test_inspector_finds_nothing_critical(tmp_path, small):
    inspector = pytest.importorskip("nwbinspector")
    formats.write(small[1].select([0]), tmp_path / "mice.nwb")
    path = sorted((tmp_path / "mice.nwb").iterdir())[0]
    found = list(inspector.inspect_nwbfile(nwbfile_path=path))
    assert [f.message for f in found if f.importance.name in ("CRITICAL", "ERROR", "PYNWB_VALIDATION")] == []


def test_date_weight_and_task_of_a_recorded_mouse_come_back(tmp_path, small):
    mice = small[1].select([1])
    n = len(mice.sessions.start)
    known = {"date": np.arange(20210301, 20210301 + n, dtype="i4"), "clock_s": np.full(n, 37_815, "f4")}
    known |= {"task": np.ones(n, "i1"), "weight_g": np.full(n, 22.5, "f4")}
    formats.write(replace(mice, origin={}, of_session=known), tmp_path / "mice.nwb")
    back = read(tmp_path / "mice.nwb")
    assert not back.simulated
    assert {name: values.tolist() for name, values in back.of_session.items()} == {k: v.tolist() for k, v in known.items()}


def test_what_is_wrong_is_told_by_file(tmp_path):
    made_by_pynwb(tmp_path / "none.nwb", columns=False)
    with pytest.raises(ValueError, match=r"none\.nwb: no trials; expected a table of trials"):
        read(tmp_path / "none.nwb")
    made_by_pynwb(tmp_path / "a.nwb")
    with h5py.File(tmp_path / "a.nwb", "r+") as file:
        file["intervals/trials/signed_contrast"][3] = 7
    with pytest.raises(ValueError, match=r"file a\.nwb, trial 4, column 'signed_contrast': '7\.0'; expected a signed contrast"):
        read(tmp_path / "a.nwb")
    with h5py.File(tmp_path / "a.nwb", "r+") as file:
        file["elsewhere"] = h5py.ExternalLink("/dev/zero", "x")
    with pytest.raises(ValueError, match=r"a\.nwb: .*elsewhere is a link to another file, which is not followed"):
        read(tmp_path / "a.nwb")


def test_it_is_said_what_to_install(tmp_path, small, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pynwb", None)
    with warnings.catch_warnings(), pytest.raises(ValueError, match=r"pip install 'behavioral-twin\[nwb\]'"):
        formats.write(small[1], tmp_path / "mice.nwb")
    assert not list(tmp_path.iterdir())
