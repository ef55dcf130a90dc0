"""The walk kernel on formats that are data alone, the escape hatch, and the cache on disk."""

import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import attrs
import numpy as np
import pytest
from twins.toy_formats import BY_ANY_BIT, DESCRIPTORS, SIZED

from shootdown._pagetables.format import EVERY_ACCESS, USER_READ, Access, CustomFormat, Reason, bit
from shootdown._pagetables.format_layout import Check, Walk, check, layout
from shootdown._pagetables.memory import PhysicalMemory
from shootdown._pagetables.memory_kernels import find, peek
from shootdown._pagetables.walk_steps import Step, Trace, trace
from shootdown._pagetables.walker import Walker

U = np.uint64
CASES = 1500
REACHED = {
    "toy-any-bit": {0, 1, 2, 3, 4, 6, 7},
    "toy-sized": {0, 1, 2, 3, 4, 7, 8},
    "toy-descriptors": {0, 1, 2, 4, 5, 6},
}
SHIFTS = {
    "toy-any-bit": {12, 16, 21, 30},
    "toy-sized": {12, 21, 30, 39},
    "toy-descriptors": {12, 16, 21, 25, 30},
}


def random_entries(rng, format_, pool, count):
    """Draw entries of any of the toy formats: mostly sound, each bit of them sometimes odd."""

    def chance(probability):
        return (rng.random(count) < probability).astype(U)

    frame = rng.choice(np.array(pool, dtype=U), count)
    leaf = chance(0.3)
    if format_ is BY_ANY_BIT:
        low = chance(0.6) * U((1 << 18) - 1)
        entry = ((frame & ~(low * leaf)) << U(10)) | chance(0.95)
        for n in (1, 2, 3):
            entry |= (leaf & chance(0.6)) << U(n)
        entry |= (leaf & chance(0.7)) << U(4) | (leaf & chance(0.8)) << U(6) | (leaf & chance(0.7)) << U(7)
        napot = leaf & chance(0.3)
        entry = np.where(napot == 1, (entry & ~U(0xF << 10)) | U(8 << 10) | U(1 << 63), entry)
        entry ^= chance(0.05) << rng.choice(np.array([10, 11, 13, 54, 60, 4, 63], dtype=U), count)
        return entry
    if format_ is SIZED:
        size = np.where(rng.random(count) < 0.9, U(9), rng.integers(0, 32, count, dtype=U))
        frame = np.where(rng.random(count) < 0.02, U(1 << 30), frame)  # where there is no memory
        table = frame << U(12) | size | chance(0.95) << U(63) | chance(0.03) << U(61)
        page = frame << U(12) | chance(0.95) << U(63) | U(1 << 62) | rng.integers(0, 512, count, dtype=U)
        return np.where(leaf == 1, page, table)
    entry = frame << U(12) | chance(0.97) | (U(1) - leaf) << U(1)
    entry |= chance(0.05) << U(8) | chance(0.85) << U(10) | chance(0.7) << U(6) | chance(0.4) << U(7)
    for n, probability in (
        (51, 0.5),
        (52, 0.3),
        (53, 0.2),
        (54, 0.2),
        (59, 0.05),
        (60, 0.05),
        (61, 0.1),
        (62, 0.1),
    ):
        entry |= chance(probability) << U(n)
    return entry | chance(0.02) << U(47)


