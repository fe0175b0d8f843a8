"""A scenario: strict TOML that says what to study, as a validated Study.

Errors name the file, the key and the nearest key there is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from envs.names import nearest, suggest
from twin.studies import kinds
from twin.studies.study import Study


class ScenarioError(ValueError):
    """A scenario is wrong; the message names file and key and says what was expected."""


def load(path: str | Path, changes: Sequence[str] = ()) -> Study:
    """The study a scenario file describes, with `key.path=value` changes. Raises ScenarioError or FileNotFoundError."""
    path = Path(path)
    if not path.is_file():
        near = nearest(path.name, [p.name for p in path.parent.glob("*.toml")], least=0.6)
        hint = f"; did you mean {path.parent / near}?" if near else ""
        raise FileNotFoundError(f"{path}: no such scenario{hint}")
    try:
        table = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path}: not valid TOML: {error}") from None
    apply_changes(table, changes)
    return parse(table, str(path), path.parent)


def parse(table: dict[str, Any], source: str, folder: Path = Path()) -> Study:
    """A study from its table; files that it names may lie in `folder`. Raises ScenarioError, which names the `source`."""
    kind = table.get("kind")
    if kind not in kinds():
        raise ScenarioError(f"{source}: {suggest('kind', kind, kinds())}")
    study = kinds()[kind]
    keys = {key: value for key, value in table.items() if key != "kind"}
    try:
        return study.checked(keys, context={"folder": folder})
    except ValueError as error:
        raise ScenarioError(f"{source}: {error}") from None


def to_toml(study: Study) -> str:
    """The study as a scenario file, every default written out."""
    return tomli_w.dumps({"kind": study.kind} | study.model_dump(mode="json", exclude_none=True))


def apply_changes(table: dict[str, Any], changes: Sequence[str]) -> None:
    """Make `key.path=value` changes in a table; a value that is not TOML is taken as text. Raises ScenarioError."""
    for change in changes:
        key, found, text = change.partition("=")
        if not found:
            raise ScenarioError(f"--set {change!r}: expected key.path=value, for instance cohort.mice=100")
        *path, last = key.strip().split(".")
        inside = table
        for part in path:
            inside = inside.setdefault(part, {})
            if not isinstance(inside, dict):
                raise ScenarioError(f"--set {change!r}: {part!r} is a value, not a table")
        inside[last] = _value(text)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
