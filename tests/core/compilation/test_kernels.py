"""A kernel is a plain function until somebody asks for its compiled copy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from shootdown._compilation.kernels import inlined, inlined_copy, instruction, internal, kernel
from shootdown._compilation.running import compiled, compiles, plain, runnable

pytestmark = pytest.mark.skipif(not compiles(), reason="this process compiles nothing")

OFFSET = np.uint64(2)


@pytest.fixture(scope="module", autouse=True)
def nothing_is_kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The kernels of this file are compiled by its tests: who loads one from disk sees nothing of how it was made."""
    from shootdown._compilation.backend import disk

    kept = disk.folder_of
    empty = tmp_path_factory.mktemp("kept")

    def folder_of(source: str) -> Path | None:
        return empty if Path(source) == Path(__file__) else kept(source)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "folder_of", folder_of)
        yield


@inlined
def twice(x):
    return x + x


@internal
def plus_offset(x):
    return twice(x) + OFFSET


@kernel
def answer(x):
    return plus_offset(x)


def _large(x):
    return twice(x) + 1


large = kernel(_large)
large_inlined = inlined_copy(_large)


@kernel
def calls_the_copy(x):
    return large_inlined(x) + large(x)


@kernel
def is_even(n):
    return True if n == 0 else is_odd(n - 1)


@kernel
def is_odd(n):
    return False if n == 0 else is_even(n - 1)


@kernel
def factorial(n):
    return np.int64(1) if n < 2 else n * factorial(n - 1)


def test_every_decorator_gives_the_function_itself_back():
    for mark in (kernel, internal, inlined):

        def function(x):
            return x

        assert mark(function) is function
    assert answer(20) == 42


def test_the_compiled_copy_is_the_same_code_object_under_the_same_name():
    copy = compiled(answer).py_func
    assert copy is not answer
    assert copy.__code__ is answer.__code__
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__annotations__"):
        assert getattr(copy, name) == getattr(answer, name)


def test_it_is_made_once_and_names_compiled_copies_alone():
    """Which are made when it is compiled: who loads it from disk needs none of them."""
    from shootdown._compilation.backend.dispatchers import within

    assert compiled(answer) is compiled(answer)
    assert within(answer) is within(answer) is not compiled(answer)
    world = compiled(answer).py_func.__globals__
    assert compiled(answer)(20) == 42
    assert world["plus_offset"] is within(plus_offset)
    assert world["plus_offset"].py_func.__globals__["twice"] is within(twice)
    assert world["plus_offset"].py_func.__globals__["OFFSET"] is OFFSET
    assert "is_even" not in world  # what the code does not name


def test_it_computes_what_the_plain_function_does():
    assert compiled(answer)(20) == answer(20) == 42
    assert compiled(calls_the_copy)(3) == calls_the_copy(3) == 14


def test_what_goes_into_other_kernels_is_optimised_and_loaded_with_them_alone():
    from shootdown._compilation.backend.dispatchers import within

    assert compiled(calls_the_copy)(3) == 14
    assert compiled(answer)(20) == 42
    for part in (plus_offset, twice, large):
        (found,) = within(part).overloads.values()
        assert found.library.get_pointer_to_function(found.fndesc.llvm_func_name) == 0
    assert compiled(twice)(3) == 6


def test_an_inlined_copy_is_another_function_of_the_same_code():
    assert large is _large
    assert large_inlined is not _large
    assert large_inlined.__code__ is _large.__code__
    assert large_inlined(3) == 7


def test_kernels_may_call_themselves_and_one_another_in_a_circle():
    from shootdown._compilation.backend.dispatchers import within

    # numba types a circle where one of its branches ends.
    assert compiled(factorial)(5) == factorial(5) == 120
    for made in (compiled(is_even), compiled(is_odd)):
        made._cache.load_overload((), made.targetctx)  # as numba does before it compiles
    assert compiled(is_even).py_func.__globals__["is_odd"] is within(is_odd)
    assert compiled(is_odd).py_func.__globals__["is_even"] is within(is_even)


def test_what_a_kernel_closes_over_is_compiled_as_well():
    def made(inner, offset):
        @kernel
        def outer(x):
            return inner(x) + offset

        return outer

    outer = made(twice, 5)
    assert compiled(outer)(3) == outer(3) == 11


def test_what_is_no_kernel_can_not_be_compiled_or_run():
    def stranger(x):
        return x

    for ask in (compiled, runnable):
        with pytest.raises(TypeError, match="no kernel"):
            ask(stranger)


