"""A frozen dataclass as the numpy record that compiled code reads.

Numba and plain Python disagree about a record field named like an ndarray attribute (`repeat`, `size`, `mean`, `base`):
the first sees the field, the second the method. Such names are refused here.
"""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, TypeAlias

import numpy as np

Record: TypeAlias = Any  # one numpy record, or a named tuple of arrays, as compiled code takes it: mypy sees no fields


def record_dtype(fields: type) -> np.dtype:
    """Numpy record dtype of a dataclass whose annotations are numpy scalar types.

    A field of shape `(a, b)` is written `Annotated[np.uint64, (a, b)]`. Raises ValueError for a name that `np.recarray`
    already has.
    """
    hints = typing.get_type_hints(fields, include_extras=True)
    columns: list[tuple] = []
    for field in dataclasses.fields(fields):
        if hasattr(np.recarray, field.name):
            raise ValueError(
                f"{fields.__name__}.{field.name}: numpy arrays already have an attribute of that name, so plain Python "
                f"and compiled code would read different things. Choose another field name."
            )
        hint = hints[field.name]
        shape = hint.__metadata__[0] if typing.get_origin(hint) is typing.Annotated else ()
        columns.append((field.name, hint.__origin__ if shape else hint, shape))
    return np.dtype((np.record, np.dtype(columns, align=True)))
