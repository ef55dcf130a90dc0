"""A report as one self-contained page: a light and a dark theme, laptop, phone and paper, nothing from the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from shootdown._report.document import (
    INDENT,
    Bars,
    Block,
    Command,
    Document,
    Drawing,
    Facts,
    Heading,
    Race,
    Table,
    Text,
)
from shootdown._report.story_page import STYLE as STORY_STYLE
from shootdown._report.story_page import story_html

if TYPE_CHECKING:
    from shootdown._report.plotting import Picture

#: Texts of so many characters stay on one line of a table.
_SHORT = 22
#: What a page may load: nothing but what it has itself.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

#: Colours, as a page of a light and of a dark theme has them.
LIGHT = """--ink: #1d2129; --soft: #565f6b; --paper: #ffffff; --card: #f5f6f8;
  --rule: #d7dbe0; --bad: #b3261e; --bad-paper: #fdecea; --good: #1b6e3c; --good-paper: #e9f5ee;
  --change: #2a5db0; --agent: #7a4f00; --bar: #0072b2; --bar-part: #d55e00;"""
DARK = """--ink: #e4e7eb; --soft: #a3adba; --paper: #14171c; --card: #1e2229;
  --rule: #363c46; --bad: #ff8a80; --bad-paper: #3a1f1e; --good: #7bd39b; --good-paper: #1b2f23; --change: #8fb8ff;
  --agent: #e3b567; --bar: #56b4e9; --bar-part: #e69f00;"""
#: The looks of blocks, which notebooks have too.
PARTS = """
.question { color: var(--soft); font-size: 1.05rem; }
.answer { font-size: 1.2rem; line-height: 1.4; font-weight: 600; border-left: 5px solid var(--change);
  padding: .2rem .9rem; }
.good { border-left: 5px solid var(--good); background: var(--good-paper); padding: .4rem .9rem; }
.bad { border-left: 5px solid var(--bad); background: var(--bad-paper); padding: .4rem .9rem; }
.soft { color: var(--soft); }
ul.facts { padding-left: 1.2rem; max-width: 62rem; } ul.facts li { margin: .25rem 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; }
.plain { font-size: .94em; }
.plain th, .plain td { padding: .3rem .55rem; text-align: left; vertical-align: top; }
.plain th { border-bottom: 2px solid var(--rule); font-weight: 600; vertical-align: bottom; font-size: .9em; }
.plain tbody tr:nth-child(even) { background: var(--card); }
.plain .deep { display: block; }
.plain .w { white-space: nowrap; }
.plain .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.plain th.n { white-space: normal; }
figure { margin: 1rem 0; } figcaption { color: var(--soft); font-size: .9em; }
.picture { background: #ffffff; border: 1px solid var(--rule); border-radius: 6px; padding: .4rem; overflow-x: auto; }
.picture svg { display: block; width: 100%; min-width: 34rem; height: auto; }
.bars { display: grid; grid-template-columns: fit-content(24rem) 1fr; gap: .5rem 1rem; margin: .6rem 0; }
.bars .who { overflow-wrap: anywhere; } .bars .who small { display: block; color: var(--soft); }
.bars .many { display: flex; align-items: center; gap: .6rem; font-variant-numeric: tabular-nums; }
.bars .bar { height: 1.1rem; display: flex; background: var(--bar); border-radius: 2px;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; overflow: hidden; }
.bars .part { background: repeating-linear-gradient(45deg, var(--bar-part) 0 5px, var(--paper) 5px 7px); }
.bars .track { flex: 1; }
"""
STYLE = f"""
:root {{ color-scheme: light dark; {LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {DARK} }} }}
* {{ box-sizing: border-box; }}
html {{ -webkit-text-size-adjust: 100%; }}
body {{ margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }}
main {{ margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 78rem; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-top: 1rem; border-top: 2px solid var(--rule);
  overflow-wrap: anywhere; }}
h3 {{ font-size: 1rem; margin: 1.75rem 0 .4rem; }}
p {{ margin: .4rem 0; max-width: 62rem; overflow-wrap: anywhere; }}
a {{ color: var(--change); }}
:focus-visible {{ outline: 3px solid var(--change); outline-offset: 2px; }}
.skip {{ position: absolute; left: -100rem; }} .skip:focus {{ left: 1rem; top: .5rem; background: var(--paper); }}
code, pre {{ font: .9em/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }}
pre {{ background: var(--card); padding: .7rem .9rem; border-radius: 6px; white-space: pre-wrap;
  overflow-wrap: anywhere; user-select: all; }}
{PARTS}@media (max-width: 40rem) {{ main {{ padding: 1rem .8rem 3rem; }} h1 {{ font-size: 1.25rem; }}
  .answer {{ font-size: 1.05rem; }} .bars {{ grid-template-columns: 1fr; gap: .1rem; }}
  .bars .many {{ margin-bottom: .6rem; }}
  .plain th, .plain td {{ padding: .25rem .45rem; font-size: .9em; }} }}
@media print {{ :root {{ color-scheme: light; --ink: #000; --soft: #333; --paper: #fff; --card: #f2f2f2; --rule: #999;
    --bad: #8a1c15; --bad-paper: #fff; --good: #0d4d27; --good-paper: #fff; --change: #123f85; --agent: #5c3b00; }}
  body {{ font-size: 10pt; }} main {{ max-width: none; padding: 0; }} .skip {{ display: none; }}
  h2, h3 {{ break-after: avoid; }} tr, figure, .bars > *, pre {{ break-inside: avoid; }}
  thead {{ display: table-header-group; }}
  .plain {{ font-size: 8pt; }} .plain th, .plain td {{ padding: .12rem .25rem; white-space: normal !important; }}
  .scroll, .picture {{ overflow: visible; border: 0; }} .picture svg {{ min-width: 0; }} h2 {{ break-before: auto; }}
  a {{ color: inherit; }} @page {{ margin: 1.5cm; }} }}
"""


