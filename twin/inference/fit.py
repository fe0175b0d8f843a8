"""A small trainer: Adam with warm-up and cosine decay over minibatches of mice, for anything with `init` and `learn`.

It knows no model and prints nothing. It keeps the parameters of the best epoch, judged on blocks of trials that are held out
of the loss (their choices still drive the recurrence), so a network cannot learn single choices by heart.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from twin.data.trials import Trials
from twin.inference.settings import TrainSettings
from twin.inference.unroll import Batch, find_way, unroll

HELD_OUT, BLOCK = 0.1, 50  # fraction of the trials held out, and the length of a block of them
LARGEST_GRADIENT = 1.0  # norm to which gradients are clipped; at the loss per trial it is far above a normal one


class DivergedError(RuntimeError):
    """Training left the numbers a computer can hold; the model holds the last good parameters."""


@dataclass
class History:
    """Negative log-likelihood per trial at the end of each epoch, and which epoch's parameters were kept."""

    train: list[float] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    best: int = 0


class Trainer:
    """Fits a model to the trials that count.

    `initial_weights` (M, K) are known; without them each mouse's are fitted too, from `start` (M, K), or else from zero. It
    trains on the device of the settings; model and weights are on the CPU again after `run`. Raises ValueError if torch has
    no such device, or the model not the strategy there.
    """

    def __init__(
        self,
        model: nn.Module,
        trials: Trials,
        settings: TrainSettings,
        initial_weights: np.ndarray | None = None,
        start: np.ndarray | None = None,
    ) -> None:
        self.model, self.settings, self.history = model, settings, History()
        device = find_device(settings.device)
        find_way(settings.strategy, model, device)  # refuses at once what it cannot do
        self.model.to(device)
        self.batch = Batch.of(trials).to(device)
        self.held_out = torch.as_tensor(held_out_blocks(trials.mask, settings.seed), device=device)
        self.seen = torch.as_tensor(trials.mask, device=device) & ~self.held_out
        shape = (trials.x.shape[0], trials.x.shape[2])
        known = initial_weights is not None
        first = initial_weights if known else np.zeros(shape) if start is None else start
        self.weights = nn.Parameter(torch.tensor(first, dtype=torch.float32, device=device), requires_grad=not known)
        decayed = {"params": list(model.parameters()), "weight_decay": settings.weight_decay}
        groups = [decayed] if known else [decayed, {"params": [self.weights], "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=settings.rate)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, self._rate)

    def run(self, epoch_done: Callable[[float, float], None] = lambda train, held_out: None) -> History:
        """Train to the end; `epoch_done(train, held_out)` is called with the score of each epoch.

        Raises DivergedError, with the last good parameters in the model.
        """
        best = self._snapshot()
        try:
            for epoch in range(self.settings.passes(len(self.seen))):
                for mice in self._minibatches(epoch):
                    self._step(mice)
                for scores, score in zip((self.history.train, self.history.held_out), self._scores(), strict=True):
                    scores.append(score)
                if epoch == 0 or self.history.held_out[-1] < self.history.held_out[self.history.best]:
                    self.history.best, best = epoch, self._snapshot()
                epoch_done(self.history.train[-1], self.history.held_out[-1])
                if epoch - self.history.best >= self.settings.patience:
                    break
        finally:
            self.model.load_state_dict(best[0])
            self.model.cpu()
            self.weights.data = best[1].cpu()
        return self.history

    def _step(self, mice: Tensor) -> None:
        if not self.seen[mice].any():
            return
        loss = self._nll(mice)[self.seen[mice]].mean()
        if not torch.isfinite(loss):
            raise DivergedError(
                f"training diverged in epoch {len(self.history.train) + 1} at a learning rate of {self.settings.rate:g}; "
                f"lower `rate`, or `initial_scale` of the network"
            )
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
        self.optimiser.step()
        self.schedule.step()

    def _nll(self, mice: Tensor | slice) -> Tensor:
        """Negative log-likelihood of every trial of some mice, (m, T); without meaning where there was no choice."""
        batch = self.batch.of_mice(mice)
        strategy, segment = self.settings.strategy, self.settings.segment
        logits, _ = unroll(self.model, batch, self.weights[mice], strategy=strategy, segment=segment)
        return nn.functional.binary_cross_entropy_with_logits(logits, batch.choice[..., 0].clamp(min=0), reduction="none")

    def _scores(self) -> list[float]:
        """Negative log-likelihood per trial of those seen in training, and of those held out."""
        with torch.no_grad():
            nll = torch.cat([self._nll(slice(m, m + 64)) for m in range(0, len(self.seen), 64)])
        return [float(nll[part].mean()) for part in (self.seen, self.held_out)]

    def _snapshot(self) -> tuple[dict[str, Tensor], Tensor]:
        return copy.deepcopy(self.model.state_dict()), self.weights.detach().clone()

    def _minibatches(self, epoch: int) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + epoch)
        yield from torch.randperm(len(self.seen), generator=generator).split(self.settings.batch)

    def _rate(self, step: int) -> float:
        """Factor of the learning rate: a linear rise, then half a cosine down to zero."""
        mice = len(self.seen)
        steps = self.settings.passes(mice) * self.settings.minibatches(mice)
        done, warm = step / steps, self.settings.warm_up
        return (step + 1) / (warm * steps + 1) if done < warm else 0.5 * (1 + math.cos(math.pi * (done - warm) / (1 - warm)))


def find_device(name: str) -> torch.device:
    """A device of torch. Raises ValueError if it cannot be used here."""
    try:
        return torch.empty(0, device=name).device
    except (AssertionError, RuntimeError) as error:
        raise ValueError(f"device = {name!r} cannot be used: {str(error).splitlines()[0]}") from None


def held_out_blocks(mask: np.ndarray, seed: int) -> np.ndarray:
    """Which trials are held out of the loss: a tenth of the blocks of 50, at random, (M, T)."""
    blocks = np.random.default_rng(seed).random((mask.shape[0], -(-mask.shape[1] // BLOCK))) < HELD_OUT
    return mask & np.repeat(blocks, BLOCK, axis=1)[:, : mask.shape[1]]
