"""`--here` asks about this machine: what is not given is filled with what it says of itself."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from shootdown import _cli
from shootdown._questions import here as this

XEON = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel name\t: a Xeon\nflags\t\t: fpu avx512f sse\n"


@pytest.fixture(autouse=True)
def xeon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Make this machine a Xeon of 24 CPUs with a kernel of Debian's."""
    from shootdown._questions import case

    path = tmp_path / "cpuinfo"
    path.write_text(XEON)
    monkeypatch.setattr(this, "CPUINFO", path)
    monkeypatch.setattr(case, "host_machine", lambda: "x86_64")
    monkeypatch.setattr(os, "cpu_count", lambda: 24)
    monkeypatch.setattr(this.platform, "release", lambda: "6.12.57+deb13-amd64")
    return path


def test_a_machine_says_what_it_is() -> None:
    assert this.here() == this.Here("x86", "intel-server", "a Xeon", 24, "6.12.57+deb13-amd64")


def compared(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[list[object], str]:
    assert _cli.run(["compare", "hugetlb-munmap", "--here", *arguments, "--json"]) == 0
    written = capsys.readouterr()
    rows = json.loads(written.out)["rows"]
    return [[row[name] for name in ("arch", "platform", "kernel", "cpus")] for row in rows], written.err


def test_compare_asks_about_it(capsys: pytest.CaptureFixture[str]) -> None:
    rows, said = compared(capsys)
    assert rows == [["x86", "intel-server", "6.12.57+deb13-amd64", 24]]
    assert said.startswith("this machine: x86, intel-server, 24 CPUs, kernel 6.12.57+deb13-amd64 (a Xeon)\n")


def test_what_is_given_stays(capsys: pytest.CaptureFixture[str]) -> None:
    rows, said = compared(capsys, "--kernel", "7.0", "--cpus", "4", "--platform", "kvm-guest")
    assert rows == [["x86", "kvm-guest", "7.0", 4]]
    assert said.startswith("this machine: x86 (a Xeon)\n")


def test_explore_and_explain_ask_about_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert _cli.run(["explore", "unshare-gup", "--here", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["platform"], row["kernel"]) == ("intel-server", "6.12.57+deb13-amd64")
    assert _cli.run(["explain", "hugetlb-munmap", "--here", "-p", "tables=1"]) == 0
    assert "with 24 CPUs" in capsys.readouterr().out


def test_a_machine_like_no_platform_is_refused_unless_one_is_given(
    xeon: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    xeon.write_text("model name : something else\n")
    assert _cli.run(["compare", "hugetlb-munmap", "--here"]) == 2
    assert capsys.readouterr().err == (
        "shootdown: error: --here: no platform of x86 is known to be like this CPU (something else); choose one with "
        "--platform: `shootdown list platforms --arch x86`\n"
    )
    rows, _ = compared(capsys, "--platform", "intel-client")
    assert rows == [["x86", "intel-client", "6.12.57+deb13-amd64", 24]]


def test_a_kernel_that_names_no_release_says_what_to_ask_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(this.platform, "release", lambda: "6.8.0-51-generic")
    assert _cli.run(["compare", "hugetlb-munmap", "--here"]) == 2
    assert "/proc/version_signature" in capsys.readouterr().err


# --- which architectures a question is about


def test_without_arch_and_platform_it_is_this_machines(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (("compare", "hugetlb-munmap"), ("explore", "unshare-gup")):
        assert _cli.run([*command, "--kernel", "7.0", "--json"]) == 0
        assert {row["arch"] for row in json.loads(capsys.readouterr().out)["rows"]} == {"x86"}


def test_all_are_those_that_have_a_platform(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        _cli.run(["compare", "anonymous", "--arch", "all", "--cpus", "4", "--kernel", "7.0", "--json"]) == 0
    )
    found = {row["arch"] for row in json.loads(capsys.readouterr().out)["rows"]}
    assert found >= {"x86", "arm64", "powerpc"}


def test_explain_takes_the_newest_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    from shootdown._values.series import newest_known

    assert _cli.run(["explain", "hugetlb-munmap", "--cpus", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["row"]["kernel"] == newest_known()
