"""A patch: functions of somebody's file that replace kernel functions by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from shootdown._values.errors import shown
from shootdown._values.parameter import Parameter, Value

F = TypeVar("F", bound=Callable[..., None])
#: The things that a field of a patch can belong to.
CPU, MM, MACHINE = "cpu", "mm", "machine"
OWNERS = (CPU, MM, MACHINE)
_MARK = "__shootdown_replaces__"


def _text(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is no line of text."""
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{attribute.name} of a Patch is one line of text, not {shown(value)}")


@attrs.frozen
class Field:
    """A variable that a patch adds to the kernel: one for each CPU, one for each mm, or one.

    Args:
        name: the kernel's name of it, such as `active_lockless_pt_walk_mm`.
        by: what has one: `cpu`, `mm` or `machine`.
        first: its value when the run begins, from 0 on.
        doc: what it is for.
    """

    name: str
    by: str
    first: int = 0
    doc: str = ""

    def __attrs_post_init__(self) -> None:
        """Refuse what is no field."""
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise ValueError(f"the name of a Field is that of a variable, not {shown(self.name)}")
        if self.by not in OWNERS:
            raise ValueError(f"Field {self.name}: by= is one of {', '.join(OWNERS)}, not {shown(self.by)}")
        if type(self.first) is not int or not 0 <= self.first < 1 << 15:
            raise ValueError(
                f"Field {self.name}: first= is a whole number from 0 to 32767, not {shown(self.first)}"
            )
        if not isinstance(self.doc, str) or not self.doc.isprintable():
            raise ValueError(f"Field {self.name}: doc= is one line of text, not {shown(self.doc)}")


@attrs.frozen(kw_only=True)
class Patch:
    """What a patch file says of itself, as `PATCH`.

    Args:
        subject: the subject line.
        message_id: the Message-ID of the mail that it was taken from, without angle brackets.
        note: what a reader must know, such as which version it is and what became of it.
        switches: its own switches, set by `--set patch.NAME=value`.
        fields: the variables that it adds: by CPU, by mm, or one.
        keeps_mm_cpumask: a CPU stays in mm_cpumask when it switches to another mm: the set of CPUs that an mm ever
            ran on, which a patch keeps for itself where the kernel does not.
    """

    subject: str = attrs.field(default="", validator=_text)
    message_id: str = attrs.field(default="", validator=_text)
    note: str = attrs.field(default="", validator=_text)
    switches: Sequence[Parameter] = attrs.field(default=())
    fields: Sequence[Field] = attrs.field(default=())

    keeps_mm_cpumask: bool = False

    @switches.validator
    def _parameters(self, _attribute: object, value: object) -> None:
        """Refuse a switch that is no Parameter."""
        if not isinstance(value, tuple | list):
            raise ValueError(f"switches of a Patch are a tuple of Parameters, not {shown(value)}")
        for one in value:
            if not isinstance(one, Parameter):
                raise ValueError(f"a switch of a Patch is a Parameter, not {shown(one)}")

    @fields.validator
    def _fields(self, _attribute: object, value: object) -> None:
        """Refuse a field that is no Field, or has another's name."""
        if not isinstance(value, tuple | list):
            raise ValueError(f"fields of a Patch are a tuple of Fields, not {shown(value)}")
        names: set[str] = set()
        for one in value:
            if not isinstance(one, Field):
                raise ValueError(f"a field of a Patch is a Field, not {shown(one)}")
            if one.name in names:
                raise ValueError(f"two fields of a Patch are called {one.name}")
            names.add(one.name)


def replaces(name: str, *, arch: str = "") -> Callable[[F], F]:
    """Mark a function of a patch file: it replaces the kernel function of that name.

    Args:
        name: of the kernel function, such as `tlb_remove_table_sync_one`.
        arch: only on the architecture of that name; on all if empty.
    """
    if not isinstance(name, str) or not name.isidentifier() or not isinstance(arch, str):
        raise ValueError(
            f"replaces() takes the name of a kernel function, and arch= an architecture's, not {shown(name)}"
        )

    def mark(function: F) -> F:
        setattr(function, _MARK, (*getattr(function, _MARK, ()), (name, arch)))
        return function

    return mark


def marks_of(function: object) -> tuple[tuple[str, str], ...]:
    """Return the pairs of kernel function and architecture that a function was marked with."""
    return tuple(getattr(function, _MARK, ()))


@attrs.frozen
class AppliedPatch:
    """A patch as it applies to one kernel.

    Args:
        name: the file's name without `.py`; rows are called `7.0+NAME`.
        file: the path, as given.
        about: what the file says of itself.
        functions: by the name of the kernel function, what replaces it on this architecture.
        values: those of its switches.
        arch: the architecture's name.
    """

    name: str
    file: str
    about: Patch
    functions: Mapping[str, Callable[..., None]]
    values: Mapping[str, Value]
    arch: str

    @property
    def remark(self) -> str:
        """Say what is replaced, and where the patch is from."""
        about = self.about
        names = ", ".join(f"{name}()" for name in self.functions)
        told = f"{about.subject} <{about.message_id}>" if about.message_id else about.subject
        return "; ".join(
            part for part in (f"patch {self.name} replaces {names}", told.strip(), about.note) if part
        )

    def without(self, *names: str) -> AppliedPatch:
        """Return the patch without its replacements of some functions."""
        kept = {name: function for name, function in self.functions.items() if name not in names}
        return attrs.evolve(self, functions=kept)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "name": self.name,
            "file": self.file,
            "subject": self.about.subject,
            "message_id": self.about.message_id,
            "note": self.about.note,
            "replaces": list(self.functions),
            "switches": dict(self.values),
        }
