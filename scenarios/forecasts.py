"""Are forecasts of mice right? Cohorts of the calibrated population, every mouse forecast from one point of its record.

    python -m scenarios.forecasts --cohorts 10 --mice 5 --trial 3000 --out runs/forecasts

Each cohort is kept in the folder as soon as it is done, and a run goes on where it was left. Printed: coverage of session
accuracies and of the days to trained_1a; CRPS and log-likelihood of the next 500 choices of every forecaster, in how many
cohorts the twins have the lower CRPS, and the log-likelihood by the true parameters; and, parameter by parameter, how often
intervals hold the truth and whether its rank among the draws is uniform (Talts et al 2018, arXiv 1804.06788).
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kstest
from tqdm import tqdm

import twin
from scenarios.coverage import kept
from twin.evaluation.ensembles import covered, pit_counts
from twin.report.tables import text_table
from twin.twins.backtest import back_test, cut_at
from twin.twins.forecasters import TWIN, Cut, next_choices, population_futures
from twin.twins.model import TwinModel, fit_twins
from twin.twins.record import recorded_mouse

FIRST_SEED = 6100  # cohort c is of this seed plus c
PROTOCOL = "ibl-2019"
HOW: dict[str, Any] = {"workers": 2}


def forecasts_of_cohort(seed: int, mice: int, trial: int, sessions: int, twins: int) -> dict[str, np.ndarray]:
    """Scores of every forecaster on every mouse of a cohort, and the rank of its parameters among the posterior's draws."""
    cohort, model = twin.Cohort(population="ibl", mice=mice), TwinModel()
    rollout = twin.simulate(cohort, PROTOCOL, sessions=trial // 250 + sessions, seed=seed)
    out: dict[str, list[np.ndarray]] = {}
    population = None
    for m, name in enumerate(rollout.ids):
        mouse = recorded_mouse(rollout, name, PROTOCOL)
        rest = rollout.select([other for other in range(mice) if other != m])
        cut = cut_at(mouse, trial, model, sessions=sessions, twins=twins, seed=seed, rest=rest)
        population = population or population_futures(cut, trial // 100 + sessions, HOW)
        for one in back_test(cut, HOW, population):
            days = np.nan if one.days_place is None else one.days_place
            for key, value in (("crps", one.crps.mean()), ("log_p", one.log_p.mean()), ("days", days)):
                out.setdefault(f"{one.forecaster}/{key}", []).append(np.array([value]))
            out.setdefault(f"{one.forecaster}/places", []).append(one.places)
        out.setdefault("true/log_p", []).append(np.array([_true(cut, rollout, m)]))
        out.setdefault("ranks", []).append(_ranks(cut, rollout, m)[None])
    return {key: np.concatenate(parts) for key, parts in out.items()} | {"names": np.array(_names(model))}


def _true(cut: Cut, rollout: twin.Rollout, mouse: int) -> float:
    """Log-likelihood of the next choices by the true parameters, weights filtered."""
    assert rollout.theta is not None
    return float(next_choices(cut, cut.model.cohort.layout, rollout.theta[[mouse]]).mean())


def _names(model: TwinModel) -> list[str]:
    """Columns of theta that vary over the population, of those that choices tell of."""
    varying = model.cohort.distributions()
    return [name for name in model.cohort.layout.names if name in varying and name != "engaged_trials"]


def _ranks(cut: Cut, rollout: twin.Rollout, mouse: int) -> np.ndarray:
    """Fraction of the draws that are below the truth, (parameters,)."""
    found = fit_twins(twin.Trials.from_rollout(cut.known.rollout, cut.model.cohort.features), cut.model)
    columns = [found.layout.index(name)[0] for name in _names(cut.model)]
    assert found.draws is not None and rollout.theta is not None
    return np.asarray((found.draws.theta[0][:, columns] < rollout.theta[mouse, columns]).mean(axis=0))


def told(found: list[dict[str, np.ndarray]]) -> str:
    """What the cohorts show."""
    names = [key.split("/")[0] for key in found[0] if key.endswith("/crps")]
    rows = []
    for name in names:
        crps, log_p, places, days = ([one[f"{name}/{key}"] for one in found] for key in ("crps", "log_p", "places", "days"))
        won = sum(float(one[f"{TWIN}/crps"].mean()) < float(own.mean()) for one, own in zip(found, crps, strict=True))
        place, day = np.concatenate(places), np.concatenate(days)
        day = day[np.isfinite(day)]
        inside = [f"{covered(place, band):.3f}" for band in (0.5, 0.8)] if len(place) else ["-", "-"]
        days_in = f"{covered(day, 0.8):.3f} ({len(day)})" if len(day) else "-"
        means = f"{np.concatenate(crps).mean():.4f}", f"{np.concatenate(log_p).mean():.4f}"
        rows.append([name, *means, *inside, days_in, "-" if name == TWIN else f"{won} of {len(found)}"])
    true = np.concatenate([one["true/log_p"] for one in found]) - np.concatenate([one[f"{TWIN}/log_p"] for one in found])
    header = ["forecaster", "CRPS", "log-lik/choice", "in 50 %", "in 80 %", "days in 80 %", "twin has lower CRPS"]
    lines = text_table(header, rows)
    lines += [
        f"{sum(len(one['ranks']) for one in found)} mice; PIT of accuracies, ten bins: "
        f"{pit_counts(np.concatenate([one[f'{TWIN}/places'] for one in found]))}; of days: "
        f"{pit_counts(np.concatenate([one[f'{TWIN}/days'] for one in found]))}",
        f"true parameters gain {true.mean():.4f} nats a choice over the twins (se {true.std() / np.sqrt(len(true)):.4f})",
        "",
    ]
    ranks = np.concatenate([one["ranks"] for one in found])
    each = [
        [
            str(name),
            *(f"{covered(ranks[:, j], band):.3f}" for band in (0.95, 0.8, 0.5)),
            f"{kstest(ranks[:, j], 'uniform').pvalue:.2f}",
        ]
        for j, name in enumerate(found[0]["names"])
    ]
    return "\n".join([*lines, *text_table(["parameter", "covered 95 %", "80 %", "50 %", "p of ranks"], each)])


def main() -> None:
    """Forecast the cohorts that are missing, and print what they show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=10)
    parser.add_argument("--mice", type=int, default=5)
    parser.add_argument("--trial", type=int, default=3000)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--twins", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("runs/forecasts"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    size = options.mice, options.trial, options.sessions, options.twins
    found = []
    for cohort in tqdm(range(options.cohorts), desc="cohorts"):
        file = options.out / f"{'x'.join(map(str, size))}_{cohort}.npz"
        found.append(kept(file, partial(forecasts_of_cohort, FIRST_SEED + cohort, *size)))
    print(told(found))


if __name__ == "__main__":
    main()
