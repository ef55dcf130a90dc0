"""What may not stand beside `userfaultfd` in a program: what is not counted of memory that a monitor fills."""

from __future__ import annotations

from shootdown._programs.program import Place, Program, Statement, within
from shootdown._values.kernel import Kernel


def check_monitored(program: Program) -> None:
    """Refuse what is not counted of `userfaultfd`.

    Raises:
        ShootdownError: it names file, line and statement.
    """
    statements = [one for _, _, one in program.statements()]
    asked = [(one, one.place) for one in statements if one.verb == "userfaultfd" and one.place]
    for one, place in asked:
        for other in statements:
            if other.verb == "fork":
                raise other.wrong(f"`{one.text:.40}` in a program that forks is not counted yet")
            if other.verb in ("mprotect", "each") and other.place and other.place.memory == place.memory:
                raise other.wrong(f"`{other.verb}` of memory of `{one.text:.40}` is not counted yet")
    for process in program.processes.values() if asked else ():
        for thread in process.threads:
            _check_writes(list(within(thread.body)))


def _check_writes(body: list[Statement]) -> None:
    """Refuse a write to what its own thread has write-protected: it would wait for a monitor."""
    taken: list[tuple[Statement, Place]] = []
    for one in body:
        if one.word == "WRITEPROTECT" and one.place:
            taken.append((one, one.place))
        for by, place in taken if one.verb == "touch" and one.word == "write" and one.place else ():
            assert one.place is not None
            if one.place.memory == place.memory and one.place.lo < place.hi and place.lo < one.place.hi:
                raise one.wrong(f"after `{by.text:.40}` it waits for a monitor, which is not counted yet")


def misfit_of_monitor(one: Statement, kernel: Kernel) -> str | None:
    """Return why a kernel can't do what a monitor asks for, or None if it can."""
    if one.word == "WRITEPROTECT" and not kernel.userfaultfd_wp:
        return f"{one.at}: {kernel.release} has no CONFIG_HAVE_ARCH_USERFAULTFD_WP on this architecture"
    return None
