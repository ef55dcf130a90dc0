"""The walk kernel gives, for random tables, what a walk written from the manual gives."""

from collections import Counter

import numpy as np
import pytest
from twins import x86_cases, x86_walk
from twins.at_length import AT_LENGTH, Run

from shootdown.formats import EVERY_ACCESS, PhysicalMemory, Reason, Walker, trace
from shootdown_x86._formats import FORMATS

FORMAT = {format_.name: format_ for format_ in FORMATS}
BATCHES, SIZE = 100, 260  # times four formats: 104,000 cases
TRACED = 3  # of each batch, also walked step by step
REASONS = {
    Reason.OK: "ok",
    Reason.NOT_PRESENT: "not-present",
    Reason.PERMISSION: "permission",
    Reason.RESERVED: "reserved",
    Reason.NONCANONICAL: "noncanonical",
}
PAGE_BITS = {"32bit": {12, 22}, "pae": {12, 21}, "4level": {12, 21, 30}, "5level": {12, 21, 30}}


@AT_LENGTH
@pytest.mark.parametrize("mode", x86_cases.NAMES)
def test_translations_faults_codes_and_flags_in_memory_are_the_twins(mode, at_length, record_property):
    format_ = FORMAT[x86_cases.NAMES[mode]]
    seed = ["32bit", "pae", "4level", "5level"].index(mode) + 11
    run = Run(record_property, format_.name, "twin", seed, at_length)
    rng = np.random.default_rng(run.seed)
    seen, sizes, codes = Counter(), Counter(), Counter()
    for batch in run.batches(BATCHES, lambda: sum(seen.values())):
        settings = x86_cases.control(rng, mode)
        tables = x86_cases.tables(rng, mode, settings["maxphyaddr"])
        access = EVERY_ACCESS[batch % len(EVERY_ACCESS)]
        root = int(rng.choice(tables.roots))
        vas = x86_cases.addresses(rng, mode, SIZE)
        set_flags = bool(rng.random() < 0.5)

        memory = PhysicalMemory()
        twin = x86_walk.Memory({number: bytearray(data) for number, data in tables.frames.items()})
        for number, data in tables.frames.items():
            memory.write(number << 12, data)
        under = format_.settings(**settings)
        for va in vas[:TRACED].tolist() if not set_flags else ():
            step_by_step = trace(format_, memory, root, va, access, under)
            walked = Walker(format_, memory, under).walk(root, va, access)
            assert step_by_step.reason == walked.reason
            assert (step_by_step.pa or 0, step_by_step.level) == (walked.pa, walked.level)
        found = Walker(format_, memory, under).walk_many(root, vas, access, hardware_sets_flags=set_flags)
        cpu = x86_cases.cpu(mode, settings)
        for i, va in enumerate(vas.tolist()):
            expected = x86_walk.translate(cpu, twin, root, va, access.kind, access.user, set_flags)
            reason = Reason(int(found.reason[i]))
            if reason is Reason.NO_MEMORY:  # the twin's memory has no end: what is missing reads as zero
                assert expected.reason == "not-present"
                continue
            assert REASONS[reason] == expected.reason, (settings, access, hex(va), expected)
            seen[reason] += 1
            if reason is Reason.OK:
                assert int(found.pa[i]) == expected.pa
                assert int(found.shift[i]) == expected.page_bits
                sizes[expected.page_bits, access] += 1
            else:
                assert format_.fault(reason, access, under) == (expected.exception, expected.code)
                codes[expected.code] += 1
            if expected.where:
                assert format_.levels[found.level[i]].name == expected.where
        for number, data in twin.frames.items():
            assert memory.read(number << 12, 4096) == bytes(data)

    canonical_matters = mode in ("4level", "5level")
    assert set(seen) == set(REASONS) - (set() if canonical_matters else {Reason.NONCANONICAL})
    assert min(seen.values()) > 100
    assert set(sizes) == {(bits, access) for bits in PAGE_BITS[mode] for access in EVERY_ACCESS}
    # Each of U, W and I with P clear, with P set, and with RSVD.
    assert {code & 9 for code in codes} >= {0, 1, 9}
    assert {code & 22 for code in codes} == {0, 2, 4, 6, 16, 20}
    run.ended(sum(seen.values()))
