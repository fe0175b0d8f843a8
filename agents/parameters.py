"""Parameters of rules and mice: plain numbers, with their bounds, transforms and units beside them.

A mouse's parameters are always in natural units. Fitting works in an unconstrained space: the identity for unbounded
parameters, log for those with a lower bound, logit for those with two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy.special import ndtr, ndtri

from envs.names import suggest


@dataclass(frozen=True)
class Parameter:
    """One parameter: what it means, where it may lie, and its default.

    `per_weight` parameters have one value for each feature, named `name.feature`.
    """

    name: str
    default: float
    low: float
    high: float
    unit: str
    doc: str
    per_weight: bool = False

    @property
    def transform(self) -> Literal["identity", "log", "logit"]:
        """How the natural value becomes the unconstrained one."""
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
        """The same within narrower bounds. Raises ValueError unless they rise and lie within its own."""
        if not self.low <= low < high <= self.high:
            raise ValueError(
                f"bounds [{low:g}, {high:g}] of {self.name} must rise and lie within [{self.low:g}, {self.high:g}]"
            )
        if math.isinf(low) and math.isfinite(high):
            raise ValueError(f"bounds [{low:g}, {high:g}] of {self.name}: a bound above needs one below")
        return replace(self, low=float(low), high=float(high))

    def check(self, values: Any) -> None:
        """Raise ValueError unless every value is finite and within the bounds."""
        values = np.asarray(values, float)
        if not np.all(np.isfinite(values) & (values >= self.low) & (values <= self.high)):
            raise ValueError(
                f"{self.name} = {np.ravel(values)[0]:g} is outside [{self.low:g}, {self.high:g}] ({self.unit}): {self.doc}"
            )


class _Distribution(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Normal(_Distribution):
    """Normal over mice, truncated to the parameter's bounds."""

    distribution: Literal["normal"]
    mean: float
    sd: float = Field(gt=0)

    def sample(self, u: np.ndarray, low: float, high: float) -> np.ndarray:
        """Quantiles at `u` (mice,), within [low, high]."""
        below, above = ndtr((low - self.mean) / self.sd), ndtr((high - self.mean) / self.sd)
        return np.clip(self.mean + self.sd * ndtri(below + u * (above - below)), low, high)


class LogNormal(_Distribution):
    """Lognormal over mice: `median`, and `sigma` the standard deviation of the logarithm."""

    distribution: Literal["lognormal"]
    median: float = Field(gt=0)
    sigma: float = Field(gt=0)

    def sample(self, u: np.ndarray, low: float, high: float) -> np.ndarray:
        """Quantiles at `u` (mice,), within [low, high]."""
        log = Normal(distribution="normal", mean=math.log(self.median), sd=self.sigma)
        return np.exp(log.sample(u, math.log(low) if low > 0 else -math.inf, math.log(high)))


class Uniform(_Distribution):
    """Uniform over mice between `low` and `high`."""

    distribution: Literal["uniform"]
    low: float
    high: float

    def sample(self, u: np.ndarray, low: float, high: float) -> np.ndarray:
        """Quantiles at `u` (mice,); the ends must lie within the parameter's bounds."""
        if not low <= self.low <= self.high <= high:
            raise ValueError(f"uniform from {self.low:g} to {self.high:g} must rise and stay within [{low:g}, {high:g}]")
        return self.low + (self.high - self.low) * u


class Choice(_Distribution):
    """One of several values, equally likely; a mixed population of fast and slow learners, for instance."""

    distribution: Literal["choice"]
    values: tuple[float, ...] = Field(min_length=1)

    def sample(self, u: np.ndarray, low: float, high: float) -> np.ndarray:
        """One of the values for each `u` (mice,)."""
        return np.array(self.values)[np.minimum((u * len(self.values)).astype(int), len(self.values) - 1)]


Distribution = Normal | LogNormal | Uniform | Choice
DISTRIBUTIONS: dict[str, type[Distribution]] = {"normal": Normal, "lognormal": LogNormal, "uniform": Uniform, "choice": Choice}


def parse_value(value: Any) -> float | Distribution | dict[str, Any]:
    """A parameter's value over a population: a number, a distribution table, or a table of those for each feature.

    Raises ValueError saying what was given and what is expected.
    """
    if isinstance(value, Distribution):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | dict):
        raise ValueError(f"{value!r} is neither a number nor a table such as {{ distribution = 'normal', mean = 0, sd = 1 }}")
    if not isinstance(value, dict):
        return float(value)
    if "distribution" not in value:
        return {feature: parse_value(v) for feature, v in value.items()}
    kind = DISTRIBUTIONS.get(value["distribution"])
    if kind is None:
        raise ValueError(suggest("distribution", value["distribution"], DISTRIBUTIONS))
    try:
        return kind(**value)
    except ValidationError as error:
        first = error.errors()[0]
        fields = [name for name in kind.model_fields if name != "distribution"]
        key = ".".join(map(str, first["loc"]))
        raise ValueError(
            f"{value['distribution']} distribution: {key}: {first['msg'].lower()}; it has {', '.join(fields)}"
        ) from None
