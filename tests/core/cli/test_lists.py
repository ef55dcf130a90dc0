"""`shootdown list` and `shootdown plugins` show what is installed, to people and to programs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from shootdown._cli._list import KINDS
from shootdown._values.series import AS_OF, newest_known

Shell = Callable[..., "subprocess.CompletedProcess[str]"]
Plug = Callable[[str, str], None]

GOOD = """
import attrs
from shootdown._values.architecture import Architecture
from shootdown.formats import Format, Level, Piece, Setting, Test, bits
from shootdown._values.changes import Change
from shootdown._values.kernel import switch
from shootdown._values.platform import COST_NAMES, Cost, Costs, Platform
from shootdown import Report, hookimpl
from shootdown._values.parameter import Parameter
from shootdown._values.workload import Workload

@attrs.frozen
class Switches:
    svinval: bool = switch(False, "uses Svinval")

@attrs.frozen
class PlatformSwitches:
    harts: int = switch(4, "harts in a cluster", minimum=1)

SV39 = Format(
    name="sv39", summary="made up", va_bits=39, page_shift=12, present=Test(1, 1), points_to_table=Test(14, 0),
    levels=(
        Level("L2", "pgd", 9, leaf="flag", leaf_needs="giga"), Level("L1", "pmd", 9, leaf="flag"),
        Level("L0", "pte", 9, leaf="always"),
    ),
    address=(Piece(bits(10, 53), up=2),), attributes=(), deny=(),
    settings_known=(
        Setting("giga", False, "has pages of 1 GiB"), Setting("pbits", 56, "bits of an address", 32, 56),
    ),
)

def platform(name, **more):
    return Platform(name, "made up", Costs(**{cost: Cost(1, 1, 1, "made up") for cost in COST_NAMES}), **more)

@hookimpl
def shootdown_architectures():
    return [
        Architecture(
            api=1, name="riscv", summary="made up", aliases=("rv64",), switches=Switches,
            formats=(SV39, attrs.evolve(SV39, name="sv39x", settings_known=SV39.settings_known[:1])),
            changes=(Change(commit="0" * 12, subject="made up", mainline=None, proposal="riscv-idea"),),
            platforms=(platform("board", arch=PlatformSwitches()), platform("qemu")),
        )
    ]

@hookimpl
def shootdown_platforms():
    return {"riscv": [platform("server")]}

@hookimpl
def shootdown_reports():
    return [Report("page", "made up", lambda rows: "", ".html")]

@hookimpl
def shootdown_workloads():
    parameters = (Parameter("tables", 1, "made up"), Parameter("sharers", 2, "made up"))
    return [Workload("storm", "made up", parameters, build=lambda setting: None)]
