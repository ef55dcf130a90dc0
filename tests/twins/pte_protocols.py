"""Bare protocols of races on single page-table entries, searched in plain Python; nothing of the package is used.

Written from descriptions of the races and from the manuals. A protocol is a set of programs, one for each CPU, whose
steps are functions on a dictionary of plain values; the hardware may fill a TLB at any moment, take an interrupt late,
and lose its CPU to the host. Memory is sequentially consistent: no verdict here depends on store buffers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

State = dict[str, Any]
#: A step changes the state; it returns False if it can't be taken, the label of the next step, or None.
Step = Callable[[State], "bool | str | None"]
Program = list[tuple[str, Step]]

WAYS = ("ipi", "broadcast", "kvm", "hypercall", "hash")


class BrokenError(Exception):
    """An invariant does not hold."""


def broken_if(condition: object) -> None:
    """Raise if an invariant does not hold."""
    if condition:
        raise BrokenError


class Protocol:
    """Programs and the hardware around them.

    Args:
        way: how flushes reach other CPUs; `hash` flushes while the lock is held, whoever asks for a flush later.
        users: programs (by number) whose CPUs have a TLB that matters.
        entries: names of the variables that walkers read.
    """

    def __init__(self, way: str, users: tuple[int, ...], entries: tuple[str, ...]) -> None:
        self.way = way
        self.users = users
        self.entries = entries
        self.programs: list[Program] = []
        self.first: State = {}
        for u in users:
            self.first |= {f"tlb {u} {e}": None for e in entries}
            self.first |= {f"off {u}": False, f"told {u}": False}

    def add(self, program: Program) -> None:
        """Add the program of the next CPU."""
        n = len(self.programs)
        self.programs.append(program)
        self.first |= {f"pc {n}": 0, f"pending {n}": frozenset()}

    # --- what programs are made of

    def lock(self, inside: Program) -> Program:
        """Hold the page-table lock within."""

        def take(s: State) -> bool | None:
            if s["lock"]:
                return False
            s["lock"] = True
            return None

        def release(s: State) -> None:
            s["lock"] = False

        self.first["lock"] = False
        return [("", take), *inside, ("unlock", release)]

    def flush(self, who: int) -> Program:
        """Flush every other CPU's TLB and wait; with a hash table it has happened already."""
        return [] if self.way == "hash" else self._everywhere(who)

    def changed(self, who: int) -> Program:
        """Flush hash-table and TLB entries, before the page-table lock is released."""
        return self._everywhere(who) if self.way == "hash" else []

    def _everywhere(self, who: int) -> Program:
        def send(s: State) -> None:
            targets = {u for u in self.users if u != who}
            if self.way == "kvm":
                for u in [u for u in targets if s[f"off {u}"]]:
                    s[f"told {u}"] = True
                    targets.discard(u)
            s[f"pending {who}"] = frozenset(targets)

        def wait(s: State) -> bool | None:
            return False if s[f"pending {who}"] else None

        return [("", send), ("", wait)]

    def access(self, s: State, u: int, entry: str, *, write: bool) -> Any:
        """Use the TLB's copy, or walk: an entry is (page, writable, dirty, tag); None is a fault."""
        copy = s[f"tlb {u} {entry}"]
        if copy is None or (write and not copy[1]):
            copy = s[entry]
        if copy is not None and write and copy[1] and not copy[2]:
            now = s[entry]  # the dirty bit goes to memory first
            copy = None if now is None or not now[1] else (now[0], True, True, *now[3:])
            if copy is not None:
                s[entry] = copy
        s[f"tlb {u} {entry}"] = copy
        if copy is None or (write and not copy[1]):
            return None
        return copy

    # --- the search

    def verdict(self) -> str:
        """Search all states; `bug` if an invariant breaks anywhere."""
        names = tuple(self.first)
        first = tuple(self.first.values())
        seen, queue = {first}, deque([first])
        try:
            while queue:
                for s in self._next(dict(zip(names, queue.popleft(), strict=True))):
                    key = tuple(s.values())
                    if key not in seen:
                        seen.add(key)
                        queue.append(key)
        except BrokenError:
            return "bug"
        return "safe"

    def _next(self, s: State) -> Iterator[State]:
        for n, program in enumerate(self.programs):
            at = s[f"pc {n}"]
            if at == len(program) or s.get(f"off {n}"):
                continue
            new = dict(s)
            new[f"pc {n}"] = at + 1
            said = program[at][1](new)
            if said is False:
                continue
            if isinstance(said, str):
                new[f"pc {n}"] = next(i for i, (label, _) in enumerate(program) if label == said)
            yield new
        for u in self.users:
            for e in self.entries:
                if s[f"tlb {u} {e}"] is None and s[e] is not None and not s[f"off {u}"]:
                    yield s | {f"tlb {u} {e}": s[e]}
            for n in range(len(self.programs)):
                if u in s[f"pending {n}"] and (self.way not in ("ipi", "kvm") or not s[f"off {u}"]):
                    yield self._dropped(s, u) | {f"pending {n}": s[f"pending {n}"] - {u}}
            if self.way == "kvm" and not s[f"off {u}"]:
                yield s | {f"off {u}": True}
            elif self.way == "kvm":
                back = self._dropped(s, u) if s[f"told {u}"] else s
                yield back | {f"off {u}": False, f"told {u}": False}

    def _dropped(self, s: State, u: int) -> State:
        return s | {f"tlb {u} {e}": None for e in self.entries}


