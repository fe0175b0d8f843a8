"""What a user gives to the environments: taken or refused in a sentence, before compiled code sees it."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

WORLD = "IBL/TrainingChoiceWorld-v0"
MICE = 3


def scalar(**settings):
    env = gym.make(WORLD, **settings).unwrapped
    env.reset(seed=1)
    return env


def vector(**settings):
    env = gym.make_vec(WORLD, num_envs=MICE, **settings).unwrapped
    env.reset(seed=1)
    return env


@pytest.mark.parametrize("action", [1, True, 1.0, np.int64(1), np.uint8(1), np.array(1), np.array([1]), np.array([[1]])])
def test_one_action_in_any_form(action):
    assert [scalar().step(action)[1:] for _ in range(2)] == [scalar().step(1)[1:]] * 2


@pytest.mark.parametrize(
    "action", [3, -1, 0.5, None, "left", float("nan"), [1], {}, np.array([0, 1]), np.array([]), np.array("1"), np.float64(2.5)]
)
def test_what_is_no_action(action):
    env = scalar(mouse=3)
    before = env._mice.copy()
    with pytest.raises(ValueError, match=r"^mouse 3: (an )?action .*expected .*0 \(left\), 1 \(right\) or 2 \(no-go\)$"):
        env.step(action)
    assert np.array_equal(env._mice, before)


@pytest.mark.parametrize("seconds", [-5.0, -0.001, float("nan"), float("inf"), "soon", None, np.array([1.0, 2.0])])
def test_what_is_no_response_time(seconds):
    one, many = scalar(mouse=3), vector()
    before = one._mice.copy(), many._mice.copy()
    with pytest.raises(ValueError, match=r"^mouse 3: response_time = .*expected a number of seconds"):
        one.respond(1, seconds)
    with pytest.raises(ValueError, match=r"response_time"):
        many.respond([0, 1, 2], seconds)
    assert np.array_equal(one._mice, before[0]) and np.array_equal(many._mice, before[1])
    with pytest.raises(ValueError, match="response_time"):
        scalar(response_time=seconds)


@pytest.mark.parametrize("seconds", [1, np.float32(0.5), np.array(0.5), np.int64(2)])
def test_response_times_in_any_form(seconds):
    assert scalar().respond(1, seconds)[4] == scalar().respond(1, float(seconds))[4]


def test_the_mouse_of_a_wrong_response_time_is_named():
    with pytest.raises(ValueError, match=r"^mouse 1: response_time = -2\.0"):
        vector().respond([0, 1, 2], [0.1, -2.0, 0.3])


@pytest.mark.parametrize("mouse", [-1, 1.5, True, None, 2**70])
def test_what_is_no_mouse(mouse):
    with pytest.raises(ValueError, match=r"mouse = .*expected"):
        gym.make(WORLD, mouse=mouse)


def test_a_mouse_of_any_number_costs_nothing():
    assert scalar(mouse=2**60).key != scalar().key


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1", True])
def test_what_is_no_seed(seed):
    for env in (gym.make(WORLD), gym.make_vec(WORLD, num_envs=MICE)):
        with pytest.raises(ValueError, match=r"^seed = .*expected"):
            env.reset(seed=seed)
    with pytest.raises(ValueError, match=r"^seed of mouse 1 = .*expected"):
        vector().reset(seed=[1, seed, None])


def test_seeds_in_any_form():
    assert scalar().reset(seed=np.int64(7))[1] == scalar().reset(seed=7)[1]
    assert scalar().reset(seed=2**64 - 1)[1]["key"] == vector().reset(seed=2**64 - 1)[1]["key"][0]
    assert (vector().reset(seed=np.array([7, 7, 7]))[1]["key"] == vector().reset(seed=7)[1]["key"]).all()
    key = scalar().key
    env = gym.make(WORLD)
    env.reset(seed=None)
    assert env.unwrapped.key != key


@pytest.mark.parametrize("options", [{"stage": 2.5}, {"stage": "3"}, {"stage": None}, {"stage": True}, [("stage", 1)]])
def test_options_that_are_none(options):
    for env in (scalar(), vector()):
        with pytest.raises(ValueError, match="options"):
            env.reset(options=options)


@pytest.mark.parametrize(
    "actions", [None, 1, "left", [[0], [1, 2]], np.zeros((MICE, 1), int), np.zeros(MICE), np.zeros(MICE, bool), [0, 1]]
)
def test_what_are_no_actions(actions):
    with pytest.raises(ValueError, match=rf"^actions .*expected {MICE} integers"):
        vector().step(actions)


@pytest.mark.parametrize("number", [0, -1, 1.5, None, True])
def test_what_is_no_number_of_mice(number):
    with pytest.raises(ValueError, match=r"num_envs = .*expected"):
        gym.make_vec(WORLD, num_envs=number)


def test_before_there_is_a_mouse():
    with pytest.raises(RuntimeError, match="no mouse yet"):
        _ = gym.make(WORLD).unwrapped.key
    with pytest.raises(RuntimeError, match="no mouse yet"):
        _ = gym.make_vec(WORLD, num_envs=2).unwrapped.keys
    with pytest.raises(RuntimeError, match=r"mouse 0: its session is over \(or never began\)"):
        gym.make_vec(WORLD, num_envs=2, autoreset_mode="NextStep").step(np.zeros(2, int))


def test_an_autoreset_mode_there_is_not():
    with pytest.raises(ValueError, match=r"autoreset_mode 'Never'; expected DISABLED or NEXT_STEP \('Dis.*' or 'NextStep'\)"):
        gym.make_vec(WORLD, num_envs=2, autoreset_mode="Never")
    assert vector(autoreset_mode="NextStep")._resets
