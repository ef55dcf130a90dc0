/* Unsharing a hugetlb PMD table, for Spin: the protocol of the scenarios unshare-gup and unshare-walk-cache, path munmap.
 *
 * As in the scenarios, SHARERS processes map one table. All but one unshare it, under i_mmap_rwsem; the last one then
 * maps memory of its own with the table, and frees it after a grace period. Each process that unshares has a second CPU:
 * it is inside GUP-fast (GUP), or its hardware walker caches and uses what it likes (else). One atomic section here is one
 * move there: the first step that somebody else can tell the time of, with the local ones after it. What shootdown works
 * out by itself is done here by hand: variables are cleared once nobody reads them, vCPUs are only preempted where that
 * makes a difference. Processes stay where they end, so that no state differs in which of them is gone.
 *
 *   SHARERS   2 to 5
 *   SYNC      0: none (6.15); 1: for each table, before the count drops (6.16); 2: once the last one shares no more (7.0)
 *   FLUSH     0: none; 1: IPIs to the CPUs of the mm; 2: a broadcast that each CPU completes; 3: as 1, but vCPUs that are
 *             preempted are told to flush when they run again
 *   GUP       GUP-fast; else hardware walkers
 */
#define LEAVERS (SHARERS - 1)
#define CPUS (2 * LEAVERS + 1)
#define BIT(n) (1 << (n))
#define EVERY (BIT(CPUS) - 1)
#define ACTOR(i) (2 * (i))
#define OTHER(i) (2 * (i) + 1)
#define KEEPER (2 * LEAVERS)

#if SHARERS > 4
#define SET short
#else
#define SET byte
#endif

/* What the table's page is used for. */
#define SHARED 0
#define REUSED 1
#define FREED 2

/* What a CPU asks others to do. */
#define INVALIDATE 1 /* by an interrupt */
#define COMPLETE 2   /* by a broadcast: interrupts may be off */
#define RETURN 3     /* take an empty interrupt, or pass a quiescent state */

bool locked;             /* i_mmap_rwsem, for writing */
byte share = LEAVERS;    /* processes that map the table, but one */
byte table;
byte pud = BIT(SHARERS) - 1; /* processes whose PUD entry points to the table */
byte call[SHARERS];      /* by sender; the last is the process that keeps the table */
SET pending[SHARERS];    /* CPUs that have not done it */
#ifdef GUP
SET irq_off;
#define INTERRUPTIBLE(cpu) ((irq_off & BIT(cpu)) == 0)
#else
SET walk_cache;          /* CPUs that cache the PUD entry */
#define INTERRUPTIBLE(cpu) true
#endif
#if FLUSH == 3
SET preempted;
SET flush_on_entry;
#define RUNS(cpu) ((preempted & BIT(cpu)) == 0)
#else
#define RUNS(cpu) true
#endif

inline forget(cpu) {
#ifndef GUP
    walk_cache = walk_cache & ~BIT(cpu);
#endif
    skip
}

inline begin_flush(i) {
#if FLUSH == 1
    call[i] = INVALIDATE;
    pending[i] = BIT(OTHER(i));
#elif FLUSH == 2
    call[i] = COMPLETE;
    pending[i] = EVERY;
#elif FLUSH == 3
    call[i] = INVALIDATE;
    pending[i] = BIT(OTHER(i)) & ~preempted;
    flush_on_entry = flush_on_entry | (BIT(OTHER(i)) & preempted);
#endif
    skip
}

inline begin_sync(i) {
    call[i] = RETURN;
    pending[i] = EVERY & ~BIT(ACTOR(i))
}

active [LEAVERS] proctype unsharer() {
#if SYNC == 2
    bool last;
#endif
    atomic { !locked -> locked = true }
    atomic {
        pud = pud & ~BIT(_pid);
#if SYNC == 1
        begin_sync(_pid)
    }
    atomic {
        pending[_pid] == 0 -> call[_pid] = 0;
#endif
        share = share - 1;
#if SYNC == 2
        last = (share == 0);
#endif
#if FLUSH == 3
    } /* who is preempted is looked at later */
    atomic {
#endif
        begin_flush(_pid)
    }
#if !defined(GUP) && (FLUSH == 1 || FLUSH == 3)
    atomic { forget(ACTOR(_pid)) }
#endif
    atomic {
        pending[_pid] == 0 -> call[_pid] = 0;
#if SYNC == 2
        if
        :: last -> last = false; begin_sync(_pid)
        :: else -> locked = false; goto end
        fi
    }
    atomic {
        pending[_pid] == 0 -> call[_pid] = 0;
#endif
        locked = false
    }
end: false
}

