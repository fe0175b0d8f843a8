"""Checkpoints of a training: a file from which it goes on, to the same bits, when it was interrupted.

A file of safetensors, which holds numbers and no code. It is bound to what is trained by a hash of the trials, the settings and
what else decides the training; a file of any other training, or one that is not whole, counts for nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from twin.data.files import replace_file
from twin.inference.neural.individuals import Individuals

EVERY = 60.0  # seconds of training between two checkpoints


class Best(NamedTuple):
    """What the best epoch left."""

    model: dict[str, Tensor]
    weights: Tensor  # (M, K)
    individuals: Individuals | None


@dataclass
class Checkpoint:
    """Where a training is kept while it goes on."""

    path: Path
    bound_to: str  # a hash of all that decides the training
    every: float = EVERY
    _last: float = field(default_factory=time.monotonic)

    def of(self, name: str) -> Checkpoint:
        """That of one training of several, which have all in common but their name."""
        return replace(self, path=self.path.with_name(f"{self.path.name}-{name}"), _last=time.monotonic())

    @property
    def is_due(self) -> bool:
        """Has it been long enough since the last?"""
        return time.monotonic() - self._last >= self.every

    def save(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write the state of a training."""
        about = {"bound_to": self.bound_to, "facts": json.dumps(dict(facts))}
        content = safetensors.torch.save(
            {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, about
        )
        replace_file(self.path, content)
        self._last = time.monotonic()

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The state of this very training; None if there is none."""
        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                about = file.metadata() or {}
                if about.get("bound_to") != self.bound_to:
                    return None
                return {name: file.get_tensor(name) for name in file.keys()}, json.loads(about["facts"])  # noqa: SIM118
        except (OSError, SafetensorError, ValueError, KeyError):
            return None


def state_of(trainer: Any, best: Best) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All that a trainer carries from one epoch to the next."""
    tensors = {f"model.{name}": value for name, value in trainer.model.state_dict().items()}
    tensors |= {"weights": trainer.weights.data, "generator": trainer.generator.get_state(), "best.weights": best.weights}
    tensors |= {f"best.model.{name}": value for name, value in best.model.items()}
    for which, mice in (("individuals", trainer.individuals), ("best.individuals", best.individuals)):
        tensors |= {f"{which}.{name}": part for name, part in _parts(mice).items()}
    adam = trainer.optimiser.state_dict()
    for i, moments in adam["state"].items():
        tensors |= {f"adam.{i}.{name}": value for name, value in moments.items()}
    facts = {
        "train": trainer.history.train,
        "held_out": trainer.history.held_out,
        "best": trainer.history.best,
        "rates": [group["lr"] for group in adam["param_groups"]],
        "schedule": {key: value for key, value in trainer.schedule.state_dict().items() if key != "lr_lambdas"},
    }
    return tensors, facts


def restore(trainer: Any, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Best:
    """Put a trainer where it was."""
    trainer.model.load_state_dict(_under("model", tensors))
    trainer.weights.data = tensors["weights"].to(trainer.weights.device)
    trainer.generator.set_state(tensors["generator"])
    names = None if trainer.individuals is None else trainer.individuals.names
    trainer.individuals = _individuals(names, _under("individuals", tensors))
    adam = trainer.optimiser.state_dict()
    for group, rate in zip(adam["param_groups"], facts["rates"], strict=True):
        group["lr"] = rate
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in _under("adam", tensors).items():
        i, _, of = name.partition(".")
        moments.setdefault(int(i), {})[of] = value
    trainer.optimiser.load_state_dict({"state": moments, "param_groups": adam["param_groups"]})
    trainer.schedule.load_state_dict({"lr_lambdas": [None] * len(facts["rates"]), **facts["schedule"]})
    history = trainer.history
    history.train, history.held_out, history.best = list(facts["train"]), list(facts["held_out"]), facts["best"]
    return Best(
        _under("best.model", tensors), tensors["best.weights"], _individuals(names, _under("best.individuals", tensors))
    )


def _under(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}


def _parts(mice: Individuals | None) -> dict[str, Tensor]:
    every = {} if mice is None else {name: getattr(mice, name) for name in ("u", "mean", "sd", "root")}
    return {name: part for name, part in every.items() if isinstance(part, torch.Tensor)}


def _individuals(names: tuple[str, ...] | None, parts: Mapping[str, Tensor]) -> Individuals | None:
    return None if names is None else Individuals(names, **parts)
