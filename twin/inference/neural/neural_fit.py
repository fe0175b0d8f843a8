"""A neural rule fitted to M mice together, and what can be asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from agents.neural.ensemble import Ensemble
from agents.neural.rule import NeuralRule
from twin.data.trials import Trials
from twin.inference.neural.trainer import MICE_AT_ONCE, History
from twin.inference.neural.unroll import Batch, unroll
from twin.inference.noise.extended_kalman import smooth_tracked, track
from twin.inference.noise.levels import Noise


@dataclass(frozen=True)
class NeuralFit:
    """One neural rule fitted to all mice together, with each mouse's initial weights."""

    rule: NeuralRule | Ensemble
    initial_weights: np.ndarray  # (M, K)
    ids: tuple[str, ...]
    name: str
    histories: tuple[History, ...]  # of every member of an ensemble, of one rule otherwise
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
            logits = (tracked.mean * tracked.moderated_x).sum(-1).numpy()
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
        return neural_update(self.rule, w, x, choice, reward)

    def spread(self, w: np.ndarray, x: np.ndarray, choice: np.ndarray, reward: np.ndarray) -> np.ndarray | None:
        """Standard deviation of `update` over the members of an ensemble, (N, K); None if the rule is no ensemble."""
        if not isinstance(self.rule, Ensemble):
            return None
        return np.std([neural_update(member, w, x, choice, reward) for member in self.rule.members], axis=0, ddof=1)


def neural_update(rule: Any, w: np.ndarray, x: np.ndarray, choice: np.ndarray, reward: np.ndarray) -> np.ndarray:
    """Change of the weights (N, K) by single trials under a neural rule, of mice that remember none before."""
    mice = rule.as_mice(w)
    p = np.full((len(w), 1), np.nan)  # the mice of a neural rule make their own of the weights and features
    after = mice.learn(mice.init(len(w)), x, choice[:, None], reward[:, None], p)
    return after.weights.numpy().astype(float) - w
