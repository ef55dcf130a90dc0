"""The C references: `NAME.c` with its declarations in `NAME.h`, compiled through cffi once for each text."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FLAGS = ["-O3", "-march=native", "-std=gnu11"]


class NoCompilerError(Exception):
    """Report that C can't be compiled here; what needs it is left out."""


def load(name: str) -> tuple[Any, Any]:
    """Compile `NAME.c` where it has not been yet.

    Returns:
        The C functions and cffi's FFI.

    Raises:
        NoCompilerError: there is no cffi or no compiler.
    """
    try:
        import cffi
    except ImportError:
        raise NoCompilerError("cffi is not installed: pip install '.[native]'") from None
    if not (shutil.which("cc") or shutil.which("gcc")):
        raise NoCompilerError("there is no C compiler")
    source, header = (HERE / f"{name}.{kind}" for kind in ("c", "h"))
    texts = source.read_bytes() + header.read_bytes() + repr((FLAGS, sys.version)).encode()
    module = f"_bench_{name}_{hashlib.sha256(texts).hexdigest()[:12]}"
    folder = Path(tempfile.gettempdir()) / "shootdown-benchmarks"
    folder.mkdir(exist_ok=True)
    built = next(folder.glob(f"{module}.*.so"), None)
    if built is None:
        builder = cffi.FFI()
        builder.cdef(
            "".join(line for line in header.read_text().splitlines(True) if not line.startswith("#"))
        )
        builder.set_source(
            module,
            f'#include <stdint.h>\n#include "{name}.h"',
            sources=[str(source)],
            include_dirs=[str(HERE)],
            extra_compile_args=FLAGS,
        )
        try:
            built = Path(builder.compile(tmpdir=str(folder)))
        except Exception as problem:  # distutils and the compiler raise what they like
            raise NoCompilerError(f"{source.name} does not compile: {problem}") from None
    spec = importlib.util.spec_from_file_location(module, built)
    assert spec is not None
    assert spec.loader is not None
    compiled = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(compiled)
    return compiled.lib, compiled.ffi
