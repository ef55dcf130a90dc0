"""`help()` is a page that a person reads: an index of the names, and a sentence for each field."""

from __future__ import annotations

import inspect
import pydoc
import re

import attrs
import pytest

import shootdown
from shootdown.porting import COST_NAMES


def page_of(value: object) -> str:
    return pydoc.plain(pydoc.render_doc(value))


def test_help_of_the_package_fits_on_two_pages_and_has_no_dunders() -> None:
    page = page_of(shootdown)
    assert len(page.splitlines()) < 140
    assert "__eq__" not in page
    assert "__init__(" not in page


def test_it_names_each_public_name_once() -> None:
    index = (shootdown.__doc__ or "").partition("To ask:")[2]
    listed = [
        name
        for line in index.splitlines()
        if (found := re.match(r"    (\w[\w, ]*?)  ", line))
        for name in found[1].split(", ")
    ]
    assert sorted(listed) == sorted(shootdown.__all__), (
        "the docstring of core/shootdown/__init__.py lists each name"
    )


def test_other_readers_still_see_all_names() -> None:
    assert set(dir(shootdown)) == set(shootdown.__all__)
    assert {name for name, _ in inspect.getmembers(shootdown)} >= set(shootdown.__all__)


def test_each_cost_has_its_sentence() -> None:
    page = page_of(shootdown.Costs)
    for name in COST_NAMES:
        assert f"{name}: " in page
    assert max(map(len, page.splitlines())) < 1000, "the signature names its fields, and no defaults"


@pytest.mark.parametrize("cls", [shootdown.Kernel, shootdown.Platform])
def test_each_switch_has_its_sentence_its_range_and_its_default(cls: type) -> None:
    page = re.sub(r"\s+", " ", page_of(cls).replace("|", " "))
    for field in attrs.fields(cls):
        if "doc" in field.metadata:
            assert f"{field.name}: {field.metadata['doc'][:40]}" in page
            assert f"default {field.default}" in page
