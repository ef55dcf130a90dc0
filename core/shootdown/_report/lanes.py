"""Stories of bugs as text: lanes, one for each CPU, as wide as the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

from shootdown._explore.story import called

if TYPE_CHECKING:
    from shootdown._explore.story import Atom, Line, Story
    from shootdown._questions.explore import Verdict

#: The least width of a lane; with less, all lanes share one column of text.
_LANE = 24
#: A move's mark, number and CPU.
_PREFIX = "{mark}{number:>3} CPU {cpu:<2}"
_INDENT = "  "


def verdict_lines(row: Verdict, width: int) -> Iterator[str]:
    """Write a verdict, and for a bug its story, as lines of text.

    Args:
        row: the verdict, its story included.
        width: columns.
    """
    yield f"{row.scenario} on {row.arch} {row.platform}, kernel {row.kernel}: {row.verdict.upper()}"
    if row.story is not None:
        yield from _wrapped(
            f"{row.invariant}: {row.story.sentence}" if row.story.sentence else row.invariant, width
        )
    if row.reason:
        yield from _wrapped(row.reason, width)
    if row.states:
        yield f"{_INDENT}{row.states:,} states, {row.transitions:,} transitions, depth {row.depth}"
    chosen = [f"{name}={shown(value)}" for name, value in row.parameters.items()]
    chosen += [f"--set {name}={value}" for name, value in row.set.items()]
    if chosen:
        yield from _wrapped(", ".join(chosen), width)
    for remark in row.remarks:
        yield from _wrapped(remark, width)
    if row.story is not None:
        yield ""
        yield from story_lines(row.story, width)


def shown(value: Any) -> str:
    """Write a value as `-p` and `--set` take it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _wrapped(text: str | None, width: int) -> list[str]:
    return wrap(
        text or "", width, initial_indent=_INDENT, subsequent_indent=_INDENT * 2, break_on_hyphens=False
    )


def story_lines(story: Story, width: int) -> Iterator[str]:
    """Draw a story: a lane for each CPU that takes part, or one column of text where that many don't fit."""
    movers = sorted({atom.cpu for line in story.lines for atom in line.atoms})
    prefix = len(_PREFIX.format(mark=" ", number=1, cpu=0))
    lane = (width - prefix - 2 * len(movers)) // max(len(movers), 1)
    if lane >= _LANE:
        yield from _side_by_side(story, movers, lane, prefix)
    else:
        yield from _one_column(story, movers, width, prefix)
    still = [cpu for cpu in range(len(story.lanes)) if cpu not in movers]
    if still:
        yield from _wrapped("takes no step: " + ", ".join(_lane(story, cpu) for cpu in still), width)
    yield ""
    for text in story.ending:
        yield from _wrapped(f"✗ {text}", width)


def _lane(story: Story, cpu: int) -> str:
    return f"CPU {cpu} ({story.lanes[cpu]})" if story.lanes[cpu] else f"CPU {cpu}"


def _side_by_side(story: Story, movers: Sequence[int], lane: int, prefix: int) -> Iterator[str]:
    heads = [wrap(_lane(story, cpu), lane) for cpu in movers]
    for row in range(max(map(len, heads), default=0)):
        cells = [head[row] if row < len(head) else "" for head in heads]
        yield (" " * prefix + "".join(f"│ {cell:<{lane}}" for cell in cells)).rstrip()
    yield "─" * prefix + "".join("┼" + "─" * (lane + 1) for _ in movers)
    for line in story.lines:
        for part, (cpu, block) in enumerate(blocks(line)):
            for n, text in enumerate(_written(block, lane)):
                cells = [text if mover == cpu else "" for mover in movers]
                head = _head(line, cpu, n, part, prefix)
                yield (head + "".join(f"│ {cell:<{lane}}" for cell in cells)).rstrip()


def _one_column(story: Story, movers: Sequence[int], width: int, prefix: int) -> Iterator[str]:
    for at, cpu in enumerate(movers):
        yield f"{' ' * prefix} {'│' * at}┌{'─' * (len(movers) - at)} {_lane(story, cpu)}"
    for line in story.lines:
        for part, (cpu, block) in enumerate(blocks(line)):
            for n, text in enumerate(_written(block, width - prefix - len(movers) - 2)):
                marks = ["│"] * len(movers)
                marks[movers.index(cpu)] = "┃" if n else ("✗" if line.bad else "●")
                yield f"{_head(line, cpu, n, part, prefix)} {''.join(marks)} {text}".rstrip()


