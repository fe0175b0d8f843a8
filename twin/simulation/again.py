"""Mice of a file simulated again, from what the file says of them, and compared with it bit for bit."""

from __future__ import annotations

import re

import numpy as np

from envs.names import shown
from envs.protocols import Protocol
from twin.cohort import Cohort
from twin.data.rollout import Rollout
from twin.data.store import StoredRollout
from twin.simulation.simulation import Simulation


def check_again(rollout: Rollout | StoredRollout, mice: int) -> str:
    """What was found of so many mice, at random, of simulated ones.

    Raises ValueError naming a mouse, column and trial that differ. Mice of which a file does not tell all (`begun` in a state),
    and those of networks, which are computed together and rounded so, are not simulated again.
    """
    origin = rollout.origin
    if "begun" in origin:
        return "not simulated again: its mice began from a state that the file does not hold"
    cohort = Cohort.checked(origin["cohort"], "cohort of the file")
    if cohort.known_rule.content != origin.get("fit", ""):
        raise ValueError(f"cohort of the file: its mice are of another fit than is in {cohort.rule}; put the right one there")
    if cohort.known_rule.closed_form is None:
        return "not simulated again: its mice are networks, which are computed all together"
    some = np.random.default_rng().choice(rollout.n_mice, min(mice, rollout.n_mice), replace=False)
    for m in np.sort(some):
        kept = rollout.select([m])
        _compare(kept, simulate_again(kept, cohort))
    return f"{len(some)} of {rollout.n_mice} mice simulated again, the same bits"


def simulate_again(kept: Rollout, cohort: Cohort) -> Rollout:
    """The same mouse under the same protocols, as long as it is kept. Raises ValueError if its id is none of the cohort's."""
    name, tables = kept.ids[0], [kept.origin["protocol"], *kept.origin.get("then", ())]
    number = re.fullmatch(r"mouse-(\d{4,18})", name)
    if number is None or int(number[1]) >= cohort.mice:
        raise ValueError(f"mouse {shown(name)} is none of its cohort of {cohort.mice} mice, mouse-0000 and so on")
    first = int(number[1])
    protocols = [Protocol.checked(table, "protocol of the file") for table in tables]
    run = Simulation(cohort, protocols[0], kept.origin["seed"], mice=range(first, first + 1), engine="serial")
    if len(protocols) == 1:
        run.train_trials(len(kept))
        return run.rollout()
    numbers = kept.of_session["protocol"]
    for i, protocol in enumerate(protocols[: int(numbers.max()) + 1]):
        if i:
            run.change_protocol(protocol, np.array([0]))
        run.train(np.array([np.count_nonzero(numbers <= i)]))
    return run.rollout()


def _compare(kept: Rollout, again: Rollout) -> None:
    """Raise ValueError naming the first value of a mouse that is not the same in both."""
    pairs = {name: (values, again.columns[name]) for name, values in kept.columns.items()}
    if kept.weights is not None and again.weights is not None:
        pairs["weights"] = kept.weights, again.weights
    for name, (one, other) in pairs.items():
        if one.shape != other.shape:
            raise ValueError(f"mouse {kept.ids[0]!r}: {len(one)} trials, simulated again {len(other)}")
        same = (one == other) | ((one != one) & (other != other))  # NaN is the same as NaN
        if not same.all():
            trial = int(np.flatnonzero(~same.reshape(len(one), -1).all(axis=1))[0])
            raise ValueError(
                f"mouse {kept.ids[0]!r}, trial {trial}: {name} is {one[trial]}, simulated again {other[trial]}; the file was "
                f"changed, or made by other versions (`twin info` tells them)"
            )
