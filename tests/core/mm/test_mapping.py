"""A hugetlb mapping that no VMA can be is refused as it is made, and one too large for its tables as it is touched."""

from __future__ import annotations

from typing import Any

import pytest

import shootdown
from shootdown.scenarios import Mapping, Model


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"used": ()}, r"used is \(\): slots from 0 on"),
        ({"used": (2, 1)}, "ascending, each once"),
        ({"used": (1, 1)}, "ascending, each once"),
        ({"used": (-1, 0)}, "slots from 0 on"),
        ({"used": (0, 1), "order": (1,)}, "order is .* in another order"),
        ({"used": (0,), "own": (1,)}, "own has slot 1"),
        ({"used": (0,), "first": 3, "last": 3}, "first is 3 and last 3"),
        ({"used": (0, 1, 2), "span": 2}, "span is 2"),
        ({"used": (0,), "pages": -1}, "pages is -1"),
        ({"used": (0,), "pages": "2"}, "pages is a str, not an int"),
    ],
)
def test_what_no_vma_can_be_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(shootdown.ShootdownError, match=says):
        Mapping(**given)


@pytest.mark.parametrize("given", [{"pages": 600}, {"pages": 2, "last": 513}])
def test_a_table_maps_only_as_many_pages_as_it_has_entries(given: dict[str, int]) -> None:
    kernel, lowering = _x86()
    model = Model(kernel, lowering, cpus=1, mms=1)
    model.starts(model.task(mm=0, cpu=0, ready=True))
    with pytest.raises(shootdown.ShootdownError, match="one maps 512 huge pages"):
        model.hugetlb.touch(Mapping(used=(0,), **given))
    model.hugetlb.touch(Mapping(used=(0,), pages=512, last=512))


def _x86() -> Any:
    from shootdown._plugins.registry import registry
    from shootdown._values.releases import resolve

    x86 = registry().architecture("x86")
    kernel = resolve("7.0", x86)
    assert x86.lower is not None
    return kernel, x86.lower(kernel, x86.platforms[0])