def _head(line: Line, cpu: int, n: int, part: int, prefix: int) -> str:
    """Write the prefix of a line: the number of its move and the CPU, shown only where they change."""
    if n:
        return " " * prefix
    mark = "✗" if line.bad and not part else " "
    return _PREFIX.format(mark=mark, number="" if part else line.number, cpu=cpu)


def _written(block: Sequence[Phrase], width: int) -> list[str]:
    """Write what one CPU does in a move, wrapped to the width of its lane."""
    lines: list[str] = []
    for phrase in block:
        lines += wrap(phrase.text, width, subsequent_indent=_INDENT, break_on_hyphens=False)
        for change in phrase.changed:
            lines += wrap(
                change,
                width,
                initial_indent=_INDENT + "→ ",
                subsequent_indent=_INDENT * 2,
                break_on_hyphens=False,
            )
    return lines


class Phrase(NamedTuple):
    """A sentence of a story.

    Args:
        text: what is done, after the kernel function unless the sentence before named it.
        changed: what changed.
        file: the function's source file, or empty.
    """

    text: str
    changed: tuple[str, ...]
    file: str


def blocks(line: Line) -> list[tuple[int, list[Phrase]]]:
    """Return what a move does on each CPU, as sentences; steps of one function that change nothing share one."""
    found: list[tuple[int, list[Phrase]]] = []
    function: str | None = None
    for atom in atoms_told(line):
        if not found or found[-1][0] != atom.cpu:
            found.append((atom.cpu, []))
            function = None
        block = found[-1][1]
        if atom.function == function and block and not block[-1].changed and not atom.changed:
            if not block[-1].text.endswith(atom.text):
                block[-1] = block[-1]._replace(text=f"{block[-1].text}; {atom.text}")
            continue
        who = f"{line.who}: " if not block and line.who not in ("task", "interrupt") else ""
        named = f"{called(atom.function)}: " if atom.function and atom.function != function else ""
        block.append(Phrase(f"{who}{named}{atom.text}", atom.changed, atom.file))
        function = atom.function
    return found


def replay_lines(replay: Any, width: int) -> Iterator[str]:
    """Write the result of replaying a row as lines of text.

    Args:
        replay: a `saved.Replay`.
        width: columns.
    """
    story, case, runs = replay.story, replay.case, replay.runs
    yield from _wrapped(
        f"{replay.row.name} on {case.architecture.name} {case.platform.name}, kernel {case.kernel.name}: "
        f"replayed, and {story.invariant} does not hold at the end",
        width,
    )
    yield from _wrapped(
        f"{len(story.lines)} moves in the timed engine lead to the same state ({story.state}), "
        f"{times({which: run.elapsed for which, run in runs.items()})} after the first (estimate)",
        width,
    )
    for text in story.ending:
        yield from _wrapped(f"✗ {text}", width)
    held = [
        (cpu, {which: run.held[cpu] for which, run in runs.items()})
        for cpu in range(len(story.lanes))
        if runs["likely"].held[cpu]
    ]
    for cpu, spans in held:
        yield from _wrapped(
            f"{_lane(story, cpu)} has to be held up for {times(spans)} at one place (estimate)", width
        )
    if not held:
        yield from _wrapped("no CPU has to be held up: each goes on as soon as it can", width)


def times(picoseconds: Mapping[str, int]) -> str:
    """Write a span of time."""
    low, likely, high = (picoseconds[which] / 1000 for which in ("low", "likely", "high"))
    if likely >= 10_000:
        return f"{likely / 1000:,.0f} µs [{low / 1000:,.0f} to {high / 1000:,.0f}]"
    if likely >= 1000:
        return f"{likely / 1000:.1f} µs [{low / 1000:.1f} to {high / 1000:.1f}]"
    return f"{likely:.0f} ns [{low:.0f} to {high:.0f}]"


def atoms_told(line: Line) -> list[Atom]:
    """Return the steps of a move that a story shows, at least the first."""
    return [atom for atom in line.atoms if atom.tells] or list(line.atoms[:1])
