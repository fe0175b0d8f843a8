"""PsyTrack's dictionaries, as the scripts of its authors make them, in and out."""

from __future__ import annotations

import numpy as np
import pytest
from tables import CASES

from twin.data import formats
from twin.data.formats import read
from twin.data.formats.psytrack import dictionaries


def made_as_published(trials=(30, 20), seed=1):
    """One mouse by the code of Roy et al. (`getMouse`): contrasts through tanh, choices 0 and 1, lengths of days."""
    draw, n = np.random.default_rng(seed), sum(trials)
    signed = draw.choice([-1, -0.25, -0.125, 0, 0.125, 0.25, 1], n)
    answer = np.where(signed == 0, draw.random(n) < 0.5, signed > 0).astype(int)
    y = draw.integers(0, 2, n)
    return {
        "name": "KS_1",
        "y": y,
        "answer": answer,
        "correct": (y == answer).astype(int),
        "dayLength": np.array(trials),
        "inputs": {"cBoth": (np.tanh(5 * signed) / np.tanh(5))[:, None]},
        "signed": signed,
    }


def test_a_dictionary_is_read():
    mouse = made_as_published()
    rollout = read(mouse)
    assert rollout.ids == ("KS_1",)
    assert rollout.contrast.tolist() == mouse["signed"].tolist()
    assert rollout.choice.tolist() == mouse["y"].tolist()
    assert rollout.reward.tolist() == mouse["correct"].tolist()
    assert (rollout.side == 2 * mouse["answer"] - 1).all()
    assert rollout.sessions.stop.tolist() == [30, 50]


def test_choices_of_1_and_2_and_other_inputs():
    mouse = made_as_published()
    mouse["y"], mouse["inputs"] = mouse["y"] + 1, {"s": np.stack([mouse["signed"]] * 3, axis=1), "h": np.zeros(50)}
    with pytest.raises(ValueError, match=r"mouse 'KS_1', 'inputs': no contrast among s, h; .*--columns stimulus=NAME"):
        read(mouse)
    rollout = read(mouse, {"stimulus": "s"})
    assert (rollout.choice == mouse["y"] - 1).all() and (rollout.contrast == mouse["signed"]).all()


def test_several_mice_and_what_is_not_told():
    mice = [made_as_published(seed=seed) | {"name": f"m{seed}"} for seed in (1, 2)]
    del mice[1]["correct"], mice[1]["answer"], mice[0]["answer"]
    rollout = read(mice)
    assert rollout.ids == ("m1", "m2")
    unknown = rollout.contrast[50:] == 0
    assert (rollout.reward[50:] == -1).tolist() == unknown.tolist()


def test_what_is_written_is_a_dictionary_of_theirs(tmp_path):
    whole = read(CASES / "two_mice.csv")
    mice = dictionaries(whole)
    assert [mouse["name"] for mouse in mice] == ["m1", "m2"]
    for m, mouse in enumerate(mice):
        rows = np.arange(len(whole))[whole.of_mouse(m)]
        rows = rows[whole.choice[rows] >= 0]
        signed = whole.contrast[rows].astype(float)
        assert (mouse["y"] == whole.choice[rows]).all()
        assert sum(mouse["dayLength"]) == len(rows)
        assert np.allclose(mouse["inputs"]["cBoth"][:, 0], np.tanh(5 * signed) / np.tanh(5))
        assert np.allclose(mouse["inputs"]["cR"] - mouse["inputs"]["cL"], mouse["inputs"]["cBoth"])
        assert (mouse["correct"] == (mouse["y"] == mouse["answer"])).all()
    formats.write(whole, tmp_path / "mice.psytrack.npz")
    back, again = read(tmp_path / "mice.psytrack.npz"), read(mice)
    for rollout in (back, again):
        assert rollout.ids == whole.ids
        assert (rollout.contrast == whole.contrast[whole.choice >= 0]).all()
        assert (rollout.of_session["date"] == whole.of_session["date"]).all()


def test_psytrack_takes_it():
    getMAP = pytest.importorskip("psytrack.getMAP").getMAP
    (mouse, _) = dictionaries(read(CASES / "two_mice.csv"))
    fitted = getMAP(mouse, {"sigInit": 16.0, "sigma": 0.1, "sigDay": None}, {"bias": 1, "cBoth": 1}, showOpt=0)
    assert np.isfinite(fitted[0]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.array([0, 1, 3])}, r"'y': values \[0, 1, 3\]; expected 0 left and 1 right"),
        ({"y": np.array([0.0, np.nan])}, r"'y': float64; expected whole numbers"),
        ({"dayLength": np.array([30, 30])}, r"'dayLength': 60 trials in all; expected 50"),
        ({"inputs": {"cBoth": np.full((50, 1), 3.0)}}, r"'inputs': contrasts beyond -1 to 1"),
        ({"inputs": {"cBoth": np.zeros(3)}, "dayLength": None}, r"its columns have different lengths"),
        ({"correct": np.ones(50) * 7}, r"row 1, column 'correct': '7\.0'; expected 1 rewarded"),
    ],
)
def test_what_is_wrong_is_told_by_mouse_and_key(change, message):
    with pytest.raises(ValueError, match=message):
        read(made_as_published() | change)


def test_what_is_pickled_is_not_loaded(tmp_path):
    np.savez(tmp_path / "a.npz", D=np.array(made_as_published(), object))
    with pytest.raises(
        ValueError, match=r"a\.npz, array 'D': holds Python objects, which are not loaded since they may run code"
    ):
        read(tmp_path / "a.npz")
