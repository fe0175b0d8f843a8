"""Kind `twin`: the posterior twins of one mouse, its forecast, back-tests of it, and the protocol that suits it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from envs.protocols import Protocol
from twin.cohort import Cohort
from twin.data import formats
from twin.data.rollout import Rollout
from twin.data.store import versions
from twin.data.trials import Trials
from twin.evaluation.session_summary import easy_performances, summarise_rollout
from twin.evaluation.status import Status
from twin.inference.closed_form.rule_fit import RuleFit
from twin.simulation import simulate
from twin.studies.designs import ComparedDesigns, DesignName, differences
from twin.studies.folder import RunFolder
from twin.studies.study import Done, Options, Study
from twin.studies.table import NamedProtocol, beside_scenario, check_target
from twin.studies.twin_results import BackTestCut, TwinResults, verdict, write_page
from twin.studies.twin_settings import BackTest, ForecastLength, ToBest, named_designs
from twin.twins.backtest import back_test, cut_at, summary_of
from twin.twins.forecast import choices_of, mouse_under
from twin.twins.forecasters import TWIN, Cut, population_futures
from twin.twins.futures import compare_on_twins, describe, go_on
from twin.twins.model import TwinModel, fit_others, fit_twins, population_share, worth_in_trials
from twin.twins.posterior import Twins, goes_on, twins_of
from twin.twins.record import RecordedMouse, about_mouse

AS_IT_IS = "as it is"  # the design that changes nothing
FEW_TRIALS = 100
USUAL_PROTOCOL = "ibl-2019"  # of a record that is simulated


class TwinStudy(Study):
    """The twins of one mouse: of a recorded file (`data`), or of a simulated cohort."""

    kind: ClassVar[str] = "twin"

    data: Annotated[Path, BeforeValidator(beside_scenario)] | None = Field(None, description="recorded behaviour")
    columns: Mapping[str, str] = Field({}, description="columns of a table that have other names: quantity -> name")
    choice_left: str | None = Field(None, description="value of the choice that means left, where the data do not tell")
    cohort: Cohort | None = Field(None, description="without data: mice that are simulated")
    sessions: int | None = Field(None, ge=1, description="without data: sessions that are simulated")
    mouse: str | None = Field(None, description="whose twins; default: the only one")
    cut: int | None = Field(None, ge=1, description="trial at whose session the record ends; what follows is shown beside")
    recorded: NamedProtocol | None = Field(None, description="protocol that the mouse was in; default: the record tells")
    protocol: NamedProtocol | None = Field(None, description="protocol that it goes on under; default: the same")
    model: TwinModel = TwinModel()
    forecast: ForecastLength = ForecastLength()
    backtest: BackTest = BackTest()
    designs: Annotated[dict[DesignName, NamedProtocol], BeforeValidator(named_designs)] = Field(
        {}, description="protocols it might go on under; it is also compared as it is"
    )
    run: ToBest = ToBest()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.data is None) == (self.cohort is None):
            raise ValueError("give exactly one of `data` (a recorded file) and `cohort` (mice that are simulated)")
        if (self.cohort is None) != (self.sessions is None):
            raise ValueError(f"sessions = {self.sessions}: how many are simulated of a `cohort`; a file has its own")
        for name, design in self.designs.items():
            if name == AS_IT_IS:
                raise ValueError(f"designs.{name!r}: what changes nothing is compared anyway; leave it out")
            check_target(self.run.until, design, f"designs.{name}: ")
        return self

    def carry_out(self, folder: RunFolder, options: Options) -> Done:
        """Find the posterior, forecast, test the forecasts, and compare designs."""
        rollout = self._rollout(folder, options)
        whole, protocol = mouse_under(rollout, self.mouse, self.protocol, self.recorded)
        mouse = whole if self.cut is None else cut_at(whole, self.cut, self.model).known
        rest = _others(rollout, whole)
        others = fit_others(rollout, whole.name, self.model)
        fitted = self._fitted(folder, mouse, others)
        twins = twins_of(fitted, mouse, self.model.cohort, self.forecast.twins, self.seed)
        how: dict[str, Any] = {"engine": options.engine, "workers": options.workers}
        found = go_on(twins, self.forecast.sessions, protocol, **how, progress=options.progress)
        reached = Status(int(mouse.rollout.of_session["status"].max()))
        cuts = [self._cut(whole, trial, rest, others) for trial in self._tested(whole)]
        results = TwinResults(
            **self.head(folder),
            mice=1,
            **_about(mouse, rollout, self.model, protocol),
            **_posterior(fitted, mouse),
            forecast=describe(found, reached),
            record=_accuracy(whole.rollout),
            **_tests(cuts, how),
            **self._recommended(twins, protocol, reached, options),
        )
        return Done(results, partial(write_page, folder.path, results))

    def _rollout(self, folder: RunFolder, options: Options) -> Rollout:
        if self.data is not None:
            return formats.read(self.data, self.columns, self.choice_left)
        assert self.cohort is not None and self.sessions is not None
        under = self.recorded or self.protocol or USUAL_PROTOCOL
        return simulate(
            self.cohort, under, sessions=self.sessions, seed=self.seed, engine=options.engine, workers=options.workers
        )

    def _fitted(self, folder: RunFolder, mouse: RecordedMouse, others: RuleFit | None) -> RuleFit:
        """The posterior of the mouse, from the folder or found."""
        trials = Trials.from_rollout(mouse.rollout, self.model.cohort.features)
        if not trials.mask.any():
            raise ValueError(f"mouse {mouse.name!r} made no choice in {len(mouse.rollout)} trials; there is nothing to go on")
        population = "" if others is None else others.data_hash
        asked = {"model": self.model.model_dump(mode="json"), "population_of": population}

        def make() -> tuple[RuleFit, float]:
            started = time.perf_counter()
            return fit_twins(trials, self.model, others), time.perf_counter() - started

        def read(card: Path) -> tuple[RuleFit, float]:
            from twin.inference.card import load_fit, read_card

            kept = read_card(card.parent)
            if kept.data_hash != trials.content_hash() or kept.asked != asked:
                raise ValueError("it is of other data or another model")
            found = load_fit(card.parent)
            assert isinstance(found, RuleFit)
            return found, kept.seconds or 0.0

        def write(found: tuple[RuleFit, float], card: Path) -> None:
            about = {"seconds": found[1], "trials": int(trials.mask.sum()), "versions": versions(), "asked": asked}
            found[0].save(card.parent, about)

        return folder.keep(f"fits/{TWIN}/card.json", make, read, write)[0]

    def _tested(self, mouse: RecordedMouse) -> Sequence[int]:
        """Trials from which forecasts are tested."""
        if self.backtest.at is not None:
            return self.backtest.at
        ends, n = mouse.rollout.sessions.stop, mouse.sessions
        return sorted({int(ends[k - 1]) for k in (n // 4, n // 2, 3 * n // 4) if 0 < k < n})

    def _cut(self, mouse: RecordedMouse, trial: int, rest: Rollout | None, others: RuleFit | None) -> Cut:
        return cut_at(
            mouse,
            trial,
            self.model,
            sessions=self.backtest.sessions,
            twins=self.forecast.twins,
            seed=self.seed,
            rest=rest,
            others=others,
        )

    def _recommended(self, twins: Twins, protocol: Protocol, reached: Status, options: Options) -> dict[str, Any]:
        """Every design on the same twins, and what follows from it; nothing where none is asked for.

        Raises ValueError for a status that the mouse has already.
        """
        if not self.designs:
            return {}
        check_target(self.run.until, protocol)
        if reached >= Status.parse(self.run.until):
            raise ValueError(
                f"run.until: mouse {twins.mouse.name!r} is {reached.label} after {twins.mouse.sessions} sessions; expected a "
                f"status that it has not, an earlier cut, or no designs"
            )
        designs = {AS_IT_IS: protocol, **self.designs}
        how: dict[str, Any] = {"engine": options.engine, "workers": options.workers, "progress": options.progress}
        until, horizon = self.run.until, self.run.horizon
        outcomes, compared = compare_on_twins(twins, designs, until, horizon, self.seed, **how)
        table = {"until": until, "horizon": horizon, "settings": differences(designs), **compared}
        at = {name: np.quantile(one.sessions, [0.1, 0.5, 0.9]).tolist() for name, one in outcomes.items()}
        anew = [name for name, design in designs.items() if not goes_on(twins.mouse.protocol, design)]
        return {"recommended": {**table, "one_mouse": at, "anew": anew, "verdict": verdict(ComparedDesigns(**table))}}


def _others(rollout: Rollout, mouse: RecordedMouse) -> Rollout | None:
    """The other mice of a record that made choices; None without any."""
    rows = [m for m, name in enumerate(rollout.ids) if name != mouse.name and (rollout.choice[rollout.of_mouse(m)] >= 0).any()]
    return rollout.select(rows) if rows else None


def _about(mouse: RecordedMouse, rollout: Rollout, model: TwinModel, protocol: Protocol) -> dict[str, Any]:
    about = about_mouse(mouse)
    notes = [*rollout.notes, *mouse.notes]
    if (chosen := choices_of(mouse)) < FEW_TRIALS:
        named = "any mouse" if model.estimated else f"a mouse of the population {model.population!r}"
        notes.append(
            f"mouse {mouse.name!r} made {chosen} choices, fewer than {FEW_TRIALS}: its twins are nearly those of {named}"
        )
    status = Status(about.pop("status")).label
    return {**about, "status": status, "goes_on_under": protocol.name, "notes": notes}


def _posterior(fitted: RuleFit, mouse: RecordedMouse) -> dict[str, Any]:
    shares = population_share(fitted, 0)
    parameters = {
        name: {
            "estimate": float(found.values[0]),
            "low": float(found.intervals[0, 0]),
            "high": float(found.intervals[0, 1]),
            **({"population_share": shares[name]} if name in shares else {}),
        }
        for name, found in fitted.parameters().items()
    }
    return {"parameters": parameters, "population_worth": worth_in_trials(shares, choices_of(mouse))}


def _accuracy(rollout: Rollout) -> dict[str, Any]:
    accuracy = easy_performances(summarise_rollout(rollout))
    return {
        "accuracy": [float(a) if np.isfinite(a) else None for a in accuracy],
        "trials": (rollout.sessions.stop - rollout.sessions.start).tolist(),
    }


def _tests(cuts: Sequence[Cut], how: Mapping[str, Any]) -> dict[str, Any]:
    """Back-tests at all cuts; none of a record of one session."""
    if not cuts:
        return {}
    last = max(cut.known.sessions + cut.sessions for cut in cuts)
    population = population_futures(cuts[0], last, how)
    scored = [back_test(cut, how, population) for cut in cuts]
    each = [
        BackTestCut(
            trial=cut.trial,
            session=cut.known.sessions,
            scores=summary_of(found),
            fan=next(one.fan for one in found if one.forecaster == TWIN).tolist(),
        )
        for cut, found in zip(cuts, scored, strict=True)
    ]
    return {"backtest": {"cuts": each, "scores": summary_of([one for found in scored for one in found])}}
