"""A second opinion on noise, lapses and learning: neural posterior estimation on the engine's own simulations, mouse by mouse.

    pip install sbi
    python -m scenarios.amortised --mice 22000 --out runs/amortised

A network is shown mice whose parameters are drawn from a prior, each as summaries of its choices, and learns what the
parameters are given the summaries (Papamakarios & Murray 2016, arXiv 1605.06376; sbi's NPE with a neural spline flow). There
are two: `choices` sees summaries of choices alone and knows no likelihood; `filter` sees also where three steps of Fisher's
scoring lead by the likelihood that the fit works with, and learns from simulations what that is worth (`scenarios.summaries`).
Beside them stands `fit`, expectation propagation as in `twin.fit(..., noise=True, population=False)`, with the very same prior.

Prior: every mouse alone, normal on each coordinate (`twin.inference.posterior.coordinates`), as wide as population and spread
over mice together; of rates and noise half as wide, of the initial stimulus weight a quarter. At full width a fifth of the
rates are below 0 and half of the mice are right in less than 42 % of their trials.

Printed of mice of that prior, which the networks have not seen, and of the cohorts of `scenarios.coverage`, for every parameter
on its coordinate (sizes only, where the sign means nothing): coverage and errors of the three methods, and the networks beside
the fit. Chunks of mice, networks and fits are kept in the folder as soon as they are done, and a run goes on where it was left.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import chdir
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import kstest
from torch import nn
from tqdm import tqdm

import twin
from scenarios.coverage import FEATURES, PROTOCOL, RULE, kept, mice_like_the_ibls
from scenarios.summaries import of_choices, of_filter
from twin.engine import job_pool
from twin.inference.noise.assumed_density import FilteredLikelihood
from twin.inference.posterior.coordinates import Coordinate, Coordinates
from twin.inference.posterior.expectation import posterior
from twin.inference.posterior.mouse import Mouse
from twin.report.tables import text_table
from twin.simulation.state import naive_mice, naive_state

FREE = 10  # columns of theta that are fitted: those of the rule, initial weights, noise and lapses
NARROWER = {"rate": 0.5, "trial_noise": 0.5, "day_noise": 0.5, "initial_weight.stimulus": 0.25}  # of the prior's width
CHUNK, DRAWS = 1000, 1000  # mice; draws of each mouse's posterior
CONTEXT = 48  # numbers that a flow is given of a mouse
METHODS = ("fit", "choices", "filter")


@dataclass(frozen=True)
class Prior(Coordinates):
    """Coordinates of a mouse alone, narrower than those of a fit as NARROWER says."""

    @cached_property
    def each(self) -> list[Coordinate]:
        """Those of the free columns, in order."""
        return [_narrowed(one) for one in super().each]

    @cached_property
    def folded(self) -> np.ndarray:
        """Of which coordinates (F,) the sign means nothing."""
        return np.array([one.folded for one in self.each])

    def sizes(self, u: np.ndarray) -> np.ndarray:
        """Coordinates (..., F) without the signs that mean nothing."""
        return np.where(self.folded, np.abs(u), u)


class Mice(NamedTuple):
    """M mice: their coordinates (M, F), and their trials."""

    u: np.ndarray
    trials: twin.Trials


class Seen(NamedTuple):
    """M mice: their coordinates, and what a network sees of them."""

    u: np.ndarray  # (M, F) true, as `Prior.sizes`
    choices: np.ndarray  # (M, D) summaries of choices
    filter: np.ndarray  # (M, E) what the filter finds


class Told(NamedTuple):
    """A method's posterior of M mice, by coordinate (M, F): the share of it that lies below the truth, mean and sd."""

    rank: np.ndarray
    mean: np.ndarray
    sd: np.ndarray


def _narrowed(one: Coordinate) -> Coordinate:
    factor = NARROWER.get(one.name, NARROWER.get(one.name.split(".")[0], 1.0))
    return replace(one, spread=factor * one.spread, differ=factor * one.differ)


def prior_of(cohort: Any) -> Prior:
    """The prior of each of a cohort's mice."""
    return Prior(cohort.layout, cohort.layout.defaults(), range(FREE))


