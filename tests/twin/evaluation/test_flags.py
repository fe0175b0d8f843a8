"""Estimates that are none are told from those that are, by where they and their intervals lie."""

import numpy as np
import pytest

from agents.parameters import Parameter
from twin.data.formats import read
from twin.data.trials import Trials
from twin.evaluation.flags import BOUND, INFINITE, ONE_SIDED, UNDETERMINED, flag, parameter_flags
from twin.inference.fit import fit

BASELINE = Parameter("baseline", 0.0, -0.5, 0.5, "reward", "")
RATE = Parameter("rate", 0.03, 0.0, 1.0, "weight per trial", "")
NOISE = Parameter("trial_noise", 0.0, 0.0, np.inf, "weight", "")
WEIGHT = Parameter("initial_weight", 0.0, -np.inf, np.inf, "logit", "")


@pytest.mark.parametrize(
    ("parameter", "value", "interval", "expected"),
    [
        (BASELINE, 0.1, (0.0, 0.2), None),
        (BASELINE, 0.5, (0.499, 0.5), BOUND),
        (BASELINE, 0.4998, (0.499, 0.5), BOUND),
        (BASELINE, 0.3, (0.3, 0.3), BOUND),  # no width: the search did not move
        (BASELINE, 0.3, (0.1, 0.5), ONE_SIDED),
        (BASELINE, 0.3, (-0.5, 0.5), UNDETERMINED),
        (RATE, 0.0008, (0.0006, 0.0011), None),  # small, and known well
        (RATE, 0.0008, (2e-9, 0.0011), BOUND),
        (RATE, 1e-9, (np.nan, np.nan), BOUND),
        (NOISE, 0.01, (0.005, 0.02), None),
        (NOISE, 1e-9, (2e-9, 0.01), BOUND),
        (NOISE, 0.01, (2e-9, 0.02), ONE_SIDED),
        (NOISE, 1e8, (1.0, 4e8), INFINITE),
        (NOISE, np.nan, (np.nan, np.nan), INFINITE),
        (WEIGHT, -3.0, (-4.0, -2.0), None),
        (WEIGHT, 19.0, (4.0, 20.0), INFINITE),
        (WEIGHT, 6.0, (4.0, 20.0), ONE_SIDED),
    ],
)
def test_flag_of_an_estimate(parameter, value, interval, expected):
    assert flag(value, *interval, parameter) == expected


def test_bounds_are_those_of_the_fit(tmp_path):
    """A rate kept below what the mouse has ends at that bound, not at its own."""
    rng = np.random.default_rng(1)
    lines = ["subject,session,date,trial,contrast_left,contrast_right,choice,correct,probability_left,response_time"]
    weight = 0.0
    for trial in range(400):  # a mouse that learns fast, and hardly at all by the fit's leave
        side = 2 * rng.integers(2) - 1
        right = rng.random() < 1 / (1 + np.exp(-weight * side))
        correct = int((side > 0) == right)
        weight += 0.5 * correct * abs(right - 1 / (1 + np.exp(-weight * side)))
        stimulus = ("0", "1") if side > 0 else ("1", "0")
        lines.append(f"m,1,2021-03-01,{trial + 1},{','.join(stimulus)},{1 if right else -1},{correct},0.5,1")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    trials = Trials.from_rollout(read(tmp_path / "m.csv"), ("stimulus", "bias"))
    kept = fit(trials, "reinforce", bounds={"rate": (0.0, 0.004)})
    assert parameter_flags(kept)["rate"] == [BOUND]
