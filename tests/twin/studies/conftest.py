"""A small study of every kind, run when a test first asks for it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from shutil import copytree
from typing import NamedTuple

import pytest

from twin.data.store import write_rollout
from twin.studies.results import Results
from twin.studies.run import run
from twin.studies.scenario import parse
from twin.studies.study import Study

VARIED = {"rate": {"distribution": "lognormal", "median": 0.03, "sigma": 0.5}}
SHORT = {"base": "ibl-2019", "session_trials": 150}
SMALL = {
    "twin": {
        "cohort": {"mice": 2, "population": "ibl"},
        "sessions": 5,
        "mouse": "mouse-0001",
        "recorded": SHORT,
        "cut": 350,
        "forecast": {"sessions": 2, "twins": 12},
        "backtest": {"at": [200], "sessions": 2},
        "designs": {"shorter": SHORT | {"session_trials": 100}, "biased": {"base": "biased"}},
        "run": {"horizon": 3},
    },
    "cohort": {
        "cohort": {"mice": 5, "parameters": VARIED | {"lapse_low": 0.05}},
        "protocol": {"base": "ibl-documented"},
        "run": {"sessions": 4},
    },
    "recovery": {
        "cohort": {
            "mice": 3,
            "parameters": {"rate": {"distribution": "lognormal", "median": 0.06, "sigma": 0.3}, "baseline": 0.1},
        },
        "protocol": {"base": "ibl-documented"},
        "run": {"trials": 2000},
        "inference": {"models": ["reinforce-baseline", "dnnglm"], "dnnglm": {"epochs": 2, "hidden": 8}},
    },
    "baselines": {
        "cohort": {"mice": 2, "parameters": VARIED | {"baseline": 0.0}},
        "variants": {
            "clean": {},
            "perseverance": {
                "features": ["stimulus", "bias", "previous_choice"],
                "parameters": {"baseline": -0.3, "initial_weight": {"previous_choice": 1.0}},
            },
        },
        "protocol": {"base": "ibl-2019"},
        "run": {"trials": 200},
        "inference": {
            "models": ["published", "full"],
            "published": {"model": "reinforce-baseline", "population": True, "noise": False},
            "full": {"model": "reinforce-baseline", "noise": True},
        },
        "features": {"published": ["stimulus", "bias"]},
    },
    "fit": {
        "future": 100,
        "folds": 2,
        "inference": {"models": ["reinforce-baseline", "static-glm"]},
    },
    "fingerprint": {
        "cohort": {"mice": 4, "parameters": VARIED | {"lapse_low": 0.03, "lapse_high": 0.03}},
        "protocol": {"base": "ibl-2019"},
        "run": {"horizon": 5, "biased_sessions": 1},
        "targets": {"reach": {"mean": 0.65, "sd": 0.05}, "no_go": {"mean": 0.0045, "sd": 0.002}},
    },
    "calibration": {
        "cohort": {"mice": 3, "parameters": VARIED | {"engaged_trials": 300, "no_go": 0.01}},
        "protocol": {"base": "ibl-2019"},
        "run": {"horizon": 2, "biased_sessions": 0},
        "targets": {"trials_per_session": {"mean": 500, "sd": 20}, "threshold_in_training": {"mean": 17, "sd": 1}},
        "search": {
            "engaged": {"of": ["engaged_trials"], "low": 200, "high": 700},
            "rate": {"of": ["rate.median"], "low": 0.001, "high": 0.1, "scale": "log"},
        },
        "calibration": {"generations": 2, "candidates": 4, "finalists": 3, "finalist_mice": 4},
        "evaluation": {"mice": 4, "seed": 9},
    },
    "optimize": {
        "cohort": {"mice": 4, "parameters": VARIED},
        "others": {"fast": {"mice": 4, "parameters": {"rate": 0.1}}},
        "protocol": {"base": "ibl-2019"},
        "run": {"until": "trained_1a", "horizon": 5},
        "search": {
            "correct": {"of": ["every_stage.advance.correct"], "low": 20, "high": 45, "whole": True},
            "repeats": {"of": ["every_stage.debias"], "values": [True, False]},
        },
        "optimize": {"designs": 4, "rounds": 2, "keep": 0.5},
        "held_out": {"mice": 3, "seed": 5, "unseen": {"critic": {"mice": 1, "rule": "learned-critic"}}},
    },
    "designs": {
        "cohort": {"mice": 6, "parameters": VARIED},
        "run": {"until": "trained_1a", "horizon": 5},
        "designs": {
            "on": {"base": "ibl-2019"},
            "off": {"base": "ibl-2019", "every_stage": {"debias": False}},
            "on-again": {"base": "ibl-2019"},
        },
    },
}


@pytest.fixture
def small_tables():
    """The scenario of the small study of every kind, without kind and name."""
    return SMALL


class Finished(NamedTuple):
    """A study that was run."""

    study: Study
    folder: Path
    results: Results


@pytest.fixture(scope="session")
def finished(tmp_path_factory, small):
    """The finished small study of a kind, by the name of the kind."""

    @cache
    def of_kind(kind):
        folder = tmp_path_factory.mktemp(kind)
        table = {"kind": kind, "name": f"small-{kind}", **SMALL[kind]}
        if kind == "fit":
            write_rollout(small[1], folder / "mice.h5")
            table["data"] = str(folder / "mice.h5")
        study = parse(table, "test")
        return Finished(study, folder / "run", run(study, folder / "run"))

    return of_kind


@pytest.fixture
def copied(finished, tmp_path):
    """The same in a folder that a test may change."""

    def of_kind(kind):
        study, folder, results = finished(kind)
        return Finished(study, Path(copytree(folder, tmp_path / "copy")), results)

    return of_kind
