"""Writing behaviour as csv."""

from __future__ import annotations

import csv
import gzip
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from twin.data.formats.csv.layout import DIALECTS
from twin.data.formats.csv.source import NOT_WHOLE, open_source
from twin.data.rollout import Rollout

TIME = "response_time"


def write(rollout: Rollout, path: Path) -> None:
    """Write the columns that recorded data have, gzipped if the name ends in .gz.

    A file already there is replaced once the new one is whole; of one that is not finished nothing is left.
    """
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        os.close(handle)
        with gzip.open(partial, "wt", newline="") if path.suffix == ".gz" else open(partial, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_header(TIME in rollout.columns))
            writer.writerows(_rows(rollout))
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(partial, 0o666 & ~umask)  # as any new file; a temporary one is its owner's alone
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def is_ours(path: Path) -> bool:
    """Was a file written by `write`? By its header, and a first trial without a date."""
    try:
        source = open_source(path)
        _, first = source.find(0, range(len(source.header)))
    except (ValueError, OSError, csv.Error, *NOT_WHOLE):
        return False
    return source.header in (list(_header(False)), list(_header(True))) and first.get(source.header.index("date")) == ""


def _header(timed: bool) -> tuple[str, ...]:
    return (*DIALECTS[0].columns, *([TIME] if timed else []))


def _rows(rollout: Rollout) -> Iterator[tuple[object, ...]]:
    """Rows of the first dialect. What is not known is left empty."""
    written = {meaning: f"{code:g}" for code, meaning in DIALECTS[0].choices.items()}
    columns = (rollout.columns[name].tolist() for name in ("session", "side", "choice", "reward"))
    texts = [_texts(np.abs(rollout.contrast)), _texts(rollout.probability_left)]
    times = _texts(rollout.columns[TIME]) if TIME in rollout.columns else None
    for t, (mouse, session, side, choice, reward, size, probability) in enumerate(
        zip(rollout.mouse.tolist(), *columns, *texts, strict=True)
    ):
        other = "0.0" if float(size) or not side else ""  # empty: zero contrast on the other side
        left, right = (size, other) if side < 0 else (other, size)
        outcome = "" if reward < 0 else reward
        row = (rollout.ids[mouse], session, "", left, right, written[choice], outcome, probability)
        yield row if times is None else (*row, times[t])


def _texts(values: np.ndarray) -> list[str]:
    texts: list[str] = values.astype(str).tolist()
    return ["" if text == "nan" else text for text in texts]
