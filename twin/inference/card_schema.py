"""What a card may say: every key of a saved fit, its kind, its shape and its range."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationInfo, field_validator, model_validator

from agents.features import feature_codes
from agents.rules import RULES
from agents.theta import Layout
from envs.names import suggest
from twin.inference.arrays import Array
from twin.inference.posterior.draws import FILE as DRAWS
from twin.inference.posterior.draws import Draws, read_draws
from twin.inference.registry import find_settings
from twin.inference.settings import NeuralFitSettings, RuleSettings

if TYPE_CHECKING:
    from twin.inference.closed_form.rule_fit import RuleFit
    from twin.inference.neural.individuals import Individuals
    from twin.inference.neural.neural_fit import NeuralFit

CARD, TENSORS = "card.json", "model.safetensors"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)

    def _expect(self, name: str, *shape: int) -> np.ndarray:
        """An array. Raises ValueError unless it has this shape."""
        found: np.ndarray = getattr(self, name)
        if found.shape != shape:
            raise ValueError(f"{name} has the shape {found.shape}; expected {shape}, by the mice and names of the card")
        return found

    def _expect_finite(self, name: str, least: float = -np.inf) -> None:
        """Raise ValueError unless all numbers of an array are finite, and at least so large."""
        values = getattr(self, name)
        for value in values[~(np.isfinite(values) & (values >= least))][:1]:
            raise ValueError(
                f"{name} holds {value}; expected finite numbers{'' if np.isinf(least) else f' of at least {least:g}'}"
            )


class _Card(_Table):
    """What the cards of all fits hold."""

    model: str
    features: tuple[str, ...]
    mice: tuple[str, ...] = Field(min_length=1)  # their ids
    settings: dict[str, Any]
    data_hash: str = Field(pattern="^([0-9a-f]{64})?$")  # `Trials.content_hash` of what it was fitted to; empty: not known
    seconds: FiniteFloat | None = Field(None, ge=0)  # that the fit took
    trials: int | None = Field(None, ge=0)  # with a choice
    asked: dict[str, Any] | None = None  # model and settings as a study asked for them
    versions: dict[str, str] = Field(default_factory=dict)  # of what computed it
    file_hash: str = ""  # SHA-256 of the file beside the card, where there is one

    @field_validator("features")
    @classmethod
    def _known(cls, features: tuple[str, ...]) -> tuple[str, ...]:
        feature_codes(features)
        return features

    @field_validator("mice")
    @classmethod
    def _once(cls, mice: tuple[str, ...]) -> tuple[str, ...]:
        for mouse, count in Counter(mice).items():
            if count > 1:
                raise ValueError(f"{mouse!r} is there {count} times; expected every mouse once")
        return mice


class ClosedFormCard(_Card):
    """A closed-form rule and the parameters of M mice."""

    kind: Literal["closed-form"] = "closed-form"
    rule: str
    parameters: tuple[str, ...]  # names of the P columns of theta
    theta: Array  # (M, P) natural units
    ci95: Array  # (M, P, 2) ends of the intervals; null for parameters that were not fitted
    nll: Array  # (M,)
    converged: tuple[bool, ...]  # (M,)
    unidentified: tuple[tuple[bool, ...], ...] | None = None  # (M, P), of a posterior

    @field_validator("rule")
    @classmethod
    def _registered_rule(cls, rule: str) -> str:
        if rule not in RULES:
            raise ValueError(
                f"{suggest('rule', rule, RULES)}; a rule of your own must be registered before its fits are loaded"
            )
        return rule

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if issubclass(find_model(self.model), NeuralFitSettings):
            raise ValueError(f"model {self.model!r} is a network; expected a closed-form one, or kind = 'neural'")
        expected = "static" if self.model in ("static-glm", "random-walk") else self.model
        if self.rule != expected:
            raise ValueError(f"rule is {self.rule!r}; expected {expected!r}, that of the model {self.model!r}")
        RuleSettings.checked(self.settings, "settings")
        return self

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        if self.parameters != self.layout.names:
            raise ValueError(f"parameters are {list(self.parameters)}; the rule has {list(self.layout.names)}")
        mice, columns = len(self.mice), len(self.parameters)
        self._expect("theta", mice, columns)
        ends = self._expect("ci95", mice, columns, 2)
        self._expect("nll", mice)
        if len(self.converged) != mice:
            raise ValueError(f"converged has {len(self.converged)} entries; expected {mice}, one for each mouse")
        if self.unidentified is not None and [len(row) for row in self.unidentified] != [columns] * mice:
            raise ValueError(f"unidentified is not of {mice} mice and {columns} parameters")
        if (ends[..., 0] > ends[..., 1]).any():
            raise ValueError("ci95 has an interval whose lower end is above the upper one")
        return self

    @model_validator(mode="after")
    def _possible(self, info: ValidationInfo) -> Self:
        """What converged is finite, and within the bounds of its parameter; asked of a card that is read."""
        if not info.context:
            return self
        for column, parameter in zip(self.theta.T, self.layout.columns.items(), strict=True):
            name, bounds = parameter
            for mouse in np.flatnonzero(self.converged):
                if not np.isfinite(column[mouse]):
                    raise ValueError(f"{name} of fitted mouse {mouse} is {column[mouse]}; expected a finite number")
                if not bounds.low <= round(column[mouse], 9) <= bounds.high:
                    low, high = f"{bounds.low:g}", f"{bounds.high:g}"
                    raise ValueError(f"{name} of fitted mouse {mouse} is {column[mouse]:g}; expected {low} to {high}")
        return self

    @property
    def layout(self) -> Layout:
        """The columns of theta."""
        return Layout(RULES[self.rule], self.features)

    def restore(self, folder: Path) -> RuleFit:
        """The fit."""
        from twin.inference.closed_form.rule_fit import RuleFit

        return RuleFit(
            self.layout,
            self.theta,
            self.ci95,
            self.nll,
            np.array(self.converged, bool),
            self.mice,
            self.model,
            self.settings,
            self.data_hash,
            self._draws(folder),
            None if self.unidentified is None else np.array(self.unidentified, bool),
        )

    def _draws(self, folder: Path) -> Draws | None:
        """The draws beside the card, of a fit that has some."""
        if not self.file_hash:
            return None
        return read_draws(folder / DRAWS, self.file_hash, len(self.mice), len(self.parameters), len(self.features))


class TrainingCard(_Table):
    """Negative log-likelihood per trial before and during a training."""

    train: Array
    held_out: Array
    best: int = Field(ge=0)  # epoch whose network was kept

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        epochs = len(self._expect("train", self.train.size))
        self._expect("held_out", epochs)
        if self.best >= epochs:
            raise ValueError(f"best is {self.best}; expected one of {epochs} epochs, from 0")
        return self


class NoiseCard(_Table):
    """Standard deviations of the noise of the weights (K,)."""

    trial: Array
    day: Array


class IndividualsCard(_Table):
    """What is the mice's own under one network, as `twin.inference.neural.individuals` has it."""

    names: tuple[str, ...]  # of the F coordinates
    u: Array  # (M, F)
    mean: Array  # (F,) of the population
    sd: Array  # (F,)
    root: Array  # (M, G, G) of the covariance of what is left open of a mouse; G: F, and K initial weights if those were fitted


