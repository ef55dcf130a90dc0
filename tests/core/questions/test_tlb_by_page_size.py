"""A platform whose TLBs depend on the kernel's page size has the geometry of the kernel that runs on it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from shootdown import Architecture, ShootdownError, switch
from shootdown._plugins.registry import registry
from shootdown._questions.case import Question, prepare
from shootdown.porting import typical_tlb, with_entries

sys.path.insert(0, str(Path(__file__).parents[1] / "porting"))
from toy import MACHINE, RADIX_4K, ToyLowering, radix

RADIX_16K = radix(14, 11, 11, 11)
SMALL, LARGE = typical_tlb(RADIX_4K, asid_bits=4), typical_tlb(RADIX_16K, asid_bits=6)
SIZED = attrs.evolve(MACHINE, tlb={4096: SMALL, 16384: LARGE})


@attrs.frozen
class Sizes:
    """A kernel that can be built for three page sizes."""

    page_size: int = switch(4096, "bytes in a base page", choices=(4096, 16384, 65536), configured=True)


TOY = Architecture(api=1, name="toy", summary="", platforms=(SIZED,), lower=ToyLowering, switches=Sizes)


def case(*settings: str) -> Any:
    return prepare(Question(registry().workload("anonymous"), TOY, SIZED, "7.0", cpus=2, settings=settings))


@pytest.mark.parametrize(("settings", "geometry"), [((), SMALL), (("kernel.page_size=16k",), LARGE)])
def test_the_lowering_gets_the_geometry_of_the_kernels_page_size(
    settings: tuple[str, ...], geometry: Any
) -> None:
    platform = case(*settings).platform
    assert platform.tlb == geometry
    (same,) = with_entries(attrs.evolve(MACHINE, tlb=geometry))
    assert (platform.walk_entries, platform.huge_entries) == (same.walk_entries, same.huge_entries)
    assert case(*settings).setup().lowering.mm.asids == 1 << geometry.asid_bits


def test_a_what_if_of_entries_still_counts() -> None:
    assert case("platform.walk_entries=3").platform.walk_entries == 3


def test_a_page_size_of_which_nothing_is_said_is_an_error_that_names_those_of_which_something_is() -> None:
    with pytest.raises(ShootdownError, match="tlb says nothing of pages of 65536 bytes; of: 4096, 16384"):
        case("kernel.page_size=64k")


def test_with_entries_leaves_it_as_it_is_until_the_kernel_is_known() -> None:
    assert with_entries(SIZED, MACHINE) == (SIZED, *with_entries(MACHINE))


def test_with_entries_refuses_what_is_no_geometry() -> None:
    with pytest.raises(ShootdownError, match=r"test_tlb_by_page_size\.py, line \d+: with_entries\(\)"):
        with_entries(attrs.evolve(MACHINE, tlb={4096: SMALL, 16384: 7}))


def test_the_order_in_which_page_sizes_are_written_makes_no_other_platform() -> None:
    turned = attrs.evolve(MACHINE, tlb={16384: LARGE, 4096: SMALL})
    assert turned == SIZED
    assert hash(turned) == hash(SIZED)
    assert list(turned.tlb) == [4096, 16384]
    assert turned.tlb == {4096: SMALL, 16384: LARGE}
    assert turned != attrs.evolve(MACHINE, tlb={4096: SMALL})


def test_a_platform_keeps_nothing_of_the_dict_that_it_was_made_from() -> None:
    sizes = {4096: SMALL}
    made = attrs.evolve(MACHINE, tlb=sizes)
    sizes[16384] = LARGE
    assert list(made.tlb) == [4096]


def test_the_rules_of_switches_are_those_of_the_kernels_page_size_even_before_one_is_chosen() -> None:
    kernel = case("kernel.page_size=16k").kernel
    assert ToyLowering(kernel, SIZED).mm.asids == 1 << LARGE.asid_bits
