"""Section 2, kernels: what is right is shown, and one wrong value is found and named."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest
from tests.core.compliance.toys import findings, good, outcome, vax

from shootdown import Change, switch
from shootdown.porting import Contradiction

FIELDS = {
    "commit": "0123456789ab",
    "subject": "vax: flush more pages by address",
    "mainline": "6.2-rc1",
    "sets": {"most_pages": 32},
    "stable": {"6.1": 20},
    "source": "changelog of 6.1.20",
}


def changed(**fields: Any) -> tuple[Change, ...]:
    return (Change(**(FIELDS | fields)),)


(ROW,) = changed()


@attrs.frozen
class FreeSwitches:
    """A switch whose default lies out of its own range."""

    most_pages: int = switch(0, "the most pages", minimum=1)


@attrs.frozen
class Wordless:
    """A switch without a sentence."""

    most_pages: int = switch(16, "", minimum=1)


@attrs.frozen
class OtherType:
    """A switch of core's name and another type."""

    most_pages: int = switch(16, "the most pages", minimum=1)
    pt_reclaim: int = switch(1, "a number where core has a boolean")


@attrs.frozen
class Unread:
    """A switch that no code looks at."""

    most_pages: int = switch(16, "the most pages", minimum=1)
    odd_pages: int = switch(3, "how odd they are")


@attrs.frozen
class Bare:
    """A field that nobody can set."""

    most_pages: int = switch(16, "the most pages", minimum=1)
    extra: int = 3


@pytest.mark.parametrize("number", ["2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "2.8"])
def test_each_statement_is_shown_of_the_toy(number: str) -> None:
    rule = Contradiction(("kernel.most_pages",), lambda kernel, platform: False, "none")
    assert outcome(number, good(changes=(ROW,), contradictions=(rule,))).word == "shown"


@pytest.mark.parametrize(
    ("number", "wrong", "named"),
    [
        ("2.1", {"configure": lambda kernel: 1 // 0}, "kernel 5.10 and .* more releases can't be resolved"),
        ("2.1", {"configure": lambda kernel: None}, "can't be resolved"),
        ("2.3", {"switches": Bare}, "Bare.extra is no switch, so that nobody can set it"),
        ("2.2", {"switches": FreeSwitches}, "the default of kernel.most_pages is 0; allowed: 1 to"),
        (
            "2.2",
            {"changes": changed(sets={"most_pages": 0})},
            "0123456789ab sets kernel.most_pages, which is 0",
        ),
        ("2.2", {"changes": changed(sets={"most_pages": "32"})}, "of type str; the switch is of type int"),
        ("2.2", {"changes": changed(sets={"pt_reclaim": 1})}, "of type int; the switch is of type bool"),
        ("2.2", {"changes": changed(sets={"unshare_sync": "once"})}, "allowed: none, per-table, last-sharer"),
        ("2.2", {"aliases": ("v",), "aliases_imply": {"v": {"most_pages": -1}}}, "the alias v sets"),
        (
            "2.2",
            {"configure": lambda kernel: attrs.evolve(kernel, pmd_sharing="no")},
            "kernel 5.10: kernel.pmd_sharing is 'no'",
        ),
        ("2.3", {"switches": Wordless}, "kernel.most_pages has no sentence"),
        ("2.3", {"switches": OtherType}, "kernel.pt_reclaim is of type int"),
        (
            "2.4",
            {"configure": lambda kernel: attrs.evolve(kernel, pmd_sharing=not kernel.pmd_sharing)},
            "configure changes kernel.pmd_sharing again",
        ),
        (
            "2.4",
            {"configure": lambda kernel: attrs.evolve(kernel, name=kernel.name + "+")},
            "configure renames",
        ),
        (
            "2.5",
            {"contradictions": (Contradiction(("kernel.most_page",), lambda k, p: False, "why"),)},
            "names 'kernel.most_page', which is no setting; nearest: kernel.most_pages",
        ),
        (
            "2.5",
            {"contradictions": (Contradiction(("kernel.most_pages",), lambda k, p: None, "why"),)},  # type: ignore[arg-type, return-value]
            "when\\(\\) returns None",
        ),
        (
            "2.5",
            {"contradictions": (Contradiction(("kernel.most_pages",), lambda k, p: False, ""),)},
            "gives no reason",
        ),
        (
            "2.6",
            {"changes": (ROW, *changed(commit="a" * 12, mainline="5.15"))},
            "stands behind 0123456789ab of 6.2",
        ),
        ("2.6", {"changes": changed(stable={"6.1": 9999})}, "names 6.1.9999"),
        (
            "2.6",
            {"changes": changed(stable={"6.3": 2})},
            "names a backport to 6.3, which has it from the start",
        ),
        ("2.6", {"changes": changed(sets={})}, "sets no switch"),
        ("2.6", {"changes": (ROW, ROW)}, "is there twice"),
        (
            "2.6",
            {"changes": (ROW,), "first": "7.0"},
            "comes before 7.0, the first release of the architecture",
        ),
        ("2.6", {"changes": changed(sets={"most_pages": 16})}, "sets most_pages=16, which holds already"),
        ("2.8", {"switches": Unread}, "nothing reads the switch kernel.odd_pages of Unread"),
        ("2.7", {"changes": changed(commit="0123456")}, "abbreviated to 12"),
        ("2.7", {"changes": changed(subject="")}, "has no subject"),
    ],
)
def test_a_wrong_value_is_named(number: str, wrong: dict[str, Any], named: str) -> None:
    assert re.search(named, findings(number, good(**wrong)))


def test_a_backport_without_a_source_is_unevidenced() -> None:
    found = outcome("2.7", good(changes=changed(source="")))
    assert found.word == "unevidenced"
    (message,) = found.unevidenced
    assert "0123456789ab: nothing says where the backports 6.1.20 are from" in message


def test_changes_do_not_apply_to_who_lists_none() -> None:
    found = outcome("2.6", good())
    assert (found.word, found.why) == ("not applicable", "it lists no changes")


def test_the_toy_has_switches_of_its_own() -> None:
    assert "most_pages" in {field.name for field in attrs.fields(vax.VaxKernel)}
