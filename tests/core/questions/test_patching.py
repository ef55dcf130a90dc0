"""Patches: functions of a file replace kernel functions by name, and what is wrong in a file is one line."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shootdown
from shootdown._machine.functions import DECLARED
from shootdown._questions.case import Case
from shootdown._questions.compare import cases
from shootdown._questions.difference import diff
from shootdown._questions.explore import explorations, explore_case
from shootdown._questions.history import history
from shootdown._questions.matrix import jobs, run_job
from shootdown._values.errors import ShootdownError
from shootdown._values.renames import RENAMES
from shootdown._values.workload import Workload

EXAMPLES = Path(__file__).parents[3] / "docs/examples/patches"
SKIP, TARGETED, LOCAL = (
    str(EXAMPLES / f"{name}.py") for name in ("skip-redundant-sync", "targeted-sync", "arm64-local-tlbi")
)
HEAD = "from shootdown.patches import Field, Parameter, Patch, ops, replaces\n"
SYNC = '@replaces("tlb_remove_table_sync_one")\ndef sync(call, why):\n'


def written(folder: Path, text: str, name: str = "mine.py") -> str:
    """Write a patch file and return its path."""
    path = folder / name
    path.write_text(HEAD + text)
    return str(path)


def row(
    patch: str | None,
    kernel: str = "7.0",
    arch: str = "x86",
    workload: str = "hugetlb-munmap",
    **more: object,
):
    """Return the row of one run."""
    settings = more.pop("settings", ())
    platforms = more.pop("platforms", ())
    (found,) = shootdown.compare(
        workload,
        arch=[arch],
        platforms=platforms,
        kernels=[kernel],
        parameters=more,
        settings=settings,
        patch=patch,
    )
    return found


# --- what a patch does


def test_a_function_that_only_calls_the_original_changes_no_step(tmp_path: Path) -> None:
    same = written(tmp_path, SYNC + "    call.original()\n")
    one, other = (prepared(patch) for patch in (None, same))
    plain, patched = one.program.build(one.setup()).code, other.program.build(other.setup()).code
    assert patched.steps.tolist() == plain.steps.tolist()
    assert patched.notes == plain.notes


def prepared(patch: str | None) -> Case[Workload]:
    """Return a case of which the sync is a part."""
    (case,) = cases("hugetlb-munmap", arch=["x86"], kernels=["7.0"], patch=patch)
    return case


def test_a_function_can_be_left_out_called_twice_or_called_with_another_argument(tmp_path: Path) -> None:
    plain = row(None).counts["sync_broadcasts"]
    assert plain == 1
    assert row(written(tmp_path, SYNC + "    pass\n")).counts["sync_broadcasts"] == 0
    twice = SYNC + "    call.original()\n    call.original(why='again')\n"
    assert row(written(tmp_path, twice)).counts["sync_broadcasts"] == 2


def test_a_function_can_call_another_kernel_function_by_name(tmp_path: Path) -> None:
    head = '@replaces("tlb_end_vma")\ndef end(call, g, fullmm, pfn_map):\n'
    text = head + '    call.function("tlb_remove_table_sync_one")\n'
    assert row(written(tmp_path, text)).counts["sync_broadcasts"] == row(None).counts["sync_broadcasts"] + 1


def test_a_function_that_gets_what_writes_its_body_can_be_wrapped_or_left_out(tmp_path: Path) -> None:
    """A flush reaches lazy CPUs only if free_pgtables() has queued a page table."""
    wrapped = written(
        tmp_path, '@replaces("free_pgtables")\ndef f(call, free):\n    call.original()\n', "same.py"
    )
    without = written(tmp_path, '@replaces("free_pgtables")\ndef f(call, free):\n    pass\n', "without.py")
    given = {"workload": "anonymous", "threads": 2, "state": "lazy"}
    assert row(wrapped, **given).counts == row(None, **given).counts
    assert row(None, **given).counts["flush_ipis"] == 2
    assert row(without, **given).counts["flush_ipis"] == 0


def test_a_row_is_called_by_kernel_and_file_and_says_what_was_replaced(tmp_path: Path) -> None:
    about = 'PATCH = Patch(subject="skip it", message_id="1@x", note="v2")\n'
    found = row(written(tmp_path, about + SYNC + "    pass\n"))
    assert found.kernel == "7.0+mine"
    assert found.remarks == ("patch mine replaces tlb_remove_table_sync_one(); skip it <1@x>; v2",)
    told = found.to_dict()["patch"]
    assert (told["name"], told["message_id"], told["replaces"]) == (
        "mine",
        "1@x",
        ["tlb_remove_table_sync_one"],
    )
    assert "patch" not in row(None).to_dict()


def test_a_patch_has_a_switch_of_its_own() -> None:
    off = row(SKIP, settings=["patch.implied=false"])
    assert off.counts["sync_broadcasts"] == 1
    assert off.set == {"patch.implied": "false"}
    assert row(SKIP).counts["sync_broadcasts"] == 0


def test_a_function_that_this_run_does_not_call_is_named_in_a_remark() -> None:
    found = row(SKIP, workload="thp-collapse", gib=1, threads=2)
    assert "patch skip-redundant-sync: tlb_flush() is never called here" in found.remarks


# --- all releases


def test_history_has_the_patch_on_each_release_and_says_where_a_function_is_not_called() -> None:
    found = history("hugetlb-munmap", arch=["x86"], platforms=["qemu-tcg"], series=["mainline"], patch=SKIP)
    assert [(one.first, one.last) for one in found.rows] == [("5.10", "5.15"), ("5.16", "7.3")]
    assert [one.outcome.counts["sync_broadcasts"] for one in found.rows] == [0, 0]
    never = "patch skip-redundant-sync: tlb_remove_table_sync_one() is never called here"
    assert [one.remarks for one in found.rows] == [(never,), ()]
    assert all(one.to_dict()["patch"]["name"] == "skip-redundant-sync" for one in found.rows)
    (remark,) = found.remarks
    assert remark.startswith("patch skip-redundant-sync replaces tlb_remove_table_sync_one(), tlb_flush()")


def test_diff_blames_the_function_of_a_patch_that_only_one_kernel_has() -> None:
    found = diff(
        "7.0",
        "7.0+skip-redundant-sync",
        ["hugetlb-munmap", "unshare-gup"],
        arch=["x86"],
        platforms=["qemu-tcg"],
        patch=SKIP,
    )
    (syncs,) = (one for one in found.rows if one.name == "sync_broadcasts")
    assert (syncs.before, syncs.after) == (1, 0)
    assert syncs.blame.commits == ("tlb_remove_table_sync_one()",)
    assert "skip redundant sync" in found.changes["tlb_remove_table_sync_one()"].subject
    assert (found.before, found.after) == ("7.0", "7.0+skip-redundant-sync")
    assert found.to_dict()["patch"]["name"] == "skip-redundant-sync"


def test_diff_of_two_releases_has_the_patch_on_both_and_its_switch_turns_it_off() -> None:
    where = {"arch": ["x86"], "platforms": ["qemu-tcg"], "patch": SKIP}
    on = diff("6.16", "7.0", ["hugetlb-munmap"], **where)
    assert (on.before, on.after) == ("6.16+skip-redundant-sync", "7.0+skip-redundant-sync")
    assert on.rows == ()
    off = diff("6.16", "7.0", ["hugetlb-munmap"], settings=["patch.implied=false"], **where)
    assert {one.name for one in off.rows} >= {"sync_broadcasts"}


@pytest.mark.parametrize("ask", [history, functools.partial(diff, "6.16", "7.0")])
def test_history_and_diff_refuse_a_name_that_no_run_calls(ask: Callable[..., Any], tmp_path: Path) -> None:
    typo = written(tmp_path, SYNC.replace("sync_one", "sync_on") + "    pass\n")
    with pytest.raises(
        ShootdownError, match=r"no kernel function tlb_remove_table_sync_on\(\) here; nearest"
    ):
        ask(["hugetlb-munmap"] if ask is not history else "hugetlb-munmap", arch=["x86"], patch=typo)


def test_diff_of_one_release_twice_says_how_to_ask_for_the_patch_alone() -> None:
    with pytest.raises(ShootdownError, match=r"or 7\.0 and 7\.0\+skip-redundant-sync$"):
        diff("7.0", "7.0", ["hugetlb-munmap"], arch=["x86"], patch=SKIP)


# --- what can be wrong


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            SYNC.replace("sync_one", "sync_on") + "    pass\n",
            "there is no kernel function tlb_remove_table_sync_on",
        ),
        (
            SYNC.replace("_sync_one", "") + "    pass\n",
            r"mine.py, line 2: .*to take \(call, g, count, cleared",
        ),
        (SYNC + "    1 / 0\n", r"mine.py, line 4: .*ZeroDivisionError: division by zero"),
        (SYNC + "    call.original(wy=1)\n", r"mine.py, line 4: .*no argument 'wy'; nearest: why"),
        (SYNC + "    call.switch('a')\n", r"mine.py, line 4: .*no switch 'a'"),
        (SYNC + "    call.function('tlb_flush_mu', 0)\n", r"mine.py, line 4: .*nearest: tlb_flush_mmu"),
        (SYNC + "    call.asm.send(99)\n", r"mine.py, line 4: SEND: call 99"),
        (SYNC.replace("why", "") + "    pass\n", r"mine.py, line 2: .*is to take \(call, why\)"),
        (SYNC + "    pass\n" + SYNC.replace("def sync", "def other") + "    pass\n", "is replaced twice"),
        ("PATCH = 3\n" + SYNC + "    pass\n", "PATCH is 3"),
        ("PATCH = Patch(switches=[1])\n", r"mine.py, line 2: .*is a Parameter, not 1"),
        ("PATCH = Patch(switches=5)\n", r"mine.py, line 2: .*a tuple of Parameters, not 5"),
        (
            'PATCH = Patch(switches=[Parameter("a b", 1, "x")])\n' + SYNC + "    pass\n",
            "the parameter name 'a b'",
        ),
        (
            SYNC + "    yield\n",
            r"mine.py, line 2: .*returned a generator; it writes steps, and returns nothing",
        ),
        (SYNC + "    return 7\n", r"mine.py, line 2: .*returned 7; it writes steps"),
        (SYNC + "    raise SystemExit\n", r"mine.py, line 4: .*: SystemExit$"),
        ("@replaces\ndef f(call): pass\n", r"mine.py, line 2: .*architecture's, not a function$"),
        ("import nothing_of_that_name\n", r"mine.py, line 2: .*ModuleNotFoundError"),
        ("def f(:\n", "SyntaxError"),
        ("", "it replaces nothing"),
        ('@replaces("a b")\ndef f(call): pass\n', r"mine.py, line 2: .*takes the name of a kernel function"),
        (
            '@replaces("tlb_flush", arch="arm64")\ndef f(call, g): pass\n',
            "replaces nothing on x86: it is for arm64",
        ),
        ('@replaces("munmap")\ndef f(call): pass\n', "written in place"),
        (
            '@replaces("contpte_convert")\ndef f(call, block): pass\n',
            "there is no kernel function contpte_convert",
        ),
        ('@replaces("cleanup_lazy_tlbs")\ndef f(call): pass\n', "is never called here"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ShootdownError, match=said) as caught:
        row(written(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "said"),
    [("no.py", "there is no such file"), ("patch.diff", "does not end in .py"), (3, "is the path")],
)
def test_what_is_no_patch_file_is_refused(file: str, said: str) -> None:
    with pytest.raises(ShootdownError, match=said):
        row(file)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("patch.implid=true", "has no switch 'implid'; nearest: implied"),
        ("patch.implied=7", "--set patch.implied=7: it is true or false"),
    ],
)
def test_a_switch_that_is_unknown_or_out_of_range_is_refused(setting: str, said: str) -> None:
    with pytest.raises(ShootdownError, match=said):
        row(SKIP, settings=[setting])


def test_a_function_for_an_architecture_that_is_not_here_is_named_in_a_remark(tmp_path: Path) -> None:
    """It may be one that somebody else has installed, or misspelt: the run goes on without it and says so."""
    text = SYNC + '    pass\n@replaces("tlb_flush", arch="x68")\ndef flush(call, g): pass\n'
    said = "patch mine: tlb_flush() is for x68, which is no architecture here; nearest: x86"
    assert said in row(written(tmp_path, text)).remarks


# --- the proposals, as patches


@pytest.mark.parametrize("base", ["6.18", "7.0"])
@pytest.mark.parametrize(
    ("workload", "parameters"),
    [
        ("hugetlb-munmap", {"walkers": 1, "threads": 2, "state": "lazy"}),
        ("hugetlb-munmap", {"tables": 3, "sharers": 3, "allocation_fails": True}),
        ("hugetlb-exit", {}),
        ("hugetlb-mprotect", {"threads": 2, "walkers": 2}),
        ("thp-collapse", {"gib": 1, "threads": 2}),
    ],
)
@pytest.mark.parametrize(
    "machine", ["x86 intel-server", "x86 amd-server", "x86 kvm-guest", "arm64 neoverse-v2"]
)
@pytest.mark.parametrize("patch", [SKIP, TARGETED])
def test_proposals_as_patches_count_as_the_switches_do(
    patch: str, machine: str, workload: str, parameters: dict[str, object], base: str
) -> None:
    arch, platform = machine.split()
    kernel = f"proposal:{Path(patch).stem}@{base}"
    switched = row(None, kernel, arch, workload, platforms=[platform], **parameters)
    patched = row(patch, base, arch, workload, platforms=[platform], **parameters)
    assert (patched.counts, patched.times) == (switched.counts, switched.times)


@pytest.mark.parametrize("arch", ["x86", "arm64"])
@pytest.mark.parametrize("patch", [SKIP, TARGETED])
def test_proposals_as_patches_have_the_verdicts_of_the_switches(patch: str, arch: str) -> None:
    for sharers in (2, 3):
        verdicts = []
        for kernel, file in (("7.0", patch), (f"proposal:{Path(patch).stem}@7.0", None)):
            (case,) = explorations(
                "unshare-gup", arch=[arch], kernels=[kernel], parameters={"sharers": sharers}, patch=file
            )
            found = explore_case(case)
            verdicts.append((found.verdict, found.invariant))
        assert verdicts[0] == verdicts[1]


# --- names by release


def _names(*names: str) -> str:
    marks = "".join(f'@replaces("{name}")\n' for name in names)
    return marks + "def walked(call, walk):\n    call.original()\n"


def test_a_function_goes_by_the_name_of_the_release_or_a_later_one(tmp_path: Path) -> None:
    for names, kernel in ((["gup_pgd_range"], "6.1"), (["gup_fast_pgd_range"], "7.0")):
        assert row(written(tmp_path, _names(*names)), kernel, walkers=1).kernel == f"{kernel}+mine"
    both = written(tmp_path, _names("gup_pgd_range", "gup_fast_pgd_range"))
    assert [row(both, kernel, walkers=1).kernel for kernel in ("6.1", "7.0")] == ["6.1+mine", "7.0+mine"]


def test_an_old_name_on_a_new_release_is_told_the_new_one(tmp_path: Path) -> None:
    said = r"gup_pgd_range\(\) is called gup_fast_pgd_range\(\) since 6.10 \(23babe1934d7"
    with pytest.raises(ShootdownError, match=said):
        row(written(tmp_path, _names("gup_pgd_range")), "7.0", walkers=1)
    emptied = '@replaces("try_get_and_clear_pmd")\ndef f(call, g, count, lo, queue):\n    call.original()\n'
    with pytest.raises(ShootdownError, match=r"is called zap_empty_pte_table\(\) since 7.2"):
        row(written(tmp_path, emptied), "7.3")


def test_each_renamed_function_is_written_under_one_of_its_names() -> None:
    for one in RENAMES:
        assert one.written in (one.before, one.after)
        assert one.written in DECLARED


# --- fields of a patch


@pytest.mark.parametrize(("barrier", "verdict"), [("true", "safe"), ("false", "bug")])
def test_a_store_to_a_field_waits_in_the_store_buffer(barrier: str, verdict: str) -> None:
    """Without smp_mb() the sync may see no walker while the walker sees the old PMD entry."""
    (found,) = shootdown.explore(
        "khugepaged-gup-table",
        arch=["arm64"],
        kernels=["7.0"],
        patch=TARGETED,
        settings=[f"patch.barrier={barrier}"],
    )
    assert found.verdict == verdict


def test_a_patch_with_its_switch_off_is_the_kernel_without_it() -> None:
    where = {"arch": ["x86"], "platforms": ["qemu-tcg"], "patch": TARGETED}
    off = diff("7.0", "7.0+targeted-sync", ["hugetlb-munmap"], settings=["patch.targeted=false"], **where)
    assert off.rows == ()
    on = diff("7.0", "7.0+targeted-sync", ["hugetlb-munmap"], **where)
    assert "sync_ipis" in {one.name for one in on.rows}


@pytest.mark.parametrize("by", ["machine", "mm", "cpu"])
def test_a_field_lets_the_first_sync_out(by: str, tmp_path: Path) -> None:
    head = f"PATCH = Patch(fields=[Field('left', by='{by}', first=1)])\n"
    text = """\
    with call.field("left").if_equal(1) as there:
        call.field("left").store(0)
        there.otherwise()
        call.original()
