"""What results.json holds of the twins of a mouse, what is said of them, and their page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from twin.report.tables import number, text_table
from twin.studies.designs import ComparedDesigns, comparisons_text, design_table
from twin.studies.results import Number, Record, Results

Rows = list[list[Number]]
LIMIT = (
    "What the twins cannot know: they have one rule, found while the mouse was in one protocol. That another design would "
    "change the mouse as it changes them holds only if the rule does not change with the protocol, and if nothing counts that "
    "the rule leaves out (motivation, arousal, what the mouse makes of a new task)."
)


class TwinParameter(Record):
    """A parameter of the mouse, in natural units."""

    estimate: Number = Field(description="median of the posterior; null: not finite")
    low: Number = Field(description="lower end of the 95 % interval; null: not finite")
    high: Number = Field(description="upper end; null: not finite")
    population_share: Number = Field(
        None,
        description="variance left of the population's, on the scale of normal scores: 1 where its choices say nothing; "
        "absent (never null) of what does not vary over the population",
    )


class Curve(Record):
    """A psychometric curve with bands."""

    levels: list[float] = Field(description="signed contrasts that most twins met, %, ascending")
    p_right: Rows = Field(description="by quantile, over the twins that met it: P(right choice) at each; null never")


class Arrival(Record):
    """When a status is reached, sessions counted from the next one as 1."""

    by_session: list[float] = Field(description="probability that it is reached by each session")
    sessions: list[Number] = Field(description="by quantile: sessions it takes; null: beyond the horizon")


class ForecastTable(Record):
    """The forecast; what is `by quantile` is over twins, in the order of `quantiles`."""

    quantiles: list[float] = Field(description="ends of the 80 and 50 % bands, and the median")
    accuracy: Rows = Field(description="by quantile: fraction correct on easy trials of each session; null: no twin has any")
    trials: Rows = Field(description="by quantile: trials of each session; null never")
    psychometric: Curve = Field(description="of the last three sessions")
    statuses: Mapping[str, Arrival] = Field(description="by status that the mouse has not, and some twin reaches")


class RecordTable(Record):
    """The whole record, what follows a cut included; lists are by session."""

    accuracy: list[Number] = Field(description="fraction correct on easy trials; null without any")
    trials: list[int] = Field(description="trials")


class ForecasterScores(Record):
    """How good the forecasts of one forecaster were."""

    crps: float = Field(description="continuous ranked probability score of the accuracy of sessions to come, mean")
    log_score: float = Field(description="log-probability (natural) of each of the next 500 choices given those before, mean")
    sessions: int = Field(description="sessions that were scored")
    choices: int = Field(description="choices that were scored")
    pit: list[int] = Field([], description="accuracies by their place among the futures, ten bins; absent of one future alone")
    covered50: Number = Field(None, description="fraction of accuracies in the 50 % band; absent (never null) likewise")
    covered80: Number = Field(None, description="the same of the 80 % band; absent (never null) likewise")
    days_covered80: Number = Field(
        None, description="fraction of times to trained_1a in the 80 % band; absent (never null) where none is forecast"
    )
    days_pit: list[int] = Field([], description="these times by their place among the futures; absent likewise")


class BackTestCut(Record):
    """Forecasts from one point of the record."""

    trial: int = Field(description="trials before it")
    session: int = Field(description="sessions before it")
    scores: Mapping[str, ForecasterScores] = Field(description="by forecaster")
    fan: Rows = Field(description="by quantile: accuracies that the twins forecast; null never")


class BackTestTable(Record):
    """Forecasts made at several points of the record, scored on what followed."""

    cuts: Sequence[BackTestCut] = Field(description="by point of the record")
    scores: Mapping[str, ForecasterScores] = Field(description="over all points, by forecaster (twin.twins.forecasters)")


class Recommended(ComparedDesigns):
    """Designs compared on the twins of the mouse; intervals of means are 95 % bootstrap intervals over twins."""

    one_mouse: Mapping[str, list[float]] = Field(description="by design: sessions of a twin, quantiles .1, .5 and .9")
    anew: list[str] = Field(description="designs of other stages, under which the rig begins anew")
    verdict: str = Field(description="what follows")


class TwinResults(Results):
    """The twins of one mouse."""

    mouse: str = Field(description="its id")
    protocol: str = Field(description="protocol that it is in")
    goes_on_under: str = Field(description="protocol of the forecast")
    sessions: int = Field(description="sessions that are known of it")
    status: str = Field(description="its training status")
    stage: int = Field(description="stage of the protocol it is in")
    notes: list[str] = Field(description="what was made of the data, and what the forecast leans on")
    parameters: Mapping[str, TwinParameter] = Field(description="by name")
    population_worth: Number = Field(
        description="how many trials of the mouse the population counts as much as, over all parameters; null: infinitely many"
    )
    forecast: ForecastTable = Field(description="what the mouse will do")
    record: RecordTable = Field(description="what it did")
    backtest: BackTestTable | None = Field(None, description="absent (never null) of a record of one session")
    recommended: Recommended | None = Field(None, description="absent (never null) where no designs are compared")

    def summary(self) -> str:
        """Where the mouse stands, what it will do, how good such forecasts were, and what is recommended."""
        lines = [
            f"{self.scenario}: mouse {self.mouse}, {self.trials} trials in {self.sessions} sessions under {self.protocol}, "
            f"status {self.status}, {self.seconds:.1f} s",
            self.worth(),
            *(f"note: {note}" for note in self.notes),
            *self.arrivals(),
        ]
        if self.backtest:
            lines += ["", *text_table(*self.score_table())]
        if self.recommended:
            lines += ["", *text_table(*design_table(self.recommended)), self.recommended.verdict]
        return "\n".join(lines)

    def facts(self) -> dict[str, str]:
        """What the page says before its first section."""
        notes = {"Notes": "; ".join(self.notes)} if self.notes else {}
        return super().facts() | {"Mouse": f"{self.mouse}, {self.status}, under {self.protocol}"} | notes

    def worth(self) -> str:
        """How far the forecast leans on the population."""
        if self.population_worth is None:
            return "its choices say nothing yet: all that is known of it is its population"
        return f"its population counts as much as {self.population_worth:.0f} trials, beside its own {self.trials}"

    def arrivals(self) -> list[str]:
        """When it will reach each status."""
        h = len(self.forecast.accuracy[0])
        lines = []
        for status, one in self.forecast.statuses.items():
            low, _, middle, _, high = (f"more than {h}" if v is None else f"{v:.0f}" for v in one.sessions)
            share = 100 * one.by_session[-1]
            lines.append(f"{status}: {share:.0f} % within {h} sessions; after {middle} (80 %: {low} to {high})")
        return lines or [f"no further status is reached within {h} sessions"]

    def score_table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows of the forecasters, the best CRPS first."""
        assert self.backtest
        header = ["forecaster", "CRPS", "log-lik/choice", "in 50 %", "in 80 %", "days in 80 %"]
        ordered = sorted(self.backtest.scores.items(), key=lambda item: item[1].crps)
        return header, [
            [
                name,
                f"{one.crps:.4f}",
                f"{one.log_score:.4f}",
                *(number(share) for share in (one.covered50, one.covered80, one.days_covered80)),
            ]
            for name, one in ordered
        ]


