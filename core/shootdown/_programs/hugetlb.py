"""What a thread of a program does with hugetlb memory: the same calls as the shipped workloads make."""

from __future__ import annotations

import attrs

from shootdown._mm.mapping import Mapping
from shootdown._mm.model import Model
from shootdown._programs.language import size_text
from shootdown._programs.program import Memory, Place, Program, Statement
from shootdown._programs.touches import draws
from shootdown._values.lowering import Lowering
from shootdown._workloads.hugetlb import split_into_vmas, upper_tables

_HUGE_PAGE = 2 << 20


@attrs.frozen
class Mapped:
    """A hugetlb memory as the model has it.

    Args:
        memory: the memory.
        base: its first slot.
        tables: PUD entries that it covers.
        mappings: its VMAs, with the tables that any statement touches.
        file: the number of its file.
    """

    memory: Memory
    base: int
    tables: int
    mappings: tuple[Mapping, ...]
    file: int

    def part(self, lo: int, hi: int) -> tuple[Mapping, ...]:
        """Return the VMAs, cut to the slots from `lo` to `hi` of this memory."""
        found = []
        for m in self.mappings:
            used = tuple(slot for slot in m.used if self.base + lo <= slot < self.base + hi)
            if used:
                own = tuple(slot for slot in m.own if slot in used)
                found.append(attrs.evolve(m, used=used, own=own, span=min(m.span, hi - lo)))
        return tuple(found)


