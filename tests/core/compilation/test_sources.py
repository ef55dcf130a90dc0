"""What is kept of compiled kernels is stale after an edit of any source that it comes from, and only then."""

import os
import subprocess
import sys

import pytest

from shootdown._compilation.running import compiles

KERNEL = """
from shootdown._compilation.kernels import kernel
from toy.helper import (
    doubled,  # a comment, with a comma
)
from toy import numbers as n

@kernel
def answer(x):
    return doubled(x) + n.OFFSET
"""
HELPER = """
from ._user import inlined

@inlined
def doubled(x):
    return 2 * x
"""
RUN = """
from shootdown._compilation.running import compiled
from toy.kernels import answer
value = compiled(answer)(20)
print(value, sum(compiled(answer).stats.cache_hits.values()))
"""


@pytest.fixture
def toy(tmp_path):
    if not compiles():
        pytest.skip("this process compiles nothing")
    folder = tmp_path / "toy"
    folder.mkdir()
    sources = {
        "__init__": "",
        "kernels": KERNEL,
        "helper": HELPER,
        "numbers": "OFFSET = 2",
        "_user": "from shootdown._compilation.kernels import inlined",
        "bystander": "import toy.kernels",
    }
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    return folder


def run(folder):
    """Run the kernel in a process of its own; give its answer and whether it was found on disk."""
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(folder.parent / "kept"),
        "PYTHONPATH": str(folder.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN], env=environment, check=True, capture_output=True, text=True
    )
    answer, hits = done.stdout.split()
    return int(answer), hits == "1"


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_second_process_finds_the_kernel_and_writes_nothing(toy):
    def kept():
        files = (toy.parent / "kept").rglob("*")
        return {file: file.stat().st_mtime_ns for file in files if file.is_file()}

    assert run(toy) == (42, False)
    written = kept()
    assert run(toy) == (42, True)
    assert written
    assert kept() == written


@pytest.mark.parametrize(
    ("name", "old", "new", "answer"),
    [
        ("helper", "2 * x", "3 * x", 62),
        ("numbers", "OFFSET = 2", "OFFSET = 4", 44),
    ],
)
def test_an_edited_helper_or_constant_in_another_file_recompiles_the_kernel(toy, name, old, new, answer):
    run(toy)
    edit(toy / f"{name}.py", old, new)
    assert run(toy) == (answer, False)
    assert run(toy) == (answer, True)


def test_a_module_that_imports_the_kernel_may_change(toy):
    run(toy)
    edit(toy / "bystander.py", "import", "import os;import")
    assert run(toy) == (42, True)


def test_the_timed_engine_comes_from_the_machine_that_it_inlines():
    from shootdown._compilation.sources import sources
    from shootdown._timed import scheduler

    found = {"/".join(file.parts[-2:]) for file in sources(scheduler.__name__)}
    machine = {f"_machine/{name}.py" for name in ("step", "bits", "layout", "ops")}
    assert machine | {"_timed/scheduler.py", "_timed/books.py", "_timed/costs.py"} <= found
    assert not any("_cli" in name or "_report" in name for name in found)


def test_walks_come_from_core_alone():
    """An edited plugin recompiles no kernel of core; its formats are part of the kernels' types."""
    from shootdown._compilation.sources import sources
    from shootdown._pagetables import walk

    found = sources(walk.__name__)
    assert {"walk.py", "layout_type.py", "memory_type.py", "memory_kernels.py", "format_layout.py"} <= {
        f.name for f in found
    }
    assert not any(file.parts[-2].startswith("shootdown_") for file in found)


def test_what_was_never_compiled_is_not_kept(toy):
    code = (
        "from toy.kernels import answer; from shootdown._compilation.running import compiled; "
        "from shootdown._compilation.backend.disk import is_kept; print(is_kept(compiled(answer)))"
    )
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(toy.parent / "kept"),
        "PYTHONPATH": str(toy.parent),
        "PYTHONDONTWRITEBYTECODE": "1",  # a file of the same size, changed within a second, is the same to it
    }

    def asked():
        done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
        return done.stdout.strip()

    assert asked() == b"False"
    run(toy)
    assert asked() == b"True"
    edit(toy / "helper.py", "2 * x", "3 * x")
    assert asked() == b"False"


def test_without_a_folder_to_write_to_kernels_compile_all_the_same(monkeypatch):
    from shootdown._compilation.backend import disk
    from shootdown._compilation.kernels import kernel
    from shootdown._compilation.running import compiled

    monkeypatch.setattr(disk._Kept._impl_class, "_locator_classes", [])
    successor = kernel(lambda x: x + 1)
    assert compiled(successor)(1) == 2


def test_a_kernel_whose_source_changed_after_the_process_began_is_not_kept(toy):
    """Its sources are read when it is compiled: by then they may not be what was imported."""
    code = (
        "import pathlib, sys; from toy.kernels import answer; from shootdown._compilation.running import compiled\n"
        "file = pathlib.Path(sys.argv[1]); file.write_text(file.read_text().replace('2 * x', '3 * x'))\n"
        "print(compiled(answer)(20))"
    )
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(toy.parent / "kept"),
        "PYTHONPATH": str(toy.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(toy / "helper.py")], env=environment, check=True, capture_output=True
    )
    assert done.stdout.strip() == b"42"
    assert run(toy) == (62, False)


def test_what_stands_for_an_instruction_is_a_source_of_the_kernels_that_use_it():
    from shootdown._compilation.sources import sources
    from shootdown._machine import bits
    from shootdown._tlb import passes

    names = {module: {"/".join(f.parts[-2:]) for f in sources(module.__name__)} for module in (bits, passes)}
    assert {"backend/dispatchers.py", "backend/instructions.py"} <= names[bits]
    assert "backend/vectors.py" in names[passes] - names[bits]
