"""Mice simulated again from their file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from twin.cli import main
from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.data.store import write_rollout
from twin.simulation import simulate
from twin.simulation.again import check_again
from twin.simulation.until import Phase, simulate_until

QUICK = Cohort(mice=3, parameters={"rate": 0.1, "day_noise": 0.1})


@pytest.mark.parametrize("length", [{"trials": 700}, {"sessions": 2}])
def test_the_same_mouse_comes_out(length, tmp_path, capsys):
    write_rollout(simulate(QUICK, seed=4, **length), tmp_path / "r.h5")
    assert main(["verify", str(tmp_path / "r.h5"), "--again", "2"]) == 0
    assert "2 of 3 mice simulated again, the same bits" in capsys.readouterr().out


def test_mice_that_went_on_under_another_protocol(tmp_path):
    then = [Phase("biased", "ready4ephysrig", 2)]
    rollout = simulate_until(QUICK, "ibl-2019", until="trained_1a", horizon=12, then=then)
    assert rollout.origin["then"]
    assert "3 of 3 mice" in check_again(rollout.select([2, 0, 1]).without_weights(), 5)


@pytest.mark.parametrize(("name", "value"), [("contrast", 0.25), ("response_time", 9.0)])
def test_value_that_differs_is_named_by_mouse_trial_and_column(name, value):
    rollout = simulate(QUICK, trials=50)
    changed = rollout.columns[name].copy()
    changed[60] = value if changed[60] != value else value / 2
    with pytest.raises(ValueError, match=rf"mouse 'mouse-0001', trial 10: {name} is .*, simulated again"):
        check_again(replace(rollout, columns=dict(rollout.columns) | {name: changed}), 3)


def test_weights_are_compared_too():
    rollout = simulate(QUICK, trials=50)
    rollout.weights[149, 1] = np.nextafter(rollout.weights[149, 1], np.float32(9))
    with pytest.raises(ValueError, match="mouse 'mouse-0002', trial 49: weights is"):
        check_again(rollout, 3)


def test_mice_of_which_the_file_does_not_tell_all(tmp_path):
    first = simulate(QUICK, trials=20)
    assert "began from a state" in check_again(replace(first, origin=dict(first.origin) | {"begun": {}}), 1)
    with pytest.raises(ValueError, match="mouse 'Ada' is none of its cohort of 3 mice"):
        check_again(replace(first, ids=("mouse-0000", "Ada", "mouse-0002")), 3)
    write_rollout(first, tmp_path / "r.h5")
    assert Rollout.open(tmp_path / "r.h5").select([1]).ids == ("mouse-0001",)
