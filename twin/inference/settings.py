"""What can be fitted, by name, and the settings of each; apart from the models so that a scenario is checked without torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AllowInfNan, Field, model_validator

from agents.neural.settings import NetworkSettings, TinyRNNSettings, TransformerSettings
from agents.rules import RULES
from envs.names import suggest
from envs.table import Table

Strategy = Literal["auto", "loop", "fused"]
Bound = Annotated[float, AllowInfNan()]
DEFAULT_STEPS = 800  # of the optimiser
LEAST_PATIENCE = 25  # epochs


class RuleSettings(Table):
    """How a closed-form rule is fitted."""

    fixed: dict[str, float] = Field({}, description="parameters whose values are known")
    free: tuple[str, ...] = Field((), description="traits to fit beside the rule's parameters and the initial weights")
    bounds: dict[str, tuple[Bound, Bound]] = Field({}, description="narrower bounds of parameters that are fitted")
    population: bool = Field(False, description="fit every mouse as one of a population, not alone")
    noise: bool = Field(False, description="weights also move at random: fit the noise of each trial and of each night")


class RandomWalkSettings(Table):
    """How weights that move at random, by no rule, are fitted."""

    fixed: dict[str, float] = Field({}, description="parameters whose values are known")


class TrainSettings(Table):
    """How a neural rule is trained."""

    epochs: int | None = Field(None, ge=1, description="passes over all mice; default: enough for 800 steps")
    rate: float = Field(0.01, gt=0, description="peak learning rate of Adam")
    warm_up: float = Field(0.05, ge=0, lt=1, description="fraction of the training over which the rate rises")
    batch: int = Field(16, ge=1, description="mice in a minibatch")
    weight_decay: float = Field(0.0, ge=0)
    hold_out: Literal["trials", "mice"] = Field("trials", description="what training is judged on: blocks of trials, or mice")
    patience: int | None = Field(
        None,
        ge=1,
        description="epochs without a better held-out score that end training; default: a quarter of all, 25 at least",
    )
    segment: int | None = Field(None, ge=1, description="truncate back-propagation to so many trials")
    strategy: Strategy = Field("auto", description="how to differentiate; auto: fused where there is such a path, else loop")
    device: str = Field("cpu", description="where to train, as torch names it: cpu, cuda, cuda:1")
    seed: int = Field(0, ge=0)

    def passes(self, mice: int) -> int:
        """Passes over so many mice."""
        return self.epochs or -(-DEFAULT_STEPS // self.minibatches(mice))

    def waits(self, mice: int) -> int:
        """Epochs to wait for a better held-out score of so many mice."""
        return self.patience or max(LEAST_PATIENCE, self.passes(mice) // 4)

    def minibatches(self, mice: int) -> int:
        """Minibatches in a pass over so many mice."""
        return -(-mice // self.batch)


class NeuralFitSettings(TrainSettings):
    """How a neural rule is fitted, whatever its network."""

    initial: Literal["fitted", "zero", "first-trials", "known"] = Field("fitted", description="weights before the first trial")
    noise: bool = Field(False, description="weights also move at random: fit the noise of each trial and of each night")
    restarts: int = Field(1, ge=1, description="first networks to train from, of which the best on what is held out is kept")
    members: int = Field(1, ge=1, description="rules to train from different seeds; the fitted rule is their mean")


class NeuralSettings(NetworkSettings, NeuralFitSettings):
    """How a DNNGLM or RNNGLM is built and trained."""


class TransformerFitSettings(TransformerSettings, NeuralFitSettings):
    """How a transformer is built and trained."""

    @model_validator(mode="after")
    def _not_fused(self) -> Self:
        if self.strategy == "fused":
            raise ValueError("strategy = 'fused': a transformer's trials run one by one; use 'auto' or 'loop'")
        return self


class TinyRNNFitSettings(TinyRNNSettings, NeuralFitSettings):
    """How a tinyRNN is built and trained."""


SETTINGS: dict[str, type[Table]] = {
    "static-glm": RuleSettings,
    "random-walk": RandomWalkSettings,
    **{name: RuleSettings for name in RULES if name != "static"},
    "dnnglm": NeuralSettings,
    "dnnglm-history": NeuralSettings,
    "rnnglm": NeuralSettings,
    "transformer": TransformerFitSettings,
    "tinyrnn": TinyRNNFitSettings,
}


def models() -> tuple[str, ...]:
    """Every model that can be fitted; a rule that was registered after this module was loaded is one."""
    return tuple(dict.fromkeys([*SETTINGS, *(name for name in RULES if name != "static")]))


def find_settings(model: str) -> type[Table]:
    """The settings of a model. Raises ValueError naming the nearest known model."""
    if model == "static":
        raise ValueError("model 'static': the fit of the rule without learning is called 'static-glm', a Bernoulli GLM")
    if model not in models():
        raise ValueError(suggest("model", model, models()))
    return SETTINGS.get(model, RuleSettings)
