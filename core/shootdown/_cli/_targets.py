"""`shootdown targets`: page tables that are unshared but not freed, on each target."""

from __future__ import annotations

from shootdown._cli import _common
from shootdown._targets import Target, targets


@_common.command("targets")
@_common.arch_option
@_common.platform_option
@_common.kernel_option
@_common.set_option
@_common.json_option
def command(
    arch: tuple[str, ...],
    platform: tuple[str, ...],
    kernel: tuple[str, ...],
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Judge what unsharing a table does on each target.

    Each cell comes from runs of a small case: warm walk caches on all CPUs of the mm, one of them inside GUP-fast.
    """
    found = targets(arch=arch, platforms=platform, kernels=kernel, settings=settings)
    if as_json:
        _common.emit_json({"schema": 1, "rows": [target.to_dict() for target in found]})
        return
    reasons = list(dict.fromkeys(target.reason for target in found))
    _common.emit_table(
        (
            "arch",
            "platform",
            "kernel",
            "flush differs if freed",
            "honours unshared",
            "walk cache dropped",
            "sync",
            "",
        ),
        [_cells(target, reasons) for target in found],
        whole=("arch", "platform", "kernel", "sync"),
    )
    _common.emit(
        "flush differs if freed: the flush would reach or drop something else if the table were freed too"
    )
    _common.emit("honours unshared: the architecture's flush looks at unshared_tables")
    _common.emit(
        "sync: whether GUP-fast needs tlb_remove_table_sync_one() after the flush; missing: needed, not sent"
    )
    for number, reason in enumerate(reasons, start=1):
        _common.emit(f"[{number}] {reason}")


def _cells(target: Target, reasons: list[str]) -> tuple[str, ...]:
    dropped = _word(target.walk_cache_dropped)
    if target.lazy_cpus_keep_entries:
        dropped = "not if lazy"
    elif target.walk_cache_dropped is False:
        dropped = "NO: stale"
    return (
        target.arch,
        target.platform,
        target.kernel,
        _word(target.flush_differs_with_freed_tables),
        _word(target.honours_unshared_tables),
        dropped,
        target.sync.upper() if target.sync == "missing" else target.sync,
        f"[{reasons.index(target.reason) + 1}]",
    )


def _word(claim: bool | None) -> str:
    return "-" if claim is None else "yes" if claim else "no"
