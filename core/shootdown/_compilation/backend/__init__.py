"""The side of numba: the only modules that import numba or llvmlite. Imported when a kernel is first compiled."""
