"""Findings that an author expects of the compliance suite, because real kernels or machines have that defect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from shootdown._values.checked import checked


def _always(kernel: Any, platform: Any) -> bool:
    del kernel, platform
    return True


@attrs.frozen(field_transformer=checked)
class Expected:
    """A defect of real kernels or machines that statements of the compliance suite find.

    `shootdown check` sets such a finding aside. It is a finding of its own if nothing comes of it.

    Args:
        statements: the numbers of the statements that find it, such as `6.1`; each of them has to.
        why: the reason, with the commit, page or manual that says so.
        about: what it concerns: a method of `Lowering` such as `flush_collapsed_pmd`, the name of a scenario, or the
            invariant that a hunt finds broken; empty for any.
        when: on which kernels and platforms: a function of both that looks at their switches.
    """

    statements: tuple[str, ...]
    why: str
    about: str = ""
    when: Callable[[Any, Any], bool] = attrs.field(default=_always, repr=False)
