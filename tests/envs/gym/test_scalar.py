"""The scalar environment by Gymnasium's own rules, and what it tells."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from agents import Mouse
from envs import PROTOCOLS, WORLDS
from envs.gym.render import AMPLITUDE, AZIMUTH, GREY, PIXELS_PER_DEGREE, gabor
from envs.gym.scalar import ChoiceWorldEnv
from scenarios import ppo_first_stage
from twin.cohort import Cohort
from twin.simulation import simulate


def play(env, seed, steps, rng_seed=0):
    """(contrast, reward, correct side, truncated) of some random steps, over nights."""
    rng = np.random.default_rng(rng_seed)
    seen = []
    observation, _ = env.reset(seed=seed)
    for _ in range(steps):
        contrast = observation[0]
        observation, reward, _, truncated, info = env.step(rng.integers(3))
        seen.append((contrast, reward, info["correct_choice"], truncated))
        if truncated:
            observation, _ = env.reset()
    return seen


@pytest.mark.parametrize("mode", [None, "ansi", "rgb_array"])
@pytest.mark.parametrize("world", WORLDS)
def test_check_env(world, mode):
    check_env(gym.make(world, render_mode=mode).unwrapped)


@pytest.mark.parametrize("world", WORLDS)
def test_each_world_has_its_protocol(world):
    assert gym.make(world).unwrapped.protocol == PROTOCOLS[WORLDS[world]]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_two_resets_with_one_seed_are_identical(name):
    env = gym.make("IBL/TrainingChoiceWorld-v0", protocol=name)
    first, again, other = (play(env, seed, 700) for seed in (4, 4, 5))
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", PROTOCOLS)
def test_loop_with_mouse_is_the_simulation(name):
    cohort = Cohort(mice=2, rule="full-mouse", parameters={"initial_weight.stimulus": 1.0, "no_go": 0.05})
    trials = 450
    rollout = simulate(cohort, name, trials=trials, seed=7)
    env = gym.make("IBL/TrainingChoiceWorld-v0", protocol=name, mouse=1)
    observation, info = env.reset(seed=7)
    mouse = Mouse(cohort.rule, cohort.features, key=info["key"], theta=cohort.theta(7)[1])
    for i in range(*rollout.of_mouse(1).indices(len(rollout))):
        assert observation[0] == rollout.contrast[i]
        assert np.float32(info["clock"]) == rollout.start_time[i]
        action = mouse.act(observation)
        observation, reward, _, over, info = env.unwrapped.respond(action, mouse.response_time)
        mouse.learn(reward, info["choice"])
        seen = (info["choice"], reward, info["is_repeat"], np.float32(info["response_time"]), np.float32(info["water_ul"]))
        columns = ("choice", "reward", "is_repeat", "response_time", "water_ul")
        assert seen == tuple(getattr(rollout, column)[i] for column in columns)
        if over:
            observation, info = env.reset()
            mouse.start_session()


def test_what_info_tells():
    env = gym.make("IBL/TrainingChoiceWorld-v0", protocol="ibl-v8", response_time=0.7)
    _, info = env.reset(seed=1)
    assert set(info) == {"stage", "session", "trial", "clock", "gain", "key"}
    *_, info = env.step(2)
    assert (info["choice"], info["response_time"], info["water_ul"], info["trial"]) == (-1, 60.0, 0.0, 1)
    *_, reward, _, _, info = env.step(0)
    assert (info["choice"], info["response_time"], info["is_repeat"]) == (0, 0.7, True)
    assert info["water_ul"] == 3.0 * reward
    assert reward == (info["correct_choice"] == 0)


def test_reset_is_the_next_day_and_a_seed_a_new_mouse():
    env = gym.make("IBL/TrainingChoiceWorld-v0")
    _, first = env.reset(seed=1)
    assert env.reset()[1] == first  # nothing was done yet
    env.step(0)
    _, next_day = env.reset()
    assert (next_day["session"], next_day["key"]) == (1, first["key"])
    _, other = env.reset(seed=2)
    assert other["session"] == 0
    assert other["key"] != first["key"]


def test_stage_option():
    env = gym.make("IBL/TrainingChoiceWorld-v0")
    observation, info = env.reset(seed=1, options={"stage": 5})
    assert info["stage"] == 5
    contrasts = {abs(float(observation[0]))} | {abs(float(env.step(0)[0][0])) for _ in range(300)}
    assert contrasts == {1.0, 0.25, 0.125, 0.0625, 0.0}
    assert env.reset()[1]["stage"] == 5
    with pytest.raises(ValueError, match="has stages 0 to 5"):
        env.reset(options={"stage": 6})
    with pytest.raises(ValueError, match="unknown option 'stagee'"):
        env.reset(options={"stagee": 3})


@pytest.mark.parametrize("action", [-1, 3, 0.5])
def test_action_outside_the_space(action):
    env = gym.make("IBL/TrainingChoiceWorld-v0", mouse=3)
    env.reset(seed=1)
    with pytest.raises(ValueError, match="mouse 3: action"):
        env.step(action)


def test_step_without_a_session():
    env = gym.make("IBL/TrainingChoiceWorld-v0", protocol="constant", mouse=2)
    with pytest.raises(RuntimeError, match="mouse 2: its session is over"):
        env.step(0)
    env.reset(seed=1)
    steps = [env.step(0)[3] for _ in range(571)]
    assert steps == [False] * 570 + [True]
    with pytest.raises(RuntimeError, match=r"mouse 2: its session is over .* call reset\(\)"):
        env.step(0)


def test_unknown_render_mode():
    with pytest.raises(ValueError, match="render_mode 'svg'"):
        ChoiceWorldEnv(render_mode="svg")


def test_render():
    env = gym.make("IBL/TrainingChoiceWorld-v0", render_mode="ansi")
    with pytest.raises(RuntimeError, match="call reset"):
        env.render()
    observation, _ = env.reset(seed=1)
    assert env.render() == f"session 1 trial 1 stage 0 contrast {100 * observation[0]:+.4g} %"
    picture = gym.make("IBL/TrainingChoiceWorld-v0", render_mode="rgb_array")
    picture.reset(seed=1)
    assert picture.render().shape == (240, 440, 3)


@pytest.mark.parametrize("contrast", [-1.0, 0.5, -0.0625, 0.0])
def test_grating(contrast):
    picture = gabor(contrast, phase=0.0)[:, :, 0].astype(float)
    assert picture[0, 0] == picture[120, 220] == GREY
    deviation = np.abs(picture - GREY)
    assert deviation.max() == pytest.approx(AMPLITUDE * abs(contrast), abs=1.0)
    if contrast:
        weights = (deviation * (deviation > 1)).sum(axis=0)
        azimuth = (np.average(np.arange(440), weights=weights) + 0.5) / PIXELS_PER_DEGREE - 55
        assert azimuth == pytest.approx(np.sign(contrast) * AZIMUTH, abs=1.0)
        middle = picture[120, :] - GREY
        centre = int((np.sign(contrast) * AZIMUTH + 55) * PIXELS_PER_DEGREE)
        trough = centre + np.argmin(middle[centre : centre + 40])
        assert trough - centre == pytest.approx(0.5 * 10 * PIXELS_PER_DEGREE, abs=5)  # half a cycle of .1 per degree


def test_ppo_agent_passes_the_first_stage():
    trials = ppo_first_stage.train(seed=1, most=6_000)
    assert trials is not None
    assert trials < 6_000
