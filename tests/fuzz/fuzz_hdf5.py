"""Fuzz HDF5 rollouts: a small valid file is damaged, and reading it must give a rollout or one sentence.

    PYTHONPATH=tests python tests/fuzz/fuzz_hdf5.py [--seed 1] [--cases 500]

Half of the cases change a dataset, attribute or group through h5py (wrong types, shapes, values, links, declared sizes), half
flip or cut bytes. Exits with 1 if a case ends in anything else, takes more than `LIMIT` seconds, or more than `MEMORY` bytes.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from fuzz.cases import Found, asked, report, run_cases
from rollouts import rollout

from twin.data.rollout import SESSION_COLUMNS
from twin.data.store import describe, read_rollout, verify, write_rollout

LIMIT = 10  # seconds
MEMORY = 4 << 30  # bytes of address space
REFUSED = (ValueError, FileNotFoundError, OSError)
TYPES = (
    *("int8", "uint8", "int64", "uint64", "float16", "float64", "complex64", "bool", "S3"),
    *(np.dtype([("re", "f4"), ("im", "f4")]), h5py.string_dtype(), h5py.ref_dtype, h5py.vlen_dtype(np.int8)),
    *(h5py.enum_dtype({"a": 0, "b": 1}), h5py.opaque_dtype(np.dtype("M8[s]")), np.dtype((np.int8, (2,)))),
)
VALUES = (1e30, -1, 2, 0, 0.3, float("nan"), float("inf"), 127, -128)
TEXTS = ("", "{", "[]", "3", "null", "x" * 70_000, "\udcff", "[" * 5000, '{"a": NaN}')


def whole_file(path: Path) -> None:
    """Write a small rollout that has everything a file can hold."""
    behaved, draw = rollout(mice=3, sessions=4, trials=20), np.random.default_rng(0)
    n, sessions = len(behaved), len(behaved.sessions.start)
    known = {"is_repeat": draw.random(n) < 0.1, "p_right": draw.random(n).astype("f4"), "water_ul": np.ones(n, "f4")}
    known |= {"response_time": np.ones(n, "f4"), "start_time": np.arange(n, dtype="f4")}
    everything = replace(
        behaved,
        columns=dict(behaved.columns) | known,
        weights=draw.normal(size=(n, 2)).astype("f4"),
        features=("stimulus", "bias"),
        keys=np.arange(3, dtype="u8"),
        theta=draw.random((3, 2)),
        theta_names=("rate", "baseline"),
        origin={"seed": 1, "cohort": {"mice": 3}},
        of_session={name: np.zeros(sessions, kind) for name, (kind, _) in SESSION_COLUMNS.items()},
    )
    write_rollout(everything, path, "kind = 'cohort'")


def places(file: h5py.File) -> list[str]:
    """Every dataset of a file."""
    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return found


def change(path: Path, draw: np.random.Generator) -> str:
    """Change one thing through h5py; returns what."""
    with h5py.File(path, "r+") as file:
        name = str(draw.choice(places(file)))
        act = CHANGES[draw.integers(len(CHANGES))]
        try:
            return f"{act.__name__} {name} {act(file, name, draw)}"
        except (TypeError, ValueError, ArithmeticError, OSError, RuntimeError, KeyError) as error:
            return f"{act.__name__} {name} not made: {error}"


def _remade(file: h5py.File, name: str, **how: object) -> None:
    attributes = dict(file[name].attrs)
    del file[name]
    file.create_dataset(name, **how).attrs.update(attributes)


def of_another_type(file: h5py.File, name: str, draw: np.random.Generator) -> object:
    dtype = TYPES[draw.integers(len(TYPES))]
    _remade(file, name, shape=file[name].shape, dtype=dtype)
    return dtype


def of_another_shape(file: h5py.File, name: str, draw: np.random.Generator) -> object:
    shapes = ((), (0,), (1,), (5, 5), (10**12,), (2, 10**11), (240, 1), (10**6,), None)
    shape, dtype = shapes[draw.integers(len(shapes))], file[name].dtype
    if shape is None:
        _remade(file, name, data=h5py.Empty(dtype))
    else:
        size = int(np.prod(shape)) if len(shape) else 1
        chunks = (min(size, 2**31),) if len(shape) == 1 and size and draw.random() < 0.5 else None
        _remade(file, name, shape=shape, dtype=dtype, chunks=chunks, compression="gzip" if chunks else None)
    return shape


def of_another_value(file: h5py.File, name: str, draw: np.random.Generator) -> object:
    values, value = file[name][()], VALUES[draw.integers(len(VALUES))]
    with np.errstate(all="ignore"):
        values.flat[draw.integers(values.size)] = values.dtype.type(value)
    file[name][...] = values
    return value


def as_group(file: h5py.File, name: str, draw: np.random.Generator) -> object:
    del file[name]
    file.create_group(name)
    return ""


def away(file: h5py.File, name: str, draw: np.random.Generator) -> object:
    name = name if draw.random() < 0.7 else name.split("/")[0]
    del file[name]
    return name


def as_link(file: h5py.File, name: str, draw: np.random.Generator) -> object:
    target = ("/dev/zero", "/dev/stdin", "none.h5", str(file.filename))[draw.integers(4)]
    del file[name]
    file[name] = h5py.ExternalLink(target, name) if draw.random() < 0.7 else h5py.SoftLink("/trials/choice")
    return target


def elsewhere(file: h5py.File, name: str, draw: np.random.Generator) -> object:
    old = file[name]
    if draw.random() < 0.5:
        _remade(file, name, shape=old.shape, dtype=old.dtype, external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])
        return "external"
    layout = h5py.VirtualLayout(old.shape, old.dtype)
    layout[...] = h5py.VirtualSource("none.h5", name, shape=old.shape)
    attributes = dict(old.attrs)
    del file[name]
    file.create_virtual_dataset(name, layout).attrs.update(attributes)
    return "virtual"


def another_attribute(file: h5py.File, name: str, draw: np.random.Generator) -> object:
    owner = file if draw.random() < 0.7 else file[name]
    names = list(owner.attrs) or ["names"]
    key = names[draw.integers(len(names))]
    choices = (*TEXTS, 3, 2.5, np.arange(3), [b"\xff"], h5py.Empty("f"), ["a", "a"], np.zeros(3, "c8"), True, None)
    value = choices[draw.integers(len(choices))]
    if value is None:
        del owner.attrs[key]
    else:
        owner.attrs[key] = value
    return f"{key} {str(value)[:20]}"


CHANGES: tuple[Callable[[h5py.File, str, np.random.Generator], object], ...] = (
    *(of_another_type, of_another_shape, of_another_value, as_group, away, as_link, elsewhere, another_attribute),
)


def damage(path: Path, draw: np.random.Generator) -> str:
    """Flip, zero or cut bytes; returns what."""
    content = bytearray(path.read_bytes())
    kind = draw.integers(4)
    at = int(draw.integers(len(content)))
    if kind == 0:
        content = content[:at]
    elif kind == 1:
        content[at : at + 64] = bytes(len(content[at : at + 64]))
    else:
        for place in draw.integers(len(content), size=1 if kind == 2 else 20):
            content[place] ^= 1 << int(draw.integers(8))
    path.write_bytes(content)
    return f"bytes {kind} at {at}"


def outcome(path: Path) -> str:
    """What reading a file comes to: "read", or "refused". Raises AssertionError for a message that is no sentence of a file."""
    told = set()
    for act in (read_rollout, describe, verify):
        try:
            act(path)
        except REFUSED as error:
            message = str(error)
            assert path.name in message and "\n" not in message and len(message) < 1000, message
            told.add("refused")
    return "refused" if told else "read"


def run(cases: int, seed: int, folder: Path) -> Found:
    """Outcomes of so many cases, and what went wrong."""
    whole, path = folder / "whole.h5", folder / "case.h5"
    whole_file(whole)

    def damaged(case: int, draw: np.random.Generator) -> tuple[str, Callable[[], str]]:
        shutil.copy(whole, path)
        return (change if case % 2 else damage)(path, draw), partial(outcome, path)

    return run_cases(cases, seed, LIMIT, damaged)


def main() -> int:
    """Run the cases and print what came of them; the exit status."""
    options = asked(__doc__ or "", cases=500)
    return report(run, options.cases, options.seed, MEMORY)


if __name__ == "__main__":
    sys.exit(main())
