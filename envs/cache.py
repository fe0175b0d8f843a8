"""Where compiled code is kept, on machines as they are.

Numba's cache looks at the file of a function but not at those of the functions it calls, so an edited kernel would live on,
unedited, inside its callers. The cache is therefore kept in a folder named after the state of every file with compiled code:
beside this file, or where that cannot be written (a package of the system, a container) in the user's cache, or in a folder
for temporary files. A file of it that was cut short or changed is dropped, and its function compiled again; machine code
with a flipped bit would end the interpreter, so each file carries a checksum.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numba import config
from numba.core.caching import FunctionCache, IndexDataCacheFile

NAME = "behavioral-twin"
_CHECKSUM = hashlib.sha256().digest_size


def cache_folder() -> Path | None:
    """A folder for the compiled code of the present sources, that of other states beside it removed; None: there is none.

    A folder the user chose (NUMBA_CACHE_DIR) comes first. A temporary one is said on stderr when it is made.
    """
    if config.CACHE_DIR and _writable(Path(config.CACHE_DIR)):
        return Path(config.CACHE_DIR)
    name = f"numba-{_state()}"
    for root in _lasting_roots():
        if (root / name).is_dir() and _writable(root / name):
            return root / name
        if _writable(root / name):
            for old in set(root.glob("numba-*")) - {root / name}:
                shutil.rmtree(old, ignore_errors=True)
            return root / name
    return _temporary(name)


def _state() -> str:
    """The state of every file with compiled code, as 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for package in ("envs", "agents", "twin"):
        for source in sorted((Path(__file__).parent.parent / package).rglob("*.py")):
            text = source.read_bytes()
            if b"kernel" in text or b"njit" in text:
                digest.update(source.name.encode() + text)
    return digest.hexdigest()[:16]


def _lasting_roots() -> Iterator[Path]:
    yield Path(__file__).parent / "__pycache__"
    with contextlib.suppress(RuntimeError):  # a user without a home
        yield Path.home() / ".cache" / NAME


def _temporary(name: str) -> Path | None:
    """A folder of this user's alone, the same for all processes: what is in a cache is run."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    try:
        folder = Path(tempfile.gettempdir()) / f"{NAME}-{user}" / name
    except OSError:  # nowhere to write at all
        return None
    known = folder.is_dir()
    if not _writable(folder, mode=0o700) or (hasattr(os, "getuid") and folder.parent.stat().st_uid != user):
        return None
    if not known:
        print(
            f"compiled code is kept in {folder}, which may not last: neither the package's folder nor the home folder can be "
            f"written; set NUMBA_CACHE_DIR to a folder that can",
            file=sys.stderr,
        )
    return folder


def _writable(folder: Path, mode: int = 0o777) -> bool:
    """Can files be made in a folder? It is made if it is not there."""
    try:
        folder.parent.mkdir(mode=mode, parents=True, exist_ok=True)
        folder.mkdir(mode=mode, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


class _Files(IndexDataCacheFile):
    """Numba's files of one function; after what numba reads of each stands its checksum (unpickling ends before it)."""

    def _dump(self, obj: Any) -> bytes:
        data = super()._dump(obj)
        return data + hashlib.sha256(data).digest()

    def _load_index(self) -> Any:
        if os.path.exists(self._index_path):
            _check(self._index_path, start=len(pickle.dumps(self._version, protocol=-1)))
        return super()._load_index()

    def _load_data(self, name: str) -> Any:
        _check(self._data_path(name))
        return super()._load_data(name)


def _check(path: str, start: int = 0) -> None:
    """Raise ValueError unless what a file holds from `start` on has the checksum at its end."""
    data = Path(path).read_bytes()[start:]
    if hashlib.sha256(data[:-_CHECKSUM]).digest() != data[-_CHECKSUM:]:
        raise ValueError(f"{path}: cut short or changed")


class Cache(FunctionCache):
    """Numba's cache of one function, to which a file that cannot be read or written is as one that is not there."""

    _cache_file: Any

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        plain = self._cache_file
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, plain._source_stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Compiled code of one signature, or None."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # bytes that are not what was written may raise anything
            self._drop()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep compiled code; on a full disk it is compiled again next time."""
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)

    def _drop(self) -> None:
        """Remove every file of the function."""
        for path in Path(self._cache_path).iterdir():
            if path.name.startswith(self._impl.filename_base + ".") and path.suffix in (".nbi", ".nbc"):
                path.unlink(missing_ok=True)
