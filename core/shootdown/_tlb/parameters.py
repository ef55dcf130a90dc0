"""A TLB's geometry from `name=value`: a plain one, or a platform's, with changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import attrs

from shootdown._tlb.geometry import CacheGeometry, Inclusion, TlbGeometry
from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.reading import UnreadableError, read_boolean, read_integer, read_size, write_size

T = TypeVar("T")

KIB4, MIB2, GIB1, GIB512 = 1 << 12, 1 << 21, 1 << 30, 1 << 39

# The default geometry, which the benchmarks measure. Four levels of 4 KiB tables.
PLAIN = TlbGeometry(
    l1=CacheGeometry(64, 4, (KIB4, MIB2, GIB1)),
    l2=CacheGeometry(1536, 12, (KIB4, MIB2, GIB1)),
    walk_caches=(
        CacheGeometry(32, 4, (MIB2,)),
        CacheGeometry(4, 4, (GIB1,)),
        CacheGeometry(4, 4, (GIB512,)),
    ),
    levels=(KIB4, MIB2, GIB1, GIB512),
)

_LEVELS = {"l1": "l1", "l2": "l2", "walk": "walk_caches"}
_FIELDS = ("entries", "ways", "policy", "index")
_WHOLE = ("inclusion", "asid_bits", "global_entries", "policy")


def geometry_of(
    parameters: Mapping[str, Any], base: TlbGeometry | None = None, *, walk_cache: bool = True
) -> TlbGeometry:
    """Change a geometry.

    Args:
        parameters: `LEVEL.FIELD` or `LEVEL.SIZE.FIELD`, with level l1, l2 or walk and field entries, ways, policy
            or index. Without a size: of the cache that holds the smallest pages (walk: of every one). With a
            size: of a cache for pages, or covered bytes, of that size alone. 0 entries remove it. Also
            inclusion, asid_bits, global_entries, and policy for every cache.
        base: what is changed; `PLAIN` where None.
        walk_cache: False removes all walk caches.

    Raises:
        ShootdownError: there is no such parameter, or no such cache.
    """
    geometry = base or PLAIN
    levels = {name: list(getattr(geometry, field)) for name, field in _LEVELS.items()}
    smallest = min(size for cache in geometry.l1 for size in cache.page_sizes)
    changes: dict[tuple[str, int | None], dict[str, Any]] = {}
    whole: dict[str, Any] = {}
    for name, value in parameters.items():
        if name in _WHOLE:
            whole[name] = value
            continue
        level, size, field = _parts(name)
        changes.setdefault((level, size), {})[field] = value
    if "policy" in whole:
        policy = str(whole.pop("policy"))
        levels = {n: [attrs.evolve(c, policy=policy) for c in caches] for n, caches in levels.items()}
    for (level, size), fields in changes.items():
        levels[level] = _changed(level, levels[level], size, smallest, fields)
    if not walk_cache:
        levels["walk"] = []
    return attrs.evolve(
        geometry,
        l1=tuple(levels["l1"]),
        l2=tuple(levels["l2"]),
        walk_caches=tuple(levels["walk"]),
        **_checked(whole),
    )


def _checked(whole: dict[str, Any]) -> dict[str, Any]:
    if "inclusion" in whole:
        whole["inclusion"] = cast(Inclusion, str(whole["inclusion"]))
    if "asid_bits" in whole:
        whole["asid_bits"] = _read("asid_bits", whole["asid_bits"], _read_count)
    if "global_entries" in whole:
        whole["global_entries"] = _read("global_entries", whole["global_entries"], read_boolean)
    return whole


def _parts(name: str) -> tuple[str, int | None, str]:
    parts = name.lower().split(".")
    if len(parts) in (2, 3) and parts[0] in _LEVELS and parts[-1] in _FIELDS:
        return parts[0], read_size(parts[1]) if len(parts) == 3 else None, parts[-1]
    there_is = [f"{level}.{field}" for level in _LEVELS for field in _FIELDS] + list(_WHOLE)
    raise ShootdownError(
        f"there is no parameter {name!r}; {nearest(name, there_is)} (l1.2m.entries: for 2 MiB pages alone)"
    )


def _read_count(given: Any) -> int:
    number = read_integer(given)
    if number < 0:
        raise UnreadableError(str(given), "a whole number")
    return number


def _read(name: str, given: Any, read: Callable[[Any], T]) -> T:
    """Read the value of a parameter; the error names the parameter."""
    try:
        return read(given)
    except UnreadableError as error:
        raise ShootdownError(f"{name}={given}: give {error.allowed}") from None


def _changed(
    level: str, caches: list[CacheGeometry], size: int | None, smallest: int, fields: dict[str, Any]
) -> list[CacheGeometry]:
    for name in ("entries", "ways"):
        if name in fields:
            fields[name] = _read(f"{level}.{name}", fields[name], _read_count)
    for name in ("policy", "index"):
        if name in fields:
            fields[name] = str(fields[name])
    removed = fields.get("entries") == 0
    if size is None and level == "walk":
        if not caches:
            raise ShootdownError(
                "walk: there is no walk cache to change; name one, such as walk.2m.entries=32"
            )
        return [] if removed else [attrs.evolve(cache, **fields) for cache in caches]
    wanted = smallest if size is None else size
    old = next((cache for cache in caches if wanted in cache.page_sizes), None)
    if old is None:
        return caches if removed else [*caches, _new(level, wanted, fields)]
    others = [cache for cache in caches if cache is not old]
    if removed:
        left = tuple(s for s in old.page_sizes if size is not None and s != size)
        return [*others, attrs.evolve(old, page_sizes=left)] if left else others
    if size is not None and len(old.page_sizes) > 1:
        others.append(attrs.evolve(old, page_sizes=tuple(s for s in old.page_sizes if s != size)))
        return [*others, attrs.evolve(old, page_sizes=(size,), **fields)]
    return [attrs.evolve(cache, **fields) if cache is old else cache for cache in caches]


def _new(level: str, size: int, fields: dict[str, Any]) -> CacheGeometry:
    if "entries" not in fields:
        raise ShootdownError(
            f"{level}: there is no cache for {write_size(size)}; say how large: {level}.{write_size(size)}.entries"
        )
    return CacheGeometry(**{"ways": fields["entries"], "page_sizes": (size,), **fields})
