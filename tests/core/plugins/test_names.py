"""Which names of a lowering are its author's own, and which ones nobody asks for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from shootdown._plugins.names import unasked, unread
from shootdown.porting import PlainLowering


class Helped(PlainLowering):
    """Its helpers are a method, a property, an attribute that is looked up by its name, and what it imports."""

    import math

    most = 16

    def flush_page(self, asm: Any, g: int) -> None:
        self.only_here(asm)

    def only_here(self, asm: Any) -> None:
        asm.work("flush_ns", times=self.times + getattr(self, "most"))  # noqa: B009

    @property
    def times(self) -> int:
        return 1


class Renamed(PlainLowering):
    """A function of two names, one of which is asked for."""

    def nothing(self, asm: Any, g: int) -> None:
        """Do nothing."""

    flush_page = nothing


@attrs.frozen
class Fielded(PlainLowering):
    """A field that a method sets."""

    every_asid: bool = attrs.field(default=False, kw_only=True)

    def flush_mm(self, asm: Any, g: int) -> None:
        attrs.evolve(self, every_asid=True).flush(asm, g)


def loudly(write: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(write)
    def called(self: Any, *args: Any) -> None:
        write(self, *args)

    return called


class Wrapped(PlainLowering):
    """A helper is called within what a decorator wraps."""

    @staticmethod
    def deep(asm: Any) -> None:
        """Do nothing."""

    @loudly
    def flush_page(self, asm: Any, g: int) -> None:
        self.deep(asm)


@pytest.mark.parametrize("lowering", [Helped, Renamed, Fielded, Wrapped])
def test_what_its_own_code_uses_is_no_mistake(lowering: type[PlainLowering]) -> None:
    assert unasked(lowering) == ""


def test_a_name_that_only_its_own_function_mentions_is_one() -> None:
    def again(self: Any, asm: Any) -> None:
        self.flush_pge(asm)

    assert "has flush_pge" in unasked(
        type("Odd", (PlainLowering,), {"flush_pge": again, "__module__": "apart"})
    )


def test_fields_that_no_code_mentions_are_unread() -> None:
    @attrs.frozen
    class Cpu:
        asid_width: int = 8
        turbo_mode: bool = False

    Cpu.__module__ = "apart"  # this module has the names of its fields in the test

    def lower(kernel: Any, platform: Any) -> int:
        return int(platform.arch.asid_width)

    assert unread(Cpu, ["asid_width", "turbo_mode"], [lower]) == ["turbo_mode"]
