"""Bad input: what was asked, what there is, and what to do, in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shootdown import _cli

X86 = ("hugetlb-munmap", "--arch", "x86", "--kernel", "7.0", "--cpus", "2")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that is refused, and return the error."""
    assert _cli.run(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("shootdown: error: ")
    return err.removeprefix("shootdown: error: ")


@pytest.mark.parametrize("asked", ["HUGETLB-MUNMAP", "Hugetlb-Munmpa"])
def test_a_name_in_other_letters_is_near_to_the_name_in_small_ones(
    capsys: pytest.CaptureFixture[str], asked: str
) -> None:
    assert "nearest: hugetlb-munmap" in refused(capsys, "compare", asked)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("explain", *X86, "--keep", "1e6"), "'1e6' is not a whole number from 1 to 100000000"),
        (("explore", "unshare-gup", "--states", "x"), "'x' is not a whole number from 1 on"),
        (("matrix", "--jobs", "all"), "'all' is not a whole number from 1 to 256"),
        (("tlb", "x.bin", "--seed", "nan"), "'nan' is not a whole number from 0 to 9223372036854775807"),
        (("compare", *X86, "--set", "cost.lock_ns=1e400"), "cost.lock_ns=1e400: give nanoseconds"),
        (
            ("compare", *X86, "--kernel", "1013af4f585f"),
            "a commit, which 6.16-rc1 has first: write a release",
        ),
        (("reproduce", "mine.toml"), "claims of your own are --file mine.toml"),
        (("read", "trace.txt", "trace.txt"), "recording trace.txt: it is given twice"),
        (("compare", *X86, "-p", "tables=four"), "-p tables=four: it is a whole number from 1 to 1000000"),
    ],
)
def test_what_is_no_number_is_told_what_is(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    assert says in refused(capsys, *words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("explore", "unshare-gup", "--soak", "3", "--states", "5"), "random walks (--soak) keep no states"),
        (("explore", "unshare-gup", "--soak", "3", "--memory", "5M"), "random walks (--soak) keep no states"),
        (
            ("history", "unshare-gup", "--cpus", "4"),
            "unshare-gup is a scenario: how many CPUs it has is its own",
        ),
        (("diff", "6.16", "7.0", "unshare-gup", "--cpus", "4"), "unshare-gup is a scenario"),
        (("history", "anonymous", "--cpus", "4,8"), "'4,8' is not a whole number from 1 on"),
        (("diff", "6.16", "7.0", "anonymous", "--cpus", "x"), "'x' is not a whole number from 1 on"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    assert says in refused(capsys, *words)


@pytest.mark.parametrize("option", ["--perfetto", "--html"])
def test_a_file_without_a_name_is_refused_before_the_run(
    capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert refused(capsys, "explore", "nothing", option, "").startswith(f"{option} .: it is a folder; give")


def test_a_scenario_is_no_workload_and_the_message_says_what_takes_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "it is a scenario: shootdown explore unshare-gup" in refused(capsys, "compare", "unshare-gup")
    assert "it is a workload: shootdown compare anonymous" in refused(capsys, "explore", "anonymous")
    assert "it is a workload: shootdown compare anonymous" in refused(capsys, "matrix", "anonymous")


def test_a_file_that_may_hold_a_scenario_is_told_what_its_name_ends_in(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "scenario"
    file.touch()
    assert f"{file} is a file, but a scenario's name ends in .py" in refused(capsys, "explore", str(file))


@pytest.mark.parametrize("command", ["matrix", "targets"])
def test_two_ways_to_look_are_refused(capsys: pytest.CaptureFixture[str], command: str) -> None:
    message = refused(capsys, command, "--json", "--markdown")
    assert message.startswith("--json and --markdown cannot both hold: ask for one of them")


def test_digits_of_other_scripts_are_no_address(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--format", "x86_64-4level", "--memory", "nothing", "--root", "0")
    assert "is no 64-bit address" in refused(capsys, "walk", *words, "\u0661\u0662")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("compare", *X86, "--csv", "--markdown"), "--csv and --markdown cannot both hold"),
        (("compare", *X86, "--jsonl", "--csv"), "--jsonl and --csv cannot both hold"),
        (("history", "hugetlb-munmap", "--csv", "--jsonl"), "--csv and --jsonl cannot both hold"),
        (("history", "hugetlb-munmap", "--csv", "--advise"), "--csv and --advise cannot both hold"),
        (
            ("compare", *X86, "--patch", "a.py", "--patch", "b.py"),
            "--patch is given twice, and takes one value",
        ),
        (("explore", "unshare-gup", "--seed", "1", "--seed=2"), "--seed is given twice, and takes one value"),
    ],
)
def test_of_two_options_none_is_forgotten_silently(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    assert says in refused(capsys, *words)


def test_a_list_may_be_given_in_parts_and_a_flag_again(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("compare", *X86[:-2], "--cpus", "2", "--cpus", "3", "--json", "--json")
    assert _cli.run(words) == 0
    assert [row["cpus"] for row in json.loads(capsys.readouterr().out)["rows"]] == [2, 3]


@pytest.mark.parametrize("name", ["compare", "explain", "explore", "hunt", "matrix", "targets"])
def test_the_help_of_set_names_costs_where_they_are_taken(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert _cli.run([name, "--help"]) == 0
    told = "cost.NAME" in capsys.readouterr().out
    command = {"explain": ("explain", *X86), "compare": ("compare", *X86)}.get(name, (name, "--arch", "x86"))
    _cli.run([*command, "--set", "cost.nonsense=1"])
    taken = "there is no cost 'nonsense'" in capsys.readouterr().err
    assert told == taken


def test_a_thread_without_a_cpu_is_told_which_there_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "many.toml"
    file.write_text('[process.A]\ncount = 3\ndo = "work 1us"\n')
    said = refused(capsys, "compare", str(file), *X86[1:])
    assert "thread main of A needs CPU 2, and CPUs are 0 to 1: ask for more (--cpus)" in said


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        ((), "if targeted is a patch, give its file: --patch targeted.py"),
        (
            ("--patch", "docs/examples/patches/targeted-sync.py"),
            "the patch's kernel is called 7.0+targeted-sync",
        ),
    ],
)
def test_a_kernel_with_a_patch_is_told_how_it_is_named(
    capsys: pytest.CaptureFixture[str], patch: tuple[str, ...], says: str
) -> None:
    assert says in refused(capsys, "diff", "7.0", "7.0+targeted", "hugetlb-munmap", "--arch", "x86", *patch)


@pytest.mark.parametrize(
    ("typed", "shown"), [("a\u2028b", r"a\u2028b"), ("\x1b[31m", r"\x1b[31m"), ("\udced", r"\udced")]
)
def test_what_cannot_be_printed_stands_escaped_in_one_line(
    capsys: pytest.CaptureFixture[str], typed: str, shown: str
) -> None:
    (line,) = refused(capsys, "calibrate", typed).splitlines()
    assert line == f"{shown}: a platform's file ends in .toml"
