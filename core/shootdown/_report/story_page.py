"""The story of a bug as HTML: lanes as columns, or on a narrow screen one column in which each step names its CPU."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from shootdown._report.lanes import blocks

if TYPE_CHECKING:
    from shootdown._explore.story import Line, Story

STYLE = """
.promise { border-left: 4px solid var(--bad); padding: .4rem .8rem; margin: .8rem 0; background: var(--bad-paper); }
.story { table-layout: fixed; width: 100%; }
.story th { position: sticky; top: 0; background: var(--paper); text-align: left; padding: .4rem .6rem;
  font-weight: 600; border-bottom: 2px solid var(--rule); }
.story th small { display: block; font-weight: 400; color: var(--soft); }
.story th.number { width: 3rem; }
.story td { vertical-align: top; padding: .25rem .5rem; border-left: 1px solid var(--rule); }
.story td.number { border-left: 0; color: var(--soft); text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.lanes-many { max-height: 85vh; overflow: auto; } .lanes-many .story { min-width: 64rem; font-size: .9em; }
.step { background: var(--card); border-radius: 6px; padding: .35rem .6rem; overflow-wrap: anywhere; }
.step b { display: none; }
.step p { margin: 0; } .step p + p { margin-top: .25rem; }
.step ul + p { margin-top: .25rem; }
.step ul { margin: .1rem 0 0; padding-left: 1.1rem; color: var(--change); }
.step li { list-style: "→ "; }
.step small { color: var(--soft); }
.agent { color: var(--agent); font-weight: 600; }
tr.bad .step { background: var(--bad-paper); outline: 2px solid var(--bad); }
tr.bad td.number { color: var(--bad); font-weight: 700; }
@media (max-width: 48rem) { .lanes-many { max-height: none; }
  .lanes-many .story, .story { min-width: 0; display: block; }
  .story thead, .story tbody, .story tr, .story th { display: block; }
  .story th { position: static; border: 0; padding: .1rem 0; } .story th.number { display: none; }
  .story th small { display: inline; margin-left: .4rem; }
  .story td { display: none; border: 0; padding: .15rem 0; }
  .story td.number { display: inline-block; width: 2.4rem; padding-right: .5rem; }
  .story td.on { display: inline-block; width: calc(100% - 2.6rem); } .story tr { margin: .25rem 0; }
  .step b { display: inline; margin-right: .4rem; } .step p { display: inline; } .step p + p { display: block; } }
@media print { .lanes-many { max-height: none; overflow: visible; } .lanes-many .story { min-width: 0; font-size: 8pt; }
  .story th { position: static; } .step { padding: .1rem .3rem; outline-offset: -2px; border: 1px solid var(--rule); } }
"""
#: Above so many lanes, the table of a story scrolls below its headings.
_FEW_LANES = 4


def story_html(story: Story) -> str:
    """Write a story; all of its text is escaped."""
    movers = sorted({atom.cpu for line in story.lines for atom in line.atoms})
    heads = "".join(
        f'<th class="lane" scope="col">CPU {cpu}<small>{escape(story.lanes[cpu])}</small></th>'
        for cpu in movers
    )
    body = "\n".join(_line(line, movers) for line in story.lines)
    still = [cpu for cpu in range(len(story.lanes)) if cpu not in movers]
    rest = "".join(
        f'<p class="soft">CPU {cpu} {escape(f"({story.lanes[cpu]}) " if story.lanes[cpu] else "")}takes no step.</p>'
        for cpu in still
    )
    promise = (
        f"<strong>{escape(story.invariant)}</strong>: {escape(story.sentence)}"
        if story.sentence
        else (f"<strong>{escape(story.invariant)}</strong>")
    )
    ending = "".join(f"<br>✗ {escape(text)}" for text in story.ending)
    many = " lanes-many" if len(movers) > _FEW_LANES else ""
    return (
        f'<p class="promise">{promise}{ending}</p>\n{rest}'
        f'<div class="scroll{many}" tabindex="0" role="region" aria-label="story"><table class="story">\n'
        f'<thead><tr><th class="number"><span aria-label="step">#</span></th>{heads}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _line(line: Line, movers: Sequence[int]) -> str:
    rows = []
    for part, (cpu, block) in enumerate(blocks(line)):
        step = "".join(
            f"<p{_title(phrase.file)}>{_words(phrase.text, line.who)}</p>"
            + (
                f"<ul>{''.join(f'<li>{escape(change)}</li>' for change in phrase.changed)}</ul>"
                if phrase.changed
                else ""
            )
            for phrase in block
        )
        cells = "".join(
            f'<td class="on"><div class="step"><b>CPU {cpu}</b>{step}</div></td>'
            if mover == cpu
            else "<td></td>"
            for mover in movers
        )
        number = "" if part else f"{'✗ ' if line.bad else ''}{line.number}"
        row = '<tr class="bad">' if line.bad else "<tr>"
        rows.append(f'{row}<td class="number">{number}</td>{cells}</tr>')
    return "\n".join(rows)


def _title(file: str) -> str:
    return f' title="{escape(file)}"' if file else ""


def _words(text: str, who: str) -> str:
    """Mark the kernel function, or the agent, in a sentence."""
    if text.startswith(f"{who}: "):
        return f'<span class="agent">{escape(who)}</span>: {escape(text[len(who) + 2 :])}'
    function, colon, rest = text.partition("(): ")
    return f"<code>{escape(function)}()</code>: {escape(rest)}" if colon else escape(text)
