"""What CPUs may hold of a program's addresses, compared with a slow twin that keeps plain sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.machine.tiny import Tiny

from shootdown._machine import ops as o
from shootdown._machine.holding import (
    DEAD_LINK,
    DEAD_TRANSLATION,
    NOTHING,
    bury_frames,
    bury_table,
    condemn,
    drop_held,
    fill_all,
    fill_link,
    fill_translation,
    occupants,
    usable_dead,
)
from shootdown._machine.layout import ATOM_CELLS, CPU_MM

CPUS, MMS, SLOTS, CLASSES, ATOMS, FRAMES = 3, 2, 2, 2, 3, 2
SLOT_PAGES = 512
#: Each atom's slot and pages: two in the first table, one in the second.
PAGES = ((0, 0, 1), (0, 7, 8), (1, 512, 1024))
WRITABLE = o.ENTRY_PRESENT | o.ENTRY_WRITABLE | o.ENTRY_DIRTY


def maps(frame: int, flags: int = WRITABLE) -> int:
    """Return the value of an entry that maps a frame."""
    return flags | 1 << o.ENTRY_PAGE_SHIFT + frame


def machine_of_atoms() -> Tiny:
    """Return a machine whose CPUs 0 and 1 run mm 0, and CPU 2 mm 1; nothing is mapped."""
    machine = Tiny(
        cpus=CPUS,
        tasks=2,
        mms=MMS,
        slots=SLOTS,
        classes=CLASSES,
        atoms=ATOMS,
        frames=FRAMES,
        slot_pages=SLOT_PAGES,
    )
    for atom, cells in enumerate(PAGES):
        at = machine.layout.o_atom + atom * ATOM_CELLS
        machine.state[at : at + ATOM_CELLS] = cells
    machine.state[machine.layout.o_frame : machine.layout.o_frame + FRAMES] = 1
    machine.cpu(2)[CPU_MM] = 2
    machine.put("loaded", 2, mm=1)
    return machine


def entry(machine: Tiny, klass: int, atom: int) -> Any:
    """The entry of an atom in the table of a class."""
    at = machine.layout.o_entry + klass * ATOMS + atom
    return machine.state[at : at + 1]


def held(machine: Tiny, cpu: int, mm: int, atom: int) -> int:
    """What a CPU may hold of an atom: readable frames, then writable ones, then whether one is dead."""
    return int(machine.state[machine.layout.o_held + (cpu * MMS + mm) * ATOMS + atom])


def links(machine: Tiny, cpu: int, mm: int, slot: int) -> int:
    """What a CPU may hold of a slot's link: classes, then whether one is dead."""
    return int(machine.state[machine.layout.o_links + (cpu * MMS + mm) * SLOTS + slot])


DEAD, DEAD_ONE = 1 << 2 * FRAMES, 1 << CLASSES


def test_a_walker_holds_a_link_and_what_its_table_maps() -> None:
    machine = machine_of_atoms()
    machine.puds(0)[0] = 1
    entry(machine, 0, 0)[:] = maps(1)
    machine.run(fill_all)
    assert [links(machine, cpu, 0, 0) for cpu in range(CPUS)] == [1, 1, 0]
    assert [held(machine, cpu, 0, 0) for cpu in range(CPUS)] == [0b1010, 0b1010, 0]


def test_what_was_read_once_is_held_after_the_entry_changed() -> None:
    machine = machine_of_atoms()
    machine.puds(0)[0] = 1
    entry(machine, 0, 0)[:] = maps(0)
    machine.run(fill_all)
    entry(machine, 0, 0)[:] = maps(1)
    machine.run(fill_all)
    assert held(machine, 0, 0, 0) == 0b1111