def _set(**values: Any) -> Step:
    def step(s: State) -> None:
        s.update(values)

    return step


def cow_stale_writable(way: str, *, fix: bool) -> str:
    """One thread removes the write bit and flushes later, one copies the page at a fault, one writes."""
    p = Protocol(way, (2,), ("pte",))
    p.first |= {
        "pte": ("old", True, True),
        "flushing": 0,
        "seen": None,
        "copied": False,
        "late": False,
        "new": False,
    }

    def protect(s: State) -> None:
        s["pte"] = ("old", False, True)

    p.add([
        ("", _set(flushing=1)), *p.lock([("", protect), *p.changed(0)]), *p.flush(0), ("", _set(flushing=0)),
    ])  # fmt: skip

    def look(s: State) -> str | None:
        s["seen"] = s["pte"]
        return "unlock" if not s["flushing"] or not fix else None

    def copy(s: State) -> str | None:
        if s["seen"][1]:
            return "end"
        s["copied"] = True
        return None

    def same(s: State) -> str | None:
        if s["pte"] != s["seen"]:
            return "unlock2"
        s["pte"] = None
        return None

    def install(s: State) -> None:
        s["pte"], s["new"] = ("new", True, True), True
        broken_if(s["late"])

    second = p.lock([("", same), *p.changed(1), *p.flush(1), ("", install)])
    second[-1] = ("unlock2", second[-1][1])
    p.add([*p.lock([("", look), *p.flush(1)]), ("", copy), *second, ("end", _set())])

    def write(s: State) -> None:
        hit = p.access(s, 2, "pte", write=True)
        if hit and hit[0] == "old" and s["copied"]:
            s["late"] = True
            broken_if(s["new"])

    p.add([("", write)])
    return p.verdict()


def delayed_rmap(way: str, *, fix: bool) -> str:
    """One thread unmaps a dirty file page, one cleans the page, one writes."""
    p = Protocol(way, (2,), ("pte",))
    p.first |= {"pte": ("page", True, True), "mapped": True, "dirty": False, "cleaned": False, "was": None}

    def clear(s: State) -> str | None:
        s["was"], s["pte"] = s["pte"], None
        return None if s["was"][2] else "clean"

    unmap, flush = [("", _set(mapped=False))], [*p.changed(0), *p.flush(0)]
    order = [*flush, *unmap] if fix else [*unmap, *flush]
    p.add([
        *p.lock([
            ("", clear), ("", _set(dirty=True)), *order, ("", lambda _: "unlock"), ("clean", _set(mapped=False)),
            *p.changed(0),
        ]),
        *p.flush(0),
    ])  # fmt: skip

    def mapped(s: State) -> str | None:
        return None if s["mapped"] else "clear"

    def protect(s: State) -> str | None:
        if s["pte"] is None:
            return "unlock"
        s["pte"] = None
        return None

    def made(s: State) -> None:
        s["pte"], s["dirty"] = ("page", False, False), True

    def clean(s: State) -> None:
        s["cleaned"] = s["cleaned"] or s["dirty"]
        s["dirty"] = False

    p.add([
        ("", mapped), *p.lock([("", protect), *p.changed(1), *p.flush(1), ("", made)]), ("clear", clean),
    ])  # fmt: skip

    def write(s: State) -> None:
        broken_if(p.access(s, 2, "pte", write=True) and s["cleaned"])

    p.add([("", write)])
    return p.verdict()


def dirty_bit_lost(way: str, *, atomic: bool) -> str:
    """Reclaim clears a clean entry, and drops the page if nobody made it dirty."""
    p = Protocol(way, (1,), ("pte",))
    p.first |= {"pte": ("page", True, False), "was": None, "wrote": False, "dropped": False}

    def read(s: State) -> None:
        s["was"] = s["pte"]

    def clear(s: State) -> None:
        s["pte"] = None

    def both(s: State) -> None:
        read(s)
        clear(s)

    def decide(s: State) -> None:
        if not s["was"][2]:
            s["dropped"] = True
            broken_if(s["wrote"])

    p.add([*([("", both)] if atomic else [("", read), ("", clear)]), *p.flush(0), ("", decide)])

    def use(s: State, *, write: bool) -> None:
        if p.access(s, 1, "pte", write=write):
            broken_if(s["dropped"])
            s["wrote"] = s["wrote"] or write

    p.add([("", lambda s: use(s, write=True)), ("", lambda s: use(s, write=False))])
    return p.verdict()


