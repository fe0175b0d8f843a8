"""Kind `optimize`: search the settings of a protocol for the design that trains mice at the least cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import tomli_w
from pydantic import Field, model_validator
from tqdm import tqdm

from twin.cohort import Cohort
from twin.evaluation.designs import COSTS, DesignOutcome, savings
from twin.report.tables import number, text_table
from twin.simulation.design_search import START, Design, DesignSearch, DesignSpace, Round, SearchedSetting, halve
from twin.simulation.designs import train_design
from twin.studies.designs import DesignName, Interval, keep_days
from twin.studies.folder import RunFolder
from twin.studies.results import Record, Results
from twin.studies.study import Done, Options, Study
from twin.studies.table import NamedProtocol, Table, ToStatus, check_target

MINE = "cohort"  # the name of [cohort] beside those of [others]
PROTOCOL = "protocol.toml"  # in the run folder
SAVED = {"sessions": "sessions", "trials": "trials", "water_ul": "water", "hours": "hours"}


class HeldOut(Table):
    """Mice that judge the design that was found: of another seed, and of cohorts that had no part in the search."""

    mice: int = Field(300, ge=2, description="of each cohort")
    seed: int = Field(ge=0)
    unseen: dict[DesignName, Cohort] = Field({}, description="cohorts whose rule was not used in the search")


class Tried(Record):
    """A design that was tried."""

    settings: Mapping[str, Any] = Field(description="by name of the search")
    costs: Sequence[float] = Field(description="in each round that it was in, relative to the protocol as it is")


class SearchRound(Record):
    """One round of the search."""

    mice: int = Field(description="that trained under each design, of all cohorts")
    designs: int = Field(description="beside the protocol as it is")


class Saving(Record):
    """What is saved under the design that was found."""

    saved: float = Field(description="1 - mean cost found / mean cost of the protocol as it is; negative: it costs more")
    ci95: Interval = Field(description="95 % bootstrap interval over mice")


class Judged(Record):
    """The design that was found and the protocol as it is, on mice that had no part in the search."""

    searched: bool = Field(description="was a cohort of this rule part of the search?")
    fraction_trained: tuple[float, float] = Field(description="fraction of mice that reached the status: as it is, as found")
    mean_sessions: tuple[float, float] = Field(description="mean sessions, to the status or the horizon: as it is, as found")
    savings: Mapping[str, Saving] = Field(description="by cost: sessions, trials, water_ul, hours")


class OptimizeResults(Results):
    """The design that was found, and what it saves."""

    until: str = Field(description="status to which mice were trained")
    horizon: int = Field(description="sessions, at most")
    objective: str = Field(description="what was to be small")
    over: str = Field(description="of several cohorts: mean or worst")
    rounds: Sequence[SearchRound] = Field(description="of the search, in order")
    tried: Mapping[str, Tried] = Field(description="every design, by name")
    best: str = Field(description="the design of the least cost; `start`: none costs less than the protocol as it is")
    settings: Mapping[str, Any] = Field(description="of the best design, by name of the search; empty for `start`")
    held_out: Mapping[str, Judged] = Field(description="by cohort")
    protocol: str = Field(description="the protocol found as a file; also in protocol.toml")

    def files(self) -> dict[str, str]:
        """The protocol found."""
        return {PROTOCOL: self.protocol}

    def rows(self) -> list[list[str]]:
        """A row for each held-out cohort."""
        return [
            [
                name if judged.searched else f"{name} (rule not searched with)",
                *(f"{100 * fraction:.0f} %" for fraction in judged.fraction_trained),
                *(f"{sessions:.1f}" for sessions in judged.mean_sessions),
                *(_percent(judged.savings[cost]) for cost in COSTS),
            ]
            for name, judged in self.held_out.items()
        ]

    def answer(self) -> str:
        """What was found, in a sentence."""
        if self.best == START:
            return f"none of {len(self.tried)} designs has a lower {self.objective} than the protocol as it is"
        settings = ", ".join(f"{name} = {_shown(value)}" for name, value in self.settings.items())
        return f"lowest {self.objective} of {len(self.tried)} designs: {settings}"

    def summary(self) -> str:
        """The best design, and what it saves in mice that had no part in the search."""
        head = (
            f"{self.scenario}: {len(self.tried)} designs until {self.until} or {self.horizon} sessions, {self.trials} trials, "
            f"{self.seconds:.1f} s"
        )
        return "\n".join([head, self.answer(), "", *text_table(HEADER, self.rows())])


HEADER = [
    "held-out mice",
    *(f"trained, {which}" for which in ("start", "found")),
    *(f"sessions, {which}" for which in ("start", "found")),
    *(f"{SAVED[cost]} saved" for cost in COSTS),
]


def _percent(saving: Saving) -> str:
    low, high = saving.ci95
    return f"{100 * saving.saved:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


def _shown(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


@dataclass
class _Trained:
    """Designs trained by the mice of a study, each kept in the run folder."""

    study: OptimizeStudy
    folder: RunFolder
    options: Options
    bar: tqdm
    trials: int = field(default=0)

    def __call__(self, design: Design, cohort: str, mice: int) -> DesignOutcome:
        """The outcome of a design for some mice of a cohort of the search."""
        return self.train(design, cohort, self.study.cohorts[cohort].model_copy(update={"mice": mice}), self.study.seed)

    def train(self, design: Design, name: str, cohort: Cohort, seed: int) -> DesignOutcome:
        """The outcome of a design for a cohort, from the folder or simulated."""
        run = self.study.run
        train = partial(
            train_design,
            cohort,
            design.protocol,
            until=run.until,
            horizon=run.horizon,
            seed=seed,
            engine=self.options.engine,
            workers=self.options.workers,
        )
        file = f"designs/{name}-{cohort.mice}-{seed}/{design.name}.npz"
        days = keep_days(self.folder, file, train, cohort)
        self.bar.update(cohort.mice)
        self.trials += int(days.trials.sum())
        return DesignOutcome.of(days, run.until)


class OptimizeStudy(Study):
    """Search the settings of a protocol for the design that trains mice at the least cost."""

    kind: ClassVar[str] = "optimize"

    cohort: Cohort
    others: dict[DesignName, Cohort] = Field({}, description="cohorts of other rules that the design must be good for")
    protocol: NamedProtocol
    search: dict[str, SearchedSetting]
    run: ToStatus
    optimize: DesignSearch = DesignSearch()
    held_out: HeldOut

    @model_validator(mode="after")
    def _can_be_searched(self) -> Self:
        check_target(self.run.until, self.protocol)
        for name in (*self.others, *self.held_out.unseen):
            if name == MINE or (name in self.others and name in self.held_out.unseen):
                raise ValueError(
                    f"{name!r} names two cohorts; expected one name for each of [cohort], others and held_out.unseen"
                )
        if self.held_out.seed == self.seed:
            raise ValueError(f"held_out.seed = {self.seed} is the seed of the search; mice that judge must be others")
        self._space.check()
        return self

    @property
    def cohorts(self) -> dict[str, Cohort]:
        """Those of the search, by name."""
        return {MINE: self.cohort, **self.others}

    @property
    def _space(self) -> DesignSpace:
        return DesignSpace(self.protocol, self.search)

    def carry_out(self, folder: RunFolder, options: Options) -> Done:
        """Search, and judge the best design by other mice."""
        designs = self._space.designs(self.optimize.designs, self.seed)
        if not designs:
            raise ValueError(
                f"none of {self.optimize.designs} designs can be had: their settings exclude each other; narrow [search]"
            )
        start = Design(START, {}, self.protocol)
        judges = {**self.cohorts, **self.held_out.unseen}
        mice = {name: cohort.mice for name, cohort in self.cohorts.items()}
        with tqdm(
            total=_work(self.optimize, mice.values(), len(designs)) + 2 * self.held_out.mice * len(judges),
            unit="mouse",
            desc=self.name,
            disable=None if options.progress else True,
        ) as bar:
            trained = _Trained(self, folder, options, bar)
            rounds = halve(designs, start, mice, self.optimize, trained)
            named = {design.name: design for design in [start, *designs]}
            best = named[rounds[-1].best[0]]
            judged = {name: self._judge(trained, start, best, name, cohort) for name, cohort in judges.items()}
        results = OptimizeResults(
            mice=sum(mice.values()),
            trials=trained.trials,
            until=self.run.until,
            horizon=self.run.horizon,
            objective=self.optimize.objective,
            over=self.optimize.over,
            rounds=[SearchRound(mice=one.mice, designs=len(one.costs) - 1) for one in rounds],
            tried={one.name: Tried(settings=one.settings, costs=_costs(one.name, rounds)) for one in designs},
            best=best.name,
            settings=best.settings,
            held_out=judged,
            protocol=tomli_w.dumps(best.protocol.table()),
            **self.head(folder),
        )
        return Done(results, partial(_page, folder.path, results))

    def _judge(self, trained: _Trained, start: Design, best: Design, name: str, cohort: Cohort) -> Judged:
        """The protocol as it is and the best design, by mice of a cohort that had no part in the search."""
        others = cohort.model_copy(update={"mice": self.held_out.mice})
        before, after = (trained.train(design, f"held-out-{name}", others, self.held_out.seed) for design in (start, best))
        return Judged(
            searched=name in self.cohorts,
            fraction_trained=(float(before.reached.mean()), float(after.reached.mean())),
            mean_sessions=(float(before.sessions.mean()), float(after.sessions.mean())),
            savings={cost: Saving(**saved) for cost, saved in savings(before, after, self.seed).items()},
        )


def _costs(name: str, rounds: Sequence[Round]) -> list[float]:
    return [one.costs[name] for one in rounds if name in one.costs]


def _work(how: DesignSearch, cohorts: Any, designs: int) -> int:
    """Mice that a search trains."""
    total, left, cohorts = 0, designs, list(cohorts)
    for turn in range(how.rounds):
        total += (left + 1) * sum(how.mice(mice)[turn] for mice in cohorts)
        left = how.survivors(left)
    return total


def _page(folder: Path, results: OptimizeResults) -> None:
    from twin.report import page
    from twin.report.html import table
    from twin.report.shown import Shown

    words = (
        f"Designs are compared by {results.objective} until {results.until} or {results.horizon} sessions, relative to the "
        f"protocol as it is, on the same mice: {', '.join(f'{one.designs} by {one.mice} mice' for one in results.rounds)}. "
        "What is saved is judged by other mice, where a minus means that it costs more. In brackets: 95 % bootstrap intervals "
        "over mice. The gain holds for mice that learn as these do; for a rule that the search did not know, see its row. "
        f"The protocol is in {PROTOCOL}."
    )
    sections = [("Design", [f"{results.answer()}.", words, table(results.rows(), HEADER)])]
    page.write(folder, results.scenario, sections, results.facts(), Shown(results.table()))
