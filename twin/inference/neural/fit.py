"""Fitting a neural rule: from trainings side by side, restarts and members of an ensemble, to one fitted rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from agents.neural.ensemble import Ensemble
from agents.neural.registry import NEURAL_RULES
from agents.neural.rule import NeuralRule
from agents.rules import RULES
from twin.data.content import hash_content
from twin.data.trials import Trials
from twin.engine import map_jobs
from twin.inference.closed_form.fit import fit_rule
from twin.inference.neural.checkpoint import Checkpoint
from twin.inference.neural.individuals import Individuals
from twin.inference.neural.neural_fit import NeuralFit
from twin.inference.neural.trainer import History, Trainer
from twin.inference.noise.extended_kalman import ROUNDS, train_noisy
from twin.inference.noise.levels import Noise
from twin.inference.settings import NeuralFitSettings

CHECKPOINT = "checkpoint"  # how the files of checkpoints begin
FIRST_TRIALS = 100  # trials from which initial weights are estimated by a GLM, as in Liu, Geadah & Pillow 2025


class Trained(NamedTuple):
    """What one training leaves."""

    rule: NeuralRule
    initial_weights: np.ndarray  # (M, K)
    noise: Noise | None
    history: History
    individuals: Individuals | None

    @property
    def score(self) -> float:
        """Negative log-likelihood per trial of what was held out."""
        return self.history.held_out[self.history.best]


def fit_neural(
    name: str,
    trials: Trials,
    settings: NeuralFitSettings,
    known: np.ndarray | None = None,
    progress: bool = False,
    checkpoints: Path | None = None,
) -> NeuralFit:
    """Train `settings.members` rules, each the best of `settings.restarts`, and join them into one.

    `known` (M, K) are used with initial = "known". A training of more than a minute is kept in `checkpoints`, a folder, and
    goes on from there when it was interrupted. Member i trains with seed + i; its restarts differ in their first network.
    """
    _check_individual(name, len(trials.ids), settings)
    first = _initial_weights(trials, settings, known)
    rounds = ROUNDS + (first is None) if settings.noise else 1
    total = settings.passes(len(trials.ids)) * rounds * settings.members * settings.restarts
    jobs = list(product(range(settings.members), range(settings.restarts)))
    with tqdm(total=total, unit="epoch", desc=f"fit {name}", disable=None if progress else True) as bar:

        def show(train: float, held_out: float) -> None:
            bar.set_postfix_str(f"log-likelihood per trial {-train:.4f}, held out {-held_out:.4f}")
            bar.update()

        checkpoint = (
            None if checkpoints is None else Checkpoint(checkpoints / CHECKPOINT, _bound(name, trials, settings, first))
        )
        job = partial(train_one, name, trials, settings, first, show, checkpoint)
        done = map_jobs(job, jobs, workers=torch.get_num_threads())  # on threads, which share the bar
    each = [done[i : i + settings.restarts] for i in range(0, len(done), settings.restarts)]
    return join(name, [min(restarts, key=lambda t: t.score) for restarts in each], trials, settings)


def _check_individual(name: str, mice: int, settings: NeuralFitSettings) -> None:
    """Raise ValueError for what is asked of single mice and cannot be."""
    embedding = getattr(settings, "embedding", 0)
    if not settings.individual:
        if settings.lapses or embedding:
            raise ValueError(
                "individual = false: lapses and embedding are a mouse's own; leave them out, or set individual = true"
            )
        return
    if not NEURAL_RULES[name].individual:
        raise ValueError(f"individual = true: mice of a {name} have nothing of their own; leave it out")
    if settings.device != "cpu":
        raise ValueError(
            f"individual = true: it is found on the CPU, not on device = {settings.device!r}; leave one of them out"
        )
    if settings.members > 1:
        raise ValueError(
            f"members = {settings.members}: members would not agree on what is a mouse's own; expected members = 1"
        )
    if mice < 2:
        raise ValueError("individual = true: there is one mouse, and it tells nothing of how mice differ; leave it out")


def train_one(
    name: str,
    trials: Trials,
    settings: NeuralFitSettings,
    first: np.ndarray | None,
    show: Callable[[float, float], None],
    checkpoint: Checkpoint | None,
    job: tuple[int, int],
) -> Trained:
    """Train the network of one (member, restart), from initial weights `first` (M, K) or with those fitted too."""
    member, restart = job
    checkpoint = checkpoint and checkpoint.of(f"{member}-{restart}")
    own = settings.model_copy(update={"seed": settings.seed + member})
    rule = build(name, trials.features, own, seed=own.seed + restart * settings.members)
    if own.noise:
        return Trained(rule, *train_noisy(rule, trials, own, first, show, checkpoint))
    trainer = Trainer(rule, trials, own, first, checkpoint=checkpoint)
    history = trainer.run(show)
    return Trained(rule, trainer.weights.detach().numpy().astype(float), None, history, trainer.individuals)


def _bound(name: str, trials: Trials, settings: NeuralFitSettings, first: np.ndarray | None) -> str:
    """A hash of all that decides the trainings of a fit."""
    weights = np.zeros(0) if first is None else np.asarray(first, float)
    asked = f"{name} {settings.model_dump_json()} torch {torch.__version__}"
    return hash_content({"trials": trials.content_hash(), "asked": asked, "first": weights})


def build(name: str, features: Sequence[str], settings: NeuralFitSettings, seed: int) -> NeuralRule:
    """An untrained rule."""
    kind = NEURAL_RULES[name]
    network = kind.settings_type(**{k: getattr(settings, k) for k in kind.settings_type.model_fields})
    return kind(features, network, seed)


def join(name: str, members: Sequence[Trained], trials: Trials, settings: NeuralFitSettings) -> NeuralFit:
    """One fit of one or more trained rules: the mean of their rules, initial weights and variances of the noise."""
    rule = members[0].rule if len(members) == 1 else Ensemble([m.rule for m in members])
    weights = np.mean([m.initial_weights for m in members], axis=0)
    noise = None
    if members[0].noise is not None:
        noise = Noise(*np.sqrt(np.mean([np.square(m.noise) for m in members if m.noise is not None], axis=0)))
    histories = tuple(m.history for m in members)
    mice = members[0].individuals
    return NeuralFit(rule.eval(), weights, trials.ids, name, histories, settings.model_dump(), noise, individuals=mice)


def _initial_weights(trials: Trials, settings: NeuralFitSettings, known: np.ndarray | None) -> np.ndarray | None:
    how, error = settings.initial, settings.initial_error
    if error and how != "known":
        raise ValueError(f"initial_error = {error:g} and initial = {how!r}: only known weights have one; leave one of them out")
    if how == "fitted":
        return None
    if how == "zero":
        return np.zeros((len(trials.ids), len(trials.features)))
    if how == "known":
        if known is None:
            raise ValueError(
                "initial = 'known': these trials come without true weights; use 'fitted', 'zero' or 'first-trials'"
            )
        return known + error
    return first_weights(trials)


def first_weights(trials: Trials) -> np.ndarray:
    """Weights (M, K) of a GLM without learning of each mouse's first trials."""
    return fit_rule(trials.first(FIRST_TRIALS), RULES["static"]).weights(trials)[:, 0]
