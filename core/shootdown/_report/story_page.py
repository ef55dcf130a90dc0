"""Stories of bugs as one self-contained HTML page: lanes as columns, with a light and a dark theme."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from shootdown._report.lanes import blocks, shown
from shootdown._values.verdict import BUG, LIVELOCK, SAFE

if TYPE_CHECKING:
    from shootdown._explore.story import Line, Story
    from shootdown._questions.explore import Verdict

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2129; --soft: #5f6875; --paper: #ffffff; --card: #f5f6f8;
  --rule: #d7dbe0; --bad: #b3261e; --bad-paper: #fdecea; --good: #1b6e3c; --change: #2a5db0; --agent: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --soft: #9aa4b2; --paper: #14171c; --card: #1e2229;
  --rule: #363c46; --bad: #ff8a80; --bad-paper: #3a1f1e; --good: #7bd39b; --change: #8fb8ff; --agent: #e3b567; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 110rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 1.5rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; }
p { margin: .3rem 0; max-width: 62rem; }
code { font: .92em/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
.verdict { font-weight: 700; text-transform: uppercase; letter-spacing: .03em; }
.bug { color: var(--bad); } .safe { color: var(--good); }
.facts { color: var(--soft); }
.promise { border-left: 4px solid var(--bad); padding: .4rem .8rem; margin: .8rem 0; background: var(--bad-paper); }
.scroll { overflow-x: auto; margin-top: 1rem; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; }
th { position: sticky; top: 0; background: var(--paper); text-align: left; padding: .4rem .6rem; font-weight: 600;
  border-bottom: 2px solid var(--rule); }
th small { display: block; font-weight: 400; color: var(--soft); }
th.number { width: 3rem; } th.lane { min-width: 15rem; }
td { vertical-align: top; padding: .25rem .6rem; border-left: 1px solid var(--rule); }
td.number { border-left: 0; color: var(--soft); text-align: right; font-variant-numeric: tabular-nums; }
.step { background: var(--card); border-radius: 6px; padding: .35rem .6rem; overflow-wrap: anywhere; }
.step p { margin: 0; } .step p + p { margin-top: .25rem; }
.step ul + p { margin-top: .25rem; }
.step ul { margin: .1rem 0 0; padding-left: 1.1rem; color: var(--change); }
.step li { list-style: "→ "; }
.agent { color: var(--agent); font-weight: 600; }
tr.bad .step { background: var(--bad-paper); outline: 2px solid var(--bad); }
tr.bad td.number { color: var(--bad); font-weight: 700; }
"""


def page(rows: Sequence[Verdict]) -> str:
    """Write the page.

    Args:
        rows: verdicts, bugs with their stories.
    """
    names = list(dict.fromkeys(row.scenario for row in rows))
    title = escape(f"Can it go wrong? {', '.join(names)}" if names else "Can it go wrong?")
    body = "\n".join(_row(row) for row in rows)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )


def _row(row: Verdict) -> str:
    kind = {SAFE: "safe", BUG: "bug", LIVELOCK: "bug"}.get(row.verdict, "other")
    heading = escape(f"{row.scenario} on {row.arch} {row.platform}, kernel {row.kernel}: ")
    parts = [f'<h2>{heading}<span class="verdict {kind}">{escape(row.verdict)}</span></h2>']
    chosen = [f"{name}={shown(value)}" for name, value in row.parameters.items()]
    chosen += [f"--set {name}={value}" for name, value in row.set.items()]
    facts = (
        [f"{row.states:,} states, {row.transitions:,} transitions, depth {row.depth}"] if row.states else []
    )
    facts += [", ".join(chosen)] if chosen else []
    facts += [text for text in (row.reason, *row.remarks) if text]
    parts += [f'<p class="facts">{escape(fact)}</p>' for fact in facts]
    if row.story is not None:
        parts.append(_story(row.story))
    return "\n".join(parts)


def _story(story: Story) -> str:
    movers = sorted({atom.cpu for line in story.lines for atom in line.atoms})
    heads = "".join(
        f'<th class="lane">CPU {cpu}<small>{escape(story.lanes[cpu])}</small></th>' for cpu in movers
    )
    body = "\n".join(_line(line, movers) for line in story.lines)
    still = [cpu for cpu in range(len(story.lanes)) if cpu not in movers]
    rest = "".join(
        f'<p class="facts">CPU {cpu} {escape(f"({story.lanes[cpu]}) " if story.lanes[cpu] else "")}takes no step.</p>'
        for cpu in still
    )
    promise = (
        f"<strong>{escape(story.invariant)}</strong>: {escape(story.sentence)}"
        if story.sentence
        else (f"<strong>{escape(story.invariant)}</strong>")
    )
    ending = "".join(f"<br>✗ {escape(text)}" for text in story.ending)
    return (
        f'<p class="promise">{promise}{ending}</p>\n{rest}'
        f'<div class="scroll"><table>\n<thead><tr><th class="number"></th>{heads}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _line(line: Line, movers: Sequence[int]) -> str:
    rows = []
    for part, (cpu, block) in enumerate(blocks(line)):
        step = "".join(
            f'<p title="{escape(phrase.file)}">{_words(phrase.text, line.who)}</p>'
            + (
                f"<ul>{''.join(f'<li>{escape(change)}</li>' for change in phrase.changed)}</ul>"
                if phrase.changed
                else ""
            )
            for phrase in block
        )
        cells = "".join(
            f"<td>{f'<div class=step>{step}</div>' if mover == cpu else ''}</td>" for mover in movers
        )
        number = "" if part else f"{'✗ ' if line.bad else ''}{line.number}"
        rows.append(f'<tr{" class=bad" if line.bad else ""}><td class="number">{number}</td>{cells}</tr>')
    return "\n".join(rows)


def _words(text: str, who: str) -> str:
    """Mark the kernel function, or the agent, in a sentence."""
    if text.startswith(f"{who}: "):
        return f'<span class="agent">{escape(who)}</span>: {escape(text[len(who) + 2 :])}'
    function, colon, rest = text.partition("(): ")
    return f"<code>{escape(function)}()</code>: {escape(rest)}" if colon else escape(text)