class NeuralCard(_Card):
    """A neural rule (the network, or an ensemble of them) and the initial weights of M mice."""

    kind: Literal["neural"] = "neural"
    members: int = Field(ge=1)
    network: dict[str, Any]  # size and form, as the settings of the rule
    initial_weights: Array  # (M, K)
    training: tuple[TrainingCard, ...]
    noise: NoiseCard | None
    individuals: IndividualsCard | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not issubclass(find_model(self.model), NeuralFitSettings):
            raise ValueError(f"model {self.model!r} is a closed-form one; expected a network, or kind = 'closed-form'")
        if len(self.training) != self.members:
            raise ValueError(f"training has {len(self.training)} entries; expected {self.members}, one for each of the members")
        find_model(self.model).checked(self.settings, "settings")
        return self

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        self._expect("initial_weights", len(self.mice), len(self.features))
        if self.noise:
            for name in ("trial", "day"):
                self.noise._expect(name, len(self.features))
        if self.individuals:
            mice, coordinates = len(self.mice), len(self.individuals.names)
            for name, shape in (("u", (mice, coordinates)), ("mean", (coordinates,)), ("sd", (coordinates,))):
                self.individuals._expect(name, *shape)
            size = coordinates + (self.individuals.root.shape[-1] > coordinates) * len(self.features)
            self.individuals._expect("root", mice, size, size)
        return self

    @model_validator(mode="after")
    def _possible(self, info: ValidationInfo) -> Self:
        """What is read is finite."""
        if not info.context:
            return self
        self._expect_finite("initial_weights")
        if self.noise:
            for name in ("trial", "day"):
                self.noise._expect_finite(name, least=0)
        if self.individuals:
            for name, least in (("u", -np.inf), ("mean", -np.inf), ("sd", 0.0), ("root", -np.inf)):
                self.individuals._expect_finite(name, least)
        return self

    def restore(self, folder: Path) -> NeuralFit:
        """The fit, with the network's weights from its folder."""
        from twin.inference.neural.neural_fit import NeuralFit
        from twin.inference.neural.trainer import History
        from twin.inference.noise.levels import Noise

        histories = tuple(History(t.train.tolist(), t.held_out.tolist(), t.best) for t in self.training)
        noise = Noise(self.noise.trial, self.noise.day) if self.noise else None
        rule, weights = self._rule(folder), self.initial_weights
        mice = self._individuals(folder, rule)
        return NeuralFit(rule, weights, self.mice, self.model, histories, self.settings, noise, self.data_hash, mice)

    def _individuals(self, folder: Path, rule: Any) -> Individuals | None:
        from twin.inference.neural.individuals import Individuals

        if self.individuals is None:
            return None
        found = Individuals.of(**self.individuals.model_dump())
        expected = () if self.members > 1 else rule.own_coordinates
        if found.names[: found.n_own] != expected:
            raise ValueError(
                f"{folder / CARD}: individuals.names are {list(found.names)}; expected {list(expected)}, then lapses"
            )
        return found

    def _rule(self, folder: Path) -> Any:
        from agents.neural.registry import NEURAL_RULES
        from twin.inference.network_file import read_network

        kind = NEURAL_RULES[self.model]
        try:
            settings = kind.settings_type.checked(self.network, "network")
        except ValueError as error:
            raise ValueError(f"{folder / CARD}: {error}") from None
        return read_network(folder / TENSORS, lambda: kind(self.features, settings), self.members, self.file_hash)


def find_model(model: str) -> type[Any]:
    """The settings of a model. Raises ValueError, naming the key of a card, for one that is not known."""
    try:
        return find_settings(model)
    except ValueError as error:
        raise ValueError(f"model: {error}") from None
