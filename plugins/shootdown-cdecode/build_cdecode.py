"""What cffi compiles: the declarations of cdecode.h, and cdecode.c."""

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).parent / "src" / "shootdown_cdecode"

ffi = FFI()
# cffi reads declarations, and no lines of the preprocessor.
header = (HERE / "cdecode.h").read_text(encoding="utf-8")
ffi.cdef("\n".join(line for line in header.splitlines() if not line.startswith("#")))
ffi.set_source(
    "shootdown_cdecode._cdecode",
    # Included, for where a build begins differs: pip, and tests that compile it in its place.
    '#include "cdecode.h"\n#include "cdecode.c"',
    include_dirs=[str(HERE)],
    extra_compile_args=["-O3"],
)
