"""Batches end as single walks do, in every format, in every shape, in one thread or two."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twins.toy_formats import BY_ANY_BIT, DESCRIPTORS, SIZED

import shootdown
from shootdown._pagetables import walk_many as _walk_many
from shootdown._pagetables.address_space import AddressSpace
from shootdown._pagetables.format import EVERY_ACCESS, Access, CustomFormat, Format, Reason
from shootdown._pagetables.format_layout import Check, Walk
from shootdown._pagetables.memory import PhysicalMemory
from shootdown._pagetables.memory_kernels import find, peek
from shootdown._pagetables.walk_many import walk_many
from shootdown._pagetables.walker import Walker
from shootdown._plugins.registry import registry
from shootdown._values.errors import ShootdownError

U = np.uint64
INSTALLED = [
    form
    for architecture in registry().architectures().values()
    for form in architecture.formats
    if isinstance(form, Format)
]
FORMATS = [BY_ANY_BIT, SIZED, DESCRIPTORS, *INSTALLED]
#: What `make test` compiles batches of; `make long` does it for all formats.
SAMPLE = [SIZED, *INSTALLED[::12]]
BY_NAME = {form.name: form for form in INSTALLED}
COLUMNS = ("pa", "entry", "reason", "level", "shift", "rights")
WAYS = ("in order", "ring", "group")


def tables(form, rng, *, page_sizes=True, mapped=24, spoilt=0.08):
    """Build tables that map some pages of each size, with some entries then spoilt by one bit."""
    memory = PhysicalMemory(base=int(rng.choice([0, 1 << 27])), window_bytes=1 << 27)
    space = AddressSpace(form, memory)
    sizes = [1 << s for n, s in enumerate(form.shifts) if form.has_leaves(n, space.settings)]
    sizes = sizes if page_sizes else sizes[-1:]
    vas = []
    for _ in range(mapped):
        size = int(rng.choice(sizes))
        va = int(rng.integers(0, 1 << (form.va_bits - 1), dtype=U)) // size * size
        if rng.random() < 0.7 and vas:  # near another page, so that they share tables
            va = (vas[0] + int(rng.integers(0, 64)) * size) // size * size
        pa = int(rng.integers(0, 1 << 31)) // size * size
        permissions = str(rng.choice(["r", "rw", "rx", "rwx"]))
        try:
            space.map(va, pa, size, permissions, user=bool(rng.random() < 0.8), page_size=size)
        except ShootdownError:
            continue
        vas.append(va)
    # Spoilt at the end: nobody follows a spoilt entry to spoil what it leads to.
    places = [space.entry_address(va, level) for va in vas for level in range(len(form.levels))]
    for place in sorted({place for place in places if place is not None}):
        if rng.random() < spoilt:
            space.write(place, space.read(place) ^ 1 << int(rng.integers(0, 8 * form.entry_bytes)))
    return memory, space, np.array(vas, U)


def addresses(form, rng, vas, count):
    """Draw addresses in mapped pages, next to them, and anywhere, of both halves."""
    near = rng.choice(vas, count) + rng.integers(0, 1 << 14, count, dtype=U)
    found = np.where(rng.random(count) < 0.8, near, rng.integers(0, 2**64, count, dtype=U))
    return np.where(rng.random(count) < 0.03, found ^ U(1 << 63), found)


@pytest.mark.parametrize(
    "formats", [SAMPLE, pytest.param(FORMATS, marks=pytest.mark.long)], ids=["some", "all"]
)
@settings(max_examples=60)
@given(data=st.data())
def test_every_shape_gives_what_single_walks_give(formats, data):
    form = data.draw(st.sampled_from(formats))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    access = data.draw(st.sampled_from(EVERY_ACCESS))
    count = data.draw(st.sampled_from([1, 63, 64, 65, 200]))
    write = data.draw(st.booleans())
    changes = {s.name: bool(rng.random() < 0.5) for s in form.settings_known if isinstance(s.default, bool)}
    try:
        under = form.settings(**changes)
    except ShootdownError:  # some settings exclude one another
        under = form.settings()
    memory, space, vas = tables(form, rng)
    wanted = addresses(form, rng, vas, count)
    for way in WAYS:
        flags = write and way == "in order"
        expected = Walker(form, memory, under).walk_many(space.root, wanted, access)
        found = walk_many(
            form, memory, space.root, wanted, access, settings=under, way=way, hardware_sets_flags=flags
        )
        if not flags:
            for column in COLUMNS:
                assert np.array_equal(getattr(found, column), getattr(expected, column)), (way, column)


STRAIGHT = """
import numpy as np
from shootdown._pagetables import walk_batch as _walk_batch
from shootdown._pagetables.address_space import AddressSpace
from shootdown._pagetables.format import Format
from shootdown._pagetables.memory import PhysicalMemory
from shootdown._plugins.registry import registry
from shootdown._pagetables.walk_many import walk_many
from twins.toy_formats import BY_ANY_BIT, DESCRIPTORS, SIZED

