"""What is wrong with a scenario table, in one paragraph that names each key and the nearest one there is."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ValidationError

from envs.names import suggest


def explain(model: type[BaseModel], error: ValidationError, prefix: str = "") -> str:
    """All that is wrong, in one paragraph; what only follows from an error further inside is left out."""
    every = error.errors()
    inner = [one for one in every if not any(o["loc"][: len(one["loc"])] == one["loc"] and o is not one for o in every)]
    return "; ".join(_explain_one(model, one, prefix) for one in inner)


def _explain_one(model: type[BaseModel], error: Any, prefix: str) -> str:
    where = prefix + ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        table = prefix + "".join(f"{part}." for part in error["loc"][:-1])
        return suggest(
            f"key in [{table.rstrip('.')}]:" if table else "key", error["loc"][-1], _fields_at(model, error["loc"][:-1])
        )
    if error["type"] == "missing":
        return f"key {where!r} is missing"
    text = str(error["msg"]).removeprefix("Value error, ")
    given = f" (given: {error['input']!r})" if error["type"] not in ("value_error", "assertion_error") else ""
    return f"{where}: {text[0].lower() + text[1:]}{given}" if where else text


def _fields_at(model: Any, path: Sequence[Any]) -> list[str]:
    """Keys a table may have, found by following the path through the models."""
    name = False  # is the next part of the path a name of the user's own?
    for part in path:
        if name or isinstance(part, int) or not (isinstance(model, type) and issubclass(model, BaseModel)):
            name = False
            continue
        field = model.model_fields.get(part)
        name = field is not None and typing.get_origin(field.annotation) is dict
        model = _table_in(field.annotation) if field else None
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _table_in(annotation: Any) -> Any:
    """The first table type inside an annotation such as tuple[Stage, ...] or Transition | None."""
    if typing.get_origin(annotation) in (tuple, dict, typing.Union, types.UnionType, Annotated):
        found = [_table_in(a) for a in typing.get_args(annotation)]
        return next((f for f in found if f is not None), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
