"""The folder of a fit: `card.json`, which says all of it, and `model.safetensors`, the weights of a network.

Both kinds of fit are written and read here. A card is strict JSON; its `data_hash` tells what trials it was fitted to. A file
is written under another name and renamed when whole, the card last, so a folder with a card holds a whole fit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from agents.features import feature_codes
from agents.rules import RULES
from agents.theta import Layout
from envs.names import suggest
from twin.inference.arrays import Array
from twin.inference.registry import find_settings

if TYPE_CHECKING:
    from twin.inference.closed_form.rule_fit import RuleFit
    from twin.inference.fit import Fit
    from twin.inference.neural.neural_fit import NeuralFit

CARD, TENSORS = "card.json", "model.safetensors"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)

    def _expect(self, name: str, *shape: int) -> None:
        """Raise ValueError unless an array has this shape."""
        if (found := getattr(self, name).shape) != shape:
            raise ValueError(f"{name} has the shape {found}; expected {shape}, by the mice and names of the card")


class _Card(_Table):
    """What the cards of all fits hold."""

    model: str
    features: tuple[str, ...]
    mice: tuple[str, ...]  # their ids
    settings: dict[str, Any]
    data_hash: str  # `Trials.content_hash` of what it was fitted to
    seconds: float | None = None  # that the fit took
    trials: int | None = None  # with a choice
    versions: dict[str, str] = Field(default_factory=dict)  # of what computed it

    @field_validator("model")
    @classmethod
    def _registered(cls, model: str) -> str:
        find_settings(model)
        return model

    @field_validator("features")
    @classmethod
    def _known(cls, features: tuple[str, ...]) -> tuple[str, ...]:
        feature_codes(features)
        return features


class ClosedFormCard(_Card):
    """A closed-form rule and the parameters of M mice."""

    kind: Literal["closed-form"] = "closed-form"
    rule: str
    parameters: tuple[str, ...]  # names of the P columns of theta
    theta: Array  # (M, P) natural units
    ci95: Array  # (M, P, 2) ends of the intervals; null for parameters that were not fitted
    nll: Array  # (M,)
    converged: tuple[bool, ...]  # (M,)

    @field_validator("rule")
    @classmethod
    def _registered_rule(cls, rule: str) -> str:
        if rule not in RULES:
            raise ValueError(suggest("rule", rule, RULES))
        return rule

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        if self.parameters != self.layout.names:
            raise ValueError(f"parameters are {list(self.parameters)}; the rule has {list(self.layout.names)}")
        mice, columns = len(self.mice), len(self.parameters)
        self._expect("theta", mice, columns)
        self._expect("ci95", mice, columns, 2)
        self._expect("nll", mice)
        if len(self.converged) != mice:
            raise ValueError(f"converged has {len(self.converged)} entries; expected {mice}, one for each mouse")
        return self

    @property
    def layout(self) -> Layout:
        """The columns of theta."""
        return Layout(RULES[self.rule], self.features)

    def restore(self, folder: Path) -> RuleFit:
        """The fit."""
        from twin.inference.closed_form.rule_fit import RuleFit

        converged = np.array(self.converged, bool)
        arrays = self.theta, self.ci95, self.nll, converged
        return RuleFit(self.layout, *arrays, self.mice, self.model, self.settings, self.data_hash)


class TrainingCard(_Table):
    """Negative log-likelihood per trial before and during a training."""

    train: Array
    held_out: Array
    best: int  # epoch whose network was kept


class NoiseCard(_Table):
    """Standard deviations of the noise of the weights (K,)."""

    trial: Array
    day: Array


class NeuralCard(_Card):
    """A neural rule (the network, or an ensemble of them) and the initial weights of M mice."""

    kind: Literal["neural"] = "neural"
    members: int = Field(ge=1)
    network: dict[str, Any]  # size and form, as the settings of the rule
    initial_weights: Array  # (M, K)
    training: tuple[TrainingCard, ...]
    noise: NoiseCard | None

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        self._expect("initial_weights", len(self.mice), len(self.features))
        if self.noise:
            self.noise._expect("trial", len(self.features))
            self.noise._expect("day", len(self.features))
        return self

    def restore(self, folder: Path) -> NeuralFit:
        """The fit, with the network's weights from its folder."""
        from twin.inference.neural.neural_fit import NeuralFit
        from twin.inference.neural.trainer import History
        from twin.inference.noise.levels import Noise

        histories = tuple(History(t.train.tolist(), t.held_out.tolist(), t.best) for t in self.training)
        noise = Noise(self.noise.trial, self.noise.day) if self.noise else None
        rule, weights = self._rule(folder), self.initial_weights
        return NeuralFit(rule, weights, self.mice, self.model, histories, self.settings, noise, self.data_hash)

    def _rule(self, folder: Path) -> Any:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from agents.neural.ensemble import Ensemble
        from agents.neural.registry import NEURAL_RULES

        kind = NEURAL_RULES[self.model]
        try:
            rules = [kind(self.features, kind.settings_type(**self.network)) for _ in range(self.members)]
        except ValidationError as error:
            raise ValueError(f"{folder / CARD}: network.{_explained(error)}") from None
        rule = rules[0] if len(rules) == 1 else Ensemble(rules)
        try:
            rule.load_state_dict(load_file(folder / TENSORS))
        except (OSError, RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{folder / TENSORS}: not the weights of the network of {CARD} ({reason}); fit it again") from None
        return rule.eval()


Card = ClosedFormCard | NeuralCard
_CARDS: TypeAdapter[Card] = TypeAdapter(Annotated[Card, Field(discriminator="kind")])


def write_fit(folder: Path, card: Card, tensors: Mapping[str, Any]) -> None:
    """Write the card of a fit and, if there are any, the weights of its network (by name, torch)."""
    text = json.dumps(card.model_dump(mode="json"), indent=1, allow_nan=False)
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / CARD]
    _partial(folder / CARD).write_text(text)
    if tensors:
        from safetensors.torch import save_file

        written = [folder / TENSORS, *written]
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, _partial(folder / TENSORS))
    for path in written:
        os.replace(_partial(path), path)


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")


def is_fit(folder: Path) -> bool:
    """Does a folder hold a saved fit?"""
    return (folder / CARD).is_file()


def read_card(folder: Path) -> Card:
    """The card of a saved fit. Raises FileNotFoundError, or ValueError naming the file and what in it is not that of a fit."""
    file = folder / CARD
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; expected the folder of a fit")
    try:
        return _CARDS.validate_json(file.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{file}: {_explained(error)}") from None


def _explained(error: ValidationError) -> str:
    """The first of what is wrong in a card, naming its key."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"] if part not in ("closed-form", "neural"))
    if first["type"] == "missing":
        return f"key {key!r} is missing; expected the card of a fit"
    if first["type"] == "union_tag_not_found":
        return "key 'kind' is missing; expected the card of a fit (of an older version, perhaps: then fit again)"
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}; expected the card of a fit"
    text = str(first["msg"]).removeprefix("Value error, ")
    return f"{key}: {text}" if key else text


def load_fit(folder: str | Path) -> Fit:
    """A fit that was saved. Raises FileNotFoundError, or ValueError naming the file and what is wrong in it."""
    return read_card(Path(folder)).restore(Path(folder))
