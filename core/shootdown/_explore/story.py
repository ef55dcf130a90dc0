"""The story of a bug, as a value: its moves, the changes of each, and the broken invariant at the end."""

from __future__ import annotations

from typing import Any

import attrs


def called(function: str) -> str:
    """Write the place of a step: a kernel function with parentheses; any other place, such as `user mode`, without."""
    return f"{function}()" if function.isidentifier() else function


@attrs.frozen
class Atom:
    """One step of a task, or one action of an agent, in a story.

    Args:
        function: the kernel function, or empty.
        file: its source file, or empty.
        text: the action.
        changed: the changes, or the value read, each in a few words.
        cpu: the CPU.
        pc: the number of the step in the programs; -1 for an agent.
        aside: it only counts or takes time, and changes nothing else.
    """

    function: str
    file: str
    text: str
    changed: tuple[str, ...]
    cpu: int
    pc: int = -1
    aside: bool = False

    @property
    def tells(self) -> bool:
        """Whether a story shows it."""
        return bool(self.changed or (self.text and not self.aside))

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "function": self.function or None,
            "file": self.file or None,
            "step": self.text,
            "changed": list(self.changed),
        }


@attrs.frozen
class Line:
    """One move of a story.

    Args:
        number: from one.
        cpu: the CPU on which it happens.
        lane: the description of what that CPU does in the scenario.
        who: the one that moves: `task`, `interrupt`, `hardware walker`, `store buffer`, `host` or `scheduler`.
        move: the move for a replay, such as `step 1` or `take 0 2`.
        atoms: the step or action of the move first, then the local steps that belong to it. If the move is the last
            answer to a call, these are steps of the CPU that waited for it.
        bad: the invariant is broken after it.
    """

    number: int
    cpu: int
    lane: str
    who: str
    move: str
    atoms: tuple[Atom, ...]
    bad: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON; `steps` counts those of a task that a replay takes."""
        return {
            "cpu": self.cpu,
            "lane": self.lane,
            "who": self.who,
            "move": self.move,
            "steps": len(self.atoms),
            **self.atoms[0].to_dict(),
            "then": [{"cpu": atom.cpu, **atom.to_dict()} for atom in self.atoms[1:] if atom.tells],
            "bad": self.bad,
        }


@attrs.frozen
class Story:
    """How a bug comes about.

    Args:
        lanes: a description of what each CPU does, by number.
        lines: the moves.
        invariant: the one that is broken at the end.
        sentence: that invariant, explained.
        ending: what is wrong at the end, in sentences: what the last step found, or which task waits for what.
        state: a digest of the last state; every replay of these moves ends with the same one.
    """

    lanes: tuple[str, ...]
    lines: tuple[Line, ...]
    invariant: str
    sentence: str
    ending: tuple[str, ...]
    state: str

    def to_list(self) -> list[dict[str, Any]]:
        """Return the moves for JSON; the last one has the digest of the state that it leads to."""
        lines = [line.to_dict() for line in self.lines]
        if lines:
            lines[-1]["ending"] = list(self.ending)
            lines[-1]["state"] = self.state
        return lines
