"""What each structure of a neural rule is worth: its error with the structure on and off.

    python -m scenarios.network_structure --mice 100 --seeds 1 2 3
    python -m scenarios.network_structure --mice 1000 --seeds 1

The setting is that of Liu, Geadah & Pillow 2025 (arXiv 2509.04661), Fig. 2, `scenarios/paper/fig2.toml`: 500 trials per mouse,
initial weights known. One truth is the paper's own, a REINFORCE rule, which the default base rule contains; the other, the
gradient of the expected reward, it does not. Printed is the error of the update of the stimulus weight on the paper's grid,
relative to the rms of the true update, a mean over seeds of mice and of networks.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.evaluation.recovery import errors, paper_grid, true_update
from twin.inference.fit import fit
from twin.simulation import simulate
from twin.studies.cohort import CohortStudy
from twin.studies.scenario import load

SCENARIO = Path(__file__).parent / "paper" / "fig2.toml"
OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "no base rule": {"base_rule": "static"},
    "base rule full-mouse": {"base_rule": "full-mouse"},
    "no mirror symmetry": {"mirror": False},
    "no gradient form": {"gradient_form": False},
    "p not seen": {"probability": False},
    "silu": {"activation": "silu"},
    "relu": {"activation": "relu"},
    "initial scale .5": {"initial_scale": 0.5},
    "ensemble of 4": {"members": 4},
    "best of 4 restarts": {"restarts": 4},
    "mice held out": {"hold_out": "mice"},
    "weight decay .1": {"weight_decay": 0.1},
    "none of it": {"base_rule": "static", "mirror": False, "gradient_form": False, "probability": False, "activation": "relu"},
}


def cohorts(mice: int) -> dict[str, Cohort]:
    """The paper's mice, and mice of a rule outside the default base rule's family."""
    study = load(SCENARIO, [f"cohort.mice={mice}"])
    assert isinstance(study, CohortStudy)
    paper = study.cohort
    kept = {k: v for k, v in paper.model_dump()["parameters"].items() if k in ("initial_weight", "no_go", "engaged_trials")}
    other = Cohort(mice=mice, rule="reward-max", features=paper.features, parameters=kept | {"rate": 0.0625})
    return {"REINFORCE": paper, "reward-max": other}


def relative_rmse(cohort: Cohort, seed: int, settings: dict[str, Any]) -> float:
    """Error of one fit to one simulated cohort."""
    rollout = simulate(cohort, "liu-2025", trials=500, seed=seed)
    assert rollout.weights is not None and rollout.theta is not None
    first = rollout.weights[rollout.starts[:-1]].astype(float)
    trials = Trials.from_rollout(rollout)
    found = fit(trials, "dnnglm", initial_weights=first, initial="known", seed=seed, **settings)
    grid = paper_grid(trials.features)
    return errors(true_update(cohort, rollout.theta[0], grid)[:, 0], found.update(0, *grid)[:, 0])["relative_rmse"]


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mice", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--options", nargs="+", choices=OPTIONS, default=list(OPTIONS))
    given = parser.parse_args()
    truths = cohorts(given.mice)
    print(
        f"{given.mice} mice x 500 trials".ljust(24) + "".join(name.rjust(12) for name in truths) + "seconds".rjust(10),
        flush=True,
    )
    for option in given.options:
        started = time.perf_counter()
        means = [np.mean([relative_rmse(c, seed, OPTIONS[option]) for seed in given.seeds]) for c in truths.values()]
        seconds = (time.perf_counter() - started) / len(truths) / len(given.seeds)
        print(option.ljust(24) + "".join(f"{mean:12.3f}" for mean in means) + f"{seconds:10.0f}", flush=True)


if __name__ == "__main__":
    main()
