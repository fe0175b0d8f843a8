"""How does the fit of a rule with noise compare with its neighbours? The same simulated mice, fitted by each.

    python -m pip install psytrack==2.0.2
    git clone https://github.com/pillowlab/psytrack_learning
    sed -i s/np.alltrue/np.all/ psytrack_learning/psytrack_learning/helper/memoize.py       # numpy 2 has no alltrue
    PYTHONPATH=psytrack_learning python -m scenarios.neighbours --out runs/neighbours

psytrack (Roy et al 2021, Neuron) lets weights walk at random; psytrack_learning (Ashwood et al 2020, NeurIPS) adds a learning
rule to that. A neighbour that cannot be imported is left out. Both are given noise of trials and of nights for each weight.
psytrack_learning has no switch to fit that of nights, so its evidence is maximised here, by COBYLA as in its examples, over the
logarithms of noise and rate and over the baseline. Neither has lapses: mice are simulated without and with.

Each fit is kept in the folder as soon as it is done, and a run goes on where it was left. Printed first: do both sides agree on
a mouse whose answer is known? Then by fit: the RMSE of the weights before each trial (median over mice; least and most), the
median over mice of the rate's relative error and of the other estimates, and seconds of processor time for each mouse.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

import twin
from scenarios.coverage import FEATURES, RULE, kept, mice_like_the_ibls
from twin.evaluation.recovery import Points, true_update, true_weights
from twin.inference.noise.assumed_density import FilteredLikelihood
from twin.inference.settings import NO_LAPSES
from twin.report.tables import text_table

ORDER = [1, 0]  # the neighbours order weights by name: bias, stimulus
WEIGHTS = dict.fromkeys(FEATURES, 1)  # columns of each input
NAMES = ("rate", "baseline", "trial_noise.stimulus", "trial_noise.bias", "day_noise.stimulus", "day_noise.bias")
PLACES = [3] * 9 + [1]  # decimals of the table's columns
CONDITIONS: dict[str, dict[str, Any]] = {"without lapses": NO_LAPSES, "with lapses": {}}
FIRST_NOISE, FIRST_RATE, FIRST_WEIGHT = 2.0**-4, 2.0**-6, 2.0**4  # where the neighbours' examples begin; sd of the first weight
STEP = 0.03  # at which the search over log2 of noise and rate, and baseline, ends
PRECISION = 1e-6  # of psytrack_learning's weights, as in its examples
GET = {
    "psytrack": "python -m pip install psytrack==2.0.2",
    "psytrack_learning": "clone github.com/pillowlab/psytrack_learning, replace np.alltrue, put its folder on PYTHONPATH",
}


class Found(NamedTuple):
    """What a fit says of one mouse."""

    weights: np.ndarray  # (T, K) before each trial with a choice
    estimates: list[float]  # as NAMES


def record(trials: twin.Trials, mouse: int) -> dict[str, Any]:
    """One mouse's trials with a choice as the neighbours take them: y is 1 left, 2 right."""
    kept = trials.mask[mouse]
    return {
        "y": trials.choice[mouse, kept].astype(int) + 1,
        "correct": trials.reward[mouse, kept].astype(int),
        "inputs": {"stimulus": trials.x[mouse, kept, :1]},
        "dayLength": np.unique(np.cumsum(trials.new_session[mouse])[kept], return_counts=True)[1],
    }


def ours(trials: twin.Trials, **settings: Any) -> list[Found]:
    """The project's fit."""
    fit = twin.fit(trials, RULE, noise=True, **settings)
    fitted, unknown = fit.parameters(), np.full(len(trials.ids), np.nan)  # noise of nights where there are none
    estimates = np.array([fitted[name].values if name in fitted else unknown for name in NAMES]).T
    return [Found(w[kept], list(e)) for w, kept, e in zip(fit.weights(trials), trials.mask, estimates, strict=True)]


