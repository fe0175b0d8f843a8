"""Files of behaviour, one format a module: each says which files are its own, reads them, and writes them where it can.

    rollout = read("mouse.csv.gz")
    write(rollout, "mouse.h5")

A format is told by content, not by name. What is there is never written over, unless it is a file of the same format that
`write` made and `overwrite` is said. A module of this package with a `FORMAT` is a format; nothing else needs to know of it.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from envs.names import suggest
from twin.data.rollout import Rollout
from twin.data.tables.columns import CARRIED, CARRIED_OF_SESSION
from twin.data.tables.names import Asked


class Format(NamedTuple):
    """How trials are kept in one kind of file or folder. What it cannot do is None."""

    name: str
    description: str  # in an error, after "expected"
    endings: tuple[str, ...]  # of the names of its files, by which the format of a new one is told
    detect: Callable[[Path], bool]  # is what is at this path, which exists, of this format?
    read: Callable[[Path, Asked], Rollout]
    write: Callable[[Rollout, Path], None] | None = None  # under another name first, so that nobody sees half a file
    verify: Callable[[Path], str] | None = None  # the content hash of an unchanged file; raises ValueError for a changed one
    is_ours: Callable[[Path], bool] | None = None  # was this file, which exists, made by `write`?
    carries: tuple[str, ...] | None = CARRIED  # columns of trials that a file keeps; None: all there is of a rollout
    carries_of_session: tuple[str, ...] = CARRIED_OF_SESSION


@cache
def formats() -> dict[str, Format]:
    """Every format by its name."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    found: list[Format] = [module.FORMAT for module in modules if hasattr(module, "FORMAT")]
    return {form.name: form for form in found}


def detect(path: str | Path) -> Format:
    """The format of a file or folder, by its content. Raises FileNotFoundError, or ValueError if it has none that is known."""
    path, known = Path(path), formats().values()
    expected = " or ".join(form.description for form in known)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; expected {expected}")
    if not path.is_file() and not path.is_dir():
        raise ValueError(f"{path}: a pipe or a device, not a file; expected {expected}")
    for form in known:
        if form.detect(path):
            return form
    raise ValueError(f"{path}: its content is of no known format; expected {expected}")


def read(source: Any, columns: Mapping[str, str] | None = None, choice_left: str | float | None = None) -> Rollout:
    """Trials from a path in any format, a table of pandas, polars or pyarrow, a dict of arrays, or a PsyTrack dictionary.

    `columns` names columns that have other names, such as {"choice": "resp", "stimulus": "stim"}; `choice_left` is the value of
    the choice that means left, where the data do not tell. Raises FileNotFoundError, or ValueError saying what is wrong.
    """
    asked = Asked(dict(columns or {}), None if choice_left is None else str(choice_left))
    if isinstance(source, str | Path):
        return detect(source).read(Path(source), asked)
    from twin.data.formats.memory import read_object

    return read_object(source, asked)


def write(rollout: Rollout, path: str | Path, format: str | None = None, overwrite: bool = False) -> None:
    """Write trials, in a format named or told by the ending of the file's name; `lost` says what that does not keep.

    Raises ValueError for a format that is not known or cannot be written, a name that tells none, or a destination that is
    not to be written over (`check_destination`).
    """
    path = Path(path)
    form = check_destination(path, format, overwrite)
    assert form.write is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    form.write(rollout, path)


def lost(rollout: Rollout, form: Format) -> list[str]:
    """What of a rollout a format does not keep, in a sentence."""
    if form.carries is None:
        return []
    names = [name for name in rollout.columns if name not in form.carries]
    names += [f"{name} of sessions" for name in rollout.of_session if name not in form.carries_of_session]
    parts = {"weights": rollout.weights, "keys": rollout.keys, "theta": rollout.theta}
    names += [name for name, part in parts.items() if part is not None]
    names += [name for name in ("protocol", "cohort", "seed") if name in rollout.origin]
    return [f"the format {form.name} does not keep {', '.join(names)}; HDF5 (.h5) keeps all"] if names else []


def check_destination(
    path: str | Path, format: str | None = None, overwrite: bool = False, source: str | Path | None = None
) -> Format:
    """The format that a file is to be written in, once it is sure that nothing of anybody else's is lost.

    Raises ValueError as `write` does: for a folder that is there, the `source` itself, a file that is not of this format or not
    made by this program, and one that is, unless `overwrite`.
    """
    path = Path(path)
    form = _writable(path, format)
    if path.is_dir():
        name = path / ("mice" + form.endings[0]) if form.endings else "one that is not there yet"
        raise ValueError(f"{path}: a folder; expected the name of a file to write, such as {name}")
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
        fits = {ending: name for name, form in writable.items() for ending in form.endings if path.name.endswith(ending)}
        format = fits[max(fits, key=len)] if fits else None
    if format is None:
        endings = ", ".join(ending for form in writable.values() for ending in form.endings)
        raise ValueError(f"{path}: its name tells no format; expected one that ends in {endings}, or a format by its name")
    if format not in writable:
        raise ValueError(suggest("format to write:", format, writable))
    return writable[format]
