"""Parameters of rules and mice: plain numbers, with their bounds, transforms and units beside them.

A mouse's parameters are always in natural units. Fitting works with unconstrained values: the parameter itself where it has
no bounds, its logarithm where it has a lower one, its logit where it has two.

Over a population, a parameter is one number or a distribution that gives each mouse its own value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Discriminator, Field, Strict, Tag
from scipy.special import ndtr, ndtri

from envs.table import Table


@dataclass(frozen=True)
class Parameter:
    """One parameter: what it means, where it may lie, and its default.

    `per_weight` parameters have one value for each feature, named `name.feature`. Where `low` or `high` is infinite, `most`
    is the largest magnitude with which a mouse still behaves: `check` refuses what is beyond, transforms do not know of it.

    What is believed of mice before any data: `typical` is a usual size (0: none is known), `by_factors` says that mice differ
    by factors, `spread` is how far from the default a parameter without bounds may lie. A fit without noise looks for it
    within `stable`, where that is given.
    """

    name: str
    default: float
    low: float
    high: float
    unit: str
    doc: str
    per_weight: bool = False
    most: float = math.inf
    typical: float = 0.0
    by_factors: bool = False
    spread: float = 1.0
    stable: tuple[float, float] | None = None

    @property
    def transform(self) -> Literal["identity", "log", "logit"]:
        """Function that turns a natural value into an unconstrained one: by how many bounds the parameter has."""
        if math.isinf(self.low):
            return "identity"
        return "log" if math.isinf(self.high) else "logit"

    def natural(self, free: Any) -> Any:
        """Natural value of an unconstrained one; also of a complex one (complex-step derivatives)."""
        if self.transform == "identity":
            return free
        if self.transform == "log":
            return self.low + np.exp(free)
        return self.low + (self.high - self.low) / (1.0 + np.exp(-free))

    def free(self, value: Any) -> Any:
        """Unconstrained value of a natural one; values on a bound are moved just inside."""
        value = np.asarray(value, float)
        if self.transform == "identity":
            return value
        if self.transform == "log":
            return np.log(np.maximum(value - self.low, 1e-12))
        fraction = np.clip((value - self.low) / (self.high - self.low), 1e-9, 1 - 1e-9)
        return np.log(fraction) - np.log1p(-fraction)

    def within(self, low: float, high: float) -> Parameter:
        """The same parameter within narrower bounds. Raises ValueError unless they rise and lie within its own."""
        if not self.low <= low < high <= self.high:
            raise ValueError(
                f"bounds [{low:g}, {high:g}] of {self.name} must rise and lie within [{self.low:g}, {self.high:g}]"
            )
        if math.isinf(low) and math.isfinite(high):
            raise ValueError(f"bounds [{low:g}, {high:g}] of {self.name}: a bound above needs one below")
        return replace(self, low=float(low), high=float(high))

    @property
    def steady(self) -> Parameter:
        """The same within the bounds where a fit without noise looks for it."""
        return self.within(*self.stable) if self.stable else self

    def check(self, values: Any) -> None:
        """Raise ValueError unless every value is finite, within the bounds and such that a mouse behaves."""
        values = np.atleast_1d(np.asarray(values, float))
        wrong = values[~(np.isfinite(values) & (values >= self.low) & (values <= self.high))]
        if len(wrong):
            raise ValueError(f"{self.name} = {wrong[0]:g} is outside [{self.low:g}, {self.high:g}] ({self.unit}): {self.doc}")
        extreme = values[np.abs(values) > self.most]
        if len(extreme):
            raise ValueError(
                f"{self.name} = {extreme[0]:g} is beyond {math.copysign(self.most, extreme[0]):g} ({self.unit}), "
                f"where no mouse behaves any more: {self.doc}"
            )


Number = Annotated[float, Strict()]  # also a whole number, but neither a truth value nor text


class Normal(Table):
    """Normal over mice, truncated to the parameter's bounds."""

    distribution: Literal["normal"]
    mean: Number
    sd: Number = Field(gt=0)

    def sample(self, u: np.ndarray, low: float, high: float) -> np.ndarray:
        """Quantiles at `u` (mice,), within [low, high]."""
        with np.errstate(over="ignore"):
            below, above = ndtr(np.subtract([low, high], self.mean) / self.sd)
        if not below < above:
            raise ValueError(f"normal of mean {self.mean:g} and sd {self.sd:g} has nothing within [{low:g}, {high:g}]")
        return np.clip(self.mean + self.sd * ndtri(below + u * (above - below)), low, high)


class LogNormal(Table):
    """Lognormal over mice: `median`, and `sigma` the standard deviation of the logarithm."""

    distribution: Literal["lognormal"]
    median: Number = Field(gt=0)
    sigma: Number = Field(gt=0)

    def sample(self, u: np.ndarray, low: float, high: float) -> np.ndarray:
        """Quantiles at `u` (mice,), within [low, high]."""
        log = Normal(distribution="normal", mean=math.log(self.median), sd=self.sigma)
        if high <= 0:
            raise ValueError(f"lognormal values are positive; expected some within [{low:g}, {high:g}]")
        with np.errstate(over="ignore", under="ignore"):
            return np.exp(log.sample(u, math.log(low) if low > 0 else -math.inf, math.log(high)))


class Uniform(Table):
    """Uniform over mice between `low` and `high`."""

    distribution: Literal["uniform"]
    low: Number
    high: Number

    def sample(self, u: np.ndarray, low: float, high: float) -> np.ndarray:
        """Quantiles at `u` (mice,); the ends must lie within the parameter's bounds."""
        if not low <= self.low <= self.high <= high:
            raise ValueError(f"uniform from {self.low:g} to {self.high:g} must rise and stay within [{low:g}, {high:g}]")
        return self.low + (self.high - self.low) * u


class Choice(Table):
    """One of several values, equally likely; a mixed population of fast and slow learners, for instance."""

    distribution: Literal["choice"]
    values: tuple[Number, ...] = Field(min_length=1)

    def sample(self, u: np.ndarray, low: float, high: float) -> np.ndarray:
        """One of the values for each `u` (mice,); all must lie within the parameter's bounds."""
        if not low <= min(self.values) <= max(self.values) <= high:
            raise ValueError(f"the values {list(self.values)} must all lie within [{low:g}, {high:g}]")
        return np.array(self.values)[np.minimum((u * len(self.values)).astype(int), len(self.values) - 1)]


Distribution = Annotated[Normal | LogNormal | Uniform | Choice, Field(discriminator="distribution")]


def _form(value: Any) -> str | None:
    """Which form a parameter's value over a population has; None if it has none of them."""
    if isinstance(value, Normal | LogNormal | Uniform | Choice):
        return "distribution"
    if isinstance(value, dict):
        return "distribution" if "distribution" in value else "features"
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else None


_FORM = Discriminator(
    _form,
    custom_error_type="population_value",
    custom_error_message="neither a number nor a table such as { distribution = 'normal', mean = 0, sd = 1 }",
)


_Fixed = Annotated[float, Tag("number")]
_Varying = Annotated[Distribution, Tag("distribution")]
# One parameter over a population: the same number for all mice, or a distribution that gives each mouse its own.
PopulationValue = Annotated[_Fixed | _Varying, _FORM]
# As that, for every feature alike or for each feature by its name.
ParameterValue = Annotated[_Fixed | _Varying | Annotated[dict[str, PopulationValue], Tag("features")], _FORM]
