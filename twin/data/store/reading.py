"""Reading HDF5 rollouts: whole, of the schema, and with values that are possible, or an error that says what is not."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from twin.data.checks import check_rollout
from twin.data.content import content_hash
from twin.data.files import Locked, starts_with
from twin.data.rollout import COLUMNS, REQUIRED, SESSION_COLUMNS, Rollout
from twin.data.store import schema
from twin.data.store.schema import FORMAT, FORMAT_VERSION

SIGNATURE = b"\x89HDF\r\n\x1a\n"  # the first bytes of every HDF5 file
# What h5py raises for a file that is not whole:
BROKEN = (OSError, LookupError, RuntimeError, TypeError, ValueError, OverflowError)


def is_rollout(path: str | Path) -> bool:
    """Is a file one of this format, whole or not? By its signature and the format it names."""
    if not starts_with(path, SIGNATURE):
        return False
    try:
        with h5py.File(path, "r") as file:
            return schema.text(file, "format") == FORMAT
    except schema.SchemaError:
        return False
    except BROKEN:  # cut short, or locked; reading it says so
        return True


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, checked to be a whole rollout.

    Raises FileNotFoundError, ValueError saying what is wrong with it, or Locked or PermissionError if it cannot be told.
    """
    _check_kind(path)
    try:
        with h5py.File(path, "r") as file:
            if not h5py.h5a.exists(file.id, b"format") or schema.text(file, "format") != FORMAT:
                raise schema.SchemaError(f"an HDF5 file, but not a {FORMAT}; make one with `twin import`")
            version = schema.scalar(file, "format_version", "iu")
            if version != FORMAT_VERSION:
                raise schema.SchemaError(
                    f"format version {version}; this version of twin reads {FORMAT_VERSION}; "
                    f"make the file again with `twin run` or `twin import`"
                )
            if not schema.scalar(file, "complete", "b"):
                raise schema.SchemaError("the file was never finished; write it again")
            yield file
    except schema.SchemaError as error:
        raise ValueError(f"{path}: {error}") from None
    except MemoryError as error:
        raise ValueError(f"{path}: holds more than the memory of this machine does") from error
    except BROKEN as error:
        raise _unreadable(path, " ".join(str(error).split()), error) from error


def _check_kind(path: Path) -> None:
    """Raise an error unless a path is that of a plain file that may be read; nothing else is opened, a pipe for instance."""
    expected = "expected an HDF5 rollout written by `twin run` or `twin import`"
    try:
        kind = path.stat().st_mode
    except PermissionError:
        raise PermissionError(f"{path}: may not be read; {expected}, in a folder that you may open") from None
    except OSError:
        raise FileNotFoundError(f"{path}: no such file; {expected}") from None
    if not stat.S_ISREG(kind):
        raise ValueError(f"{path}: a folder, a pipe or a device, not a file; {expected}")
    if not os.access(path, os.R_OK):
        raise PermissionError(f"{path}: you may not read it; ask its owner, or `chmod u+r` it, and run the same command again")


def _unreadable(path: Path, reason: str, error: Exception) -> Exception:
    """What an error of h5py's means: a file that another program holds is whole, and is not to be made again."""
    if "unable to lock" in reason or "already open" in reason or isinstance(error, BlockingIOError):
        return Locked(
            f"{path}: locked by another program that has it open for writing; it is kept as it is. Close it there "
            f"(or end that program), then run the same command again; where the file system has no locks, set "
            f"HDF5_USE_FILE_LOCKING=FALSE"
        )
    if isinstance(error, PermissionError):
        return PermissionError(f"{path}: you may not read it; ask its owner, or `chmod u+r` it")
    return ValueError(f"{path}: not a readable HDF5 file, or cut short ({reason}); write or copy it again")