def mice_of_prior(seed: int, mice: int, trials: int) -> Mice:
    """Mice of the prior."""
    cohort = twin.Cohort(mice=mice, rule=RULE, features=FEATURES)
    prior, rng = prior_of(cohort), np.random.default_rng(seed)
    u = prior.centre + prior.width * rng.standard_normal((mice, FREE))
    theta = prior.theta(u)  # rates below 0 too, which a cohort may not have
    naive = naive_state(cohort, PROTOCOL, seed)
    naive = replace(naive, theta=theta, **naive_mice(cohort.learning_rule, cohort.layout, theta))
    return Mice(u, twin.Trials.from_rollout(twin.simulate(cohort, PROTOCOL, trials=trials, start=naive)))


def mice_of_cohort(seed: int, mice: int, trials: int) -> Mice:
    """A cohort of `scenarios.coverage`."""
    cohort, rollout, recorded = mice_like_the_ibls(seed, mice, trials)
    each = prior_of(cohort).each
    u = np.array([[one.of(value) for one, value in zip(each, theta[:FREE], strict=True)] for theta in rollout.theta])
    return Mice(u, recorded)


def each_of(trials: twin.Trials, prior: Prior) -> list[Mouse]:
    """Every mouse with its likelihood."""
    return [Mouse(FilteredLikelihood(trials, m, prior.layout), prior, name) for m, name in enumerate(trials.ids)]


def seen(mice: Mice, prior: Prior) -> Seen:
    """What networks see of mice."""
    ones = each_of(mice.trials, prior)
    with job_pool("threads") as pool:
        choices = pool.results([partial(of_choices, mice.trials, m) for m in range(len(ones))])
        found = pool.results([partial(of_filter, mouse) for mouse in ones])
    return Seen(prior.sizes(mice.u), np.arcsinh(choices), np.arcsinh(found))


def of_draws(draws: np.ndarray, weights: np.ndarray, true: np.ndarray) -> Told:
    """What draws (S, F) with weights (S,) that sum to 1 say of one mouse."""
    mean = weights @ draws
    return Told(weights @ (draws < true), mean, np.sqrt(weights @ (draws - mean) ** 2))


def by_fit(mice: Mice, prior: Prior) -> Told:
    """Expectation propagation, every mouse alone."""
    with job_pool("threads") as pool:
        found = posterior(each_of(mice.trials, prior), pool, population=False).mice
    each = [of_draws(prior.sizes(one.u), one.weights, true) for one, true in zip(found, prior.sizes(mice.u), strict=True)]
    return Told(*map(np.array, zip(*each, strict=True)))


def by_network(network: Any, x: np.ndarray, prior: Prior, true: np.ndarray) -> Told:
    """A network's posterior."""
    torch.manual_seed(0)
    with torch.no_grad():
        draws = network.sample((DRAWS,), condition=torch.from_numpy(x).float()).double().numpy()  # (S, M, F)
    even = np.full(DRAWS, 1 / DRAWS)
    each = [of_draws(prior.sizes(draws[:, m]), even, u) for m, u in enumerate(true)]
    return Told(*map(np.array, zip(*each, strict=True)))


def find_sbi() -> list[Any]:
    """The parts of sbi that are needed. Exits, saying how to install it, where it is not."""
    try:
        return [import_module(f"sbi.{part}") for part in ("inference", "neural_nets")]
    except ImportError:
        raise SystemExit("this scenario needs the library sbi, which the project does not: pip install sbi") from None