def misfit(program: Program, lowering: Lowering, *, any_size: bool = False) -> str | None:
    """Return why hugetlb memory can't be had on an architecture, or None if it can.

    Args:
        program, lowering: the program and the architecture.
        any_size: huge pages may have the size that the architecture has for them: none is counted.
    """
    geometry = lowering.geometry
    span = 1 << geometry.pud_shift
    for memory in program.memory.values():
        if memory.kind == "hugetlb" and 1 << geometry.pmd_shift != _HUGE_PAGE and not any_size:
            size = size_text(1 << geometry.pmd_shift)
            return f"{memory.at}: its pages have 2M, and those of this kernel's PMD entries {size}"
        if memory.kind == "hugetlb" and memory.vmas > -(-memory.size // span):
            return (
                f"{memory.at}: {memory.vmas} VMAs of whole PUD entries ({size_text(span)}) are larger than it"
            )
    for _, _, one in program.statements():
        if (
            one.place is None
            or program.memory[one.place.memory].kind != "hugetlb"
            or one.verb in ("touch", "gup")
        ):
            continue
        whole = program.memory[one.place.memory].size
        if one.place.lo % span or (one.place.hi % span and one.place.hi != whole):
            return (
                f"{one.at}: `{one.text:.60}`: of hugetlb memory parts of whole PMD tables are counted, which map "
                f"{size_text(span)} here"
            )
    return None


def mapped(program: Program, lowering: Lowering) -> dict[str, Mapped]:
    """Lay out all hugetlb memory of a program."""
    span = 1 << lowering.geometry.pud_shift
    found: dict[str, Mapped] = {}
    base = 0
    for memory in program.memory.values():
        if memory.kind != "hugetlb":
            continue
        tables = -(-memory.size // span)
        touches = [
            one
            for _, _, one in program.statements()
            if one.verb == "touch" and one.place and one.place.memory == memory.name
        ]
        slots = sorted({slot for one in touches for slot in touched_slots(one, span)})
        room = span // _HUGE_PAGE
        pages = max((_pages(one, span) for one in touches), default=0)
        covers = "private" if not memory.shared else "short" if memory.size % span else "whole"
        whole = split_into_vmas(tables, memory.vmas, pages, room, covers)
        mappings = tuple(
            attrs.evolve(
                m,
                used=tuple(base + slot for slot in slots if slot in m.used),
                own=tuple(base + slot for slot in slots if slot in m.own),
                file=len(found),
                span=len(m.used),
            )
            for m in whole
        )
        found[memory.name] = Mapped(memory, base, tables, mappings, len(found))
        base += tables
    return found


def touched_slots(one: Statement, span: int) -> tuple[int, ...]:
    """Return the tables through which a statement touches pages, in the order of its first access to each."""
    assert one.place is not None
    first, end = one.place.lo // _HUGE_PAGE, one.place.hi // _HUGE_PAGE
    room = span // _HUGE_PAGE
    if one.pattern.how == "all":
        return tuple(range(first // room, -(-end // room)))
    if one.pattern.how == "every":
        step = max(one.pattern.number // _HUGE_PAGE, 1)
        return tuple(dict.fromkeys(page // room for page in range(first, end, step)))
    return tuple(dict.fromkeys((first + page) // room for page in draws(one.pattern, end - first)))


def _pages(one: Statement, span: int) -> int:
    """Return how many huge pages a statement touches in each of its tables, at least one."""
    assert one.place is not None
    room = span // _HUGE_PAGE
    pages = (one.place.hi - one.place.lo) // _HUGE_PAGE
    if one.pattern.how == "all":
        return min(max(pages, 1), room)
    if one.pattern.how == "every":
        return max(room * _HUGE_PAGE // max(one.pattern.number, _HUGE_PAGE), 1)
    return max(one.pattern.number // max(len(touched_slots(one, span)), 1), 1)


def write_call(
    model: Model, verb: str, mappings: tuple[Mapping, ...], tables: int, mms: tuple[int, ...]
) -> None:
    """Write a call on hugetlb mappings, as the shipped workloads make it.

    Args:
        model: the model.
        verb: the statement's.
        mappings: what it is about, not empty.
        tables: PMD tables of the whole mapping, where the call takes all of it away; else 0.
        mms: the address spaces that map the file.
    """
    calls = model.calls
    count, level = upper_tables(model, tables)
    if verb == "munmap":
        calls.munmap(mappings, upper_tables=count, level=level)
    elif verb == "madvise":
        calls.madvise(*mappings)
    elif verb == "mprotect":
        calls.mprotect(mappings)
    elif verb == "mremap":
        for m in mappings:  # the last one also frees the tables above
            calls.mremap(m, upper_tables=count if m is mappings[-1] else 0, level=level)
    elif verb in ("punch", "truncate"):
        name = "hugetlbfs_punch_hole" if verb == "punch" else "hugetlb_vmtruncate"
        for m in mappings:
            calls.zap_file(m, mms, name=name)
    else:
        assert verb == "migrate"
        calls.migrate(mappings[0], mms)


class Hugetlb:
    """Write statements about hugetlb memory.

    Args:
        model: the model.
        memory: all hugetlb memory, by name.
        mms: by the memory's name, the address spaces that map it.
    """

    def __init__(self, model: Model, memory: dict[str, Mapped], mms: dict[str, tuple[int, ...]]) -> None:
        self.model = model
        self.memory = memory
        self._mms = mms
        self._span = 1 << model.lowering.geometry.pud_shift

    def _slots(self, place: Place) -> tuple[int, int]:
        return place.lo // self._span, -(-place.hi // self._span)

    def write(self, one: Statement) -> None:
        """Write a statement about hugetlb memory."""
        assert one.place is not None
        here = self.memory[one.place.memory]
        if one.verb == "touch":
            self._touch(here, one)
            return
        if one.verb == "mmap":
            with self.model.calls.syscall("mmap"):
                return
        mappings = here.part(*self._slots(one.place))
        if not mappings:
            return
        whole = len(mappings) == len(here.mappings) and one.place.hi - one.place.lo == here.memory.size
        write_call(self.model, one.verb, mappings, here.tables if whole else 0, self._mms[here.memory.name])

    def _touch(self, here: Mapped, one: Statement) -> None:
        order = [here.base + slot for slot in touched_slots(one, self._span)]
        for m in here.mappings:
            used = tuple(slot for slot in order if slot in m.used)
            if used:
                part = attrs.evolve(m, used=tuple(sorted(used)), order=used)
                self.model.hugetlb.touch(
                    attrs.evolve(part, own=tuple(slot for slot in m.own if slot in used))
                )
