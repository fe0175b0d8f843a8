"""Controls: what is taken out of a record, and what is left as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from twin.data.controls import SHUFFLED, shuffle_rewards
from twin.data.rollout import Rollout
from twin.data.trials import Trials
from twin.studies.run import run
from twin.studies.scenario import parse


def of_rewards(rollout: Rollout, reward: np.ndarray) -> Rollout:
    return replace(rollout, columns={**rollout.columns, "reward": reward.astype(np.int8)})


def test_rewards_of_each_mouse_are_permuted_and_nothing_else(small):
    rollout = small[1]
    shuffled = shuffle_rewards(rollout, 3)
    for m in range(rollout.n_mice):
        mine = rollout.of_mouse(m)
        assert shuffled.reward[mine].sum() == rollout.reward[mine].sum()
        correct = (2 * rollout.choice[mine] - 1) == rollout.side[mine]
        assert np.array_equal(rollout.reward[mine] == 1, correct)
        assert abs(np.corrcoef(shuffled.reward[mine], correct)[0, 1]) < 4 / np.sqrt(600)
    assert all(np.array_equal(shuffled.columns[name], column) for name, column in rollout.columns.items() if name != "reward")
    assert np.array_equal(shuffle_rewards(rollout.select([0]), 3).reward, shuffled.reward[:600])  # by seed and mouse alone
    assert not np.array_equal(shuffle_rewards(rollout, 4).reward, shuffled.reward)


def test_trials_without_a_choice_or_a_known_reward_keep_what_they_have(small):
    rollout = small[1]
    reward = np.where(np.arange(len(rollout)) % 7 == 0, -1, rollout.reward)
    shuffled = shuffle_rewards(of_rewards(rollout, reward))
    assert np.array_equal(shuffled.reward[::7], reward[::7])
    assert np.array_equal(Trials.from_rollout(shuffled).mask, Trials.from_rollout(of_rewards(rollout, reward)).mask)


@pytest.mark.parametrize(("reward", "found"), [(-1, "no choice has a known reward"), (1, "every known reward is 1")])
def test_a_record_without_rewards_cannot_be_shuffled(small, reward, found):
    with pytest.raises(ValueError, match=f"shuffle_rewards: {found} in 4 mice.*give a record that tells rewards"):
        shuffle_rewards(of_rewards(small[1], np.full(len(small[1]), reward)))


def test_a_recovery_fits_what_was_shuffled_and_says_so(tmp_path):
    table = {
        "cohort": {"mice": 2, "rule": "reinforce", "parameters": {"rate": 0.1}},
        "protocol": {"base": "constant"},
        "run": {"trials": 500},
        "inference": {"models": ["reinforce"]},
    }
    with_rewards, shuffled = (
        run(parse({"kind": "recovery", "name": "r", **table, **more}, "t"), tmp_path / str(len(more)))
        for more in ({}, {"shuffle_rewards": True})
    )
    assert shuffled.notes == [SHUFFLED] and not with_rewards.notes
    assert f"note: {SHUFFLED}" in shuffled.summary()
    assert shuffled.easy_performance_last3 == with_rewards.easy_performance_last3  # behaviour is as it was
    fitted = [result.models["reinforce"] for result in (with_rewards, shuffled)]
    assert fitted[1].nll_per_trial > fitted[0].nll_per_trial + 0.01
