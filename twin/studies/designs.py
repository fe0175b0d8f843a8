"""Kind `designs`: train the same mice under several protocols and compare how fast they reach a status."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, model_validator

from envs.names import LONGEST_NAME, NAME
from envs.protocols import Protocol
from twin.cohort import Cohort
from twin.evaluation.designs import DesignOutcome, DesignSessions, compare_designs
from twin.report.tables import fixed, text_table
from twin.simulation.designs import train_design
from twin.studies.columns import read_columns, write_columns
from twin.studies.folder import RunFolder
from twin.studies.results import Number, Pair, Record, Results
from twin.studies.study import Done, Options, Study
from twin.studies.table import NamedProtocol, ToStatus, check_target

Interval = tuple[float, float]
DesignName = Annotated[str, Field(pattern=NAME, max_length=LONGEST_NAME)]


class CostIntervals(Record):
    """95 % bootstrap intervals, over mice, of the mean cost of training a mouse."""

    sessions: Interval = Field(description="sessions")
    trials: Interval = Field(description="trials")
    water_ul: Interval = Field(description="water, microlitres")
    hours: Interval = Field(description="hours in the rig")


class Design(Record):
    """What training costs under one design, a mouse counted until it reached the status or until the horizon."""

    fraction_trained: float = Field(description="fraction of mice that reached the status")
    fraction_untrainable: float = Field(description="fraction labelled untrainable after 40 sessions")
    median_sessions: Number = Field(description="median time to the status (Kaplan-Meier); null if fewer than half reached it")
    median_trials: Number = Field(description="the same in trials; null likewise")
    mean_sessions: float = Field(description="mean over all mice, restricted to the horizon")
    mean_trials: float = Field(description="the same in trials")
    water_ul: float = Field(description="mean water, microlitres")
    hours: float = Field(description="mean hours in the rig")
    survival: list[float] = Field(description="fraction of mice without the status after 0, 1, ... horizon sessions")
    survival_ci95: tuple[list[float], list[float]] = Field(description="its 95 % band: lower limits, upper limits")
    ci95: CostIntervals = Field(description="of the mean costs")


class Difference(Record):
    """Mean cost under design a minus that under b: negative where a is the cheaper."""

    difference: float = Field(description="mean over mice")
    ci95: Interval = Field(description="95 % bootstrap interval over mice")


class Histogram(Record):
    """Mice counted by a whole number."""

    difference: list[int] = Field(description="sessions under a minus those under b, ascending")
    mice: list[int] = Field(description="mice with that difference")


class DesignComparison(Difference, Pair):
    """Two designs, mouse by mouse; `difference` and `ci95` are of the sessions."""

    histogram: Histogram = Field(description="mice by their difference in sessions")
    p: Number = Field(description="of the log-rank test, which takes the mice for different ones; null if none was trained")
    p_paired: Number = Field(description="of the paired t-test of sessions; null if all mice differ by the same number")
    a_faster: float = Field(description="fraction of mice that needed fewer sessions under a")
    b_faster: float = Field(description="fraction of mice that needed fewer sessions under b")
    trials: Difference = Field(description="of the trials")
    water_ul: Difference = Field(description="of the water, microlitres")
    hours: Difference = Field(description="of the hours in the rig")


class Place(Record):
    """A design in the order of mean sessions."""

    design: str = Field(description="name of the design")
    mean_sessions: float = Field(description="mean sessions of a mouse")
    probability_best: float = Field(description="fraction of resamples of the mice in which it needs the fewest")


class ComparedDesigns(Record):
    """What training costs under each design, and how they compare."""

    until: str = Field(description="status to which mice were trained")
    horizon: int = Field(description="sessions, at most")
    settings: Mapping[str, Mapping[str, Any]] = Field(description="where designs differ beside their stages: by key, by design")
    designs: Mapping[str, Design] = Field(description="by name")
    comparisons: Sequence[DesignComparison] = Field(description="of every two designs")
    ranking: Sequence[Place] = Field(min_length=1, description="fewest mean sessions first")


class DesignsResults(ComparedDesigns, Results):
    """Designs compared on the mice of a cohort."""

    def summary(self) -> str:
        """The designs in order, and how each compares with the best."""
        best = self.ranking[0]
        lines = [
            f"{self.scenario}: {self.mice} mice under {len(self.designs)} designs until {self.until} or "
            f"{self.horizon} sessions, {self.trials} trials, {self.seconds:.1f} s",
            f"fewest sessions: {best.design}, first in {100 * best.probability_best:.0f} % of resamples of the mice",
            *(f"{key} differs: {_by_design(values)}" for key, values in self.settings.items()),
            "",
            *text_table(*design_table(self)),
        ]
        return "\n".join(lines)


def _by_design(values: Mapping[str, Any]) -> str:
    """The value of each design."""
    return ", ".join(f"{v:g} ({name})" if isinstance(v, float) else f"{v} ({name})" for name, v in values.items())


def differences(designs: Mapping[str, Protocol]) -> dict[str, dict[str, Any]]:
    """What protocols differ in beside name and stages: by key, the value of each."""
    keys = [key for key in Protocol.model_fields if key not in ("name", "stages")]
    values = {key: {name: getattr(protocol, key) for name, protocol in designs.items()} for key in keys}
    return {key: each for key, each in values.items() if len(set(each.values())) > 1}


def design_table(results: ComparedDesigns) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the designs, best first; the last column is the difference from the best, with its 95 % interval."""
    header = ["design", "trained", "median sessions", "mean sessions", "mean trials", "water (mL)", "hours", "sessions more"]
    return header, [[place.design, *_costs(results, place.design)] for place in results.ranking]


