"""The numbers of the steps that programs are made of, and the values that their operands have.

A step is one atomic action of one task: an operation and four operands `a b c d`. The table `_machine.steps` has a row
for each step: what it does, its operands, the cells of the state that it touches. `Assembler` has a method for each.

Nothing here knows time, an architecture or a kernel version.
"""

from __future__ import annotations

#: Operations from here on affect clocks, queues or the ledger, apart from their cost.
AFTER = 128
#: The first number of each family of steps; control and scheduling begin at 0, variables come next, the memory of
#: explored programs last.
LOCKING, TABLES, GATHERING, REQUESTING, INTERRUPTS, VARIABLES, KERNEL, MEMORY = (
    20,
    30,
    50,
    70,
    100,
    104,
    126,
    256,
)

# === operations

# --- control
HALT = 0
JUMP = 1
SET = 2
NEXT = 3
JUMP_ZERO = 4
JUMP_EQUAL = 5
WORK = 6
MARK = AFTER + 7
NOTE = AFTER + 8

# --- scheduling
SPAWN = AFTER + 10
SIGNAL = AFTER + 11
AWAIT = 12
MIGRATE = AFTER + 13
RELEASE_MM = AFTER + 14
PARK = 15
ON_MM = 16
RESCHED = AFTER + 17
USE_MM = AFTER + 18
HOST_PREEMPT = 19

# --- locks
LOCK_WRITE = 20
LOCK_READ = 21
TRY_WRITE = 24
UNLOCK_WRITE = AFTER + 22
UNLOCK_READ = AFTER + 23

# --- page tables and sharing
PICK = 30
LOAD_PUD = 31
CLEAR_PUD = AFTER + 32
SET_PUD = AFTER + 33
JUMP_EXCLUSIVE = 34
SHARE = 35
POPULATE = AFTER + 41
UNSHARE = AFTER + 36
DROP = 37
TABLE_STATE = 38
READ_TABLE = 39
TOUCH = 40
STORE_PUD = 43
XCHG_PUD = 44

# --- mmu_gather
GATHER = 50
GATHER_ADD = 51
GATHER_SLOT = 52
GATHER_PAGES = 64
GATHER_PART = 65
GATHER_REST = 66
GATHER_RESET = 53
GATHER_TABLES = 54
JUMP_FLAGS = 55
JUMP_CLEARED = 56
CLEAR_FLAGS = 57
NESTED = 58
GATHER_END = 59
REQUEST = 60
COPY_RANGE = 61
SET_FLAGS = 62
JUMP_NOT_PENDING = 63

# --- a flush request in progress
FLUSH_BEGIN = AFTER + 70
TARGET_MM = 71
TARGET_ONLINE = 72
TARGET_NOT_LAZY = 73
TARGET_LOADED = 74
TARGET_RUNNING = 89
TARGET_WALKERS = 76
JUMP_NO_TARGET = 77
JUMP_NOT_LOADED = 90
SEND = AFTER + 79
WAIT = AFTER + 80
FLUSH_SELF = AFTER + 81
JUMP_NOT_GLOBAL = 78
JUMP_NOT_TRANSITION = 75
CONSIDER_GLOBAL = 84
END_TRANSITION = 85
FLUSH_LOCAL_PAGES = AFTER + 86
TARGET_EVERY = 83
JUMP_STRIDES = 87
CANCEL = 82
JUMP_WHOLE = 91
JUMP_EMPTY = 92
JUMP_NOT_ALONE = 93
JUMP_NOT_DUE = 94
JUMP_NOT_OWN = 95
JUMP_NOT_MASKED = 96
JUMP_NOT_DEAD = 97
LEAVE_MASK = 98
TARGET_CURRENT = 99

# --- interrupts and lockless walks
IRQ_OFF = 100
IRQ_ON = AFTER + 101

