"""One process at a time in a run folder: a second is told who is there.

A whole run holds the folder alone. Parts of a run (`--shard`) hold it together, each part once. Where the file system has no
locks, nothing is locked. A lock ends with its process, however that ends; its file stays.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from twin.data.files import Locked, said_of

try:
    import fcntl
except ImportError:  # a system without it
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


class Part(NamedTuple):
    """One of several equal parts of a run."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@contextmanager
def locked(folder: Path, part: Part | None = None) -> Iterator[None]:
    """Hold a run folder, which is made if it is not there, for all of its run or one part of it.

    Raises Locked, saying which process has it, or OSError if the folder cannot be written to.
    """
    with said_of(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _held(folder / LOCK, folder, alone=part is None):
        if part is None:
            yield
            return
        with _held(folder / f"{LOCK}-{part.number}-of-{part.of}", folder, alone=True):
            yield


@contextmanager
def _held(path: Path, folder: Path, alone: bool) -> Iterator[None]:
    with said_of(path):
        file = open(path, "a+")  # noqa: SIM115 -- closed below, which ends the lock
    with file:
        if fcntl is not None:
            _take(file, folder, alone)
        _sign(file.fileno())
        yield


def _take(file: IO[str], folder: Path, alone: bool) -> None:
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        who = file.read(200).strip() or "which does not tell its name"
        raise Locked(
            f"{folder}: in use by another run ({who}); wait until that ends, "
            f"or give another --out. What is finished there is kept"
        ) from None
    except OSError:  # no locks on this file system
        return


def _sign(handle: int) -> None:
    """Say in the file who holds it, if the disk has room."""
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
