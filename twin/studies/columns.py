"""Files of equally named arrays, a named tuple of them each, bound to the content of the fit that their mice come from."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np

from twin.data.files import replace_file

Columns = TypeVar("Columns")
DAMAGED = (OSError, EOFError, KeyError, ValueError, NotImplementedError, BadZipFile, zlib.error)


def read_columns(kind: type[Columns], what: str, path: Path, fit: str = "") -> Columns:
    """Arrays that were stored, as a named tuple of a kind; `what` they are is said of a file that is damaged.

    Raises ValueError if the file is not whole, or its mice are of another `fit` than this.
    """
    try:
        with open(path, "rb") as stored, np.load(stored, allow_pickle=False) as columns:
            kept, found = str(columns["fit"]), kind(*(columns[name] for name in kind._fields))  # type: ignore[attr-defined]
    except PermissionError as error:
        raise PermissionError(f"{path}: you may not read it; ask its owner, or `chmod u+r` it") from error
    except DAMAGED as error:
        raise ValueError(f"{path}: not {what}: {error}") from error
    if kept != fit:
        raise ValueError("its mice are of another fit")
    return found


def write_columns(columns: Any, path: Path, fit: str = "") -> None:
    """Keep a named tuple of arrays in a file, in one step, bound to the content of a fit."""
    content = io.BytesIO()
    np.savez_compressed(content, fit=np.array(fit), **columns._asdict())
    replace_file(path, content.getvalue())
