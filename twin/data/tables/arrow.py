"""Arrow's columns as those of a block, and what else is told by Arrow: numbers in text, and tables of other libraries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute
import pyarrow.ipc

from twin.data.files import memory_of_machine
from twin.data.rollout import Rollout
from twin.data.tables import cells
from twin.data.tables.columns import columns_of
from twin.data.tables.source import Column, Texts

MOST_COLUMNS = 10_000
WIDTH = 8  # bytes of a value in memory, at most but for texts
OWN = {b"written_by": b"behavioral-twin"}


def column_of(array: Any, where: str) -> Column:
    """A column as numbers or texts. Raises ValueError naming a column of another kind, lists for instance."""
    kind = array.type
    if pyarrow.types.is_dictionary(kind):
        array, kind = array.cast(kind.value_type), kind.value_type
    if pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) or pyarrow.types.is_decimal(kind):
        with suppress(pyarrow.ArrowInvalid):  # of whole numbers too long for it, such as ids, which stay apart as texts
            values: np.ndarray = array.cast(pyarrow.float64()).to_numpy().astype(float)
            return values
    try:
        texts = array.cast(pyarrow.string())
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError):
        raise ValueError(f"{where}: of the type {str(kind)[:60]}; expected numbers, texts, dates or truth values") from None
    return texts_of(pyarrow.compute.fill_null(texts, ""))


def texts_of(array: Any) -> Texts:
    """A column of text, chunked or not."""
    encoded = pyarrow.compute.dictionary_encode(array)
    whole = encoded.combine_chunks() if isinstance(encoded, pyarrow.ChunkedArray) else encoded
    if isinstance(whole, pyarrow.ChunkedArray):
        whole = whole.unify_dictionaries().chunk(0)
    return Texts(whole.dictionary, whole.indices.to_numpy())


def labels(column: Column) -> tuple[list[str], np.ndarray]:
    """The different texts of a column, and which of them is in each row; of numbers their shortest form."""
    if isinstance(column, Texts):
        return column.different.to_pylist(), column.codes
    different, codes = np.unique(column, return_inverse=True)
    return ["" if np.isnan(value) else f"{value:.17g}" for value in different.tolist()], codes


def numbers(column: Column) -> np.ndarray:
    """Numbers of a column, (n,), NaN where there is none. Raises ValueError naming the first text that is none, and its row."""
    if not isinstance(column, Texts):
        if not np.isinf(column).any():
            return column
        row = int(np.argmax(np.isinf(column)))
        raise cells.NotANumber(row)
    try:
        meaning: np.ndarray = column.different.cast(pyarrow.float64()).to_numpy()
    except pyarrow.ArrowInvalid:
        meaning = np.full(len(column.different), np.inf)
    if np.isinf(meaning).any():  # commas for points, texts for no value
        texts = column.different.to_pylist()
        for i in np.flatnonzero(np.isinf(meaning)):
            try:
                meaning[i] = cells.number(texts[i])
            except ValueError:
                raise cells.NotANumber(int(np.argmax(column.codes == i))) from None
    return meaning[column.codes]


def table_from(frame: Any, what: str) -> Any:
    """A table of any library that speaks Arrow's PyCapsule interface (pandas, polars, pyarrow, ...)."""
    try:
        return pyarrow.table(frame)
    except (pyarrow.ArrowException, TypeError, ImportError) as error:
        raise ValueError(f"{what}: cannot be taken for a table ({str(error).splitlines()[0][:200]})") from None


def table_of_arrays(arrays: Mapping[str, np.ndarray], where: str) -> Any:
    """A table of arrays of one length; a single value is that of all rows. Raises ValueError naming an array of other kinds."""
    flat = {name: _flat(values, f"{where}, column {name!r}") for name, values in arrays.items()}
    lengths = {name: len(values) for name, values in flat.items()}
    n = max(lengths.values(), default=0)
    if any(length not in (1, n) for length in lengths.values()):
        told = ", ".join(f"{name} {length}" for name, length in list(lengths.items())[:20])
        raise ValueError(
            f"{where}: its columns have different lengths ({told}); expected one value a trial in each, or one for all"
        )
    try:
        return pyarrow.table({name: _array(np.broadcast_to(values, n)) for name, values in flat.items()})
    except (pyarrow.ArrowException, TypeError) as error:
        raise ValueError(f"{where}: not a table ({str(error).splitlines()[0][:200]})") from None


def _flat(values: np.ndarray, where: str) -> np.ndarray:
    if values.dtype.kind not in "biufSUMO" or (values.ndim > 1 and max(values.shape) != values.size):
        raise ValueError(f"{where}: an array of {str(values.dtype)[:60]} and shape {values.shape}; expected one value a trial")
    return values.reshape(-1)


def _array(values: np.ndarray) -> Any:
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind == "O":
        values = np.array([_text(value) for value in values.tolist()], object)
    if values.dtype.kind != "O" and not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    return pyarrow.array(values)


def _text(value: Any) -> str | None:
    """A single value as text; nothing for what is empty, as [] is in MATLAB."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, np.ndarray | dict | list | tuple):
        if not getattr(value, "size", 1):
            return None
        raise TypeError("lists in place of single values")
    return str(value)


def table_of(rollout: Rollout) -> Any:
    """A rollout as a table; values that are not told are null."""
    table = pyarrow.table({name: pyarrow.array(values, from_pandas=True) for name, values in columns_of(rollout).items()})
    return table.replace_schema_metadata(OWN)


def is_own(schema: Any) -> bool:
    """Is a schema that of `table_of`?"""
    return all((schema.metadata or {}).get(key) == value for key, value in OWN.items())


def flat_names(schema: Any) -> list[str]:
    """Columns that hold one value a row; others, such as lists, are of no use here."""
    return [field.name for field in schema if not pyarrow.types.is_nested(field.type)]


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Make an error of Arrow's in this block a sentence about a file."""
    try:
        yield
    except (pyarrow.ArrowException, KeyError, IndexError, OverflowError, MemoryError, UnicodeError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{path}: not whole, or not readable ({reason}); write or copy it again") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(
            f"{path}: not whole, or not readable ({' '.join(str(error).split())[:200]}); write or copy it again"
        ) from None


def checked(table: Any) -> Any:
    """A table whose texts are text and whose offsets are within it; else raises ArrowInvalid."""
    table.validate(full=True)
    return table


def opened(path: Path) -> Any:
    """A feather file, to be read."""
    return pyarrow.ipc.open_file(pyarrow.OSFile(str(path)))


def check_size(path: Path, rows: int, columns: int) -> None:
    """Raise ValueError if so many values are more than the memory of this machine."""
    if columns > MOST_COLUMNS:
        raise ValueError(f"{path}: {columns} columns; expected {MOST_COLUMNS} at most")
    if rows * columns * WIDTH > memory_of_machine():
        raise ValueError(f"{path}: declares {rows} rows of {columns} columns, more than the memory of this machine; divide it")
