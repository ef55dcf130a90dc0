"""Page tables in memory images, from Python: what `shootdown.walk` and `shootdown.mapped` answer."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from twins.images import npz_image, raw_image, space_at

import shootdown
from shootdown._plugins.registry import registry
from shootdown._questions.image import OUTSIDE
from shootdown.formats import AddressSpace, Format, PhysicalMemory
from shootdown_x86._formats import X86_64_4LEVEL, X86_PAE

WALKS = Path(__file__).parents[2] / "oracle" / "walks"
TREES = [form for form in registry().formats().values() if isinstance(form, Format)]
K4, M2, G1 = 4096, 1 << 21, 1 << 30
BASE = 0x4000_3000


@pytest.mark.parametrize("format_", TREES, ids=lambda f: f.name)
def test_a_raw_image_begins_at_its_base_and_an_npz_at_its_own_frames(tmp_path, format_):
    """In every format that is installed."""
    page = 1 << format_.page_shift
    space = space_at(format_, BASE)
    space.map(64 * page, 0x1234_0000, 3 * page, "rw")
    raw = raw_image(tmp_path / "m.raw", space, BASE, 1 << 20)
    npz = npz_image(tmp_path / "m.npz", space, BASE, BASE + (1 << 20))
    for image, base in ((raw, BASE), (npz, 0), (space.memory, 0)):
        where = {"format": format_.name, "root": space.root, "base": base}
        found = shootdown.walk(image, [65 * page + 0xABC, 67 * page], **where)
        assert [row.pa for row in found] == [0x1234_0ABC + page, None]
        assert [row.page_size for row in found] == [page, None]
        assert [row.user and row.user[:2] for row in found] == ["rw", None]
        assert found[1].fault
        assert found[1].fault_code_name not in ("", "code")
        ranges = list(shootdown.mapped(image, **where))
        assert [(r.va, r.pa, r.size) for r in ranges] == [(64 * page, 0x1234_0000, 3 * page)]
    with pytest.raises(shootdown.ShootdownError, match="outside of the image"):
        shootdown.walk(raw, 0, format=format_.name, root=space.root, base=BASE + (4 << 20))


def test_a_sparse_image_of_terabytes_costs_what_is_in_it(tmp_path):
    base = 3 << 39
    space = space_at(X86_64_4LEVEL, base)
    space.map(0x7F00_0000_0000, 0x12_3456_7000, K4, "r")
    image = tmp_path / "sparse.raw"
    with image.open("wb") as file:
        os.truncate(file.fileno(), 4 << 40)
        for n in range(4):
            file.seek(base + n * K4)
            file.write(space.memory.read(base + n * K4, K4))
    assert image.stat().st_blocks * 512 < 1 << 20
    (found,) = shootdown.walk(image, 0x7F00_0000_0000, format="x86_64-4level", root=space.root)
    assert found.pa == 0x12_3456_7000
    assert len(list(shootdown.mapped(image, format="x86_64-4level", root=space.root))) == 1


def test_every_translation_of_a_real_kernel_with_its_permissions():
    oracle = json.loads((WALKS / "amd64-4l.json").read_text())
    where = {"format": "x86_64-4level", "root": int(oracle["root"], 16)}
    rows = oracle["translations"]
    found = shootdown.walk(WALKS / "amd64-4l.npz", [int(row["va"], 16) for row in rows], **where)
    rights = {
        "anon_rw": "rw-", "stack": "rw-", "bss": "rw-", "anon_ro": "r--", "zero_page_ro": "r--",
        "anon_rx": "r-x", "text": "r-x", "thp": "rw-", "hugetlb": "rw-",
    }  # fmt: skip
    for row, answer in zip(rows, found, strict=True):
        if row["pa"] is None:
            assert (answer.pa, answer.fault, answer.user) == (None, "#PF", None), row
            continue
        assert answer.pa == int(row["pa"], 16), row
        assert answer.fault is None
        assert answer.user == rights[row["kind"]], row
        assert answer.page_size == (M2 if row["kind"] in ("thp", "hugetlb") else K4), row


@pytest.mark.parametrize(
    ("access", "supervisor", "fault", "code"),
    [
        ("read", False, None, None),
        ("write", False, "#PF", 7),
        ("execute", False, "#PF", 0x15),
        ("read", True, None, None),
        ("write", True, "#PF", 3),
    ],
)
def test_an_access_that_is_refused_is_a_fault_with_the_architectures_code(access, supervisor, fault, code):
    space = AddressSpace(X86_64_4LEVEL, PhysicalMemory())
    space.map(0x1000, 0x5000, K4, "r")
    (found,) = shootdown.walk(
        space.memory, 0x1000, format=X86_64_4LEVEL, root=space.root, access=access, supervisor=supervisor
    )
    assert (found.fault, found.fault_code) == (fault, code)
    assert found.pa == (0x5000 if fault is None else None)
    assert (found.level, found.user, found.supervisor) == (3, "r--", "r--")


def test_a_setting_of_the_cpu_changes_the_answer():
    space = AddressSpace(X86_64_4LEVEL, PhysicalMemory(), settings=X86_64_4LEVEL.settings(maxphyaddr=52))
    space.map(0x1000, 1 << 47, K4, "rx")
    answers = [
        shootdown.walk(
            space.memory, 0x1000, format=X86_64_4LEVEL, root=space.root, settings={"maxphyaddr": bits}
        )[0]
        for bits in (46, 52)
    ]
    assert [answer.pa for answer in answers] == [None, 1 << 47]
    assert answers[0].reason == "reserved bit set"
    (smep,) = shootdown.walk(
        space.memory, 0x1000, format=X86_64_4LEVEL, root=space.root, access="execute", supervisor=True,
        settings={"smep": 1, "maxphyaddr": 52},
    )  # fmt: skip
    assert (smep.fault, smep.fault_code) == ("#PF", 0x11)


def test_a_table_that_the_image_lacks_is_no_fault_of_the_hardware(tmp_path):
    space = space_at(X86_64_4LEVEL, BASE)
    space.map(0x40_0000, 0x1234_5000, K4)
    space.map(1 << 40, 0x1234_5000, K4)
    last = space.table_of(0x40_0000, "pte")
    cut = raw_image(tmp_path / "cut.raw", space, BASE, last - BASE)
    whole = npz_image(tmp_path / "cut.npz", space, BASE, last)
    for image, base in ((cut, BASE), (whole, 0)):
        where = {"format": X86_64_4LEVEL, "root": space.root, "base": base}
        (found,) = shootdown.walk(image, 0x40_0000, **where)
        assert (found.pa, found.fault, found.fault_code) == (None, OUTSIDE, None)
        listing = shootdown._questions.image.page_tables(image, **where).listing()
        assert list(listing) == []
        assert listing.outside == 2


def test_a_root_of_32_bytes_may_lie_anywhere_in_a_frame():
    space = AddressSpace(X86_PAE, PhysicalMemory())
    space.map(0xC000_0000, 0x5000, K4)
    space.memory.write(0x9_0FE0, space.memory.read(space.root, 32))
    (found,) = shootdown.walk(space.memory, 0xC000_0000, format="x86-pae", root=0x9_0FE0)
    assert found.pa == 0x5000
    assert [m.va for m in shootdown.mapped(space.memory, format="x86-pae", root=0x9_0FE0)] == [0xC000_0000]


def image_with(tmp_path, **arrays):
    path = tmp_path / "image.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pfn": np.arange(2)}, "it lacks data"),
        ({"data": np.zeros((2, K4), np.uint8)}, "it lacks pfn"),
        ({"pfn": np.arange(2), "data": np.zeros((3, K4), np.uint8)}, r"uint8\[3, 4096\] and int64\[2\]"),
        ({"pfn": np.arange(2), "data": np.zeros((2, 512), np.uint64)}, "data must be uint8"),
        ({"pfn": np.arange(2.0), "data": np.zeros((2, K4), np.uint8)}, "float64"),
        ({"pfn": np.zeros((2, 1), int), "data": np.zeros((2, K4), np.uint8)}, r"int64\[2, 1\]"),
        ({"pfn": np.array([-1]), "data": np.zeros((1, K4), np.uint8)}, "a frame lies above"),
        ({"pfn": np.array([1 << 50]), "data": np.zeros((1, K4), np.uint8)}, "a frame lies above"),
        ({"pfn": np.array([None]), "data": np.zeros((1, K4), np.uint8)}, "it can't be read"),
    ],
)
def test_an_npz_that_is_no_image_says_why(tmp_path, arrays, message):
    with pytest.raises(shootdown.ShootdownError, match=message):
        shootdown.walk(image_with(tmp_path, **arrays), 0, format="x86_64-4level", root=0x1000)


def test_a_damaged_npz_is_one_error_wherever_it_is_cut_or_flipped(tmp_path):
    whole = (WALKS / "amd64-4l.npz").read_bytes()
    path = tmp_path / "damaged.npz"
    for cut in range(0, len(whole), 997):
        for content in (whole[:cut], whole[:cut] + bytes(64) + whole[cut + 64 :]):
            path.write_bytes(content)
            try:
                shootdown.walk(path, 0, format="x86_64-4level", root=0x4062000)
            except shootdown.ShootdownError as error:
                assert len(str(error).splitlines()) == 1  # noqa: PT017 - it may also be read well
