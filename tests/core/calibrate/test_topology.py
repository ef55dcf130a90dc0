"""Sockets and threads of a core are read from /sys, and written into the platform's file."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from shootdown._calibrate.topology import placed
from shootdown._plugins.registry import registry
from shootdown._questions.platform_file import platform_of_file, written


def machine(folder: Path, where: list[tuple[int, int]], siblings: str = "core_cpus_list") -> Path:
    """Write what Linux says of CPUs.

    Args:
        folder: where.
        where: the socket and the core of each CPU.
        siblings: the name of the file with a core's CPUs.
    """
    (folder / "online").write_text(f"0-{len(where) - 1}\n" if len(where) > 1 else "0\n")
    for cpu, place in enumerate(where):
        about = folder / f"cpu{cpu}" / "topology"
        about.mkdir(parents=True)
        (about / "physical_package_id").write_text(f"{place[0]}\n")
        those = ",".join(str(other) for other, one in enumerate(where) if one == place)
        (about / siblings).write_text(f"{those}\n")
    return folder


def found(folder: Path, cpus: int) -> tuple[tuple[int, int, bool], str]:
    platform, unknown = placed(attrs.evolve(registry().platform("x86", "intel-server"), cpus=cpus), folder)
    return (platform.sockets, platform.smt, platform.smt_adjacent), unknown


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ([(0, 0)], (1, 1, False)),
        ([(0, 0), (0, 1), (1, 2), (1, 3)], (2, 1, False)),
        ([(0, 0), (0, 1), (1, 2), (1, 3)] * 2, (2, 2, False)),
        ([(0, 0), (0, 0), (0, 1), (0, 1)], (1, 2, True)),
    ],
)
def test_sockets_and_threads_are_those_of_sys(
    tmp_path: Path, where: list[tuple[int, int]], expected: tuple[int, int, bool]
) -> None:
    assert found(machine(tmp_path, where), len(where)) == (expected, "")


def test_the_file_of_older_kernels_is_read(tmp_path: Path) -> None:
    where = [(0, 0), (0, 0)]
    assert found(machine(tmp_path, where, "thread_siblings_list"), 2) == ((1, 2, True), "")


def test_numbers_that_go_from_socket_to_socket_are_told(tmp_path: Path) -> None:
    (sockets, _, _), unknown = found(machine(tmp_path, [(0, 0), (1, 1), (0, 2), (1, 3)]), 4)
    assert sockets == 2
    assert "not numbered socket by socket" in unknown


def test_a_machine_that_says_nothing_keeps_the_platforms_places(tmp_path: Path) -> None:
    where, unknown = found(tmp_path, 4)
    assert where == (1, 1, False)
    assert "does not say" in unknown


def test_a_platforms_file_keeps_them(tmp_path: Path) -> None:
    base = registry().platform("x86", "intel-server")
    platform, _ = placed(attrs.evolve(base, cpus=8), machine(tmp_path, [(0, 0), (0, 1), (1, 2), (1, 3)] * 2))
    file = tmp_path / "here.toml"
    file.write_text(written("x86", base.name, "a test", platform, {}))
    _, again = platform_of_file(registry(), (), str(file))
    assert (again.cpus, again.sockets, again.smt, again.smt_adjacent) == (8, 2, 2, False)
