"""The statements of the language: each verb with what follows it, and what it means.

The reference in docs/programs.md has the same table, which a test compares.
"""

from __future__ import annotations

import attrs

#: Advice that madvise() takes here, and what it does.
ADVICE = {
    "DONTNEED": "unmaps the pages at once",
    "FREE": "lets reclaim drop them instead of writing them to swap",
    "PAGEOUT": "reclaims them at once",
    "COLLAPSE": "makes huge pages of them",
    "REMOVE": "punches a hole into the file that is mapped there",
}
#: What a monitor asks of userfaultfd, and what that does.
IOCTLS = {
    "COPY": "maps new pages where there are none",
    "ZEROPAGE": "maps the zero page there",
    "WRITEPROTECT": "takes the right to write away from pages that are mapped, which one flush of the place ends",
}
#: What Linux has besides, and why it is not counted.
UNCOUNTED_IOCTLS = {
    "MOVE": "how many pages it moves by one flush depends on the release (since 6.18 on several)",
    "UNPROTECT": "whether it flushes depends on which entries the kernel makes writable at once",
}
#: Commands of membarrier(), and what they do.
COMMANDS = {
    "PRIVATE_EXPEDITED": "interrupts the CPUs that run other threads of the process",
    "PRIVATE_EXPEDITED_RSEQ": "does so too, and each restarts its rseq critical section",
    "GLOBAL": "waits for a grace period, and interrupts nobody",
}
#: Those that Linux knows and nothing here counts yet.
UNCOUNTED_COMMANDS = ("PRIVATE_EXPEDITED_SYNC_CORE", "GLOBAL_EXPEDITED")
#: Advice that Linux knows and nothing here counts yet.
UNCOUNTED_ADVICE = ("COLD",)


@attrs.frozen
class Verb:
    """One verb.

    Args:
        form: what follows it, as the reference shows it.
        takes: the parts, in order: `place`, `process`, `thread`, `event`, `lock`, `cpu`, `count`, `time`, `rights`,
            `advice`, `ioctl`, `size`, `of`, `body`, and those that may be left out: `count?` (one), `time?`,
            `access?` (write), `pattern?`, `daemon?` (the thread itself), `command?` (PRIVATE_EXPEDITED).
        says: what it does, in a sentence or two.
        explored: whether `explore` knows it too.
    """

    form: str
    takes: tuple[str, ...]
    says: str
    explored: bool = True


