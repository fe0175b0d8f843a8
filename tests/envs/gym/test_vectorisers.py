"""The scalar environment under Gymnasium's own vectorisers and wrappers, over many seeds and the end of a session."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import vector as vector_wrappers

from agents import Mouse

WORLD = "IBL/TrainingChoiceWorld-v0"
MICE = 2


def short():
    from envs import load_protocol

    return load_protocol("constant", name="short", session_trials=40)


@pytest.fixture(scope="module")
def one():
    return gym.make(WORLD)


def test_info_survives_aggregation_for_every_seed(one):
    both = SyncVectorEnv([lambda: gym.make(WORLD)] * MICE)
    for seed in range(300):
        infos = both.reset(seed=seed)[1]
        for m in range(MICE):
            info = one.reset(seed=seed + m)[1]
            assert {name: infos[name][m] for name in info} == info
    assert infos["key"].dtype == np.uint64
    assert Mouse(key=infos["key"][0])._key == infos["key"][0]


@pytest.mark.parametrize("mode", AutoresetMode)
def test_gymnasiums_vectoriser_lives_through_sessions(mode):
    env = SyncVectorEnv([lambda: gym.make(WORLD, protocol=short())] * MICE, autoreset_mode=mode)
    env.reset(seed=2)
    sessions = 0
    for _ in range(130):
        *_, truncated, infos = env.step(np.zeros(MICE, int))
        sessions += truncated.sum()
        if mode is AutoresetMode.DISABLED and truncated.any():
            infos = env.reset(options={"reset_mask": truncated})[1]
    assert sessions == 3 * MICE
    assert infos["session"].tolist() == [3] * MICE


def test_gymnasiums_processes():
    env = gym.make_vec(WORLD, num_envs=MICE, vectorization_mode="async", protocol=short())
    for seed in range(5):
        infos = env.reset(seed=seed)[1]
    for _ in range(41):
        infos = env.step(np.zeros(MICE, int))[4]
    env.close()
    assert infos["session"].tolist() == [1] * MICE


WRAPPERS = ["RecordEpisodeStatistics", "NormalizeObservation", "NormalizeReward", "FlattenObservation"]


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrappers_of_the_vector_environment(wrapper):
    plain = gym.make_vec(WORLD, num_envs=MICE, protocol=short(), autoreset_mode="NextStep")
    env = getattr(vector_wrappers, wrapper)(plain)
    env.reset(seed=1)
    ends = [env.step(np.zeros(MICE, int))[3].all() for _ in range(82)]
    assert np.flatnonzero(ends).tolist() == [39, 80]


@pytest.mark.parametrize("wrapper", [*WRAPPERS, "Autoreset", "OrderEnforcing", "PassiveEnvChecker"])
def test_wrappers_of_the_scalar_environment(wrapper):
    env = getattr(wrappers, wrapper)(gym.make(WORLD, protocol=short()))
    env.reset(seed=1)
    sessions = 0
    for _ in range(90):
        *_, over, _ = env.step(0)
        sessions += over
        if over and wrapper != "Autoreset":
            env.reset()
    assert sessions == 2


def test_a_time_limit():
    env = wrappers.TimeLimit(gym.make(WORLD), 5)
    env.reset(seed=1)
    assert [env.step(0)[3] for _ in range(5)] == [False] * 4 + [True]
    assert env.reset()[1]["session"] == 1


def test_the_end_of_a_session_says_how_to_go_on():
    env = gym.make_vec(WORLD, num_envs=MICE, protocol=short())
    env.reset(seed=1)
    for _ in range(40):
        env.step(np.zeros(MICE, int))
    with pytest.raises(RuntimeError, match="autoreset_mode='NextStep'"):
        env.step(np.zeros(MICE, int))
