"""A population that is known: the parameters of its mice as normal scores, on which what is believed of a mouse is exact.

A mouse whose parameter has the rank p among the mice of the population has the coordinate u with p = Phi(u). So mice are
standard normal on these scales, whatever the distributions are, and correlated as the population's Gaussian copula says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.special import ndtr

from agents.parameters import Distribution, Parameter
from twin.inference.posterior.coordinates import Coordinate, Coordinates, coordinate
from twin.inference.posterior.mouse import Normal

FARTHEST = 8.0  # standard deviations: there the rank of a mouse differs from 1 by less than rounding tells
GRID = np.linspace(-FARTHEST, FARTHEST, 4001)


@dataclass(frozen=True)
class Score(Coordinate):
    """A parameter that has a known distribution over mice: its normal score."""

    distribution: Distribution

    def natural(self, u: np.ndarray) -> np.ndarray:
        """Values in natural units."""
        return np.asarray(self.distribution.sample(ndtr(np.clip(u, -FARTHEST, FARTHEST)), self.low, self.high))

    def of(self, value: float) -> float:
        """The score of a value."""
        return float(np.interp(value, self.natural(GRID), GRID))


@dataclass(frozen=True)
class KnownPopulation(Coordinates):
    """The free columns of theta under a known population; those without a distribution are as of any fit."""

    distributions: Mapping[str, Distribution] = field(default_factory=dict)  # by column
    correlation: Mapping[tuple[str, str], float] = field(default_factory=dict)  # of pairs of these, both orders

    @cached_property
    def each(self) -> Sequence[Coordinate]:
        """Those of the free columns, in order."""
        columns = list(self.layout.columns.items())
        return [self._coordinate(*columns[c]) for c in self.columns]

    def _coordinate(self, name: str, parameter: Parameter) -> Coordinate:
        if name not in self.distributions:
            return coordinate(name, parameter)
        ends = parameter.low, parameter.high
        return Score(name, "score", 1.0, *ends, centre=0.0, spread=0.0, differ=1.0, distribution=self.distributions[name])

    @property
    def before(self) -> Normal:
        """What a mouse of the population is before its choices.

        A column that is free without a distribution is the population's number, give or take what mice usually differ.
        """
        known = [one.name in self.distributions for one in self.each]
        mean = [
            0.0 if there else one.of(float(self.base[c])) for there, one, c in zip(known, self.each, self.columns, strict=True)
        ]
        names = [one.name for one in self.each]
        between = np.array([[1.0 if a == b else self.correlation.get((a, b), 0.0) for b in names] for a in names])
        return Normal(np.array(mean), self.differ, between)
