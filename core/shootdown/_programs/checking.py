"""Check a program as a whole: what it names is there, what it waits for comes, and nothing contradicts itself."""

from __future__ import annotations

from collections.abc import Iterable

from shootdown._programs.areas import collapses, swaps
from shootdown._programs.exits import check_counted_exits, check_exits
from shootdown._programs.monitored import check_monitored
from shootdown._programs.program import (
    KINDS,
    PRIVATE,
    PRIVATE_FILE,
    Process,
    Program,
    Statement,
    Thread,
    within,
)
from shootdown._programs.segfaults import check_segfaults
from shootdown._programs.verbs import ENDLESS, LAST
from shootdown._values.errors import ShootdownError, nearest

#: What each verb can be said of, where it is not all memory.
_KINDS = {
    "truncate": ("hugetlb", "file", PRIVATE_FILE),
    "punch": ("hugetlb", "file", PRIVATE_FILE),
    "migrate": ("hugetlb", "anonymous", "file", PRIVATE_FILE),
    "mkclean": ("file", PRIVATE_FILE),
    "reclaim": ("anonymous", "thp", "file", PRIVATE_FILE),
    "khugepaged": ("anonymous", "thp"),
    "userfaultfd": ("anonymous",),
    "vmalloc": ("vmalloc",),
    "vfree": ("vmalloc",),
}
#: The kinds of a process's own memory: what other verbs can be said of.
_USER = (*(kind for kind in KINDS if kind != "vmalloc"), PRIVATE_FILE)
#: Kinds of memory that advice can be given about.
_ADVISED = {
    "FREE": ("anonymous", "thp"),
    "PAGEOUT": ("anonymous", "thp", "file", PRIVATE_FILE),
    "REMOVE": ("hugetlb", "file"),
    "COLLAPSE": ("anonymous", "thp"),
}


def check(program: Program) -> None:
    """Check a program.

    Raises:
        ShootdownError: something is wrong in it; the message names file, line and key.
    """
    forked = forks(program)
    signals = {one.name for _, _, one in program.statements() if one.verb == "signal"}
    exits = {process.name for process, _, one in program.statements() if one.verb == "exit"}
    measured = [one for _, _, one in program.statements() if one.verb == "measure"]
    if len(measured) > 1:
        raise measured[1].wrong("one statement is measured, and there was one before")
    for process, thread, one in program.statements():
        kinds = _KINDS.get(one.verb, _USER)
        if one.place and program.memory[one.place.memory].kind not in kinds:
            kind = program.memory[one.place.memory].kind
            raise one.wrong(f"`{one.verb}` of {kind} memory is not known yet: only of {', '.join(kinds)}")
        advised = _ADVISED.get(one.word)
        if one.place and advised and program.memory[one.place.memory].kind not in advised:
            kind = program.memory[one.place.memory].kind
            raise one.wrong(
                f"MADV_{one.word} of {kind} memory is not known yet: only of {', '.join(advised)}"
            )
        if one.verb == "exec":
            _check_exec(program, process, one)
        if one.verb == "vfree" and one.place and not _is_mapped(program, one.place.memory):
            raise one.wrong(f"no statement `vmalloc {one.place.memory}` maps it")
        if one.verb in ("move", "preempted") and thread.floats:
            raise one.wrong(
                'the thread has cpu = "any", so that the scheduler chooses its CPU: leave one of the two out',
            )
        if one.verb == "fork" and one.name not in program.processes:
            raise one.wrong(f"there is no process {one.name!r:.40}; {nearest(one.name, program.processes)}")
        if one.verb == "fork" and one.name == process.name:
            raise one.wrong("a process can't fork itself: name another process, which begins as its copy")
        if one.verb == "fork" and thread.count > 1:
            raise one.wrong("one thread forks: this one has a count")
        if one.verb == "start" and one.name not in {
            other.name for other in process.threads if other.name != "main"
        }:
            names = [other.name for other in process.threads if other.name != "main"]
            raise one.wrong(
                f"process {process.name} has no thread {one.name!r:.40}; {nearest(one.name, names)}"
            )
        if one.verb == "wait" and one.name not in signals | exits:
            raise one.wrong(f"nobody signals {one.name!r:.40}; {nearest(one.name, signals | exits)}")
        if one.verb == "signal" and one.name in program.processes:
            raise one.wrong(
                f"{one.name} is a process: who waits for it waits for its exit; give the event another name",
            )
        if one.verb == "measure" and (thread.count > 1 or (process.count > 1 and process.name not in forked)):
            raise one.wrong("one thread measures: this one has a count")
    for process in program.processes.values():
        if process.name in forked and process.count != 1:
            raise ShootdownError(
                f"{process.at}: it is forked, so it has no `count`: there are as many as forks"
            )
        if process.name in forked and process.threads[0].name != "main":
            raise ShootdownError(f"{process.at}: it is forked, so it has `do`: what it does first")
        if process.name in forked and process.threads[0].cpu is not None:
            raise ShootdownError(
                f"{process.at}: it is forked, so it has no `cpu`: fork() chooses; `move` moves it"
            )
        for thread in process.threads:
            _check_thread(program, process, thread)
    _check_forks(program, forked)
    check_exits(program)
    touched = {one.place.memory for _, _, one in program.statements() if one.verb == "touch" and one.place}
    for _, _, one in program.statements():
        untouched = one.place is not None and one.place.memory not in touched
        if untouched and one.place and program.memory[one.place.memory].kind == "hugetlb":
            raise one.wrong(
                f"no statement touches {one.place.memory}, so that it has no page tables: touch it"
            )
    repeated_waits(program)