def test_entries_are_read_by_a_link_that_is_no_longer_there() -> None:
    machine = machine_of_atoms()
    machine.puds(0)[0] = 2
    machine.run(fill_link, 0, 0)
    machine.puds(0)[0] = 0
    entry(machine, 1, 1)[:] = maps(0)
    assert machine.run(fill_translation, 0, 1)
    assert held(machine, 0, 0, 1) == 0b0101


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (0, 0),
        (maps(0), 0b0101),
        (maps(0, o.ENTRY_PRESENT), 0b0001),
        (maps(1, o.ENTRY_PRESENT | o.ENTRY_WRITABLE), 0b0010),
        (maps(1, o.ENTRY_WRITABLE | o.ENTRY_DIRTY), 0),
    ],
)
def test_a_translation_is_writable_only_if_its_entry_is_dirty_already(value: int, holds: int) -> None:
    machine = machine_of_atoms()
    machine.puds(0)[0] = 1
    entry(machine, 0, 0)[:] = value
    machine.run(fill_all)
    assert held(machine, 0, 0, 0) == holds


def test_a_preempted_vcpu_and_one_without_an_mm_read_nothing() -> None:
    machine = machine_of_atoms()
    machine.puds(0)[0] = 1
    machine.put("preempted", 0)
    machine.cpu(1)[CPU_MM] = 0
    machine.run(fill_all)
    assert [links(machine, cpu, 0, 0) for cpu in range(CPUS)] == [0, 0, 0]


def test_a_freed_frame_leaves_dead_translations_in_every_mm() -> None:
    machine = machine_of_atoms()
    machine.puds(0)[0] = machine.puds(1)[1] = 1
    entry(machine, 0, 0)[:] = entry(machine, 0, 2)[:] = maps(1)
    machine.run(fill_all)
    machine.run(bury_frames, 0b10)
    assert (held(machine, 0, 0, 0), held(machine, 2, 1, 2)) == (DEAD, DEAD)


def test_what_is_read_of_a_freed_frame_is_dead() -> None:
    machine = machine_of_atoms()
    machine.state[machine.layout.o_frame + 1] = 0
    machine.puds(0)[0] = 1
    entry(machine, 0, 0)[:] = maps(1)
    assert machine.run(fill_link, 0, 0)
    assert machine.run(fill_translation, 0, 0)
    assert held(machine, 0, 0, 0) == DEAD
    assert not machine.run(fill_translation, 0, 0)
    entry(machine, 0, 0)[:] = maps(0)
    assert machine.run(fill_translation, 0, 0)
    assert held(machine, 0, 0, 0) == DEAD | 0b0101


@pytest.mark.parametrize(
    ("state", "holds"),
    [
        (o.TABLE_FREED, DEAD_ONE),
        (o.TABLE_REUSED | 2 << o.TABLE_OWNER_SHIFT, DEAD_ONE),
        (o.TABLE_REUSED | 1 << o.TABLE_OWNER_SHIFT, 1),
        (o.TABLE_SHARED, 1),
    ],
)
def test_a_link_that_is_read_of_a_freed_table_or_another_mms_is_dead(state: int, holds: int) -> None:
    machine = machine_of_atoms()
    machine.tables(0)[0] = state
    machine.puds(0)[0] = 1
    assert machine.run(fill_link, 0, 0)
    assert not machine.run(fill_link, 0, 0)
    assert links(machine, 0, 0, 0) == holds


def test_a_table_that_is_given_away_leaves_dead_links_in_all_mms_but_its_owners() -> None:
    machine = machine_of_atoms()
    machine.puds(0)[0] = machine.puds(1)[0] = 1
    machine.run(fill_all)
    machine.run(bury_table, 1, 0, 1)
    assert [links(machine, cpu, mm, 0) for cpu, mm in ((0, 0), (1, 0), (2, 1))] == [DEAD_ONE, DEAD_ONE, 1]
    machine.run(bury_table, 1, 0, -1)
    assert links(machine, 2, 1, 0) == DEAD_ONE


def test_a_right_that_is_gone_leaves_dead_translations_of_one_mm_and_atom() -> None:
    machine = machine_of_atoms()
    machine.puds(0)[0] = machine.puds(1)[0] = 1
    entry(machine, 0, 0)[:] = entry(machine, 0, 1)[:] = maps(0)
    machine.run(fill_all)
    machine.run(condemn, 0, 0, 0b01, 1)
    assert (held(machine, 0, 0, 0), held(machine, 0, 0, 1), held(machine, 2, 1, 0)) == (
        DEAD | 1,
        0b0101,
        0b0101,
    )