VERBS = {
    "mmap": Verb(
        "mmap MEMORY", ("place",), "Map the memory. What no statement maps is mapped from the beginning."
    ),
    "touch": Verb(
        "touch PLACE [read|write] [all | every SIZE | random N [seed S] | rand N [seed S]]",
        ("place", "access?", "pattern?"),
        "Access pages, all of them if nothing else is said: what is not mapped yet is faulted in, what fork() shares "
        "is copied by a write. `rand` draws pages as glibc's rand() does.",
    ),
    "vmalloc": Verb(
        "vmalloc MEMORY",
        ("place",),
        "Map kernel addresses, as a driver does for the thread. Nothing is flushed.",
        explored=False,
    ),
    "vfree": Verb(
        "vfree MEMORY",
        ("place",),
        "Free them: the pages go at once, and the addresses are flushed together with others once more than 32 MiB for "
        "each bit of the number of CPUs wait (lazy_max_pages()).",
        explored=False,
    ),
    "munmap": Verb("munmap PLACE", ("place",), "Unmap it."),
    "madvise": Verb(
        "madvise PLACE " + "|".join(ADVICE),
        ("place", "advice"),
        "Give advice: " + "; ".join(f"{advice} {does}" for advice, does in ADVICE.items()) + ".",
    ),
    "mprotect": Verb(
        "mprotect PLACE read|write",
        ("place", "rights"),
        "Change the rights: `read` takes the right to write away.",
    ),
    "userfaultfd": Verb(
        "userfaultfd PLACE " + "|".join(IOCTLS),
        ("place", "ioctl"),
        "Do what a monitor of anonymous memory asks by an ioctl: "
        + "; ".join(f"{ioctl} {does}" for ioctl, does in IOCTLS.items())
        + ".",
    ),
    "mremap": Verb("mremap MEMORY", ("place",), "Move the whole mapping to another address."),
    "truncate": Verb(
        "truncate PLACE",
        ("place",),
        "Truncate the file to where the place begins, which goes up to the end of the memory: the pages behind are "
        "unmapped in every process and freed.",
    ),
    "punch": Verb(
        "punch PLACE",
        ("place",),
        "Punch a hole into the file: its pages there are unmapped in every process and freed.",
    ),
    "migrate": Verb(
        "migrate PLACE",
        ("place",),
        "Move pages elsewhere, as move_pages() does: they are unmapped first. Of hugetlb memory the first huge page, "
        "in every process.",
    ),
    "reclaim": Verb(
        "reclaim PLACE [by kswapd]",
        ("place", "daemon?"),
        "Reclaim pages that nobody used lately, as a thread that allocates does when memory is short: they are "
        "unmapped, and dirty anonymous ones written to swap. By kswapd: on a CPU that no thread has, while the thread "
        "computes.",
    ),
    "mkclean": Verb(
        "mkclean PLACE",
        ("place",),
        "Write its dirty pages to the file, as fsync() does: entries are cleaned first, so that who writes to a page "
        "later faults.",
    ),
    "khugepaged": Verb(
        "khugepaged PLACE",
        ("place",),
        "Compute while khugepaged, on a CPU that no thread has, makes one pass over the place and collapses what it "
        "maps into huge pages.",
    ),
    "membarrier": Verb(
        "membarrier [" + "|".join(COMMANDS) + "]",
        ("command?",),
        "Let others execute a memory barrier; nothing is flushed: "
        + "; ".join(f"{command} {does}" for command, does in COMMANDS.items())
        + ".",
    ),
    "gup": Verb(
        "gup PLACE [for TIME]",
        ("place", "time?"),
        "Pin a page by GUP-fast: interrupts are off while it walks the page tables, for so long.",
    ),
    "fork": Verb(
        "fork PROCESS",
        ("process",),
        "Make the next process of that name; it begins as a copy of this one.",
    ),
    "exec": Verb(
        "exec",
        (),
        "Begin another program: the process takes a new address space, with nothing in its memory yet, and the old one "
        "is torn down. Of a process with one thread.",
    ),
    "exit": Verb(
        "exit",
        (),
        "End the process, and its other threads between two statements of theirs: the last one that leaves, taken as "
        "this one, tears the memory down.",
    ),
    "start": Verb("start THREAD", ("thread",), "Start the threads of that name of this process."),
    "signal": Verb("signal EVENT", ("event",), "Signal an event."),
    "wait": Verb(
        "wait EVENT [N]",
        ("event", "count?"),
        "Sleep until the event was signalled N times in all, once if N is left out. In a loop each wait is for N more "
        "signals. The name of a process stands for its exit.",
    ),
    "lock": Verb("lock NAME", ("lock",), "Take a lock of the program's own; who finds it taken sleeps."),
    "unlock": Verb("unlock NAME", ("lock",), "Release it."),
    "work": Verb("work TIME", ("time",), "Compute in user mode for so long."),
    "other": Verb(
        "other TIME",
        ("time",),
        "Spend so long on what is neither the program's computing nor modelled of the kernel: I/O, other system calls. "
        "Results have it as `other_ns`.",
    ),
    "spin": Verb("spin", (), "Run in user mode for ever, without a system call."),
    "preempted": Verb(
        "preempted",
        (),
        "Run in user mode for ever on a vCPU that its host has preempted: a guest with paravirtual flushes leaves it "
        "out of them, and it flushes itself when it runs again; what interrupts it waits until the host runs it. "
        "Without a hypervisor it is as `spin`.",
    ),
    "sleep": Verb("sleep", (), "Sleep for ever: the CPU goes idle and keeps the process's mm loaded lazily."),
    "move": Verb("move CPU", ("cpu",), "Move to another CPU (sched_setaffinity())."),
    "turn": Verb(
        "turn [N]",
        ("count?",),
        "Count one turn of the program's own, or N: results say how many there are a second of the measured time.",
    ),
    "repeat": Verb("repeat N { ... }", ("count", "body"), "Do what is in the braces N times."),
    "each": Verb(
        "each SIZE of PLACE { ... }",
        ("size", "of", "place", "body"),
        "Do what is in the braces with each piece of the place, one after another; `it` stands for the piece. Where "
        "it is counted only this thread uses the memory meanwhile.",
    ),
    "measure": Verb(
        "measure { ... }",
        ("body",),
        "Count what happens, on all CPUs, while the thread does what is in the braces. Without it everything counts.",
    ),
}
#: Verbs that end a thread: nothing can follow them.
COMPUTING = ("spin", "preempted")
ENDLESS = (*COMPUTING, "sleep")
LAST = (*ENDLESS, "exit")
