"""The speed of every hot path, measured in one run on this machine.

Ratios come from the same run as both of their sides. Times are the best of a few repeats, since other work on a shared
machine only ever adds.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from agents.rules import RULES
from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.data.store import read_rollout, versions, write_rollout
from twin.data.trials import Trials
from twin.inference.closed_form.fit import fit_rule
from twin.inference.closed_form.likelihood import MouseLikelihood
from twin.inference.lanes import WIDTH
from twin.inference.noise.assumed_density import FilteredLikelihood
from twin.simulation import simulate


def bench(quick: bool = False) -> dict[str, Any]:
    """All measurements: {machine, versions, results: [{name, value, unit, settings}]}; `quick` takes smaller sizes."""
    rows: list[dict[str, Any]] = []

    def add(name: str, value: float, unit: str, settings: str) -> None:
        rows.append({"name": name, "value": value, "unit": unit, "settings": settings})

    rollout = _simulation(add, 200 if quick else 1000, 10_000)
    _environments(add, 20_000 if quick else 100_000)
    _likelihood(add)
    _fits(add, quick)
    _networks(add, quick)
    _store(add, rollout)
    _startup(add)
    return {"machine": machine(), "versions": versions(), "results": rows}


def machine() -> dict[str, Any]:
    """What this was measured on."""
    name = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return {"processor": name, "cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}


Add = Callable[[str, float, str, str], None]


def _best(call: Callable[[], Any], repeats: int = 3) -> float:
    """Shortest of some runs, seconds."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


def _simulation(add: Add, mice: int, trials: int) -> Rollout:
    cohort = Cohort(mice=mice, parameters={"rate": {"distribution": "lognormal", "median": 0.03, "sigma": 0.3}})
    one = Cohort(mice=1, parameters={"rate": 0.03})
    rollout = simulate(cohort, trials=trials)
    settings = f"{mice} mice x {trials} trials, ibl-documented, every column and the weights, 2 threads"
    both = _best(lambda: simulate(cohort, trials=trials, workers=2))
    single = _best(lambda: simulate(cohort, trials=trials, workers=1))
    add("simulate_fused", mice * trials / both, "trials/s", settings)
    add("simulate_two_worker_ratio", single / both, "1 thread over 2", settings)
    n = 200_000
    add(
        "simulate_single_mouse",
        1e9 * _best(lambda: simulate(one, trials=n, workers=1)) / n,
        "ns/trial",
        f"1 mouse x {n} trials",
    )
    return rollout


