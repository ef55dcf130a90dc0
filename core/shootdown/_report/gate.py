"""What a gate has found: for people, JUnit, SARIF and GitHub."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.etree import ElementTree

from shootdown._report.text import paragraph
from shootdown._values.errors import printable

if TYPE_CHECKING:
    from shootdown._batches.gate import Judged
    from shootdown._batches.gate_file import Gate

_WORDS = {"passed": "ok", "failed": "FAILED", "unanswered": "unanswered", "not-applicable": "does not apply"}
#: SARIF's level and GitHub's command of what is not good.
_LEVELS = {"failed": "error", "unanswered": "warning"}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def lines(found: Sequence[Judged], width: int) -> Iterator[str]:
    """Write what became of each thing that must hold, and how many of them there are."""
    name = None
    for one in found:
        if one.check != name:
            name = one.check
            yield name
        where = f" ({one.where})" if one.where else ""
        yield from paragraph(
            f"{_WORDS[one.status]}: {one.key}: {one.said}{where}", width, first="  ", rest="    "
        )
        for detail in one.details:
            yield from paragraph(detail, width, first="      ", rest="        ")
    yield ""
    yield total(found)


def total(found: Sequence[Judged]) -> str:
    """Say how many have passed, and how many not."""
    many = Counter(one.status for one in found)
    parts = [f"{many[status]:,} {status.replace('-', ' ')}" for status in _WORDS if many[status]]
    return ", ".join(parts) if parts else "nothing to hold"


def to_dict(gate: Gate, found: Sequence[Judged]) -> dict[str, Any]:
    """Return everything for JSON."""
    return {
        "gate": gate.file,
        "summary": gate.summary,
        "passed": all(one.status in ("passed", "not-applicable") for one in found),
        "rows": [one.to_dict() for one in found],
    }


def junit(gate: Gate, found: Sequence[Judged]) -> str:
    """Return it as JUnit's XML: a test case for each thing that must hold on each kernel and platform."""
    many = Counter(one.status for one in found)
    suites = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(
        suites,
        "testsuite",
        name=printable(f"shootdown gate {gate.file}"),
        tests=str(len(found)),
        failures=str(many["failed"]),
        errors=str(many["unanswered"]),
        skipped=str(many["not-applicable"]),
        time=f"{sum(one.seconds for one in found):.3f}",
    )
    for one in found:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=printable(one.check),
            name=printable(f"{one.key} ({one.where})" if one.where else one.key),
            file=one.at.file,
            line=str(one.at.line),
            time=f"{one.seconds:.3f}",
        )
        element = {"failed": "failure", "unanswered": "error", "not-applicable": "skipped"}.get(one.status)
        if element is not None:
            told = ElementTree.SubElement(case, element, message=printable(one.said))
            told.text = printable("\n".join((one.said, *one.details)), but="\n")
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)


def sarif(found: Sequence[Judged], version: str) -> dict[str, Any]:
    """Return it as SARIF 2.1.0: a result for each thing that does not hold, at the line of its limit."""
    rules = sorted({one.key for one in found})
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "shootdown",
                        "version": version,
                        "rules": [
                            {"id": key, "shortDescription": {"text": key.replace("_", " ")}} for key in rules
                        ],
                    }
                },
                "results": [_result(one, rules) for one in found if one.status in _LEVELS],
            }
        ],
    }


def _result(one: Judged, rules: Sequence[str]) -> Mapping[str, Any]:
    where = {"artifactLocation": {"uri": quote(_relative(one.at.file))}}
    region = {"region": {"startLine": one.at.line}} if one.at.line else {}
    return {
        "ruleId": one.key,
        "ruleIndex": rules.index(one.key),
        "level": _LEVELS[one.status],
        "message": {"text": "\n".join((_message(one), *one.details))},
        "locations": [{"physicalLocation": {**where, **region}}],
    }


def github_lines(found: Sequence[Judged]) -> Iterator[str]:
    """Write GitHub's workflow commands, which show what does not hold beside the line of its limit."""
    for one in found:
        if one.status in _LEVELS:
            properties = {
                "file": _relative(one.at.file),
                "line": one.at.line or 1,
                "title": f"shootdown: {one.check}",
            }
            told = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in properties.items())
            text = _escaped("\n".join((_message(one), *one.details)), "")
            yield f"::{_LEVELS[one.status]} {told}::{text}"


def _message(one: Judged) -> str:
    where = f" ({one.where})" if one.where else ""
    return f"{one.check}: {one.key}: {one.said}{where}"


def _relative(file: str) -> str:
    """Return a path relative to the working directory, which CI takes for the repository's root."""
    return os.path.relpath(file).replace(os.sep, "/")


def _escaped(text: str, more: str) -> str:
    for sign in ("%", "\r", "\n", *more):
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text
