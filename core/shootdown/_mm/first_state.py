"""Where the parts of a machine's state lie, and what they hold when a run begins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

from shootdown._compilation.running import runnable
from shootdown._machine.layout import (
    ATOM_CELLS,
    M_GLOBAL,
    MM_CELLS,
    SPAN_CELLS,
    T_CPU,
    T_MM,
    T_ON,
    T_PC,
    TASK_CELLS,
    Layout,
    empty_state,
    make_layout,
    set_cpu,
)
from shootdown._mm.declarations import Declarations, Task
from shootdown._values.errors import ShootdownError
from shootdown._values.sites import mistake

if TYPE_CHECKING:
    import numpy.typing as npt

#: Bits of a cell of the state that exploration keeps, and the most CPUs of a machine that it takes: a state has a row
#: of cells for each pair of CPUs, and with thousands it takes minutes until the first is looked at.
EXPLORED_BITS = 16
MOST_EXPLORED_CPUS = 64
#: The most cells of an explored state; those of shipped scenarios have some hundreds.
MOST_EXPLORED_CELLS = 1 << 18
#: Stores that a CPU's buffer holds, where the memory model has one.
_STORES = 2


class FirstState(Declarations):
    """Make the layout and the first state of what was declared; see `Declarations`."""

    def _layout(self, bits: int, memory: int) -> Layout:
        """Return where the parts of the state lie, of everything that was declared."""
        rules, patch = self.lowering.mm, self.kernel.patch
        geometry = self.lowering.geometry
        if self.cpus < 1:
            raise ShootdownError(f"a machine has at least one CPU, not {self.cpus}")
        if bits == EXPLORED_BITS and self.cpus > MOST_EXPLORED_CPUS:
            raise mistake(
                f"a scenario of {self.cpus} CPUs: exploration takes up to {MOST_EXPLORED_CPUS}, "
                "and races show with two to four"
            )
        layout = make_layout(
            cpus=self.cpus,
            tasks=len(self._tasks),
            mms=self.mms,
            slots=self.slots,
            classes=self.classes,
            locks=self.locks.ptl + self.slots + self._locks,
            events=max(self._events, 1),
            asids=min(rules.asids, self.mms),  # no CPU sees more address spaces than there are
            bits=bits,
            slot_pages=self.slot_pages,
            shifts=(
                geometry.pmd_shift - geometry.page_shift,
                geometry.pud_shift - geometry.page_shift,
                geometry.p4d_shift - geometry.page_shift,
            ),
            clear_on_switch=rules.clear_on_switch
            and not (patch is not None and patch.about.keeps_mm_cpumask),
            lazy_tlb=rules.lazy_tlb,
            tagged=rules.tagged,
            variables=len(self._variables),
            entries=len(self._owners),
            atoms=len(self._atoms),
            frames=len(self._frames),
            walk_cache=getattr(getattr(self.lowering, "platform", None), "walk_entries", 1) > 0,
            hardware_walks=self._hardware_walks(),
            stores=_STORES if memory else 0,
            memory=memory,
        )
        if bits == EXPLORED_BITS and layout.size > MOST_EXPLORED_CELLS:
            raise mistake(
                f"a state of {layout.size} cells cannot be explored: there are at most {MOST_EXPLORED_CELLS}; "
                "races show with few mms, slots and files"
            )
        return layout

    def _hardware_walks(self) -> bool:
        """Whether hardware walks the tables that are modelled: not those of Linux where it has a hash table instead.

        Of ordinary memory each entry is modelled; a miss then traps, and a handler reads it.
        """
        walks = self.lowering.no_hardware_walker() is None
        return walks and not (self._atoms and not self.lowering.needs_table_invalidate)

    def _first_state(self, layout: Layout) -> npt.NDArray[Any]:
        """Return the state in which everything that was declared begins."""
        state = empty_state(layout, "int64" if layout.bits == 64 else "uint32")
        for number, task in enumerate(self._tasks):
            at = layout.o_task + number * TASK_CELLS
            state[at + T_PC] = task.entry
            state[at + T_CPU] = task.cpu
            state[at + T_MM] = 0 if task.mm is None else task.mm + 1
            state[at + T_ON] = 0 if task.mm is None else task.mm + 1
        for cpu in self._preempted:
            set_cpu(state, layout, "preempted", cpu)
        for mm in range(self.mms if self.lowering.global_asid_from_start else 0):
            state[layout.o_mm + mm * MM_CELLS + M_GLOBAL] = 2
        for mm, slot, klass in self._populated:
            state[layout.o_pud + mm * layout.slots + slot] = klass + 1
            state[layout.o_share + klass * layout.slots + slot] += 1
        for mm, slot, value in self._maps_huge:
            state[layout.o_pud + mm * layout.slots + slot] = value
        for atom, (lo, hi, _) in enumerate(self._atoms):
            at = layout.o_atom + atom * ATOM_CELLS
            state[at : at + ATOM_CELLS] = lo // self.slot_pages, lo, hi
        state[layout.o_frame : layout.o_frame + layout.frames] = [count for count, _ in self._frames]
        for klass, atom, value in self._maps:
            state[layout.o_entry + klass * layout.atoms + atom] = value
        for cpu in self._in_user_mode:
            set_cpu(state, layout, "user", cpu)
        state[layout.o_variable : layout.o_variable + layout.variables] = self._variables
        state[layout.o_owner : layout.o_owner + layout.entries] = self._owners
        state[layout.o_span : layout.o_span + SPAN_CELLS * layout.entries] = self._spans
        if self._lazy:
            from shootdown._machine.switching import load_mm, switch_to  # imports numba, so only when needed

            for cpu, mm in self._lazy:
                runnable(load_mm)(state, layout, cpu, mm + 1)
                runnable(switch_to)(state, layout, cpu, -1)
        return state

    def explored_with(
        self, homes: Sequence[int], *, lazy: int | None, user: Iterable[int], memory: int
    ) -> tuple[Layout, npt.NDArray[Any]]:
        """Return layout and first state of a machine to explore that has these tasks in place of the model's own.

        Args:
            homes: for each task its mm; its CPU is the one of its number, and nobody has said where it begins.
            lazy: the mm that one more CPU idles with; None: there is no such CPU.
            user: the CPUs that are in user mode.
            memory: the memory model.
        """
        other = copy(self)
        other.cpus = len(homes) + (lazy is not None)
        other._tasks = [Task(mm, cpu, 0, True, None) for cpu, mm in enumerate(homes)]
        other._in_user_mode = set(user)
        other._lazy = [] if lazy is None else [(len(homes), lazy)]
        layout = other._layout(EXPLORED_BITS, memory)
        return layout, other._first_state(layout)
