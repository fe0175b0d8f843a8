"""Fitting a model by its name, and what can be asked of every fit, whatever its kind.

    fitted = fit(trials, "reinforce-baseline", population=True)
    fitted.log_likelihood(trials.of_mice([1]))      # with the parameters of that mouse

Mice are matched by their ids and features by their names, so trials may hold some of the mice, in any order. Mice that the fit
does not know are predicted by `fitted.log_likelihood_of_new_mice(trials)`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from tqdm import tqdm

from agents.rules import RULES
from twin.data.trials import Trials
from twin.inference.registry import find_settings
from twin.inference.settings import NO_LAPSES, NeuralFitSettings

if TYPE_CHECKING:
    from twin.inference.card import Card
    from twin.inference.closed_form.rule_fit import RuleFit
    from twin.inference.known_rule import KnownRule


class Estimates(NamedTuple):
    """One fitted parameter of M mice."""

    values: np.ndarray  # (M,) natural units
    intervals: np.ndarray  # (M, 2) ends of the 95 % intervals


class Fit(ABC):
    """A model fitted to M mice. Whatever is asked of it by trials is answered for the mice of those trials, in their order."""

    model: str  # its registered name
    rule: Any  # an `agents.rules.Rule`, or a neural rule
    ids: tuple[str, ...]
    settings: dict[str, Any]
    data_hash: str  # `Trials.content_hash` of what it was fitted to; empty if that is not known

    def __repr__(self) -> str:
        """Its model, mice and features; `parameters` and `card` tell all of it."""
        return f"<{type(self).__name__} of {self.model!r} to {len(self.ids)} mice: {', '.join(self.features)}>"

    @property
    @abstractmethod
    def features(self) -> tuple[str, ...]:
        """Names of the K features, in the order of its weights."""

    def log_likelihood(self, trials: Trials) -> np.ndarray:
        """Log-probability (natural) of each choice given those before it, (M, T), 0 where no trial counts.

        Raises ValueError naming a mouse that is not in the fit, or a feature that is missing or too much.
        """
        return self._of(trials)._log_likelihood(trials.with_features(self.features))

    def log_likelihood_of_new_mice(self, trials: Trials) -> np.ndarray:
        """Log-probability (natural) of each choice of mice it was not fitted to, given those before it, as `log_likelihood`.

        A new mouse may be like any of those it knows: its choices have the mean of their probabilities (`mixture`). Raises
        ValueError naming a feature that is missing or too much.
        """
        trials = trials.with_features(self.features)
        like = (self._of_mice(np.full(len(trials.ids), m)) for m in range(len(self.ids)))
        return mixture(one._log_likelihood(trials) for one in like)

    @abstractmethod
    def adapted(self, trials: Trials) -> Fit:
        """The fit of mice that it was not fitted to, by these trials of theirs.

        What is shared by all mice stays as it is; a mouse's own parameters and initial weights are found as of one of the
        population of the mice that were fitted. Raises ValueError naming a feature that is missing or too much.
        """

    def weights(self, trials: Trials) -> np.ndarray:
        """Weights before each trial, driven by the recorded choices, (M, T, K) in the order of the trials' features.

        NaN beyond a mouse's last trial. With noise, the most probable ones given all choices, later ones too. Raises ValueError
        as `log_likelihood`.
        """
        weights = self._of(trials)._weights(trials.with_features(self.features))
        if trials.features == self.features:
            return weights
        return weights[..., [self.features.index(f) for f in trials.features]]

    def update(self, mouse: int, w: np.ndarray, x: np.ndarray, choice: np.ndarray, reward: np.ndarray) -> np.ndarray:
        """Change of the weights (N, K) by single trials of a mouse that remembers none; w, x (N, K), the others (N,).

        `mouse` is its row in the fit (see `rows`), and the K weights are those of `features`, in their order.
        """
        return single_update(self.agents(np.full(len(w), mouse), w), w, x, choice, reward)

    def spread(self, w: np.ndarray, x: np.ndarray, choice: np.ndarray, reward: np.ndarray) -> np.ndarray | None:
        """Standard deviation of `update` over what the data leave open, (N, K); None for a fit of one rule alone."""
        return None

    def parameters(self) -> dict[str, Estimates]:
        """The fitted parameters of every mouse, by name; none for a network, whose parameters have no meaning of their own."""
        return {}

    @abstractmethod
    def agents(self, mice: np.ndarray, initial_weights: np.ndarray) -> Any:
        """Mice with `init` and `learn`: the fit's mice of these rows (N,), from initial weights (N, K)."""

    @abstractmethod
    def known_rule(self) -> KnownRule:
        """The rule and its mice, as a cohort takes them."""

    @abstractmethod
    def card(self, about: Mapping[str, Any]) -> Card:
        """All that is to be kept of it, but for a network's weights."""

    def file(self) -> tuple[str, bytes] | None:
        """Name and content of the file that is kept beside the card: a network's weights, or draws; None if there is none."""
        return None

    def save(self, folder: str | Path, about: Mapping[str, Any] | None = None) -> None:
        """Keep it in a folder: `card.json`, for a network `model.safetensors`, and for draws of a posterior `draws.npz`.

        `about` may tell what else is known of it: `seconds`, `trials`, `asked`, `versions`.
        """
        from twin.inference.card import write_fit

        write_fit(folder, self.card(about or {}), self.file())

    def rows(self, ids: Sequence[str]) -> np.ndarray:
        """Where mice are in the fit, (len(ids),). Raises ValueError naming a mouse that is not there, or is asked for twice."""
        check_ids(ids)
        if unknown := [mouse for mouse in ids if mouse not in self.ids]:
            raise ValueError(
                f"mouse {unknown[0]!r} is not one of the {len(self.ids)} that {self.model} was fitted to; "
                f"for mice it has not seen ask fit.log_likelihood_of_new_mice(trials)"
            )
        return np.array([self.ids.index(mouse) for mouse in ids], int)

    def _of(self, trials: Trials) -> Self:
        """The fit of the mice of some trials, in their order."""
        return self if trials.ids == self.ids else self._of_mice(self.rows(trials.ids))

    @abstractmethod
    def _of_mice(self, rows: np.ndarray) -> Self:
        """The fit of some of its mice."""

    @abstractmethod
    def _log_likelihood(self, trials: Trials) -> np.ndarray:
        """As `log_likelihood`, of trials of the very mice and features."""

    @abstractmethod
    def _weights(self, trials: Trials) -> np.ndarray:
        """As `weights`, of trials of the very mice and features."""