from_the_root = []
_walk_batch._walk_in_full = lambda *arguments: from_the_root.append(arguments)
installed = [form for one in registry().architectures().values() for form in one.formats]
for form in (BY_ANY_BIT, DESCRIPTORS, SIZED, *(form for form in installed if isinstance(form, Format))):
    memory = PhysicalMemory(window_bytes=1 << 27)
    space = AddressSpace(form, memory)
    size = 1 << form.page_shift
    used = form.used.accessed | form.used.dirty_set if form.used else 0
    space.map(0, 0, 40 * size, "rw", page_size=size, extra=used)
    wanted = np.random.default_rng(1).integers(0, 40 * size, 70, dtype=np.uint64)
    for way in ("in order", "ring", "group"):
        assert walk_many(form, memory, space.root, wanted, way=way, threads=1).translated.all()
        print(form.name, way, len(from_the_root))
"""


def trusting_walks_equal_others(form, way, count):
    """Compare walks with and without trust, of each access, in tables of which none is spoilt."""
    rng = np.random.default_rng(3)
    memory, space, vas = tables(form, rng, spoilt=0)
    wanted = addresses(form, rng, vas, count)
    for access in EVERY_ACCESS:
        checked = walk_many(form, memory, space.root, wanted, access, way=way)
        trusting = walk_many(form, memory, space.root, wanted, access, way=way, trusted=True)
        for column in COLUMNS:
            assert np.array_equal(getattr(trusting, column), getattr(checked, column)), (
                form.name,
                access,
                column,
            )


@pytest.mark.parametrize("form", [SIZED, DESCRIPTORS, BY_NAME["x86_64-4level"]], ids=lambda f: f.name)
@pytest.mark.parametrize("way", WAYS)
def test_walks_that_trust_well_formed_tables_end_as_others_do(form, way):
    trusting_walks_equal_others(form, way, 500)


def test_walks_that_trust_well_formed_tables_end_as_others_do_in_every_format():
    """As plain Python: compiling each format thrice more would take minutes."""
    code = (
        "import importlib.util, sys; sys.path.insert(0, sys.argv[1]); "
        "spec = importlib.util.spec_from_file_location('here', sys.argv[2]); "
        "here = importlib.util.module_from_spec(spec); spec.loader.exec_module(here); "
        "[here.trusting_walks_equal_others(form, way, 100) for form in here.FORMATS for way in here.WAYS]"
    )
    folder = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code, folder, __file__],
        env={**os.environ, "SHOOTDOWN_COMPILE": "never"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_walk_that_trusts_its_tables_still_says_what_is_no_matter_of_their_form():
    memory = PhysicalMemory(window_bytes=1 << 27)
    form = BY_NAME["x86_64-4level"]
    space = AddressSpace(form, memory)
    space.map(0x7000, 0x9000, 4096, "r", user=True, page_size=4096)
    space.map(0x8000, 0xA000, 4096, "r", user=False, page_size=4096)
    found = walk_many(form, memory, space.root, np.array([0x7123, 0x8000, 0x5000, 1 << 47], U), trusted=True)
    assert [Reason(each) for each in found.reason.tolist()] == [
        Reason.OK,
        Reason.PERMISSION,
        Reason.NOT_PRESENT,
        Reason.NONCANONICAL,
    ]


def test_tables_outside_of_the_window_are_found_by_walks_that_trust_them():
    memory = PhysicalMemory(window_bytes=1 << 27, first_free=1 << 30)
    space = AddressSpace(BY_ANY_BIT, memory)
    space.map(0x7000, 0x9000, 4096)
    found = walk_many(BY_ANY_BIT, memory, space.root, np.full(100, 0x7123, U), way="ring", trusted=True)
    assert (found.pa == 0x9123).all()


def test_no_walk_of_a_plain_page_starts_again_from_the_root():
    """In every format and shape; in plain Python, where the slow way can be watched."""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    words = [sys.executable, "-W", "ignore", "-c", STRAIGHT]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3 * len(FORMATS)
    assert [line for line in lines if not line.endswith(" 0")] == []


@pytest.mark.parametrize("form", INSTALLED, ids=lambda f: f.name)
def test_flags_that_hardware_sets_are_those_of_single_walks(form):
    results = []
    for many in (True, False):
        memory, space, vas = tables(form, np.random.default_rng(8))
        wanted = addresses(form, np.random.default_rng(9), vas, 300)
        walks = (
            walk_many(form, memory, space.root, wanted, Access("write"), hardware_sets_flags=True, way="ring")
            if many
            else Walker(form, memory).walk_many(space.root, wanted, Access("write"), hardware_sets_flags=True)
        )
        held = [memory.read(memory._base + 4096 * n, 4096) for n in range(1, 200)]
        results.append(([getattr(walks, column).tolist() for column in COLUMNS], held))
    assert results[0] == results[1]


def test_tables_outside_of_the_window_are_found_too():
    memory = PhysicalMemory(window_bytes=1 << 27, first_free=1 << 30)
    space = AddressSpace(BY_ANY_BIT, memory)
    space.map(0x7000, 0x9000, 4096)
    wanted = np.full(100, 0x7123, U)
    for way in WAYS:
        assert (walk_many(BY_ANY_BIT, memory, space.root, wanted, way=way).pa == 0x9123).all()


@pytest.mark.parametrize("size", [4096, 8192, 1 << 16])
def test_an_image_smaller_than_a_table_is_not_read_beyond_its_end(size, tmp_path):
    (tmp_path / "image.bin").write_bytes(bytes(size - 8) + (1 << 63).to_bytes(8, "big"))
    memory = PhysicalMemory.load(tmp_path / "image.bin", base=0x10000)
    wanted = np.arange(0, 1 << SIZED.va_bits, 1 << (SIZED.va_bits - 14), dtype=U)
    expected = Walker(SIZED, memory).walk_many(0x10000, wanted)
    for way in WAYS:
        found = walk_many(SIZED, memory, 0x10000, wanted, way=way)
        for column in COLUMNS:
            assert np.array_equal(getattr(found, column), getattr(expected, column))


def test_two_threads_walk_the_halves(monkeypatch):
    monkeypatch.setattr(_walk_many, "_WORTH_A_THREAD", 100)
    rng = np.random.default_rng(4)
    memory, space, vas = tables(DESCRIPTORS, rng)
    wanted = addresses(DESCRIPTORS, rng, vas, 1001)
    expected = walk_many(DESCRIPTORS, memory, space.root, wanted, threads=1)
    for threads in (2, 3, None):
        found = walk_many(DESCRIPTORS, memory, space.root, wanted, threads=threads)
        for column in COLUMNS:
            assert np.array_equal(getattr(found, column), getattr(expected, column))


def test_faults_come_as_arrays_of_names_and_codes():
    form = next(f for f in INSTALLED if f.name == "x86_64-4level")
    memory = PhysicalMemory()
    space = AddressSpace(form, memory)
    space.map(0x1000, 0x5000, 4096, "r")
    found = shootdown.walk_many(
        "x86_64-4level", memory, space.root, [0x1008, 0x2000, 1 << 47], Access("write")
    )
    assert found.pa.tolist() == [0, 0, 0]
    assert found.reason.tolist() == [Reason.PERMISSION, Reason.NOT_PRESENT, Reason.NONCANONICAL]
    ends = zip(found.reason.tolist(), found.level.tolist(), strict=True)
    single = [form.fault(Reason(reason), Access("write"), level=level) for reason, level in ends]
    assert list(zip(found.fault.tolist(), found.fault_code.tolist(), strict=True)) == single
    read = shootdown.walk_many(form, memory, space.root, np.array([0x1008, 0x2000]))
    assert read.pa.tolist() == [0x5008, 0]
    assert read.fault.tolist()[0] == ""
    assert read.translated.tolist() == [True, False]
    assert len(read) == 2
    assert len(walk_many(form, memory, space.root, [])) == 0
    again = walk_many(form, memory, space.root, [0x1010, 0x1018], out=read)
    assert again.pa.base is read.pa.base or again.pa is read.pa
    assert again.pa.tolist() == [0x5010, 0x5018]
    without = walk_many(form, memory, space.root, [0x1010], entries=False)
    assert without.entry is None
    assert without.pa.tolist() == [0x5010]


def test_the_way_is_chosen_by_the_size_of_the_tables():
    memory = PhysicalMemory()
    assert _walk_many._way(memory, 10**9) == "in order"
    memory._frames = 1 << 10  # 4 MiB
    assert _walk_many._way(memory, 10**9) == "ring"
    assert _walk_many._way(memory, 100) == "in order"  # so few touch no more than a cache holds
    memory._frames = 1 << 18  # 1 GiB
    assert _walk_many._way(memory, 10**9) == "group"


def flat_walk(memory, check, root, va):
    at = find(memory, root + ((va >> U(12)) & U(511)) * U(8))
    entry = peek(at) if at != U(0) else U(0)
    good = entry & U(1) != U(0) and (check.allowed >> U(0)) & U(1) != U(0)
    return Walk(
        (entry & ~U(4095)) | (va & U(4095)) if good else U(0),
        entry,
        U(0) if good else U(1),
        U(0),
        U(12),
        U(0),
    )


def flat_first_read(memory, check, root, va):
    return root + ((va >> U(12)) & U(511)) * U(8)


def flat_check(access, settings, hardware_sets_flags):
    return Check(U(access.kind != "write"), U(0), U(0), U(0), (U(0),))


@pytest.mark.parametrize("first_read", [None, flat_first_read])
def test_a_custom_format_walks_in_batches_too(first_read, monkeypatch):
    monkeypatch.setattr(_walk_many, "_WORTH_A_THREAD", 100)
    form = CustomFormat(
        name="toy-flat", summary="one look-up", va_bits=21, walk=flat_walk, check=flat_check,
        steps=lambda *_: None, first_read=first_read,
    )  # fmt: skip
    memory = PhysicalMemory()
    root = memory.allocate()
    for n in range(0, 512, 3):
        memory.write_entry(root + 8 * n, (n << 13) | 1)
    wanted = np.random.default_rng(1).integers(0, 1 << 21, 999, dtype=U)
    for access in (Access("read"), Access("write")):
        number = wanted >> U(12) & U(511)
        entry = np.where(number % U(3) == U(0), number << U(13) | U(1), U(0))
        good = (entry != U(0)) & (access.kind != "write")
        for threads in (1, 2):
            found = walk_many(form, memory, root, wanted, access, threads=threads)
            assert np.array_equal(found.entry, entry)
            assert np.array_equal(found.pa, np.where(good, number << U(13) | wanted & U(4095), U(0)))
            assert np.array_equal(found.reason == Reason.OK, good)
            assert (found.shift == 12).all()
            assert not found.level.any()
            assert not found.rights.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((DESCRIPTORS, [-1]), "-1 is no address"),
        ((DESCRIPTORS, [1.5]), "addresses are integers below 2**64, not float64"),
        ((DESCRIPTORS, [[1]]), "addresses are an array of one dimension, not 2"),
    ],
)
def test_what_can_not_be_walked_is_refused(arguments, message):
    with pytest.raises(ShootdownError, match="no page-table format 'x86_64-4leve'; nearest: x86_64-4level"):
        shootdown.walk_many("x86_64-4leve", PhysicalMemory(), 4096, [1])
    with pytest.raises(ShootdownError, match=re.escape(message)):
        walk_many(arguments[0], PhysicalMemory(), 4096, arguments[1])
    with pytest.raises(ShootdownError, match="0 threads: give at least 1"):
        walk_many(DESCRIPTORS, PhysicalMemory(), 4096, [1], threads=0)
    with pytest.raises(ShootdownError, match="is no 64-bit address"):
        walk_many(DESCRIPTORS, PhysicalMemory(), -4096, [1])


@pytest.mark.skipif(sys.platform != "linux", reason="madvise and smaps are Linux's")
def test_tables_get_huge_pages_once_they_are_large():
    memory = PhysicalMemory()
    for _ in range((_memory_small() + (8 << 20)) >> 12):
        memory.write_entry(memory.allocate(), 1)
    here = memory._window.ctypes.data
    chosen = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not chosen.exists() or "[never]" in chosen.read_text():
        pytest.skip("this kernel gives no huge pages")
    huge = 0
    for block in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text()):
        start = int(block.split("-")[0], 16)
        if here <= start < here + memory._window.size:
            huge += int(re.search(r"AnonHugePages: +(\d+)", block)[1]) << 10
    assert 4 << 20 <= huge <= 12 << 20


def _memory_small():
    from shootdown._pagetables import memory as _memory

    return _memory._SMALL_PAGES
