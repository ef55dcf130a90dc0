"""The only modules that import numba or llvmlite. They are imported when a kernel is first compiled."""
