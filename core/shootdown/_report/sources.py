"""Where things are on the web: a kernel function's line, a commit."""

from __future__ import annotations

import re

from shootdown._values.source_lines import place

_COMMIT = re.compile(r"[0-9a-f]{12,40}")
_RELEASE = re.compile(r"\d+\.\d+(?:\.\d+)?(?:-rc\d+)?")
_TREE = "https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git/tree"


def where(kernel: str, function: str, file: str) -> str:
    """Return the file of a kernel function, and its line where that is known of the release."""
    found = place(kernel, function, file)
    return f"{found[0]}:{found[1]}" if found is not None else file


def link(kernel: str, function: str, file: str) -> str:
    """Return the address of a kernel function in a release, or an empty text; of a patched one as it was before."""
    release = kernel.partition("+")[0]
    if not file or _RELEASE.fullmatch(release) is None:
        return ""
    found = place(release, function, file)
    path, line = found if found is not None else (file, 0)
    return f"{_TREE}/{path}?h=v{release}{f'#n{line}' if line else ''}"


def commit_link(name: str) -> str:
    """Return the address of a mainline commit, or an empty text where a name is none."""
    return f"https://git.kernel.org/torvalds/c/{name}" if _COMMIT.fullmatch(name) else ""