def break_before_make(way: str, *, fix: bool) -> str:
    """An entry changes size; a TLB that holds the old one while walkers find the new one may hold both."""
    p = Protocol(way, (1,), ("pmd",))
    p.first |= {"pmd": ("old", True, True)}
    invalid, new = [("", _set(pmd=None))], [("", _set(pmd=("new", True, True)))]
    p.add([*invalid, *p.flush(0), *new] if fix else [*new, *p.flush(0)])

    def both(s: State) -> None:
        held = s["tlb 1 pmd"]
        broken_if(held and s["pmd"] and held[0] != s["pmd"][0])

    p.add([("", both)])
    return p.verdict()


def contpte_partial(way: str, *, fix: bool) -> str:
    """One page of a contiguous block is unmapped; writes to it may use a TLB entry made from another of the block."""
    p = Protocol(way, (1,), ("a", "b"))
    whole, single = "contiguous", "single"
    p.first |= {
        "a": ("a", True, False, whole), "b": ("b", True, False, whole), "dirty": False, "wrote": False,
        "gone": False, "kept": False,
    }  # fmt: skip

    def take(name: str) -> Step:
        def step(s: State) -> None:
            s["dirty"] = s["dirty"] or s[name][2]
            s[name] = None

        return step

    def give(name: str) -> Step:
        def step(s: State) -> None:
            s[name] = (name, True, s["dirty"], single)

        return step

    def free(s: State) -> None:
        s["kept" if s["dirty"] else "gone"] = True
        broken_if(s["gone"] and s["wrote"])

    unfold: Program = [("", take("a")), ("", take("b")), *p.flush(0), ("", give("a")), ("", give("b"))]
    p.add([*(unfold if fix else []), ("", take("b")), *p.flush(0), ("", free)])

    def write(s: State, name: str) -> None:
        held = s[f"tlb 1 {name}"]
        hit = p.access(s, 1, name, write=True)
        broken_if(held and held[3] == whole and any(s[n] and s[n][3] == single for n in "ab"))
        if hit and (name == "b" or hit[3] == whole):
            broken_if(s["gone"] or s["kept"])
            s["wrote"] = True

    def either(s: State) -> str | None:
        return "b" if s["chosen"] else None

    p.first["chosen"] = False
    p.add([
        ("again", either), ("", lambda s: write(s, "a")), ("", lambda _: "again"), ("b", lambda s: write(s, "b")),
        ("", lambda _: "again"),
    ])  # fmt: skip
    p.add([("turn", _turn)])
    return p.verdict()


def _turn(s: State) -> str:
    """Let the user change its mind at any time."""
    s["chosen"] = not s["chosen"]
    return "turn"


def hash_pte_reuse(*, fix: bool) -> str:
    """A page is unmapped and mapped anew; the hash table must not hold two entries of it."""
    p = Protocol("broadcast", (1,), ("hpte",))
    p.first |= {"pte": ("old", "unhashed", "idle"), "hpte": None, "was": None, "mine": None, "freed": False}

    def clear(s: State) -> bool | None:
        if s["pte"][2] == "busy":
            return False
        s["was"], s["pte"] = s["pte"], None
        return None

    def hashed(s: State) -> str | None:
        return "flushed" if s["was"][1] == "unhashed" else None

    batch: Program = [("", hashed), ("", _set(hpte=None)), *p.flush(0), ("flushed", _set())]
    p.add([
        *p.lock([("", clear), *(batch if fix else [])]), *([] if fix else batch), ("", _set(freed=True)),
    ])  # fmt: skip

    def use(write: bool, then: str) -> Step:
        def step(s: State) -> str | None:
            hit = p.access(s, 1, "hpte", write=write)
            broken_if(hit and hit[0] == "old" and s["freed"])
            return then if hit else None

        return step

    def begin(fault: str) -> Step:
        def step(s: State) -> str | None:
            if s["pte"] is None:
                return None
            s["mine"] = s["pte"]
            s["pte"] = (*s["pte"][:2], "busy")
            return fault

        return step

    def make(s: State) -> None:
        s["pte"] = ("new", "unhashed", "idle")

    def insert(write: bool) -> Step:
        def step(s: State) -> None:
            broken_if(s["mine"][1] == "unhashed" and s["hpte"])
            s["hpte"] = (s["mine"][0], write, write)

        return step

    def end(s: State) -> None:
        s["pte"] = (s["mine"][0], "hashed", "idle")

    program: Program = []
    for n, write in enumerate((False, True, False)):
        fault = [(f"fault{n}", begin(f"insert{n}")), *p.lock([("", make)]), ("", lambda _, n=n: f"fault{n}")]
        program += [
            ("", use(write, f"used{n}")), *[(label.replace("unlock", ""), step) for label, step in fault],
            (f"insert{n}", insert(write)), ("", end), (f"used{n}", _set()),
        ]  # fmt: skip
    p.add(program)
    return p.verdict()