def _environments(add: Add, steps: int) -> None:
    env = gym.make("IBL/TrainingChoiceWorld-v0")

    def scalar() -> None:
        env.reset(seed=1)
        for i in range(steps):
            if env.step(i & 1)[3]:
                env.reset()

    vector = gym.make_vec("IBL/TrainingChoiceWorld-v0", num_envs=1000, vectorization_mode="vector_entry_point")
    vector.reset(seed=1)
    actions = np.arange(1000) % 2

    def many() -> None:
        for _ in range(steps // 100):
            done = vector.step(actions)[3]
            if done.any():
                vector.reset(options={"reset_mask": done})

    add("vector_env", 1e9 * _best(many) / (steps // 100 * 1000), "ns/env-step", "1,000 mice, resets included")
    add("scalar_env", 1e6 * _best(scalar) / steps, "us/step", f"{steps} steps through gym.make, random choices")


def _likelihood(add: Add) -> None:
    cohort = Cohort(mice=1, parameters={"rate": 0.03})
    rollout = simulate(cohort, trials=10_000)
    likelihood = MouseLikelihood(Trials.from_rollout(rollout), 0, cohort.layout)
    theta, free = cohort.theta(1)[0], [0, 1, 2]
    seconds = _best(lambda: likelihood.evaluate(theta, free), 10)
    add("likelihood_gradient", 1e9 * seconds / 10_000 / len(free), "ns/trial/parameter", "reinforce-baseline, 10,000 trials")


SLOW_AND_NOISY = {  # mice like the IBL's
    "rate": {"distribution": "lognormal", "median": 0.003, "sigma": 0.8},
    "baseline": -0.1,
    "trial_noise": 0.01,
    "day_noise": {"stimulus": 0.05, "bias": 0.2},
    "lapse_low": 0.03,
    "lapse_high": 0.03,
}


def _fits(add: Add, quick: bool) -> None:
    """Fits of a closed-form rule to mice that differ; ratios to one run of the likelihood over the same trials."""
    rate = {"distribution": "lognormal", "median": 0.06, "sigma": 0.3}
    cohort = Cohort(mice=8 if quick else 48, parameters={"rate": rate, "baseline": 0.1})
    mouse = Trials.from_rollout(simulate(cohort.model_copy(update={"mice": 1}), trials=10_000))
    seconds = _fit_seconds(mouse, repeats=2)
    add("fit_closed_form", seconds, "s", "reinforce-baseline, 1 mouse x 10,000 trials")

    trials = Trials.from_rollout(simulate(cohort, trials=2_000 if quick else 8_000))
    settings = f"reinforce-baseline, {len(trials.ids)} mice x {trials.x.shape[1]} trials, 2 cores"
    seconds = _fit_seconds(trials, population=True)
    add("fit_population", seconds, "s", settings)
    add("fit_population_ratio", seconds / _score_seconds(MouseLikelihood, trials, cohort), "fit over one likelihood", settings)

    noisy = cohort.model_copy(update={"parameters": SLOW_AND_NOISY})
    trials = Trials.from_rollout(simulate(noisy, "ibl-2019", trials=500 if quick else 8_000))
    settings = f"reinforce-baseline with noise and lapses, {len(trials.ids)} mice x {trials.x.shape[1]} trials, 2 cores"
    seconds = _fit_seconds(trials, noise=True, population=True)
    add("fit_noise", seconds, "s", settings)
    filters = _score_seconds(FilteredLikelihood, trials, noisy)
    add("fit_noise_ratio", seconds / filters, "fit over one filter of 16 parameters", settings)
    add("filter", 1e9 * filters / int(trials.lengths.sum()) / WIDTH, "ns/trial/parameter", settings)


def _fit_seconds(trials: Trials, repeats: int = 1, **settings: bool) -> float:
    """Seconds of a fit, compiled before."""
    rule = RULES["reinforce-baseline"]
    fit_rule(trials.of_mice([0]).first(100), rule, **settings)  # type: ignore[arg-type]
    return _best(lambda: fit_rule(trials, rule, **settings), repeats)  # type: ignore[arg-type]


def _score_seconds(kind: type[MouseLikelihood], trials: Trials, cohort: Cohort) -> float:
    """Seconds of one likelihood of all mice, without derivatives, in one thread."""
    theta = cohort.theta(1)
    likelihoods = [kind(trials, m, cohort.layout) for m in range(len(trials.ids))]
    likelihoods[0].log_likelihood(theta[0])
    return _best(lambda: [one.log_likelihood(t) for one, t in zip(likelihoods, theta, strict=False)])


def _networks(add: Add, quick: bool) -> None:
    """One forward, backward and step of Adam, fused and by the reference loop."""
    import torch

    from agents.neural.registry import NEURAL_RULES
    from agents.neural.settings import NetworkSettings
    from twin.inference.neural.unroll import Batch, unroll

    trials = 2_000 if quick else 10_000
    cohort = Cohort(mice=12, parameters={"rate": 0.03})
    batch = Batch.of(Trials.from_rollout(simulate(cohort, trials=trials)))
    for name, short in (("dnnglm", "dnn"), ("rnnglm", "gru")):
        rule = NEURAL_RULES[name](("stimulus", "bias"), NetworkSettings(hidden=32, layers=2))
        optimiser = torch.optim.Adam(rule.parameters(), lr=1e-4)

        def epoch(strategy: Any, rule: Any = rule, optimiser: Any = optimiser) -> None:
            logits, _ = unroll(rule, batch, strategy=strategy)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, batch.choice[..., 0])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

        epoch("fused")
        fused, loop = _best(lambda: epoch("fused"), 5), _best(lambda: epoch("loop"), 1 if quick else 2)
        settings = f"12 mice x {trials} trials, hidden 32, 2 layers, forward, backward and step"
        add(f"{short}_epoch", 1e3 * fused, "ms", settings)
        add(f"{short}_epoch_ratio", loop / fused, "loop over fused", settings)


def _store(add: Add, rollout: Rollout) -> None:
    size = (
        (sum(c.nbytes for c in rollout.columns.values()) + rollout.weights.nbytes) / 1e6 if rollout.weights is not None else 0
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.h5"
        add("store_write", size / _best(lambda: write_rollout(rollout, path), 1), "MB/s", f"{size:.0f} MB of trials, gzip 1")
        add("store_read", size / _best(lambda: read_rollout(path), 2), "MB/s", f"{size:.0f} MB of trials, gzip 1")


def _startup(add: Add) -> None:
    code = "import twin, twin.studies.run\ntwin.simulate(twin.Cohort(mice=1), trials=1)"
    seconds = _best(lambda: subprocess.run([sys.executable, "-c", code], check=True), 3)
    add("startup", seconds, "s", "new process to the first trial, warm cache")
    call = [sys.executable, "-m", "twin", "--help"]
    seconds = _best(lambda: subprocess.run(call, check=True, stdout=subprocess.DEVNULL), 5)
    add("startup_help", seconds, "s", "twin --help")
