"""What a plugin may have or lack: each function returns why it lacks it, or None where it has it."""

from __future__ import annotations

from shootdown._compliance.subject import Subject, geometries


def formats(subject: Subject) -> str | None:
    """Whether it has a page-table format that is made of levels."""
    return None if subject.formats else "it has no page-table format that is made of levels"


def any_format(subject: Subject) -> str | None:
    """Whether it has a page-table format of either kind."""
    return None if subject.architecture.formats else "it has no page-table format"


def changes(subject: Subject) -> str | None:
    """Whether it lists commits that moved switches."""
    return None if subject.architecture.changes else "it lists no changes"


def platforms(subject: Subject) -> str | None:
    """Whether it has platforms."""
    return None if subject.platforms else "it has no platforms"


def tlbs(subject: Subject) -> str | None:
    """Whether a platform describes its TLB."""
    known = any(geometries(platform.tlb) for platform in subject.platforms)
    return None if known else "no platform of it describes a TLB"


def lowering(subject: Subject) -> str | None:
    """Whether it says how its kernels flush, and has a platform to do it on."""
    if subject.architecture.lower is None:
        return "it does not say how its kernels flush (Architecture.lower)"
    return platforms(subject)


def flushes(subject: Subject) -> str | None:
    """Whether its flushes can be tried: it has some, and none ran out of time before."""
    return lowering(subject) or subject.gave_up or None
