"""A scenario: strict TOML that says what to study, as a validated Study.

Errors name the file, the key and the nearest key there is. Scenarios that come with the package are known by their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from envs.names import LONGEST, nearest, shown, suggest
from envs.table import LARGEST
from twin.studies import kinds
from twin.studies.changes import ScenarioError, apply_changes, read_toml
from twin.studies.imports import with_imports
from twin.studies.study import Study

BUNDLED = Path(__file__).resolve().parents[2] / "scenarios"  # the package beside `twin`
__all__ = ["ScenarioError", "apply_changes", "bundled", "load", "parse", "to_toml"]


def bundled() -> dict[str, Path]:
    """The scenarios that come with the package, by name: `quickstart`, `paper/fig2`."""
    files = sorted(BUNDLED.rglob("*.toml"), key=lambda path: (len(path.parts), path))
    return {path.relative_to(BUNDLED).with_suffix("").as_posix(): path for path in files}


def load(path: str | Path, changes: Sequence[str] = (), imports: bool = True) -> Study:
    """The study a scenario file describes, with `key.path=value` changes; a name stands for one that comes with the package.

    A file of that name goes before. Modules that it names are imported, unless `imports` is False, for a scenario that is not
    the user's own: `twin.studies.imports`. Raises ScenarioError or FileNotFoundError.
    """
    path = _find(Path(path))
    try:
        table = read_toml(path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n"))
    except ValueError as error:  # of encoding, too
        raise ScenarioError(f"{path}: not valid TOML: {error}") from None
    apply_changes(table, changes)
    return parse(table, str(path), path.parent, imports)


def _find(path: Path) -> Path:
    """The file that a path or a name means. Raises FileNotFoundError naming the nearest file, and every name there is."""
    if path.is_file():
        return path
    names = bundled()
    if path.as_posix() in names:
        return names[path.as_posix()]
    if (path / "scenario.toml").is_file():
        raise ScenarioError(
            f"{path}: a run folder, not a scenario; give {path / 'scenario.toml'}, or ask for twin report {path}"
        )
    beside = [str(path.parent / other.name) for other in path.parent.glob("*.toml")]
    near = nearest(str(path), [*beside, *names], least=0.6)
    hint = f"; did you mean {near}?" if near else ";"
    raise FileNotFoundError(f"{path}: no such scenario{hint} expected a TOML file or the name of one of {', '.join(names)}")


def parse(table: dict[str, Any], source: str, folder: Path = Path(), imports: bool = True) -> Study:
    """A study from its table; what it names may lie in `folder`. Raises ScenarioError, which names the `source`."""
    _check_numbers(table, source)
    table = with_imports(table, source, folder, imports)
    kind = table.get("kind")
    if kind is None:
        raise ScenarioError(f"{source}: key 'kind' is missing; expected one of {', '.join(kinds())}")
    if not isinstance(kind, str) or kind not in kinds():
        raise ScenarioError(f"{source}: {suggest('kind', kind, kinds())}")
    study = kinds()[kind]
    keys = {key: value for key, value in table.items() if key != "kind"}
    try:
        return study.checked(keys, context={"folder": folder})
    except ValueError as error:
        raise ScenarioError(f"{source}: {error}") from None


def _check_numbers(table: dict[str, Any], source: str) -> None:
    """Raise ScenarioError for a whole number beyond the 64 bits of TOML: Python reads it, but cannot always write it out."""
    inside: list[tuple[str, Any]] = list(table.items())
    while inside:
        path, value = inside.pop()
        if isinstance(value, int) and abs(value) > LARGEST:
            raise ScenarioError(f"{source}: {shown(path)[1:-1]}: a whole number beyond 64 bits; expected a smaller one")
        if isinstance(value, dict | list):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            inside += [(f"{path}.{key}"[-LONGEST:], within) for key, within in items]


def to_toml(study: Study) -> str:
    """The study as a scenario file, every default written out."""
    return tomli_w.dumps({"kind": study.kind} | study.model_dump(mode="json", exclude_none=True))
