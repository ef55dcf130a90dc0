"""The claims that shootdown ships."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shootdown._evidence.claim import Claim
from shootdown._evidence.reading import read_claims
from shootdown._values.errors import ShootdownError, nearest

FOLDER = Path(__file__).parent / "claims"


def shipped() -> list[Claim]:
    """Return all claims that are shipped, in the order of their ids."""
    found = [claim for path in sorted(FOLDER.glob("*.toml")) for claim in read_claims(path)]
    return sorted(found, key=lambda claim: claim.name)


def chosen(claims: Sequence[Claim], names: Sequence[str]) -> list[Claim]:
    """Return the claims of those ids, all if there are none; `A09` names `A09-ratio` too.

    Raises:
        ShootdownError: there is none of an id.
    """
    if not names:
        return list(claims)
    found: list[Claim] = []
    for name in names:
        ones = [one for one in claims if one.name == name or one.name.startswith(f"{name}-")]
        if not ones:
            raise ShootdownError(
                f"there is no claim {name!r:.40}; {nearest(name, [one.name for one in claims])}"
            )
        found.extend(one for one in ones if one not in found)
    return found
