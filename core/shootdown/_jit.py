"""The one place that decides how kernels are compiled.

Importing this module imports numba (about 0.2 s): only modules that hold kernels do it, and those are imported
only when a kernel runs.
"""

from __future__ import annotations

from numba import njit

# `cache`: a second process compiles nothing. `error_model="numpy"`: no division checks in hot loops.
# `nogil`: two threads may walk at once. Kernels never raise; they return reason codes.
kernel = njit(cache=True, error_model="numpy", nogil=True)

# For small helpers of a kernel: inlined before optimisation, so that a step costs no call.
# numba does not see edits of an inlined helper in another file; `_fingerprint` in the kernels' own modules does.
inlined = njit(cache=True, error_model="numpy", nogil=True, forceinline=True)
