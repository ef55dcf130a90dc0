"""The story of a bug, as a value: moves, what each changed, and what is bad at the end."""

from __future__ import annotations

from typing import Any

import attrs


def called(function: str) -> str:
    """Write where a step stands: a kernel function with its parentheses, other places, as `user mode`, without."""
    return f"{function}()" if function.isidentifier() else function


@attrs.frozen
class Atom:
    """One step of a task, or what an agent did, in a story.

    Args:
        function: the kernel function, or empty.
        file: its source file, or empty.
        text: what is done.
        changed: what changed, or what was read, each in a few words.
        cpu: where.
        pc: the number of the step in the programs; -1 for an agent.
        aside: it is there for counting or for taking time, and changes nothing.
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
        """There is something to read here."""
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
        cpu: where it happens.
        lane: what that CPU does in the scenario.
        who: `task`, `interrupt`, `hardware walker`, `store buffer`, `host` or `scheduler`.
        move: the move for a replay, such as `step 1` or `take 0 2`.
        atoms: what happens, the move itself first, then the local steps that belong to it: where the last answer
            to a call is the move, those of the CPU that waited for it.
        bad: after it, the invariant does not hold.
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
        lanes: what each CPU does, by number.
        lines: the moves.
        invariant: the one that does not hold at the end.
        sentence: that invariant, explained.
        ending: what is bad, each a sentence: what the last step found, or who waits for what.
        state: a digest of the last state, the same for whoever makes these moves.
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