# --- variables of scenarios, and registers
V_LOAD = 104
V_STORE = 105
V_ADD = 106
V_XCHG = 107
V_CAS = 108
FENCE = 109
ACCESS = 110
CHOICE = 111
FAIL = 112
JUMP_NO_BITS = 113
COPY = 114
ADD = 115
JUMP_SAME = 116
TARGET_RCU = 117
REACHED = 118
CLEAR_BITS = 119
OWN_NUMBER = 120
TARGET_HOLDING = 121

# --- a flush of kernel addresses
KERNEL_BEGIN = AFTER + 126
KERNEL_SELF = AFTER + 127

# --- entries of page tables, frames, rights: the memory of explored programs
ENTRY_LOAD = 256
ENTRY_STORE = 257
ENTRY_XCHG = 258
PUT_FRAMES = 259
GET_FRAMES = 260
QUEUE_FRAMES = 261
OCCUPANTS = 262
RIGHT_IS_GONE = 263
USER_MODE = 264
JUMP_REFERENCED = 265
RIGHT_IS_GONE_UNLESS = 266

# --- instructions, counted by name
EXECUTE = AFTER + 102

# === what operands hold

# --- how FLUSH_BEGIN counts
ROUNDED = 1  # the range is first rounded outwards to whole strides
IN_PAGES = 2  # what is flushed is counted in base pages, not strides
UNTRACKED = 4  # no tlb_gen: each flush reaches every CPU that may hold anything
BASE_STRIDES = 8  # strides are base pages, whatever was cleared
PMD_STRIDES = 16  # strides are what a PMD entry spans
EVERYTHING = 32  # all of the mm, whatever the gather recorded
ONE_SIZE = 64  # instructions name a page size: translations of another size than the stride's stay
PMD_TOO = 128  # with ONE_SIZE: those of whole PMD entries are invalidated besides
PAIR_STRIDES = 256  # strides are an even page and the odd one after it, which one TLB entry translates
WHOLE_STRIDES = 512  # an instruction drops all that lies within its stride, translations of smaller pages too
EMPTY_TOO = 1024  # of an empty range the first address is invalidated

# --- the unit for each of which EXECUTE executes `b` instructions
PER_REQUEST = 0  # b of them
PER_STRIDE = 1  # b for each stride of the request (1 if it flushes everything)
PER_RANGE_DIGIT = 2  # b for each nonzero 5-bit digit of half the number of strides
PER_ODD_STRIDE = 3  # b if the number of strides is odd
PER_TARGET = 4  # (with one of these) for each target: what they will execute when they take the call
PER_PMD = 16  # b for each whole PMD entry in a range that begins at one, counted in base pages
PER_CALL_BELOW = 32  # b for each call that what runs below needs to reach mm_cpumask (see Machine.numbers)
ONE_STRIDE = 64  # (with one of these) only if the request is of one stride
MORE_STRIDES = 128  # only if it is of more
IN_MASK = 256  # (with PER_TARGET) of the targets only those in mm_cpumask, as CALL_INVALIDATE_MASKED
BROADCASTS = 8  # each is a broadcast invalidation; the SEND that follows (c=-1) counts none of its own

# --- memory models: the order in which a CPU's stores become visible to others
SC = 0  # at once
TSO = 1  # later, in program order
WEAK = 2  # later, in any order

# --- what OWN_NUMBER reads
OF_CPU = 0  # the number of the task's CPU
OF_MM = 1  # that of the mm that the task's kernel work is on

# --- bits of a single page-table entry, as ACCESS and the hardware walker read them
ENTRY_PRESENT = 1
ENTRY_WRITABLE = 2
ENTRY_DIRTY = 4
ENTRY_PAGE_SHIFT = 3
ENTRY_HUGE = 1 << 15  # of a link: it maps a huge page itself; above all frames, and all numbers of classes

