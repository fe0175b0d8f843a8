"""How the hot functions of this project are compiled.

`kernel` is numba's njit with a disk cache, without the interpreter's lock, and without reference counting: these functions
change arrays they are given and allocate none, and counting references to a dozen columns would cost them more than the
trial itself (400 against 170 ns per trial). `loop` is the same for functions that close over a learning rule, which numba
cannot cache on disk.
"""

from numba import njit

kernel = njit(cache=True, nogil=True, _nrt=False)
loop = njit(nogil=True, _nrt=False)
