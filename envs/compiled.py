"""How the hot functions of this project are compiled.

`kernel` is numba's njit with a disk cache, without the interpreter's lock, and without reference counting: these functions
change arrays they are given and allocate none, and counting references to a dozen columns would cost them more than the
trial itself. `loop` is the same for functions that close over a learning rule, which numba
cannot cache on disk.

Numba's cache looks at the file of a function but not at those of the functions it calls, so an edited kernel would live on,
unedited, inside its callers. The cache is therefore kept in a folder named after the state of every file with compiled code.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from numba import config, njit

kernel = njit(cache=True, nogil=True, _nrt=False)
loop = njit(nogil=True, _nrt=False)


def _cache_folder() -> Path:
    """Where compiled code of the present sources is kept; that of other states beside it is removed."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for package in ("envs", "agents", "twin"):
        for source in sorted((here.parent / package).rglob("*.py")):
            text = source.read_bytes()
            if b"kernel" in text or b"njit" in text:
                digest.update(source.name.encode() + text)
    root = here / "__pycache__"
    if not os.access(here, os.W_OK):
        root = Path.home() / ".cache" / "behavioral-twin"
    folder = root / f"numba-{digest.hexdigest()[:16]}"
    if not folder.exists():
        for old in root.glob("numba-*"):
            shutil.rmtree(old, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
    return folder


if not config.CACHE_DIR:
    config.CACHE_DIR = str(_cache_folder())
