"""The vector environment: mouse by mouse the scalar one, and Gymnasium's conventions."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from envs import PROTOCOLS, WORLDS

MICE = 3


def make(protocol="ibl-documented", mice=MICE, **settings):
    return gym.make_vec("IBL/TrainingChoiceWorld-v0", num_envs=mice, protocol=protocol, **settings)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_each_mouse_is_the_scalar_environment(name):
    vector = make(name)
    scalars = [gym.make("IBL/TrainingChoiceWorld-v0", protocol=name, mouse=m) for m in range(MICE)]
    observations, infos = vector.reset(seed=8)
    ones = [env.reset(seed=8) for env in scalars]
    rng = np.random.default_rng(0)
    for _ in range(700):
        for m, (observation, info) in enumerate(ones):
            assert observations[m] == observation
            assert {name: infos[name][m] for name in info} == info
        actions = rng.integers(0, 3, MICE)
        seconds = rng.lognormal(0, 1, MICE)
        observations, rewards, terminated, truncated, infos = vector.unwrapped.respond(actions, seconds)
        ones = []
        for m, env in enumerate(scalars):
            observation, reward, _, over, info = env.unwrapped.respond(actions[m], seconds[m])
            assert (rewards[m], truncated[m], terminated[m]) == (reward, over, False)
            assert {name: infos[name][m] for name in info} == info
            ones.append(env.reset() if over else (observation, info))
        if truncated.any():
            observations, standing = vector.reset(options={"reset_mask": truncated})
            infos = {**infos, **standing, "key": np.where(truncated, standing["key"], 0)}


@pytest.mark.parametrize("world", WORLDS)
def test_every_world_has_a_vector_environment(world):
    env = gym.make_vec(world, num_envs=2)
    observations, infos = env.reset(seed=1)
    assert observations.shape == (2, 1)
    assert observations in env.observation_space
    assert env.unwrapped.protocol == PROTOCOLS[WORLDS[world]]
    assert env.metadata["autoreset_mode"] == AutoresetMode.DISABLED
    observations, rewards, _, _, infos = env.step(env.action_space.sample())
    assert observations.dtype == np.float32
    assert rewards.shape == (2,)
    assert all(infos[f"_{name}"].dtype == bool for name in infos if not name.startswith("_"))


def test_nothing_resets_by_itself():
    env = make("constant")
    env.reset(seed=1)
    for _ in range(571):
        *_, truncated, _ = env.step(np.zeros(MICE, int))
    assert truncated.all()
    with pytest.raises(RuntimeError, match="mouse 0: its session is over"):
        env.step(np.zeros(MICE, int))
    _, infos = env.reset(options={"reset_mask": np.array([True, False, True])})
    assert infos["session"].tolist() == [1, 0, 1]
    assert infos["_session"].tolist() == [True, False, True]
    with pytest.raises(RuntimeError, match="mouse 1: its session is over"):
        env.step(np.zeros(MICE, int))


def test_next_step_resets_whatever_the_action():
    env = make("constant", autoreset_mode=AutoresetMode.NEXT_STEP)
    assert env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    env.reset(seed=1)
    for _ in range(571):
        *_, truncated, _ = env.step(np.zeros(MICE, int))
    assert truncated.all()
    observations, rewards, _, truncated, infos = env.step(np.full(MICE, 2))
    assert not truncated.any()
    assert rewards.tolist() == [0.0] * MICE
    assert infos["session"].tolist() == [1] * MICE
    assert infos["trial"].tolist() == [0] * MICE
    assert not infos["_choice"].any()
    disabled = make("constant")
    disabled.reset(seed=1)
    for _ in range(571):
        disabled.step(np.zeros(MICE, int))
    assert np.array_equal(disabled.reset()[0], observations)


def test_a_mouse_does_not_depend_on_how_many_there_are():
    few, many = make(mice=2), make(mice=9)
    assert np.array_equal(few.reset(seed=3)[0], many.reset(seed=3)[0][:2])
    for _ in range(50):
        assert np.array_equal(few.step(np.zeros(2, int))[0], many.step(np.zeros(9, int))[0][:2])


def test_seeds():
    env = make()
    keys = env.reset(seed=[5, 6, None])[1]["key"]
    one = gym.make("IBL/TrainingChoiceWorld-v0", mouse=1)
    assert one.reset(seed=6)[1]["key"] == keys[1]
    again = env.reset(seed=[None, 7, None])[1]["key"]
    assert (again == keys).tolist() == [True, False, True]
    with pytest.raises(ValueError, match="2 seeds for 3 mice"):
        env.reset(seed=[1, 2])


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0, 3, 1], "mouse 1: action 3"),
        ([0, 0, -1], "mouse 2: action -1"),
        ([0, 1], "expected 3 integers"),
        ([0.5] * 3, "integers"),
    ],
)
def test_bad_actions(actions, message):
    env = make()
    env.reset(seed=1)
    before = env.unwrapped._mice.copy()
    with pytest.raises(ValueError, match=message):
        env.step(np.array(actions))
    assert np.array_equal(env.unwrapped._mice, before)


def test_bad_resets():
    env = make()
    with pytest.raises(RuntimeError, match="first reset"):
        env.reset(options={"reset_mask": np.array([True, False, False])})
    env.reset(seed=1)
    for mask in ([True, False], [1, 0, 0], [False] * 3):
        with pytest.raises(ValueError, match="expected 3 truth values"):
            env.reset(options={"reset_mask": np.array(mask)})
    with pytest.raises(RuntimeError, match="mouse 0"):
        make().step(np.zeros(MICE, int))
    with pytest.raises(ValueError, match="expected DISABLED or NEXT_STEP"):
        make(autoreset_mode=AutoresetMode.SAME_STEP)


@pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
def test_render(mode):
    env = make(render_mode=mode)
    env.reset(seed=2)
    scalar = gym.make("IBL/TrainingChoiceWorld-v0", mouse=2, render_mode=mode)
    scalar.reset(seed=2)
    assert np.array_equal(env.render()[2], scalar.render())
