"""Fitting a model by its name, and what every fit can do: score trials, infer weights and updates, be saved and loaded."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from agents.neural.registry import NEURAL_RULES, load_rule, save_rule
from agents.rules import RULES
from agents.theta import Layout
from twin.data.trials import Trials
from twin.inference.closed_form.fit import fit_rule
from twin.inference.closed_form.rule_fit import RuleFit
from twin.inference.neural.fit import fit_neural
from twin.inference.neural.neural_fit import NeuralFit
from twin.inference.neural.trainer import History
from twin.inference.noise.levels import Noise
from twin.inference.registry import find_settings
from twin.inference.settings import NeuralFitSettings, RandomWalkSettings, RuleSettings


class Fit(Protocol):
    """A fitted model of M mice: what evaluation and report need of it."""

    @property
    def name(self) -> str:
        """The model's."""

    def log_likelihood(self, trials: Trials) -> np.ndarray:
        """Log-probability (natural) of each choice, (M, T), 0 where no trial counts."""

    def weights(self, trials: Trials) -> np.ndarray:
        """Weights before each trial, driven by the recorded choices, (M, T, K)."""

    def update(self, mouse: int, w: np.ndarray, x: np.ndarray, choice: np.ndarray, reward: np.ndarray) -> np.ndarray:
        """Change of the weights (N, K) by single trials of a mouse that remembers none; w, x (N, K), the others (N,)."""


def _fit_closed_form(name: str, trials: Trials, settings: RuleSettings | RandomWalkSettings, progress: bool) -> RuleFit:
    rule = RULES["static" if name in ("static-glm", "random-walk") else name]
    options = {"noise": True} | settings.model_dump()  # a random walk has no other settings than what is fixed
    with tqdm(total=2 * len(trials.ids), unit="step", desc=f"fit {name}", disable=None if progress else True) as bar:

        def done(_mouse: int) -> None:
            bar.update()

        return fit_rule(trials, rule, name=name, done=done, **options)


def fit(
    trials: Trials, model: str, *, initial_weights: np.ndarray | None = None, progress: bool = False, **settings: Any
) -> Fit:
    """Fit a registered model to trials; `settings` are those of `find_settings(model)`.

    `initial_weights` (M, K) are used by neural models with initial = "known". Raises ValueError for an unknown model or
    setting, or features that are not finite, naming the mouse.
    """
    chosen = find_settings(model)(**settings)
    for m in np.flatnonzero(~np.isfinite(trials.x).all(axis=(1, 2))):
        raise ValueError(f"mouse {trials.ids[m]!r}: its features hold NaN or infinite values")
    if isinstance(chosen, NeuralFitSettings):
        return fit_neural(model, trials, chosen, initial_weights, progress)
    assert isinstance(chosen, RuleSettings | RandomWalkSettings)
    return _fit_closed_form(model, trials, chosen, progress)


def save_fit(fit: Fit, folder: Path, about: dict[str, Any]) -> None:
    """Write a fit into a folder: `card.json`, and for a neural rule `model.safetensors`; `about` goes into the card."""
    if isinstance(fit, NeuralFit):
        card = {"settings": fit.settings, "mice": list(fit.ids), "initial_weights": fit.initial_weights.tolist()}
        card["training"] = [asdict(history) for history in fit.histories]
        card["noise"] = fit.noise and {key: sd.tolist() for key, sd in fit.noise._asdict().items()}
        save_rule(fit.rule, folder, card | about)
    elif isinstance(fit, RuleFit):
        arrays = {key: getattr(fit, key).tolist() for key in ("theta", "ci95", "nll", "converged")}
        names = {"features": list(fit.layout.features), "parameters": list(fit.layout.names), "mice": list(fit.ids)}
        card = {"model": fit.name, "rule": fit.rule.name, "settings": fit.settings, **names, **arrays}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "card.json").write_text(json.dumps(card | about, indent=1))
    else:
        raise TypeError(f"{type(fit).__name__} is not a fit that can be saved")


def load_fit(folder: Path) -> Fit:
    """A fit that was saved."""
    card = json.loads((folder / "card.json").read_text())
    ids = tuple(card["mice"])
    if card["model"] in NEURAL_RULES:
        histories = tuple(History(**training) for training in card["training"])
        noise = Noise(**{key: np.array(sd) for key, sd in card["noise"].items()}) if card.get("noise") else None
        weights = np.array(card["initial_weights"])
        return NeuralFit(load_rule(folder), weights, ids, card["model"], histories, card["settings"], noise)
    layout = Layout(RULES[card["rule"]], tuple(card["features"]))
    theta, ci95, nll, converged = (np.array(card[key]) for key in ("theta", "ci95", "nll", "converged"))
    return RuleFit(layout, theta, ci95, nll, converged, ids, card["model"], card["settings"])