def verdict(compared: ComparedDesigns) -> str:
    """Which design is recommended, or that none clearly is."""
    if not any(design.fraction_trained for design in compared.designs.values()):
        return (
            f"no twin reaches {compared.until} within {compared.horizon} sessions under any design: nothing can be "
            "recommended; ask for a nearer status or a longer horizon"
        )
    best = compared.ranking[0].design
    beside = [pair for pair in compared.comparisons if best in (pair.a, pair.b)]
    alike = [pair.b if pair.a == best else pair.a for pair in beside if pair.ci95[0] <= 0 <= pair.ci95[1]]
    chance = 100 * compared.ranking[0].probability_best
    if alike:
        return f"no clear difference between {best} and {', '.join(alike)}: {best} needs fewest sessions with {chance:.0f} %"
    return (
        f"recommended: {best}, which needs fewest sessions with {chance:.0f} % (if the rule does not change with the protocol)"
    )


def write_page(folder: Path, results: TwinResults) -> None:
    """The page of a mouse's twins."""
    from twin.report import page
    from twin.report.html import table
    from twin.report.shown import Shown

    rows = [[name, p.estimate, p.low, p.high, p.population_share] for name, p in results.parameters.items()]
    words = (
        f"{results.worth().capitalize()}. Share: how much of the population's variance is left; 1 where its choices say "
        "nothing. Trials in a session and response times of the twins are those of its last ten sessions, drawn towards the "
        "population's."
    )
    sections = [
        ("The mouse", [words, table(rows, ["parameter", "median", "95 % from", "to", "share of the population"])]),
        ("Forecast", results.arrivals()),
    ]
    if results.backtest:
        header, scores = results.score_table()
        told = "Forecasts from earlier points of the record, by what followed. CRPS: of accuracies, lower is better."
        sections.append(("Back-test", [told, table(scores, header)]))
    if results.recommended:
        recommended = results.recommended
        header, costs = design_table(recommended)
        anew = [f"The rig begins anew, in its first stage, under: {', '.join(recommended.anew)}."] if recommended.anew else []
        text = [recommended.verdict, LIMIT, *anew, table(costs, header), *comparisons_text(recommended)]
        sections.append(("Designs", text))
    page.write(folder, results.scenario, sections, results.facts(), Shown(results.table()))
