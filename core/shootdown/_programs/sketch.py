"""A small program that nobody wrote: what each thread of each process calls, over one memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from shootdown._programs.language import size_text

#: The names of processes, and of a process's threads after its main one.
_PROCESSES = "ABCDEFGH"
_THREADS = ("second", "third", "fourth")
#: The memory's name.
MEMORY = "heap"
#: A thread that does nothing but run.
RUNS = "spin"
#: Calls that name nobody: the process after that of the caller is forked, the last thread of its process started.
FORK, START = "fork", "start"
#: Accesses and mappings that come first are done when a search begins; after some other statement they are not.
_MAPS, _BEGUN = ("touch", "mmap"), "signal begun"

Calls = tuple[str, ...]


@attrs.frozen
class Sketch:
    """A program over one memory, which every process touches first, but for one that is forked.

    Args:
        kind: of the memory.
        size: of the memory, in bytes.
        processes: for each process its threads, for each thread its calls; `@` stands for the memory.
        parts: the places that calls name, the smallest first, as text such as `@[0:4K]`.
        writes: the memory is written when it is touched first.
    """

    kind: str
    size: int
    processes: tuple[tuple[Calls, ...], ...]
    parts: tuple[str, ...] = ("@",)
    writes: bool = True

    @property
    def calls(self) -> int:
        """How many calls there are."""
        return sum(call != RUNS for threads in self.processes for thread in threads for call in thread)

    @property
    def threads(self) -> int:
        """How many threads there are."""
        return sum(map(len, self.processes))

    def tables(self) -> dict[str, Any]:
        """Return the program as values."""
        touch = f"touch {MEMORY} {'write' if self.writes else 'read'}"
        found: dict[str, Any] = {}
        for number, (name, threads) in enumerate(zip(_PROCESSES, self.processes, strict=False)):
            names = {FORK: f"{FORK} {_PROCESSES[number + 1]}", START: f"{START} {_started(threads)}"}
            bodies = [[names.get(call, call.replace("@", MEMORY)) for call in thread] for thread in threads]
            forked = number > 0 and _makes(self.processes[number - 1], FORK)
            for body in () if forked else bodies:
                if signals_first(body):
                    body.insert(0, _BEGUN)
            found[name] = {"do": bodies[0] if forked else [touch, *bodies[0]]}
            others = {one: {"do": body} for one, body in zip(_THREADS, bodies[1:], strict=False)}
            if others:
                found[name]["thread"] = others
        return {
            "summary": self.said,
            "memory": {MEMORY: {"kind": self.kind, "size": size_text(self.size)}},
            "process": found,
        }

    @property
    def said(self) -> str:
        """The calls in one line: those of a thread by commas, of threads by bars, of processes by double bars."""
        return " || ".join(
            " | ".join(
                ", ".join(call.replace("@", MEMORY) for call in thread) or "runs" for thread in threads
            )
            for threads in self.processes
        )

    def toml(self, *comment: str) -> str:
        """Return the text of a program file, with lines of comment above it."""
        tables = self.tables()
        lines = [f"# {line}" for line in comment]
        lines += [f"summary = {json.dumps(tables['summary'])}", "", "[memory]"]
        memory = tables["memory"][MEMORY]
        lines += [f'{MEMORY} = {{ kind = "{memory["kind"]}", size = "{memory["size"]}" }}']
        for name, process in tables["process"].items():
            lines += ["", f"[process.{name}]", f"do = {json.dumps(process['do'])}"]
            for one, thread in process.get("thread", {}).items():
                lines += ["", f"[process.{name}.thread.{one}]", f"do = {json.dumps(thread['do'])}"]
        return "\n".join(lines) + "\n"

    def has(self, call: str) -> bool:
        """Whether some thread makes a call of this name."""
        return any(
            one.split(" ")[0] == call for threads in self.processes for thread in threads for one in thread
        )

    # --- symmetry and shrinking

    def canonical(self) -> Sketch:
        """Return the sketch that stands for all that differ by the order of threads and processes alone.

        A thread that only runs is the main one, which goes on when it has done everything: others make calls meanwhile.
        A thread that forks is the main one too, and one that is started the last; a process that is forked follows its
        parent.
        """
        ordered = [_ordered(threads) for threads in self.processes]
        if not self.has(FORK):
            ordered = sorted(ordered, key=lambda one: (-sum(map(len, one)), one))
        return attrs.evolve(self, processes=tuple(ordered))

    def smaller(self) -> Iterator[Sketch]:
        """Yield sketches with one thing less: a process, a thread, a call, a part of the memory."""
        whole = self.processes
        for p, threads in enumerate(whole):
            if len(whole) > 1:
                yield attrs.evolve(self, processes=whole[:p] + whole[p + 1 :])
            for t, calls in enumerate(threads):
                if len(threads) > 1:
                    yield self._with(p, threads[:t] + threads[t + 1 :])
                for c, call in enumerate(calls):
                    if call != RUNS:
                        fewer = calls[:c] + calls[c + 1 :]
                        yield self._with(p, (*threads[:t], fewer or (RUNS,), *threads[t + 1 :]))
                    for part in self._below(call):
                        less = (*calls[:c], part, *calls[c + 1 :])
                        yield self._with(p, (*threads[:t], less, *threads[t + 1 :]))

    def _with(self, process: int, threads: tuple[Calls, ...]) -> Sketch:
        whole = self.processes
        return attrs.evolve(self, processes=(*whole[:process], threads, *whole[process + 1 :]))

    def _below(self, call: str) -> Iterator[str]:
        """Yield the call on smaller parts of the memory."""
        words = call.split(" ")
        if len(words) < 2 or words[1] not in self.parts:
            return
        for part in self.parts[: self.parts.index(words[1])]:
            yield " ".join((words[0], part, *words[2:]))

    @property
    def weight(self) -> tuple[int, ...]:
        """A key by which smaller sketches come first."""
        parts = sum(
            self.parts.index(word)
            for threads in self.processes
            for thread in threads
            for call in thread
            for word in call.split(" ")
            if word in self.parts
        )
        return self.calls, self.threads, len(self.processes), parts


def signals_first(calls: Sequence[str]) -> bool:
    """Whether a thread signals something before its calls, so that an access or a mapping is not done beforehand."""
    return calls[0].split(" ")[0] in _MAPS


def _makes(threads: tuple[Calls, ...], call: str) -> bool:
    return any(call in thread for thread in threads)


def _started(threads: tuple[Calls, ...]) -> str:
    """Return the name of the thread that is started: the last one."""
    return _THREADS[len(threads) - 2] if len(threads) > 1 else "nobody"


def _ordered(threads: tuple[Calls, ...]) -> tuple[Calls, ...]:
    last = threads[-1:] if _makes(threads, START) else ()
    rest = threads[: len(threads) - len(last)]
    return (*sorted(rest, key=lambda calls: (FORK not in calls, calls != (RUNS,), calls)), *last)
