"""What differs between mice under one network: own parameters, lapses and initial weights, each mouse one of a population.

    u_m ~ N(mean, diag(sd)^2),   the choices of mouse m have the probabilities that the network gives with u_m

Idea. Given the network, a mouse's few coordinates u are found by Gauss-Newton steps on the log-posterior: the slope of every
logit by each coordinate comes from one more run of all trials with that coordinate moved a little, and the information is that
of Fisher. Given these slopes, the population follows by EM with Laplace's approximation: the variance is the mean over mice
of (u - mean)^2 plus what the mouse leaves open. Mice that are alike so lose what they have of their own, and cost nothing.

Between such rounds the network is trained by gradients (`trainer`), every step at other coordinates, drawn from what each mouse
leaves open: since the gradient of log p(choices) is the mean over p(u | choices) of that of log p(choices | u) (Fisher's
identity), the network so climbs the likelihood that individuals are integrated out of. It must. At the best coordinates alone
the best network is not the true rule but one that follows each mouse's choices, since that mends what is wrong with them.

Scales and embedding have mean 0 over the population: what mice share is the network's. The embedding is
standard normal, which is what penalises its use. Initial weights that are fitted too have no population.

Reference. Mixed effects of a network shared by subjects: Laplace EM as in Lindstrom & Bates 1990, Biometrics 46:673.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

MOVED = 0.01  # of a coordinate, for slopes in float32: the error of a slope is some 1e-3 of it
START_SD = 0.5  # of own parameters and of lapses over mice, before any is known
LEAST_SD = 0.02  # mice that differ by 2 % are alike
LAPSE_LOGIT = -2.75  # mean of the logit of twice a lapse before any is known: a lapse of .03
MOST_LAPSE = 0.5
SHORTER = 1.0, 0.3, 0.1  # parts of a step that are tried in turn
EM_STEPS = 50  # of the population, at the same slopes
LARGEST_STEP = 1.0  # of a coordinate at once

Predict = Callable[["Individuals", Tensor], Tensor]  # individuals, initial weights (M, K) -> logits (M, T)


@dataclass(frozen=True)
class Individuals:
    """Coordinates of M mice and the population they are from."""

    names: tuple[str, ...]  # of the F coordinates: those of own parameters, then lapse_low and lapse_high where they are fitted
    u: Tensor  # (M, F)
    mean: Tensor  # (F,)
    sd: Tensor  # (F,)
    root: Tensor | None = None  # (M, G, G) of the covariance of what is left open of a mouse: of the F coordinates, and behind
    # them, where those are fitted too, the K initial weights; lower triangular; None before any round

    @classmethod
    def unknown(cls, own: tuple[str, ...], lapses: bool, mice: int) -> Individuals:
        """Mice of whom nothing is known yet; `own` names the coordinates of their own parameters."""
        names = (*own, *(("lapse_low", "lapse_high") if lapses else ()))
        mean = torch.tensor([LAPSE_LOGIT if name.startswith("lapse") else 0.0 for name in names])
        sd = torch.tensor([1.0 if name.startswith("embedding") else START_SD for name in names])
        return cls(names, mean.repeat(mice, 1), mean, sd)

    @classmethod
    def of(cls, names: Sequence[str], **parts: np.ndarray) -> Individuals:
        """As it was kept."""
        return cls(tuple(names), **{name: torch.as_tensor(part, dtype=torch.float32) for name, part in parts.items()})

    def kept(self) -> dict[str, Any]:
        """All of it as numbers."""
        parts = {name: getattr(self, name) for name in ("u", "mean", "sd", "root")}
        return {"names": self.names} | {name: part.numpy().astype(float) for name, part in parts.items() if part is not None}

    @property
    def n_own(self) -> int:
        """Coordinates of own parameters."""
        return len(self.names) - 2 * self.lapsing

    @property
    def lapsing(self) -> bool:
        """Are lapses among them?"""
        return self.names[-2:] == ("lapse_low", "lapse_high")

    @property
    def own(self) -> Tensor:
        """Coordinates (M, F') of own parameters, as `NeuralRule.own` takes them."""
        return self.u[:, : self.n_own]

    @property
    def lapses(self) -> Tensor | None:
        """Lapse rates (M, 2), low and high; None where there are none."""
        return MOST_LAPSE * torch.sigmoid(self.u[:, self.n_own :]) if self.lapsing else None

    def of_mice(self, mice: Any) -> Individuals:
        """Some of the mice."""
        return replace(self, u=self.u[mice], root=None if self.root is None else self.root[mice])

    def drawn(self, z: Tensor, weights: Tensor) -> tuple[Individuals, Tensor]:
        """The mice and their initial weights (M, K) elsewhere in what is left open of them; z (M, F + K) standard normal."""
        if self.root is None:
            return self, weights
        size, f = self.root.shape[1], len(self.names)
        away = (self.root @ z[:, :size, None])[..., 0]
        return replace(self, u=self.u + away[:, :f]), weights + away[:, f:] if size > f else weights


class Slopes(NamedTuple):
    """The log-likelihood of every mouse at its coordinates, and how it changes with them."""

    logits: Tensor  # (M, T)
    gradient: Tensor  # (M, F)
    information: Tensor  # (M, F, F) of Fisher


def log_chosen(logits: Tensor, choice: Tensor, lapses: Tensor | None) -> Tensor:
    """Log-probability (M, T) of choices (M, T) of 0 and 1, given logits (M, T) before lapses (M, 2)."""
    chosen = nn.functional.logsigmoid(torch.where(choice > 0, logits, -logits))
    if lapses is None:
        return chosen
    floor = torch.where(choice > 0, lapses[:, :1], lapses[:, 1:])
    return torch.logaddexp(floor.log(), torch.log1p(-lapses.sum(1, keepdim=True)) + chosen)


def _precision(slopes: Slopes, sd: Tensor) -> Tensor:
    """Precision (M, G, G) of what is left open of mice, of a population with standard deviations (G,)."""
    return slopes.information + torch.diag(sd**-2 + 1e-6)


class _Climb:
    """Gauss-Newton steps of the coordinates and, where they are fitted too, the initial weights of mice."""

    def __init__(self, predict: Predict, choice: Tensor, counts: Tensor, start: tuple[Tensor, Tensor] | None) -> None:
        self.predict, self.choice, self.counts = predict, choice, counts
        self.start = start  # mean and sd (K,) of initial weights that are fitted; None: they are known

    def step(self, mice: Individuals, weights: Tensor, slopes: Slopes) -> tuple[Individuals, Tensor]:
        """Coordinates and initial weights one step on; a mouse that would fall stays where it is."""
        v, mean, sd = self._joined(mice, weights)
        here = self._height(slopes.logits, mice, v, mean, sd)
        tightness = sd**-2
        gradient = slopes.gradient - tightness * (v - mean)
        step = torch.linalg.solve(_precision(slopes, sd), gradient).clamp(-LARGEST_STEP, LARGEST_STEP)
        waiting = torch.ones(len(v), dtype=torch.bool)
        for part in SHORTER:
            tried = torch.where(waiting[:, None], v + part * step, v)
            there = self._apart(mice, weights, tried)
            height = self._height(self.predict(*there), there[0], tried, mean, sd)
            better = waiting & (height > here)
            v = torch.where(better[:, None], tried, v)
            waiting = waiting & ~better
            if not waiting.any():
                break
        return self._apart(mice, weights, v)

    def populated(self, mice: Individuals, weights: Tensor, slopes: Slopes) -> Individuals:
        """The population by EM, as far as these slopes tell the log-likelihood; the mice stay where they are."""
        v, mean, sd = self._joined(mice, weights)
        f = len(mice.names)
        for _ in range(EM_STEPS):
            covariance = torch.linalg.inv(_precision(slopes, sd))
            step = covariance @ (slopes.gradient - (v - mean) * sd**-2)[..., None]
            at = v + step[..., 0].clamp(-LARGEST_STEP, LARGEST_STEP)
            mice = population(mice, at[:, :f], covariance.diagonal(dim1=1, dim2=2)[:, :f])
            _, mean, sd = self._joined(mice, weights)
        return mice

    def root(self, mice: Individuals, weights: Tensor, slopes: Slopes) -> Tensor:
        """Root (M, G, G) of the covariance of what is left open of the mice."""
        _, _, sd = self._joined(mice, weights)
        covariance = torch.linalg.inv(_precision(slopes, sd))
        return torch.nan_to_num(torch.linalg.cholesky_ex(covariance).L).to(mice.u.dtype)

    def _joined(self, mice: Individuals, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Coordinates (M, F), with the initial weights behind them where those are fitted; mean and sd of each."""
        if self.start is None:
            return mice.u.double(), mice.mean.double(), mice.sd.double()
        parts = zip((mice.u, mice.mean, mice.sd), (weights, *self.start), strict=True)
        v, mean, sd = (torch.cat([a.double(), b.double()], dim=-1) for a, b in parts)
        return v, mean, sd

    def _apart(self, mice: Individuals, weights: Tensor, v: Tensor) -> tuple[Individuals, Tensor]:
        f = len(mice.names)
        found = replace(mice, u=v[:, :f].to(mice.u.dtype))
        return found, weights if self.start is None else v[:, f:].to(weights.dtype)

    def _height(self, logits: Tensor, mice: Individuals, v: Tensor, mean: Tensor, sd: Tensor) -> Tensor:
        """Log-posterior (M,) up to a constant."""
        each = log_chosen(logits, self.choice, mice.lapses).double()
        found = (each * self.counts).sum(1) - 0.5 * (((v - mean) / sd) ** 2).sum(1)
        return torch.nan_to_num(found, nan=-torch.inf)

    def slopes(self, mice: Individuals, weights: Tensor) -> Slopes:
        """At the mice's coordinates."""
        logits = self.predict(mice, weights)
        moved = [self._moved(mice, weights, j) for j in range(mice.n_own)]
        if self.start is not None:
            moved += [(mice, weights + MOVED * unit) for unit in torch.eye(weights.shape[1])]
        by_logit = [(self.predict(*each) - logits) / MOVED for each in moved]
        right = torch.sigmoid(logits)
        lapses = mice.lapses
        engaged = 1.0 if lapses is None else 1.0 - lapses.sum(1, keepdim=True)
        p = engaged * right + (0.0 if lapses is None else lapses[:, :1])
        slopes = [engaged * right * (1 - right) * s for s in by_logit]
        if lapses is not None:
            low, high = (lapses * (1 - lapses / MOST_LAPSE)).unbind(1)  # slopes of the rates by their coordinates
            slopes[mice.n_own : mice.n_own] = [(1 - right) * low[:, None], -right * high[:, None]]
        each = torch.stack(slopes, dim=-1).double()
        p = p.double().clamp(1e-9, 1 - 1e-9)
        weight = self.counts / (p * (1 - p))
        gradient = torch.einsum("mtf,mt->mf", each, weight * (self.choice.double().clamp(min=0) - p))
        return Slopes(logits, gradient, torch.einsum("mtf,mt,mtg->mfg", each, weight, each))

    @staticmethod
    def _moved(mice: Individuals, weights: Tensor, j: int) -> tuple[Individuals, Tensor]:
        u = mice.u.clone()
        u[:, j] += MOVED
        return replace(mice, u=u), weights


def anywhere(k: int) -> tuple[Tensor, Tensor]:
    """Mean and sd (K,) of initial weights of which nothing is known."""
    return torch.zeros(k), torch.full((k,), 100.0)


def settle(
    predict: Predict,
    choice: Tensor,
    counts: Tensor,
    mice: Individuals,
    weights: Tensor,
    start: tuple[Tensor, Tensor] | None,
    rounds: int,
    known_population: bool = False,
) -> tuple[Individuals, Tensor]:
    """Coordinates, population and initial weights (M, K), after so many rounds of EM and of a step.

    choice (M, T), counts (M, T) which trials count; `start`: mean and sd (K,) of initial weights that are fitted, None if they
    are known. The network that predicts stays as it is, and the population, if it is known.
    """
    climb = _Climb(predict, choice, counts, start)
    with torch.no_grad():
        slopes = climb.slopes(mice, weights)
        for _ in range(rounds):
            mice = mice if known_population else climb.populated(mice, weights, slopes)
            mice, weights = climb.step(mice, weights, slopes)
            slopes = climb.slopes(mice, weights)
        return replace(mice, root=climb.root(mice, weights, slopes)), weights


def population(mice: Individuals, u: Tensor, open_variance: Tensor) -> Individuals:
    """The population, were the mice at coordinates u (M, F) of which so much is open (M, F); means of lapses alone are free."""
    lapse = torch.tensor([name.startswith("lapse") for name in mice.names])
    embedding = torch.tensor([name.startswith("embedding") for name in mice.names])
    mean = torch.where(lapse, u.mean(0).to(mice.mean.dtype), mice.mean)
    sd = ((u - mean) ** 2 + open_variance).mean(0).sqrt().clamp(min=LEAST_SD).to(mice.sd.dtype)
    return replace(mice, mean=mean, sd=torch.where(embedding, 1.0, sd))
