"""Arrays in a pydantic model, as lists of numbers in strict JSON: NaN is null, an infinite number "inf" or "-inf"."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, PlainSerializer


def _array(value: Any) -> Any:
    """Numbers as they stand in a card, as an array."""
    if isinstance(value, np.ndarray):
        return value
    try:
        return np.array(_numbers(value), float)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("expected numbers, as many in each row") from None


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [_numbers(v) for v in value]
    if value is None or value in ("inf", "-inf"):
        return float(value or "nan")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    return value


def _listed(value: Any) -> Any:
    """An array's numbers as they stand in a card."""
    if isinstance(value, np.ndarray | list):
        return [_listed(v) for v in (value.tolist() if isinstance(value, np.ndarray) else value)]
    return value if np.isfinite(value) else None if np.isnan(value) else str(value)


Array = Annotated[np.ndarray, BeforeValidator(_array), PlainSerializer(_listed)]
