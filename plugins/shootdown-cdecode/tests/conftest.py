"""Where the distribution is not installed, its C functions are compiled in their place; no compiler, no tests."""

from __future__ import annotations

import fcntl
import importlib.util
import runpy
import shutil
import sys
from pathlib import Path

PLUGIN = Path(__file__).parents[1]
SOURCE = PLUGIN / "src" / "shootdown_cdecode"


def build() -> bool:
    """Compile the extension in its place where it is older than its sources; say whether there is one."""
    if importlib.util.find_spec("cffi") is None or not (shutil.which("cc") or shutil.which("gcc")):
        return False
    with open(PLUGIN / ".building", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers begin at the same time
        newest = max(
            path.stat().st_mtime for path in (PLUGIN / "build_cdecode.py", *SOURCE.glob("cdecode.*"))
        )
        built = next(SOURCE.glob("_cdecode.*.so"), None)
        if built is None or built.stat().st_mtime < newest:
            ffi = runpy.run_path(str(PLUGIN / "build_cdecode.py"))["ffi"]
            ffi.compile(tmpdir=str(PLUGIN / "src"))
    return True


if importlib.util.find_spec("shootdown_cdecode") is None:
    if build():
        sys.path.insert(0, str(PLUGIN / "src"))
    else:
        collect_ignore_glob = ["test_*.py"]
