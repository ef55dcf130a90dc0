"""The compiled hash walk gives, for random tables, what a walk written from the Power ISA gives.

unicorn can't be asked: in 2.1.4 each of its ppc64 CPU models is a 32-bit one (rldicl and slbmte are illegal there),
and a CPU without a chosen model does not start.
"""

import random
from collections import Counter

import numpy as np
import pytest
from twins import powerpc_hash, powerpc_hash_cases
from twins.at_length import AT_LENGTH, Run

from shootdown.formats import EVERY_ACCESS, PhysicalMemory, Reason, Walker, trace
from shootdown_powerpc._formats import HASH_4K, HASH_64K

BATCHES, SIZE = 200, 505  # for each of two formats: 101,000 cases
TRACED = 25  # of each batch, also walked step by step
REASONS = {
    Reason.OK: "ok",
    Reason.NOT_PRESENT: "not-found",
    Reason.PERMISSION: "protection",
    Reason.NONCANONICAL: "segment",
}
SIZES = {(12, 12), (12, 16), (12, 24), (16, 16), (16, 24), (24, 24), (34, 34)}


@AT_LENGTH
@pytest.mark.parametrize(("format_", "page"), [(HASH_4K, 12), (HASH_64K, 16)], ids=["4k", "64k"])
def test_translations_interrupts_codes_and_bits_in_memory_are_the_twins(
    format_, page, at_length, record_property
):
    run = Run(record_property, format_.name, "twin", 500 + page, at_length)
    rng = random.Random(run.seed)
    seen, found_by, codes = Counter(), Counter(), set()
    for batch in run.batches(BATCHES, lambda: sum(seen.values())):
        case = powerpc_hash_cases.case(rng, page, SIZE)
        access = EVERY_ACCESS[batch % len(EVERY_ACCESS)]
        set_rc = bool(rng.random() < 0.5)
        memory = PhysicalMemory()
        for number, data in case.memory.frames.items():
            memory.write(number << 12, bytes(data))
        under = format_.settings(**case.settings)
        walker = Walker(format_, memory, under)
        steps = [trace(format_, memory, case.root, va, access, under) for va in case.addresses[:TRACED]]
        found = walker.walk_many(
            case.root, np.array(case.addresses, dtype=np.uint64), access, hardware_sets_flags=set_rc
        )
        for i, va in enumerate(case.addresses):
            expected = powerpc_hash.translate(case.cpu, case.memory, va, access.kind, access.user, set_rc)
            reason = Reason(int(found.reason[i]))
            what = (case.settings, access, hex(va), expected)
            assert REASONS[reason] == expected.reason, what
            assert int(found.pa[i]) == (expected.real or 0), what
            seen[reason, access] += 1
            if reason is Reason.OK:
                assert int(found.shift[i]) == expected.page_bits, what
            else:
                assert format_.fault(reason, access, under)[0] == expected.interrupt
            if i < TRACED:
                walked = steps[i]
                assert (walked.reason, walked.pa) == (reason, expected.real), what
                assert (walked.level, walked.page_shift) == (found.level[i], found.shift[i]), what
                assert walked.attributes == format_.held(int(found.rights[i])), what
                assert (walked.fault, walked.fault_code) == (expected.interrupt, expected.code), what
                codes.add((expected.reason, expected.code))
        for number, data in case.memory.frames.items():
            assert memory.read(number << 12, 4096) == bytes(data)
        found_by.update(case.cpu.counts)

    assert set(seen) == {(reason, access) for reason in REASONS for access in EVERY_ACCESS}
    assert min(seen.values()) > 100
    for access in EVERY_ACCESS:
        mine = {key[:4] for key in found_by if key[4:] == (access.kind, access.user)}
        for secondary in (0, 1):
            for terabyte in (False, True):
                reached = {key[1:3] for key in mine if key[0] == secondary and key[3] == terabyte}
                # A page of 16 GiB is larger than a segment of 256 MiB.
                assert reached >= SIZES - {(34, 34)}, (access, secondary, terabyte)
    assert {(34, 34)} <= {key[1:3] for key in found_by}
    protection = {code & ~0x0200_0000 for reason, code in codes if reason == "protection"}
    assert protection == {0x0800_0000, 0x1000_0000, 0x0020_0000, 0x0820_0000, 0x1020_0000}
    run.ended(sum(seen.values()))
