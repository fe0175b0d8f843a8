"""What is counted of each session, by hand."""

import numpy as np
import pytest
from rollouts import rollout

from twin.evaluation.session_summary import easy_contrast, easy_performances, summarise_rollout, summarise_sessions


def test_summary_counts():
    contrast = np.array([-1, 0.5, 0, 0, 0.25, 1], np.float32)
    choice, reward = np.array([0, -1, 1, 1, 0, 1], np.int8), np.array([1, 0, 1, 0, 0, 1], np.int8)
    blocks = np.array([0.5, 0.2, 0.2, 0.8, 0.8, 0.2], np.float32)
    summary = summarise_sessions(contrast, choice, reward, np.arange(6.0), blocks, [0, 4, 4, 6])
    assert summary.levels.tolist() == [-100, 0, 25, 50, 100]
    assert summary.n_trials.tolist() == [4, 0, 2]
    assert summary.easy_trials.tolist() == [2, 0, 1] and summary.easy_correct.tolist() == [1, 0, 1]
    assert summary.counts[:, 0].tolist() == [[1, 2, 0, 1, 0], [0] * 5, [0, 0, 1, 0, 1]]
    assert summary.counts[0, 1:].tolist() == [[0, 1, 0, 1, 0], [0, 1, 0, 0, 0]]
    assert summary.left[:, 0].tolist() == [[1, 0, 0, 0, 0], [0] * 5, [0, 0, 1, 0, 0]]
    assert not summary.left[0, 1:].any() and summary.left[2, 1:].tolist() == [[0] * 5, [0, 0, 1, 0, 0]]
    assert summary.right[:, 0].tolist() == [[0, 2, 0, 0, 0], [0] * 5, [0, 0, 0, 0, 1]]
    assert summary.zero_times.tolist() == [2, 3] and summary.zero_starts.tolist() == [0, 2, 2, 2]


def test_choices_of_a_rollout_are_counted_at_each_contrast():
    data = rollout(mice=2, sessions=3)
    summary = summarise_rollout(data)
    assert summary.n_trials.tolist() == [60] * 5
    for s, (start, stop) in enumerate(zip(data.sessions.start, data.sessions.stop, strict=True)):
        contrast, choice = data.contrast[start:stop], data.choice[start:stop]
        for i, level in enumerate(np.unique(data.contrast)):
            choices = choice[contrast == level]
            expected = [len(choices), np.sum(choices == 0), np.sum(choices == 1)]
            assert [counts[s, 0, i] for counts in (summary.counts, summary.left, summary.right)] == expected
    assert np.isnan(summary.zero_times).all() and summary.zero_times.size == np.sum(data.contrast == 0)


def test_easy_trials_are_the_strongest_ones_where_none_is_strong():
    assert easy_contrast(np.array([-1, 0.25], np.float32)) == 0.5
    assert easy_contrast(np.array([-0.25, 0.125], np.float32)) == 0.25
    contrast, choice = np.array([0.25, -0.25, 0.25, 0.125]), np.array([1, 1, -1, 1])
    columns = contrast, choice, np.array([1, 0, 0, 1]), np.ones(4), np.ones(4)
    assert np.isnan(easy_performances(summarise_sessions(*columns, [0, 4]))).all()
    assert easy_performances(summarise_sessions(*columns, [0, 4], 0.25)).tolist() == [1 / 3]  # a no-go is an error


def test_errors_say_what_was_given_and_expected():
    columns = [np.zeros(3)] * 5
    with pytest.raises(ValueError, match=r"sessions is .*rising from 0 to 3"):
        summarise_sessions(*columns, [0, 2])
    with pytest.raises(ValueError, match="contrast is NaN or beyond 1"):
        summarise_sessions(np.full(3, np.nan), *columns[1:], [0, 3])
    with pytest.raises(ValueError, match="same"):
        summarise_sessions(np.zeros(2), *columns[1:], [0, 2])
    with pytest.raises(ValueError, match="more than 64"):
        summarise_sessions(np.linspace(-1, 1, 99), *[np.zeros(99)] * 4, [0, 99])
