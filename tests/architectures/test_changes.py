"""What holds of the table of changes of every architecture that is installed, and of its switches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shootdown import Kernel
from shootdown._plugins.registry import registry
from shootdown._values.changes import CHANGES as CORE
from shootdown._values.releases import has_change, resolve
from shootdown._values.series import SERIES, Release
from shootdown.porting import BY_NAME, switches_of

KNOWN = registry().architectures()
EACH = pytest.mark.parametrize("arch", [name for name, one in KNOWN.items() if one.changes])


@EACH
def test_every_change_sets_a_switch_of_the_architecture_or_of_core_and_cites_its_backports(
    arch: str,
) -> None:
    declared = dict(switches_of(Kernel)) | dict(switches_of(KNOWN[arch].switches))
    for change in KNOWN[arch].changes:
        assert change.sets, change
        assert {name for name, _ in change.sets} <= set(declared), change
        assert change.source or not change.stable, change


@EACH
def test_every_own_switch_says_what_it_is(arch: str) -> None:
    for name, switch in switches_of(KNOWN[arch].switches):
        assert len(switch.metadata["doc"]) >= 20, name


@EACH
def test_backports_go_to_older_series_and_to_releases_that_exist(arch: str) -> None:
    for change in KNOWN[arch].changes:
        for name, point in change.stable:
            assert change.mainline is not None
            assert BY_NAME[name].key < BY_NAME[change.mainline.partition("-rc")[0]].key, change
            assert 0 < point <= BY_NAME[name].newest, change


@EACH
@given(data=st.data())
def test_a_later_point_release_never_loses_a_change(arch: str, data: st.DataObject) -> None:
    series = data.draw(st.sampled_from(SERIES))
    early = data.draw(st.integers(0, series.newest))
    late = data.draw(st.integers(early, series.newest))
    for change in (*CORE, *KNOWN[arch].changes):
        if has_change(Release(series.name, early), change)[0]:
            assert has_change(Release(series.name, late), change)[0], change


@EACH
def test_every_series_resolves_and_configuring_twice_is_configuring_once(arch: str) -> None:
    configure = KNOWN[arch].configure
    for series in SERIES:
        kernel = resolve(f"{series.name}.{series.newest}", KNOWN[arch])
        assert configure is None or configure(kernel) == kernel