def _is_mapped(program: Program, memory: str) -> bool:
    return any(
        one.verb == "vmalloc" and one.place and one.place.memory == memory
        for _, _, one in program.statements()
    )


def _check_exec(program: Program, process: Process, one: Statement) -> None:
    if sum(thread.count for thread in process.threads) > 1:
        raise one.wrong("`exec` of a process with other threads, which it ends, is not counted yet")
    for thread in process.threads:
        for inner in within(thread.body):
            if inner.verb == "khugepaged" or (inner.verb == "reclaim" and inner.word):
                raise one.wrong(f"`exec` of a process with `{inner.text:.40}` is not counted yet")
    for name in used(process):
        if program.memory[name].each == "thread":
            raise one.wrong(f"`exec` beside memory that each thread has one of ({name}) is not counted yet")
    for other in program.processes.values():
        for name in used(other):
            if program.memory[name].kind == "hugetlb" and name in used(process):
                raise one.wrong(f"`exec` of a process with hugetlb memory ({name}) is not counted yet")


def check_counted(program: Program) -> None:
    """Refuse what is explored alone.

    Raises:
        ShootdownError: a statement can't be counted yet; the message names file, line and key.
    """
    for _, _, one in program.statements():
        if one.verb == "each":
            _check_alone(program, one)
        parted = [
            other.text
            for _, _, other in program.statements()
            if one.verb == "mremap"
            and other.verb in ("munmap", "mprotect")
            and other.place
            and one.place
            and other.place.memory == one.place.memory
            and (other.place.lo, other.place.hi) != (one.place.lo, one.place.hi)
        ]
        if parted and one.place and program.memory[one.place.memory].kind != "hugetlb":
            raise one.wrong(
                f"mremap() moves one VMA, and `{parted[0]:.40}` makes several of {one.place.memory}"
            )
        if swaps(one) and one.place and program.memory[one.place.memory].kind == "thp":
            _check_swapped(program, one, one.place.memory)
        own = one.place and program.memory[one.place.memory].each == "thread"
        if own and one.verb in ("truncate", "punch", "mkclean"):
            raise one.wrong(f"`{one.verb}` of memory that each thread has one of is not counted yet")
    _check_reclaimed(program)
    check_monitored(program)
    check_counted_exits(program)
    check_segfaults(program, forks(program))
    for _, _, one in program.statements() if forks(program) else ():
        if one.place is None or program.memory[one.place.memory].kind != "thp":
            continue
        if one.word == "FREE":
            raise one.wrong("FREE of thp memory where a process forks is not counted yet")
        if one.verb == "each":
            raise one.wrong("`each` of thp memory where a process forks is not counted yet")
        if one.verb == "touch" and one.pattern.how != "all":
            raise one.wrong(
                "where a process forks, thp memory is touched whole: how many pages of a huge one are copied is not "
                "counted otherwise",
            )


