"""riscv machines are recognised by what their /proc/cpuinfo says."""

from __future__ import annotations

import re

import pytest

from shootdown_riscv._here import CPUINFO


def recognised(cpuinfo: str) -> str | None:
    return next((platform for pattern, platform in CPUINFO if re.search(pattern, cpuinfo)), None)


@pytest.mark.parametrize(
    ("cpuinfo", "platform"),
    [
        ("hart\t\t: 1\nisa\t\t: rv64imafdc\nmmu\t\t: sv39\nuarch\t\t: sifive,u74-mc", "sifive-u74"),
        ("hart\t\t: 1\nisa\t\t: rv64imafdc\nmmu\t\t: sv39\nuarch\t\t: sifive,bullet0", "sifive-u74"),
        ("hart\t\t: 1\nisa\t\t: rv64imafdc\nmmu\t\t: sv39\nuarch\t\t: thead,c920", "sophgo-sg2042"),
        ("hart\t\t: 1\nisa\t\t: rv64imafdc\nmmu\t\t: sv39\nuarch\t\t: thead,c910", "thead-th1520"),
    ],
)
def test_a_machine_is_like_the_platform_of_its_cpu(cpuinfo: str, platform: str) -> None:
    assert recognised(f"processor\t: 0\n{cpuinfo}\n\nprocessor\t: 1\n{cpuinfo}\n") == platform


@pytest.mark.parametrize(
    "cpuinfo", ["", "hart\t\t: 1\nisa\t\t: rv64imafdc\nmmu\t\t: sv39\nuarch\t\t: spacemit,x60"]
)
def test_others_are_like_none(cpuinfo: str) -> None:
    assert recognised(cpuinfo) is None
