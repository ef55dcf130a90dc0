"""The one place that decides how kernels are compiled.

Importing this module imports numba (about 0.2 s): only modules that hold kernels do it, and those are imported
only when a kernel runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from numba import njit

if TYPE_CHECKING:  # what numba's own types know; they lack `_nrt`
    kernel = njit(cache=True, error_model="numpy", nogil=True)
    inlined = njit(cache=True, error_model="numpy", nogil=True, forceinline=True)
else:
    # Kernels allocate nothing and return no array, so nobody counts references to arrays: with counting, two atomic
    # additions for each array and call were 70 % of a timed run. A kernel that allocates does not compile.
    _UNCOUNTED = {"_nrt": False}

    # `cache`: a second process compiles nothing. `error_model="numpy"`: no division checks in hot loops.
    # `nogil`: two threads may walk at once. Kernels never raise; they return reason codes.
    kernel = njit(cache=True, error_model="numpy", nogil=True, **_UNCOUNTED)

    # For small helpers of a kernel: inlined before optimisation, so that a step costs no call.
    # numba does not see edits of an inlined helper in another file; `_fingerprint` in the kernels' own modules does.
    inlined = njit(cache=True, error_model="numpy", nogil=True, forceinline=True, **_UNCOUNTED)
