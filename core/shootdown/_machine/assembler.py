"""Write programs: what a task does, step by step, and which kernel function each step stands for.

The kernel model and the architectures' flush lowerings write with the same assembler. Branches are context
managers, so that a lowering reads like the code that it describes:

    with asm.function("flush_tlb_mm_range", "arch/x86/mm/tlb.c"):
        asm.begin_flush(g, ceiling=33)
        asm.target_mm_cpumask()
        with asm.if_targets() as branch:
            asm.send_flush_ipis()
            asm.wait_for_answers()
            branch.otherwise()
            asm.flush_this_cpu()
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from shootdown._machine import ops as o
from shootdown._machine.arguments import truth, whole
from shootdown._machine.branches import Branch, Branches
from shootdown._machine.checks import cost_number
from shootdown._machine.fields import PlacedField
from shootdown._machine.flush_forms import FlushForms
from shootdown._values.errors import shown
from shootdown._values.patch import Field
from shootdown._values.sites import mistake


class Assembler(Branches, FlushForms):
    """Write the programs of one machine.

    Its bases have the frame of a program (`Writer`: functions, causes, labels), a method for each step (`Builders`),
    branches and loops (`Branches`) and the forms of a flush (`FlushForms`). The methods here are the other convenient
    forms: occurrences, time, instructions, locks, and variables that an architecture keeps.

    Args:
        patch: what replaces some kernel functions.
    """

    def note(
        self,
        what: int,
        times: int = 1,
        section: int = 0,
        computes: bool = False,
        *,
        c: int = 0,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Record an occurrence in the ledger that no other step shows, such as a printed warning.

        Args:
            what: `ops.NOTE_*`.
            times: the number of occurrences; for `NOTE_SECTION`, 1 opens and 0 closes it.
            section: for `NOTE_SECTION`, its i_mmap_rwsem.
            computes: for `NOTE_USES`: the task computes meanwhile.
            c: the first name of `section`, which plugins of api 1 may use.
            cost: the name of the platform's cost.
            text: what the step does, for stories.
        """
        super().note(what, times, section or c, computes, cost=cost, text=text)

    def work(
        self, cost: str, times: int = 1, text: str = "", *, keeps: bool = False, elsewhere: bool = False
    ) -> None:
        """Let time pass.

        Args:
            cost: the name of the platform's cost.
            times: how often.
            text: what the step does, for stories.
            keeps: of `small_fault_ns` and `zap_ns`: no page comes from a zone or goes back to it, as where rights
                change, or where a file's page stays in the page cache.
            elsewhere: of so many nanoseconds: neither the program's work nor what is modelled of the kernel.
        """
        if not isinstance(cost, str):
            raise mistake(f"work() takes the name of a cost, not {cost!r:.40}")
        self._write(o.WORK, truth(keeps, "keeps"), times, truth(elsewhere, "elsewhere"), cost=cost, text=text)

    def execute(
        self,
        name: str,
        times: int = 1,
        per: int = o.PER_REQUEST,
        *,
        broadcasts: bool = False,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Execute an instruction that results count by name (`tlbi_vae1is`), `times` times for each unit of `per`.

        Args:
            name: as results show it.
            times: how many; multiplied by what `per` says (`ops.PER_*`).
            per: the unit (`ops.PER_*`): the whole request, each stride of it, each digit of a range operation.
            broadcasts: each one invalidates on all CPUs; the `send` that follows then counts no broadcasts itself.
            cost: the name of the platform's cost of one.
            text: what the step does, for stories.
        """
        if not isinstance(name, str) or not name:
            raise mistake(f"execute() takes the name of an instruction, not {name!r:.40}")
        if name not in self._instructions:
            self._instructions.append(name)
        price, unknown = cost_number(cost)
        if unknown:
            raise mistake(unknown)
        how = whole(per, "per") | (o.BROADCASTS if truth(broadcasts, "broadcasts") else 0)
        self._write(o.EXECUTE, self._instructions.index(name), times, how, price, text=text or name)

    def lock(
        self, first: int, *, index: int = 0, write: bool, sleeps: bool, at_once: bool = False, text: str
    ) -> None:
        """Take a lock for reading or writing; wait while it is held.

        Args:
            first, index: the lock; see `lock_write`.
            write: for writing.
            sleeps: who waits may leave its CPU.
            at_once: and does: a writer spins otherwise while another one holds the lock, as for a rwsem or a mutex.
            text: its name.
        """
        _text("lock()", text)
        if truth(write, "write"):
            self.lock_write(
                first, index=index, sleeps=sleeps, at_once=at_once, cost="lock_ns", text=f"take {text}"
            )
        else:
            self.lock_read(first, index=index, sleeps=sleeps, cost="lock_ns", text=f"take {text}")

    def if_locked(self, first: int, *, index: int = 0, text: str) -> AbstractContextManager[Branch]:
        """Take a lock for writing and run the steps within; the other arm runs if the lock is held."""
        _text("if_locked()", text)
        return self._branch(
            lambda unless: self.try_write(first, unless, index=index, text=f"try to take {text}")
        )

    def unlock(self, first: int, *, index: int = 0, write: bool, text: str) -> None:
        """Release a lock; the first waiters get it."""
        _text("unlock()", text)
        release = self.unlock_write if truth(write, "write") else self.unlock_read
        release(first, index=index, text=f"release {text}")

    def field(self, name: str, *, by: str = "mm", first: int = 0) -> PlacedField:
        """Return a variable that the architecture keeps, such as s390's `mm->context.flush_mm`.

        Args:
            name: its name, in stories too; the same name is the same variable.
            by: whose it is: one of each `mm`, of each `cpu`, or of the `machine`.
            first: its value when the run begins.

        Returns:
            What writes the steps: `store()`, `load()`, `add()`, `if_equal()`, and `keep_targets()` of one by CPU.
        """
        if self.functions.fields is None:
            raise mistake(f"field {shown(name)}: this assembler writes for no model")
        try:
            declared = Field(name, by, first)
        except ValueError as error:
            raise mistake(str(error)) from None
        return self.functions.fields.declared(declared, self)


def _text(builder: str, text: object) -> None:
    if not isinstance(text, str):
        raise mistake(f"{builder} takes the name of the lock in words, not {text!r:.40}")
