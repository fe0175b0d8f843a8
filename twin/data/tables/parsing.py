"""The columns of a table as numbers and labels, each value looked at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np

from twin.data.tables import arrow, cells
from twin.data.tables.layout import Layout, shown
from twin.data.tables.source import Column, Source

LABELS = ("subject", "session", "date", "choice", "outcome", "side", "repeat", "task", "simulated")
KINDS = {"trial": "float64", "response_at": "float64", "stimulus_at": "float64", "start_time": "float64"}
FEW = 1000  # different texts that a code may have at most


@dataclass
class Table:
    """Columns of a table, (N,) each, in its order; those of LABELS are numbers of `labels`."""

    source: Source
    layout: Layout
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    labels: dict[str, list[str]] = field(default_factory=dict)  # without blanks at either end, in order of appearance
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.columns["choice"])

    def name(self, row: int) -> str:
        """What a row is called, such as "row 2"."""
        return self.source.find(row, list(self.layout.at.values()))[0]

    def wrong(self, row: int, quantity: str, expected: str) -> NoReturn:
        """Raise ValueError naming table, row and column of a cell."""
        name, there = self.source.find(row, list(self.layout.at.values()))
        at = self.layout.at[quantity]
        raise ValueError(
            f"{self.source.where}, {name}, column {self.source.header[at]!r}: {shown(there.get(at, '?').strip())}; "
            f"expected {expected}"
        )

    def refuse(self, where: np.ndarray, quantity: str, expected: str) -> None:
        """`wrong` of the first row where something is, (N,), if there is any."""
        if where.any():
            self.wrong(int(np.argmax(where)), quantity, expected)


def parse(source: Source, layout: Layout) -> Table:
    """All rows of a table. Raises ValueError naming the row and the column of what is no number, or one out of range."""
    table = Table(source, layout)
    known: dict[str, dict[str, int]] = {name: {} for name in LABELS if name in layout.at}
    grown: dict[str, bytearray] = {}  # these grow where they are; a list of arrays would need twice the memory in the end
    start = blanks = 0
    for block in source.blocks(list(layout.at.values())):
        for quantity, column in zip(layout.at, block, strict=True):
            if quantity in known:
                blanks += quantity == "subject" and any(text != text.strip() for text in arrow.labels(column)[0])
                values = _coded(table, quantity, column, known[quantity])
            else:
                values = _numbers(table, quantity, column, start)
            grown.setdefault(quantity, bytearray()).extend(values.tobytes())
        start += len(values)
    if start == 0:
        raise ValueError(f"{source.where}: {min(1, len(source.header))} rows; expected a header and at least one trial")
    if blanks:
        table.notes.append("blanks at the ends of the names of mice are left out")
    for name in list(grown):
        kind = "int32" if name in known else KINDS.get(name, "float32")
        table.columns[name] = narrow(np.frombuffer(grown.pop(name), kind))
    table.labels = {name: list(labels) for name, labels in known.items()}
    return table


def _coded(table: Table, quantity: str, column: Column, known: dict[str, int]) -> np.ndarray:
    texts, codes = arrow.labels(column)
    meaning = np.array([known.setdefault(text.strip(), len(known)) for text in texts], np.int32)
    if quantity not in ("subject", "session", "date") and len(known) > FEW:
        raise ValueError(
            f"{table.source.where}, column {table.source.header[table.layout.at[quantity]]!r}: more than {FEW} different "
            f"values; expected codes of the {quantity}; name another column with --columns"
        )
    return meaning[codes]


def _numbers(table: Table, quantity: str, column: Column, start: int) -> np.ndarray:
    try:
        values = arrow.numbers(column)
    except cells.NotANumber as error:
        table.wrong(start + error.row, quantity, str(error))
    row = cells.first_outside(values, quantity)
    if row is not None:
        table.wrong(start + row, quantity, cells.NUMBERS[quantity].expected)
    return values.astype(KINDS.get(quantity, "float32"))


def narrow(column: np.ndarray) -> np.ndarray:
    """Whole numbers in no more bytes than they need, for there are millions; others as they are."""
    low, high = column.min(), column.max()
    if column.dtype in (np.int8, np.float32) or not np.isfinite([low, high]).all():
        return column
    for kind in (np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            narrower = column.astype(kind)
            return narrower if np.array_equal(narrower, column) else column
    return column
