"""Section 3, platforms: what a platform says of its CPUs in several places."""

from __future__ import annotations

from collections.abc import Iterator

from shootdown._compliance import capabilities
from shootdown._compliance.statement import Finding, Said, Statement, Tried
from shootdown._compliance.subject import Subject, geometries
from shootdown._values.errors import nearest
from shootdown._values.flushes import UNLISTED_PREEMPTING_HOSTS
from shootdown._values.platform import Platform


def _platforms_agree(subject: Subject) -> Iterator[Said]:
    for platform in subject.platforms:
        for wrong in (*_wrong_places(platform), *_wrong_caches(platform)):
            yield Finding(f"{subject.plugin}: platform {platform.name}: {wrong}")
    hosts = {platform.hypervisor for platform in subject.platforms}
    for host in subject.architecture.preempting_hosts:
        if host not in hosts and subject.architecture.preempting_hosts != UNLISTED_PREEMPTING_HOSTS:
            yield Finding(
                f"{subject.plugin}: preempting_hosts names {host!r}, which no platform has as its hypervisor; "
                f"{nearest(host, hosts)}"
            )
    yield Tried(len(subject.platforms), "platforms")


def _wrong_places(platform: Platform) -> Iterator[str]:
    least = platform.sockets * platform.smt
    if platform.cpus % least:
        yield (
            f"{platform.cpus} CPUs can't be {platform.sockets} sockets of cores with {platform.smt} threads each: "
            f"give a multiple of {least}"
        )


def _wrong_caches(platform: Platform) -> Iterator[str]:
    beside = geometries(platform.itlb)
    for size, tlb in geometries(platform.tlb).items():
        other = beside.get(size)
        if other is not None and other.asid_bits != tlb.asid_bits:
            yield (
                f"asid_bits is {tlb.asid_bits} in tlb and {other.asid_bits} in itlb: a CPU has one register for it"
            )
        held = {
            name: sum(cache.entries for cache in caches) for name, caches in (("l1", tlb.l1), ("l2", tlb.l2))
        }
        if tlb.l2 and held["l2"] < held["l1"]:
            yield f"l2 has {held['l2']} entries, fewer than l1 with {held['l1']}: l1 is what is asked first"


STATEMENTS = (
    Statement(
        "3.8",
        "What a platform says of its CPUs in several places agrees",
        "Each value may be right by itself: two that contradict each other give times and hits of no machine.",
        "Compare `cpus` with `sockets` and `smt`, `tlb` with `itlb`, and `preempting_hosts` with `hypervisor`.",
        _platforms_agree,
        (capabilities.platforms,),
    ),
)