def test_the_occupants_of_an_atom_are_what_it_maps_and_what_cpus_still_reach_by_it() -> None:
    machine = machine_of_atoms()
    assert machine.run(occupants, 0, 0) == 0
    machine.puds(0)[0] = 1
    entry(machine, 0, 0)[:] = maps(0)
    machine.run(fill_all)
    entry(machine, 0, 0)[:] = maps(1)
    assert machine.run(occupants, 0, 0) == 0b11


def test_something_dead_is_usable_where_the_hardware_would_use_it() -> None:
    machine = machine_of_atoms()
    at = machine.layout.o_held  # CPU 0, mm 0, atom 0
    machine.state[at] = DEAD
    assert machine.run(usable_dead) == NOTHING  # in the kernel
    machine.put("user", 0)
    assert machine.run(usable_dead) == DEAD_TRANSLATION
    machine.put("lazy", 0)
    assert machine.run(usable_dead) == NOTHING
    machine.state[machine.layout.o_links] = DEAD_ONE  # a lazy CPU walks all the same
    assert machine.run(usable_dead) == DEAD_LINK
    machine.put("preempted", 0)
    assert machine.run(usable_dead) == NOTHING


# --- a slow twin


@attrs.define
class Twin:
    """Sets of what CPUs hold: translations `(cpu, mm, atom, frame, writable)` and links `(cpu, mm, slot, class)`."""

    puds: dict[tuple[int, int], int] = attrs.field(factory=dict)
    entries: dict[tuple[int, int], int] = attrs.field(factory=dict)
    held: set[tuple[int, int, int, int, bool]] = attrs.field(factory=set)
    links: set[tuple[int, int, int, int]] = attrs.field(factory=set)
    dead: set[tuple[str, int, int, int]] = attrs.field(factory=set)

    def fill(self) -> None:
        for cpu, mm in ((0, 0), (1, 0), (2, 1)):
            self.links |= {(cpu, mm, slot, k) for (m, slot), k in self.puds.items() if m == mm}
            for _, _, slot, klass in {link for link in self.links if link[:2] == (cpu, mm)}:
                for atom, (where, _, _) in enumerate(PAGES):
                    frame = self.entries.get((klass, atom))
                    if where == slot and frame is not None:
                        self.held |= {(cpu, mm, atom, frame, False), (cpu, mm, atom, frame, True)}

    def bury_frame(self, frame: int) -> None:
        gone = {one for one in self.held if one[3] == frame}
        self.held -= gone
        self.dead |= {("held", *one[:3]) for one in gone}

    def bury_table(self, klass: int, slot: int, owner: int) -> None:
        gone = {one for one in self.links if one[2:] == (slot, klass) and one[1] != owner}
        self.links -= gone
        self.dead |= {("links", *one[:3]) for one in gone}

    def flush(
        self, cpu: int, mm: int, first: int, pages: int, *, leaf: bool, walk: bool, at_va: bool
    ) -> None:
        named = range(first, first + pages)
        atoms = (
            {a for a, (_, lo, hi) in enumerate(PAGES) if set(named) & set(range(lo, hi))} if leaf else set()
        )
        slots = {s for s in range(SLOTS) if not at_va or set(named) & set(range(s * 512, s * 512 + 512))}
        slots = slots if walk else set()
        self.held = {one for one in self.held if one[:2] != (cpu, mm) or one[2] not in atoms}
        self.links = {one for one in self.links if one[:2] != (cpu, mm) or one[2] not in slots}
        self.dead = {
            one
            for one in self.dead
            if one[1:3] != (cpu, mm) or one[3] not in (atoms if one[0] == "held" else slots)
        }


Act = Callable[[Tiny, Twin], None]
_cpu, _mm, _atom, _slot, _klass, _frame = (
    st.integers(0, n - 1) for n in (CPUS, MMS, ATOMS, SLOTS, CLASSES, FRAMES)
)


