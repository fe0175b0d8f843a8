"""How the hot functions of this project are compiled.

`kernel` is numba's njit with a disk cache, without the interpreter's lock, and without reference counting: these functions
change arrays they are given and allocate none, and counting references to a dozen columns would cost them more than the
trial itself. `loop` is the same for functions that close over a learning rule, which numba
cannot cache on disk. `njit` is numba's, with the cache of this project (`envs.cache`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba import config

from envs.cache import Cache, cache_folder

FOLDER = cache_folder()  # None where nothing can be written: every process then compiles for itself
if FOLDER is not None:
    config.CACHE_DIR = str(FOLDER)


def njit(*functions: Callable[..., Any], cache: bool = False, **options: Any) -> Any:
    """As `numba.njit`; files of a cache that are cut short or changed are compiled again."""

    def compiled(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(function)
        if cache and FOLDER is not None and not config.DISABLE_JIT:
            dispatcher._cache = Cache(function)
        return dispatcher

    return compiled(*functions) if functions else compiled


kernel = njit(cache=True, nogil=True, _nrt=False)
loop = njit(nogil=True, _nrt=False)