"""
    assert row(None, "6.16", tables=4).counts["sync_broadcasts"] == 4
    assert row(written(tmp_path, head + SYNC + text), "6.16", tables=4).counts["sync_broadcasts"] == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "PATCH = Patch(fields=[Field('a', by='task')])\n" + SYNC + "    pass\n",
            "by= is one of cpu, mm, machine",
        ),
        ("PATCH = Patch(fields=[Field('a b', by='mm')])\n" + SYNC + "    pass\n", "the name of a Field"),
        (
            "PATCH = Patch(fields=[Field('a', by='mm', first=-1)])\n" + SYNC + "    pass\n",
            "first= is a whole number",
        ),
        ("PATCH = Patch(fields=[1])\n" + SYNC + "    pass\n", "a field of a Patch is a Field, not 1"),
        ("PATCH = Patch(fields=3)\n" + SYNC + "    pass\n", "a tuple of Fields, not 3"),
        (
            "PATCH = Patch(fields=[Field('a', by='mm'), Field('a', by='mm')])\n" + SYNC + "    pass\n",
            "two fields of a Patch are called a",
        ),
        (SYNC + "    call.field('a')\n", r"mine.py, line 4: the patch declares no field 'a'; there is none"),
        (
            "PATCH = Patch(fields=[Field('a', by='mm')])\n" + SYNC + "    call.field('a').keep_targets(1)\n",
            r"mine.py, line 5: field a is by mm: keep_targets\(\) takes one by cpu",
        ),
        (
            "PATCH = Patch(fields=[Field('a', by='mm')])\n" + SYNC + "    call.field('a').store(-1)\n",
            r"mine.py, line 5: field a: a value is a whole number from 0 to 32767, or call.mm, not -1",
        ),
    ],
)
def test_what_is_wrong_with_a_field_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ShootdownError, match=said) as error:
        row(written(tmp_path, text))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("patch", [SKIP, TARGETED])
def test_targets_judges_a_patch_as_it_judges_the_switches(patch: str) -> None:
    (patched,) = shootdown.targets(arch=["x86"], platforms=["intel-server"], kernels=["7.0"], patch=patch)
    name = Path(patch).stem
    (switched,) = shootdown.targets(
        arch=["x86"], platforms=["intel-server"], kernels=[f"proposal:{name}@7.0"]
    )
    assert patched.kernel == f"7.0+{name}"
    one, other = patched.to_dict(), switched.to_dict()
    assert one.pop("patch")["name"] == name
    for told in (one, other):
        del told["kernel"], told["evidence"]
    assert one == other


def test_a_local_tlbi_is_of_an_mm_that_only_ever_ran_on_one_cpu() -> None:
    alone = row(LOCAL, arch="arm64", workload="anonymous", threads=0)
    assert alone.counts["broadcast_invalidations"] == 0
    executed = {name: times for name, times in alone.instructions.items() if times}
    assert executed == {"tlbi_vale1": 1, "tlbi_rvae1": 1}
    for state in ("spin", "lazy", "switched"):
        shared = {"threads": 2, "state": state, "workload": "anonymous", "arch": "arm64"}
        assert row(LOCAL, **shared).counts == row(None, **shared).counts


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_each_example_has_a_message_id_and_at_most_40_lines(file: Path) -> None:
    from shootdown._questions.patching import read_patch

    assert read_patch(file).about.message_id
    assert len(file.read_text().splitlines()) <= 40


def test_a_story_of_a_patched_kernel_is_replayed_with_its_patch(tmp_path: Path) -> None:
    from shootdown._questions.saved import read_rows, replay_row

    without = written(tmp_path, SYNC + "    pass\n")
    (found,) = shootdown.explore("unshare-gup", arch=["arm64"], kernels=["7.0"], patch=without)
    assert (found.verdict, found.kernel) == ("bug", "7.0+mine")
    (told,) = read_rows(json.dumps({"schema": 1, "rows": [found.to_dict()]}), "saved")
    assert replay_row(told, "saved").case.kernel.name == found.kernel


def test_matrix_tells_patched_kernels_apart() -> None:
    prepared = jobs(
        ["unshare-walk-cache"], arch=["arm64"], kernels=["7.0", "7.1"], platforms=["neoverse-v2"], patch=LOCAL
    )
    rows = [row for job in prepared for row in run_job(job)]
    assert [(row.kernel, row.verdict) for row in rows] == [
        ("7.0+arm64-local-tlbi", "bug"),
        ("7.1+arm64-local-tlbi", "safe"),
    ]
    assert all(row.to_dict()["patch"]["name"] == "arm64-local-tlbi" for row in rows)