@st.composite
def acts(draw: st.DrawFn) -> Act:
    """Draw something that happens to a machine and to its twin."""
    kind = draw(st.sampled_from(("link", "entry", "bury frame", "bury table", "flush")))
    cpu, mm, atom, slot = draw(_cpu), draw(_mm), draw(_atom), draw(_slot)
    klass, frame, there = draw(_klass), draw(_frame), draw(st.booleans())
    first, pages = draw(st.integers(0, 600)), draw(st.integers(1, 600))
    leaf, walk, at_va = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())

    def act(machine: Tiny, twin: Twin) -> None:
        if kind == "link":
            machine.puds(mm)[slot] = klass + 1 if there else 0
            twin.puds.pop((mm, slot), None)
            twin.puds |= {(mm, slot): klass} if there else {}
        elif kind == "entry":
            entry(machine, klass, atom)[:] = maps(frame) if there else 0
            twin.entries.pop((klass, atom), None)
            twin.entries |= {(klass, atom): frame} if there else {}
        elif kind == "bury frame":
            machine.run(bury_frames, 1 << frame)
            twin.bury_frame(frame)
        elif kind == "bury table":
            machine.run(bury_table, klass + 1, slot, mm if there else -1)
            twin.bury_table(klass, slot, mm if there else -1)
        else:
            scope = o.SCOPE_LEAF * leaf | o.SCOPE_WALK * walk | o.SCOPE_AT_VA * at_va
            machine.run(drop_held, mm, 0, 1 << cpu, first, first + pages, 0, scope)
            twin.flush(cpu, mm, first, pages, leaf=leaf, walk=walk, at_va=at_va)
        machine.run(fill_all)
        twin.fill()

    return act


@given(st.lists(acts(), max_size=12))
def test_what_cpus_hold_is_what_the_slow_twin_says(happens: list[Act]) -> None:
    machine, twin = machine_of_atoms(), Twin()
    for act in happens:
        act(machine, twin)
    for cpu in range(CPUS):
        for mm in range(MMS):
            for atom in range(ATOMS):
                mine = {one for one in twin.held if one[:3] == (cpu, mm, atom)}
                cell = sum(1 << frame + FRAMES * writable for _, _, _, frame, writable in mine)
                assert held(machine, cpu, mm, atom) == cell | DEAD * (("held", cpu, mm, atom) in twin.dead)
            for slot in range(SLOTS):
                cell = sum(1 << klass for c, m, s, klass in twin.links if (c, m, s) == (cpu, mm, slot))
                assert links(machine, cpu, mm, slot) == cell | DEAD_ONE * (
                    ("links", cpu, mm, slot) in twin.dead
                )


HUGE_PAGE = o.ENTRY_HUGE | maps(1)


def test_a_link_may_map_a_huge_page_in_place_of_a_table() -> None:
    machine = machine_of_atoms()
    machine.puds(0)[1] = HUGE_PAGE
    machine.run(fill_all)
    assert held(machine, 0, 0, 2) == 0b1010
    assert links(machine, 0, 0, 1) == 0
    assert machine.run(occupants, 0, 2) == 0b10


def test_no_walker_reads_a_huge_page_that_is_not_present_or_of_a_small_atom() -> None:
    machine = machine_of_atoms()
    machine.puds(0)[0] = HUGE_PAGE
    machine.puds(0)[1] = HUGE_PAGE & ~o.ENTRY_PRESENT
    machine.run(fill_all)
    assert [held(machine, 0, 0, atom) for atom in range(ATOMS)] == [0, 0, 0]


def test_a_flush_of_any_of_its_pages_drops_a_huge_page() -> None:
    machine = machine_of_atoms()
    machine.puds(0)[1] = HUGE_PAGE
    machine.run(fill_all)
    machine.puds(0)[1] = 0
    machine.run(drop_held, 0, 0, 1, 700, 701, 0, o.SCOPE_LEAF)
    assert (held(machine, 0, 0, 2), held(machine, 1, 0, 2)) == (0, 0b1010)
