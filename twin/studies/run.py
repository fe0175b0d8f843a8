"""Running a study: its jobs in order, each kept in the run folder, so that running it again does only what is missing.

scenario.toml   the study, every default written out
rollouts.h5     the simulated trials (cohort, recovery)
designs/*.npz   what is kept of the sessions of each design (protocols): twin.evaluation.designs.DesignSessions
fits/<model>/   one fitted model each: card.json, model.safetensors of a network, held_out.json of a cross-validation
results.json    the numbers; figures/*.png and report.html show them; log.txt tells what was done when
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from twin.data.formats.csv import read_csv
from twin.data.rollout import Rollout
from twin.data.store import read_rollout, versions, write_rollout
from twin.data.trials import Trials
from twin.evaluation.designs import DesignOutcome, DesignSessions, compare_designs
from twin.evaluation.performance import behavior
from twin.simulation import simulate
from twin.simulation.designs import train_design
from twin.simulation.until import Phase, simulate_until, times_to_status, with_status
from twin.studies.scenario import CohortStudy, FitStudy, Inference, ProtocolsStudy, RecoveryStudy, Study, to_toml


def run(study: Study, out: Path, *, progress: bool = False, workers: int = 2) -> dict[str, Any]:
    """Do what is missing of a study in its folder and return the results.

    Raises ValueError if the folder holds another study, or data are not what the study needs.
    """
    folder = _Folder(out, study)
    started = time.perf_counter()
    results, page = _KINDS[type(study)](study, folder, progress, workers)
    head = {"kind": study.kind, "scenario": study.name, "seed": study.seed, "versions": versions()}
    results = head | {"seconds": time.perf_counter() - started} | results
    folder.write("results.json", json.dumps(_plain(results), indent=1))
    page(results)
    folder.log(f"done in {time.perf_counter() - started:.1f} s")
    return results


Outcome = tuple[dict[str, Any], Callable[[dict[str, Any]], None]]  # the results, and what makes their page


class _Folder:
    """The run folder of one study."""

    def __init__(self, path: Path, study: Study) -> None:
        self.path, text = path, to_toml(study)
        before = path / "scenario.toml"
        if before.is_file() and before.read_text() != text:
            raise ValueError(f"{path}: holds the run of another scenario ({before} differs); give another --out, or remove it")
        path.mkdir(parents=True, exist_ok=True)
        self.scenario = text
        self.write("scenario.toml", text)

    def write(self, name: str, text: str) -> None:
        """Write a file so that nobody sees half of it."""
        partial = self.path / f"{name}.tmp"
        partial.write_text(text)
        os.replace(partial, self.path / name)

    def log(self, line: str) -> None:
        """Add a line to log.txt."""
        with open(self.path / "log.txt", "a") as file:
            file.write(f"{datetime.now().isoformat(timespec='seconds')} {line}\n")


def _rollout(study: CohortStudy, folder: _Folder, progress: bool, workers: int) -> Rollout:
    """The study's trials, from its folder or simulated."""
    path = folder.path / "rollouts.h5"
    if path.is_file():
        try:
            return read_rollout(path)
        except ValueError as error:
            folder.log(f"simulating again: {error}")
    started = time.perf_counter()
    rollout = with_status(_train(study, progress, workers))
    folder.log(f"simulated {rollout.n_mice} mice, {len(rollout)} trials in {time.perf_counter() - started:.2f} s")
    write_rollout(rollout, path, folder.scenario)
    return rollout


def _train(study: CohortStudy, progress: bool, workers: int) -> Rollout:
    """The study's trials, simulated."""
    length, how = study.run, dict[str, Any](seed=study.seed, workers=workers, progress=progress)
    if length.until is None or length.horizon is None:
        return simulate(study.cohort, study.protocol, trials=length.trials, sessions=length.sessions, **how)
    then = [Phase(following.protocol, following.until, following.horizon) for following in length.then]
    return simulate_until(study.cohort, study.protocol, until=length.until, horizon=length.horizon, then=then, **how)


def _days(study: ProtocolsStudy, name: str, folder: _Folder, progress: bool, workers: int) -> DesignSessions:
    """The sessions of one design, from the folder or simulated."""
    path = folder.path / "designs" / f"{name}.npz"
    if path.is_file():
        try:
            with open(path, "rb") as stored, np.load(stored) as columns:
                return DesignSessions(*(columns[name] for name in DesignSessions._fields))
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            folder.log(f"training under {name} again: {error}")
    started = time.perf_counter()
    length: dict[str, Any] = {"until": study.run.until, "horizon": study.run.horizon, "seed": study.seed}
    days = train_design(study.cohort, study.designs[name], **length, workers=workers, progress=progress, name=name)
    folder.log(f"trained {len(days.starts) - 1} mice under {name} in {time.perf_counter() - started:.1f} s")
    path.parent.mkdir(exist_ok=True)
    partial_file = path.with_suffix(".tmp")
    with open(partial_file, "wb") as file:
        np.savez_compressed(file, **days._asdict())
    os.replace(partial_file, path)
    return days


