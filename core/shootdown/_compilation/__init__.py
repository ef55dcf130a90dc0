"""Compile kernels when they are asked for: all that imports numba or llvmlite."""
