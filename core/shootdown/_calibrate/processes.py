"""fork(), exit() and wait() of a small process: measured in a process of its own, which has little memory."""

from __future__ import annotations

import json
import subprocess
import sys

_SECONDS = 20
#: Run by a Python without anything: its pages are copied by each fork, so that more of them say what a page costs.
_PROGRAM = r"""
import json, mmap, os, time

def turn():
    begin = time.perf_counter_ns()
    child = os.fork()
    if not child:
        os._exit(0)
    forked = time.perf_counter_ns()
    os.waitpid(child, 0)
    return forked - begin, time.perf_counter_ns() - begin

def turns(times):
    found = sorted(turn() for _ in range(times))
    both = sorted(whole - forked for forked, whole in found)
    return found[times // 4][0], both[times // 4]

def private():
    with open("/proc/self/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty")) * 1024 // mmap.PAGESIZE

turns(10)
own, first = private(), turns(60)
more = 4096
memory = mmap.mmap(-1, more * mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
if hasattr(mmap, "MADV_NOHUGEPAGE"):
    memory.madvise(mmap.MADV_NOHUGEPAGE)
for page in range(more):
    memory[page * mmap.PAGESIZE] = 1
second = turns(40)
print(json.dumps([own, more, first, second]))
"""


def fork_and_exit() -> tuple[float, float]:
    """Return what fork() takes without the pages that it copies, and then exit() until wait() returns, in nanoseconds.

    Raises:
        OSError: no process could be made, or it failed.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
        own, more, first, second = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise OSError(f"the process that forks failed: {type(error).__name__}") from None
    found = []
    for before, after in zip(first, second, strict=True):
        page = max((after - before) / more, 0.0)
        found.append(max(before - own * page, 0.2 * before))
    return found[0], found[1]
