"""The steps that programs are made of, and what their operands mean.

A step is one atomic action of one task. It has an operation and four operands `a b c d`. Operands named `g` are
one of the task's three gathers: 0 and 1 are real `mmu_gather`s (an outer and a nested one), 2 is the scratch
request of a flush that needs no gather. `r` is a register; `label` is the index of a step.

Nothing here knows time, an architecture or a kernel version.
"""

from __future__ import annotations

#: Operations from here on mean something to clocks, queues or the ledger beyond what they cost.
AFTER = 128
#: Where the numbers of each family begin: from 0 on control and scheduling, to the end scenarios' variables.
LOCKING, TABLES, GATHERING, REQUESTING, INTERRUPTS, VARIABLES = 20, 30, 50, 70, 100, 104

# --- control
HALT = 0  # the task is gone
JUMP = 1  # a=label
SET = 2  # a=r, b=value
NEXT = 3  # a=r, b=limit, c=label: count r up; go to label while it is below the limit
JUMP_ZERO = 4  # a=r, b=label
JUMP_EQUAL = 5  # a=r, b=value, c=label
WORK = 6  # time passes (a=cost, b=how many); the state does not change
MARK = AFTER + 7  # a=window, b=1 opens and 0 closes it, c=actor: counts between belong to the window
NOTE = (
    AFTER + 8
)  # a=what, b=how many: an occurrence that only the ledger knows (a gather begun, a warning printed)

# --- scheduling
SPAWN = AFTER + 10  # a=task: becomes runnable on its home CPU
SIGNAL = AFTER + 11  # a=event: count it up
AWAIT = 12  # a=event, b=count: sleep until it was signalled that often
MIGRATE = AFTER + 13  # a=cpu: continue there
RELEASE_MM = AFTER + 14  # exit_mm(): the task has no mm any more; its CPU stays lazily on it
PARK = 15  # a=mode: 0 sleep for good (the CPU turns lazy), 1 spin in user mode for good
ON_MM = 16  # a=mm, b=r or -1: kernel work now concerns mm a + r (another process's, through the reverse map)

# --- locks: a=first lock, b=index (0 none, 1 the task's mm, 2 the table of register SLOT), c=1 if it may sleep
LOCK_WRITE = 20
LOCK_READ = 21
TRY_WRITE = 24  # here c=label: go there if somebody holds it
UNLOCK_WRITE = AFTER + 22
UNLOCK_READ = AFTER + 23

# --- page tables and sharing; the PUD entry is that of the task's mm and of register SLOT
PICK = 30  # a=list base, b=r: SLOT = list[base + r]
LOAD_PUD = 31  # a=r: r = class of the table that the PUD entry points to, plus one; 0 if none
CLEAR_PUD = AFTER + 32  # the entry becomes none; cached entries of it turn stale
SET_PUD = AFTER + 33  # a=class: the entry points to the table of this class
JUMP_EXCLUSIVE = 34  # a=label: unless other processes too map the table of register CLASS
SHARE = 35  # a=class: one more process maps the table; register SCRATCH = how many did before
POPULATE = AFTER + 41  # a=class, b=label: SHARE and SET_PUD at once, unless the entry is there: go to label
UNSHARE = AFTER + 36  # a=g, b=flags, c=more flags if one process remains: one fewer maps the table
DROP = 37  # the last process stops mapping the table of register CLASS
TABLE_STATE = 38  # a=state: what the table's page is used for from now on, by the mm that this concerns
READ_TABLE = 39  # a walker reads an entry in the table whose class is in register b, a=r gets its state
TOUCH = 40  # the CPU uses the translation: its TLB and walk caches may hold it

# --- mmu_gather
GATHER = 50  # a=g, b=flags: tlb_gather_mmu(): pending count up
GATHER_ADD = 51  # a=g, b=lo, c=hi, d=flags | cleared << 16: a range known beforehand
GATHER_SLOT = 52  # a=g, b=first, c=last unit, d=flags | cleared << 16: a part of the PUD of register SLOT
GATHER_PAGES = 64  # a=g, b=how many, c=how many fit: queue pages; register SCRATCH = 1 if they are full
# a=g, b=first unit, c=pages | units from one to the next << 16, d=flags | cleared << 16: of so many pages in the PUD
# of register SLOT those that GATHER_PAGES queued until it was full; GATHER_REST: those that remain
GATHER_PART = 65
GATHER_REST = 66
GATHER_RESET = 53  # a=g, b=1 keeps UNSHARED_TABLES: __tlb_reset_range()
GATHER_TABLES = 54  # a=g, b=how many, c=batch size, d=label if the batch is not full
JUMP_FLAGS = 55  # a=g, b=flags, c=label: go there unless one of the flags is set
JUMP_CLEARED = 56  # a=g, b=flags, c=label: unless an entry was cleared at any level or a flag is set
CLEAR_FLAGS = 57  # a=g, b=flags
NESTED = 58  # a=g: tlb_finish_mmu(): another gather of this mm is pending: flush all of it
GATHER_END = 59  # a=g: pending count down
REQUEST = 60  # a=g, b=flags | cleared << 16, c=lo, d=hi: a flush that needs no gather
COPY_RANGE = 61  # a=g, b=flags | cleared << 16: request 2 gets the range of gather g
SET_FLAGS = 62  # a=g, b=flags
JUMP_NOT_PENDING = 63  # a=0, b=label: unless mm_tlb_flush_pending(): a gather of this mm is not finished