def single_update(agents: Any, w: np.ndarray, x: np.ndarray, choice: np.ndarray, reward: np.ndarray) -> np.ndarray:
    """Change of the weights (N, K) of N mice that remember nothing, by one trial each; `agents` have `init` and `learn`."""
    with np.errstate(over="ignore"):  # a logit of less than -709: p is 0
        p_right = 1.0 / (1.0 + np.exp(-np.sum(w * x, axis=1, keepdims=True)))
    after = agents.learn(agents.init(len(w)), x, choice[:, None].astype(float), reward[:, None].astype(float), p_right)
    return np.asarray(after.weights).astype(float) - w


def mixture(log_likelihoods: Iterable[np.ndarray]) -> np.ndarray:
    """Log-probability (M, T) of each choice given those before it, of mice that are one of several kinds, each as likely.

    `log_likelihoods` are those by each kind, (M, T). The probability of choices 1 to t is the mean over kinds of the product
    of theirs, so in trial t kinds count by what they gave to the choices before. After a choice that none thinks possible: 0.
    """
    so_far, kinds = np.array(-np.inf), 0
    with np.errstate(invalid="ignore"):  # nothing is known of a kind, or nothing is possible
        for each in log_likelihoods:
            so_far, kinds = np.logaddexp(so_far, np.cumsum(each, axis=1)), kinds + 1
        found = np.diff(so_far - np.log(kinds), axis=1, prepend=0.0)
    return np.where(np.isneginf(so_far) & np.isnan(found), 0.0, found)


def check_ids(ids: Sequence[str]) -> None:
    """Raise ValueError if a mouse is there twice."""
    for mouse, count in Counter(ids).items():
        if count > 1:
            raise ValueError(f"mouse {mouse!r} is there {count} times; expected every id once")


def fit(
    trials: Trials,
    model: str,
    *,
    initial_weights: np.ndarray | None = None,
    progress: bool = False,
    checkpoints: Path | None = None,
    **settings: Any,
) -> Fit:
    """Fit a registered model to trials; `settings` are those of `find_settings(model)`.

    `initial_weights` (M, K) are used by neural models with initial = "known". In the folder `checkpoints` the training of a
    network is kept every minute, and goes on from there. Raises ValueError for an unknown model or setting, a mouse that is
    there twice, or features that are not finite, naming the mouse.
    """
    fitted = fitter(model, checkpoints=checkpoints, **settings)
    check_ids(trials.ids)
    for m in np.flatnonzero(~np.isfinite(trials.x).all(axis=(1, 2))):
        raise ValueError(f"mouse {trials.ids[m]!r}: its features hold NaN or infinite values")
    return fitted(trials, initial_weights, progress)


def fitter(model: str, *, checkpoints: Path | None = None, **settings: Any) -> Callable[[Trials, np.ndarray | None, bool], Fit]:
    """What fits a model to (trials, known initial weights or None, progress), with all that it needs loaded.

    Raises ValueError for an unknown model or setting.
    """
    chosen = find_settings(model)(**settings)
    if isinstance(chosen, NeuralFitSettings):
        import twin.inference.neural.fit  # noqa: F401  torch, once before jobs on threads need it

        return partial(_fit_neural, model, chosen, checkpoints)
    return partial(_fit_closed_form, model, chosen.model_dump())


def _fit_neural(
    model: str,
    settings: NeuralFitSettings,
    checkpoints: Path | None,
    trials: Trials,
    initial_weights: np.ndarray | None,
    progress: bool,
) -> Fit:
    from twin.inference.neural.fit import fit_neural

    done = fit_neural(model, trials, settings, initial_weights, progress, checkpoints)
    return replace(done, data_hash=trials.content_hash())


def _fit_closed_form(
    model: str, settings: dict[str, Any], trials: Trials, _initial_weights: np.ndarray | None, progress: bool
) -> RuleFit:
    from twin.inference.closed_form.fit import fit_rule, fit_steps

    rule = RULES["static" if model in ("static-glm", "random-walk") else model]
    if model == "random-walk":
        settings = settings | {"noise": True, "fixed": NO_LAPSES | settings["fixed"]}
    if settings["population"] is None:
        settings = settings | {"population": settings["noise"] and len(trials.ids) > 1}
    steps = fit_steps(len(trials.ids), settings["noise"])
    with tqdm(total=steps, unit="step", desc=f"fit {model}", disable=None if progress else True) as bar:

        def done() -> None:
            bar.update()

        found = fit_rule(trials, rule, name=model, done=done, **settings)
    return replace(found, data_hash=trials.content_hash())
