"""Files that are written whole or not at all, and what is said where they cannot be.

A file is written under another name, which it loses only when all of it is on the disk. So nobody sees half of one, and what a
full disk or a kill interrupts is not there at all.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no room: on the disk, in the user's share of it, in one file


class DiskFull(OSError):
    """There is no room for a file; the message says which, and what it needs."""


class Locked(OSError):
    """Another program holds a file; the message says how it is freed."""


def starts_with(path: str | Path, magic: bytes) -> bool:
    """Are these the first bytes of a file?"""
    with open(path, "rb") as file:
        return file.read(len(magic)) == magic


def replace_file(path: str | Path, content: bytes) -> None:
    """Write a file whole. Raises OSError that says which file could not be written, why, and what to do."""
    with written_whole(path, len(content)) as partial:
        partial.write_bytes(content)


@contextmanager
def written_whole(path: str | Path, size: int | None = None) -> Iterator[Path]:
    """The name under which to write a file; it gets its own when the block ends, and is removed if the block fails.

    `size` is what the file needs, in bytes, if that is known. Raises OSError as `replace_file`.
    """
    path = Path(path)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")  # two processes may write the same file
    try:
        with said_of(path, size):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def remove_partial(folder: Path) -> None:
    """Remove what writers that were killed left in a folder and below; to be called when nobody writes there."""
    for path in folder.rglob("*.tmp"):
        if re.search(r"\.[0-9a-f]{8}\.tmp$", path.name) and path.is_file():
            path.unlink(missing_ok=True)


@contextmanager
def said_of(path: str | Path, size: int | None = None) -> Iterator[None]:
    """Make an error of the system in this block one sentence about a file, which needs `size` bytes."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # it is a sentence already
            raise
        if error.errno in FULL:
            raise DiskFull(_full(Path(path), size, error)) from error
        elsewhere = error.filename and not str(error.filename).startswith(str(path))  # it begins so under its other name too
        where = error.filename if elsewhere else path
        raise type(error)(f"{where}: {error.strerror}; give a path that can be used, or allow its use") from error


def _full(path: Path, size: int | None, error: OSError) -> str:
    """What to say of a file for which there is no room."""
    needs = "" if size is None else f", which needs {_megabytes(size)}"
    free = "unknown"
    with suppress(OSError):
        free = _megabytes(shutil.disk_usage(path.parent).free)
    return (
        f"{path}: no space left for this file{needs} ({error.strerror}; {free} free on its disk); "
        f"free some, or write elsewhere, and run the same command again"
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.3g} MB"


CGROUPS = Path("/sys/fs/cgroup")


def memory_of_machine() -> int:
    """Bytes of memory that this process may have: those of the machine, or of the container (control group) that it is in."""
    if not hasattr(os, "sysconf"):
        return sys.maxsize  # a system that does not tell
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits_of_groups(Path("/proc/self/cgroup"), CGROUPS)])


def _limits_of_groups(groups: Path, root: Path) -> list[int]:
    """Limits of memory, bytes, of the control groups (version 1, 2) that a file like /proc/self/cgroup lists, and above."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return []
    limits = []
    for _, controllers, group in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers not in ("", "memory"):
            continue
        top, name = (root, "memory.max") if not controllers else (root / "memory", "memory.limit_in_bytes")
        inside = top / group.lstrip("/")
        for folder in (inside, *inside.parents):
            if folder == top or top in folder.parents:
                with suppress(OSError, ValueError):  # no such file, or "max"
                    limits.append(int((folder / name).read_text()))
    return limits


def check_disk(path: Path, size: int, what: str) -> None:
    """Raise DiskFull, before anything is made, if what is to be written to a folder has no room on its disk; size in bytes."""
    there = next((folder for folder in (path, *path.parents) if folder.exists()), Path("/"))
    free = shutil.disk_usage(there).free
    if size > free:
        raise DiskFull(
            f"{path}: no space for {what}, which needs about {size / 1e9:,.3g} GB; {free / 1e9:,.3g} GB are free on its disk; "
            f"free some, write elsewhere (--out), or leave out the weights (--no-weights)"
        )


def told(error: OSError) -> str:
    """One sentence of any error of the system, its file first."""
    if error.errno is None or error.strerror is None:
        return str(error)
    where = f"{error.filename}: " if error.filename is not None else ""
    return f"{where}{error.strerror}"
