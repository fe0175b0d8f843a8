"""Kind `calibration`: search the numbers of a population so that its mice look like real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import tomli_w
from pydantic import Field, model_validator
from tqdm import tqdm

from twin.cohort import Cohort
from twin.evaluation.statistics.mice import MouseNumbers
from twin.evaluation.statistics.registry import values_of
from twin.evaluation.statistics.targets import Target, Targets, loss
from twin.report.tables import number, text_table
from twin.simulation.calibration import (
    Candidate,
    Problem,
    Searched,
    best,
    check_search,
    finalists,
    near_best,
    read_candidates,
    search,
    write_candidates,
)
from twin.studies.fingerprint import FingerprintResults, FingerprintStudy, write_page
from twin.studies.folder import RunFolder
from twin.studies.results import Number, Record
from twin.studies.study import Done, Options
from twin.studies.table import Table

CANDIDATES, RECOVERY, POPULATION = "candidates", "recovery", "population.toml"  # in the run folder
PARAMETERS = ["parameter", "value", "best tenth", "searched", "share of the box", "recovered", "true"]


class Calibration(Table):
    """How long the search goes on."""

    generations: int = Field(40, ge=1)
    candidates: int = Field(14, ge=4, description="of each generation")
    step: float = Field(0.2, gt=0, le=0.5, description="spread of the first generation, as a share of the box")
    finalists: int = Field(6, ge=1, description="candidates that are simulated again, with more mice")
    finalist_mice: int = Field(300, ge=1, description="these mice, of another seed")
    recovery: bool = Field(True, description="is a known population, the one found, searched for as well?")


class Evaluation(Table):
    """The mice by which the population found is judged: others than those it was fitted to."""

    mice: int = Field(500, ge=1)
    seed: int = Field(ge=0)


class FoundParameter(Record):
    """A number of the population that was searched for."""

    value: Number = Field(description="in the population found; never null")
    near: tuple[float, float] = Field(description="least and greatest of it and of the best tenth of the candidates")
    searched: tuple[float, float] = Field(description="ends of the search")
    spread: float = Field(description="width of `near` as a share of the search's: near 1, the statistics do not tell it")
    recovered: Number = Field(None, description="what a search for the population found gave, absent (never null) without one")


class CalibrationResults(FingerprintResults):
    """The population found, and how well its mice match, judged by others than those it was fitted to."""

    loss: float = Field(description="weighted sum of squared deviations, the least of all candidates, mice of the search")
    loss_evaluated: float = Field(description="the same of other mice")
    candidates: int = Field(description="number of candidates that were simulated")
    near: int = Field(description="of them, the best tenth")
    parameters: Mapping[str, FoundParameter] = Field(description="by the names of the search")
    nearest: Mapping[str, Number] = Field(
        description="of each missed statistic, the value of any candidate nearest its target; null if none tells it"
    )
    population: str = Field(description="the population as a file; also in population.toml")

    def files(self) -> dict[str, str]:
        """The population found."""
        return {POPULATION: self.population}

    def parameter_rows(self) -> list[list[str]]:
        """The parameters as a table of text."""
        return [
            [
                name,
                _short(found.value),
                f"{_short(found.near[0])} to {_short(found.near[1])}",
                f"{_short(found.searched[0])} to {_short(found.searched[1])}",
                f"{found.spread:.2f}",
                _short(found.recovered),
                _short(None if found.recovered is None else found.value),
            ]
            for name, found in self.parameters.items()
        ]

    def summary(self) -> str:
        """Statistic by statistic, what cannot be reached, and how well each parameter is pinned down."""
        told = [f"{name}: the nearest of any candidate is {number(value)}" for name, value in self.nearest.items()]
        head = (
            f"least loss of {self.candidates} candidates {self.loss:.1f}; of the population found, in other mice "
            f"{self.loss_evaluated:.1f}; best tenth: {self.near}"
        )
        return "\n".join([super().summary(), *told, "", head, *text_table(PARAMETERS, self.parameter_rows())])


class CalibrationStudy(FingerprintStudy):
    """Search a population, and compare its mice with the targets."""

    kind: ClassVar[str] = "calibration"

    search: dict[str, Searched] = Field(min_length=1)
    calibration: Calibration = Calibration()
    evaluation: Evaluation
    sources: str = Field("", description="where the targets are from, for the provenance of the population")

    @model_validator(mode="after")
    def _other_mice(self) -> Self:
        seed = self.evaluation.seed
        if seed in (self.seed, self.seed + 1):
            raise ValueError(f"evaluation.seed = {seed} is a seed of the search, by whose mice it was chosen; give another")
        check_search(self._problem(Options()))
        return self

    def _problem(self, options: Options) -> Problem:
        run, how = self.run, (options.engine, options.workers)
        return Problem(self.cohort, self.search, self.protocol, run.horizon, run.biased_sessions, self.seed, *how)

    def carry_out(self, folder: RunFolder, options: Options) -> Done:
        """Search, judge what was found by other mice, and search for it again as if it were not known."""
        recorded = self.recorded_mice()
        targets, problem = self.known_targets(recorded), self._problem(options)
        tried = self._search(folder, CANDIDATES, targets, problem, options)
        found = best(self._finalists(folder, CANDIDATES, tried, targets, problem), targets)
        judged = problem.population(problem.values(found.place)).model_copy(update={"mice": self.evaluation.mice})
        mice = self.simulated(folder, options, judged, self.evaluation.seed)
        again = self._recovered(folder, targets, mice, problem, options) if self.calibration.recovery else None
        compared = self.compared(mice, recorded)
        results = CalibrationResults(
            **compared,
            loss=min(loss(one.statistics, targets) for one in tried),
            loss_evaluated=loss(values_of(mice), targets),
            candidates=len(tried),
            near=len(near_best(tried, targets)),
            parameters=_parameters(problem, found, near_best(tried, targets), again),
            nearest={name: _nearest(name, tried, targets) for name in compared["missed"]},
            population=self._population(judged, targets, tried, compared["missed"]),
            **self.head(folder),
        )
        return Done(results, partial(_page, folder.path, results))

    def _search(self, folder: RunFolder, name: str, targets: Targets, problem: Problem, options: Options) -> list[Candidate]:
        """Every candidate of a search, each kept in a file of the folder as soon as it is known."""
        length, draws = self.calibration, self.seed + (name == RECOVERY)  # or both would try the same at first
        kept = folder.path / f"{name}.jsonl"
        before = read_candidates(kept)
        steps = search(problem, targets, length.generations, length.candidates, draws, length.step, before)
        tried: list[Candidate] = []
        total, hidden = length.generations * length.candidates, None if options.progress else True
        for one in tqdm(steps, total=total, unit="candidate", desc=name, disable=hidden, delay=0.5):
            tried.append(one)
            if tried != before[: len(tried)]:
                write_candidates(tried, kept)
        return tried

    def _finalists(
        self, folder: RunFolder, name: str, tried: Sequence[Candidate], targets: Targets, problem: Problem
    ) -> list[Candidate]:
        """The best candidates, simulated with more mice of another seed."""
        mice = self.calibration.finalist_mice
        more = replace(problem, seed=self.seed + 1, cohort=problem.cohort.model_copy(update={"mice": mice}))

        def simulate() -> list[Candidate]:
            places = finalists(tried, targets, self.calibration.finalists)
            return [Candidate(place, more.statistics(place)) for place in places]

        return folder.keep(f"{name}_finalists.jsonl", simulate, read_candidates, write_candidates)

    def _recovered(
        self, folder: RunFolder, targets: Targets, mice: MouseNumbers, problem: Problem, options: Options
    ) -> Candidate:
        """The best candidate of another search, whose targets are the statistics of the mice of the population found."""
        values = values_of(mice, targets)
        told = {name: one for name, one in targets.items() if np.isfinite(values[name])}
        aims = {name: Target(mean=values[name], sd=one.sd, weight=one.weight) for name, one in told.items()}
        tried = self._search(folder, RECOVERY, aims, problem, options)
        return best(self._finalists(folder, RECOVERY, tried, aims, problem), aims)

    def _population(self, found: Cohort, targets: Targets, tried: Sequence[Candidate], missed: Sequence[str]) -> str:
        table = found.model_dump(mode="json", include={"rule", "features", "parameters", "correlation"})
        provenance = {
            "matched": f"{', '.join(targets)}; under {self.protocol.name}, {self.run.horizon} sessions",
            "sources": self.sources or f"the targets of the scenario {self.name}",
            "search": f"CMA-ES, {len(tried)} candidates of {self.cohort.mice} mice, seed {self.seed}; the best by "
            f"{self.calibration.finalist_mice} mice of seed {self.seed + 1}; judged by {self.evaluation.mice} of seed "
            f"{self.evaluation.seed}",
            "limits": f"more than two standard deviations off its target: {', '.join(missed) or 'none'}",
        }
        return tomli_w.dumps({**table, "provenance": provenance})


def _parameters(
    problem: Problem, found: Candidate, near: Sequence[Candidate], again: Candidate | None
) -> dict[str, FoundParameter]:
    """Each number that was searched for, and how well the statistics tell it."""
    values = problem.values(found.place)
    recovered = {} if again is None else problem.values(again.place)
    places = np.array([found.place, *(one.place for one in near)])
    rows = {}
    for (name, one), low, high in zip(problem.search.items(), places.min(axis=0), places.max(axis=0), strict=True):
        ends = {"near": (one.value(low), one.value(high)), "searched": (one.low, one.high)}
        more = {"recovered": recovered[name]} if recovered else {}
        rows[name] = FoundParameter(value=values[name], **ends, spread=float(high - low), **more)
    return rows


def _nearest(name: str, tried: Sequence[Candidate], targets: Targets) -> float | None:
    """The value of a statistic, of any candidate, that is nearest its target; None if no candidate told it."""
    values = np.array([one.statistics.get(name, np.nan) for one in tried])
    off = np.abs(values - targets[name].mean)
    return float(values[np.nanargmin(off)]) if np.isfinite(off).any() else None


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _page(folder: Path, results: CalibrationResults) -> None:
    from twin.report.html import table

    words = (
        f"{results.candidates} candidates; the least loss is {results.loss:.1f}, that of the population found "
        f"{results.loss_evaluated:.1f} in mice of another seed. Where the best tenth of the candidates ({results.near}) takes "
        "up most of the box, these statistics do not tell the parameter. Recovered: what another search finds when its targets "
        "are the statistics of mice of the population found."
    )
    write_page(folder, results, [("Parameters", [words, table(results.parameter_rows(), PARAMETERS)])])
