"""Trials: padded, masked, split, and known by their content."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from twin.data.rollout import COLUMNS, Rollout
from twin.data.trials import Trials


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


@pytest.mark.parametrize("what", [field.name for field in dataclasses.fields(Trials)])
def test_hash_sees_every_change(what):
    """Of anything in the trials; the same trials made again have the same hash."""
    trials = Trials.from_rollout(ragged())
    value = getattr(trials, what)
    other = (*value[:-1], "x") if isinstance(value, tuple) else value ^ 1 if value.dtype == bool else value + 1
    assert trials.content_hash() == Trials.from_rollout(ragged()).content_hash()
    assert dataclasses.replace(trials, **{what: other}).content_hash() != trials.content_hash()
    assert trials.first(4).content_hash() != trials.content_hash() != trials.of_mice([1, 0]).content_hash()


def test_features_are_put_in_another_order_by_name():
    trials = Trials.from_rollout(ragged(), ("contrast", "bias", "previous_choice"))
    names = ("previous_choice", "contrast", "bias")
    assert (trials.with_features(names).x == Trials.from_rollout(ragged(), names).x).all()
    assert trials.with_features(names).features == names
    with pytest.raises(ValueError, match=r"missing \['stimulus'\], not expected \['contrast', 'previous_choice'\]"):
        trials.with_features(("stimulus", "bias"))
    with pytest.raises(ValueError, match="expected"):
        trials.with_features(("contrast", "bias", "previous_choice", "bias"))


@pytest.mark.parametrize("n", [0, -3, 1.5, True, None])
def test_numbers_of_trials_that_are_none(n):
    trials = Trials.from_rollout(ragged())
    for wrong in (trials.first, trials.split):
        with pytest.raises(ValueError, match=f"= {n}: expected"):
            wrong(n)


def test_sessions_are_split_by_hand(small):
    trials = small[2].of_mice([0, 1])
    first, later = trials.after_sessions(1)
    starts = [np.flatnonzero(trials.new_session[m, : trials.lengths[m]]) for m in range(2)]
    ends = [s[s > 0][0] for s in starts]
    assert first.lengths.tolist() == ends
    assert first.choice.shape[1] == max(ends)
    for m, end in enumerate(ends):
        assert (first.choice[m, :end] == trials.choice[m, :end]).all()
        assert (first.choice[m, end:] == -1).all()
        assert first.mask[m].sum() == trials.mask[m, :end].sum()
        assert not later.mask[m, :end].any()
        assert (later.mask[m, end:] == trials.mask[m, end:]).all()
    assert (later.choice == trials.choice).all()
    for wrong in (0, 1.5):
        with pytest.raises(ValueError, match="sessions"):
            trials.after_sessions(wrong)
