"""Do intervals cover? Cohorts of mice like the IBL's (slow, noisy over nights, biased, lapsing), the true rule fitted to each.

    python -m scenarios.coverage --cohorts 20 --out runs/coverage

Each cohort is kept in the folder as soon as it is done, and a run goes on where it was left. Printed for every parameter: the
fraction of mice whose 95 % and 50 % intervals hold the truth; the median over mice of (posterior mean - truth) / posterior sd;
and the p of Kolmogorov and Smirnov that the truth's rank among the draws is uniform (Talts et al 2018, arXiv 1804.06788), of
one mouse of each cohort, since mice of one cohort share their population.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from scipy.stats import kstest
from tqdm import tqdm

import twin
from agents.theta import Layout
from twin.evaluation.recovery import recovery
from twin.inference.noise.assumed_density import FilteredLikelihood
from twin.report.tables import text_table

PARAMETERS: dict[str, Any] = {
    "rate": {"distribution": "lognormal", "median": 0.003, "sigma": 0.8},
    "baseline": -0.1,
    "initial_weight": {"bias": {"distribution": "normal", "mean": 0, "sd": 2}},
    "trial_noise": 0.01,
    "day_noise": {"stimulus": 0.05, "bias": 0.2},
    "lapse_low": {"distribution": "uniform", "low": 0, "high": 0.07},
    "lapse_high": {"distribution": "uniform", "low": 0, "high": 0.07},
}
RULE, PROTOCOL, FEATURES = "reinforce-baseline", "ibl-2019", ("stimulus", "bias")
PRODUCT = "rate x baseline"


def mice_like_the_ibls(
    seed: int, mice: int, trials: int, changes: Mapping[str, Any] | None = None
) -> tuple[twin.Cohort, twin.Rollout, twin.Trials]:
    """A cohort of PARAMETERS but for `changes`, what happened to it, and what is seen of that."""
    cohort = twin.Cohort(mice=mice, rule=RULE, features=FEATURES, parameters=PARAMETERS | (changes or {}))
    rollout = twin.simulate(cohort, PROTOCOL, trials=trials, seed=seed)
    return cohort, rollout, twin.Trials.from_rollout(rollout)


def kept(file: Path, make: Callable[[], Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Arrays by name, from their file, or made and put there, whole or not at all."""
    if not file.exists():
        unfinished = file.with_suffix(".part.npz")
        np.savez(unfinished, **make())
        unfinished.rename(file)
    with np.load(file) as stored:
        return dict(stored)


def ranks_of_cohort(seed: int, mice: int, trials: int, baseline: float) -> dict[str, np.ndarray]:
    """Rank of the truth among the draws and its standardised distance, by mouse and parameter, and what is told of the fit."""
    cohort, rollout, recorded = mice_like_the_ibls(seed, mice, trials, {"baseline": baseline})
    begun = perf_counter()
    fit = twin.fit(recorded, cohort.rule, noise=True)
    seconds = perf_counter() - begun
    names = list(fit.parameters())
    columns = [fit.layout.index(name)[0] for name in names]
    rate, base = (fit.layout.index(name)[0] for name in ("rate", "baseline"))
    draws = np.concatenate(
        [fit.draws.theta[..., columns], fit.draws.theta[..., [rate]] * fit.draws.theta[..., [base]]], axis=-1
    )
    true = np.concatenate([rollout.theta[:, columns], rollout.theta[:, [rate]] * rollout.theta[:, [base]]], axis=-1)
    found = recovery(fit, cohort, rollout, recorded)
    told = [found[key] for key in ("relative_rmse_visited", "weights_rmse", "nll_per_trial")]
    return {
        "names": np.array([*names, PRODUCT]),
        "rank": (draws < true[:, None]).mean(axis=1),
        "away": (draws.mean(axis=1) - true) / draws.std(axis=1),
        "baseline": np.quantile(fit.draws.new_mice[:, base], [0.025, 0.5, 0.975]),
        "told": np.array([*told, nll_of_truth(rollout, recorded, fit.layout), seconds, fit.converged.mean()], float),
    }


def nll_of_truth(rollout: twin.Rollout, trials: twin.Trials, layout: Layout) -> float:
    """Negative log-likelihood per trial of the true parameters, which do not tell the noise of the weights."""
    likelihoods = (FilteredLikelihood(trials, m, layout) for m in range(len(trials.ids)))
    total = sum(float(one.log_likelihood(theta).sum()) for one, theta in zip(likelihoods, rollout.theta, strict=True))
    return -total / int(trials.mask.sum())


def table(found: list[dict[str, np.ndarray]]) -> str:
    """What the cohorts show, parameter by parameter."""
    rank, away = (np.concatenate([one[key] for one in found]) for key in ("rank", "away"))
    rows = []
    for j, name in enumerate(found[0]["names"]):
        inside = [float(np.mean(np.abs(rank[:, j] - 0.5) < half)) for half in (0.475, 0.25)]
        p = kstest([one["rank"][c % len(one["rank"]), j] for c, one in enumerate(found)], "uniform").pvalue
        rows.append([str(name), f"{inside[0]:.3f}", f"{inside[1]:.3f}", f"{np.median(away[:, j]):.2f}", f"{p:.2f}"])
    header = ["parameter", "covered 95 %", "covered 50 %", "median error / sd", "p of ranks"]
    told = np.median([one["told"] for one in found], axis=0)
    words = (
        f"{len(found)} cohorts of {len(found[0]['rank'])} mice; medians: relative RMSE of the update on visited points "
        f"{told[0]:.3f}, weights RMSE {told[1]:.3f}, log-likelihood per trial {-told[2]:.4f} (truth {-told[3]:.4f}), "
        f"{told[4]:.0f} s"
    )
    return "\n".join([*text_table(header, rows), words])


def main() -> None:
    """Run the cohorts that are missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=20)
    parser.add_argument("--mice", type=int, default=48)
    parser.add_argument("--trials", type=int, default=8000)
    parser.add_argument("--baseline", type=float, default=-0.1)
    parser.add_argument("--out", type=Path, default=Path("runs/coverage"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found = []
    for seed in tqdm(range(1, options.cohorts + 1), desc="cohorts"):
        file = options.out / f"{options.mice}x{options.trials}_{options.baseline:g}_{seed}.npz"
        found.append(kept(file, partial(ranks_of_cohort, seed, options.mice, options.trials, options.baseline)))
    print(table(found))


if __name__ == "__main__":
    main()
