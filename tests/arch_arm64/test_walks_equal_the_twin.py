"""The walk kernel gives, for random tables, what a walk written from the manual gives."""

from collections import Counter

import numpy as np
import pytest
from twins import arm64_cases, arm64_walk
from twins.at_length import AT_LENGTH, Run

from shootdown._pagetables.memory import SECTION_BYTES
from shootdown.formats import EVERY_ACCESS, PhysicalMemory, Reason, Walker, trace
from shootdown_arm64._formats import FORMATS

FORMAT = {format_.name: format_ for format_ in FORMATS}
BATCHES, ROOTS, SIZE = 50, 20, 100  # for each format: 100,000 cases
TRACED = 1  # for each root, also walked step by step
REASONS = {
    Reason.OK: "ok",
    Reason.NOT_PRESENT: "translation",
    Reason.NONCANONICAL: "translation",
    Reason.ADDRESS_SIZE: "address size",
    Reason.ACCESS_FLAG: "access flag",
    Reason.PERMISSION: "permission",
    Reason.NO_MEMORY: "external abort",
}
# log2 of what leaves map, in runs too
SIZES = {
    "arm64-4k-39": {12, 16, 21, 25, 30, 34},
    "arm64-4k-48": {12, 16, 21, 25, 30, 34},
    "arm64-4k-52": {12, 16, 21, 25, 30, 34, 39},
    "arm64-16k-36": {14, 21, 25, 30},
    "arm64-16k-47": {14, 21, 25, 30},
    "arm64-16k-48": {14, 21, 25, 30},
    "arm64-16k-52": {14, 21, 25, 30, 36},
    "arm64-64k-42": {16, 21, 29, 34},
    "arm64-64k-48": {16, 21, 29, 34},
    "arm64-64k-52": {16, 21, 29, 34, 42},
}


@AT_LENGTH
@pytest.mark.parametrize("name", arm64_cases.NAMES)
def test_translations_faults_syndromes_and_flags_in_memory_are_the_twins(name, at_length, record_property):
    run = Run(record_property, name, "twin", list(arm64_cases.NAMES).index(name) + 101, at_length)
    rng = np.random.default_rng(run.seed)
    format_, granule = FORMAT[name], arm64_cases.NAMES[name][0]
    seen, sizes, faults = Counter(), Counter(), Counter()
    for batch in run.batches(BATCHES, lambda: sum(seen.values())):
        settings = arm64_cases.control(rng, name)
        pages, roots = arm64_cases.tables(rng, name, settings["output_bits"])
        access = EVERY_ACCESS[batch % len(EVERY_ACCESS)]
        update = bool(rng.random() < 0.5)

        memory = PhysicalMemory(window_bytes=SECTION_BYTES)
        for page, words in pages.items():
            memory.write(page << granule, words.tobytes())
        twin = arm64_walk.Tables(granule, {page: words.tolist() for page, words in pages.items()})
        walker = Walker(format_, memory, format_.settings(**settings))
        regime = arm64_cases.regime(name, settings)
        for root, vas in zip(rng.choice(roots, ROOTS).tolist(), cases(rng, name), strict=True):
            root += 8 * int(rng.integers(0, 64))  # bits below the alignment are ignored
            for va in vas[:TRACED].tolist():
                by_step = trace(format_, memory, root, va, access, walker.settings)
                walked = walker.walk(root, va, access)
                assert (by_step.reason, by_step.pa or 0) == (walked.reason, walked.pa)
                assert by_step.level == walked.level
            found = walker.walk_many(root, vas, access, hardware_sets_flags=update)
            columns = (found.pa, found.reason, found.level, found.shift)
            for va, pa, said, level, shift in zip(vas.tolist(), *(c.tolist() for c in columns), strict=True):
                expected = arm64_walk.translate(regime, twin, root, va, access.kind, access.user, update)
                reason = Reason(said)
                assert REASONS[reason] == expected.what, (settings, access, hex(va), expected)
                seen[reason, access] += 1
                if reason is Reason.OK:
                    assert (pa, shift) == (expected.pa, expected.size), (hex(va), expected)
                    sizes[shift] += 1
                else:
                    fault, esr = format_.fault(reason, access, walker.settings, level=level)
                    assert esr == expected.esr, (fault, hex(esr), expected)
                    faults[fault] += 1
                if reason is not Reason.NONCANONICAL:
                    assert format_.level_number(level) == expected.level
        for page, words in twin.items():
            stored = np.frombuffer(memory.read(page << granule, 1 << granule), dtype=np.uint64)
            assert stored.tolist() == words

    assert {reason for reason, _ in seen} == set(REASONS)
    for reason in (Reason.OK, Reason.PERMISSION):
        assert {access for r, access in seen if r is reason} == set(EVERY_ACCESS)
    assert set(sizes) == SIZES[name]
    assert min(sizes.values()) >= 20
    assert set(faults) == every_fault(format_)
    run.ended(sum(seen.values()))


def cases(rng, name):
    return [arm64_cases.addresses(rng, name, SIZE) for _ in range(ROOTS)]


def every_fault(format_):
    """Access-flag and permission faults where there are leaves, address-size and translation faults everywhere."""
    numbers = [format_.level_number(index) for index in range(len(format_.levels))]
    leaves = [n for i, n in enumerate(numbers) if format_.has_leaves(i, format_.settings())]
    names = {f"level {n} {kind} fault" for n in leaves for kind in ("access flag", "permission")}
    names |= {f"level {n} {kind} fault" for n in numbers for kind in ("address size", "translation")}
    names |= {f"level {n} external abort on walk" for n in numbers[1:]}  # the root is always in memory
    return names | {"level 0 translation fault"}
