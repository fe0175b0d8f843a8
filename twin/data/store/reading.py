"""Reading HDF5 rollouts: whole, of the schema, and with values that are possible, or an error that says what is not."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from twin.data.checks import check_rollout
from twin.data.files import Locked, starts_with
from twin.data.rollout import COLUMNS, REQUIRED, SESSION_COLUMNS, Rollout, Sessions
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


class Outline(NamedTuple):
    """What a file says of its M mice and S sessions; its trials are not read."""

    ids: tuple[str, ...]
    starts: np.ndarray  # (M + 1,) first trial of each mouse, and N
    sessions: Sessions
    of_session: dict[str, np.ndarray]
    keys: np.ndarray | None  # (M,)
    theta: np.ndarray | None  # (M, P)
    theta_names: tuple[str, ...]
    columns: tuple[str, ...]  # of trials that there are, `weights` among them
    features: tuple[str, ...]
    origin: dict[str, Any]
    scenario: str
    versions: dict[str, Any]
    content_hash: str


def read_outline(path: str | Path) -> Outline:
    """What a file says of mice and sessions. Raises what `read_rollout` does."""
    with _opened(Path(path)) as file:
        mice, sessions, trials = (schema.group_of(file, name) for name in ("mice", "sessions", "trials"))
        starts = _starts(mice)
        ids = schema.needed(mice, "id", "text", (len(starts) - 1,))
        of_session, keys, theta, weights = _of_session(sessions), *_of_mice(mice), _weights(trials, starts)
        return Outline(
            ids=tuple(ids.asstr()[()]),
            starts=starts,
            sessions=Sessions(*(schema.needed(sessions, name, "iu", (None,))[()] for name in Sessions._fields)),
            of_session={name: column[()] for name, column in of_session.items()},
            keys=None if keys is None else keys[()],
            theta=None if theta is None else theta[()],
            theta_names=() if theta is None else schema.texts(theta, "names"),
            columns=tuple(trials),
            features=() if weights is None else schema.texts(weights, "features"),
            origin=schema.table(file, "origin"),
            scenario=schema.text(file, "scenario"),
            versions=schema.table(file, "versions"),
            content_hash=schema.text(file, "content_hash"),
        )


def read_rollout(path: str | Path, mice: range | None = None, columns: Sequence[str] | None = None) -> Rollout:
    """A rollout from its file: of all mice or some in a row, with all columns or those named, `weights` being one.

    The column `session` is always there. Raises FileNotFoundError, ValueError saying what is wrong with the file, or Locked or
    PermissionError if it cannot be read.
    """
    with _opened(Path(path)) as file:
        return _read(file, mice, columns)


def _read(file: Any, some: range | None, names: Sequence[str] | None) -> Rollout:
    mice, sessions, trials = (schema.group_of(file, name) for name in ("mice", "sessions", "trials"))
    starts = _starts(mice)
    m, n = len(starts) - 1, int(starts[-1])
    columns = {name: schema.array(trials, name, _kinds(COLUMNS[name][0]), (n,)) for name in COLUMNS}
    if missing := [name for name in REQUIRED if columns[name] is None]:
        raise schema.SchemaError(f"the trial columns {missing} are missing")
    of_session, keys, theta, weights = _of_session(sessions), *_of_mice(mice), _weights(trials, starts)
    if some is not None and not 0 <= some.start < some.stop <= m:
        raise schema.SchemaError(f"mice {some.start} to {some.stop - 1} are not among its {m} mice")
    who = slice(None) if some is None else slice(some.start, some.stop)
    bounds = starts if some is None else starts[some.start : some.stop + 1]
    first, rows, days = int(bounds[0]), slice(int(bounds[0]), int(bounds[-1])), _days(sessions, some)
    wanted = {*columns, "weights"} if names is None else {"session", *names}
    if "weights" not in wanted:
        weights = None
    rollout = Rollout(
        columns={name: column[rows] for name, column in columns.items() if column is not None and name in wanted},
        starts=bounds - first,
        ids=tuple(schema.needed(mice, "id", "text", (m,)).asstr()[who]),
        features=() if weights is None else schema.texts(weights, "features"),
        weights=None if weights is None else weights[rows],
        keys=None if keys is None else keys[who],
        theta=None if theta is None else theta[who],
        theta_names=() if theta is None else schema.texts(theta, "names"),
        origin=schema.table(file, "origin"),
        of_session={name: column[days] for name, column in of_session.items()},
    )
    try:
        check_rollout(rollout)
    except ValueError as error:
        raise schema.SchemaError(str(error)) from None
    _check_sessions(sessions, rollout, days, (who.start or 0, 0, first, first))
    return rollout


def _starts(mice: Any) -> np.ndarray:
    """Where mice start."""
    starts: np.ndarray = schema.needed(mice, "start", "iu", (None,))[()]
    if not len(starts) or starts[-1] < 0 or starts[0] != 0 or (starts[1:] < starts[:-1]).any():
        raise schema.SchemaError(
            f"/mice/start: where mice start does not rise from 0, one number for each mouse and one for the end ({starts})"
        )
    return starts


def _of_mice(mice: Any) -> tuple[Any, Any]:
    """The datasets of keys and parameters, each None if it is not there."""
    m = len(_starts(mice)) - 1
    return schema.array(mice, "key", "u", (m,)), schema.array(mice, "theta", "f", (m, None))


def _weights(trials: Any, starts: np.ndarray) -> Any:
    """The dataset of weights, None if it is not there."""
    return schema.array(trials, "weights", "f", (int(starts[-1]), None))


def _of_session(sessions: Any) -> dict[str, Any]:
    """The datasets of SESSION_COLUMNS that there are."""
    found = {name: schema.array(sessions, name, _kinds(SESSION_COLUMNS[name][0]), (None,)) for name in SESSION_COLUMNS}
    return {name: column for name, column in found.items() if column is not None}


def _days(sessions: Any, some: range | None) -> slice:
    """Rows of the sessions of some mice, or of all."""
    if some is None:
        return slice(None)
    mouse = schema.needed(sessions, "mouse", "iu", (None,))[()]
    return slice(*np.searchsorted(mouse, (some.start, some.stop)).tolist())


def _kinds(dtype: str) -> str:
    kind = np.dtype(dtype).kind
    return "iu" if kind == "i" else kind


def _check_sessions(sessions: Any, rollout: Rollout, days: slice, first: tuple[int, ...]) -> None:
    """Raise SchemaError unless those rows of the table of sessions, less the first mouse and trial, are what the trials say."""
    for (name, expected), before in zip(rollout.sessions._asdict().items(), first, strict=True):
        found = schema.needed(sessions, name, "iu", (None,))[days] - before
        if not np.array_equal(found, expected):
            raise schema.SchemaError(f"/sessions/{name} is not what the trials say; write or copy the file again")


def totals_of_sessions(path: str | Path) -> dict[str, np.ndarray]:
    """Water and duration of each session as a file has them."""
    with _opened(Path(path)) as file:
        sessions = schema.group_of(file, "sessions")
        found = {name: schema.array(sessions, name, "f", (None,)) for name in ("water_ul", "duration_s")}
        return {name: values[()] for name, values in found.items() if values is not None}
