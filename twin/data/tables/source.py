"""What a table must give to be read: its header, its columns in blocks, and which row is which.

A column of a block is `Texts`, the different texts and which of them is in each row, or numbers. So a text is parsed once
however often it is there, and numbers are never made text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np


class Texts(NamedTuple):
    """A column of text: the different texts (an Arrow array), and which of them is in each row, (n,)."""

    different: Any
    codes: np.ndarray


Column = Texts | np.ndarray  # numbers (n,), float64, NaN where there is none
Block = list[Column]


class Source(Protocol):
    """A table, wherever it is kept."""

    @property
    def where(self) -> str:
        """What it is called in an error."""

    @property
    def stem(self) -> str:
        """The name of its mouse, if no column says."""

    @property
    def header(self) -> list[str]:
        """Names of its columns."""

    @property
    def hint(self) -> str:
        """How the header was found, if that may be what is wrong."""

    def blocks(self, columns: Sequence[int]) -> Iterator[Block]:
        """Some of its columns, some rows at a time. Raises ValueError if it is not whole."""

    def find(self, row: int, columns: Sequence[int]) -> tuple[str, dict[int, str]]:
        """What a row (from 0, of the blocks of these columns) is called, such as "row 2", and its cells by column."""


class Columns(NamedTuple):
    """A table in memory: columns of equal length, as Arrow arrays."""

    where: str
    stem: str
    table: Any  # pyarrow.Table
    row_name: Callable[[int], str] = lambda row: f"row {row + 1}"
    hint: str = ""

    @property
    def header(self) -> list[str]:
        """Names of the columns."""
        return [str(name) for name in self.table.column_names]

    def blocks(self, columns: Sequence[int]) -> Iterator[Block]:
        """All rows at once: they are in memory already."""
        from twin.data.tables.arrow import column_of

        if self.table.num_rows:
            yield [column_of(self.table.column(i), f"{self.where}, column {self.header[i]!r}") for i in columns]

    def find(self, row: int, columns: Sequence[int]) -> tuple[str, dict[int, str]]:
        """A row by its number."""
        cells = {i: self.table.column(i)[row].as_py() for i in columns}
        return self.row_name(row), {i: "" if cell is None else str(cell) for i, cell in cells.items()}


def stem_of(path: Path) -> str:
    """A file's name without its endings."""
    return path.name.split(".")[0] or path.name
