"""A method for each step, as programs write it. Written by `write_builders.py` from the table of steps.

`Assembler` adds convenient forms: branches as context managers, keywords for flag bits, the kernel's names.
"""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.label import Label


class Builders:
    """The steps, one method each.

    All take `cost`, the name of the platform's cost (`COST_NAMES`), and `text`, a short description for stories.
    """

    def _write(
        self,
        op: int,
        a: int | Label = 0,
        b: int | Label = 0,
        c: int | Label = 0,
        d: int | Label = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        raise NotImplementedError

    def halt(self, *, cost: str | None = None, text: str = "the task is gone") -> None:
        """End the task."""
        self._write(o.HALT, cost=cost, text=text)

    def jump(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label.

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP, label, cost=cost, text=text)

    def set(self, register: int, value: int, *, cost: str | None = None, text: str = "") -> None:
        """Set a register.

        Args:
            register: a register that is overwritten.
            value: a number.
        """
        self._write(o.SET, register, value, cost=cost, text=text)

    def next(
        self, register: int, limit: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Increment a register and jump to a label while it is below a limit; else reset it to 0.

        Args:
            register: a register that is read and may be overwritten.
            limit: a number.
            label: a place in the program.
        """
        self._write(o.NEXT, register, limit, label, cost=cost, text=text)

    def jump_zero(self, register: int, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label if a register is zero.

        Args:
            register: a register that is read.
            label: a place in the program.
        """
        self._write(o.JUMP_ZERO, register, label, cost=cost, text=text)

    def jump_equal(
        self, register: int, value: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Jump to a label if a register has a value.

        Args:
            register: a register that is read.
            value: a number.
            label: a place in the program.
        """
        self._write(o.JUMP_EQUAL, register, value, label, cost=cost, text=text)

    def mark(
        self, window: int, opens: bool, actor: int = 0, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Open or close a counting window.

        Args:
            window: a counting window.
            opens: true or false.
            actor: the task whose counts are kept apart.
        """
        self._write(o.MARK, window, int(opens), actor, cost=cost, text=text)

    def note(
        self, what: int, times: int = 1, section: int = 0, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Record an occurrence in the ledger that no other step shows, such as a printed warning.

        Args:
            what: `ops.NOTE_*`.
            times: the number of occurrences; for `NOTE_SECTION`, 1 opens and 0 closes it.
            section: for `NOTE_SECTION`, its i_mmap_rwsem.
        """
        self._write(o.NOTE, what, times, section, cost=cost, text=text)

    def spawn(self, task: int, *, cost: str | None = None, text: str = "") -> None:
        """Make a task runnable on its home CPU.

        Args:
            task: a task.
        """
        self._write(o.SPAWN, task, cost=cost, text=text)

    def signal(self, event: int, *, cost: str | None = None, text: str = "") -> None:
        """Signal an event: increment its count.

        Args:
            event: an event.
        """
        self._write(o.SIGNAL, event, cost=cost, text=text)

    def await_event(
        self, event: int, count: int, takes: bool = False, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Sleep until an event was signalled `count` times.

        Args:
            event: an event.
            count: how many times.
            takes: these signals are used up: the next wait is for others.
        """
        self._write(o.AWAIT, event, count, int(takes), cost=cost, text=text)

    def migrate(self, cpu: int, *, cost: str | None = None, text: str = "") -> None:
        """Move to another CPU.

        Args:
            cpu: a CPU.
        """
        self._write(o.MIGRATE, cpu, cost=cost, text=text)

    def release_mm(self, *, cost: str | None = None, text: str = "") -> None:
        """Release the task's mm, as exit_mm() does; its CPU keeps it loaded lazily."""
        self._write(o.RELEASE_MM, cost=cost, text=text)

    def park(self, mode: int, *, cost: str | None = None, text: str = "") -> None:
        """Do nothing more: sleep for ever, so that the CPU turns lazy, or spin in user mode.

        Args:
            mode: 0: sleep; 1: spin.
        """
        self._write(o.PARK, mode, cost=cost, text=text)

    def on_mm(self, mm: int, register: int | None = None, *, cost: str | None = None, text: str = "") -> None:
        """Choose the mm that the task's kernel work is on, its own or another (as reverse-map walks do).

        Args:
            mm: an mm.
            register: added to the mm's number.
        """
        self._write(o.ON_MM, mm, -1 if register is None else register, cost=cost, text=text)

    def pick(self, base: int, register: int, *, cost: str | None = None, text: str = "") -> None:
        """Set register SLOT to an element of a list.

        Args:
            base: where the list begins (`add_list`).
            register: its position in the list.
        """
        self._write(o.PICK, base, register, cost=cost, text=text)

    def irq_off(self, lockless: bool = False, *, cost: str | None = None, text: str = "") -> None:
        """Turn the CPU's interrupts off.

        Args:
            lockless: it is a lockless walk, visible to a targeted sync.
        """
        self._write(o.IRQ_OFF, int(lockless), cost=cost, text=text)

    def irq_on(self, lockless: bool = False, *, cost: str | None = None, text: str = "") -> None:
        """Turn the CPU's interrupts on again.

        Args:
            lockless: it is a lockless walk, visible to a targeted sync.
        """
        self._write(o.IRQ_ON, int(lockless), cost=cost, text=text)

    def lock_write(
        self, lock: int, index: int = 0, sleeps: bool = False, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Take a lock for writing; wait while it is held.

        Args:
            lock: the first of its kind.
            index: 0: that one; 1: that of the mm; 2: that of the table of register SLOT.
            sleeps: who waits may leave its CPU meanwhile.
        """
        self._write(o.LOCK_WRITE, lock, index, int(sleeps), cost=cost, text=text)

    def lock_read(
        self, lock: int, index: int = 0, sleeps: bool = False, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Take a lock for reading; wait while a writer holds it.

        Args:
            lock: the first of its kind.
            index: 0: that one; 1: that of the mm; 2: that of the table of register SLOT.
            sleeps: who waits may leave its CPU meanwhile.
        """
        self._write(o.LOCK_READ, lock, index, int(sleeps), cost=cost, text=text)

    def try_write(
        self, lock: int, label: Label, index: int = 0, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Take a lock for writing, or jump to a label if it is held.

        Args:
            lock: the first of its kind.
            label: a place in the program.
            index: 0: that one; 1: that of the mm; 2: that of the table of register SLOT.
        """
        self._write(o.TRY_WRITE, lock, index, label, cost=cost, text=text)

    def unlock_write(self, lock: int, index: int = 0, *, cost: str | None = None, text: str = "") -> None:
        """Release a lock that was taken for writing.

        Args:
            lock: the first of its kind.
            index: 0: that one; 1: that of the mm; 2: that of the table of register SLOT.
        """
        self._write(o.UNLOCK_WRITE, lock, index, cost=cost, text=text)

    def unlock_read(self, lock: int, index: int = 0, *, cost: str | None = None, text: str = "") -> None:
        """Release a lock that was taken for reading.

        Args:
            lock: the first of its kind.
            index: 0: that one; 1: that of the mm; 2: that of the table of register SLOT.
        """
        self._write(o.UNLOCK_READ, lock, index, cost=cost, text=text)

    def load_pud(self, register: int, *, cost: str | None = None, text: str = "") -> None:
        """Read the PUD entry: the class of the table that it points to, plus one; 0 for none.

        Args:
            register: a register that is overwritten.
        """
        self._write(o.LOAD_PUD, register, cost=cost, text=text)

    def clear_pud(self, *, cost: str | None = None, text: str = "") -> None:
        """Clear the PUD entry; entries that CPUs have cached through it become stale."""
        self._write(o.CLEAR_PUD, cost=cost, text=text)

    def set_pud(self, table_class: int, *, cost: str | None = None, text: str = "") -> None:
        """Set the PUD entry to the table of a class.

        Args:
            table_class: a class of tables.
        """
        self._write(o.SET_PUD, table_class, cost=cost, text=text)

    def jump_exclusive(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless other processes map the table of register CLASS too.

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_EXCLUSIVE, label, cost=cost, text=text)

    def share(self, table_class: int, *, cost: str | None = None, text: str = "") -> None:
        """Increment the share count of a table; register SCRATCH gets the count before.

        Args:
            table_class: a class of tables.
        """
        self._write(o.SHARE, table_class, cost=cost, text=text)

    def populate(self, table_class: int, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Share a table and set the PUD entry to it, or jump to a label if the entry is present already.

        Args:
            table_class: a class of tables.
            label: a place in the program.
        """
        self._write(o.POPULATE, table_class, label, cost=cost, text=text)

    def unshare(
        self, gather: int, flags: int, more_flags: int = 0, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Decrement the share count of the table of register CLASS, and set flags of a gather.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            flags: flags that are set in the gather.
            more_flags: flags that are also set if one process is left.
        """
        self._write(o.UNSHARE, gather, flags, more_flags, cost=cost, text=text)

    def drop(self, *, cost: str | None = None, text: str = "") -> None:
        """Decrement the share count of the table of register CLASS, for its last process."""
        self._write(o.DROP, cost=cost, text=text)

    def table_state(self, state: int, *, cost: str | None = None, text: str = "") -> None:
        """Set the use of the page of register CLASS's table, by the mm that the task's kernel work is on.

        Args:
            state: `ops.TABLE_*`.
        """
        self._write(o.TABLE_STATE, state, cost=cost, text=text)

    def read_table(self, register: int, table: int, *, cost: str | None = None, text: str = "") -> None:
        """Read an entry in a table, as a walker does; the result is the use of the table's page.

        Args:
            register: gets the table's state (`ops.TABLE_*`).
            table: a register that holds the table's class, plus one.
        """
        self._write(o.READ_TABLE, register, table, cost=cost, text=text)

    def touch(self, *, cost: str | None = None, text: str = "") -> None:
        """Use a translation of the mm: this CPU's TLB and walk caches may hold it from now on."""
        self._write(o.TOUCH, cost=cost, text=text)

    def entry_load(self, register: int, atom: int, *, cost: str | None = None, text: str = "") -> None:
        """Read an entry.

        Args:
            register: a register that is overwritten.
            atom: an atom: a range of addresses that the program treats alike.
        """
        self._write(o.ENTRY_LOAD, register, atom, cost=cost, text=text)

    def entry_store(
        self, atom: int, value: int, from_register: bool = False, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Write an entry.

        Args:
            atom: an atom: a range of addresses that the program treats alike.
            value: the value that is written.
            from_register: `value` is a register that holds it.
        """
        self._write(o.ENTRY_STORE, atom, value, int(from_register), cost=cost, text=text)

    def entry_xchg(
        self,
        atom: int,
        value: int,
        register: int,
        from_register: bool = False,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Write an entry and read its old value, fully ordered, as xchg() does.

        Args:
            atom: an atom: a range of addresses that the program treats alike.
            value: the value that is written.
            register: gets the old value.
            from_register: `value` is a register that holds it.
        """
        self._write(o.ENTRY_XCHG, atom, value, register, int(from_register), cost=cost, text=text)

    def put_frames(self, register: int, *, cost: str | None = None, text: str = "") -> None:
        """Drop a reference to each frame that the value of an entry maps; frames without any are free.

        Args:
            register: a register with the value.
        """
        self._write(o.PUT_FRAMES, register, cost=cost, text=text)

    def get_frames(self, register: int, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Take a reference to each frame that the value of an entry maps, or jump to a label if one is free.

        Args:
            register: a register with the value.
            label: a place in the program.
        """
        self._write(o.GET_FRAMES, register, label, cost=cost, text=text)

    def jump_referenced(
        self, register: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Jump to a label if a frame that the value of an entry maps has more than one reference.

        Args:
            register: a register with the value.
            label: a place in the program.
        """
        self._write(o.JUMP_REFERENCED, register, label, cost=cost, text=text)

    def queue_frames(self, register: int, source: int, *, cost: str | None = None, text: str = "") -> None:
        """Note in a register the frames that an entry's value maps; one noted twice loses a reference.

        Args:
            register: a register that is read and may be overwritten.
            source: a register with the value.
        """
        self._write(o.QUEUE_FRAMES, register, source, cost=cost, text=text)

    def occupants(self, register: int, atom: int, *, cost: str | None = None, text: str = "") -> None:
        """Note in a register which frames an atom of the mm maps, or may still be reached by on any CPU.

        Args:
            register: a register that is read and may be overwritten.
            atom: an atom: a range of addresses that the program treats alike.
        """
        self._write(o.OCCUPANTS, register, atom, cost=cost, text=text)

    def right_is_gone(
        self, register: int, atom: int, writes: bool = False, *, cost: str | None = None, text: str = ""
    ) -> None:
        """End the right to reach the frames noted in a register by an atom of the mm, or to write to them.

        Args:
            register: a register that is read.
            atom: an atom: a range of addresses that the program treats alike.
            writes: true or false.
        """
        self._write(o.RIGHT_IS_GONE, register, atom, int(writes), cost=cost, text=text)

    def right_is_gone_unless(
        self,
        register: int,
        atom: int,
        variable: int,
        writes: bool = False,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """End a right as RIGHT_IS_GONE does, unless a variable says in memory that it was given again.

        Args:
            register: a register that is read.
            atom: an atom: a range of addresses that the program treats alike.
            variable: a variable, or the first of an array.
            writes: true or false.
        """
        self._write(o.RIGHT_IS_GONE_UNLESS, register, atom, variable, int(writes), cost=cost, text=text)

    def user_mode(self, enters: bool, *, cost: str | None = None, text: str = "") -> None:
        """Enter user mode, or leave it.

        Args:
            enters: true or false.
        """
        self._write(o.USER_MODE, int(enters), cost=cost, text=text)

    def gather(self, gather: int, flags: int = 0, *, cost: str | None = None, text: str = "") -> None:
        """Begin a gather and increment tlb_flush_pending, as tlb_gather_mmu() does.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            flags: flags of a gather.
        """
        self._write(o.GATHER, gather, flags, cost=cost, text=text)

    def gather_add(
        self,
        gather: int,
        lo: int,
        hi: int,
        flags: int = 0,
        cleared: int = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Add a constant range to a gather.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            lo: the first page of the range.
            hi: the page after its last.
            flags: flags of a gather.
            cleared: levels at which entries were cleared.
        """
        self._write(o.GATHER_ADD, gather, lo, hi, flags | cleared << 16, cost=cost, text=text)

    def gather_slot(
        self,
        gather: int,
        first: int,
        last: int,
        flags: int = 0,
        cleared: int = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Add a part of the span of the PUD entry of register SLOT to a gather.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            first: the first page of the part, counted from the entry's first.
            last: the unit after its last, counted likewise.
            flags: flags of a gather.
            cleared: levels at which entries were cleared.
        """
        self._write(o.GATHER_SLOT, gather, first, last, flags | cleared << 16, cost=cost, text=text)

    def gather_pages(
        self, gather: int, pages: int, limit: int, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Queue pages to be freed; register SCRATCH gets 1 if the batches are full now, else 0.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            pages: the number of pages.
            limit: the number of pages that fit.
        """
        self._write(o.GATHER_PAGES, gather, pages, limit, cost=cost, text=text)

    def gather_part(
        self,
        gather: int,
        first: int,
        pages: int,
        apart: int,
        flags: int = 0,
        cleared: int = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Add to a gather the range of those pages that GATHER_PAGES queued until the batches were full.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            first: the first base page of the first one.
            pages: the number of huge pages.
            apart: base pages from the start of one to the start of the next.
            flags: flags of a gather.
            cleared: levels at which entries were cleared.
        """
        self._write(
            o.GATHER_PART, gather, first, pages | apart << 16, flags | cleared << 16, cost=cost, text=text
        )

    def gather_rest(
        self,
        gather: int,
        first: int,
        pages: int,
        apart: int,
        flags: int = 0,
        cleared: int = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Add to a gather the range of those pages that GATHER_PAGES queued after the batches were full.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            first: the first base page of the first one.
            pages: the number of huge pages.
            apart: base pages from the start of one to the start of the next.
            flags: flags of a gather.
            cleared: levels at which entries were cleared.
        """
        self._write(
            o.GATHER_REST, gather, first, pages | apart << 16, flags | cleared << 16, cost=cost, text=text
        )

    def gather_reset(self, gather: int, *, cost: str | None = None, text: str = "") -> None:
        """Reset the range, cleared levels and flags of a gather, as __tlb_reset_range() does.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
        """
        self._write(o.GATHER_RESET, gather, cost=cost, text=text)

    def gather_tables(
        self, gather: int, tables: int, batch: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Queue tables to be freed; jump to a label unless their batch is full.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            tables: the number of tables.
            batch: the number of tables in a full batch.
            label: a place in the program.
        """
        self._write(o.GATHER_TABLES, gather, tables, batch, label, cost=cost, text=text)

    def jump_flags(
        self, gather: int, flags: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Jump to a label unless a gather has one of some flags.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            flags: flags of a gather.
            label: a place in the program.
        """
        self._write(o.JUMP_FLAGS, gather, flags, label, cost=cost, text=text)

    def jump_cleared(
        self, gather: int, flags: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Jump to a label unless a gather recorded a cleared entry, at any level, or has one of some flags.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            flags: flags of a gather.
            label: a place in the program.
        """
        self._write(o.JUMP_CLEARED, gather, flags, label, cost=cost, text=text)

    def clear_flags(self, gather: int, flags: int, *, cost: str | None = None, text: str = "") -> None:
        """Clear flags of a gather.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            flags: flags of a gather.
        """
        self._write(o.CLEAR_FLAGS, gather, flags, cost=cost, text=text)

    def set_flags(self, gather: int, flags: int, *, cost: str | None = None, text: str = "") -> None:
        """Set flags of a gather.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            flags: flags of a gather.
        """
        self._write(o.SET_FLAGS, gather, flags, cost=cost, text=text)

    def nested(self, gather: int, *, cost: str | None = None, text: str = "") -> None:
        """Make a gather flush everything if another gather of this mm is pending, as tlb_finish_mmu() does.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
        """
        self._write(o.NESTED, gather, cost=cost, text=text)

    def gather_end(self, gather: int, *, cost: str | None = None, text: str = "") -> None:
        """End a gather: decrement tlb_flush_pending.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
        """
        self._write(o.GATHER_END, gather, cost=cost, text=text)

    def request(
        self,
        gather: int,
        flags: int = 0,
        cleared: int = 0,
        lo: int = 0,
        hi: int = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Set the range and levels of the request of a flush without a gather.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            flags: flags of a gather.
            cleared: levels at which entries were cleared.
            lo: the first page of the range.
            hi: the page after its last.
        """
        self._write(o.REQUEST, gather, flags | cleared << 16, lo, hi, cost=cost, text=text)

    def copy_range(
        self, gather: int, flags: int = 0, cleared: int = 0, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Copy a gather's range into the request of a flush without a gather.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            flags: flags of a gather.
            cleared: levels at which entries were cleared.
        """
        self._write(o.COPY_RANGE, gather, flags | cleared << 16, cost=cost, text=text)

    def jump_not_pending(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless a gather of this mm has begun and not ended (mm_tlb_flush_pending()).

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_NOT_PENDING, 0, label, cost=cost, text=text)

    def flush_begin(
        self,
        gather: int,
        ceiling: int,
        pages: int = 0,
        how: int = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Start the flush of a gather: increment tlb_gen, and choose between a range and everything.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            ceiling: the most strides that are flushed one by one; a longer range becomes a full flush.
            pages: likewise the most base pages; 0: no limit.
            how: how these are counted (`ops.ROUNDED` and the other flags).
        """
        self._write(o.FLUSH_BEGIN, gather, ceiling, pages, how, cost=cost, text=text)

    def target_mm(self, with_self: bool = False, *, cost: str | None = None, text: str = "") -> None:
        """Target the CPUs in mm_cpumask.

        Args:
            with_self: at this one too.
        """
        self._write(o.TARGET_MM, int(with_self), cost=cost, text=text)

    def target_online(self, *, cost: str | None = None, text: str = "") -> None:
        """Target all online CPUs but this one."""
        self._write(o.TARGET_ONLINE, cost=cost, text=text)

    def target_every(self, *, cost: str | None = None, text: str = "") -> None:
        """Target all online CPUs, this one included."""
        self._write(o.TARGET_EVERY, cost=cost, text=text)

    def target_not_lazy(self, *, cost: str | None = None, text: str = "") -> None:
        """Leave out targets that are in lazy TLB mode."""
        self._write(o.TARGET_NOT_LAZY, cost=cost, text=text)

    def target_loaded(self, *, cost: str | None = None, text: str = "") -> None:
        """Leave out targets that have not loaded this mm, unless mm_cpumask is due for trimming."""
        self._write(o.TARGET_LOADED, cost=cost, text=text)

    def target_running(self, *, cost: str | None = None, text: str = "") -> None:
        """Leave out preempted vCPUs and request a flush on guest entry from them."""
        self._write(o.TARGET_RUNNING, cost=cost, text=text)

    def target_walkers(self, *, cost: str | None = None, text: str = "") -> None:
        """Leave out targets that are not inside a lockless walk of this mm."""
        self._write(o.TARGET_WALKERS, cost=cost, text=text)

    def jump_no_target(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label if there are no targets.

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_NO_TARGET, label, cost=cost, text=text)

    def jump_targets_below(
        self, count: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Jump to a label if there are fewer than `count` targets.

        Args:
            count: a number.
            label: a place in the program.
        """
        self._write(o.JUMP_TARGETS_BELOW, count, label, cost=cost, text=text)

    def jump_whole(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label if the flush that has begun flushes everything.

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_WHOLE, label, cost=cost, text=text)

    def jump_empty(self, gather: int, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label if the range of a gather is empty.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            label: a place in the program.
        """
        self._write(o.JUMP_EMPTY, gather, label, cost=cost, text=text)

    def jump_strides(
        self, gather: int, strides: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Jump to a label unless the range of a gather has more than `strides` strides.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            strides: a number.
            label: a place in the program.
        """
        self._write(o.JUMP_STRIDES, gather, strides, label, cost=cost, text=text)

    def jump_not_loaded(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless this CPU has this mm loaded.

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_NOT_LOADED, label, cost=cost, text=text)

    def jump_not_masked(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless this CPU is in the mm's mm_cpumask.

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_NOT_MASKED, label, cost=cost, text=text)

    def jump_not_alone(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless the mm is this task's and no other task uses it (mm_users is 1).

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_NOT_ALONE, label, cost=cost, text=text)

    def jump_not_dead(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless no task uses the mm any more (mm_users is 0): the mm is dead.

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_NOT_DEAD, label, cost=cost, text=text)

    def leave_mask(self, here: bool = False, *, cost: str | None = None, text: str = "") -> None:
        """Take the CPUs that do not have the mm loaded out of its mm_cpumask.

        Args:
            here: this CPU alone.
        """
        self._write(o.LEAVE_MASK, int(here), cost=cost, text=text)

    def jump_not_own(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless the mm is this task's (current->mm == mm).

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_NOT_OWN, label, cost=cost, text=text)

    def jump_not_due(self, period: int, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless mm_cpumask is due for trimming: each `period`-th time that this CPU asks.

        Args:
            period: a number.
            label: a place in the program.
        """
        self._write(o.JUMP_NOT_DUE, period, label, cost=cost, text=text)

    def jump_not_global(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless the mm has a global ASID.

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_NOT_GLOBAL, label, cost=cost, text=text)

    def jump_not_transition(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless the mm is in transition to its global ASID.

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_NOT_TRANSITION, label, cost=cost, text=text)

    def consider_global(self, cpus: int, *, cost: str | None = None, text: str = "") -> None:
        """Start the mm's transition to a global ASID if it is time and enough CPUs run it.

        Args:
            cpus: the number of CPUs that is enough.
        """
        self._write(o.CONSIDER_GLOBAL, cpus, cost=cost, text=text)

    def end_transition(self, *, cost: str | None = None, text: str = "") -> None:
        """End the transition: all CPUs use the mm's global ASID now."""
        self._write(o.END_TRANSITION, cost=cost, text=text)

    def send(
        self, call: int, scope: int = o.SCOPE_BOTH, each: int = 0, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Send a call to the targets; it is pending at each of them.

        Args:
            call: `ops.CALL_*`.
            scope: what it drops (`ops.SCOPE_*`).
            each: the strides that one broadcast invalidates; -1: EXECUTE has counted the broadcasts.
        """
        self._write(o.SEND, call, scope, each, cost=cost, text=text)

    def wait(self, *, cost: str | None = None, text: str = "") -> None:
        """Wait until no target has the call pending any more."""
        self._write(o.WAIT, cost=cost, text=text)

    def cancel(self, *, cost: str | None = None, text: str = "") -> None:
        """Cancel the request, which has not been sent: it has no targets any more."""
        self._write(o.CANCEL, cost=cost, text=text)

    def flush_self(
        self,
        scope: int = o.SCOPE_BOTH,
        own_handler: bool = False,
        forced: int = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Run the flush's handler on this CPU.

        Args:
            scope: what it drops (`ops.SCOPE_*`).
            own_handler: the kernel calls the handler here as on any target.
            forced: 1: invalidate, whichever mm is loaded; 2: invalidate and leave the mm.
        """
        self._write(o.FLUSH_SELF, scope, int(own_handler), forced, cost=cost, text=text)

    def flush_local_pages(
        self, pages: int, scope: int = o.SCOPE_BOTH, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Flush pages of the mm on this CPU alone: the range of the flush that has begun.

        Args:
            pages: the number of pages.
            scope: what it drops (`ops.SCOPE_*`).
        """
        self._write(o.FLUSH_LOCAL_PAGES, pages, scope, cost=cost, text=text)

    def v_load(
        self,
        register: int,
        variable: int,
        index: int | None = None,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Read a variable: the newest store to it in this CPU's store buffer, else memory.

        Args:
            register: a register that is overwritten.
            variable: a variable, or the first of an array.
            index: a register with the index of the element, if `variable` is an array.
        """
        self._write(o.V_LOAD, register, variable, 0 if index is None else index + 1, cost=cost, text=text)

    def v_store(
        self,
        variable: int,
        value: int,
        from_register: bool = False,
        index: int | None = None,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Write a variable.

        Args:
            variable: a variable, or the first of an array.
            value: the value that is written.
            from_register: `value` is a register that holds it.
            index: a register with the index of the element, if `variable` is an array.
        """
        self._write(
            o.V_STORE,
            variable,
            value,
            int(from_register),
            0 if index is None else index + 1,
            cost=cost,
            text=text,
        )

    def v_add(
        self,
        variable: int,
        number: int,
        register: int,
        index: int | None = None,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Add to a variable and read the sum, fully ordered, as atomic_add_return() does.

        Args:
            variable: a variable, or the first of an array.
            number: what is added.
            register: gets the sum.
            index: a register with the index of the element, if `variable` is an array.
        """
        self._write(
            o.V_ADD, variable, number, register, 0 if index is None else index + 1, cost=cost, text=text
        )

    def v_xchg(
        self,
        variable: int,
        value: int,
        register: int,
        from_register: bool = False,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Write a variable and read its old value, fully ordered, as xchg() does.

        Args:
            variable: a variable, or the first of an array.
            value: the value that is written.
            register: gets the old value.
            from_register: `value` is a register that holds it.
        """
        self._write(o.V_XCHG, variable, value, register, int(from_register), cost=cost, text=text)

    def v_cas(
        self, variable: int, expected: int, new: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Write a variable if it holds the expected value; else read it and jump to a label (cmpxchg()).

        Args:
            variable: a variable, or the first of an array.
            expected: a register with the expected value; gets the value found if that differs.
            new: a register with the new value.
            label: a place in the program.
        """
        self._write(o.V_CAS, variable, expected, new, label, cost=cost, text=text)

    def fence(self, *, cost: str | None = None, text: str = "") -> None:
        """Wait until this CPU's store buffer is empty, as smp_mb() does."""
        self._write(o.FENCE, cost=cost, text=text)

    def access(
        self, register: int, entry: int, write: bool = False, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Access memory in user mode through an entry: by this CPU's TLB copy of it, or by a walk.

        Args:
            register: gets the entry's value, 0 for a fault.
            entry: a single page-table entry.
            write: true or false.
        """
        self._write(o.ACCESS, register, entry, int(write), cost=cost, text=text)

    def choice(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Go on or jump to a label; exploration tries both.

        Args:
            label: a place in the program.
        """
        self._write(o.CHOICE, label, cost=cost, text=text)

    def fail(self, invariant: int, *, cost: str | None = None, text: str = "") -> None:
        """Report a broken invariant.

        Args:
            invariant: an invariant.
        """
        self._write(o.FAIL, invariant, cost=cost, text=text)

    def jump_no_bits(
        self, register: int, mask: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Jump to a label unless a register has one of the bits of a mask.

        Args:
            register: a register that is read.
            mask: a number.
            label: a place in the program.
        """
        self._write(o.JUMP_NO_BITS, register, mask, label, cost=cost, text=text)

    def copy(self, register: int, source: int, *, cost: str | None = None, text: str = "") -> None:
        """Copy a register.

        Args:
            register: a register that is overwritten.
            source: a register that is read.
        """
        self._write(o.COPY, register, source, cost=cost, text=text)

    def add(self, register: int, number: int, *, cost: str | None = None, text: str = "") -> None:
        """Add to a register.

        Args:
            register: a register that is read and may be overwritten.
            number: what is added.
        """
        self._write(o.ADD, register, number, cost=cost, text=text)

    def clear_bits(self, register: int, mask: int, *, cost: str | None = None, text: str = "") -> None:
        """Clear the bits of a mask in a register.

        Args:
            register: a register that is read and may be overwritten.
            mask: a number.
        """
        self._write(o.CLEAR_BITS, register, mask, cost=cost, text=text)

    def jump_same(
        self, register: int, other: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Jump to a label if two registers are equal.

        Args:
            register: a register that is read.
            other: a register that is read.
            label: a place in the program.
        """
        self._write(o.JUMP_SAME, register, other, label, cost=cost, text=text)

    def target_rcu(self, *, cost: str | None = None, text: str = "") -> None:
        """Target all online CPUs but this one: each answers a CALL_RCU once it is in a quiescent state."""
        self._write(o.TARGET_RCU, cost=cost, text=text)

    def own_number(self, register: int, what: int, *, cost: str | None = None, text: str = "") -> None:
        """Read the number of the task's CPU, or of the mm that its kernel work is on.

        Args:
            register: a register that is overwritten.
            what: `ops.OF_CPU` or `ops.OF_MM`.
        """
        self._write(o.OWN_NUMBER, register, what, cost=cost, text=text)

    def target_holding(
        self, variable: int, register: int, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Leave out targets whose element of an array with one for each CPU is not what a register holds.

        Args:
            variable: a variable, or the first of an array.
            register: a register that is read.
        """
        self._write(o.TARGET_HOLDING, variable, register, cost=cost, text=text)

    def reached(self, place: int, *, cost: str | None = None, text: str = "") -> None:
        """Mark a place as reached by exploration.

        Args:
            place: the number of a place.
        """
        self._write(o.REACHED, place, cost=cost, text=text)
