"""MATLAB files up to version 7: variables of one length, a struct of such fields, or a struct array of one element a trial."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from twin.data.formats import Format
from twin.data.formats.parquet import starts_with
from twin.data.rollout import Rollout
from twin.data.tables import columns
from twin.data.tables.names import Asked
from twin.data.tables.reading import read_table
from twin.data.tables.source import Columns, stem_of

MAGIC = b"MATLAB 5.0 MAT-file"
NEWEST = b"MATLAB 7.3 MAT-file"  # HDF5 by another name
MOST_COMPRESSION = 1_100  # of zlib: 1,032
STRUCT = "trials"  # what is written
BROKEN = (ValueError, TypeError, LookupError, zlib.error, EOFError, OSError, OverflowError, MemoryError)
ODD = (AttributeError, NotImplementedError, UnicodeError, RecursionError)


def detect(path: Path) -> bool:
    """Does a file begin as MATLAB's do?"""
    return path.is_file() and (starts_with(path, MAGIC) or starts_with(path, NEWEST))


def load(path: Path) -> dict[str, Any]:
    """Columns of a file. Raises ValueError if it is not whole, or no struct or variables of trials."""
    import scipy.io

    if starts_with(path, NEWEST):
        raise ValueError(f"{path}: MATLAB's format 7.3; expected one that `save(..., '-v7')` writes")
    try:
        most = path.stat().st_size * MOST_COMPRESSION
        for name, shape, _ in scipy.io.whosmat(str(path)):
            if math.prod(shape) > most:
                raise ValueError(f"{name} declares the shape {shape}")
        found = scipy.io.loadmat(str(path), simplify_cells=True, chars_as_strings=True)
    except (*BROKEN, *ODD, scipy.io.matlab.MatReadError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{path}: not whole as a MATLAB file ({reason}); save or copy it again") from None
    variables = {name: value for name, value in found.items() if not name.startswith("__")}
    structs = [value for value in variables.values() if isinstance(value, dict) or _is_struct_array(value)]
    if len(structs) == 1:
        return _fields(structs[0])
    return variables


def _is_struct_array(value: Any) -> bool:
    items = value.reshape(-1).tolist() if isinstance(value, np.ndarray) and value.dtype == object else value
    return isinstance(items, list) and bool(items) and all(isinstance(item, dict) for item in items)


def _fields(value: Any) -> dict[str, Any]:
    """Columns of a struct of arrays, or of an array of structs."""
    if isinstance(value, dict):
        return value
    items = value.reshape(-1).tolist() if isinstance(value, np.ndarray) else value
    return {name: [_plain(item.get(name)) for item in items] for name in items[0]}


def _plain(value: Any) -> Any:
    """A value of one trial; what is empty in MATLAB, [], is no number."""
    return np.nan if isinstance(value, np.ndarray) and value.size == 0 else value


def read(path: Path, asked: Asked) -> Rollout:
    """Every mouse of a file."""
    from twin.data.tables import arrow

    arrays = {name: arrow.array_of(value, f"{path}, column {name!r}") for name, value in load(path).items()}
    table = arrow.table_of_arrays(arrays, str(path))
    return read_table(Columns(str(path), stem_of(path), table), asked, source=path.name, format="mat")


def write(rollout: Rollout, path: Path) -> None:
    """Write one struct, `trials`, of columns; texts as a cell array."""
    import scipy.io

    with columns.new_file(path) as partial, open(partial, "wb") as file:
        scipy.io.savemat(file, {STRUCT: columns.columns_of(rollout)}, do_compression=True, oned_as="column")


def is_ours(path: Path) -> bool:
    """Was a file written by `write`?"""
    if not detect(path):
        return False
    try:
        return columns.is_own_header(list(load(path)))
    except ValueError:
        return False


FORMAT = Format(
    "mat",
    "a MATLAB file of trials",
    (".mat",),
    detect,
    read,
    write,
    None,
    is_ours,
    columns.CARRIED,
    columns.CARRIED_OF_SESSION,
)