def _check_swapped(program: Program, one: Statement, memory: str) -> None:
    """Refuse what is not counted beside reclaim of thp memory."""
    what = one.word if one.verb == "madvise" else one.verb
    for _, _, other in program.statements():
        if other.verb == "fork":
            raise one.wrong(f"{what} of thp memory where a process forks is not counted yet")
        if other.place is None or other.place.memory != memory:
            continue
        if other.word == "FREE" or other.verb in ("mremap", "each"):
            raise one.wrong(f"{what} of thp memory beside `{other.text:.40}` is not counted yet")
        if other.verb == "touch" and other.pattern.how != "all":
            raise one.wrong(
                f"{what} of thp memory is counted where it is touched whole: not `{other.text:.40}`"
            )


def reclaims(program: Program, one: Statement) -> bool:
    """Whether a statement unmaps ordinary pages through the reverse map, or marks them so that reclaim drops them."""
    if one.place is None or program.memory[one.place.memory].kind == "hugetlb":
        return False
    return one.verb in ("reclaim", "migrate") or (one.verb == "madvise" and one.word in ("FREE", "PAGEOUT"))


def _unmaps_shared(program: Program, one: Statement) -> bool:
    """Whether it matters to a statement which processes map its pages in a way that is not counted yet.

    MADV_FREE is about entries of its own process alone. MADV_PAGEOUT and move_pages() leave pages alone that several
    processes map.
    """
    return collapses(one) or (one.verb == "reclaim" and reclaims(program, one))


def _check_reclaimed(program: Program) -> None:
    """Refuse reclaim, migration and collapse of pages that several processes map, or that are no plain ones."""
    reclaimed = {
        one.place.memory: one for _, _, one in program.statements() if reclaims(program, one) and one.place
    }
    forked = forks(program)
    collapsing = [one for _, _, one in program.statements() if collapses(one)]
    collapsed = {
        one.place.memory: one
        for one in sorted(collapsing, key=lambda one: one.verb == "madvise")
        if one.place
    }
    for _, _, one in program.statements():
        if one.verb == "touch" and one.word == "read" and one.place and one.place.memory in collapsed:
            name = one.place.memory
            if program.memory[name].kind == "anonymous" and collapsed[name].verb == "madvise":
                raise one.wrong(
                    f"{name} is collapsed by `{collapsed[name].text:.40}`: reads of it, which map the zero page, are "
                    "not counted then, and of nothing else its result depends on the release; write to it",
                )
    for name, one in collapsed.items():
        if name in reclaimed:
            other = reclaimed[name].text
            raise one.wrong(
                f"`{other:.40}` is about {name} too: collapse of what was reclaimed is not counted yet"
            )
        if one.place and one.place.piece:
            raise one.wrong("collapse of pieces is not counted yet: name the whole place, outside of `each`")
    for _, _, one in program.statements():
        if one.verb == "reclaim" and one.word and one.place and one.place.piece:
            raise one.wrong(f"reclaim of pieces by {one.word} is not counted yet: name the whole place")
    for _, _, one in program.statements():
        if one.place is None or not _unmaps_shared(program, one):
            continue
        name, kind = one.place.memory, program.memory[one.place.memory].kind
        users = [process for process in program.processes.values() if name in maps(program, process)]
        several = len(users) > 1 or any(process.count > 1 for process in users)
        if any(process.name in forked or process.name in forked.values() for process in users) or (
            kind == "file" and several
        ):
            raise one.wrong(
                f"{name} may be mapped by several processes, whose pages are not unmapped together yet"
            )


def repeated_waits(program: Program) -> dict[str, Statement]:
    """Return the events that a `wait` in a loop is for, each with one such wait: each wait uses its signals up.

    Raises:
        ShootdownError: several threads wait for one of them.
    """
    found: dict[str, Statement] = {}
    for _, _, one in program.statements():
        if one.verb in ("repeat", "each"):
            found |= {inner.name: inner for inner in within(one.body) if inner.verb == "wait"}
    for name, one in found.items():
        who = [
            (process, thread)
            for process in program.processes.values()
            for thread in process.threads
            if any(inner.verb == "wait" and inner.name == name for inner in within(thread.body))
        ]
        several = any(process.count > 1 or thread.count > 1 for process, thread in who)
        if len(who) > 1 or several or who[0][0].name in forks(program):
            raise one.wrong(
                f"a wait that is repeated uses signals up, and several threads wait for {name}: give each its own",
            )
    return found


