"""Scales on which mice are about normal and their likelihood about Gaussian, and what is believed before any data.

plain      the parameter itself
factors    asinh of a parameter that differs by factors between mice: like a logarithm where it is large, straight where it is
           small, so that 0 is a place like others. A rate below 0 moves weights the wrong way, and is reported as 0.
even       as that, of the size: noise of the weights enters as its square, so either sign is the same.
fractions  arcsine of the root (Fisher's angle) of a parameter with two bounds, which makes the variance of a proportion even
           and is smooth at a bound.
small      a fraction of which a usual size is known (lapses), in units of that; rounded near its lower bound, beyond which it
           comes back: a lapse of 0 is a place like others too. Mice whose lapses spread evenly look normal on this scale, on
           that of the angle they do not (docs/measured/posterior.md).

On these scales mice are drawn from a normal distribution for each parameter. Its mean has a normal prior around what is typical
of mice (`agents.parameters.Parameter.typical`), its standard deviation a half-normal one (Gelman 2006, Bayesian Anal 1:515),
both wide beside what recorded mice show, so that they decide where the data do not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from agents.parameters import Parameter
from agents.theta import Layout

FACTORS_CENTRE = 3.0  # a typical value in units of the scale below which a parameter is as good as 0
FACTORS_SPREAD, FACTORS_DIFFER = 2.0, 0.7  # natural logarithms, about: of the population's mean, and between mice
FRACTIONS_SPREAD = 0.4  # radians
SMALL_SPREAD = 1.0  # typical values
ROUNDED = 0.1  # typical values: how near its bound a small fraction is no longer straight


@dataclass(frozen=True)
class Coordinate:
    """One free parameter: its scale and prior; the lower and upper bound are those within which values are reported."""

    name: str
    kind: str  # plain, factors, even, fractions or small
    scale: float  # of factors, even and small
    low: float
    high: float
    centre: float  # of the population's mean, as all that follow on the scale of the coordinate
    spread: float  # standard deviation of the population's mean
    differ: float  # of the half-normal prior of the population's standard deviation

    @property
    def folded(self) -> bool:
        """Does either sign mean the same value?"""
        return self.kind in ("even", "fractions", "small")

    def natural(self, u: np.ndarray) -> np.ndarray:
        """Values in natural units as the likelihood takes them: rates may be below 0, noise levels are not."""
        if self.kind == "fractions":
            return self.low + (self.high - self.low) * np.sin(u) ** 2
        if self.kind == "plain":
            return u
        if self.kind == "small":
            return np.minimum(self.low + self.scale * (np.hypot(u, ROUNDED) - ROUNDED), self.high - 1e-6)
        factor = self.scale * np.sinh(np.clip(u, -30.0, 30.0))
        return self.low + np.abs(factor) if self.kind == "even" else factor

    def of(self, value: float) -> float:
        """The coordinate of a value in natural units."""
        if self.kind == "fractions":
            return math.asin(math.sqrt((value - self.low) / (self.high - self.low)))
        if self.kind == "small":
            return math.sqrt(((value - self.low) / self.scale + ROUNDED) ** 2 - ROUNDED**2)
        return value if self.kind == "plain" else math.asinh((value - self.low) / self.scale)


def coordinate(name: str, parameter: Parameter, bounded: bool = False) -> Coordinate:
    """The coordinate of a parameter; `bounded` if its bounds were narrowed for a fit."""
    low, high, typical = parameter.low, parameter.high, parameter.typical
    if math.isfinite(low) and math.isfinite(high) and (bounded or not parameter.by_factors):
        if low < typical < high:
            return Coordinate(name, "small", typical - low, low, high, 1.0, SMALL_SPREAD, SMALL_SPREAD)
        return Coordinate(name, "fractions", 1.0, low, high, math.pi / 4, FRACTIONS_SPREAD, FRACTIONS_SPREAD)
    if parameter.by_factors or math.isfinite(low):
        scale = (typical or parameter.default or 1.0) / FACTORS_CENTRE
        kind = "factors" if parameter.by_factors else "even"
        return Coordinate(name, kind, scale, low, high, math.asinh(FACTORS_CENTRE), FACTORS_SPREAD, FACTORS_DIFFER)
    return Coordinate(name, "plain", 1.0, low, high, parameter.default, parameter.spread, parameter.spread)


@dataclass(frozen=True)
class Coordinates:
    """The F free columns of theta (P,) and their coordinates."""

    layout: Layout
    base: np.ndarray  # (P,) the values of all that is not free
    columns: Sequence[int]

    @cached_property
    def each(self) -> Sequence[Coordinate]:
        """Those of the free columns, in order."""
        columns, narrowed = list(self.layout.columns.items()), {name for name, _, _ in self.layout.bounds}
        return [coordinate(columns[c][0], columns[c][1], columns[c][0] in narrowed) for c in self.columns]

    @cached_property
    def centre(self) -> np.ndarray:
        """Prior mean of the population's means (F,)."""
        return np.array([c.centre for c in self.each])

    @cached_property
    def spread(self) -> np.ndarray:
        """Prior standard deviation of the population's means (F,)."""
        return np.array([c.spread for c in self.each])

    @cached_property
    def differ(self) -> np.ndarray:
        """Scale of the half-normal prior of the population's standard deviations (F,)."""
        return np.array([c.differ for c in self.each])

    @property
    def width(self) -> np.ndarray:
        """Standard deviation (F,) of one mouse before any data, population and all."""
        return np.sqrt(self.spread**2 + self.differ**2)

    def theta(self, u: np.ndarray) -> np.ndarray:
        """Parameters (..., P) as the likelihood takes them, at coordinates (..., F)."""
        theta = np.broadcast_to(self.base, (*u.shape[:-1], len(self.base))).copy()
        for j, (column, one) in enumerate(zip(self.columns, self.each, strict=True)):
            theta[..., column] = one.natural(u[..., j])
        return theta

    def of(self, theta: np.ndarray) -> np.ndarray:
        """Coordinates (S, F) of mice with parameters (S, P), which are within their bounds or put there."""
        each = zip(self.columns, self.each, strict=True)
        return np.array([[one.of(value) for value in np.clip(theta[:, c], one.low, one.high)] for c, one in each]).T

    def reported(self, u: np.ndarray) -> np.ndarray:
        """Parameters (..., P) within their bounds: a rate below 0 is 0."""
        theta = self.theta(u)
        for column, one in zip(self.columns, self.each, strict=True):
            theta[..., column] = np.clip(theta[..., column], one.low, one.high)
        return theta