# --- a flush request on its way (the request of the CPU that sends)
# a=g, b=ceiling in strides, c=ceiling in base pages (0: none), d=ROUNDED | IN_PAGES: new tlb_gen; how much to
# flush is decided here
FLUSH_BEGIN = AFTER + 70
TARGET_MM = 71  # targets = mm_cpumask, a=1: with this CPU too
TARGET_ONLINE = 72  # targets = all online CPUs but this
TARGET_NOT_LAZY = 73  # drop targets in lazy TLB mode
TARGET_LOADED = 74  # drop targets that have not loaded this mm, unless it is time to trim
TARGET_RUNNING = 89  # drop targets that preemption has taken off their CPU; they flush when they enter
TARGET_WALKERS = 76  # drop targets that are not inside a lockless walk of this mm
JUMP_NO_TARGET = 77  # a=label
JUMP_NOT_LOADED = 90  # a=label: unless this CPU has this mm loaded
SEND = AFTER + 79  # a=call, b=scope: targets now have it pending
WAIT = AFTER + 80  # until no target has it pending
# a=scope: this CPU does what the handler of the flush does; c=1: it invalidates, whatever it has loaded;
# c=2: and leaves the mm
FLUSH_SELF = AFTER + 81
JUMP_NOT_GLOBAL = 78  # a=label: unless the mm has a global ASID
JUMP_NOT_TRANSITION = 75  # a=label: unless the mm moves to its global ASID
CONSIDER_GLOBAL = 84  # a=CPUs needed: give the mm a global ASID if it is time and enough CPUs run it
END_TRANSITION = 85
FLUSH_LOCAL_PAGES = AFTER + 86  # a=how many, b=scope: flush_tlb_page on this CPU outside a request
TARGET_EVERY = 83  # targets = all online CPUs, this one too
JUMP_STRIDES = 87  # a=g, b=strides, c=label: go there unless the range has more strides than that
CANCEL = 82  # the request had no target
JUMP_TARGETS_BELOW = 88  # a=count, b=label
JUMP_WHOLE = 91  # a=label: go there if the request flushes everything
JUMP_EMPTY = 92  # a=g, b=label: go there if the range ends where it begins
JUMP_NOT_ALONE = 93  # a=label: unless the mm is this task's and no other task has it (mm_users is 1)
JUMP_NOT_DUE = 94  # a=period, b=label: unless it is time to trim: each a-th time that this CPU asks
JUMP_NOT_OWN = 95  # a=label: unless the mm is this task's (current->mm == mm)
JUMP_NOT_MASKED = 96  # a=label: unless this CPU is in the mm's mm_cpumask

# --- how FLUSH_BEGIN counts
ROUNDED = 1  # the range is first rounded outwards to whole strides
IN_PAGES = 2  # what is flushed is counted in base pages, not strides
UNTRACKED = 4  # no tlb_gen: each flush reaches every CPU that may hold anything
BASE_STRIDES = 8  # strides are base pages, whatever was cleared
PMD_STRIDES = 16  # strides are what a PMD entry spans

# --- interrupts and lockless walks
IRQ_OFF = 100  # a=1: a lockless walk begins, visible to a targeted sync
IRQ_ON = AFTER + 101  # a=1: it ends

# --- memory that scenarios name: variables, entries of page tables that stand alone, RCU
# (registers hold what was read; a store waits in the CPU's store buffer unless memory is sequentially consistent)
# (of an array of variables, a or b is the first, and the register I counts on from there; no array: I is 0, else r + 1)
V_LOAD = 104  # a=r, b=variable, c=I: this CPU's own waiting store is seen
V_STORE = 105  # a=variable, b=value, or the register b if c=1, d=I
V_ADD = 106  # a=variable, b=what to add (mod 2^15), c=r: gets the new value, d=I; fully ordered: atomic_add_return()
V_XCHG = 107  # a=variable, b=value, or the register b if d=1, c=r: gets the old value; fully ordered
V_CAS = 108  # a=variable, b=r expected, c=r new value, d=label if it was another: r b then holds that
FENCE = 109  # smp_mb(): waits until the store buffer is empty
ACCESS = (
    110  # a=r, b=entry, c=1 for a write: through the TLB, or by a walk; r = the entry's value, 0 for a fault
)
CHOICE = 111  # a=label: go on, or go there: anything may happen
FAIL = 112  # a=invariant: it does not hold
JUMP_NO_BITS = 113  # a=r, b=mask, c=label: unless the register has one of the bits
COPY = 114  # a=r, b=r
ADD = 115  # a=r, b=what to add (mod 2^15)
JUMP_SAME = 116  # a=r, b=r, c=label: if both hold the same
TARGET_RCU = 117  # targets = all online CPUs: each answers a CALL_RCU once it is in a quiescent state
REACHED = 118  # a=place: exploration got here

