"""Facts about a kernel as a value: what a switch declares, and what follows from it."""

from __future__ import annotations

import attrs
import pytest

from shootdown._values.kernel import Kernel, NoSwitches, settled, switches_of

KERNEL = Kernel(name="test", release="test")


def test_a_kernel_is_frozen_and_a_what_if_is_another_value() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        KERNEL.rcu_table_free = False
    assert not attrs.evolve(KERNEL, rcu_table_free=False).rcu_table_free
    assert KERNEL.rcu_table_free


def test_every_field_but_name_release_arch_remarks_and_patch_is_a_switch() -> None:
    fields = {field.name for field in attrs.fields(Kernel)}
    assert fields - {name for name, _ in switches_of(Kernel)} == {
        "name",
        "release",
        "arch",
        "remarks",
        "patch",
    }


def test_every_switch_says_what_it_does_and_its_default_is_in_its_range() -> None:
    for name, field in switches_of(Kernel):
        meta = field.metadata
        assert len(meta["doc"].split()) > 3, name
        assert not meta["choices"] or field.default in meta["choices"], name
        assert all(value in meta["choices"] for value in meta["words"].values()), name


def test_a_value_and_its_class_declare_the_same_switches_and_no_switches_declares_none() -> None:
    assert switches_of(KERNEL) == switches_of(Kernel)
    assert switches_of(NoSwitches) == ()


def test_pt_reclaim_needs_rcu_table_free() -> None:
    reclaiming = attrs.evolve(KERNEL, pt_reclaim=True)
    assert settled(reclaiming).pt_reclaim
    assert not settled(attrs.evolve(reclaiming, rcu_table_free=False)).pt_reclaim
