"""Fitting a model by its name, and what every fit can do: score trials, infer weights and updates, be saved and loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from tqdm import tqdm

from agents.neural import DNNRule
from agents.neural_rules import NEURAL_RULES, load_rule, save_rule
from agents.rules import RULES
from agents.theta import Layout
from twin.data.trials import Trials
from twin.inference.fit import History, Trainer
from twin.inference.maximum_likelihood import RuleFit, fit_rule
from twin.inference.noise_levels import Noise
from twin.inference.settings import NeuralFitSettings, RandomWalkSettings, RuleSettings, find_settings
from twin.inference.tracking import ROUNDS, smooth_tracked, track, train_noisy
from twin.inference.unroll import Batch, unroll

FIRST_TRIALS = 100  # trials from which initial weights are estimated by a GLM, as in Liu, Geadah & Pillow 2025
MICE_AT_ONCE = 64  # in an evaluation without gradients


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


@dataclass(frozen=True)
class NeuralFit:
    """One neural rule fitted to all mice together, with each mouse's initial weights."""

    rule: DNNRule
    initial_weights: np.ndarray  # (M, K)
    ids: tuple[str, ...]
    name: str
    history: History
    settings: dict[str, Any]
    noise: Noise | None = None  # of the weights, the same in all mice

    def _run(self, trials: Trials) -> tuple[np.ndarray, np.ndarray]:
        logits, weights = [], []
        with torch.no_grad():
            batch, w0 = Batch.of(trials), torch.as_tensor(self.initial_weights, dtype=torch.float32)
            for m in range(0, len(w0), MICE_AT_ONCE):
                pick = slice(m, m + MICE_AT_ONCE)
                out = unroll(self.rule, batch.of_mice(pick), w0[pick], strategy="auto")
                logits.append(out[0])
                weights.append(out[1])
        return torch.cat(logits).numpy().astype(float), torch.cat(weights).numpy().astype(float)

    def log_likelihood(self, trials: Trials) -> np.ndarray:
        """Log-probability (natural) of each choice given those before it, (M, T), 0 where no trial counts."""
        if self.noise:
            tracked = track(self.rule, trials, self.initial_weights, self.noise)
            logits = (tracked.mean * tracked.seen).sum(-1).numpy()
        else:
            logits, _ = self._run(trials)
        return np.where(trials.mask, -np.logaddexp(0.0, np.where(trials.choice == 1, -logits, logits)), 0.0)

    def weights(self, trials: Trials) -> np.ndarray:
        """Weights before each trial, driven by the recorded choices, (M, T, K); NaN beyond a mouse's last trial.

        With noise, the most probable ones given all choices, later ones too.
        """
        if self.noise:
            return smooth_tracked(trials, track(self.rule, trials, self.initial_weights, self.noise), self.noise)
        weights = self._run(trials)[1]
        weights[np.arange(weights.shape[1]) >= trials.lengths[:, None]] = np.nan
        return weights

    def update(self, mouse: int, w: np.ndarray, x: np.ndarray, choice: np.ndarray, reward: np.ndarray) -> np.ndarray:
        """Change of the weights (N, K) by single trials of a mouse that remembers none before; w, x (N, K), the others (N,)."""
        mice = self.rule.as_mice(w)
        p = np.full((len(w), 1), np.nan)  # a neural rule makes its own of the weights and features
        after = mice.learn(mice.init(len(w)), x, choice[:, None], reward[:, None], p)
        return after.weights.numpy().astype(float) - w


def _fit_closed_form(name: str, trials: Trials, settings: RuleSettings | RandomWalkSettings, progress: bool) -> RuleFit:
    rule = RULES["static" if name in ("static-glm", "random-walk") else name]
    options = {"noise": True} | settings.model_dump()  # a random walk has no other settings than what is fixed
    with tqdm(total=2 * len(trials.ids), unit="step", desc=f"fit {name}", disable=None if progress else True) as bar:

        def done(_mouse: int) -> None:
            bar.update()

        return fit_rule(trials, rule, name=name, done=done, **options)