def forks(program: Program) -> dict[str, str]:
    """Return the processes that others fork, each with the one that does."""
    found: dict[str, str] = {}
    for process, _, one in program.statements():
        if one.verb == "fork" and found.setdefault(one.name, process.name) != process.name:
            raise one.wrong(f"process {one.name} is forked by {found[one.name]} already")
    return found


def _check_thread(program: Program, process: Process, thread: Thread) -> None:
    held: list[str] = []
    for one in within(thread.body):
        if one.verb == "lock":
            if one.name in held:
                raise one.wrong(f"the thread holds {one.name} already")
            held.append(one.name)
        elif one.verb == "unlock":
            if one.name not in held:
                raise one.wrong(f"the thread does not hold {one.name}")
            held.remove(one.name)
        elif one.verb in ("repeat", "each"):
            _check_repeated(program, one)
        elif one.verb == "measure" and one.body[-1].verb in ENDLESS:
            raise one.wrong(f"`{one.body[-1].verb}` never ends, so that nothing would be measured")
    if held:
        raise ShootdownError(f"{thread.at}: {held[0]} is locked, and never unlocked")


def _check_repeated(program: Program, one: Statement) -> None:
    for inner in within(one.body):
        if inner.verb in ("start", "exec", *LAST) and one.number > 1:
            raise inner.wrong(f"`{inner.verb}` can't be repeated")
        if one.verb == "each" and inner.verb == "fork":
            raise inner.wrong("`fork` can't be in `each`: use `repeat`")
    if one.verb != "each" or one.place is None:
        return
    memory = program.memory[one.place.memory]
    if memory.kind == "hugetlb":
        raise one.wrong("`each` is not for hugetlb memory: a call on it goes over its tables")


def _check_alone(program: Program, one: Statement) -> None:
    """Refuse a loop over pieces of memory that another thread uses meanwhile."""
    assert one.place is not None
    memory = program.memory[one.place.memory]
    for process, thread, other in program.statements():
        if other.place and other.place.memory == memory.name and memory.each == "process":
            alone = thread.count == 1 and one in within(thread.body)
            if (
                process.name in {of.name for of, _, found in program.statements() if found is one}
                and not alone
            ):
                own = f'[memory.{memory.name}] each = "thread"'
                raise one.wrong(f"another thread uses {memory.name} too: give each its own, by {own}")


def _check_forks(program: Program, forked: dict[str, str]) -> None:
    """Refuse processes that fork in a circle, and those that fork again and share ordinary pages."""
    roots = [name for name in program.processes if name not in forked]
    if not roots:
        first = next(iter(program.processes.values()))
        raise ShootdownError(f"{first.at}: each process is forked by another, so none is there to begin")
    for child, parent in forked.items():
        if parent in forked and _ordinary(program, program.processes[forked[parent]]):
            raise ShootdownError(
                f"{program.processes[child].at}: {parent}, which was forked itself, forks it: pages of ordinary memory "
                "that three generations share are not counted yet"
            )


def _ordinary(program: Program, process: Process) -> bool:
    return any(
        one.place is not None and program.memory[one.place.memory].kind in PRIVATE
        for thread in process.threads
        for one in within(thread.body)
    )


def used(process: Process) -> Iterable[str]:
    """Return the names of the memory that a process's statements are about, each once."""
    names = (one.place.memory for thread in process.threads for one in within(thread.body) if one.place)
    return dict.fromkeys(names)


def maps(program: Program, process: Process) -> tuple[str, ...]:
    """Return the names of the memory that a process maps: what it, or a process that is kin by fork(), names.

    What a child uses its parent has mapped, and what the parent maps the child inherits.
    """
    parents = forks(program)

    def root(name: str) -> str:
        return root(parents[name]) if name in parents else name

    kin = [other for other in program.processes.values() if root(other.name) == root(process.name)]
    return tuple(dict.fromkeys(name for other in kin for name in used(other)))
