"""A small trainer: Adam with warm-up and cosine decay over minibatches of mice, for anything with `init` and `learn`.

Where mice have parameters of their own (`individuals`), these are found anew every few epochs. In between every step is made at
parameters drawn from what the mice leave open, and what is held out is judged by the mean of its probabilities over such draws.

It keeps the parameters of the best epoch, judged on what is held out of the loss: blocks of trials, whose choices still drive
the recurrence, or whole mice, of which nothing but their own initial weights is learned. Training begins at the base rule's
maximum-likelihood estimate, and if no epoch is better, that is what is kept.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agents.neural.rule import NeuralRule
from twin.data.trials import Trials
from twin.inference.neural.checkpoint import Best, Checkpoint, restore, state_of
from twin.inference.neural.individuals import Individuals, anywhere, log_chosen, settle
from twin.inference.neural.unroll import Batch, find_strategy, unroll
from twin.inference.neural.warm_start import center, warm_start
from twin.inference.settings import TrainSettings

HELD_OUT = 0.1  # fraction of the trials or mice
BLOCK = 50  # trials
LARGEST_GRADIENT = 1.0  # norm to which gradients are clipped; at the loss per trial it is far above a normal one
MICE_AT_ONCE = 64  # in an evaluation without gradients
FIRST_ROUNDS, LAST_ROUNDS = 5, 3  # of what differs between mice, before and after the network is trained
ALONE = 0.3  # part of the training before mice differ under a network that has no base rule and knows nothing at first
JUDGES = 4  # draws of what mice leave open, by which what is held out is judged


class DivergedError(RuntimeError):
    """Training left the numbers a computer can hold; the model holds the last good parameters."""


@dataclass
class History:
    """Negative log-likelihood per trial before training and at the end of each epoch, and whose parameters were kept."""

    train: list[float] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    best: int = 0  # 0: those before training


class Trainer:
    """Fits a model to the trials that count.

    `initial_weights` (M, K) are known; without them each mouse's are fitted too, from `start` (M, K), or else from zero. It
    trains on the device of the settings; model and weights are on the CPU again after `run`. It goes on from a `checkpoint`,
    and keeps it. Raises ValueError if torch has no such device, or the model not the strategy there.
    """

    def __init__(
        self,
        model: NeuralRule,
        trials: Trials,
        settings: TrainSettings,
        initial_weights: np.ndarray | None = None,
        start: np.ndarray | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.model = model
        self.checkpoint = checkpoint
        self.settings = settings
        self.history = History()
        device = find_device(settings.device)
        find_strategy(settings.strategy, model, device)  # refuses at once what it cannot do
        self.model.to(device)
        self.batch = Batch.of(trials).to(device)
        hold_out = held_out_mice if settings.hold_out == "mice" else held_out_blocks
        self.held_out = torch.as_tensor(hold_out(trials.mask, settings.seed), device=device)
        self.trained_on = torch.as_tensor(trials.mask, device=device) & ~self.held_out
        if not self.held_out.any():  # too few trials to spare any
            self.held_out = self.trained_on
        shape = (trials.x.shape[0], trials.x.shape[2])
        known = initial_weights is not None
        first = initial_weights if known else np.zeros(shape) if start is None else start
        self.weights = nn.Parameter(torch.tensor(first, dtype=torch.float32, device=device), requires_grad=not known)
        decayed = {"params": list(model.parameters()), "weight_decay": settings.weight_decay}
        groups = [decayed] if known else [decayed, {"params": [self.weights], "weight_decay": 0.0}]
        self.individuals = _unknown_mice(model, trials, settings)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.judges = self._some_judges()
        self.optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, self._learning_rate_factor)

    def run(self, epoch_done: Callable[[float, float], None] = lambda train, held_out: None) -> History:
        """Train to the end; `epoch_done(train, held_out)` is called with the score of each epoch.

        Raises DivergedError, with the last good parameters in the model.
        """
        best = self._begin()
        try:
            for epoch in range(len(self.history.train) - 1, self.settings.passes(len(self.trained_on))):
                if epoch - self.history.best >= self.settings.waits(len(self.trained_on)):
                    break
                for mice in self._minibatches(epoch):
                    self._step(mice)
                if self._mice_are_due(epoch + 1):
                    self._find_mice()
                self._score()
                if self.history.held_out[-1] < self.history.held_out[self.history.best]:
                    self.history.best, best = epoch + 1, self._snapshot()
                epoch_done(self.history.train[-1], self.history.held_out[-1])
                if self.checkpoint is not None and self.checkpoint.is_due:
                    self.checkpoint.save(*state_of(self, best))
        finally:
            self.model.load_state_dict(best.model)
            self.model.cpu()
            self.weights.data, self.individuals = best.weights.cpu(), best.individuals
        self._find_mice(LAST_ROUNDS)
        return self.history

    def _begin(self) -> Best:
        """Go on from the checkpoint, if there is one of this training, or begin it; what is best so far."""
        kept = None if self.checkpoint is None else self.checkpoint.load()
        if kept is not None:
            return restore(self, *kept)
        self._warm_start()
        self._score()
        return self._snapshot()

    def _warm_start(self) -> None:
        """Begin at the base rule, and where mice have something of their own, in turn at that and the base rule."""
        warm_start(self.model, self.batch, self.weights, self.trained_on)
        if self.individuals is None or not self.model.base_rule.parameters:
            return
        for _ in range(FIRST_ROUNDS):
            self._find_mice(2)
            self.individuals = center(self.model, self.individuals)
            warm_start(self.model, self.batch, self.weights, self.trained_on, self.individuals, self.judges[:: JUDGES // 2])

    def _mice_are_due(self, epoch: int) -> bool:
        """Is a round of what differs between mice due after so many epochs?"""
        mice = len(self.trained_on)
        knows_nothing = not self.model.base_rule.parameters and epoch < ALONE * self.settings.passes(mice)
        return not knows_nothing and epoch % self.settings.rounds_between(mice) == 0

    def _find_mice(self, rounds: int = 1) -> None:
        """What is each mouse's own, and the population, under the network as it is."""
        if self.individuals is None:
            return
        counts = self.trained_on | self.held_out if self.settings.hold_out == "mice" else self.trained_on
        choice, weights = self.batch.choice[..., 0], self.weights.data
        start = anywhere(weights.shape[1]) if self.weights.requires_grad else None
        found = settle(self._predict, choice, counts, self.individuals, weights, start, rounds)
        self.individuals, self.weights.data = found

    def _some_judges(self) -> list[Tensor | None]:
        """Standard normal numbers (M, F + K) of each judge, in pairs of opposites; one judge without any if mice are alike."""
        if self.individuals is None:
            return [None]
        shape = JUDGES // 2, len(self.weights), len(self.individuals.names) + self.weights.shape[1]
        some = torch.randn(shape, generator=self.generator)
        return [*some, *-some]

    def _step(self, mice: Tensor) -> None:
        trained_on = self.trained_on[mice]
        z = None if self.judges[0] is None else torch.randn(self.judges[0].shape, generator=self.generator)
        nll = self._nll(mice, z)
        self.optimiser.zero_grad()
        if self.settings.hold_out == "mice" and self.weights.requires_grad and not trained_on.all():
            self._descend(nll, self.held_out[mice], inputs=[self.weights], retain_graph=True)
        self._descend(nll, trained_on)
        nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
        self.optimiser.step()
        self.schedule.step()

    def _descend(self, nll: Tensor, counts: Tensor, **how: Any) -> None:
        if not counts.any():
            return
        loss = nll[counts].mean()
        if not torch.isfinite(loss):
            raise DivergedError(
                f"training diverged in epoch {len(self.history.train)} at a learning rate of {self.settings.learning_rate:g}; "
                f"lower `learning_rate`, or `initial_scale` of the network"
            )
        loss.backward(**how)

    def _predict(self, individuals: Individuals | None, weights: Tensor, batch: Batch | None = None) -> Tensor:
        """Logits of some mice, by default of all."""
        batch = batch or self.batch
        if individuals is not None:
            batch = batch._replace(own=self.model.own(individuals.own))
        strategy, segment = self.settings.strategy, self.settings.segment
        return unroll(self.model, batch, weights, strategy=strategy, segment=segment)[0]

    def _nll(self, mice: Tensor | slice, z: Tensor | None) -> Tensor:
        """Negative log-likelihood of each choice of some mice, (M, T), where z (M, F + K) of all mice draws them."""
        individuals, weights = None if self.individuals is None else self.individuals.of_mice(mice), self.weights[mice]
        if individuals is not None and z is not None:
            individuals, weights = individuals.drawn(z[mice], weights)
        logits = self._predict(individuals, weights, self.batch.of_mice(mice))
        return -log_chosen(logits, self.batch.choice[mice, :, 0], None if individuals is None else individuals.lapses)

    def _score(self) -> None:
        """Note the negative log-likelihood per trial of those trained on, and of those held out, individuals integrated out."""
        mice = [slice(m, m + MICE_AT_ONCE) for m in range(0, len(self.trained_on), MICE_AT_ONCE)]
        with torch.no_grad():
            each = torch.stack([torch.cat([self._nll(some, z) for some in mice]) for z in self.judges])
        self.history.train.append(float(each[:, self.trained_on].mean()))
        held_out = -torch.where(self.held_out, each, 0.0).double().sum(-1)
        mixed = torch.logsumexp(held_out, dim=0) - math.log(len(each))
        self.history.held_out.append(-float(mixed.sum() / self.held_out.sum()))

    def _snapshot(self) -> Best:
        return Best(copy.deepcopy(self.model.state_dict()), self.weights.detach().clone(), self.individuals)

    def _minibatches(self, epoch: int) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + epoch)
        yield from torch.randperm(len(self.trained_on), generator=generator).split(self.settings.batch_size)

    def _learning_rate_factor(self, step: int) -> float:
        """Factor of the learning rate: a linear rise, then half a cosine down to zero."""
        mice = len(self.trained_on)
        steps = self.settings.passes(mice) * self.settings.minibatches(mice)
        done = step / steps
        warm = self.settings.warm_up
        return (step + 1) / (warm * steps + 1) if done < warm else 0.5 * (1 + math.cos(math.pi * (done - warm) / (1 - warm)))


def _unknown_mice(model: NeuralRule, trials: Trials, settings: TrainSettings) -> Individuals | None:
    """Mice of which nothing is known; None if they are to have nothing of their own."""
    if not settings.individual:
        return None
    return Individuals.unknown(model.own_coordinates, settings.lapses, len(trials.ids))


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


def held_out_mice(mask: np.ndarray, seed: int) -> np.ndarray:
    """All trials of a tenth of the mice, at random, and of one at least, (M, T). Raises ValueError for a single mouse."""
    if len(mask) < 2:
        raise ValueError("hold_out = 'mice': there is only one mouse; expected two or more, or hold_out = 'trials'")
    out = np.zeros_like(mask)
    apart = np.random.default_rng(seed).permutation(len(mask))[: max(1, round(HELD_OUT * len(mask)))]
    out[apart] = mask[apart]
    return out