def psytrack(data: dict[str, Any]) -> Found:
    """Weights that walk at random, both noises fitted for each weight."""
    start = {"sigma": np.full(2, FIRST_NOISE), "sigDay": np.full(2, FIRST_NOISE), "sigInit": FIRST_WEIGHT}
    hyper, _, weights, _ = import_module("psytrack").hyperOpt(data, start, WEIGHTS, ["sigma", "sigDay"], hess_calc=None)
    return Found(weights.T[:, ORDER], [np.nan, np.nan, *hyper["sigma"][ORDER], *hyper["sigDay"][ORDER]])


def psytrack_learning(data: dict[str, Any]) -> Found:
    """REINFORCE with a baseline, and both noises for each weight."""
    get = import_module("psytrack_learning.getMAP").getMAP
    rule = import_module("psytrack_learning.learning_rules").REINFORCE_base
    weights: np.ndarray | None = None

    def loss(at: np.ndarray) -> float:
        nonlocal weights  # those of one point are where the search at the next begins
        weights, _, evidence, _ = get(data, hyper(at), WEIGHTS, W0=weights, learning_rule=rule, tol=PRECISION)
        return -float(evidence)

    def hyper(at: np.ndarray) -> dict[str, Any]:
        noise, rate = 2.0 ** at[:4], 2.0 ** at[4]
        return {"sigma": noise[:2], "sigDay": noise[2:], "alpha": rate, "adder": rate * at[5], "sigInit": FIRST_WEIGHT}

    best = minimize(loss, np.append(np.log2([FIRST_NOISE] * 4 + [FIRST_RATE]), 0.0), method="COBYLA", tol=STEP).x
    loss(best)
    assert weights is not None
    at = hyper(best)
    return Found(weights.reshape(2, -1).T[:, ORDER], [at["alpha"], best[5], *at["sigma"][ORDER], *at["sigDay"][ORDER]])


def each(fit: Callable[[dict[str, Any]], Found], trials: twin.Trials) -> list[Found]:
    """A neighbour's fit of one mouse after the other."""
    return [fit(record(trials, m)) for m in range(len(trials.ids))]


FITS: dict[str, Callable[[twin.Trials], list[Found]]] = {
    "twin, each mouse alone": partial(ours, population=False),
    "twin, population": partial(ours, population=True),
    "twin, each alone, lapses 0": partial(ours, population=False, fixed=NO_LAPSES),
    "twin, population, lapses 0": partial(ours, population=True, fixed=NO_LAPSES),
    "psytrack": partial(each, psytrack),
    "psytrack_learning": partial(each, psytrack_learning),
}


def agreement(name: str) -> str:
    """What a neighbour and the project say of a mouse at its true parameters (for psytrack: at a rate of 0).

    The mouse begins at weights of 0, of which the neighbour is told by a narrow prior.
    """
    learns = name == "psytrack_learning"
    cohort, rollout, trials = mice_like_the_ibls(1, 1, 1500, NO_LAPSES | {"initial_weight": 0.0, "rate": 0.02, "no_go": 0.0})
    kept = trials.mask[0]
    true = true_weights(rollout, trials)[0, kept]
    at = dict(zip(rollout.theta_names, rollout.theta[0], strict=True)) | ({} if learns else {"rate": 0.0})
    noise, nights = (np.array([at[f"{kind}.{FEATURES[k]}"] for k in ORDER]) for kind in ("trial_noise", "day_noise"))
    hyper = {"sigma": noise, "sigDay": np.hypot(noise, nights), "sigInit": 1e-3}
    given, more = np.diff(true, axis=0, prepend=0.0), {}  # psytrack is told of weights by their steps
    if learns:
        hyper |= {"alpha": at["rate"], "adder": at["rate"] * at["baseline"]}
        given, more = true, {"learning_rule": import_module(f"{name}.learning_rules").REINFORCE_base}
    data, module = record(trials, 0), import_module(f"{name}.getMAP")
    prior, likelihood, *_ = module.getPosteriorTerms(given[:, ORDER].T.ravel(), data, hyper, WEIGHTS, **more)
    evidence = module.getMAP(data, hyper, WEIGHTS, **more)[2]
    p = np.where(data["y"] == 2, rollout.p_right[kept], 1 - rollout.p_right[kept].astype(float))
    filtered = FilteredLikelihood(trials, 0, cohort.layout).log_likelihood(np.array(list(at.values()))).sum()
    line = f"{name}: log-probability of choices given weights {likelihood['logli']:.3f} (here {np.log(p).sum():.3f})"
    line += f", log evidence {evidence:.2f} (here {filtered:.2f})"
    if learns:
        update = true_update(
            cohort, rollout.theta[0], Points(true, *(a[0, kept] for a in (trials.x, trials.choice, trials.reward)))
        )
        line += f", updates differ by {np.abs(prior['learning_terms']['v'][1:, ORDER] - update[:-1]).max():.0e} at most"
    return line


