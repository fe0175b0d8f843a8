"""Changes to a table that are written `key.path=value`, as the command line takes them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

from envs.names import shown

DEEPEST = 20  # tables inside tables; a scenario has five
_QUOTED = re.compile(r"""("[^"]*"|'[^']*')""")
# Numbers and truth values as other languages write them, and as TOML does.
_SPELLINGS = (
    (re.compile(r"(?<![\w.])([+-]?)\.(?=\d)"), r"\g<1>0."),
    (re.compile(r"(?<![\w.])(\d[\d_]*)\.(?![\w.])"), r"\g<1>.0"),
    (re.compile(r"(?<![\w.])(\d[\d_]*)\.(?=[eE])"), r"\g<1>.0"),
    (re.compile(r"\b(?:True|TRUE)\b"), "true"),
    (re.compile(r"\b(?:False|FALSE)\b"), "false"),
)


class ScenarioError(ValueError):
    """A scenario is wrong; the message names file and key and says what was expected."""


def apply_changes(table: dict[str, Any], changes: Sequence[str]) -> None:
    """Make `key.path=value` changes in a table; a value that is neither TOML nor a number is taken as text.

    Raises ScenarioError.
    """
    for change in changes:
        key, found, text = change.partition("=")
        *path, last = (part.strip() for part in key.split("."))
        if not found or not all([*path, last]):
            raise ScenarioError(f"--set {shown(change)}: expected key.path=value, for instance cohort.mice=100")
        if len(path) > DEEPEST:
            raise ScenarioError(f"--set {shown(change)}: a key of {len(path) + 1} parts; no key of a scenario lies so deep")
        inside = table
        for part in path:
            inside = inside.setdefault(part, {})
            if not isinstance(inside, dict):
                raise ScenarioError(f"--set {shown(change)}: {part!r} is a value, not a table")
        inside[last] = _value(change, text.strip())


def read_toml(text: str) -> dict[str, Any]:
    """A table from TOML. Raises ValueError saying what is wrong."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("tables or lists are nested too deeply") from None


def _value(change: str, text: str) -> Any:
    """What is meant by the text of a value."""
    for spelling in (text, _respelled(text)):
        try:
            table = read_toml(f"value = {spelling}")
        except tomllib.TOMLDecodeError:
            continue
        except ValueError as error:
            raise ScenarioError(f"--set {shown(change)}: {error}") from None
        if table.keys() == {"value"}:
            return table["value"]
    return text


def _respelled(text: str) -> str:
    """The text with numbers and truth values as TOML spells them, but for what is in quotes."""
    parts = _QUOTED.split(text)
    for i in range(0, len(parts), 2):
        for pattern, spelling in _SPELLINGS:
            parts[i] = pattern.sub(spelling, parts[i])
    return "".join(parts)
