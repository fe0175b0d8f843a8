"""Tables of trials damaged at random: each is read, or refused in one sentence; nothing else may come of it.

PYTHONPATH=tests python tests/fuzz/fuzz_csv.py [--seed 1] [--cases 500]
"""

from __future__ import annotations

import gzip
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from fuzz.cases import asked

from twin.data.formats import read
from twin.data.trials import Trials

CASES = Path(__file__).parents[1] / "twin" / "data" / "cases"
NASTY = (
    *("", " ", "NA", "nan", "-", "None", "True", "0", "1", "-1", "2", "-0", "1.0", "50", "1e400", "inf", "-inf", "1_0", "0x1"),
    *(
        "½",
        "\0",
        '"',
        '""',
        "'",
        ",",
        ";",
        "\t",
        "\n",
        "\r",
        "left",
        "R",
        "1,5",
        "2021-02-30",
        "0000-00-00",
        "9" * 400,
        "x" * 9000,
    ),
    *("2021-03-01T25:00:00", "2021-03-01T10:00:00+99:00", "9999-12-31T23:59:59", "m1 ", "\ufeff", "=1+1", "1e308", "#N/A"),
)
SEPARATORS = (",", ";", "\t", "|", " ", ":")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "utf-32", "cp1252")
Rows = list[list[str]]


def _cell(rng: random.Random, rows: Rows) -> None:
    row = rng.choice(rows)
    row[rng.randrange(len(row))] = rng.choice(NASTY)


def _column(rng: random.Random, rows: Rows) -> None:
    value, at = rng.choice(NASTY), rng.randrange(len(rows[0]))
    for row in rows[1:]:
        row[at] = value


def _drop_column(rng: random.Random, rows: Rows) -> None:
    at = rng.randrange(len(rows[0]))
    for row in rows:
        del row[at : at + (len(row) > 1)]


def _double_column(rng: random.Random, rows: Rows) -> None:
    at = rng.randrange(len(rows[0]))
    for row in rows:
        row.append(row[at])


def _rename(rng: random.Random, rows: Rows) -> None:
    at = rng.randrange(len(rows[0]))
    rows[0][at] = rng.choice([rng.choice(NASTY), rng.choice(rows[0]), rows[0][at].upper(), f" {rows[0][at]} ", "stimulus"])


def _shuffle(rng: random.Random, rows: Rows) -> None:
    rows[1:] = rng.sample(rows[1:], len(rows) - 1)


def _double_rows(rng: random.Random, rows: Rows) -> None:
    start = rng.randrange(len(rows))
    rows += [list(row) for row in rows[start : start + rng.randrange(1, 200)]]


def _cut(rng: random.Random, rows: Rows) -> None:
    del rows[rng.choice([1, 2, 3, rng.randrange(1, len(rows) + 1)]) :]


def _ragged(rng: random.Random, rows: Rows) -> None:
    row = rng.choice(rows)  # the last change, for the others ask for columns
    row[rng.randrange(len(row)) :] = rng.choice([[], ["", ""], ["1"] * 20])
    if not row:
        row.append("")


CHANGES: tuple[Callable[[random.Random, Rows], None], ...] = (
    *(_cell, _column, _drop_column, _double_column, _rename, _shuffle, _double_rows, _cut),
)


def damaged(rng: random.Random) -> bytes:
    """The bytes of a table with one to three things done to it."""
    lines = rng.choice(sorted(CASES.glob("*.csv"))).read_text(encoding="utf-8-sig").splitlines()
    separator = ";" if ";" in lines[0] else ","
    rows = [line.split(separator) for line in lines]
    for change in rng.choices(CHANGES, k=rng.randrange(4)):
        change(rng, rows)
    if rng.random() < 0.1:
        _ragged(rng, rows)
    if rng.random() < 0.2:
        separator = rng.choice(SEPARATORS)
    ending = rng.choice(["\n", "\n", "\n", "\r\n", "\r", "\n\n"])
    encoding = rng.choice(ENCODINGS) if rng.random() < 0.2 else "utf-8"
    content = bytearray(ending.join(separator.join(row) for row in rows).encode(encoding, "replace"))
    if rng.random() < 0.15:
        content = bytearray(gzip.compress(content))
    for _ in range(rng.choice([0, 0, 0, 1, 3, 30])):
        if content:
            content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content[: rng.randrange(len(content) + 1)] if rng.random() < 0.05 else content)


def outcome(content: bytes, path: Path) -> str:
    """What becomes of a table: `read`, or `refused`. Raises AssertionError for anything that is neither."""
    path.write_bytes(content)
    try:
        rollout = read(path)
        if rollout.choices_by_mouse().any():
            Trials.from_rollout(rollout)
    except (ValueError, FileNotFoundError) as error:
        if type(error) not in (ValueError, FileNotFoundError):
            raise
        _check_sentence(str(error), path)
        return "refused"
    assert len(rollout) > 0 and all(len(column) == len(rollout) for column in rollout.columns.values())
    return "read"


def _check_sentence(message: str, path: Path) -> None:
    assert str(path) in message, f"no file is named: {message}"
    assert message.isprintable() and len(message) < 1000, f"not a sentence: {message!r}"


def run(seed: int, n: int, folder: Path) -> Counter[str]:
    """How many of n damaged tables were read and refused. Raises RuntimeError naming the first that was neither."""
    counts: Counter[str] = Counter()
    for i in range(n):
        content = damaged(random.Random(f"{seed} {i}"))
        try:
            counts[outcome(content, folder / "table.csv")] += 1
        except Exception as error:
            raise RuntimeError(f"table {i} of seed {seed}: {type(error).__name__}: {error}") from error
    return counts


def main() -> int:
    """Run from the command line."""
    options = asked(__doc__ or "", cases=500)
    with tempfile.TemporaryDirectory() as folder:
        print(dict(run(options.seed, options.cases, Path(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
