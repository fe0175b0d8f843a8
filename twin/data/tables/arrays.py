"""Arrays of numpy's files, bounded before they are made: nothing pickled is loaded, and no more bytes than the file holds."""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from twin.data.files import memory_of_machine

MOST_COMPRESSION = 1_100  # of zip's deflate: 1,032
MOST_ARRAYS = 10_000  # in one file
KINDS = "biufSUMm"
BROKEN = (
    *(ValueError, SyntaxError, EOFError, OSError, zipfile.BadZipFile, zlib.error, KeyError, TypeError, OverflowError),
    *(NotImplementedError, RuntimeError, MemoryError, AttributeError, tokenize.TokenError),
)


def load_npy(path: Path) -> np.ndarray:
    """The array of a .npy file. Raises ValueError if it is not whole, or holds objects."""
    with open(path, "rb") as file:
        return _load(file, path.stat().st_size, str(path))


def load_npz(path: Path | IO[bytes], where: str) -> dict[str, np.ndarray]:
    """The arrays of a .npz file, called `where` in an error, by name.

    Raises ValueError naming the one that is not whole, or holds objects.
    """
    found = {}
    try:
        with zipfile.ZipFile(path) as file:
            members = file.infolist()
            if len(members) > MOST_ARRAYS:
                raise ValueError(f"{where}: {len(members)} arrays; expected {MOST_ARRAYS} at most")
            for member in members:
                name = member.filename.removesuffix(".npy")
                if member.file_size > min(MOST_COMPRESSION * max(member.compress_size, 1), memory_of_machine()):
                    raise ValueError(f"{where}, array {name[:60]!r}: declares {member.file_size} bytes; it is not whole")
                with file.open(member) as stream:
                    found[name] = _load(stream, member.file_size, f"{where}, array {name[:60]!r}")
    except BROKEN as error:
        if str(error).startswith(where):
            raise
        raise ValueError(f"{where}: not whole as .npz ({_reason(error)}); save or copy it again") from None
    return found


def names_of_npz(path: Path) -> list[str] | None:
    """Names of the arrays of a .npz file; None if a file is none."""
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    except BROKEN:
        return None
    return [name.removesuffix(".npy") for name in names] if names and all(name.endswith(".npy") for name in names) else None


def _load(file: IO[bytes], size: int, where: str) -> np.ndarray:
    """An array whose header declares no more than `size` bytes."""
    try:
        shape, fortran, dtype, header = _header(file)
    except BROKEN as error:
        raise ValueError(f"{where}: not whole as .npy ({_reason(error)}); save or copy it again") from None
    if dtype.hasobject:
        raise ValueError(
            f"{where}: holds Python objects, which are not loaded since they may run code; expected numbers or texts: save "
            f"it again without objects, or give the arrays themselves to twin.read"
        )
    if dtype.kind not in KINDS or dtype.subdtype is not None:
        raise ValueError(f"{where}: of the type {str(dtype)[:60]}; expected numbers or texts")
    declared = math.prod(shape) * dtype.itemsize
    if any(n < 0 for n in shape) or declared + header > size:
        raise ValueError(f"{where}: declares the shape {shape}, {declared} bytes of {size}; copy it again")
    try:
        content = file.read(declared)
        return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
    except BROKEN as error:
        raise ValueError(f"{where}: not whole as .npy ({_reason(error)}); save or copy it again") from None


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    version = npy.read_magic(file)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version} of the format")
    shape, fortran, dtype = read(file)
    return shape, fortran, dtype, npy.MAGIC_LEN


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
