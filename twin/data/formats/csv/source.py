"""The text of a csv file: its encoding, separator and header, its cells in blocks, and which row is which.

Blocks come from pyarrow, each column as the different texts in it and a number of one of them for each row; so a cell is
parsed once however often it is there, and a file of gigabytes is never in memory as text. Only an error looks for its row, with
the csv module.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from twin.data.files import starts_with
from twin.data.tables.names import count_known
from twin.data.tables.source import Block, Texts, stem_of

GZIP = b"\x1f\x8b"  # the first bytes of every gzip file
UTF8 = "utf-8-sig"  # with a mark of the byte order at its beginning, or without
UTF16 = (b"\xff\xfe", b"\xfe\xff")  # the first bytes of text in UTF-16, by which alone it is told
SEPARATORS = (",", ";", "\t", "|")
BLOCK = 1 << 21  # bytes of text read at once
LONGEST = 1 << 20  # characters of a header
NOT_WHOLE = (EOFError, UnicodeError, gzip.BadGzipFile, zlib.error)


class Source(NamedTuple):
    """A file of text in columns."""

    path: Path
    encoding: str
    separator: str
    header: list[str]  # without blanks at either end
    header_row: int  # from 1; what is before it is empty

    @property
    def where(self) -> str:
        """The file."""
        return str(self.path)

    @property
    def stem(self) -> str:
        """The file's name without its endings."""
        return stem_of(self.path)

    @property
    def hint(self) -> str:
        """How the header was divided."""
        return f"; the separator found is {self.separator!r}"

    def blocks(self, columns: Sequence[int]) -> Iterator[Block]:
        """The cells of some columns, without rows that are empty in all of them.

        Raises ValueError naming the row that has more or fewer values than the header, or saying that the file is not whole.
        """
        import pyarrow.csv

        try:
            with self._utf8(pyarrow) as file:
                for batch in self._reader(pyarrow, file, columns):
                    found = [Texts(column.dictionary, column.indices.to_numpy()) for column in batch.columns]
                    if kept := _without_empty_rows(found):
                        yield kept
        except NOT_WHOLE as error:
            raise self.not_whole(error) from None
        except OSError as error:
            if error.errno is not None:
                raise
            raise self.not_whole(error) from None  # of what is gzipped
        except pyarrow.ArrowInvalid as error:
            raise self._explained(str(error)) from None

    def _utf8(self, pyarrow: Any) -> Any:
        """The file as a stream of pyarrow's own: a thread reads ahead of what is asked, and must not need the interpreter.

        It would abort the program if that ended first, as it does when a row is refused.
        """
        if self.encoding != UTF8:
            with opened(self.path, self.encoding) as text:
                return pyarrow.BufferReader(text.read().encode())
        return pyarrow.input_stream(str(self.path), compression="gzip" if starts_with(self.path, GZIP) else None)

    def _reader(self, pyarrow: Any, file: Any, columns: Sequence[int]) -> Any:
        names = [str(i) for i in range(len(self.header))]
        wanted = [names[i] for i in columns]
        text = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
        return pyarrow.csv.open_csv(
            file,
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False,
                block_size=BLOCK,
                column_names=names,
                skip_rows=self.header_row - 1,
                skip_rows_after_names=1,
            ),
            parse_options=pyarrow.csv.ParseOptions(delimiter=self.separator),
            convert_options=pyarrow.csv.ConvertOptions(include_columns=wanted, column_types=dict.fromkeys(wanted, text)),
        )

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Number of each row that is not empty, as a spreadsheet counts from 1, and its cells; the header is the first."""
        with opened(self.path, self.encoding, "replace") as file:
            rows = enumerate(csv.reader(file, delimiter=self.separator), 1)
            yield from ((n, cells) for n, cells in rows if n >= self.header_row and cells)

    def find(self, row: int, columns: Sequence[int]) -> tuple[str, dict[int, str]]:
        """Number in the file, and the cells, of a row of the blocks of these columns (from 0)."""
        try:
            found = ((number, cells) for number, cells in self.records() if any(c < len(cells) and cells[c] for c in columns))
            for i, (number, cells) in enumerate(found):
                if i == row + 1:
                    return f"row {number}", dict(enumerate(cells))
        except csv.Error:  # a cell larger than the csv module takes
            pass
        return f"row {row + 1 + self.header_row}", {}

    def not_whole(self, error: Exception) -> ValueError:
        """What to say of bytes that are not text."""
        return ValueError(
            f"{self.path}: not whole as {self.encoding.removesuffix('-sig').upper()} text ({error}); save it again "
            f"as UTF-8, or copy it again"
        )

    def _explained(self, error: str) -> ValueError:
        """What to say where pyarrow gives up."""
        if "UTF8" in error:
            return self.not_whole(ValueError("invalid bytes"))
        try:
            for number, cells in self.records():
                if len(cells) != len(self.header):
                    return ValueError(
                        f"{self.path}, row {number}: {len(cells)} values; the header names {len(self.header)} columns; the "
                        f"separator found is {self.separator!r}"
                    )
        except csv.Error as wrong:
            error = str(wrong)
        return ValueError(f"{self.path}: not a table that can be read ({error.splitlines()[0][:200]}); save it again as csv")


def _without_empty_rows(block: list[Texts]) -> Block:
    """A block without rows that are empty in every column; of none, nothing."""
    empty = np.ones(len(block[0].codes), bool)
    for column in block:
        at = column.different.index("").as_py()
        if at < 0:
            return list(block)
        empty &= column.codes == at
    if not empty.any():
        return list(block)
    if empty.all():
        return []
    kept = [(column, *np.unique(column.codes[~empty], return_inverse=True)) for column in block]
    return [Texts(column.different.take(used), codes) for column, used, codes in kept]


def opened_bytes(path: Path) -> IO[bytes]:
    """The bytes of a file, unzipped if it is gzipped."""
    return gzip.open(path, "rb") if starts_with(path, GZIP) else open(path, "rb")  # type: ignore[return-value]


def opened(path: Path, encoding: str, errors: str = "strict") -> IO[str]:
    """The text of a file."""
    import io

    return io.TextIOWrapper(opened_bytes(path), encoding=encoding, errors=errors, newline="")


def open_source(path: Path) -> Source:
    """Encoding, separator and header of a file. Raises ValueError if its first row cannot be read."""
    unread = Source(path, UTF8, ",", [], 1)
    try:
        with opened_bytes(path) as file:
            encoding = "utf-16" if file.read(2) in UTF16 else UTF8
        with opened(path, encoding, "replace") as text:
            lines = iter(lambda: text.readline(LONGEST), "")
            number, line = next(((n, line) for n, line in enumerate(lines, 1) if line.strip()), (1, ""))
    except NOT_WHOLE as error:
        raise unread.not_whole(error) from None
    separator, header = _split(line)
    return Source(path, encoding, separator, header, number)


def _split(line: str) -> tuple[str, list[str]]:
    """The separator of a header, by which the most of its columns are known, and its names."""
    headers = {}
    for separator in SEPARATORS:
        try:
            cells = next(csv.reader([line], delimiter=separator), [])
        except csv.Error:
            cells = [line]
        headers[separator] = [cell.strip() for cell in cells]
    separator = max(headers, key=lambda s: (count_known(headers[s]), len(headers[s])))
    return separator, headers[separator]
