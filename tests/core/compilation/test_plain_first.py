"""A kernel runs as plain Python until that has taken long; then a child process compiles what is not kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

KERNELS = """
import numpy as np
from shootdown._compilation.kernels import inlined, kernel


@inlined
def twice(x):
    return x * np.uint64(2)


@kernel
def add(cells, x):
    for i in range(cells.shape[0]):
        cells[i] += twice(x)
    return cells[0]
"""
# Calls a kernel until its compiled copy answers.
RUN = """
import json, os, sys, time
import numpy as np
from shootdown._compilation import announcing, elsewhere, running
from kernels_of_a_test import add

lines = []
announcing.listen(lines.append)
running.WORTH_IT = float(sys.argv[1])
cells = np.zeros(3, np.uint64)
calls = 0
began = time.monotonic()
while time.monotonic() - began < 300:
    found = running.runnable(add)(cells, np.uint64(1 << 63 | 1))
    calls += 1
    dispatcher = running._compiled.get(add)
    if calls == int(sys.argv[2]) or (dispatcher is not None and dispatcher.overloads):
        break
child = elsewhere.child._process
print(json.dumps({
    "kind": type(found).__name__,
    "equal": cells.tolist() == [2 * calls] * 3,
    "calls": calls,
    "numba": "numba" in sys.modules,
    "compiled": bool(dispatcher is not None and dispatcher.overloads),
    "child": child is not None,
    "nice": os.getpriority(os.PRIO_PROCESS, child.pid) if child is not None and child.poll() is None else None,
    "lines": lines,
}))
"""


def ran(folder: Path, worth_it: float, calls: int = -1, **variables: str) -> dict[str, object]:
    file = folder / "kernels_of_a_test.py"
    if not file.exists():
        file.write_text(KERNELS)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, str(worth_it), str(calls)],
        env={
            **os.environ,
            "SHOOTDOWN_COMPILE": "auto",
            "NUMBA_CACHE_DIR": str(folder / "kept"),
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_what_takes_no_longer_than_loading_numba_never_loads_it(tmp_path):
    found = ran(tmp_path, 1000.0, 50)
    assert (found["kind"], found["equal"], found["calls"]) == ("int", True, 50)
    assert not found["numba"]
    assert not found["child"]


@pytest.mark.compiled
def test_a_child_compiles_what_takes_longer_while_plain_python_goes_on(tmp_path):
    """And hands over, in the middle of the same work; the next process finds the kernel on disk and has no child."""
    first = ran(tmp_path, 0.0)
    assert (first["kind"], first["equal"], first["compiled"], first["child"]) == ("int", True, True, True)
    assert first["calls"] > 1
    assert first["nice"] in (None, min(os.getpriority(os.PRIO_PROCESS, 0) + 3, 19))
    assert len(first["lines"]) == 1
    assert "not compiled yet" in first["lines"][0]
    again = ran(tmp_path, 0.0)
    assert (again["equal"], again["compiled"], again["child"], again["calls"]) == (True, True, False, 1)


@pytest.mark.compiled
def test_without_a_python_to_start_a_child_with_the_process_compiles_itself(tmp_path):
    code = RUN.replace("lines = []", "lines = []; sys.executable = ''", 1)
    (tmp_path / "kernels_of_a_test.py").write_text(KERNELS)
    done = subprocess.run(
        [sys.executable, "-c", code, "0", "-1"],
        env={
            **os.environ,
            "SHOOTDOWN_COMPILE": "auto",
            "NUMBA_CACHE_DIR": str(tmp_path / "kept"),
            "PYTHONPATH": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert (found["compiled"], found["child"], found["equal"], found["calls"]) == (True, False, True, 1)
    assert "compiled first" in found["lines"][-1]


@pytest.mark.compiled
def test_what_compiles_ahead_compiles_at_once_though_it_runs_for_a_moment_only(tmp_path):
    """As `shootdown warm` does: its runs are so short that plain Python would end them."""
    (tmp_path / "kernels_of_a_test.py").write_text(KERNELS)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            RUN.replace("lines = []", "lines = []; running.compile_at_once()", 1),
            "1000",
            "1",
        ],
        env={
            **os.environ,
            "SHOOTDOWN_COMPILE": "auto",
            "NUMBA_CACHE_DIR": str(tmp_path / "kept"),
            "PYTHONPATH": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert (found["compiled"], found["child"], found["equal"], found["calls"]) == (True, False, True, 1)


END = """
import os, sys
sys.stdout.flush()
from shootdown._compilation import elsewhere
import numpy as np
from kernels_of_a_test import add
assert elsewhere.child.ask(add, 1, (np.zeros(3, np.uint64), np.uint64(1))) is None
print(elsewhere.child._process.pid, flush=True)
"""


@pytest.mark.compiled
@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), 9)", "os._exit(0)"])
def test_the_child_ends_with_the_process_that_started_it_however_that_ends(tmp_path, end):
    (tmp_path / "kernels_of_a_test.py").write_text(KERNELS)
    done = subprocess.run(
        [sys.executable, "-c", END + end],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kept"), "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    still = Path(f"/proc/{int(done.stdout)}/cmdline")
    deadline = time.monotonic() + 60
    while still.exists() and still.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_value_stands_for_all_of_its_type():
    import numpy as np

    from shootdown._compilation.elsewhere import typical

    fixed = np.zeros((3, 4), np.uint16)
    fixed.flags.writeable = False
    array, number, (short,) = typical((np.arange(9), 7, (fixed,)))
    assert (array.dtype, array.shape, number) == (np.int64, (0,), 7)
    assert (short.dtype, short.ndim, short.flags.writeable) == (np.uint16, 2, False)
    with pytest.raises(TypeError):
        typical(np.arange(9)[::2])


# Runs command lines as plain Python, and compares the types of what each kernel was called with.
TYPES = """
import contextlib, io, json, pickle, sys
from shootdown._cli import run
from shootdown._compilation import running
from shootdown._compilation.elsewhere import typical
from shootdown._compilation.named import function_named, name_of

