"""Where mice have been, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from twin.data.trials import Trials
from twin.evaluation.visited import STEPS, Visits, visited_points, weight_range


def record(stimulus, choice) -> Trials:
    choice = np.array([choice], np.int8)
    x = np.stack([np.array([stimulus], float), np.ones(choice.shape)], axis=-1)
    new = np.zeros(choice.shape, bool)
    return Trials(x, choice, choice, new, choice >= 0, np.array([choice.shape[1]]), ("stimulus", "bias"), ("m",))


def test_cells_by_hand():
    """Two stimuli, weights from 0 to 17: three cells of 2 x 17 x 2; a no-go is none, and stimuli go to the nearest."""
    trials = record([-1, 1, 1, 1, -1], [0, 1, 1, 0, -1])
    weights = np.zeros(trials.x.shape)
    weights[0, :, 0] = [0.5, 16.5, 16.4, 16.5, 3.0]
    visits = Visits.of(trials, weights, 0)
    assert visits.weights == (0.0, 17.0) and visits.stimulus.tolist() == [-1, 1]
    assert visits.counts.sum() == 4 and visits.counts[1, 16, 1] == 2
    assert visits.never == pytest.approx(1 - 3 / (2 * STEPS * 2))
    stimulus, weight = np.array([-0.2, 0.2, 1.0, 1.0]), np.array([0.1, 16.9, 15.9, 17.1])
    assert visits.at(stimulus, weight, 0).tolist() == [True, True, False, False]
    assert visits.at(stimulus, weight, 1).tolist() == [False, True, False, False]


def test_weights_are_from_naive_to_the_largest_but_for_the_rarest():
    assert weight_range([np.array([2.2, 3.4, np.nan])]) == (0, 4)
    assert weight_range([np.linspace(-1.5, -0.1, 50)]) == (-2, 1 - 1)
    assert weight_range([np.append(np.ones(1000), 90.0)]) == (0, 1)
    assert weight_range([np.full(3, np.nan)]) == (0, 1)


def test_points_are_trials_with_a_choice():
    trials = record(np.linspace(-1, 1, 500), [1, -1] * 250)
    w, x, choice, reward = visited_points(trials, trials.x * 2)
    assert len(w) == 200 and np.array_equal(w, 2 * x)
    assert (choice == 1).all() and (reward == 1).all()
