"""Batches of hash walks end as single ones do, and prefetch the primary group."""

import random

import numpy as np
import pytest
from twins import powerpc_hash_cases

from shootdown._pagetables.walk_many import walk_many
from shootdown.formats import EVERY_ACCESS, PhysicalMemory, Walker
from shootdown_powerpc import _hash_kernels
from shootdown_powerpc._formats import HASH_4K, HASH_64K


@pytest.mark.parametrize(("format_", "page"), [(HASH_4K, 12), (HASH_64K, 16)], ids=["4k", "64k"])
def test_batches_end_as_single_walks_do(format_, page):
    rng = random.Random(900 + page)
    hits = 0
    for batch in range(8):
        case = powerpc_hash_cases.case(rng, page, 200)
        access = EVERY_ACCESS[batch % len(EVERY_ACCESS)]
        memory = PhysicalMemory()
        for number, data in case.memory.frames.items():
            memory.write(number << 12, bytes(data))
        under = format_.settings(**case.settings)
        wanted = np.array(case.addresses, np.uint64)
        expected = Walker(format_, memory, under).walk_many(case.root, wanted, access)
        found = walk_many(format_, memory, case.root, wanted, access, settings=under)
        for column in ("pa", "entry", "reason", "level", "shift", "rights"):
            assert np.array_equal(getattr(found, column), getattr(expected, column)), column
        checked = format_.check(access, under, False)
        for va, entry in zip(wanted[found.translated], found.entry[found.translated], strict=True):
            place = int(_hash_kernels.first_read(memory.view, checked, np.uint64(case.root), va))
            group = memory.table(place, 16, big_endian=True)
            hits += int(entry in group)
    assert hits > 50  # most entries lie in their primary group