called = {}
plain = running._plain

def noting(function):
    call = plain(function)
    def note(*args):
        called.setdefault(function, args)
        return call(*args)
    return note

running._plain = noting
for line in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run(line.split())
import numpy as np
from shootdown._plugins.registry import registry
from shootdown.formats import AddressSpace, PhysicalMemory, Walker
form = registry().formats()["x86_64-4level"]
memory = PhysicalMemory()
root = AddressSpace(form, memory, settings=form.settings()).root
Walker(form, memory).walk(root, 4096)
from shootdown._pagetables.walk_many import walk_many
walk_many(form, memory, root, np.zeros(3, np.uint64))

from shootdown._compilation.backend import dispatchers
for function, args in called.items():
    made = dispatchers.dispatcher(function)
    number, name, sent = pickle.loads(pickle.dumps((1, name_of(function), tuple(map(typical, args)))))
    assert function_named(name) is function, name
    assert [made.typeof_pyval(a) for a in sent] == [made.typeof_pyval(a) for a in args], name
print(len(called))
"""


@pytest.mark.compiled
def test_the_child_is_told_the_types_that_each_kernel_is_called_with():
    """Of the engines, the explorer, walks and TLBs; and each kernel has a name that the child knows it by."""
    lines = [
        "compare hugetlb-munmap --arch x86 -p tables=1 --cpus 3 --kernel 7.0",
        "explore madv-free-dio --set scenario.fix=false",
        "explore unshare-walk-cache --arch arm64 --kernel 7.0",
        "explore unshare-walk-cache --arch arm64 --kernel 7.1 --soak 1",
        "tlb docs/examples/lackey.txt docs/examples/threads.npy",
    ]
    done = subprocess.run(
        [sys.executable, "-c", TYPES, json.dumps(lines)],
        cwd=ROOT,
        env={**os.environ, "SHOOTDOWN_COMPILE": "never"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20
