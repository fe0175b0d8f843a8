"""A neural rule fitted to M mice together, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from agents.neural.ensemble import Ensemble
from agents.neural.rule import NeuralRule
from twin.data.trials import Trials
from twin.inference.card_schema import TENSORS, IndividualsCard, NeuralCard, NoiseCard, TrainingCard
from twin.inference.fit import Estimates, Fit, single_update
from twin.inference.known_rule import KnownRule
from twin.inference.network_file import encoded
from twin.inference.neural.individuals import Individuals, log_chosen, settle
from twin.inference.neural.trainer import MICE_AT_ONCE, History
from twin.inference.neural.unroll import Batch, unroll
from twin.inference.noise.extended_kalman import Tracked, smooth_tracked, track
from twin.inference.noise.levels import Noise

ADAPTING = 10  # rounds in which a new mouse's own parameters are found
LEAST_SD = 0.1  # of initial weights over mice: they may be the same in those that were fitted, and not in others
ONE_MOUSE_SD = 1.0  # the same, where only one mouse was fitted
TOLD = 0.9  # of the standard deviation over mice: what is left open of a mouse that is told
DRAWS = 1000  # of what is left open of mice, for the ends of intervals


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
    individuals: Individuals | None = None  # what else is the mice's own, and their population

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
        """Mice with `init` and `learn`: the fit's of these rows (N,), from initial weights (N, K)."""
        own = None if self._own is None else self._own[torch.as_tensor(mice)].mT.numpy()
        return self.rule.as_mice(initial_weights, own)

    @property
    def _own(self) -> Tensor | None:
        """Own parameters (M, R, K) of the mice, in natural units."""
        if self.individuals is None or not isinstance(self.rule, NeuralRule):
            return None
        return self.rule.own(self.individuals.own).detach()

    def adapted(self, trials: Trials) -> NeuralFit:
        """The network for other mice, by these trials of theirs; what is their own is found as of the population."""
        trials = trials.with_features(self.features)
        m, k = len(trials.ids), len(self.features)
        known = self.individuals or Individuals.unknown((), False, len(self.ids))
        mice = replace(known, u=known.mean.repeat(m, 1), root=None)
        mean, sd = (torch.as_tensor(f(self.initial_weights, axis=0), dtype=torch.float32) for f in (np.mean, np.std))
        sd = sd.clamp(min=LEAST_SD) if len(self.ids) > 1 else torch.full((k,), ONE_MOUSE_SD)
        new = replace(self, ids=trials.ids, data_hash=trials.content_hash())

        def of(mice: Individuals, weights: Tensor) -> NeuralFit:
            return replace(new, individuals=mice if known.names else None, initial_weights=weights.numpy().astype(float))

        def predict(mice: Individuals, weights: Tensor) -> Tensor:
            return torch.as_tensor(of(mice, weights)._logits(trials))

        choice, counts = (torch.as_tensor(a) for a in (trials.choice, trials.mask))
        return of(*settle(predict, choice, counts, mice, mean.repeat(m, 1), (mean, sd), ADAPTING, known_population=True))

    def parameters(self) -> dict[str, Estimates]:
        """What is the mice's own: scales by weight, embedding, lapses; empty if nothing is."""
        if self.individuals is None:
            return {}
        at, rng = self._values(self.individuals), torch.Generator().manual_seed(0)
        shape = len(self.ids), len(self.individuals.names) + len(self.features)
        draws = (torch.randn(shape, generator=rng) for _ in range(DRAWS))
        drawn = [self._values(self.individuals.drawn(z, torch.as_tensor(self.initial_weights))[0]) for z in draws]
        ends = {name: np.quantile([one[name] for one in drawn], (0.025, 0.975), axis=0).T for name in at}
        return {name: Estimates(at[name], ends[name]) for name in at}

    def untold(self) -> dict[str, np.ndarray]:
        """Of whom (M,) the data leave a parameter as wide as it is over mice, or nearly so; names as of `parameters`."""
        mice = self.individuals
        if mice is None:
            return {}
        if mice.root is None:
            return dict.fromkeys(self.parameters(), np.ones(len(self.ids), bool))
        root, sd = mice.root.numpy()[:, : len(mice.names)], mice.sd.numpy()
        out = {}
        for name in self.parameters():
            parts = [mice.names.index(part) for part in ({"scale", name} if name.startswith("scale") else {name})]
            open_of_each = np.linalg.norm(root[:, parts].sum(axis=1), axis=1)
            out[name] = open_of_each > TOLD * np.linalg.norm(sd[parts])
        return out

    def _values(self, mice: Individuals) -> dict[str, np.ndarray]:
        """Own parameters and lapses by name, in natural units, (M,) each."""
        assert isinstance(self.rule, NeuralRule)
        with torch.no_grad():
            own = self.rule.own(mice.own).numpy().astype(float)
        values: dict[str, np.ndarray] = {}
        for i, p in enumerate(self.rule.own_parameters):
            names = [f"{p.name}.{f}" for f in self.features] if p.per_weight else [p.name]
            values |= {name: own[:, i, k] for k, name in enumerate(names)}
        if mice.lapses is not None:
            values |= dict(zip(("lapse_low", "lapse_high"), mice.lapses.numpy().T.astype(float), strict=True))
        return values

    def known_rule(self) -> KnownRule:
        """The rule, and of its mice the initial weights, what is their own and, the same in all of them, the noise."""
        traits = {"initial_weight": self.initial_weights}
        if self.noise:
            traits |= {f"{name}_noise": sd[None] for name, sd in self.noise._asdict().items()}
        columns = [(f"{name}.{f}", column) for name, a in traits.items() for f, column in zip(self.features, a.T, strict=True)]
        if self.individuals is None or not isinstance(self.rule, NeuralRule):
            return KnownRule(self.rule, self.features, dict(columns))
        return KnownRule(self.rule, self.features, dict(columns) | self._values(self.individuals), own=self.rule.own_parameters)

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
            individuals=None if self.individuals is None else IndividualsCard(**self.individuals.kept()),
            **about,
        )

    def file(self) -> tuple[str, bytes]:
        """The network's weights."""
        return TENSORS, encoded(self.rule.state_dict())

    def _of_mice(self, rows: np.ndarray) -> Self:
        mice = None if self.individuals is None else self.individuals.of_mice(torch.as_tensor(rows))
        ids = tuple(self.ids[m] for m in rows)
        return replace(self, initial_weights=self.initial_weights[rows], ids=ids, individuals=mice)

    def _log_likelihood(self, trials: Trials) -> np.ndarray:
        logits = self._logits(trials)
        lapses = None if self.individuals is None or self.individuals.lapses is None else self.individuals.lapses.double()
        chosen = log_chosen(torch.as_tensor(logits), torch.as_tensor(trials.choice), lapses).numpy()
        return np.where(trials.mask, chosen, 0.0)

    def _logits(self, trials: Trials) -> np.ndarray:
        """Logits (M, T) of a right choice before lapses."""
        if not self.noise:
            return self._run(trials)[0]
        tracked = self._track(trials)
        return np.asarray((tracked.mean * tracked.moderated_x).sum(-1).numpy())

    def _track(self, trials: Trials) -> Tracked:
        assert self.noise is not None
        return track(self.rule, trials, self.initial_weights, self.noise, self._own)

    def _weights(self, trials: Trials) -> np.ndarray:
        if self.noise:
            return smooth_tracked(trials, self._track(trials), self.noise)
        weights = self._run(trials)[1]
        weights[np.arange(weights.shape[1]) >= trials.lengths[:, None]] = np.nan
        return weights

    def _run(self, trials: Trials) -> tuple[np.ndarray, np.ndarray]:
        """Logits (M, T) and weights (M, T, K) before each trial, of rules without noise."""
        logits, weights = [], []
        with torch.no_grad():
            batch, w0 = Batch.of(trials)._replace(own=self._own), torch.as_tensor(self.initial_weights, dtype=torch.float32)
            for m in range(0, len(w0), MICE_AT_ONCE):
                pick = slice(m, m + MICE_AT_ONCE)
                out = unroll(self.rule, batch.of_mice(pick), w0[pick], strategy="auto")
                logits.append(out[0])
                weights.append(out[1])
        return torch.cat(logits).numpy().astype(float), torch.cat(weights).numpy().astype(float)