"""


def listed(shell: Shell, *arguments: str) -> list[dict[str, object]]:
    done = shell("list", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert value["schema"] == 1
    rows: list[dict[str, object]] = value[arguments[0]]
    return rows


def test_architectures_say_which_plugin_they_come_from(shell: Shell, plug: Plug) -> None:
    plug("riscv", GOOD)
    assert {
        "arch": "riscv",
        "aliases": ["rv64"],
        "plugin": "riscv (shootdown-riscv 9.9)",
        "summary": "made up",
    } in listed(shell, "architectures")


def test_platforms_are_listed_with_those_that_plugins_add(shell: Shell, plug: Plug) -> None:
    plug("riscv", GOOD)
    rows = listed(shell, "platforms", "--arch", "rv64")
    assert [(row["arch"], row["platform"]) for row in rows] == [
        ("riscv", "board"),
        ("riscv", "qemu"),
        ("riscv", "server"),
    ]


def test_workloads_are_listed_with_their_parameters(shell: Shell, plug: Plug) -> None:
    plug("riscv", GOOD)
    assert {"workload": "storm", "parameters": ["tables", "sharers"], "summary": "made up"} in listed(
        shell, "workloads"
    )


def test_formats_are_listed_with_levels_address_bits_and_page_sizes(shell: Shell, plug: Plug) -> None:
    plug("riscv", GOOD)
    assert listed(shell, "formats", "--arch", "riscv") == [
        {
            "format": name,
            "arch": "riscv",
            "va_bits": 39,
            "levels": ["pgd 9", "pmd 9", "pte 9"],
            "page_sizes": [4096, 2 << 20],
            "summary": "made up",
        }
        for name in ("sv39", "sv39x")
    ]
    assert "4K, 2M" in shell("list", "formats", "--arch", "riscv").stdout


def test_settings_of_formats_are_listed_once_with_the_formats_that_have_them(
    shell: Shell, plug: Plug
) -> None:
    plug("riscv", GOOD)
    rows = listed(shell, "settings", "--arch", "riscv")
    assert rows == [
        {
            "setting": "format.giga",
            "arch": "riscv",
            "values": ["on", "off"],
            "default": "off",
            "meaning": "has pages of 1 GiB",
            "formats": ["sv39", "sv39x"],
            "all_formats": True,
        },
        {
            "setting": "format.pbits",
            "arch": "riscv",
            "values": ["32 to 56"],
            "default": 56,
            "meaning": "bits of an address",
            "formats": ["sv39"],
            "all_formats": False,
        },
    ]


def test_two_plugins_can_not_bring_the_same_format(shell: Shell, plug: Plug) -> None:
    plug("riscv", GOOD)
    plug(
        "zriscv",
        GOOD.replace('name="riscv"', 'name="zriscv"')
        .replace('"rv64"', '"zrv64"')
        .replace('"storm"', '"zstorm"')
        .replace('{"riscv": [platform("server")]}', "{}"),
    )
    (refused,) = json.loads(shell("plugins", "--json").stdout)["refused"]
    assert (refused["kind"], "format 'sv39'" in refused["reason"]) == ("duplicate", True)


def test_switches_are_the_kernels_the_platforms_and_the_architectures_own(shell: Shell, plug: Plug) -> None:
    plug("riscv", GOOD)
    rows = {row["switch"]: row for row in listed(shell, "switches", "--arch", "riscv")}
    assert rows["kernel.unshare_sync"]["values"] == ["none", "per-table", "last-sharer"]
    assert rows["kernel.rcu_table_free"]["values"] == ["true", "false"]
    assert rows["platform.cpus"]["values"] == ["integer from 1"]
    assert {"commit": "1013af4f585f", "since": "6.16-rc1", "value": "per-table"} in rows[
        "kernel.unshare_sync"
    ]["changes"]
    assert rows["kernel.svinval"] == {
        "switch": "kernel.svinval",
        "arch": "riscv",
        "values": ["true", "false"],
        "changes": [],
        "meaning": "uses Svinval",
    }
    assert rows["platform.harts"]["arch"] == "riscv"


def test_kernels_are_the_newest_of_each_series_and_the_proposals(shell: Shell, plug: Plug) -> None:
    plug("riscv", GOOD)
    rows = listed(shell, "kernels", "--arch", "riscv")
    assert str(rows[0]["kernel"]).startswith("5.10.")
    assert rows[-1] == {
        "kernel": "proposal:riscv-idea",
        "read": None,
        "state": "proposal",
        "changes": [
            {"release": "proposal:riscv-idea", "commit": "0" * 12, "subject": "made up", "arch": "riscv"}
        ],
    }


def test_kernels_say_which_point_release_brought_a_change(shell: Shell) -> None:
    rows = listed(shell, "kernels")
    changes = next(row["changes"] for row in rows if str(row["kernel"]).startswith("6.12."))
    assert ("6.12.35", "1013af4f585f") in {(change["release"], change["commit"]) for change in changes}


def test_kernels_say_as_of_when_the_table_is_and_how_far_each_series_was_read(shell: Shell) -> None:
    everything = json.loads(shell("list", "kernels", "--json").stdout)
    assert everything["kernels_as_of"] == {"date": AS_OF, "newest": newest_known()}
    read = {row["kernel"]: row["read"] for row in everything["kernels"]}
    assert read["6.12.118"] == "6.12.118"
    assert read["7.0.14"] == "7.0"
    assert read["6.11.11"] is None
    said = " ".join(shell("list", "kernels").stdout.split())
    assert f"As of {AS_OF}: the newest release known is {newest_known()}." in said
    assert "sources were read: 5.10.262, 6.1.192, 6.12.118, 7.0, 7.2.13, 7.3.4." in said


def test_what_is_no_list_of_kernels_does_not_say_as_of_when(shell: Shell) -> None:
    assert "kernels_as_of" not in json.loads(shell("list", "platforms", "--json").stdout)
    assert "As of" not in shell("list", "platforms").stdout


def test_without_a_kind_everything_is_counted(shell: Shell, plug: Plug) -> None:
    plug("riscv", GOOD)
    done = shell("list")
    lines = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines() if line[:1].isalpha()}
    assert set(KINDS) <= set(lines)
    everything = json.loads(shell("list", "--json").stdout)
    for kind in KINDS:
        assert int(lines[kind]) == len(everything[kind])


@pytest.mark.parametrize("arguments", [("list",), *(("list", kind) for kind in KINDS), ("plugins",)])
def test_every_table_fits_80_columns_and_has_no_escape_sequences(
    shell: Shell, plug: Plug, arguments: tuple[str, ...]
) -> None:
    plug("riscv", GOOD)
    done = shell(*arguments, environment={"COLUMNS": "80", "FORCE_COLOR": "1", "PYTHONIOENCODING": "utf-8"})
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) >= 3
    assert "\x1b" not in done.stdout
    assert max(len(line) for line in lines if not line.startswith("not loaded")) <= 80


def test_a_table_can_be_written_where_only_ascii_can(shell: Shell, plug: Plug) -> None:
    plug("riscv", GOOD)
    done = shell("list", "platforms", environment={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "board" in done.stdout


def test_a_list_says_that_plugins_were_refused(shell: Shell, plug: Plug) -> None:
    plug("bad", "import nowhere_at_all")
    assert "not loaded: see `shootdown plugins`" in shell("list").stderr


def test_plugins_shows_loaded_and_refused(shell: Shell, plug: Plug) -> None:
    plug("riscv", GOOD)
    plug("bad", "import nowhere_at_all")
    done = shell("plugins")
    assert done.returncode == 1
    row = next(line for line in done.stdout.splitlines() if line.startswith("riscv "))
    assert row.split()[:3] == ["riscv", "shootdown-riscv", "9.9"]
    assert "architecture riscv" in row
    assert (
        "not loaded: bad (shootdown-bad 9.9): ModuleNotFoundError: No module named 'nowhere_at_all'\n"
        in done.stdout
    )


def test_plugins_as_json_has_what_each_provides_and_why_others_are_refused(shell: Shell, plug: Plug) -> None:
    plug("riscv", GOOD)
    plug("bad", "import nowhere_at_all")
    plug("off", GOOD)
    value = json.loads(shell("plugins", "--json", environment={"SHOOTDOWN_DISABLE": "off,x68"}).stdout)
    assert {
        "name": "riscv",
        "distribution": "shootdown-riscv",
        "version": "9.9",
        "module": "plugged_riscv",
        "architectures": ["riscv"],
        "platforms": {"riscv": ["server"]},
        "workloads": ["storm"],
        "scenarios": [],
        "reports": ["page"],
    } in value["loaded"]
    refused = {one["name"]: one for one in value["refused"]}
    assert refused["bad"] == {
        "name": "bad",
        "distribution": "shootdown-bad",
        "version": "9.9",
        "module": "plugged_bad",
        "kind": "broken",
        "reason": "ModuleNotFoundError: No module named 'nowhere_at_all'",
    }
    assert refused["off"]["kind"] == "disabled"
    assert value["notes"] == ["SHOOTDOWN_DISABLE: no plugin is called 'x68'"]
