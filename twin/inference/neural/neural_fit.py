"""A neural rule fitted to M mice together, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch

from agents.neural.ensemble import Ensemble
from agents.neural.rule import NeuralRule
from twin.data.trials import Trials
from twin.inference.card_schema import TENSORS, NeuralCard, NoiseCard, TrainingCard
from twin.inference.fit import Fit, single_update
from twin.inference.known_rule import KnownRule
from twin.inference.network_file import encoded
from twin.inference.neural.trainer import MICE_AT_ONCE, History
from twin.inference.neural.unroll import Batch, unroll
from twin.inference.noise.extended_kalman import smooth_tracked, track
from twin.inference.noise.levels import Noise


@dataclass(frozen=True, repr=False)
class NeuralFit(Fit):
    """One neural rule fitted to all mice together, with each mouse's initial weights."""

    rule: NeuralRule | Ensemble
    initial_weights: np.ndarray  # (M, K)
    ids: tuple[str, ...]
    model: str
    histories: tuple[History, ...]  # of every member of an ensemble, of one rule otherwise
    settings: dict[str, Any]
    noise: Noise | None = None  # of the weights, the same in all mice
    data_hash: str = ""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the K features, in the order of its weights."""
        return self.rule.features

    @property
    def members(self) -> tuple[Any, ...]:
        """The rules of an ensemble, or the one there is."""
        return tuple(self.rule.members) if isinstance(self.rule, Ensemble) else (self.rule,)

    def spread(self, w: np.ndarray, x: np.ndarray, choice: np.ndarray, reward: np.ndarray) -> np.ndarray | None:
        """Standard deviation of `update` over the members of an ensemble, (N, K); None if the rule is no ensemble."""
        if len(self.members) == 1:
            return None
        updates = [single_update(member.as_mice(w), w, x, choice, reward) for member in self.members]
        return np.std(updates, axis=0, ddof=1)

    def agents(self, mice: np.ndarray, initial_weights: np.ndarray) -> Any:
        """Mice with `init` and `learn`, from initial weights (N, K); all mice have the same rule."""
        return self.rule.as_mice(initial_weights)

    def known_rule(self) -> KnownRule:
        """The rule, the initial weights of its mice and, where it was fitted, the noise, the same in all mice."""
        traits = {"initial_weight": self.initial_weights}
        if self.noise:
            traits |= {f"{name}_noise": sd[None] for name, sd in self.noise._asdict().items()}
        columns = [(f"{name}.{f}", column) for name, a in traits.items() for f, column in zip(self.features, a.T, strict=True)]
        return KnownRule(self.rule, self.features, dict(columns))

    def card(self, about: Mapping[str, Any]) -> NeuralCard:
        """All of it but the network's weights, as it is kept."""
        training = [TrainingCard(train=np.array(h.train), held_out=np.array(h.held_out), best=h.best) for h in self.histories]
        return NeuralCard(
            model=self.model,
            features=self.features,
            mice=self.ids,
            settings=self.settings,
            data_hash=self.data_hash,
            members=len(self.members),
            network=self.rule.settings.model_dump(),
            initial_weights=self.initial_weights,
            training=tuple(training),
            noise=NoiseCard(**self.noise._asdict()) if self.noise else None,
            **about,
        )

    def file(self) -> tuple[str, bytes]:
        """The network's weights."""
        return TENSORS, encoded(self.rule.state_dict())

    def _of_mice(self, rows: np.ndarray) -> Self:
        return replace(self, initial_weights=self.initial_weights[rows], ids=tuple(self.ids[m] for m in rows))

    def _log_likelihood(self, trials: Trials) -> np.ndarray:
        if self.noise:
            tracked = track(self.rule, trials, self.initial_weights, self.noise)
            logits = (tracked.mean * tracked.moderated_x).sum(-1).numpy()
        else:
            logits, _ = self._run(trials)
        return np.where(trials.mask, -np.logaddexp(0.0, np.where(trials.choice == 1, -logits, logits)), 0.0)

    def _weights(self, trials: Trials) -> np.ndarray:
        if self.noise:
            return smooth_tracked(trials, track(self.rule, trials, self.initial_weights, self.noise), self.noise)
        weights = self._run(trials)[1]
        weights[np.arange(weights.shape[1]) >= trials.lengths[:, None]] = np.nan
        return weights

    def _run(self, trials: Trials) -> tuple[np.ndarray, np.ndarray]:
        """Logits (M, T) and weights (M, T, K) before each trial, of rules without noise."""
        logits, weights = [], []
        with torch.no_grad():
            batch, w0 = Batch.of(trials), torch.as_tensor(self.initial_weights, dtype=torch.float32)
            for m in range(0, len(w0), MICE_AT_ONCE):
                pick = slice(m, m + MICE_AT_ONCE)
                out = unroll(self.rule, batch.of_mice(pick), w0[pick], strategy="auto")
                logits.append(out[0])
                weights.append(out[1])
        return torch.cat(logits).numpy().astype(float), torch.cat(weights).numpy().astype(float)
