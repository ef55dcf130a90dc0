"""Compile kernels, the functions that numba compiles, when somebody asks, and not before.

The interface is `shootdown._compilation.kernels`: `kernel`, `internal`, `inlined` and `inlined_copy` note a function
and give the same function back; `compiled` makes its compiled copy; `runnable` gives whichever of the two this process
runs. All that imports numba or llvmlite lies in `shootdown._compilation.backend`, which `compiled` imports.
"""