def _costs(results: ComparedDesigns, name: str) -> list[str]:
    design = results.designs[name]
    return [
        f"{100 * design.fraction_trained:.0f} %",
        fixed(design.median_sessions, 1),
        fixed(design.mean_sessions, 1),
        fixed(design.mean_trials, 0),
        fixed(design.water_ul / 1000, 1),
        fixed(design.hours, 1),
        _more_than_best(results, name),
    ]


def _more_than_best(results: ComparedDesigns, name: str) -> str:
    """Mean sessions of a design minus those of the best one."""
    best = results.ranking[0].design
    for pair in results.comparisons:
        if (pair.a, pair.b) == (name, best):
            return _signed(pair, 1)
        if (pair.a, pair.b) == (best, name):
            return _signed(pair, -1)
    return "best"


def _signed(pair: Difference, sign: int) -> str:
    low, high = sorted(sign * limit for limit in pair.ci95)
    return f"{sign * pair.difference:+.2f} [{low:+.2f}, {high:+.2f}]"


def _named(designs: Any) -> Any:
    """Tables of designs, each protocol named like its design unless it has a name of its own."""
    if not isinstance(designs, dict):
        return designs
    if len(designs) < 2:
        raise ValueError(f"{len(designs)} design; give two or more to compare, each a protocol in a table [designs.NAME]")
    return {name: {"name": name} | table if isinstance(table, dict) else table for name, table in designs.items()}


class DesignsStudy(Study):
    """Train the same mice under several protocols and compare how fast they reach a status."""

    kind: ClassVar[str] = "designs"

    cohort: Cohort
    designs: Annotated[dict[DesignName, NamedProtocol], BeforeValidator(_named)]
    run: ToStatus

    @model_validator(mode="after")
    def _within_reach(self) -> Self:
        for name, protocol in self.designs.items():
            check_target(self.run.until, protocol, f"designs.{name}: ")
        return self

    def carry_out(self, folder: RunFolder, options: Options) -> Done:
        """Train the mice under every design, and compare what it cost."""
        days = {name: self._days(name, folder, options) for name in self.designs}
        outcomes = {name: DesignOutcome.of(sessions, self.run.until) for name, sessions in days.items()}
        results = DesignsResults(
            mice=self.cohort.mice,
            trials=sum(int(sessions.trials.sum()) for sessions in days.values()),
            until=self.run.until,
            horizon=self.run.horizon,
            settings=differences(self.designs),
            **compare_designs(outcomes, self.run.horizon, self.seed),
            **self.head(folder),
        )
        return Done(results, partial(_page, folder.path, results))

    def _days(self, name: str, folder: RunFolder, options: Options) -> DesignSessions:
        """The sessions under one design, from the folder or simulated."""
        length = dict[str, Any](until=self.run.until, horizon=self.run.horizon, seed=self.seed)
        how = dict[str, Any](workers=options.workers, engine=options.engine, progress=options.progress)
        train = partial(train_design, self.cohort, self.designs[name], name=name, **length, **how)
        return keep_days(folder, f"designs/{name}.npz", train, self.cohort)


def keep_days(folder: RunFolder, name: str, train: Callable[[], DesignSessions], cohort: Cohort) -> DesignSessions:
    """The sessions of a cohort under one design, from the file `name` of the folder or trained."""
    fit = cohort.known_rule.content
    read = partial(read_columns, DesignSessions, "the sessions of a design", fit=fit)
    return folder.keep(name, train, read, partial(write_columns, fit=fit))


def _designs_text(results: DesignsResults) -> list[str]:
    from twin.report.html import table

    header, rows = design_table(results)
    words = (
        f"The same {results.mice} mice under each design, until {results.until} or for {results.horizon} sessions. "
        "Means are over all mice and count what a mouse cost until then; the median is of the time to the status, a dash if "
        "fewer than half reached it. In brackets: 95 % bootstrap intervals over mice."
    )
    return [words, table(rows, header)]


def comparisons_text(results: ComparedDesigns) -> list[str]:
    from twin.report.html import table

    pairs = [[pair.a, pair.b, _signed(pair, 1), pair.p_paired, pair.p] for pair in results.comparisons]
    ranking = [[place.design, place.mean_sessions, place.probability_best] for place in results.ranking]
    return [
        table(pairs, ["a", "b", "sessions of a minus b [95 % interval]", "p (paired t)", "p (log-rank)"]),
        table(ranking, ["design", "mean sessions", "probability that it needs fewest"]),
    ]


def _page(folder: Path, results: DesignsResults) -> None:
    from twin.report import page
    from twin.report.shown import Shown

    sections = [("Designs", _designs_text(results)), ("Comparisons", comparisons_text(results))]
    page.write(folder, results.scenario, sections, results.facts(), Shown(results.table()))
