"""What an estimate cannot be taken for: one at its bound, or an interval that ends there, is no estimate of the mouse.

BOUND        the estimate lies at a bound of its parameter (or its interval has no width): the data favour what is beyond
INFINITE     the likelihood rises without end, as for a weight of a mouse that never errs
UNDETERMINED the interval reaches both bounds: the data say nothing of the parameter
ONE_SIDED    the interval reaches one bound: only its other end is told by the data
UNIDENTIFIED the posterior is about as wide as what was believed before any data
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.parameters import Parameter

BOUND, INFINITE, UNDETERMINED, ONE_SIDED, UNIDENTIFIED = "bound", "infinite", "undetermined", "one-sided", "unidentified"
MEANINGS = {
    BOUND: "at its bound",
    INFINITE: "without a finite optimum",
    UNDETERMINED: "not determined (its interval reaches both bounds)",
    ONE_SIDED: "known on one side only (its interval reaches a bound)",
    UNIDENTIFIED: "not identified (as uncertain as before any data)",
}
NEAR = 1e-3  # of the width between the bounds: where an estimate is at one, if its interval goes there too
REACHED = 1e-6  # of that width: where it is there whatever its interval
MOSTLY = 0.1  # of the way from bound to estimate: an interval that comes nearer goes to the bound
FAR_WEIGHT = 15.0  # logit: beyond, choices are the same whatever the weight
FAR = 1e6  # times the unit of a parameter without an upper bound


def flag(value: float, low: float, high: float, parameter: Parameter) -> str | None:
    """The flag of an estimate with a 95 % interval from low to high, in natural units; None if there is nothing to say."""
    if not np.isfinite(value) or abs(value) > (FAR_WEIGHT if np.isinf(parameter.low) else FAR):
        return INFINITE
    width = parameter.high - parameter.low
    scale = width if np.isfinite(width) else 1.0
    sides = ((value - parameter.low, low - parameter.low), (parameter.high - value, parameter.high - high))
    if high - low == 0.0 or any(_at_bound(away / scale, end / scale) for away, end in sides):
        return BOUND
    reached = sum(bool(end <= REACHED * scale) for _, end in sides) + _beyond(low, high, parameter)
    return (None, ONE_SIDED, UNDETERMINED)[reached]


def _at_bound(away: float, end: float) -> bool:
    """Is an estimate at a bound, so far away from it, with an interval that ends so far from it (fractions of the width)?"""
    return away <= REACHED or bool(away <= NEAR and end <= max(REACHED, MOSTLY * away))


def _beyond(low: float, high: float, parameter: Parameter) -> int:
    """Ends of an interval on sides without a bound that lie where all values are alike."""
    far = FAR_WEIGHT if np.isinf(parameter.low) else FAR
    return int(np.isinf(parameter.low) and low <= -far) + int(np.isinf(parameter.high) and high >= far)


def posterior_flag(value: float, low: float, high: float, unidentified: bool, parameter: Parameter) -> str | None:
    """The flag of a posterior's median and 95 % interval: a median is never at a bound, but an interval may go there."""
    if unidentified:
        return UNIDENTIFIED
    sides = ((value - parameter.low, low - parameter.low), (parameter.high - value, parameter.high - high))
    return ONE_SIDED if any(np.isfinite(away) and end <= MOSTLY * away for away, end in sides) else None


def parameter_flags(fit: Any) -> dict[str, list[str | None]]:
    """The flags of each fitted parameter of each mouse, by the parameter's name; under a network only UNIDENTIFIED."""
    estimates = fit.parameters()
    if not hasattr(fit, "layout"):
        untold = fit.untold()
        return {name: [UNIDENTIFIED if open_ else None for open_ in untold[name]] for name in estimates}
    columns = _columns(fit)
    unidentified = getattr(fit, "unidentified", None)

    def flags(name: str) -> list[str | None]:
        each = [(float(v), float(low), float(high)) for v, (low, high) in zip(*estimates[name], strict=True)]
        if unidentified is None:
            return [flag(*one, columns[name]) for one in each]
        column = unidentified[:, fit.layout.names.index(name)]
        return [posterior_flag(*one, bool(open_), columns[name]) for one, open_ in zip(each, column, strict=True)]

    return {name: flags(name) for name in estimates}


def _columns(fit: Any) -> Mapping[str, Parameter]:
    """The parameters of a closed-form fit, within the bounds that it was given."""
    bounds = {name: (low, high) for name, (low, high) in fit.settings.get("bounds", {}).items()}
    columns: Mapping[str, Parameter] = fit.layout.within(bounds).columns
    return columns
