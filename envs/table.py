"""The strict table that every setting of the project is read into, and what is said of a table that is wrong.

A table (of a TOML file, of keyword arguments) is a pydantic model that refuses unknown keys and cannot be changed. What is
wrong with one is said in the words of its author: keys as they are written, and the nearest key there is.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Annotated, Any, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Tag, ValidationError, field_validator
from pydantic.fields import FieldInfo

from envs.names import KNOWN, LONGEST, shown, suggest

LONGEST_WORD = 300  # characters of a key or a path that an error shows whole
MOST_ERRORS = 10  # that are told of one table
LARGEST = 2**63 - 1  # whole number that TOML, HDF5 and compiled code can hold


class Table(BaseModel):
    """A table with known keys, checked when it is made and never changed. Its numbers are finite, its whole ones of 64 bits."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _of_64_bits(cls, value: Any) -> Any:
        if isinstance(value, int) and not -LARGEST <= value <= LARGEST:
            raise ValueError("a whole number beyond 64 bits; expected a smaller one")
        return value

    @classmethod
    def checked(cls, table: Any, where: str = "", context: dict[str, Any] | None = None) -> Self:
        """The table's values as this model; its validators see `context`.

        Raises ValueError that names every wrong key, as inside the table `where`.
        """
        try:
            return cls.model_validate(table, context=context)
        except ValidationError as error:
            raise ValueError(explain(cls, error, where)) from None


def explain(model: type[BaseModel], error: ValidationError, where: str = "") -> str:
    """What is wrong with a table, in one paragraph whatever its keys hold; `where` is the path of the table itself.

    What only follows from an error further inside is left out, and so is what is too much to be read.
    """
    every = error.errors()[: MOST_ERRORS**2]
    inner = [one for one in every if not any(_is_inside(other["loc"], one["loc"]) for other in every)]
    sentences = [_explain_one(model, one, [where] if where else []) for one in inner[:MOST_ERRORS]]
    more = error.error_count() - len(every) + len(inner) - len(sentences)
    every_sentence = "; ".join([*_each_list_once(sentences), *([f"and {more} more"] if more else [])])
    return " ".join(word if len(word) <= LONGEST_WORD else f"{word[:LONGEST]}..." for word in every_sentence.split())


def _each_list_once(sentences: Sequence[str]) -> list[str]:
    """Sentences without the list of known names that one before them ends with."""
    ends = [sentence.partition(KNOWN)[2] for sentence in sentences]
    return [sentence.partition(KNOWN)[0] if ends[i] in ends[:i] else sentence for i, sentence in enumerate(sentences)]


def _is_inside(location: Sequence[Any], other: Sequence[Any]) -> bool:
    """Does a location lie further inside than another?"""
    return len(location) > len(other) and location[: len(other)] == other


def _explain_one(model: type[BaseModel], error: Any, above: list[str]) -> str:
    """One error of pydantic's as a sentence; `above` are the keys that lead to the table."""
    location = error["loc"]
    keys, parent = _locate(model, location[:-1])
    table = ".".join([*above, *keys])
    keys, found = _locate(model, location)
    path = ".".join([*above, *keys])
    if error["type"] == "extra_forbidden":
        return suggest(f"key in [{table}]:" if table else "key", location[-1], _fields(parent))
    if error["type"] == "missing":
        needed = ", ".join(name for name, field in _fields(parent).items() if field.is_required())
        return f"key {path!r} is missing; {f'[{table}]' if table else 'the table'} needs {needed}"
    if error["type"] == "union_tag_invalid":
        name = error["ctx"]["discriminator"].strip("'")
        return f"{path}: {suggest(name, error['ctx']['tag'], _members(found))}"
    if error["type"] == "union_tag_not_found":
        name = error["ctx"]["discriminator"].strip("'")
        return f"key '{path}.{name}' is missing; expected one of {', '.join(_members(found))}"
    text = str(error["msg"]).removeprefix("Value error, ")
    given = f" (given: {shown(error['input'])})" if error["type"] not in ("value_error", "assertion_error") else ""
    return f"{path}: {text[0].lower() + text[1:]}{given}" if path else text


def _locate(hint: Any, location: Sequence[Any]) -> tuple[list[str], Any]:
    """The author's own keys along a location of pydantic's, which names members of unions too, and the type it leads to."""
    keys = []
    for part in location:
        hint = table_of(hint)
        members = _members(hint)
        if members:
            hint = members.get(part)
        else:
            keys.append(str(part))
            hint = _value_of(hint, part)
    return keys, table_of(hint)


def table_of(hint: Any) -> Any:
    """What of an annotation such as `Transition | None` has keys or tags: a model, dict, tuple or tagged union; else None."""
    if _members(hint) or get_origin(hint) in (dict, tuple):
        return hint
    if get_origin(hint) is Annotated:
        return table_of(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return next((found for found in map(table_of, get_args(hint)) if found is not None), None)
    return hint if isinstance(hint, type) and issubclass(hint, BaseModel) else None


def _value_of(hint: Any, key: Any) -> Any:
    """The type of the value under a key of a model, a dict or a tuple."""
    if get_origin(hint) is dict:
        return get_args(hint)[1]
    if get_origin(hint) is tuple:
        return get_args(hint)[0]
    field = _fields(hint).get(key)
    return field and Annotated[field.annotation, field, *field.metadata]


def _members(hint: Any) -> dict[str, Any]:
    """The members, by tag, of a union of which pydantic picks one by its tag; none of anything else."""
    union, *marks = get_args(hint) if get_origin(hint) is Annotated else (None,)
    by = next((mark.discriminator for mark in marks if getattr(mark, "discriminator", None)), None)
    if isinstance(by, str):
        return {tag: member for member in get_args(union) for tag in get_args(member.model_fields[by].annotation)}
    if by is not None:
        return {mark.tag: member for member in get_args(union) for mark in get_args(member) if isinstance(mark, Tag)}
    return {}


def _fields(model: Any) -> dict[str, FieldInfo]:
    """The fields of a model; none of anything else."""
    return dict(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else {}