# --- instructions, counted by name
EXECUTE = AFTER + 102  # a=instruction, b=how many, c=what b multiplies | BROADCASTS, d=cost of one, or -1
PER_REQUEST = 0  # b of them
PER_STRIDE = 1  # b for each stride of the request on its way (1 if it flushes everything)
PER_RANGE_DIGIT = 2  # b for each 5-bit digit of half the strides that is not zero
PER_ODD_STRIDE = 3  # b if the number of strides is odd
PER_TARGET = 4  # (with one of these) for each target: what they will execute when they take the call
PER_PMD = 16  # b for each whole PMD entry in a range that begins at one, counted in base pages
BROADCASTS = 8  # each is a broadcast invalidation; the SEND that follows (c=-1) counts none of its own

# --- memory models: in which order a CPU's stores reach the others
SC = 0  # at once
TSO = 1  # later, in program order
WEAK = 2  # later, in any order

# --- bits of an entry that stands alone, as ACCESS and the hardware walker read them
ENTRY_PRESENT = 1
ENTRY_WRITABLE = 2
ENTRY_DIRTY = 4
ENTRY_PAGE_SHIFT = 3

# --- calls that a CPU can have pending at others
CALL_NONE = 0
CALL_FLUSH = 1  # IPI: flush_tlb_func
CALL_SYNC = 2  # IPI: tlb_remove_table_sync_one's empty handler
CALL_HYPERCALL = 3  # the hypervisor flushes for us; no guest CPU takes an interrupt
CALL_BROADCAST = 4  # hardware broadcast (INVLPGB, TLBI, tlbie); no CPU takes an interrupt
CALL_TRANSITION = 5  # IPI: move to the global ASID
CALL_INVALIDATE = 6  # IPI: invalidate (nothing with scope 0), whatever the CPU has loaded
CALL_LEAVE = (
    7  # IPI: invalidate all of the mm (nothing with scope 0) and leave it, unless a task of it runs there
)
CALL_RCU = 8  # no interrupt: a grace period waits until each CPU was once outside of irqs-off code
CALL_MASK = 15
INVALIDATING_CALLS = (CALL_FLUSH, CALL_HYPERCALL, CALL_BROADCAST, CALL_INVALIDATE)

# --- what a flush drops
SCOPE_LEAF = 1  # TLB entries
SCOPE_WALK = 2  # paging-structure (walk) cache entries
SCOPE_BOTH = 3
SCOPE_FORCED = 4  # a what-if: full flushes too drop no more than the scope says
#: Above them: entries that stand alone and that the range of the flush does not hold (bit i is entry i, up to 9).
SCOPE_SPARES = 3
SCOPE_MASK = 7
SCOPE_SHIFT = 4

# --- flags of a gather (include/asm-generic/tlb.h)
FULLMM = 1
NEED_FLUSH_ALL = 2
FREED_TABLES = 4
UNSHARED_TABLES = 8
FULLY_UNSHARED = 16
RANGE = 32  # start < end was recorded
BASE_PAGES = 128  # page_size is that of base pages (MMU_GATHER_PAGE_SIZE)
PMD_PAGES = 256  # page_size is that of huge PMD entries

# --- levels at which entries were cleared
CLEARED_PTES = 1
CLEARED_PMDS = 2
CLEARED_PUDS = 4
CLEARED_P4DS = 8

# --- what a table's page is used for
TABLE_SHARED = 0
TABLE_REUSED = 1
TABLE_FREED = 2
TABLE_MASK = 3
TABLE_OWNER_SHIFT = 2  # above the state: which mm (from one) gave the table that state

# --- registers
INDEX = 0
SLOT = 1
CLASS = 2
SCRATCH = 3
SCRATCH2 = 4
REGISTERS = 5

# --- occurrences for the ledger (NOTE)
NOTE_GATHER = 0
NOTE_GATHER_VMA = 1
NOTE_SHARED = 6
NOTE_WARNING = 8
NOTE_COMPLETION = 9
NOTE_SECTION = 10  # b=1 opens, 0 closes the section in which tables are unshared, c=its i_mmap_rwsem
NOTE_RCU = 11  # a grace period was asked for
NOTE_AUDIT = 12  # i_mmap_rwsem is about to drop: look for stale entries

# --- what step() says
DONE = 0  # the step was taken
BLOCKED_LOCK = 1  # a lock is held by another
BLOCKED_ACK = 2  # a target has not answered
BLOCKED_EVENT = 3  # an event was not signalled often enough
HALTED = 4
PARKED = 5
FAILED = 6  # an invariant does not hold
BLOCKED_BUFFER = 7  # stores of this CPU still wait in its store buffer