def _fit_neural(name: str, trials: Trials, settings: NeuralFitSettings, known: np.ndarray | None, progress: bool) -> NeuralFit:
    kind = NEURAL_RULES[name]
    network = kind.settings_type(**{k: getattr(settings, k) for k in kind.settings_type.model_fields})
    rule = kind(trials.features, network, settings.seed)
    first = _initial_weights(trials, settings.initial, known)
    trainings = ROUNDS + (first is None) if settings.noise else 1
    with tqdm(
        total=settings.passes(len(trials.ids)) * trainings, unit="epoch", desc=f"fit {name}", disable=None if progress else True
    ) as bar:

        def show(train: float, held_out: float) -> None:
            bar.set_postfix_str(f"log-likelihood per trial {-train:.4f}, held out {-held_out:.4f}")
            bar.update()

        if settings.noise:
            weights, noise, history = train_noisy(rule, trials, settings, first, show)
        else:
            trainer, noise = Trainer(rule, trials, settings, first), None
            history = trainer.run(show)
            weights = trainer.weights.detach().numpy().astype(float)
    return NeuralFit(rule.eval(), weights, trials.ids, name, history, settings.model_dump(), noise)


def _initial_weights(trials: Trials, how: str, known: np.ndarray | None) -> np.ndarray | None:
    if how == "fitted":
        return None
    if how == "zero":
        return np.zeros((len(trials.ids), len(trials.features)))
    if how == "known":
        if known is None:
            raise ValueError(
                "initial = 'known': these trials come without true weights; use 'fitted', 'zero' or 'first-trials'"
            )
        return known
    return fit_rule(trials.first(FIRST_TRIALS), RULES["static"]).weights(trials)[:, 0]


def fit(
    trials: Trials, model: str, *, initial_weights: np.ndarray | None = None, progress: bool = False, **settings: Any
) -> Fit:
    """Fit a registered model to trials; `settings` are those of `SETTINGS[model]`.

    `initial_weights` (M, K) are used by neural models with initial = "known". Raises ValueError for an unknown model or
    setting, or features that are not finite, naming the mouse.
    """
    chosen = find_settings(model)(**settings)
    for m in np.flatnonzero(~np.isfinite(trials.x).all(axis=(1, 2))):
        raise ValueError(f"mouse {trials.ids[m]!r}: its features hold NaN or infinite values")
    if isinstance(chosen, NeuralFitSettings):
        return _fit_neural(model, trials, chosen, initial_weights, progress)
    assert isinstance(chosen, RuleSettings | RandomWalkSettings)
    return _fit_closed_form(model, trials, chosen, progress)


def save_fit(fit: Fit, folder: Path, about: dict[str, Any]) -> None:
    """Write a fit into a folder: `card.json`, and for a neural rule `model.safetensors`; `about` goes into the card."""
    if isinstance(fit, NeuralFit):
        history = {"train_nll": fit.history.train, "held_out_nll": fit.history.held_out, "best_epoch": fit.history.best}
        card = {"settings": fit.settings, "mice": list(fit.ids), "initial_weights": fit.initial_weights.tolist(), **history}
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
        history = History(card["train_nll"], card["held_out_nll"], card["best_epoch"])
        noise = Noise(**{key: np.array(sd) for key, sd in card["noise"].items()}) if card.get("noise") else None
        weights = np.array(card["initial_weights"])
        return NeuralFit(load_rule(folder), weights, ids, card["model"], history, card["settings"], noise)
    layout = Layout(RULES[card["rule"]], tuple(card["features"]))
    theta, ci95, nll, converged = (np.array(card[key]) for key in ("theta", "ci95", "nll", "converged"))
    return RuleFit(layout, theta, ci95, nll, converged, ids, card["model"], card["settings"])
