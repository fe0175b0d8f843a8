"""How each kind of model is fitted, as settings; apart from the models so that a scenario is checked without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AllowInfNan, Field

from envs.table import Table

StrategyName = Literal["auto", "loop", "fused"]
Bound = Annotated[float, AllowInfNan()]
DEFAULT_STEPS = 800  # of the optimiser
LEAST_PATIENCE = 25  # epochs
ROUNDS_OF_MICE = 10  # in which their own parameters are found anew while a network is trained
NO_LAPSES = {"lapse_low": 0.0, "lapse_high": 0.0}


class RuleSettings(Table):
    """How a closed-form rule is fitted."""

    fixed: dict[str, float] = Field({}, description="parameters whose values are known")
    free: tuple[str, ...] = Field((), description="traits to fit beside the rule's parameters and the initial weights")
    bounds: dict[str, tuple[Bound, Bound]] = Field({}, description="narrower bounds of parameters that are fitted")
    noise: bool = Field(
        False, description="weights also move at random, in each trial and each night, and mice lapse: fit that too"
    )
    population: bool | None = Field(
        None, description="fit every mouse as one of a population, not alone; default: with noise, where there are several"
    )


class RandomWalkSettings(Table):
    """How weights that move at random, by no rule, are fitted; without lapses unless `fixed` gives them."""

    fixed: dict[str, float] = Field({}, description="parameters whose values are known")
    population: bool = Field(False, description="fit every mouse as one of a population, not alone")


class TrainSettings(Table):
    """How a neural rule is trained."""

    epochs: int | None = Field(None, ge=1, description="passes over all mice; default: enough for 800 steps")
    learning_rate: float = Field(0.01, gt=0, description="peak learning rate of Adam")
    warm_up: float = Field(0.05, ge=0, lt=1, description="fraction of the training over which the learning rate rises")
    batch_size: int = Field(16, ge=1, description="mice in a minibatch")
    weight_decay: float = Field(0.0, ge=0)
    hold_out: Literal["trials", "mice"] = Field("trials", description="what training is judged on: blocks of trials, or mice")
    patience: int | None = Field(
        None,
        ge=1,
        description="epochs without a better held-out score that end training; default: a quarter of all, 25 at least",
    )
    individual: bool = Field(False, description="mice have parameters of their own under one network, as of one population")
    lapses: bool = Field(False, description="mice also lapse, each at rates of its own: fit those too")
    segment: int | None = Field(None, ge=1, description="truncate back-propagation to so many trials")
    strategy: StrategyName = Field("auto", description="how to differentiate; auto: fused where that can be, else loop")
    device: str = Field("cpu", description="where to train, as torch names it: cpu, cuda, cuda:1")
    seed: int = Field(0, ge=0)

    def passes(self, mice: int) -> int:
        """Passes over so many mice."""
        return self.epochs or -(-DEFAULT_STEPS // self.minibatches(mice))

    def rounds_between(self, mice: int) -> int:
        """Passes between two rounds of what differs between mice."""
        return max(1, self.passes(mice) // ROUNDS_OF_MICE)

    def waits(self, mice: int) -> int:
        """Epochs to wait for a better held-out score of so many mice."""
        return self.patience or max(LEAST_PATIENCE, self.passes(mice) // 4)

    def minibatches(self, mice: int) -> int:
        """Minibatches in a pass over so many mice."""
        return -(-mice // self.batch_size)


class NeuralFitSettings(TrainSettings):
    """How a neural rule is fitted, whatever its network; `twin.inference.registry` adds the settings of a network."""

    initial: Literal["fitted", "zero", "first-trials", "known"] = Field("fitted", description="weights before the first trial")
    initial_error: float = Field(
        0.0, description="with initial = 'known': how far from the truth every weight is assumed to be"
    )
    noise: bool = Field(False, description="weights also move at random: fit the noise of each trial and of each night")
    restarts: int = Field(1, ge=1, description="first networks to train from, of which the best on what is held out is kept")
    members: int = Field(1, ge=1, description="rules to train from different seeds; the fitted rule is their mean")
