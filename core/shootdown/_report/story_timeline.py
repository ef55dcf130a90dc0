"""A story as the events of a timeline: what each CPU does from when to when in the timed replay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shootdown._machine import ops as o
from shootdown._report.timeline import Event, step_name

if TYPE_CHECKING:
    from shootdown._explore.story import Story
    from shootdown._machine.machine import Machine
    from shootdown._timed.replay import Replayed, Slice


def events(story: Story, machine: Machine, run: Replayed) -> Iterator[Event]:
    """Yield the events of a story in the order of their beginning; the last one names the broken invariant.

    Args:
        story: the story.
        machine: the machine that took its steps.
        run: its replay by the timed engine.
    """
    last = len(run.slices) - 1
    sends: dict[int, int] = {}
    sent = 0
    found: list[Event] = []
    for number, piece in enumerate(run.slices):
        send = None
        if piece.pc >= 0 and int(machine.code.steps[piece.pc * 5]) == o.SEND:
            sent += 1
            sends[piece.cpu] = send = sent
        elif piece.sender >= 0:
            send = sends.get(piece.sender)
        name, text = _words(story, machine, piece)
        if number == last:
            name = f"✗ {story.invariant}: {name}"
            text = "; ".join((text, *story.ending))
        found.append(
            Event(
                kind=piece.kind,
                begin=piece.begin,
                end=piece.end,
                cpu=piece.cpu,
                name=name,
                text=text,
                sender=piece.sender if piece.sender >= 0 else None,
                task=piece.task if piece.task >= 0 else None,
                send=send,
            )
        )
    yield from sorted(found, key=lambda event: event.begin)


def _words(story: Story, machine: Machine, piece: Slice) -> tuple[str, str]:
    if piece.pc >= 0:
        note = machine.code.notes[piece.pc]
        return step_name(note), note.text
    atom = story.lines[piece.move].atoms[0]
    return atom.function or story.lines[piece.move].who, atom.text