def _fits(
    inference: Inference, trials: Trials, folder: _Folder, progress: bool, known: np.ndarray | None = None
) -> dict[str, tuple[Any, float]]:
    """Every model's fit and the seconds it took, from the folder or fitted to the trials."""
    from twin.inference.fit import fit, load_fit, save_fit  # torch is loaded once there is something to fit

    fits = {}
    for model in inference.models:
        place = folder.path / "fits" / model
        if not (place / "card.json").is_file():
            started = time.perf_counter()
            settings = inference.settings(model)
            done = fit(trials, inference.model(model), initial_weights=known, progress=progress, **settings)
            seconds = time.perf_counter() - started
            save_fit(done, place, {"seconds": seconds, "trials": int(trials.mask.sum()), "versions": versions()})
            folder.log(f"fitted {model} in {seconds:.1f} s")
        fits[model] = load_fit(place), json.loads((place / "card.json").read_text())["seconds"]
    return fits


def _run_cohort(study: CohortStudy, folder: _Folder, progress: bool, workers: int) -> Outcome:
    from twin.studies.pages import cohort_page

    rollout = _rollout(study, folder, progress, workers)
    return behavior(rollout) | times_to_status(rollout), partial(cohort_page, folder.path, study, rollout)


def _run_recovery(study: RecoveryStudy, folder: _Folder, progress: bool, workers: int) -> Outcome:
    rollout = _rollout(study, folder, progress, workers)
    trials = Trials.from_rollout(rollout, study.inference.features)
    first = None
    if rollout.weights is not None and trials.features == rollout.features:
        first = rollout.weights[rollout.starts[:-1]].astype(float)
    fits = _fits(study.inference, trials, folder, progress, first)

    from twin.evaluation.recovery import recovery
    from twin.studies.pages import recovery_page

    models = {name: recovery(fit, study.cohort, rollout, trials) | {"seconds": s} for name, (fit, s) in fits.items()}
    page = partial(recovery_page, folder.path, study, rollout, trials, {name: fit for name, (fit, _) in fits.items()})
    return behavior(rollout) | {"models": models}, page


def _run_fit(study: FitStudy, folder: _Folder, progress: bool, workers: int) -> Outcome:
    rollout = read_behavior(study.data)
    everything = Trials.from_rollout(rollout, study.inference.features or ("stimulus", "bias"))
    train, future = everything.split(study.future) if study.future else (everything, None)
    fits = _fits(study.inference, train, folder, progress)

    from twin.evaluation.scores import compare
    from twin.studies.pages import fit_page

    held_out = _held_out(study, train, folder, progress) if study.folds else {}

    page = partial(fit_page, folder.path, study, rollout, train, {name: fit for name, (fit, _) in fits.items()})
    return behavior(rollout) | compare(fits, train, future, held_out), page


def _held_out(study: FitStudy, trials: Trials, folder: _Folder, progress: bool) -> dict[str, dict[str, float]]:
    """Each model's score on mice it was not fitted to, from the folder or by fitting to the others."""
    from twin.evaluation.cross_validation import held_out_scores

    scores = {}
    for model in study.inference.models:
        path = folder.path / "fits" / model / "held_out.json"
        if not path.is_file():
            started = time.perf_counter()
            settings = study.inference.settings(model)
            kind = study.inference.model(model)
            done = held_out_scores(trials, kind, study.folds, study.seed, progress, **settings)
            folder.write(f"fits/{model}/held_out.json", json.dumps(done))
            folder.log(f"{study.folds} folds of {model} in {time.perf_counter() - started:.1f} s")
        scores[model] = json.loads(path.read_text())
    return scores


def _run_protocols(study: ProtocolsStudy, folder: _Folder, progress: bool, workers: int) -> Outcome:
    from twin.studies.pages import protocols_page

    days = {name: _days(study, name, folder, progress, workers) for name in study.designs}
    outcomes = {name: DesignOutcome.of(d, study.run.until) for name, d in days.items()}
    trials = sum(int(d.trials.sum()) for d in days.values())
    head = {"mice": study.cohort.mice, "trials": trials, "until": study.run.until, "horizon": study.run.horizon}
    results = head | compare_designs(outcomes, study.run.horizon, study.seed)
    return results, partial(protocols_page, folder.path, study)


def read_behavior(path: Path) -> Rollout:
    """Trials from an HDF5 rollout or, by its name's ending, a csv file."""
    return read_csv(path) if path.name.endswith((".csv", ".csv.gz")) else read_rollout(path)


_KINDS: dict[type[Study], Callable[..., Outcome]] = {
    CohortStudy: _run_cohort,
    RecoveryStudy: _run_recovery,
    FitStudy: _run_fit,
    ProtocolsStudy: _run_protocols,
}


def _plain(value: Any) -> Any:
    """The same for JSON, which has no NaN nor infinity: they become null."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
