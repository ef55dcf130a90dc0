"""Kernels, the functions that numba compiles, and their compilation on demand.

The interface is `shootdown._compilation.kernels`: `kernel`, `internal`, `inlined` and `inlined_copy` register a
function and return it unchanged; `compiled` makes its compiled copy; `runnable` returns whichever of the two this
process runs. Only `shootdown._compilation.backend`, which `compiled` imports, imports numba or llvmlite.
"""
