"""The walk kernel gives, for random tables, what a walk written from the manual gives."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import riscv_twin as twin

from shootdown.formats import EVERY_ACCESS, PhysicalMemory, Reason, Walker, trace
from shootdown_riscv._formats import FORMATS

FORMAT = {format_.name.removeprefix("riscv-"): format_ for format_ in FORMATS}
BATCHES, SIZE = 200, 520  # times four formats: 104,000 cases each
MILLION = 12  # times as many are more than a million: what shootdown's `make long` runs, and records
TRACED = 2  # of each batch, also walked step by step

#: What the twin's step says, as the walker's reasons have it.
REASONS = {
    Reason.OK: {"ok"},
    Reason.NOT_PRESENT: {"valid"},
    Reason.MALFORMED: {"too deep"},
    Reason.RESERVED: {"reserved", "misaligned"},
    Reason.PERMISSION: {"u", "rwx"},
    Reason.ACCESS_FLAG: {"used"},
    Reason.NONCANONICAL: {"va"},
    Reason.NO_MEMORY: {"memory"},
}


@pytest.mark.parametrize(
    "times", [pytest.param(1, id="sample"), pytest.param(MILLION, id="million", marks=pytest.mark.long)]
)
@pytest.mark.parametrize("mode", sorted(twin.LEVELS))
def test_translations_causes_and_flags_in_memory_are_the_twins(
    mode: str, times: int, record_property: Callable[[str, object], None]
) -> None:
    began, seed = time.process_time(), sorted(twin.LEVELS).index(mode) + 7 + 10_000 * (times > 1)
    rng = np.random.default_rng(seed)
    format_ = FORMAT[mode]
    whys: Counter[str] = Counter()
    sizes: Counter[tuple[int, object]] = Counter()
    causes: Counter[int] = Counter()
    for batch in range(BATCHES * times):
        settings = twin.settings(rng, mode)
        tables = twin.tables(rng, mode)
        access = EVERY_ACCESS[batch % len(EVERY_ACCESS)]
        root = int(rng.choice(tables.roots))
        vas = twin.addresses(rng, mode, SIZE)
        memory = PhysicalMemory(window_bytes=128 << 20)  # a missing table lies far outside of it
        slow = twin.Memory({number: bytearray(data) for number, data in tables.frames.items()})
        for number, data in tables.frames.items():
            memory.write(number << 12, data)
        under = format_.settings(**settings)
        if not settings["svadu"]:
            for va in vas[:TRACED].tolist():
                step_by_step = trace(format_, memory, root, va, access, under)
                walked = Walker(format_, memory, under).walk(root, va, access)
                assert step_by_step.reason == walked.reason
                assert (step_by_step.pa or 0, step_by_step.level) == (walked.pa, walked.level)
        found = Walker(format_, memory, under).walk_many(
            root, vas, access, hardware_sets_flags=settings["svadu"]
        )
        hart = twin.Hart(mode, **settings)
        for i, va in enumerate(vas.tolist()):
            expected = twin.translate(hart, slow, root, va, access.kind, access.user)
            reason = Reason(int(found.reason[i]))
            case = (settings, access, hex(va), expected, reason)
            whys[expected.why] += 1
            if expected.why == "ok":
                assert reason is Reason.OK, case
                assert (int(found.pa[i]), int(found.shift[i])) == (expected.pa, expected.page_bits), case
                sizes[expected.page_bits, access] += 1
            else:
                assert expected.why in REASONS[reason], case
                assert format_.fault(reason, access, under) == (expected.name, expected.cause), case
                causes[expected.cause] += 1
            if expected.why != "va":
                assert format_.levels[found.level[i]].name == f"PTE{expected.level}", case
        for number, frame in slow.frames.items():
            assert memory.read(number << 12, 4096) == bytes(frame)

    wide = mode != "sv32"
    assert set(whys) == {
        "ok",
        "memory",
        "valid",
        "reserved",
        "too deep",
        "misaligned",
        "u",
        "rwx",
        "used",
    } | ({"va"} if wide else set())
    assert min(whys.values()) > 100
    bits = {12 + 9 * level for level in range(twin.LEVELS[mode])} | {16} if wide else {12, 22}
    assert set(sizes) == {(size, access) for size in bits for access in EVERY_ACCESS}
    assert set(causes) == {1, 5, 7, 12, 13, 15}
    said = {"what": f"walks of {format_.name}", "against": "twin", "seed": seed, "count": sum(whys.values())}
    said |= {"result": "equal", "cpu_seconds": round(time.process_time() - began, 1)}
    record_property("sample", json.dumps(said))
