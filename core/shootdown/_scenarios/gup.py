"""GUP-fast on the other CPU: it walks without locks, with interrupts off, and then reads the entries again.

mm/gup.c: gup_fast_pte_range() reads the PMD entry, then the PTE before and after it takes the page, and since
70cbc3cc78a9 the PMD entry once more.
"""

from __future__ import annotations

from collections.abc import Callable

from shootdown._machine import ops as o
from shootdown._machine.label import Label
from shootdown._mm.model import Model
from shootdown._values.setup import Setup


def no_gup_fast(scene: Setup) -> str | None:
    """Return why this kernel has no GUP-fast, or None if it has."""
    if not scene.kernel.gup_fast:
        return "this kernel has no GUP-fast (CONFIG_HAVE_GUP_FAST): nobody walks page tables without a lock"
    return None


def walk(model: Model, pmd: int, in_table: Callable[[Label], None]) -> None:
    """Write gup_fast(): interrupts off, the PMD entry in CLASS, then a walk in the table.

    Args:
        model: the model.
        pmd: the variable that is the PMD entry: which table it points to, from one; 0 for none.
        in_table: writes the walk in the table; gets the label for giving up.
    """
    asm = model.asm
    out = model.label()

    def from_pmd() -> None:
        asm.v_load(o.CLASS, pmd, text="read the PMD entry")
        asm.jump_zero(o.CLASS, out)
        model.calls.gup_fast_pte_range(lambda: in_table(out))
        asm.place(out)

    model.calls.gup_fast(from_pmd, 0)


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

    def in_table(out: Label) -> None:
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

    walk(model, pmd, in_table)