def compare(name: str, trials: twin.Trials, true: np.ndarray) -> dict[str, Any]:
    """RMSE of weights and estimates of every mouse, (M,) and (M, NAMES), and seconds of processor time for each."""
    begun = process_time()
    found = FITS[name](trials)
    seconds = (process_time() - begun) / len(found)
    pairs = zip(found, true, trials.mask, strict=True)
    rmse = [np.sqrt(np.mean((one.weights - weights[kept]) ** 2)) for one, weights, kept in pairs]
    return {"rmse": np.array(rmse), "estimates": np.array([one.estimates for one in found]), "seconds": np.array(seconds)}


def table(results: dict[str, dict[str, Any]], truth: np.ndarray) -> list[str]:
    """The truth (M, NAMES) and fits, by row."""
    rows = []
    for name, one in ({"truth": {"estimates": truth}} | results).items():
        off = np.median(np.abs(one["estimates"][:, 0] / truth[:, 0] - 1))
        rmse, seconds = one.get("rmse", np.array([np.nan])), one.get("seconds", np.nan)
        values = [np.median(rmse), rmse.min(), rmse.max(), off, *np.median(one["estimates"][:, 1:], axis=0), seconds]
        rows.append([name, *("-" if np.isnan(v) else f"{v:.{places}f}" for v, places in zip(values, PLACES, strict=True))])
    short = [name.replace("_noise.stimulus", " stim").replace("_noise", "").replace(".", " ") for name in NAMES[1:]]
    return text_table(["fit", "weights RMSE", "least", "most", "rate off by", *short, "s/mouse"], rows)


def importable() -> list[str]:
    """The neighbours that are here; says of the others how to get them."""
    here = []
    for name, how in GET.items():
        try:
            import_module(f"{name}.getMAP")
            here.append(name)
        except ImportError as error:
            print(f"{name} is left out, for it cannot be imported ({error}); to get it: {how}")
    return here


def main() -> None:
    """Fit what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mice", type=int, default=6)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/neighbours"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    neighbours = importable()
    print(*map(agreement, neighbours), sep="\n", flush=True)
    ours(mice_like_the_ibls(1, 1, 200)[2], population=False)  # compiles
    for condition, changes in CONDITIONS.items():
        _, rollout, trials = mice_like_the_ibls(options.seed, options.mice, options.trials, changes)
        true = true_weights(rollout, trials)
        results = {}
        for name in [one for one in FITS if one not in GET or one in neighbours]:
            file = options.out / f"{options.mice}x{options.trials}_{options.seed}_{condition}_{name}.npz".replace(" ", "_")
            results[name] = kept(file, partial(compare, name, trials, true))
        truth = rollout.theta[:, [rollout.theta_names.index(name) for name in NAMES]]
        print("", f"{options.mice} mice x {options.trials} trials, {condition}", *table(results, truth), sep="\n", flush=True)


if __name__ == "__main__":
    main()
