"""A closed-form rule fitted to each of M mice, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self

import numpy as np

from agents.closed_form import as_mice
from agents.rules import Rule
from agents.theta import Layout
from twin.data.trials import Trials
from twin.engine import map_jobs
from twin.inference.card import ClosedFormCard
from twin.inference.closed_form.likelihood import MouseLikelihood
from twin.inference.fit import Estimates, Fit, mixture
from twin.inference.known_rule import KnownRule
from twin.inference.noise.assumed_density import FilteredLikelihood
from twin.inference.noise.linearised import smooth_rule
from twin.inference.posterior.draws import FILE, Draws, encoded

NEW_MICE = 64  # drawn from a population to stand for those it may have


@dataclass(frozen=True, repr=False)
class RuleFit(Fit):
    """A closed-form rule fitted to each of M mice."""

    layout: Layout
    theta: np.ndarray  # (M, P) natural units
    ci95: np.ndarray  # (M, P, 2); NaN for parameters that were not fitted
    nll: np.ndarray  # (M,) on the trials fitted
    converged: np.ndarray  # (M,) bool
    ids: tuple[str, ...]
    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    data_hash: str = ""
    draws: Draws | None = None  # from the posterior, of a fit with noise
    unidentified: np.ndarray | None = None  # (M, P) bool: the posterior is about as wide as what was believed before

    @property
    def rule(self) -> Rule:
        """The rule that was fitted."""
        return self.layout.rule

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the K features, in the order of its weights."""
        return self.layout.features

    @property
    def noise(self) -> bool:
        """Whether weights also move at random."""
        return bool(self.settings.get("noise", False))

    def parameters(self) -> dict[str, Estimates]:
        """The fitted parameters of every mouse, by the names of their columns."""
        fitted = [c for c in range(len(self.layout.names)) if not np.isnan(self.ci95[:, c]).all()]
        return {self.layout.names[c]: Estimates(self.theta[:, c], self.ci95[:, c]) for c in fitted}

    def agents(self, mice: np.ndarray, initial_weights: np.ndarray) -> Any:
        """Mice with `init` and `learn`: the fit's mice of these rows (N,), from initial weights (N, K)."""
        return as_mice(self.rule, self.layout.unpack(self.theta[mice]).rule_parameters, initial_weights)

    def known_rule(self) -> KnownRule:
        """The rule and every parameter of its mice, as a cohort takes them."""
        return KnownRule(self.rule, self.features, dict(zip(self.layout.names, self.theta.T, strict=True)))

    def card(self, about: Mapping[str, Any]) -> ClosedFormCard:
        """All of it, as it is kept."""
        return ClosedFormCard(
            model=self.model,
            rule=self.rule.name,
            features=self.features,
            mice=self.ids,
            settings=self.settings,
            data_hash=self.data_hash,
            parameters=self.layout.names,
            theta=self.theta,
            ci95=self.ci95,
            nll=self.nll,
            converged=tuple(self.converged.tolist()),
            unidentified=None if self.unidentified is None else tuple(map(tuple, self.unidentified.tolist())),
            **about,
        )

    def file(self) -> tuple[str, bytes] | None:
        """The draws of a posterior."""
        return None if self.draws is None else (FILE, encoded(self.draws))

    def log_likelihood_of_new_mice(self, trials: Trials) -> np.ndarray:
        """As of every fit; a posterior gives mice drawn from the population, not those that were fitted."""
        if self.draws is None or not self.settings["population"]:
            return super().log_likelihood_of_new_mice(trials)
        trials = trials.with_features(self.features)
        out, kinds = np.zeros(trials.choice.shape), self.draws.new_mice[:NEW_MICE]
        for m, length in enumerate(trials.lengths):
            likelihood = FilteredLikelihood(trials, m, self.layout)
            each = np.zeros((len(kinds), 1, length))
            each[:, 0, likelihood.trials.counts] = likelihood.log_chosen(kinds)
            out[m, :length] = mixture(each)[0]
        return out

    def adapted(self, trials: Trials) -> RuleFit:
        """The rule for other mice, by these trials of theirs, as one of the population of those that were fitted."""
        from twin.inference.closed_form.fit import adapt_rule

        return replace(adapt_rule(self, trials.with_features(self.features)), data_hash=trials.content_hash())

    def _of_mice(self, rows: np.ndarray) -> Self:
        arrays = {name: getattr(self, name)[rows] for name in ("theta", "ci95", "nll", "converged")}
        draws = self.draws and self.draws.of_mice(rows)
        unidentified = None if self.unidentified is None else self.unidentified[rows]
        return replace(self, **arrays, draws=draws, unidentified=unidentified, ids=tuple(self.ids[m] for m in rows))

    def _log_likelihood(self, trials: Trials) -> np.ndarray:
        out, likelihood = np.zeros(trials.choice.shape), FilteredLikelihood if self.noise else MouseLikelihood
        for m in range(len(out)):
            out[m, : trials.lengths[m]] = likelihood(trials, m, self.layout).log_likelihood(self.theta[m])
        return out

    def _weights(self, trials: Trials) -> np.ndarray:
        out = np.full(trials.x.shape, np.nan)
        for m, path in enumerate(map_jobs(partial(self._path, trials), range(len(out)))):
            out[m, : trials.lengths[m]] = path
        return out

    def _path(self, trials: Trials, mouse: int) -> np.ndarray:
        """Weights of one mouse before each trial (T, K)."""
        if self.noise:
            return smooth_rule(trials, mouse, self.layout, self.theta[mouse]).path
        return MouseLikelihood(trials, mouse, self.layout).run(self.theta[mouse])[0]
