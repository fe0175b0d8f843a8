"""Files and folders of every format damaged at random, imported from the shell: each is read, or refused in one sentence.

    PYTHONPATH=tests python tests/fuzz/fuzz_formats.py [--seed 1] [--cases 2500]

A third of the cases change columns (values, types, names, shapes) before a library writes them, the others bytes of what was
written. Exits with 1 if a case ends with another status than 0 or 2, in more than a sentence, after more than `LIMIT` seconds,
in more than `MEMORY` bytes, or leaves anything of a refused file behind.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas
import scipy.io
from fuzz.cases import Found, asked, report, run_cases
from rollouts import rollout

from twin.cli import main as twin
from twin.data import formats
from twin.data.tables.columns import columns_of

LIMIT = 20  # seconds
MEMORY = 8 << 30  # bytes of address space
NASTY = (
    np.nan,
    np.inf,
    -np.inf,
    1e308,
    -1,
    0,
    0.5,
    2,
    7,
    50,
    2**62,
    "",
    "NA",
    "left",
    "R",
    "\0",
    "ä" * 300,
    "1,5",
    "2021-02-30",
)
TYPES = ("str", "object", "bool", "int8", "uint64", "float16", "datetime64[ns]", "complex64", "S3", "category")
Columns = dict[str, np.ndarray]


@cache
def made() -> Columns:
    """Columns of a few mice."""
    return columns_of(rollout(mice=2, sessions=2, trials=12))


def _value(draw: np.random.Generator, found: Columns, name: str) -> None:
    values = found[name].astype(object)
    values[draw.integers(len(values))] = NASTY[draw.integers(len(NASTY))]
    found[name] = values


def _constant(draw: np.random.Generator, found: Columns, name: str) -> None:
    found[name] = np.full(len(found[name]), NASTY[draw.integers(len(NASTY))], object)


def _type(draw: np.random.Generator, found: Columns, name: str) -> None:
    values = pandas.Series(found[name]).astype(TYPES[draw.integers(len(TYPES))])
    found[name] = values.to_numpy()


def _name(draw: np.random.Generator, found: Columns, name: str) -> None:
    names = (*found, "stimulus", "contrast", "side", "reward", "response_times", "weight", "task", "", "x\0y", "é")
    found[names[draw.integers(len(names))]] = found.pop(name)


def _away(draw: np.random.Generator, found: Columns, name: str) -> None:
    del found[name]


def _shape(draw: np.random.Generator, found: Columns, name: str) -> None:
    values = found[name]
    shapes = (
        values[:-1],
        values[:0],
        values[:1],
        np.stack([values, values]),
        values[:, None],
        values.reshape(2, -1),
        values[0],
    )
    found[name] = np.asarray(shapes[draw.integers(len(shapes))])


def _rows(draw: np.random.Generator, found: Columns, name: str) -> None:
    n = len(found[name])
    rows = (draw.permutation(n), draw.integers(n, size=n), np.arange(n // 2), np.tile(np.arange(n), 3))[draw.integers(4)]
    for other in found:
        found[other] = found[other][rows]


CHANGES: tuple[Callable[[np.random.Generator, Columns, str], None], ...] = (
    _value,
    _constant,
    _type,
    _name,
    _away,
    _shape,
    _rows,
)


def _npz(found: Columns, path: Path) -> None:
    with open(path, "wb") as file:
        np.savez(file, **found)


def _npy_folder(found: Columns, path: Path) -> None:
    folder = path / "lab" / "Subjects" / "m" / "2020-01-01" / "001" / "alf"
    folder.mkdir(parents=True)
    names = {"contrast_left": "contrastLeft", "contrast_right": "contrastRight", "correct": "feedbackType"}
    for name, values in found.items():
        if name.isidentifier() and name.isascii():
            np.save(folder / f"_ibl_trials.{names.get(name, name)}.npy", values)


SAVERS: dict[str, Callable[[Columns, Path], object]] = {
    "csv": lambda found, path: pandas.DataFrame(found).to_csv(path, index=False),
    "parquet": lambda found, path: pandas.DataFrame(found).to_parquet(path),
    "feather": lambda found, path: pandas.DataFrame(found).to_feather(path),
    "npz": _npz,
    "mat": lambda found, path: scipy.io.savemat(path, {"d": found} if len(found) % 2 else found, appendmat=False),
    "alf": _npy_folder,
}
WRITTEN = tuple(name for name, form in formats.formats().items() if form.write)


def columns_changed(path: Path, form: str, draw: np.random.Generator) -> str:
    """Write columns with one to three things done to them; returns what."""
    found, done = dict(made()), []
    for _ in range(draw.integers(1, 4)):
        act, name = CHANGES[draw.integers(len(CHANGES))], str(draw.choice(list(found))) if found else ""
        try:
            act(draw, found, name)
            done.append(f"{act.__name__} {name!r}")
        except (ValueError, TypeError, KeyError, IndexError, OverflowError):
            continue
    try:
        SAVERS[form](found, path)
    except Exception as error:  # no library writes it
        done.append(f"not made: {type(error).__name__}")
    return ", ".join(done)


@cache
def _whole(form: str) -> Path:
    """A file or folder of a format, as it is written."""
    path = Path(tempfile.mkdtemp()) / f"whole{formats.formats()[form].endings[0]}"
    formats.write(rollout(mice=2, sessions=2, trials=12), path)
    return path


def bytes_changed(path: Path, form: str, draw: np.random.Generator) -> str:
    """Copy a whole file or folder and flip, cut, zero, double or replace bytes of a file; returns what."""
    whole = _whole(form)
    (shutil.copytree if whole.is_dir() else shutil.copy)(whole, path)
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    file = files[draw.integers(len(files))]
    content, kind = bytearray(file.read_bytes()), int(draw.integers(6))
    at = int(draw.integers(max(1, min(len(content), 10 ** int(draw.integers(2, 7))))))
    if kind == 0:
        content = content[:at]
    elif kind == 1:
        content[at : at + 64] = bytes(len(content[at : at + 64]))
    elif kind == 2:
        content[at:at] = content[at : at + 500] or b"x"
    elif kind == 3:
        content[at : at + 8] = draw.bytes(8)
    else:
        for place in draw.integers(max(1, len(content)), size=1 if kind == 4 else 30):
            content[place % max(1, len(content)) : place % max(1, len(content)) + 1] = bytes([int(draw.integers(256))])
    file.write_bytes(content)
    return f"bytes {kind} at {at} of {file.name}"


def outcome(path: Path, folder: Path) -> str:
    """What importing it comes to: "read" or "refused". Raises AssertionError for anything else."""
    destination, said = folder / "imported.h5", io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        status = twin(["import", str(path), str(destination)])
    lines = said.getvalue().splitlines()
    assert status in (0, 2), f"status {status}: {lines}"
    assert all(line.startswith("twin: ") and len(line) < 1500 for line in lines), f"not sentences: {lines}"
    there = sorted(file.name for file in folder.iterdir() if file != path)
    assert there == (["imported.h5"] if status == 0 else []), f"left behind: {there}"
    if status == 0:
        destination.unlink()
        return "read"
    errors = [line for line in lines if not line.startswith("twin: note: ")]
    assert len(errors) == 1 and str(path) in errors[0] and "Error:" not in errors[0], f"not a sentence of the file: {errors}"
    return "refused"


def damaged(form: str, seed: int, folder: Path) -> tuple[str, Callable[[], str]]:
    """A case: what is damaged, and what tells the outcome."""
    draw, path = np.random.default_rng(seed), folder / "damaged"
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    change = columns_changed if form in SAVERS and draw.random() < 1 / 3 else bytes_changed
    what = change(path, form, draw)
    return f"{form}: {what}", partial(outcome, path, folder) if path.exists() else lambda: "not made"


def run(cases: int, seed: int, folder: Path) -> Found:
    """Outcomes of so many cases, one format after the other, and what went wrong."""

    def case(number: int, draw: np.random.Generator) -> tuple[str, Callable[[], str]]:
        what, tell = damaged(WRITTEN[number % len(WRITTEN)], int(draw.integers(2**62)), folder)
        return what, lambda: f"{what.partition(':')[0]} {tell()}"

    return run_cases(cases, seed, LIMIT, case)


def main() -> int:
    """Run the cases and print what came of them; the exit status."""
    options = asked(__doc__ or "", cases=2500)
    return report(run, options.cases, options.seed, MEMORY)


if __name__ == "__main__":
    sys.exit(main())