class Reduce(nn.Module):
    """From D summaries, standardised, to what the flow is given: a straight line and what bends it."""

    def __init__(self, summaries: int) -> None:
        super().__init__()
        self.straight = nn.Linear(summaries, CONTEXT)
        self.bent = nn.Sequential(nn.Linear(summaries, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, CONTEXT))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, CONTEXT) of x (N, D)."""
        return self.straight(x) + self.bent(x)


def train(u: np.ndarray, x: np.ndarray, folder: Path) -> Any:
    """A neural spline flow of coordinates (N, F) given summaries (N, D); sbi leaves its log in the folder."""
    inference, networks = find_sbi()
    torch.manual_seed(0)
    flow = networks.posterior_nn("nsf", embedding_net=Reduce(x.shape[1]), hidden_features=64)
    with chdir(folder):
        shown = inference.NPE(density_estimator=flow, show_progress_bars=False)
        shown = shown.append_simulations(torch.from_numpy(u).float(), torch.from_numpy(x).float())
        return shown.train(training_batch_size=256, stop_after_epochs=10).eval()


def views(mice: Seen) -> tuple[np.ndarray, np.ndarray]:
    """What each network sees."""
    return mice.choices, np.hstack([mice.choices, mice.filter])


def joined(parts: Sequence[Any]) -> Any:
    """Named tuples of arrays, one after the other."""
    return type(parts[0])(*map(np.concatenate, zip(*parts, strict=True)))


def networks_of(mice: Seen, folder: Path, name: str) -> list[Any]:
    """A network for each view of mice, from its file, or trained and put there."""
    found = []
    for method, x in zip(METHODS[1:], views(mice), strict=True):
        file = folder / f"{method}_{name}.pt"
        if not file.exists():
            unfinished = file.with_suffix(".part")
            torch.save(train(mice.u, x, folder), unfinished)
            unfinished.rename(file)
        found.append(torch.load(file, weights_only=False))
    return found


def tables(each: list[Told], true: np.ndarray, prior: Prior) -> str:
    """Every method beside the truth, then the networks beside the fit, by parameter; numbers of a cell: METHODS, in order."""
    fit, accuracy, beside = each[0], [], []
    for j, one in enumerate(prior.each):
        off = [told.mean[:, j] - true[:, j] for told in each]
        inside = [[np.mean(np.abs(told.rank[:, j] - 0.5) < half) for told in each] for half in (0.475, 0.25)]
        ranks = [kstest(told.rank[:, j], "uniform").pvalue for told in each]
        sure = [np.sqrt(np.mean((o / told.sd[:, j]) ** 2)) for o, told in zip(off, each, strict=True)]
        wrong = [np.sqrt(np.mean(o**2)) / prior.width[j] for o in off]
        accuracy.append([one.name, *map(_cell, (*inside, ranks, sure, wrong))])
        wide = [np.median(told.sd[:, j] / fit.sd[:, j]) for told in each[1:]]
        alike = [np.corrcoef(told.mean[:, j], fit.mean[:, j])[0, 1] for told in each[1:]]
        apart = [np.median((o - off[0]) / fit.sd[:, j]) for o in off[1:]]
        beside.append([one.name, *map(_cell, (wide, alike, apart))])
    first = text_table(["parameter", "in 95 %", "in 50 %", "p of ranks", "RMS error / sd", "RMSE / prior sd"], accuracy)
    return "\n".join([*first, *text_table(["parameter", "sd / fit's", "r of means", "mean - fit's / sd"], beside)])


def _cell(numbers: Sequence[float]) -> str:
    return " ".join(f"{number:.2f}" for number in numbers)


def main() -> None:
    """Simulate, train, fit and compare what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mice", type=int, default=22_000, help="to train on, in chunks of 1,000")
    parser.add_argument("--trials", type=int, default=8000)
    parser.add_argument("--fitted", type=int, default=144, help="mice of the prior that are kept out, and fitted")
    parser.add_argument("--cohorts", type=int, default=2, help="of scenarios.coverage, 48 mice each")
    parser.add_argument("--out", type=Path, default=Path("runs/amortised"))
    options = parser.parse_args()
    find_sbi()
    options.out.mkdir(parents=True, exist_ok=True)
    prior = prior_of(twin.Cohort(mice=1, rule=RULE, features=FEATURES))

    def mice(name: str, make: Callable[[int, int, int], Mice], seed: int, n: int) -> Seen:
        file = options.out / f"{name}_{seed}_{n}x{options.trials}.npz"
        return Seen(**kept(file, lambda: seen(make(seed, n, options.trials), prior)._asdict()))

    def fits(name: str, make: Callable[[int, int, int], Mice], seed: int, n: int) -> Told:
        file = options.out / f"fit_{name}_{seed}_{n}x{options.trials}.npz"
        return Told(**kept(file, lambda: by_fit(make(seed, n, options.trials), prior)._asdict()))

    chunks = [mice("prior", mice_of_prior, seed, CHUNK) for seed in tqdm(range(1, options.mice // CHUNK + 1), desc="chunks")]
    networks = networks_of(joined(chunks), options.out, f"{options.mice}x{options.trials}")
    groups = [("prior", mice_of_prior, range(1), options.fitted), ("cohort", mice_of_cohort, range(1, options.cohorts + 1), 48)]
    for name, make, seeds, n in groups:
        shown = joined([mice(name, make, seed, n) for seed in seeds])
        fitted = joined([fits(name, make, seed, n) for seed in seeds])
        each = [by_network(network, x, prior, shown.u) for network, x in zip(networks, views(shown), strict=True)]
        print(f"\n{len(shown.u)} mice of the {name}; numbers of a cell: {', '.join(METHODS)}")
        print(tables([fitted, *each], shown.u, prior))


if __name__ == "__main__":
    main()
