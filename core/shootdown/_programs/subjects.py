"""A program as a workload: what `compare`, `explain` and `history` take."""

from __future__ import annotations

from shootdown._machine.machine import Machine
from shootdown._programs import hugetlb
from shootdown._programs.areas import collapses, cut, misfit, misfit_of_freed, misfit_of_pieces, swaps
from shootdown._programs.cast import turns
from shootdown._programs.checking import check_counted
from shootdown._programs.language import size_text
from shootdown._programs.monitored import misfit_of_monitor
from shootdown._programs.program import Program, Statement
from shootdown._programs.reading import Source
from shootdown._programs.timed import build
from shootdown._values.kernel import Kernel
from shootdown._values.setup import Setup
from shootdown._values.workload import Workload
from shootdown._workloads.hugetlb import needs_madvise, needs_mremap


def workload_of(source: Source) -> Workload:
    """Return a program as a workload with the program's parameters."""
    first = source.chosen({})
    check_counted(first)

    def program(setting: Setup) -> Program:
        found = source.chosen_for(setting)
        check_counted(found)
        return found

    def machine(setting: Setup) -> Machine:
        return build(program(setting), setting)

    return Workload(
        name=source.name,
        summary=source.summary,
        parameters=source.parameters,
        build=machine,
        refuse=lambda setting: _refusal(program(setting), setting),
        remarks=lambda setting: _remarks(program(setting)),
        turns=lambda setting: turns(program(setting)),
        shares_tables=any(memory.kind == "hugetlb" and memory.shared for memory in first.memory.values()),
    )


def _remarks(program: Program) -> list[str]:
    """Return what a reader of a program's counts should know of them."""
    read = {
        one.place.memory for _, _, one in program.statements()
        if one.place and one.verb == "touch" and one.word == "read"
    }  # fmt: skip
    return [
        f"where {name} is read before it is written, its huge zero page counts as if it had been written"
        for name, memory in program.memory.items()
        if memory.kind == "thp" and name in read
    ]


def _refusal(program: Program, setting: Setup) -> str | None:
    """Return why a kernel or platform can't run a program, or None."""
    reason = misfit(program, setting.kernel.page_size) or hugetlb.misfit(program, setting.lowering)
    geometry = setting.lowering.geometry
    table_pages = 1 << (geometry.pmd_shift - geometry.page_shift)
    for misfits in (misfit_of_pieces, misfit_of_freed):
        reason = reason or misfits(program, setting.kernel.page_size, table_pages)
    if reason is not None:
        return reason
    statements = [one for _, _, one in program.statements()]
    if any(memory.kind == "thp" for memory in program.memory.values()) or any(map(collapses, statements)):
        reason = setting.lowering.no_thp()
    if any(one.verb == "vfree" for one in statements):
        reason = reason or setting.lowering.no_kernel_ranges()
    for one in statements:
        if one.word == "COLLAPSE" and one.verb == "madvise" and not setting.kernel.madv_collapse:
            reason = reason or (
                f"{one.at}: MADV_COLLAPSE came with v6.1 (7d8faaf15545); {setting.kernel.release} lacks it"
            )
        if one.verb == "mremap" and one.place and program.memory[one.place.memory].kind != "hugetlb":
            table, memory = 1 << geometry.pmd_shift, program.memory[one.place.memory]
            several = memory.size >= table or memory.begin % table + memory.size > table
            if several and not _moves_tables(program, one.place.memory, setting.kernel, table_pages):
                reason = reason or (
                    f"{one.at}: `{one.text:.60}`: it is counted of memory smaller than what a page table maps, "
                    f"{size_text(table)} here, and within one; or, where the kernel moves whole tables "
                    "(kernel.mremap_moves_tables), of what is whole tables that every statement treats alike"
                )
        if swaps(one) and one.place and program.memory[one.place.memory].kind == "thp":
            reason = reason or _no_thp_swap(one, setting.kernel)
        reason = reason or misfit_of_monitor(one, setting.kernel)
        of_hugetlb = one.place is not None and program.memory[one.place.memory].kind == "hugetlb"
        if of_hugetlb and one.verb == "madvise":
            reason = reason or needs_madvise(setting)
        elif of_hugetlb and one.verb == "mremap":
            reason = reason or needs_mremap(setting)
    return reason


def _no_thp_swap(one: Statement, kernel: Kernel) -> str | None:
    """Return why reclaim of huge pages is not counted, or None if it is."""
    if kernel.thp_swap != "unknown":
        return None
    return (
        f"{one.at}: `{one.text:.60}`: whether {kernel.release} swaps huge pages whole here is not known; say so, by "
        "--set kernel.thp_swap=yes or no"
    )


def _moves_tables(program: Program, name: str, kernel: Kernel, table_pages: int) -> bool:
    """Whether mremap() moves a memory as whole page tables, which no statement tells apart."""
    if kernel.mremap_moves_tables != "yes" or program.memory[name].kind == "thp":
        return False
    areas = cut(program, kernel.page_size, table_pages, counts=True)[name].areas
    return len(areas) == 1 and (areas[0].tables > 0 or not areas[0].pages)
