"""`shootdown tlb` counts what it is given, keeps what it counted, and says in one line what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shootdown import _cli
from shootdown._tlb.parameters import PLAIN, geometry_of
from shootdown._traces.simulation import Region
from shootdown._values.errors import ShootdownError

Shell = Callable[..., "subprocess.CompletedProcess[str]"]
PAGES = np.random.default_rng(7).zipf(1.2, 40_000) % 9000
GEOMETRY = ["-p", "l1.entries=64", "-p", "l1.ways=4", "-p", "l2.entries=1536", "-p", "l2.ways=12"]

ROOT = Path(__file__).parents[3]


@pytest.fixture
def trace(tmp_path: Path) -> str:
    np.save(tmp_path / "t.npy", PAGES.astype(np.uint64) * np.uint64(4096) + np.uint64(5))
    return str(tmp_path / "t.npy")


def rows(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> list[dict[str, object]]:
    assert _cli.run(["tlb", *arguments, "--json"]) == status
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)["rows"]
    return found


def counts(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> dict[str, int]:
    (row,) = rows(capsys, *arguments, status=status)
    found = row["counts"]
    assert isinstance(found, dict)
    return found


def expected(l1_sets: int, l1_ways: int, l2_sets: int, l2_ways: int) -> tuple[int, int, int]:
    """Count hits of L1, hits of L2 and walks with ordered dictionaries."""
    sets = [[OrderedDict[int, None]() for _ in range(n)] for n in (l1_sets, l2_sets)]
    found = [0, 0, 0]
    for page in PAGES.tolist():
        for level, ways in ((0, l1_ways), (1, l2_ways)):
            lru = sets[level][page % len(sets[level])]
            hit = page in lru
            lru[page] = None
            lru.move_to_end(page)
            if hit:
                found[level] += 1
                break
            if len(lru) > ways:
                lru.popitem(last=False)
        else:
            found[2] += 1
    return found[0], found[1], found[2]


def test_counts_are_those_of_the_definition(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    l1, l2, walks = expected(16, 4, 128, 12)
    found = counts(capsys, trace, *GEOMETRY, "--walk-cache", "off")
    assert (found["l1_hits"], found["l1_misses"]) == (l1, l2 + walks)
    assert (found["l2_hits"], found["l2_misses"], found["walks"]) == (l2, walks, walks)
    assert (found["accesses"], found["walk_references"], found["walk_cache_hits"]) == (40_000, 4 * walks, 0)
    assert (
        counts(capsys, trace)["walk_references"] < 2 * walks
    )  # the default is this geometry with walk caches
    assert counts(capsys, trace)["l2_hits"] == l2
    other = counts(capsys, trace, "-p", "l1.entries=30", "-p", "l1.ways=6", "-p", "l2.entries=84")
    assert (other["l1_hits"], other["l2_hits"], other["walks"]) == expected(5, 6, 7, 12)
    assert counts(capsys, trace, "-p", "l2.entries=0")["l2_hits"] == 0


def test_each_trace_is_a_row_and_every_size_cpu_and_process_is_in_it(
    tmp_path: Path, trace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = [("address", "u8"), ("kind", "u1"), ("cpu", "u2"), ("process", "u4"), ("page_shift", "u1")]
    records = [
        (0x1000, 0, 0, 7, 0),
        (0x1000, 0, 3, 7, 0),
        (0x1000, 17, 0, 7, 0),
        (0x1000, 0, 3, 7, 0),
        (0x200000, 0, 0, 9, 21),
    ]
    np.save(tmp_path / "events.npy", np.array(records, kinds))
    first, second = rows(capsys, trace, str(tmp_path / "events.npy"))
    assert first["trace"] == trace
    assert second["counts"] == {
        "accesses": 4, "l1_hits": 0, "l1_misses": 4, "l2_hits": 0, "l2_misses": 4, "walks": 4,
        "walk_references": 4 + 4 + 4 + 3, "walk_cache_hits": 0, "flushes": 0, "shootdowns": 1, "interrupts": 1,
    }  # fmt: skip
    assert [row["page_size"] for row in second["page_sizes"]] == [4096, 1 << 21]  # type: ignore[attr-defined]
    assert [(row["cpu"], row["accesses"]) for row in second["cpus"]] == [(0, 2), (3, 2)]  # type: ignore[attr-defined]
    assert [(row["process"], row["walks"]) for row in second["processes"]] == [(7, 3), (9, 1)]  # type: ignore[attr-defined]
    assert _cli.run(["tlb", str(tmp_path / "events.npy")]) == 0
    text = capsys.readouterr().out
    assert "page size" in text
    assert "shootdowns" in text
    assert "process" in text


def test_a_region_has_pages_of_its_own_size(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = rows(capsys, trace, "--map", "0x0-0x200000=2m", "--map", "0x400000-0x600000=2m")
    sizes = {size["page_size"]: size["accesses"] for size in row["page_sizes"]}  # type: ignore[attr-defined]
    huge = int(np.count_nonzero((PAGES < 512) | ((PAGES >= 1024) & (PAGES < 1536))))
    assert sizes == {4096: 40_000 - huge, 1 << 21: huge}
    everything = counts(capsys, trace, "--page-size", "2m")
    assert everything == counts(capsys, trace, "--map", "0-0x8000000000=2m")


@pytest.mark.parametrize("policy", ["tree-plru", "random"])
def test_other_policies_miss_otherwise(policy: str, trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = counts(capsys, trace, "-p", f"policy={policy}", "--walk-cache", "off")
    assert found["accesses"] == 40_000
    assert found["l1_hits"] != counts(capsys, trace)["l1_hits"]
    again = counts(capsys, trace, "-p", f"policy={policy}", "--walk-cache", "off")
    seeded = counts(capsys, trace, "-p", f"policy={policy}", "--walk-cache", "off", "--seed", "5")
    assert again == found
    assert (seeded != found) == (policy == "random")


def test_exclusive_levels_hold_more_and_inclusive_ones_less(
    trace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ("-p", "l1.entries=64", "-p", "l2.entries=96", "-p", "l2.ways=6")
    walks = [
        counts(capsys, trace, *small, "-p", f"inclusion={inclusion}")["walks"]
        for inclusion in ("exclusive", "independent", "inclusive")
    ]
    assert walks[0] < walks[1] < walks[2]


def test_a_platform_gives_the_geometry(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = rows(capsys, trace, "--arch", "x86", "--platform", "intel-server")
    assert row["geometry"]["l1"][0]["entries"] == 96  # type: ignore[index]
    (row,) = rows(
        capsys, trace, "--arch", "x86", "--platform", "intel-server", "-p", "l1.entries=48", "--walk-cache", "off"
    )  # fmt: skip
    assert [cache["entries"] for cache in row["geometry"]["l1"]] == [48, 32, 8]  # type: ignore[index]
    assert row["geometry"]["walk_caches"] == []  # type: ignore[index]
    zen = counts(capsys, trace, "--arch", "x86", "--platform", "amd-server")
    assert zen["walks"] < counts(capsys, trace)["walks"]


def test_a_trace_that_breaks_off_is_counted_up_to_there(
    tmp_path: Path, trace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.bin"
    cut.write_bytes((PAGES.astype(np.uint64) * np.uint64(4096)).tobytes()[: 8 * 5000 + 3])
    assert _cli.run(["tlb", str(cut), trace, "--json"]) == 2
    captured = capsys.readouterr()
    broken, whole = json.loads(captured.out)["rows"]
    assert broken["counts"]["accesses"] == 5000
    assert broken["fault"]["place"] == "byte 40,003, address 5,000"
    assert whole["counts"]["accesses"] == 40_000
    assert whole["fault"] is None
    assert captured.err.splitlines() == [
        f"shootdown: error: trace {cut}: byte 40,003, address 5,000: "
        "the file ends after 3 of the 8 bytes of address 5,000",
        "  (counted up to there)",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.npy"], "trace nowhere.npy: there is no such file"),
        (["TRACE", "-p", "l1.entires=4"], "there is no parameter 'l1.entires'; nearest: l1.entries"),
        (["TRACE", "-p", "l1.entries=30"], "4 ways do not divide 30 entries"),
        (["TRACE", "-p", "l1.entries=-4"], "l1.entries=-4: give a whole number"),
        (["TRACE", "-p", "l1.policy=fifo"], "policy is 'fifo'; there is: lru, random, tree-plru"),
        (["TRACE", "-p", "l2.index=xor7", "-p", "l2.entries=64"], "64 entries"),
        (
            ["TRACE", "-p", "inclusion=partial"],
            "inclusion is 'partial'; there is: exclusive, inclusive, independent",
        ),
        (["TRACE", "-p", "l1.entries=0"], "it has no first level"),
        (["TRACE", "--page-size", "5000"], "page size 5000: give a power of two"),
        (["TRACE", "--page-size", "much"], "'much' is not a size"),
        (["TRACE", "--map", "7"], "--map '7': write START-END=SIZE"),
        (["TRACE", "--map", "0x1000-0x3000=2m"], "it isn't whole pages of 2097152 bytes"),
        (["TRACE", "--platform", "intel-sever"], "there is no platform 'intel-sever'; nearest: intel-server"),
        (["TRACE", "--format", "lacky"], "there is no trace format 'lacky'; nearest: lackey"),
        (["TRACE", "--walk-cache", "maybe"], "Invalid value for '--walk-cache'"),
        ([], "Missing argument 'TRACE...'"),
    ],
)
def test_bad_arguments_are_one_line_and_do_without_numba(
    arguments: list[str], message: str, trace: str
) -> None:
    words = ["tlb", *(trace if word == "TRACE" else word for word in arguments)]
    code = f"import sys; from shootdown._cli import run; print(run({words!r}), 'numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_help_does_without_numba_and_numpy() -> None:
    code = "import sys; from shootdown._cli import run; run(['tlb', '--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--walk-cache" in done.stdout
    assert not {"numba", "numpy"} & set(done.stdout.split())


def test_regions_that_overlap_are_refused(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _cli.run(["tlb", trace, "--map", "0-0x400000=2m", "--map", "0x200000-0x600000=2m"]) == 2
    assert "another one overlaps it" in capsys.readouterr().err


def test_what_was_counted_is_reported_when_it_is_interrupted(
    trace: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from shootdown._traces import stream

    feed, fed = stream.Passes.feed, []

    def interrupted(self: stream.Passes, columns: object) -> None:
        feed(self, columns)  # type: ignore[arg-type]
        fed.append(columns)
        raise KeyboardInterrupt

    monkeypatch.setattr(stream.Passes, "feed", interrupted)
    assert _cli.run(["tlb", trace, "--json"]) == 130
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["counts"]["accesses"] == 40_000
    assert len(fed) == 1


def test_an_interrupt_between_new_cpus_and_their_counters_loses_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from shootdown._traces import stream

    def interrupted(self: stream.Records) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stream.Records, "_grow", interrupted)
    assert _cli.run(["tlb", str(ROOT / "docs" / "examples" / "threads.npy"), "--json"]) == 130
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["counts"]["accesses"] == 0


def test_a_size_gets_a_cache_of_its_own() -> None:
    geometry = geometry_of({"l1.2m.entries": 8, "l1.2m.ways": 8, "l1.1g.entries": 0, "walk.1g.entries": 0})
    assert [(c.entries, c.page_sizes) for c in geometry.l1] == [(8, (1 << 21,)), (64, (4096,))]
    assert [c.page_sizes for c in geometry.walk_caches] == [(1 << 21,), (1 << 39,)]
    assert geometry_of({"walk.entries": 0}).walk_caches == ()
    assert geometry_of({}, walk_cache=False).walk_caches == ()
    assert geometry_of({"walk.1g.entries": 8}, geometry_of({"walk.entries": 0})).walk_caches[0].ways == 8
    assert geometry_of({}) == PLAIN
    with pytest.raises(ShootdownError, match=r"say how large: l1\.64k\.entries"):
        geometry_of({"l1.64k.ways": 4})
    with pytest.raises(ShootdownError, match="there is no walk cache to change"):
        geometry_of({"walk.ways": 4}, geometry_of({}, walk_cache=False))


def test_a_region_has_pages_of_a_size_that_there_is() -> None:
    with pytest.raises(ShootdownError, match="power of two"):
        Region(0, 4096, 12)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert _cli.run(["tlb", *arguments]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("entries", [10**12, 10**30])
def test_a_cache_of_more_entries_than_any_has_is_refused(
    capsys: pytest.CaptureFixture[str], trace: str, entries: int
) -> None:
    said = refused(capsys, trace, "-p", f"l1.entries={entries}", "-p", "l1.ways=4")
    assert f"cache of {entries} entries, 4 ways: it has more than 16,777,216 entries" in said


@pytest.mark.parametrize("suffix", ["gz", "xz"])
def test_a_file_that_is_not_packed_as_its_name_says_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"t.bin.{suffix}"
    path.write_bytes(PAGES.astype(np.uint64).tobytes())
    assert "it is not packed with" in refused(capsys, str(path))
    assert "it is not packed with" in refused(capsys, str(path), "--format", "bin")


@pytest.mark.parametrize(
    ("start", "packer"),
    [(b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh91AY&SY", "bzip2"), (b"\x04\x22\x4d\x18", "lz4")],
)
def test_a_file_that_is_packed_otherwise_is_refused_with_what_to_do(capsys, tmp_path, start, packer):
    path = tmp_path / "trace"
    path.write_bytes(start + bytes(100))
    assert f"it is packed with {packer}: give what `{packer} -dc` makes of it" in refused(capsys, str(path))


def test_a_name_that_is_too_long_gets_one_line(capsys):
    assert "too long" in refused(capsys, "x" * 300)


def test_text_without_a_line_of_drmemtrace_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "t.txt"
    path.write_text("no line of it\n" * 3)
    said = refused(capsys, str(path), "--format", "drmemtrace")
    assert "line 4, byte 42: no line before it is drmemtrace text" in said
