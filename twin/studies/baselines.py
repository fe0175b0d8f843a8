"""Kind `baselines`: is a negative baseline of a learning rule one of the mice, or made by what the fit leaves out?

A cohort is simulated in variants, each `[variants.NAME]` the cohort with changes, and the same models are fitted to each.
Every variant has a folder of its own, `variants/NAME/`: the run folder of a kind `cohort`, with the fits beside its trials.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, ValidationInfo, model_validator

from agents.rules import RULES
from agents.theta import Layout
from envs.names import LONGEST_NAME, NAME, suggest
from twin.cohort import Cohort
from twin.data.trials import Trials
from twin.report.tables import fixed, text_table
from twin.studies.cohort import CohortStudy
from twin.studies.folder import RunFolder
from twin.studies.models import fit_models
from twin.studies.results import ESTIMATE, WARNINGS, Number, Record, Results
from twin.studies.scenario import to_toml
from twin.studies.study import Done, Options, Study
from twin.studies.table import Inference, NamedProtocol, RunLength

BASELINE = "baseline"
CONVERGED = 0.9  # fraction of mice: a fit that has converged in fewer is not relied on
HEADER = [
    "variant",
    "model",
    "true",
    "estimate",
    "population [95 %]",
    "below 0",
    "covered",
    "rel. RMSE visited",
    "no estimate of",
    "converged",
]
VariantName = Annotated[str, Field(pattern=NAME, max_length=LONGEST_NAME)]


class PopulationBaseline(Record):
    """The baseline of mice of the population that are not yet seen."""

    median: float = Field(description="median")
    low: float = Field(description="lower end of the 95 % interval")
    high: float = Field(description="upper end")


class FittedBaseline(Record):
    """What one model makes of the baseline in one variant of the mice."""

    features: list[str] = Field(description="that the model sees")
    estimate: Number = Field(description="median over mice of the estimates; null: not finite")
    population: PopulationBaseline | None = Field(description="of a posterior with its population; null without one")
    estimates: list[Number] = Field(description=f"of each mouse: {ESTIMATE}")
    ci95: list[tuple[Number, Number]] = Field(description="95 % interval of each mouse; null: not finite")
    below_zero: float = Field(description="fraction of mice whose interval lies below 0")
    negative: bool = Field(description="are these more than chance leaves where no baseline is negative (p < .01, one in 40)?")
    covered: float = Field(description="fraction of mice whose interval holds the truth")
    flags: Mapping[str, int] = Field(
        description="mice whose baseline cannot be taken for an estimate, by the flag that says why"
    )
    converged: float = Field(description="fraction of mice whose fit ended at an optimum, or has draws enough of a posterior")
    relative_rmse_visited: Number = Field(
        description="root mean square error of the update of the stimulus weight in trials that the mice did, relative to the "
        "root mean square of the true one; null if the true rule never moves the weight"
    )
    warnings: Mapping[str, float] = Field(description=WARNINGS)
    seconds: float = Field(description="that fitting took")


class VariantResults(Record):
    """One variant of the mice."""

    true: float = Field(description="median over mice of the baselines with which they were simulated")
    models: Mapping[str, FittedBaseline] = Field(description="by the name under which each was fitted")


class BaselinesResults(Results):
    """The baseline in each variant of the mice, as it is and as each model has it."""

    variants: Mapping[str, VariantResults] = Field(description="by name")
    notes: list[str] = Field(description="what failed, and why")

    def summary(self) -> str:
        """Which fits report a negative baseline, and the table of all."""
        head = f"{self.scenario}: {self.mice} mice in {len(self.variants)} variants, {self.trials} trials, {self.seconds:.1f} s"
        notes = [f"note: {note}" for note in self.notes]
        return "\n".join([head, *self.answers(), *notes, "", *text_table(HEADER, self.rows()), *self.warning_lines()])

    def every(self) -> list[tuple[str, float, str, FittedBaseline]]:
        """Every fit, with the names of variant and model and the true baseline: (variant, true, model, fit)."""
        return [
            (name, variant.true, model, found)
            for name, variant in self.variants.items()
            for model, found in variant.models.items()
        ]

    def rows(self) -> list[list[str]]:
        """A row for each fit, as `HEADER` names the columns."""
        return [[name, model, fixed(true, 2), *_row(found)] for name, true, model, found in self.every()]

    def warning_lines(self) -> list[str]:
        """A line for each fit that has left something out."""
        told = [(f"{name}: {model}", found.warnings) for name, _, model, found in self.every()]
        return [f"warning: {fit}: {', '.join(names)}" for fit, names in told if names]

    def answers(self) -> list[str]:
        """Which fits report a negative baseline where there is none, and where there is one; which fits tell nothing."""
        false, true = (
            [
                f"{name} by {model} ({100 * found.below_zero:.0f} % of mice)"
                for name, of_mice, model, found in self.every()
                if found.negative and (of_mice < 0) == there
            ]
            for there in (False, True)
        )
        failed = [
            f"{name} by {model} ({100 * found.converged:.0f} % of mice converged)"
            for name, _, model, found in self.every()
            if found.converged < CONVERGED
        ]
        return [
            f"a negative baseline is reported where there is none: {', '.join(false) or 'by no fit'}",
            f"a negative baseline is reported where there is one: {', '.join(true) or 'by no fit'}",
            *([f"not to be relied on: {', '.join(failed)}"] if failed else []),
        ]


def _row(found: FittedBaseline) -> list[str]:
    population = found.population
    return [
        fixed(found.estimate, 2),
        "-" if population is None else f"{population.median:.2f} [{population.low:.2f}, {population.high:.2f}]",
        f"{100 * found.below_zero:.0f} %",
        f"{100 * found.covered:.0f} %",
        fixed(found.relative_rmse_visited, 2),
        ", ".join(f"{mice} ({flag})" for flag, mice in found.flags.items()) or "none",
        f"{100 * found.converged:.0f} %",
    ]


def _with_changes(shared: Any, changes: Any) -> Any:
    """A table with changes to its keys, at any depth; a distribution is replaced as a whole."""
    if not (isinstance(shared, dict) and isinstance(changes, dict)) or "distribution" in {*shared, *changes}:
        return changes
    return shared | {key: _with_changes(shared.get(key), value) for key, value in changes.items()}


class BaselinesStudy(Study):
    """Simulate variants of a cohort, fit the same models to each, and compare the baselines."""

    kind: ClassVar[str] = "baselines"

    cohort: Cohort
    variants: dict[VariantName, Cohort] = Field(min_length=1, description="the cohort with changes, by the variant's name")
    protocol: NamedProtocol
    run: RunLength
    inference: Inference
    features: dict[str, tuple[str, ...]] = Field({}, description="of models that do not see all features of the mice, by name")

    @model_validator(mode="before")
    @classmethod
    def _vary_the_cohort(cls, table: Any, info: ValidationInfo) -> Any:
        variants, shared = (table.get(key) if isinstance(table, dict) else None for key in ("variants", "cohort"))
        if not isinstance(variants, dict) or not isinstance(shared, dict):
            return table
        Cohort.checked(shared, "cohort", info.context)  # what is wrong with it is said once, not of every variant
        return table | {"variants": {name: _with_changes(shared, changes) for name, changes in variants.items()}}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in self.features:
            if name not in self.inference.models:
                raise ValueError(f"features: {suggest('model', name, self.inference.models)}")
        for variant, cohort in self.variants.items():
            if BASELINE not in cohort.layout.names:
                raise ValueError(f"variants.{variant}: mice of the rule {cohort.rule!r} have no baseline")
            for model in self.inference.models:
                self._check_model(variant, model)
        return self

    def _check_model(self, variant: str, model: str) -> None:
        """Raise ValueError for a model without one baseline, or one that sees what the mice of a variant do not."""
        features, rule = self._seen(variant, model), RULES.get(self.inference.model(model))
        if rule is None or BASELINE not in Layout(rule, features).names:
            raise ValueError(
                f"inference.models: {model!r} has no baseline to compare; expected a rule such as reinforce-baseline"
            )
        for feature in features:
            if feature not in self.variants[variant].features:
                known = self.variants[variant].features
                raise ValueError(f"features of {model!r}, variants.{variant}: {suggest('feature', feature, known)}")

    def _seen(self, variant: str, model: str) -> tuple[str, ...]:
        """Features that a model sees of a variant's mice."""
        return self.features.get(model, self.inference.features or self.variants[variant].features)

    def carry_out(self, folder: RunFolder, options: Options) -> Done:
        """Simulate every variant, fit every model to it, and tell what became of the baseline."""
        found, notes, trials = {}, [], 0
        for name in self.variants:
            found[name], of_variant, done = self._variant(name, folder, options)
            notes += [f"{name}: {note}" for note in of_variant]
            trials += done
        mice = sum(cohort.mice for cohort in self.variants.values())
        results = BaselinesResults(variants=found, notes=notes, mice=mice, trials=trials, **self.head(folder))
        return Done(results, partial(_page, folder.path, results))

    def _variant(self, name: str, folder: RunFolder, options: Options) -> tuple[VariantResults, list[str], int]:
        """The results of one variant, notes of what failed, and how many trials it has."""
        from twin.evaluation.baselines import baseline_of, relative_rmse_visited, true_baselines
        from twin.evaluation.diagnostics import warnings
        from twin.inference.closed_form.rule_fit import RuleFit

        cohort = self.variants[name]
        of_mice = CohortStudy(name=name, seed=self.seed, cohort=cohort, protocol=self.protocol, run=self.run)
        inside = RunFolder(folder.path / "variants" / name, to_toml(of_mice))
        rollout = of_mice.rollout(inside, options).read()
        every = Trials.from_rollout(rollout)
        models, notes = {}, []
        for model in self.inference.models:
            trials = Trials.from_rollout(rollout, self._seen(name, model))
            fits, failed = fit_models(self._alone(model), trials, inside, options)
            notes += failed
            for fit, seconds in fits.values():
                assert isinstance(fit, RuleFit)
                models[model] = FittedBaseline(
                    **baseline_of(fit, rollout),
                    features=list(fit.features),
                    relative_rmse_visited=relative_rmse_visited(fit, cohort, rollout, every),
                    warnings=warnings(fit, trials, fit.log_likelihood(trials)),
                    seconds=seconds,
                )
        true = float(np.median(true_baselines(rollout)))
        return VariantResults(true=true, models=models), notes, int(np.sum(every.lengths))

    def _alone(self, model: str) -> Inference:
        """What is fitted under one name."""
        settings = (self.inference.model_extra or {}).get(model, {})
        return Inference.model_validate({"models": [model], model: settings})