# --- calls that a CPU can have pending at others
CALL_NONE = 0
CALL_FLUSH = 1  # IPI: flush_tlb_func
CALL_SYNC = 2  # IPI: tlb_remove_table_sync_one's empty handler
CALL_HYPERCALL = 3  # the hypervisor flushes for the guest; no guest CPU takes an interrupt
CALL_BROADCAST = 4  # hardware broadcast (INVLPGB, TLBI, tlbie); no CPU takes an interrupt
CALL_TRANSITION = 5  # IPI: move to the global ASID
CALL_INVALIDATE = 6  # IPI: invalidate (nothing with scope 0), whichever mm the CPU has loaded
CALL_LEAVE = (
    7  # IPI: invalidate all of the mm (nothing with scope 0) and leave it, unless a task of it runs there
)
CALL_RCU = 8  # no interrupt: a grace period waits until each CPU has been in a quiescent state
CALL_BARRIER = 9  # IPI: a memory barrier, and nothing else: membarrier()
CALL_KERNEL = 10  # IPI: do_kernel_range_flush or, for everything, do_flush_tlb_all
CALL_INVALIDATE_MASKED = (
    11  # IPI: as CALL_INVALIDATE in mm_cpumask; elsewhere the handler finds no context of the mm
)
CALL_MASK = 15
#: Those that interrupt the CPUs that take them.
INTERRUPTING_CALLS = (
    CALL_FLUSH,
    CALL_SYNC,
    CALL_TRANSITION,
    CALL_INVALIDATE,
    CALL_INVALIDATE_MASKED,
    CALL_LEAVE,
    CALL_BARRIER,
    CALL_KERNEL,
)
INVALIDATING_CALLS = (CALL_FLUSH, CALL_HYPERCALL, CALL_BROADCAST, CALL_INVALIDATE, CALL_INVALIDATE_MASKED)

# --- what a flush drops
SCOPE_LEAF = 1  # TLB entries
SCOPE_WALK = 2  # paging-structure (walk) cache entries
SCOPE_BOTH = 3
SCOPE_FORCED = 4  # a what-if: even full flushes drop no more than the scope says
SCOPE_AT_VA = 8  # with SCOPE_WALK: of walk-cache entries only those that lead to the addresses of the flush
SCOPE_MASK = 15
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

# --- the use of a table's page
TABLE_SHARED = 0
TABLE_REUSED = 1
TABLE_FREED = 2
TABLE_MASK = 3
TABLE_OWNER_SHIFT = 2  # above the state: the mm (from one) that gave the table that state

# --- registers
INDEX = 0
SLOT = 1
CLASS = 2
SCRATCH = 3
SCRATCH2 = 4
OWN = 5  # where an element of a patch's field is
VALUE = 6  # of a patch's field
REGISTERS = 7
GATHERS = 3  # of a task: an outer and a nested mmu_gather, and the request of a flush without a gather

# --- occurrences for the ledger (NOTE)
NOTE_GATHER = 0
NOTE_GATHER_VMA = 1
NOTE_SHARED = 6
NOTE_WARNING = 8
NOTE_COMPLETION = 9
NOTE_SECTION = 10  # b=1 opens, b=0 closes the section in which tables are unshared; c is its i_mmap_rwsem
NOTE_RCU = 11  # a grace period was requested
NOTE_AUDIT = 12  # i_mmap_rwsem is about to drop: look for stale entries
NOTE_FLUSH_RANGE = 13  # flush_tlb_range() or flush_pmd_tlb_range() was called
NOTE_FLUSH_PAGE = 14  # flush_tlb_page() was called
NOTE_USES = 15  # the task uses so many translations over and over from now on; d=1: it computes meanwhile

# --- results of step()
DONE = 0  # the step was taken
BLOCKED_LOCK = 1  # a lock is held by another
BLOCKED_ACK = 2  # a target has not answered
BLOCKED_EVENT = 3  # an event was not signalled often enough
HALTED = 4
PARKED = 5
FAILED = 6  # an invariant does not hold
BLOCKED_BUFFER = 7  # stores of this CPU still wait in its store buffer

# --- what FAILED concerns if it is no invariant: a mistake of the program, which only a run can tell
MISTAKES = 1 << 16
NO_SLOT, NO_TABLE, NO_VARIABLE, NO_PLACE, NO_MM, NO_LOCK, NOT_HELD, NOT_SHARED, NOT_BEGUN, NO_REFERENCE = (
    range(MISTAKES, MISTAKES + 10)
)
