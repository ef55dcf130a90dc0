"""GUP-fast on the other CPU: it walks without locks, with interrupts off, and then reads the entries again.

mm/gup.c: gup_fast_pte_range() reads the PMD entry, then the PTE before and after it takes the page, and since
70cbc3cc78a9 the PMD entry once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shootdown._machine import ops as o
from shootdown._machine.label import Label
from shootdown._mm.model import Model
from shootdown._values.setup import Setup


def no_gup_fast(scene: Setup) -> str | None:
    """Return why this kernel has no GUP-fast, or None if it has."""
    if not scene.kernel.gup_fast:
        return "this kernel has no GUP-fast (CONFIG_HAVE_GUP_FAST): nobody walks page tables without a lock"
    return None


@contextmanager
def walk(model: Model, pmd: int) -> Iterator[Label]:
    """Write gup_fast() around the steps within: interrupts off, the PMD entry in CLASS; the label is for giving up.

    Args:
        model: the model.
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
    """Write GUP-fast of one page through a table whose page may be reused or freed meanwhile.

    Args:
        model: the model.
        pmd: the variable that is the PMD entry.
        rechecks: the PMD entry is read again (70cbc3cc78a9).
        walked: the place that is reached when the walk is inside the table.
        invariant: the one that is broken if it reads a freed table, or keeps a page of the table's next use.
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
