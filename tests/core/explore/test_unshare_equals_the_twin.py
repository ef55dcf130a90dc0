"""The verdicts on unsharing are those of the bare protocol, searched by a plain Python twin."""

from __future__ import annotations

import itertools

import pytest
from tests.twins.unshare_protocol import Protocol, verdict

from shootdown._questions.explore import explorations, explore_case

WAYS = ("ipi", "broadcast", "invlpgb", "kvm", "hypercall")
#: Kernels before the sync, with one for each table, and with one by the last sharer.
SYNC = {"6.15": "none", "6.16": "per-table", "7.0": "last-sharer"}


def _explored(name: str, kernel: str, settings: list[str], **parameters: object) -> str:
    (case,) = explorations(
        name,
        arch=["x86"],
        platforms=["intel-server"],
        kernels=[kernel],
        settings=settings,
        parameters=parameters,
    )
    return explore_case(case).verdict


@pytest.mark.parametrize("sharers", [2, 3])
@pytest.mark.parametrize("kernel", SYNC)
@pytest.mark.parametrize("flush", ["none", "locked"])
def test_gup_fast_is_as_safe_as_in_the_bare_protocol(kernel: str, flush: str, sharers: int) -> None:
    for way, rcu, own, recheck in itertools.product(WAYS, (True, False), (False, True), (False, True)):
        twin = Protocol(
            gup=True, sharers=sharers, sync=SYNC[kernel], flush=flush, rcu=rcu, own_targets=own, recheck=recheck,
            way="broadcast" if way == "invlpgb" else way,
        )  # fmt: skip
        settings = [
            f"platform.flush={way}",
            f"kernel.unshare_flush={flush}",
            f"kernel.rcu_table_free={rcu}",
            f"kernel.sync_targets={'own-mm' if own else 'all'}",
            f"kernel.gup_rechecks_pud={recheck}",
        ]
        assert _explored("unshare-gup", kernel, settings, sharers=sharers) == verdict(twin), settings


@pytest.mark.parametrize("kernel", SYNC)
@pytest.mark.parametrize("way", WAYS)
def test_a_flush_after_the_lock_drops_is_as_unsafe_as_in_the_bare_protocol(kernel: str, way: str) -> None:
    twin = Protocol(
        gup=True, sync=SYNC[kernel], flush="after-unlock", way="broadcast" if way == "invlpgb" else way
    )
    settings = [f"platform.flush={way}", "kernel.unshare_flush=after-unlock"]
    assert _explored("unshare-gup", kernel, settings) == verdict(twin) == "bug"


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("kernel", SYNC)
@pytest.mark.parametrize("way", WAYS)
def test_hardware_walkers_are_as_safe_as_in_the_bare_protocol(kernel: str, way: str, lazy: bool) -> None:
    for flush, honoured, final in itertools.product(
        ("none", "locked"), (False, True), ("auto", "true", "false")
    ):
        twin = Protocol(
            gup=False, sync=SYNC[kernel], flush=flush, lazy=lazy, wakes_lazy=honoured, keeps_links=final == "true",
            way="broadcast" if way == "invlpgb" else way,
        )  # fmt: skip
        settings = [
            f"platform.flush={way}",
            f"platform.final_level_only={final}",
            f"kernel.unshare_flush={flush}",
            f"kernel.honour_unshared_tables={honoured}",
        ]
        assert _explored("unshare-walk-cache", kernel, settings, lazy=lazy) == verdict(twin), settings