def test_python_can_not_run_a_kernel_that_only_kernels_call():
    with pytest.raises(TypeError, match="no kernel that Python calls"):
        runnable(plus_offset)


def test_a_function_is_marked_in_one_way():
    def function(x):
        return x

    kernel(function)
    assert kernel(function) is function
    with pytest.raises(TypeError, match="marked as kernel already"):
        inlined(function)
    with pytest.raises(TypeError, match="can't be a kernel"):
        kernel(len)


def test_a_kernel_named_through_a_module_is_refused():
    other = ModuleType("other")
    other.twice = twice
    other.NUMBER = 3
    world = {"__name__": __name__, "other": other, "kernel": kernel}
    exec("@kernel\ndef good(x):\n    return x + other.NUMBER", world)
    exec("@kernel\ndef bad(x):\n    return other.twice(x)", world)
    with pytest.raises(TypeError, match="names the kernel twice through the module other"):
        compiled(world["bad"])
    assert compiled(world["good"])(4) == 7


@kernel
def moved(cells, i):
    cells[i + 1] = cells[i] + cells[-1]
    return cells[i + 1]


def test_an_index_is_taken_as_it_is_without_a_look_at_its_sign():
    cells = np.array([1, 2, 3, 40], np.int64)
    assert compiled(moved)(cells, 1) == 42
    assert cells.tolist() == [1, 2, 42, 40]
    (text,) = compiled(moved).inspect_llvm().values()
    assert "select" not in text.partition("@_ZN7cpython")[0]


@instruction("shootdown._compilation.backend.instructions:popcount")
def bits_set(word):
    return bin(word).count("1")


@kernel
def more_bits(a, b):
    return bits_set(a) > bits_set(b)


def test_an_instruction_is_replaced_in_the_compiled_copy():
    from shootdown._compilation.backend.instructions import popcount

    assert compiled(more_bits)(7, 8) is more_bits(7, 8) is True
    assert compiled(more_bits).py_func.__globals__["bits_set"] is popcount


def test_what_a_plugin_compiled_itself_may_call_kernels():
    """In the copy for kernels it calls their compiled copies; its plain form calls the plain ones."""
    from numba import njit

    from shootdown._compilation.backend.dispatchers import plugins_own

    helper = njit(lambda x: answer(x) + np.uint64(1))

    def walk(x):
        return helper(x) * np.uint64(10)

    assert plugins_own(njit(walk))(np.uint64(20)) == 430
    assert plugins_own(walk)(np.uint64(20)) == 430
    assert plain(njit(walk))(np.uint64(20)) == plain(walk)(np.uint64(20)) == 430


RUN = """
import json, sys
import numpy as np
from typing import NamedTuple
from shootdown._compilation.kernels import kernel
from shootdown._compilation.running import runnable

class Pair(NamedTuple):
    a: object
    b: object

@kernel
def wraps(x):
    return Pair(x * np.uint64(3), (x > np.uint64(1), np.int64(-1)))

found = runnable(wraps)(np.uint64(1 << 63))
print(found, [type(n).__name__ for n in (found.a, *found.b)], "numba" in sys.modules)
"""


@pytest.mark.parametrize(
    ("variables", "imported"),
    [
        ({"SHOOTDOWN_COMPILE": "auto"}, False),
        ({"SHOOTDOWN_COMPILE": "now"}, True),
        ({"SHOOTDOWN_COMPILE": "never"}, False),
        ({"NUMBA_DISABLE_JIT": "1"}, False),
        ({"NUMBA_DISABLE_JIT": "0"}, True),
    ],
)
def test_run_either_way_words_wrap_around_and_numbers_are_pythons(tmp_path, variables, imported):
    file = tmp_path / "run.py"
    file.write_text(RUN)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        env={**os.environ, **variables},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == f"Pair(a={1 << 63}, b=(True, -1)) ['int', 'bool', 'int'] {imported}"


def test_another_value_of_the_switch_is_refused():
    code = "from shootdown._cli import run; import sys; sys.exit(run(['tlb', 'docs/examples/threads.npy']))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SHOOTDOWN_COMPILE": "sometimes"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "SHOOTDOWN_COMPILE is 'sometimes'; it is 'auto', 'now' or 'never'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_kernel_that_was_compiled_is_kept():
    from shootdown._compilation.backend.disk import is_kept

    compiled(answer)(20)
    assert is_kept(compiled(answer))
