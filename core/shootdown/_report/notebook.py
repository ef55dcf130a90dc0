"""What a notebook shows for a result: the blocks of its report, styled where they stand."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from shootdown._questions.differing import Difference
from shootdown._questions.explore import Verdict
from shootdown._questions.history import History
from shootdown._report import told_compare, told_explain, told_explore, told_history
from shootdown._report.document import Block
from shootdown._report.document_html import DARK, LIGHT, PARTS, fragment
from shootdown._report.explanation import Explanation
from shootdown._report.story_page import STYLE
from shootdown._values.result import Result

_WIDTH = 100


def html(value: object) -> str:
    """Return a result, or a list of results of one kind, as HTML that changes nothing around it."""
    if isinstance(value, Difference):
        from shootdown._report.difference import lines

        return f"<pre>{escape(chr(10).join(lines(value, _WIDTH, defaults={})))}</pre>"
    body = "\n".join(map(fragment, _blocks(value)))
    light = f".shootdown {{ {LIGHT} background: var(--paper); color: var(--ink); padding: .5rem 1rem; }}"
    dark = f"@media (prefers-color-scheme: dark) {{ .shootdown {{ {DARK} }} }}"
    return f'<style>{light} {dark} .shootdown {{ {PARTS}{STYLE} }}</style><div class="shootdown">{body}</div>'


def _blocks(value: object) -> Iterable[Block]:
    several: list[Any] = list(value) if isinstance(value, list) else [value]
    if not several:
        return []
    rows = [one.to_dict() for one in several]
    match several[0]:
        case Result():
            return told_compare.tell({"rows": rows})
        case Verdict():
            return told_explore.tell({"rows": rows})
        case History():
            return told_history.tell(rows[0])
        case Explanation():
            return told_explain.tell(rows[0])
    raise TypeError(f"nothing shows {type(several[0]).__name__} in a notebook")
