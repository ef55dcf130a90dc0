"""What checking a plugin said: as text, JSON, JUnit's XML and a badge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

from shootdown._compliance.statement import Outcome
from shootdown._values.errors import printable

SCHEMA = 1

_TITLES = {
    "shown": "shown",
    "finding": "FINDING",
    "unevidenced": "UNEVIDENCED",
    "not applicable": "-",
    "interrupted": "interrupted",
}


def to_dict(plugin: str, outcomes: Sequence[Outcome], left: Sequence[str] = ()) -> dict[str, Any]:
    """Return what was found as JSON has it.

    Args:
        plugin: the name that was asked for.
        outcomes: what each statement said.
        left: numbers of statements that were not checked.
    """
    return {
        "schema": SCHEMA,
        "plugin": plugin,
        "findings": [
            {"statement": one.statement.number, "message": message}
            for one in outcomes
            for message in one.findings
        ],
        "shown": list(dict.fromkeys(one.statement.number for one in outcomes if one.word == "shown")),
        "unevidenced": [
            {"statement": one.statement.number, "message": message}
            for one in outcomes
            for message in one.unevidenced
        ],
        "not_applicable": [
            {"statement": one.statement.number, "message": one.why}
            for one in outcomes
            if one.word == "not applicable"
        ],
        "not_checked": list(left),
        "tried": [
            {"statement": one.statement.number, "what": what, "count": count}
            for one in outcomes
            for what, count in one.tried
        ],
    }


def lines(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, str]]:
    """Yield the lines of a report, each with what stands before its further lines where it is wrapped."""
    for one in outcomes:
        said = f"; {one.why}" if one.why else f"; {one.tried_in_words}" if one.tried else ""
        yield f"{one.statement.number:<5} {_TITLES[one.word]:<12} {one.statement.title}{said}", " " * 19
        for message in one.findings:
            yield f"      wrong: {message}", " " * 13
        if one.findings:
            yield f"      to do: {one.statement.todo}", " " * 13
        for message in one.unevidenced:
            yield f"      no evidence: {message}", " " * 19


def page() -> str:
    """Return the numbered statements as docs/compliance.md has them."""
    from shootdown._compliance.registry import SECTIONS, statements

    found = []
    for number, (_, title) in SECTIONS.items():
        found.append(f"## {number} {title}\n")
        for one in statements():
            if one.section == number:
                place = one.check.__module__.rpartition(".")[2]
                found.append(f"**{one.number} {one.title}.** {one.reason}\n")
                found.append(f"*What to do.* {one.todo}\n")
                found.append(
                    f"*Checked by* `{one.check.__name__.lstrip('_')}` of `_compliance/{place}.py`.\n"
                )
    return "\n".join(found)


def badge(plugin: str, outcomes: Sequence[Outcome], left: Sequence[str] = ()) -> str:
    """Return the text of a badge: how many statements are shown, unevidenced, or found wrong.

    Args:
        plugin: the name that was asked for.
        outcomes: what each statement said.
        left: numbers of statements that were not checked.
    """
    counted = {word: sum(one.word == word for one in outcomes) for word in _TITLES}
    parts = [f"{counted['finding']} wrong"] if counted["finding"] else []
    parts += [f"{counted['shown']} shown"]
    parts += [f"{counted['unevidenced']} unevidenced"] if counted["unevidenced"] else []
    not_checked = len(left) + counted["interrupted"]
    parts += [f"{not_checked} not checked"] if not_checked else []
    return f"shootdown check {plugin}: {', '.join(parts)}"


def shield(plugin: str, outcomes: Sequence[Outcome], left: Sequence[str] = ()) -> dict[str, Any]:
    """Return a badge as the JSON of shields.io's endpoint."""
    words = {one.word for one in outcomes}
    color = (
        "red"
        if "finding" in words
        else "yellow"
        if left or words & {"unevidenced", "interrupted"}
        else "green"
    )
    label, _, message = badge(plugin, outcomes, left).partition(": ")
    return {"schemaVersion": 1, "label": label, "message": message, "color": color}


def junit(plugin: str, outcomes: Sequence[Outcome]) -> str:
    """Return what was found as JUnit's XML: a case for each statement; what is unevidenced counts as skipped."""
    suite = ElementTree.Element(
        "testsuite",
        name=f"shootdown check {plugin}",
        tests=str(len(outcomes)),
        failures=str(sum(one.word == "finding" for one in outcomes)),
        errors="0",
        skipped=str(sum(one.word not in ("finding", "shown") for one in outcomes)),
        time=f"{sum(one.seconds for one in outcomes):.3f}",
    )
    for one in outcomes:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"shootdown.{plugin}",
            name=f"{one.statement.number} {one.statement.title}",
            time=f"{one.seconds:.3f}",
        )
        if one.findings:
            failed = ElementTree.SubElement(case, "failure", message=printable(one.findings[0]))
            failed.text = printable("\n".join([*one.findings, f"to do: {one.statement.todo}"]), but="\n")
        elif one.word != "shown":
            reason = "; ".join(one.unevidenced) or one.why
            ElementTree.SubElement(case, "skipped", message=printable(f"{one.word}: {reason}"))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