def page(document: Document) -> str:
    """Write a report as a page; all of its text is escaped."""
    return whole(document.title, "\n".join(map(fragment, document.blocks)))


def whole(title: str, body: str) -> str:
    """Return a page.

    Args:
        title: plain text.
        body: HTML.
    """
    named = escape(title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{named}</title>\n<style>{STYLE}{STORY_STYLE}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#content">To the content</a>\n<main id="content">\n<h1>{named}</h1>\n{body}\n'
        "</main>\n</body>\n</html>\n"
    )


def fragment(block: Block) -> str:
    """Write one block as HTML."""
    match block:
        case Heading(text, level):
            return f"<h{level}>{escape(text)}</h{level}>"
        case Text(text, kind):
            return f"<p>{escape(text)}</p>" if kind == "plain" else f'<p class="{kind}">{escape(text)}</p>'
        case Facts(items):
            return (
                f'<ul class="facts">{"".join(f"<li>{_linked(item)}</li>" for item in items)}</ul>'
                if items
                else ""
            )
        case Table():
            return table_html(block)
        case Bars():
            return _bars(block)
        case Drawing(picture):
            return _drawing(picture)
        case Race(story):
            return story_html(story)
        case Command(text):
            return f'<pre tabindex="0"><code>{escape(text)}</code></pre>'


def _drawing(picture: Picture) -> str:
    from shootdown._report.plotting import inline

    try:
        drawn = inline(picture)
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
    ) as error:  # of a file that was edited
        return f'<p class="soft">This picture can\'t be drawn: {escape(str(error))}</p>'
    return (
        f'<figure><div class="picture">{drawn}</div><figcaption>{escape(picture.title)}</figcaption></figure>'
    )


def table_html(table: Table) -> str:
    """Write a table; it scrolls where it is wider than the page, with the arrow keys too."""
    to = dict(table.links)
    head = "".join(
        f'<th scope="col"{_right(n, table)}>{escape(text)}</th>' for n, text in enumerate(table.headings)
    )
    body = "\n".join(f"<tr>{_row(row, table, to)}</tr>" for row in table.rows)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="table">'
        f'<table class="plain"><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )


def _row(row: Sequence[str], table: Table, to: Mapping[str, str]) -> str:
    """Write the cells of a row; one that only names the rows below it is as wide as the table."""
    if len(row) > 1 and row[0] and not any(row[1:]):
        return f'<th scope="rowgroup" colspan="{len(row)}">{_cell(row[0], to)}</th>'
    return "".join(f"<td{_look(n, text, table)}>{_cell(text, to)}</td>" for n, text in enumerate(row))


def _look(column: int, text: str, table: Table) -> str:
    """Return the class of a cell: a number, or a short text that does not wrap."""
    return _right(column, table) or (' class="w"' if len(text) <= _SHORT else "")


def _right(column: int, table: Table) -> str:
    return ' class="n"' if column in table.right else ""


def _cell(text: str, links: Mapping[str, str]) -> str:
    words = text.lstrip(INDENT)
    shown = escape(words).replace("\n", "<br>")
    if deep := len(text) - len(words):
        shown = f'<span class="deep" style="padding-left:{deep * 0.9:.1f}em">{shown}</span>'
    return f'<a href="{escape(links[text])}">{shown}</a>' if text in links else shown


def _linked(text: str) -> str:
    """Write a sentence; an address that it ends with is a link."""
    words, _, last = text.rpartition(" ")
    if not last.startswith("https://"):
        return escape(text)
    return f'{escape(words)} <a href="{escape(last)}">{escape(last)}</a>'


def _bars(block: Bars) -> str:
    most = max((bar.value for bar in block.bars), default=0) or 1
    found = []
    for bar in block.bars:
        note = escape(bar.note)
        if bar.link:
            note = f'<a href="{escape(bar.link)}">{note}</a>'
        size = f"max({100 * bar.value / most:.2f}%, 2px)" if bar.value else "0"
        part = 100 * bar.part / (bar.value or 1)
        found.append(
            f'<div class="who">{escape(bar.name)}{f"<small>{note}</small>" if note else ""}</div>'
            f'<div class="many"><div class="track"><div class="bar" style="width:{size}">'
            f'<div class="part" style="width:{part:.2f}%"></div></div></div><span>{escape(bar.text)}</span></div>'
        )
    caption = escape(block.caption_with("hatched"))
    return f'<figure><figcaption>{caption}</figcaption><div class="bars">{"".join(found)}</div></figure>'
