"""What GUP-fast does on the other CPU: it walks without locks, interrupts off, and reads again what it relied on.

mm/gup.c: gup_fast_pte_range() reads the PMD entry once, the PTE before and after it took the page, and since
70cbc3cc78a9 the PMD entry again too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shootdown._machine import ops as o
from shootdown._machine.label import Label
from shootdown._mm.model import Model
from shootdown._values.setup import Setup


def no_gup_fast(scene: Setup) -> str | None:
    """Say why nobody walks without locks in this kernel, or None."""
    if not scene.kernel.gup_fast:
        return "this kernel has no GUP-fast (CONFIG_HAVE_GUP_FAST): nobody walks page tables without a lock"
    return None


@contextmanager
def walk(model: Model, pmd: int) -> Iterator[Label]:
    """Write the frame of gup_fast(): interrupts off, the PMD entry in CLASS; jump to the label to give up.

    Args:
        model: where to write.
        pmd: the variable that is the PMD entry: which table it points to, from one; 0 for none.
    """
    asm = model.asm
    out = model.label()
    with asm.function("gup_fast", "mm/gup.c"):
        asm.set(o.SLOT, 0)
        asm.irq_off(lockless=True, text="local_irq_save")
        asm.v_load(o.CLASS, pmd, text="read the PMD entry")
        asm.jump_zero(o.CLASS, out)
        with asm.function("gup_fast_pte_range"):
            yield out
        asm.place(out)
        asm.irq_on(lockless=True, text="local_irq_restore")


def recheck(model: Model, pmd: int, changed: Label) -> None:
    """Write the second read of the PMD entry (70cbc3cc78a9)."""
    asm = model.asm
    same = model.label()
    asm.v_load(o.INDEX, pmd, text="read the PMD entry again")
    asm.jump_same(o.INDEX, o.CLASS, same)
    asm.jump(changed)
    asm.place(same)


def walk_table(model: Model, pmd: int, *, rechecks: bool, walked: int, invariant: int) -> None:
    """Write GUP-fast of one page through a table whose page may be given to somebody else, or freed, meanwhile.

    Args:
        model: where to write.
        pmd: the variable that is the PMD entry.
        rechecks: the PMD entry is read again.
        walked: the place that says that the walk was inside the table.
        invariant: the one that does not hold if it read a freed table, or kept a page of the table's next use.
    """
    asm = model.asm
    with walk(model, pmd) as out:
        asm.read_table(o.SCRATCH, o.CLASS, text="read the PTE, take its page")
        model.fail_if(o.SCRATCH, o.TABLE_FREED, invariant, "a freed page table was read")
        asm.reached(walked)
        if rechecks:
            recheck(model, pmd, out)
        asm.read_table(o.SCRATCH2, o.CLASS, text="read the PTE again")
        model.fail_if(o.SCRATCH2, o.TABLE_FREED, invariant, "a freed page table was read")
        kept = model.label()
        asm.jump_same(o.SCRATCH, o.SCRATCH2, kept)
        asm.jump(out)
        asm.place(kept)
        model.fail_if(o.SCRATCH, o.TABLE_REUSED, invariant, "a page of the table's next use is returned")
