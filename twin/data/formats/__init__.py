"""Files of behaviour, one format a module: each says which files are its own, reads them, and writes them where it can.

    rollout = read("mouse.csv.gz")
    write(rollout, "mouse.h5")

A module of this package with a `FORMAT` is a format; nothing else needs to know of it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from envs.names import suggest
from twin.data.rollout import Rollout


class Format(NamedTuple):
    """How trials are kept in one kind of file. What it cannot do is None."""

    name: str
    description: str  # in an error, after "expected"
    endings: tuple[str, ...]  # of the names of its files, by which the format of a new one is told
    detect: Callable[[Path], bool]  # is the content of this file, which exists, of this format?
    read: Callable[[Path], Rollout]
    write: Callable[[Rollout, Path], None] | None = None  # under another name first, so that nobody sees half a file
    verify: Callable[[Path], str] | None = None  # the content hash of an unchanged file; raises ValueError for a changed one


@cache
def formats() -> dict[str, Format]:
    """Every format by its name."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    found: list[Format] = [module.FORMAT for module in modules if hasattr(module, "FORMAT")]
    return {form.name: form for form in found}


def detect(path: str | Path) -> Format:
    """The format of a file, by its content. Raises FileNotFoundError, or ValueError if it has none that is known."""
    path, known = Path(path), formats().values()
    expected = " or ".join(form.description for form in known)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected {expected}")
    for form in known:
        if form.detect(path):
            return form
    raise ValueError(f"{path}: its content is of no known format; expected {expected}")


def read(path: str | Path) -> Rollout:
    """The trials of a file in any format. Raises FileNotFoundError, or ValueError saying what is wrong with the file."""
    return detect(path).read(Path(path))


def write(rollout: Rollout, path: str | Path, format: str | None = None) -> None:
    """Write trials, in a format named or told by the ending of the file's name.

    Raises ValueError for a format that is not known or cannot be written, or a name that tells none.
    """
    path, writable = Path(path), {name: form for name, form in formats().items() if form.write}
    if format is None:
        format = next((name for name, form in writable.items() if path.name.endswith(form.endings)), None)
    if format is None:
        endings = ", ".join(ending for form in writable.values() for ending in form.endings)
        raise ValueError(f"{path}: its name tells no format; expected one that ends in {endings}, or a format by its name")
    form = writable.get(format)
    if form is None or form.write is None:
        raise ValueError(suggest("format to write:", format, writable))
    path.parent.mkdir(parents=True, exist_ok=True)
    form.write(rollout, path)