def _page(folder: Path, results: BaselinesResults) -> None:
    from twin.report import page
    from twin.report.shown import Shown

    sections = [("Baselines", _text(results)), ("Warnings", _warnings_text(results))]
    page.write(folder, results.scenario, sections, results.facts(), Shown(results.table()))


def _text(results: BaselinesResults) -> list[str]:
    from twin.report.html import table

    words = (
        "If the baseline is negative, weights shrink after errors. A fit reports one if more mice have a 95 % interval below 0 "
        "than chance leaves where no baseline is negative (one in 40; p < .01). The estimate is the median over mice, the "
        "population's median and 95 % interval those of mice not yet seen, of fits that give a posterior. What is no estimate "
        "is told by the number of mice and the reason. Errors are those of the update of the stimulus weight."
    )
    return [
        *(f"{answer[0].upper()}{answer[1:]}." for answer in results.answers()),
        *results.notes,
        words,
        table(results.rows(), HEADER),
    ]


def _warnings_text(results: BaselinesResults) -> list[str]:
    """What each warning means that some fit has."""
    from twin.evaluation.diagnostics import MEANINGS

    told = {name for variant in results.variants.values() for found in variant.models.values() for name in found.warnings}
    return [*results.warning_lines(), *(f"{name}: {MEANINGS[name]}." for name in sorted(told))]
