"""The walk kernel gives, for random radix trees, what a walk written from the Power ISA gives.

unicorn can't be asked: in 2.1.4 each of its ppc64 CPU models is a 32-bit one (rldicl and slbmte are illegal there),
and a CPU without a chosen model does not start.
"""

from collections import Counter

import numpy as np
import pytest
from twins import powerpc_radix, powerpc_radix_cases
from twins.at_length import AT_LENGTH, Run

from shootdown.formats import EVERY_ACCESS, PhysicalMemory, Reason, Walker, trace
from shootdown_powerpc._formats import RADIX_4K, RADIX_64K

BATCHES, SIZE = 100, 1010  # for each of two formats: 101,000 cases
TRACED = 5  # of each batch, also walked step by step
REASONS = {
    Reason.OK: "ok",
    Reason.NOT_PRESENT: "not-found",
    Reason.PERMISSION: "protection",
    Reason.RESERVED: "reserved",
    Reason.NONCANONICAL: "segment",
    Reason.ACCESS_FLAG: "reference-change",
    Reason.MALFORMED: "configuration",
}


@AT_LENGTH
@pytest.mark.parametrize("format_", [RADIX_4K, RADIX_64K], ids=lambda f: f.name)
def test_translations_interrupts_codes_and_bits_in_memory_are_the_twins(format_, at_length, record_property):
    last_bits = format_.levels[-1].bits
    run = Run(record_property, format_.name, "twin", 900 + last_bits, at_length)
    rng = np.random.default_rng(run.seed)
    seen, sizes, codes = Counter(), Counter(), set()
    for batch in run.batches(BATCHES, lambda: sum(seen.values())):
        thread = powerpc_radix_cases.thread(rng)
        tables = powerpc_radix_cases.tables(rng, last_bits)
        access = EVERY_ACCESS[batch % len(EVERY_ACCESS)]
        vas = powerpc_radix_cases.addresses(rng, SIZE)
        set_rc = bool(rng.random() < 0.5)

        memory = PhysicalMemory()
        twin = powerpc_radix.Memory({number: bytearray(data) for number, data in tables.frames.items()})
        for number, data in tables.frames.items():
            memory.write(number << 12, data)
        under = format_.settings(**thread)
        for va in vas[:TRACED].tolist():
            step_by_step = trace(format_, memory, tables.entry, va, access, under)
            walked = Walker(format_, memory, under).walk(tables.entry, va, access)
            assert step_by_step.reason == walked.reason
            assert (step_by_step.pa or 0, step_by_step.level) == (walked.pa, walked.level)
        found = Walker(format_, memory, under).walk_many(
            tables.entry, vas, access, hardware_sets_flags=set_rc
        )
        cpu = powerpc_radix.Cpu(**thread)
        for i, va in enumerate(vas.tolist()):
            expected = powerpc_radix.translate(cpu, twin, tables.entry, va, access.kind, access.user, set_rc)
            reason = Reason(int(found.reason[i]))
            if reason is Reason.NO_MEMORY:  # the twin's memory has no end: what is missing reads as zero
                assert expected.reason == "not-found"
                continue
            assert REASONS[reason] == expected.reason, (thread, access, hex(va), expected)
            assert int(found.level[i]) == expected.level
            seen[reason] += 1
            if reason is Reason.OK:
                assert int(found.pa[i]) == expected.real
                assert int(found.shift[i]) == expected.page_bits
                sizes[expected.page_bits, access] += 1
            else:
                assert format_.fault(reason, access, under) == (expected.interrupt, expected.code)
                codes.add(expected.code)
        for number, data in twin.frames.items():
            assert memory.read(number << 12, 4096) == bytes(data)

    assert set(seen) == set(REASONS)
    assert min(seen.values()) > 100
    assert set(sizes) == {(bits, access) for bits in (12, 16, 21, 30, 39) for access in EVERY_ACCESS}
    # Not found, no-execute, protection, configuration, reference and change: with and without a store.
    causes = {0x4000_0000, 0x0800_0000, 0x0008_0000, 0x0004_0000}
    assert codes == causes | {cause | 0x0200_0000 for cause in causes} | {0x1000_0000, 0}
    run.ended(sum(seen.values()))