def read_rollout(path: str | Path) -> Rollout:
    """A rollout from its file.

    Raises FileNotFoundError, ValueError saying what is wrong with the file, or Locked or PermissionError if it cannot be read.
    """
    with _opened(Path(path)) as file:
        rollout = _read(file)
        try:
            check_rollout(rollout)
        except ValueError as error:
            raise schema.SchemaError(str(error)) from None
        _check_sessions(file, rollout)
        return rollout


def _read(file: Any) -> Rollout:
    mice, sessions, trials = (schema.group_of(file, name) for name in ("mice", "sessions", "trials"))
    starts = schema.needed(mice, "start", "iu", (None,))[()]
    if not len(starts) or starts[-1] < 0:
        raise schema.SchemaError(f"/mice/start is {starts}; expected where each mouse starts, and the number of trials")
    m, n = len(starts) - 1, int(starts[-1])
    columns = {name: schema.array(trials, name, _kinds(COLUMNS[name][0]), (n,)) for name in COLUMNS}
    if missing := [name for name in REQUIRED if columns[name] is None]:
        raise schema.SchemaError(f"the trial columns {missing} are missing")
    of_session = {name: schema.array(sessions, name, _kinds(SESSION_COLUMNS[name][0]), (None,)) for name in SESSION_COLUMNS}
    weights, theta = schema.array(trials, "weights", "f", (n, None)), schema.array(mice, "theta", "f", (m, None))
    keys = schema.array(mice, "key", "u", (m,))
    return Rollout(
        columns={name: column[()] for name, column in columns.items() if column is not None},
        starts=starts,
        ids=tuple(schema.needed(mice, "id", "text", (m,)).asstr()[()]),
        features=() if weights is None else schema.texts(weights, "features"),
        weights=None if weights is None else weights[()],
        keys=None if keys is None else keys[()],
        theta=None if theta is None else theta[()],
        theta_names=() if theta is None else schema.texts(theta, "names"),
        origin=schema.table(file, "origin"),
        of_session={name: column[()] for name, column in of_session.items() if column is not None},
    )


def _kinds(dtype: str) -> str:
    kind = np.dtype(dtype).kind
    return "iu" if kind == "i" else kind


def _check_sessions(file: Any, rollout: Rollout) -> None:
    """Raise SchemaError unless the table of sessions is what the trials say."""
    group = schema.group_of(file, "sessions")
    for name, expected in rollout.sessions._asdict().items():
        if not np.array_equal(schema.needed(group, name, "iu", (len(expected),))[()], expected):
            raise schema.SchemaError(f"/sessions/{name} is not what the trials say; write or copy the file again")


def describe(path: str | Path) -> dict[str, Any]:
    """What a file holds, without reading its trials."""
    with _opened(Path(path)) as file:
        mice, sessions, trials = (schema.group_of(file, name) for name in ("mice", "sessions", "trials"))
        starts = schema.needed(mice, "start", "iu", (None,))
        return {
            "mice": len(schema.needed(mice, "id", "text", (None,))),
            "sessions": len(schema.needed(sessions, "start", "iu", (None,))),
            "trials": int(starts[-1]) if len(starts) else 0,
            "columns": list(trials),
            "origin": schema.table(file, "origin"),
            "versions": schema.table(file, "versions"),
            "content_hash": schema.text(file, "content_hash"),
        }


def verify(path: str | Path) -> str:
    """The content hash of a file, recomputed.

    Raises ValueError if it is not the one stored, or the totals of the sessions are not those of the trials.
    """
    rollout, stored = read_rollout(path), describe(path)["content_hash"]
    found = content_hash(rollout)
    if stored != found:
        raise ValueError(f"{path}: the content is not what was written (hash {found[:12]} instead of {stored[:12]})")
    with _opened(Path(path)) as file:
        group = schema.group_of(file, "sessions")
        for name, expected in rollout.session_totals().items():
            if not np.array_equal(schema.needed(group, name, "f", (len(expected),))[()], expected, equal_nan=True):
                raise schema.SchemaError(f"the content is not what was written (/sessions/{name} is not what the trials say)")
    return found
