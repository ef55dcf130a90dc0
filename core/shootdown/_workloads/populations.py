"""Descriptions of what a PMD range maps before khugepaged scans it: `full`, `every 2nd page, only page 0 young`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from shootdown._mm.khugepaged import LEAST_ORDER, OUTCOMES, Pages
from shootdown._values.reading import UnreadableError, read_integer

#: The number that stands for PMD order, which depends on the page size.
PMD = "pmd"

#: Changes the pages as one clause describes; the last argument is the order of large folios.
Change = Callable[[Pages, tuple[int, ...], int], None]


def _keep(pages: Pages, wanted: Callable[[int], bool]) -> None:
    for at in range(len(pages.present)):
        pages.present[at] = pages.present[at] and wanted(at)


def _first(marks: list[bool], count: int) -> None:
    marks[:] = [at < count for at in range(len(marks))]


def _swap_out(pages: Pages, count: int) -> None:
    for at in range(min(count, len(pages.present))):
        pages.swapped[at] = pages.present[at]
        pages.present[at] = False


def _only_young(pages: Pages, wanted: Callable[[int], bool]) -> None:
    pages.young[:] = [wanted(at) for at in range(len(pages.young))]


def _fold(pages: Pages, order: int) -> None:
    pages.order[:] = [order] * len(pages.order)


_CLAUSES: tuple[tuple[str, str, Change], ...] = (
    ("full", r"full", lambda pages, numbers, large: None),
    (
        "every Nth page",
        r"every ([1-9]\d{0,8})(?:st|nd|rd|th) page",
        lambda pages, n, large: _keep(pages, lambda at: at % n[0] == 0),
    ),
    (
        "every Nth group of M",
        r"every ([1-9]\d{0,8})(?:st|nd|rd|th) group of ([1-9]\d{0,8})(?: pages)?",
        lambda pages, n, large: _keep(pages, lambda at: at // n[1] % n[0] == 0),
    ),
    ("first N pages", r"first (\d{1,9}) pages?", lambda pages, n, large: _keep(pages, lambda at: at < n[0])),
    (
        "N of each M pages",
        r"(\d{1,9}) of each ([1-9]\d{0,8})(?: pages)?",
        lambda pages, n, large: _keep(pages, lambda at: at % n[1] < n[0]),
    ),
    (
        "all but page N",
        r"all but page (\d{1,9})",
        lambda pages, n, large: _keep(pages, lambda at: at != n[0]),
    ),
    (
        "only page N young",
        r"only page (\d{1,9}) young",
        lambda pages, n, large: _only_young(pages, n.__contains__),
    ),
    ("none young", r"none young", lambda pages, n, large: _only_young(pages, lambda at: False)),
    (
        "first half shared with a child",
        r"first half shared(?: with a child)?",
        lambda pages, n, large: _first(pages.shared, len(pages.shared) // 2),
    ),
    (
        "first N pages shared",
        r"first (\d{1,9}) pages? shared(?: with a child)?",
        lambda pages, n, large: _first(pages.shared, n[0]),
    ),
    (
        "first N pages swapped out",
        r"first (\d{1,9}) pages? swapped out",
        lambda pages, n, large: _swap_out(pages, n[0]),
    ),
    (
        "faulted in as large folios",
        r"faulted in as large folios",
        lambda pages, n, large: _fold(pages, large),
    ),
    ("folios of order N", r"folios of order (\d{1,9})", lambda pages, n, large: _fold(pages, n[0])),
)

#: The clauses of a description, which are separated by commas.
FORMS = tuple(form for form, _, _ in _CLAUSES)


def _find(clause: str, text: str) -> tuple[Change, tuple[int, ...]]:
    for _, pattern, change in _CLAUSES:
        found = re.fullmatch(pattern, clause, re.ASCII)
        if found is not None:
            return change, tuple(int(number) for number in found.groups())
    raise UnreadableError(text, f"made of: {'; '.join(FORMS)}")


def _clauses(text: str) -> list[str]:
    """Split at commas; hyphens between words and several blanks are one blank."""
    return [" ".join(re.sub(r"(?<=\w)-(?=\w)", " ", part).split()).lower() for part in text.split(",")]


def check_population(text: str) -> None:
    """Check that a text describes what a range maps.

    Raises:
        UnreadableError: a part of it is none of `FORMS`.
    """
    for clause in _clauses(text):
        _find(clause, text)


def populate(text: str, count: int, large: int) -> Pages:
    """Return the entries of a table that a text describes.

    Args:
        text: such as `every 2nd page, only page 0 young`.
        count: entries of the table.
        large: the order of folios that the text describes as large.

    Raises:
        UnreadableError: a part of it is none of `FORMS`.
    """
    pages = Pages.full(count)
    for clause in _clauses(text):
        change, numbers = _find(clause, text)
        change(pages, numbers, large)
    return pages


def read_orders(text: str, pmd_order: int = 63) -> frozenset[int]:
    """Read enabled orders: `pmd`, `4`, `2,4,pmd`, `2-8`.

    Args:
        text: as typed.
        pmd_order: what `pmd` stands for.

    Raises:
        UnreadableError: it is something else.
    """
    orders: set[int] = set()
    for part in text.split(","):
        ends = [pmd_order if end.strip().lower() == PMD else _order(end, text) for end in part.split("-", 1)]
        if ends[0] > ends[-1]:
            raise UnreadableError(text, "orders from the smaller to the larger")
        orders.update(range(ends[0], ends[-1] + 1))
    return frozenset(orders)


def _order(text: str, whole: str) -> int:
    try:
        return read_integer(text, minimum=LEAST_ORDER, maximum=16)
    except UnreadableError:
        allowed = f"made of {PMD} and numbers from {LEAST_ORDER} on: 4, 2,4,{PMD} or 2-8"
        raise UnreadableError(whole, allowed) from None


def read_limit(text: str) -> int | None:
    """Read max_ptes_none: a number, or `default`, which is all entries of a table but one (None).

    Raises:
        UnreadableError: it is something else.
    """
    if text.strip().lower() == "default":
        return None
    try:
        return read_integer(text, minimum=0, maximum=8191)
    except UnreadableError:
        raise UnreadableError(text, "default, or a whole number from 0 to 8191") from None


#: The word for outcomes that follow from the pages.
BY_PAGES = "by-pages"


def read_outcomes(text: str, pmd_order: int = 16) -> Mapping[int, str]:
    """Read forced outcomes: `by-pages`, an outcome for every attempt, or `ORDER:OUTCOME,...`.

    Args:
        text: as typed.
        pmd_order: the highest order.

    Returns:
        The outcome by order; the pages decide for absent orders.

    Raises:
        UnreadableError: it is something else.
    """
    forced: dict[int, str] = {}
    for part in text.split(","):
        order, colon, outcome = part.strip().rpartition(":")
        if not colon and outcome == BY_PAGES:
            continue
        if outcome not in OUTCOMES:
            raise UnreadableError(
                text, f"{BY_PAGES}, or OUTCOME or ORDER:OUTCOME,... with one of {', '.join(OUTCOMES)}"
            )
        orders: Iterable[int] = read_orders(order, pmd_order) if colon else range(pmd_order + 1)
        forced.update(dict.fromkeys(orders, outcome))
    return forced
