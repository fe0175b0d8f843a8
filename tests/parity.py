"""The same trials by every path: what each path is, and what the same means. Used by test_parity.py."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import gymnasium as gym
import numpy as np

from agents import RULES, Mouse
from envs import PROTOCOLS
from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.simulation import simulate

MICE, TRIALS, SEED = 2, 1000, 11  # more than one session, so that a night lies within
EVERY = list(product(RULES, PROTOCOLS))
# In plain Python, which is slow: every rule, and every protocol.
CASES = [(rule, "ibl-documented") for rule in RULES] + [("full-mouse", name) for name in PROTOCOLS if name != "ibl-documented"]
SEEN = ("contrast", "choice", "reward", "weights", "is_repeat", "stage", "response_time", "water_ul", "start_time")


def cohort(rule: str) -> Cohort:
    """Mice that learn fast enough to pass stages, with every trait in use and history features."""
    wide = {"distribution": "uniform", "low": 0.01, "high": 0.2}
    rates = {p.name: wide for p in RULES[rule].parameters if "rate" in p.name}
    traits = {
        "initial_weight": {"stimulus": 1.0, "bias": -0.5},
        "trial_noise.bias": 0.01,
        "day_noise": 0.2,
        "lapse_low": 0.03,
        "lapse_high": 0.05,
        "no_go": 0.02,
        "engaged_trials": {"distribution": "uniform", "low": 300.0, "high": 500.0},
    }
    features = (
        "stimulus",
        "bias",
        "previous_choice",
        "previous_reward",
        "previous_stimulus",
        "stimulus_left",
        "stimulus_right",
    )
    return Cohort(mice=MICE, rule=rule, features=features, parameters=rates | traits)


def by_gymnasium(rule: str, protocol: str) -> dict[str, np.ndarray]:
    """The columns a Gymnasium loop with `Mouse` can see, (MICE * TRIALS,)."""
    group = cohort(rule)
    theta = group.theta(SEED)
    rows: dict[str, list] = {name: [] for name in SEEN}
    for m in range(MICE):
        env = gym.make("IBL/TrainingChoiceWorld-v0", protocol=protocol, mouse=m)
        observation, info = env.reset(seed=SEED)
        mouse = Mouse(rule, group.features, key=info["key"], theta=theta[m])
        mouse.start_session()
        for _ in range(TRIALS):
            rows["contrast"].append(observation[0])
            rows["weights"].append(mouse.weights)
            rows["stage"].append(info["stage"])
            rows["start_time"].append(info["clock"])
            action = mouse.act(observation)
            observation, reward, _, truncated, info = env.unwrapped.respond(action, mouse.response_time)
            mouse.learn(reward, info["choice"])
            rows["reward"].append(reward)
            for name in ("choice", "is_repeat", "response_time", "water_ul"):
                rows[name].append(info[name])
            if truncated:
                observation, info = env.reset()
                mouse.start_session()
    columns = {name: np.array(values) for name, values in rows.items()}
    single = ("weights", "response_time", "water_ul", "start_time")
    return columns | {name: columns[name].astype(np.float32) for name in single}


def columns_of(rollout: Rollout) -> dict[str, np.ndarray]:
    """Every trial column and the weights."""
    return {**rollout.columns, "weights": rollout.weights}


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    """Fail unless every column that both have is the same, bit for bit, and they share the essential ones."""
    shared = a.keys() & b.keys()
    assert {"contrast", "choice", "reward", "weights"} <= shared
    for name in sorted(shared):
        different = np.flatnonzero(np.atleast_2d((a[name] != b[name]).T).any(axis=0))
        assert different.size == 0, f"{name} differs at {different.size} trials, first at {different[0]}"


def without_compiler(folder: Path) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """Every case by the fused driver in plain Python, in a process of its own."""
    file = folder / "plain.npz"
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    subprocess.run([sys.executable, __file__, str(file)], env=environment, check=True, cwd=Path(__file__).parent.parent)
    with np.load(file) as arrays:
        loaded = {name: arrays[name] for name in arrays.files}
    return {case: {name.split("|")[2]: a for name, a in loaded.items() if tuple(name.split("|")[:2]) == case} for case in CASES}


if __name__ == "__main__":
    results = {case: columns_of(simulate(cohort(case[0]), case[1], trials=TRIALS, seed=SEED)) for case in CASES}
    np.savez(
        sys.argv[1], **{f"{rule}|{protocol}|{name}": a for (rule, protocol), c in results.items() for name, a in c.items()}
    )