@pytest.mark.parametrize("format_", [BY_ANY_BIT, SIZED, DESCRIPTORS], ids=lambda f: f.name)
def test_the_kernel_walks_as_the_plain_python_walk_does(format_):
    rng = np.random.default_rng(5)
    seen, shifts = Counter(), set()
    for batch in range(24):
        memory = PhysicalMemory()
        pool = [*rng.choice(4000, 8, replace=False).tolist(), *(range(1 << 20, (1 << 20) + 3))]
        for number in pool:
            entries = random_entries(rng, format_, pool, 512)
            memory.store_table(number << 12, entries, big_endian=format_.big_endian)
        changes = {
            s.name: bool(rng.random() < 0.5) for s in format_.settings_known if isinstance(s.default, bool)
        }
        settings = format_.settings(**changes)
        access = EVERY_ACCESS[batch % len(EVERY_ACCESS)]
        root = pool[0] << 12
        if format_ is SIZED:  # a root of 64 KiB is more than a frame
            root = 0x100_0000
            entries = random_entries(rng, format_, pool, 8192)
            memory.store_table(root, entries, big_endian=True)
        vas = rng.integers(0, 1 << format_.va_bits, CASES // 24, dtype=U)
        if format_.va_upper == "sign":
            vas = np.where(vas >> U(38) == 1, vas | ~U((1 << 39) - 1), vas)
        vas[:2] ^= U(1 << 53)
        found = Walker(format_, memory, settings).walk_many(root, vas, access)
        for i, va in enumerate(vas.tolist()):
            expected = trace(format_, memory, root, va, access, settings)
            assert Reason(int(found.reason[i])) is expected.reason, (hex(va), expected)
            assert int(found.pa[i]) == (expected.pa or 0)
            assert int(found.level[i]) == expected.level
            seen[int(found.reason[i])] += 1
            if expected.pa is not None:
                assert int(found.shift[i]) == expected.page_shift
                assert format_.held(int(found.rights[i])) == expected.attributes
                shifts.add(expected.page_shift)
    assert set(seen) == REACHED[format_.name]
    assert shifts >= SHIFTS[format_.name]


def one_page(format_, entry):
    """Build tables whose last level holds `entry` for address 0."""
    memory = PhysicalMemory()
    tables = [memory.allocate(format_.table_bytes(n)) for n in range(len(format_.levels))]
    big = format_.big_endian
    for here, below in itertools.pairwise(tables):
        if format_ is BY_ANY_BIT:
            pointer = below >> 2 | 1
        elif format_ is SIZED:
            pointer = bit(63) | below | 9
        else:
            pointer = below | 3
        memory.write_entry(here, pointer, big_endian=big)
    memory.write_entry(tables[-1], entry, big_endian=big)
    return memory, tables


def test_a_write_sets_accessed_and_dirty_in_a_big_endian_entry():
    entry = bit(63) | bit(62) | 0x5000 | 0b110
    memory, tables = one_page(SIZED, entry)
    walker = Walker(SIZED, memory)
    assert walker.walk(tables[0], 0x123, Access("write")).pa == 0x5123
    assert memory.read_entry(tables[-1], big_endian=True) == entry
    walker.walk(tables[0], 0, USER_READ, hardware_sets_flags=True)
    assert memory.read_entry(tables[-1], big_endian=True) == entry | 0x100
    walker.walk(tables[0], 0, Access("write"), hardware_sets_flags=True)
    assert memory.read_entry(tables[-1], big_endian=True) == entry | 0x180


def test_a_write_clears_the_read_only_bit_where_dirty_means_that():
    entry = 3 | 0x5000 | bit(6) | bit(7) | bit(51)
    memory, tables = one_page(DESCRIPTORS, entry)
    walker = Walker(DESCRIPTORS, memory)
    assert walker.walk(tables[0], 0, Access("write"), hardware_sets_flags=True).reason == Reason.OK
    assert memory.read_entry(tables[-1]) == entry & ~bit(7) | bit(10)


def test_a_clear_accessed_flag_faults_where_software_keeps_it():
    memory, tables = one_page(BY_ANY_BIT, 0x5000 >> 2 | 0b10111)
    software = BY_ANY_BIT.settings(hardware_flags=False)
    assert Walker(BY_ANY_BIT, memory, software).walk(tables[0], 0).reason == Reason.ACCESS_FLAG
    assert Walker(BY_ANY_BIT, memory).walk(tables[0], 0).reason == Reason.OK


def test_which_fault_comes_first_is_the_formats():
    before, _ = one_page(DESCRIPTORS, 3 | 0x5000)
    after, _ = one_page(BY_ANY_BIT, 0x5000 >> 2 | 0b00111)
    for format_, memory, reason, settings in (
        (DESCRIPTORS, before, Reason.ACCESS_FLAG, {"ha": False}),
        (BY_ANY_BIT, after, Reason.PERMISSION, {"hardware_flags": False}),
    ):
        walker = Walker(format_, memory, format_.settings(**settings))
        assert walker.walk(4096, 0).reason == reason
        assert trace(format_, memory, 4096, 0, USER_READ, walker.settings).reason is reason


def test_a_root_outside_of_an_image_is_no_memory(tmp_path):
    image = tmp_path / "image.bin"
    image.write_bytes(bytes(8192))
    memory = PhysicalMemory.load(image, base=0x4000_0000)
    walker = Walker(DESCRIPTORS, memory)
    assert walker.walk(0x4000_0000, 0).reason == Reason.NOT_PRESENT
    assert walker.walk(0x4000_2000, 0).reason == Reason.NO_MEMORY
    assert walker.walk(0x3FFF_F000, 0).reason == Reason.NO_MEMORY


# --- the escape hatch: a table looked up by a function


def flat_walk(memory, check, root, va):
    at = find(memory, root + ((va >> U(12)) & U(511)) * U(8))
    entry = peek(at) if at != U(0) else U(0)
    good = entry & U(1) != U(0) and (check.allowed >> U(0)) & U(1) != U(0)
    reason = U(0) if good else U(1)
    pa = (entry & ~U(4095)) | (va & U(4095)) if good else U(0)
    return Walk(pa, entry, reason, U(0), U(12), U(0))


def flat_check(access, settings, hardware_sets_flags):
    return Check(U(access.kind != "write"), U(0), U(0), U(0), (U(0),))


def flat_steps(memory, root, va, access, settings):
    address = root + (va >> 12 & 511) * 8
    entry = memory.read_entry(address)
    step = Step(0, "E", "flat", root, va >> 12 & 511, address, entry, "leaf", (), None)
    good = bool(entry & 1) and access.kind != "write"
    reason = Reason.OK if good else Reason.NOT_PRESENT
    pa = entry & ~4095 | va & 4095 if good else None
    return Trace(va, pa, reason, 0, 12, frozenset(), "" if good else "fault", 0, (step,))


FLAT = CustomFormat(
    name="toy-flat", summary="one look-up", va_bits=21, walk=flat_walk, check=flat_check, steps=flat_steps
)


def test_a_format_that_levels_can_not_describe_brings_its_own_walk():
    memory = PhysicalMemory()
    root = memory.allocate()
    memory.write_entry(root + 8 * 3, 0x7001)
    walker = Walker(FLAT, memory)
    assert walker.walk(root, 0x3ABC).pa == 0x7ABC
    assert walker.walk(root, 0x4ABC).reason == Reason.NOT_PRESENT
    assert walker.walk(root, 0x3ABC, Access("write")).reason == Reason.NOT_PRESENT
    for va in (0x3ABC, 0x4ABC):
        assert (trace(FLAT, memory, root, va).pa or 0) == walker.walk(root, va).pa


# --- compiled once, for each format


def test_settings_that_only_change_checks_share_one_compilation():
    first = layout(DESCRIPTORS, DESCRIPTORS.settings(output_bits=40))
    second = layout(DESCRIPTORS, DESCRIPTORS.settings(output_bits=48))
    assert first.fingerprint == second.fingerprint
    narrow = check(DESCRIPTORS, USER_READ, DESCRIPTORS.settings(output_bits=40))
    wide = check(DESCRIPTORS, USER_READ, DESCRIPTORS.settings(output_bits=48))
    assert narrow.output_refused != wide.output_refused


def test_a_changed_number_changes_the_fingerprint():
    changed = attrs.evolve(DESCRIPTORS, present=attrs.evolve(DESCRIPTORS.present, mask=5, value=5))
    assert layout(changed).fingerprint != layout(DESCRIPTORS).fingerprint


PROGRAM = """
import json, sys
import attrs
from shootdown._compilation.running import runnable
from shootdown._pagetables.format import Test, USER_READ
from shootdown._pagetables.memory import PhysicalMemory
from shootdown._pagetables.walk import walk_each
from shootdown._pagetables.walker import Walker
from twins.toy_formats import BY_ANY_BIT, DESCRIPTORS
edited = attrs.evolve(BY_ANY_BIT, present=Test(5, 5)) if sys.argv[1] == "edited" else BY_ANY_BIT
for format_ in (edited, DESCRIPTORS):
    Walker(format_, PhysicalMemory()).walk(4096, 0)
names = lambda counts: sorted(key[0].name.split()[0].removeprefix("Layout(") for key in counts)
stats = runnable(walk_each).stats
print(json.dumps({"hits": names(stats.cache_hits), "misses": names(stats.cache_misses)}))
"""


def run_in_a_process(cache, what):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, what], env=environment, capture_output=True, text=True, check=True
    )
    files = {f.relative_to(cache): f.stat().st_mtime_ns for f in cache.rglob("*") if f.is_file()}
    return json.loads(ran.stdout), files


@pytest.mark.compiled
def test_a_second_process_compiles_and_writes_nothing_and_an_edit_recompiles_one_format(tmp_path):
    both = ["toy-any-bit", "toy-descriptors"]
    first, written = run_in_a_process(tmp_path, "as it is")
    assert first == {"hits": [], "misses": both}
    second, unchanged = run_in_a_process(tmp_path, "as it is")
    assert second == {"hits": both, "misses": []}
    assert unchanged == written
    third, _ = run_in_a_process(tmp_path, "edited")
    assert third == {"hits": ["toy-descriptors"], "misses": ["toy-any-bit"]}
