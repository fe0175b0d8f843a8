"""A commented scenario of a kind to begin with: one that comes with the package, and the keys that it does not set."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from envs.names import suggest
from envs.protocols import Protocol
from envs.table import table_of
from twin.studies import kinds
from twin.studies.changes import read_toml
from twin.studies.scenario import bundled

_RECORDED = """\
# How recorded mice learn: models fitted to the trials of a file, and how well each predicts choices.
kind = "fit"
name = "my-mice"
data = "trials.csv"   # or any other format that twin reads (docs/formats.md)
future = 200          # trials at the end of each record that are predicted, not fitted

[inference]
models = ["static-glm", "reinforce-baseline"]
"""
_WIDTH = 110


def template(kind: str) -> str:
    """A scenario of a kind, as TOML with comments. Raises ValueError naming the nearest kind there is."""
    if kind not in kinds():
        raise ValueError(suggest("kind", kind, kinds()))
    text = _example(kind)
    given = read_toml(text)
    lines = [line for path, words in _keys(kinds()[kind], given) for line in _commented(path, words)]
    end = "# What else may be set, in the table of its name or as `--set KEY=VALUE` (key = default):"
    return "\n".join([text.rstrip(), "", end, *lines, ""])


def _example(kind: str) -> str:
    """The first scenario of a kind that comes with the package; none does for recorded mice, whose file is the user's."""
    texts = (path.read_text() for path in bundled().values())
    return next((text for text in texts if read_toml(text)["kind"] == kind), _RECORDED)


def _keys(model: type[BaseModel], given: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(key and default, its description) of every key of a table that `given` does not have, tables inside it included."""
    given = given if isinstance(given, dict) else {}
    for name, field in model.model_fields.items():
        inner = table_of(field.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _keys(inner, given.get(name), f"{path}{name}.")
        elif name not in given and not (model is Protocol and "base" in given and field.is_required()):
            default = field.get_default(call_default_factory=True)
            value = "" if default in (None, PydanticUndefined) else f" = {_toml(default)}"
            yield f"{path}{name}{value}", field.description or ""


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return (
        f"[{', '.join(map(_toml, value))}]"
        if isinstance(value, tuple)
        else f'"{value}"'
        if isinstance(value, str)
        else str(value)
    )


def _commented(key: str, words: str) -> list[str]:
    return textwrap.wrap(f"{key}   {words}".rstrip(), _WIDTH, initial_indent="#   ", subsequent_indent="#       ")
