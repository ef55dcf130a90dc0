"""A toy architecture written with the porting kit, and one run of one workload on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from shootdown import Architecture, Platform
from shootdown._plugins.registry import registry
from shootdown._questions.case import Question, prepare
from shootdown._questions.simulate import counts_of
from shootdown._timed.run import run_machine
from shootdown.formats import Attribute, Deny, Format, Level, Piece, Test, bit, bits
from shootdown.porting import PlainLowering, estimated_costs, typical_tlb, with_entries


def radix(page_shift: int, *level_bits: int, global_bit: int | None = None) -> Format:
    """Return a format with pages at the last two levels; `level_bits` are the bits of each level, from the root."""
    names = [f"L{n}" for n in range(len(level_bits))]
    leaf = ["never"] * (len(level_bits) - 2) + ["flag", "always"]
    return Format(
        name="toy",
        summary="a toy",
        levels=tuple(
            Level(name, name, width, kind)  # type: ignore[arg-type]
            for name, width, kind in zip(names, level_bits, leaf, strict=True)
        ),
        page_shift=page_shift,
        va_bits=page_shift + sum(level_bits),
        present=Test(bit(0), bit(0)),
        points_to_table=Test(bit(1), 0),
        address=(Piece(bits(page_shift, 63)),),
        attributes=(Attribute("user", 2),),
        deny=(Deny(user=True, lacks=("user",)),),
        global_page=None if global_bit is None else Test(bit(global_bit), bit(global_bit)),
    )


RADIX_4K = radix(12, 9, 9, 9)
(MACHINE,) = with_entries(
    Platform("toy-one", "one", estimated_costs(2.0), tlb=typical_tlb(RADIX_4K), cpus=4),
)


class ToyLowering(PlainLowering):
    """Flush up to 16 pages by address."""

    source, format, ceiling = "arch/toy/mm/tlb.c", RADIX_4K, 16
    page_instruction, all_instruction, call_instruction = "drop_page", "drop_all", "call"


class Counted(NamedTuple):
    """The counts of one run in its window."""

    instructions: dict[str, int]
    counts: dict[str, int]


def run(
    lowering: type[PlainLowering],
    workload: str,
    settings: Iterable[str] = (),
    kernel: str = "7.0",
    parameters: Mapping[str, Any] | None = None,
) -> Counted:
    """Run a workload once, with the likely costs, on four CPUs."""
    toy = Architecture(api=1, name="toy", summary="a toy", platforms=(MACHINE,), lower=lowering)
    case = prepare(
        Question(
            registry().workload(workload),
            toy,
            MACHINE,
            kernel,
            parameters=dict(parameters or {}),
            cpus=4,
            settings=tuple(settings),
        )
    )
    assert case.refusal() is None
    machine = case.program.build(case.setup())
    found = run_machine(machine, case.platform)
    executed = found.window_instructions[0] if machine.windows else found.instructions
    return Counted({name: n for name, n in executed.items() if n}, counts_of(machine, found))
