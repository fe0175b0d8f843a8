"""Kind `fingerprint`: does a cohort look like real mice? Its statistics against targets, its curves and distributions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from twin.cohort import Cohort
from twin.data import formats
from twin.evaluation.statistics.fingerprint import fingerprint, inside
from twin.evaluation.statistics.mice import HORIZON, MouseNumbers, describe_mice
from twin.evaluation.statistics.registry import Estimate, estimates_of, statistics
from twin.evaluation.statistics.targets import Target, check_targets, named_targets, targets_of
from twin.report.tables import number, text_table
from twin.simulation.statistics import simulate_mice
from twin.studies.columns import read_columns, write_columns
from twin.studies.folder import RunFolder
from twin.studies.results import Number, Record, Results
from twin.studies.study import Done, Options, Study
from twin.studies.table import NamedProtocol, Table, beside_scenario, check_target

FAR_OFF = 2.0  # standard deviations from its target: beyond, a statistic is told to be missed
HEADER = ["statistic", "virtual", "95 % interval", "target", "sd", "sd off"]


def _form(value: Any) -> str | None:
    if isinstance(value, dict):
        return "table"
    return "file" if isinstance(value, str | Path) else None


_FORM = Discriminator(
    _form,
    custom_error_type="targets",
    custom_error_message="expected a table such as { reach = { mean = 0.68, sd = 0.03 } }, 'ibl', or the file of recorded mice",
)
# Targets by statistic, the name of some that come with the package, or recorded mice of which they are computed.
GivenTargets = Annotated[
    Annotated[dict[str, Target], Tag("table")] | Annotated[Path, BeforeValidator(beside_scenario), Tag("file")],
    _FORM,
    BeforeValidator(named_targets),
]


class Training(Table):
    """How long mice are trained: until they are proficient, or to the horizon; then some sessions with blocks."""

    horizon: int = Field(HORIZON, ge=1, description="sessions, at most")
    biased_sessions: int = Field(3, ge=0, description="with blocks, of mice that are proficient")


class StatisticRow(Record):
    """A statistic of the virtual mice, and its target."""

    unit: str = Field(description="unit")
    meaning: str = Field(description="what it is")
    value: Number = Field(description="of the virtual mice; null if none of them tells it")
    ci95: tuple[Number, Number] = Field(description="95 % bootstrap interval over mice; null likewise, or if all are alike")
    target: Number = Field(None, description="what it was to be; absent (never null) of a statistic without a target")
    target_sd: Number = Field(None, description="standard deviation of the target; absent (never null) without one")
    weight: Number = Field(None, description="how much the target counts; absent (never null) without one")
    deviation: Number = Field(None, description="value minus target, in those standard deviations; null if the value is")
    recorded: Number = Field(None, description="of recorded mice; null if they do not tell it, absent without such mice")


class FingerprintResults(Results):
    """The statistics of a cohort, and how it looks."""

    statistics: Mapping[str, StatisticRow] = Field(description="by name, those with a target first")
    missed: list[str] = Field(description="statistics more than two standard deviations off their target")
    inside: Number = Field(
        None,
        description="fraction of recorded sessions inside the 95 % band of virtual learning curves (balanced accuracy); null "
        "if there is none to tell, absent without recorded mice",
    )
    fingerprint: Mapping[str, Any] = Field(description="bands and distributions over virtual mice, as the figures show them")
    recorded: Mapping[str, Any] = Field({}, description="the same of recorded mice; absent without")

    def rows(self) -> list[list[str]]:
        """The statistics as a table of text."""
        return [
            [
                name,
                number(row.value),
                f"{number(row.ci95[0])} to {number(row.ci95[1])}",
                *(number(value) for value in (row.target, row.target_sd)),
                "-" if row.deviation is None else f"{row.deviation:+.1f}",
            ]
            for name, row in self.statistics.items()
        ]

    def summary(self) -> str:
        """Statistic by statistic, and what is missed."""
        missed = (
            f"more than {FAR_OFF:g} sd off: {', '.join(self.missed)}" if self.missed else f"all targets within {FAR_OFF:g} sd"
        )
        told = [] if self.inside is None else [f"{100 * self.inside:.0f} % of recorded sessions inside the 95 % band"]
        head = f"{self.scenario}: {self.mice} mice, {self.trials} trials of training, {self.seconds:.1f} s"
        return "\n".join([head, *text_table(HEADER, self.rows()), missed, *told])


class FingerprintStudy(Study):
    """Compare a cohort with targets, or with recorded mice."""

    kind: ClassVar[str] = "fingerprint"

    cohort: Cohort
    protocol: NamedProtocol
    run: Training = Training()
    targets: GivenTargets
    recorded: Annotated[Path, BeforeValidator(beside_scenario)] | None = Field(None, description="mice that are shown beside")

    @model_validator(mode="after")
    def _within_reach(self) -> Self:
        check_target("trained_1a", self.protocol)
        if isinstance(self.targets, dict):
            check_targets(self.targets, self.run.horizon)
        return self

    def recorded_mice(self) -> MouseNumbers | None:
        """What the recorded mice did: those that are the target, else those shown beside; None without any."""
        path = self.targets if isinstance(self.targets, Path) else self.recorded
        return None if path is None else describe_mice(formats.read(path), self.run.horizon)

    def known_targets(self, recorded: MouseNumbers | None) -> dict[str, Target]:
        """The targets, computed of the recorded mice where these are the target."""
        if isinstance(self.targets, dict):
            return self.targets
        assert recorded is not None
        return targets_of(recorded)

    def carry_out(self, folder: RunFolder, options: Options) -> Done:
        """Simulate, and compare."""
        recorded = self.recorded_mice()
        mice = self.simulated(folder, options, self.cohort, self.seed)
        results = FingerprintResults(**self.compared(mice, recorded), **self.head(folder))
        return Done(results, partial(write_page, folder.path, results, []))

    def simulated(self, folder: RunFolder, options: Options, cohort: Cohort, seed: int) -> MouseNumbers:
        """The numbers of the mice, from the folder or simulated."""
        how = dict[str, Any](engine=options.engine, workers=options.workers, progress="mice" if options.progress else "")
        length = self.run.model_dump()
        fit = cohort.known_rule.content
        make = partial(simulate_mice, cohort, self.protocol, seed=seed, **length, **how)
        read = partial(read_columns, MouseNumbers, "the numbers of mice", fit=fit)
        return folder.keep("mice.npz", make, read, partial(write_columns, fit=fit))

    def compared(self, mice: MouseNumbers, recorded: MouseNumbers | None) -> dict[str, Any]:
        """Statistics and looks of virtual mice, beside targets and recorded mice."""
        rows = _rows(estimates_of(mice), self.known_targets(recorded), recorded)
        missed = [name for name, row in rows.items() if row.target is not None and not _near(row.deviation)]
        beside = {} if recorded is None else _beside(mice, recorded)
        totals = mice.totals.sum(axis=0)
        looks = {"fingerprint": fingerprint(mice), **beside}
        return {"statistics": rows, "missed": missed, "mice": mice.mice, "trials": int(totals[1]), **looks}


def _near(deviation: float | None) -> bool:
    return deviation is not None and abs(deviation) <= FAR_OFF


def _beside(mice: MouseNumbers, recorded: MouseNumbers) -> dict[str, Any]:
    return {"inside": inside(recorded, mice), "recorded": fingerprint(recorded)}


def _rows(
    estimates: Mapping[str, Estimate], targets: Mapping[str, Target], recorded: MouseNumbers | None
) -> dict[str, StatisticRow]:
    """Every statistic, those with a target first."""
    rows = {}
    for name in sorted(estimates, key=lambda name: name not in targets):
        known, (value, low, high) = statistics()[name], estimates[name]
        row = dict[str, Any](unit=known.unit, meaning=known.doc, value=value, ci95=(low, high))
        if name in targets:
            mean, sd, weight = targets[name].mean, targets[name].sd, targets[name].weight
            row |= {"target": mean, "target_sd": sd, "weight": weight, "deviation": (value - mean) / sd}
        if recorded is not None:
            row["recorded"] = known.compute(recorded)
        rows[name] = StatisticRow(**row)
    return rows


def write_page(folder: Path, results: FingerprintResults, more: list[tuple[str, Any]]) -> None:
    """The page of a fingerprint, with what else a study has to say before it."""
    from twin.report import page
    from twin.report.html import table
    from twin.report.shown import Shown

    words = (
        "Virtual mice against targets; intervals are 95 % bootstrap intervals over mice, deviations are in standard deviations "
        "of the target. Statistics without a target were fitted to nothing: they are predictions."
    )
    recorded = [
        [f"{row.meaning} ({row.unit})", *text] for row, text in zip(results.statistics.values(), results.rows(), strict=True)
    ]
    header = ["meaning", *HEADER]
    sections = [*more, ("Statistics", [words, table(recorded, header)]), ("Fingerprint", "")]
    page.write(folder, results.scenario, sections, results.facts(), Shown(results.table()))