#ifdef GUP
#define MINE (_pid - LEAVERS)
active [LEAVERS] proctype gup_fast() {
    byte entry;
    atomic { RUNS(OTHER(MINE)) -> irq_off = irq_off | BIT(OTHER(MINE)) }
    atomic {
        RUNS(OTHER(MINE));
        if
        :: (pud & BIT(MINE)) != 0
        :: else -> irq_off = irq_off & ~BIT(OTHER(MINE)); goto end
        fi
    }
    atomic { RUNS(OTHER(MINE)) -> assert(table != FREED); entry = table }
    atomic {
        RUNS(OTHER(MINE)) -> assert(table != FREED);
        assert(table != entry || table != REUSED);
        entry = 0;
        irq_off = irq_off & ~BIT(OTHER(MINE))
    }
end: false
}
#endif

active proctype keeper() {
    atomic {
        !locked;
        if
        :: share > 0 -> goto end
        :: else
        fi
    }
#ifndef GUP
    atomic { forget(KEEPER) }
#endif
    atomic { table = REUSED }
#ifndef GUP
    atomic { pud = pud & ~BIT(LEAVERS) }
    atomic { forget(KEEPER) }
#endif
    atomic { call[LEAVERS] = RETURN; pending[LEAVERS] = EVERY & ~BIT(KEEPER) }
    atomic { pending[LEAVERS] == 0 -> call[LEAVERS] = 0; table = FREED }
end: false
}

#define TAKE(sender, cpu) \
    :: atomic { \
        (pending[sender] & BIT(cpu)) != 0 && (call[sender] == COMPLETE || (INTERRUPTIBLE(cpu) && RUNS(cpu))) -> \
        pending[sender] = pending[sender] & ~BIT(cpu); \
        if \
        :: call[sender] != RETURN -> forget(cpu) \
        :: else \
        fi \
    }
#define FILL(cpu) \
    :: atomic { \
        (pud & BIT((cpu) / 2)) != 0 && (walk_cache & BIT(cpu)) == 0 && RUNS(cpu) -> walk_cache = walk_cache | BIT(cpu) \
    }
#define WALK(cpu) \
    :: atomic { table != SHARED && (walk_cache & BIT(cpu)) != 0 && RUNS(cpu) -> assert(false) }
#define PREEMPT(cpu) \
    :: atomic { RUNS(cpu) -> preempted = preempted | BIT(cpu) } \
    :: atomic { \
        !RUNS(cpu) -> preempted = preempted & ~BIT(cpu); \
        if \
        :: (flush_on_entry & BIT(cpu)) != 0 -> flush_on_entry = flush_on_entry & ~BIT(cpu); forget(cpu) \
        :: else \
        fi \
    }

#if SHARERS == 2
#define TAKES(sender) TAKE(sender, 0) TAKE(sender, 1) TAKE(sender, 2)
#elif SHARERS == 3
#define TAKES(sender) TAKE(sender, 0) TAKE(sender, 1) TAKE(sender, 2) TAKE(sender, 3) TAKE(sender, 4)
#elif SHARERS == 4
#define TAKES(sender) TAKE(sender, 0) TAKE(sender, 1) TAKE(sender, 2) TAKE(sender, 3) TAKE(sender, 4) \
    TAKE(sender, 5) TAKE(sender, 6)
#else
#define TAKES(sender) TAKE(sender, 0) TAKE(sender, 1) TAKE(sender, 2) TAKE(sender, 3) TAKE(sender, 4) \
    TAKE(sender, 5) TAKE(sender, 6) TAKE(sender, 7) TAKE(sender, 8)
#endif

active proctype agents() {
end: do
    TAKES(0)
    TAKES(1)
#if SHARERS > 2
    TAKES(2)
#endif
#if SHARERS > 3
    TAKES(3)
#endif
#if SHARERS > 4
    TAKES(4)
#endif
#ifndef GUP
    FILL(0) FILL(1) FILL(2)
    WALK(0) WALK(1)
#if SHARERS > 2
    FILL(3) FILL(4)
    WALK(2) WALK(3)
#endif
#if SHARERS > 3
    FILL(5) FILL(6)
    WALK(4) WALK(5)
#endif
#if SHARERS > 4
    FILL(7) FILL(8)
    WALK(6) WALK(7)
#endif
#endif
#if FLUSH == 3
    PREEMPT(1)
#if SHARERS > 2
    PREEMPT(3)
#endif
#if SHARERS > 3
    PREEMPT(5)
#endif
#if SHARERS > 4
    PREEMPT(7)
#endif
#endif
    od
}
