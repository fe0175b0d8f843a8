"""Files of behaviour, one format a module: each says which files are its own, reads them, and writes them where it can.

    rollout = read("mouse.csv.gz")
    write(rollout, "mouse.h5")

What is there is never written over, unless it is a file of the same format that `write` made and `overwrite` is said. A
module of this package with a `FORMAT` is a format; nothing else needs to know of it.
"""

from __future__ import annotations

import importlib
import os
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
    is_ours: Callable[[Path], bool] | None = None  # was this file, which exists, made by `write`?


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


def write(rollout: Rollout, path: str | Path, format: str | None = None, overwrite: bool = False) -> None:
    """Write trials, in a format named or told by the ending of the file's name.

    Raises ValueError for a format that is not known or cannot be written, a name that tells none, or a destination that is
    not to be written over (`check_destination`).
    """
    path = Path(path)
    form = check_destination(path, format, overwrite)
    assert form.write is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    form.write(rollout, path)


def check_destination(
    path: str | Path, format: str | None = None, overwrite: bool = False, source: str | Path | None = None
) -> Format:
    """The format that a file is to be written in, once it is sure that nothing of anybody else's is lost.

    Raises ValueError as `write` does: for a folder, the `source` itself, a file that is not of this format or not made by
    this program, and one that is, unless `overwrite`.
    """
    path = Path(path)
    form = _writable(path, format)
    if path.is_dir():
        raise ValueError(f"{path}: a folder; expected the name of a file to write, such as {path / ('mice' + form.endings[0])}")
    for folder in path.parents:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{path}: {folder} is a file; expected a folder to write into")
    if source is not None and path.exists() and path.samefile(source):
        raise ValueError(f"{path}: source and destination are the same file; give the destination another name")
    if not os.path.lexists(path):
        return form
    if not path.is_file() or form.is_ours is None or not form.is_ours(path):
        raise ValueError(
            f"{path}: there already, and not {form.description} that this program wrote; it is left as it is: give another "
            f"name, or remove it yourself"
        )
    if not overwrite:
        raise ValueError(f"{path}: there already; give another name, or --overwrite (overwrite=True) to replace it")
    return form


def _writable(path: Path, format: str | None) -> Format:
    writable = {name: form for name, form in formats().items() if form.write}
    if format is None:
        format = next((name for name, form in writable.items() if path.name.endswith(form.endings)), None)
    if format is None:
        endings = ", ".join(ending for form in writable.values() for ending in form.endings)
        raise ValueError(f"{path}: its name tells no format; expected one that ends in {endings}, or a format by its name")
    if format not in writable:
        raise ValueError(suggest("format to write:", format, writable))
    return writable[format]
