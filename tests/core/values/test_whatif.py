"""Facts about `--set`: what is understood, what is refused, and what the remarks say."""

from __future__ import annotations

import re

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shootdown._plugins.registry import registry
from shootdown._values.changes import Change
from shootdown._values.errors import ShootdownError
from shootdown._values.kernel import Kernel, switch, switches_of
from shootdown._values.platform import Cost, Platform
from shootdown._values.releases import resolve
from shootdown._values.whatif import (
    Contradiction,
    parse_settings,
    parse_value,
    refuse_contradictions,
    set_fields,
    set_kernel,
)


@attrs.frozen
class ToySwitches:
    """A page size that core declares too, and what selects RCU table freeing."""

    page_size: int = switch(4096, "bytes in a base page", choices=(4096, 16384, 65536))
    selects_rcu: bool = switch(True, "selects RCU table freeing")
    ceiling: int = switch(33, "a number in a range", minimum=0, maximum=512)
    free: int = switch(5, "any number")


def _configure(kernel: Kernel) -> Kernel:
    return attrs.evolve(kernel, rcu_table_free=kernel.arch.selects_rcu)


@attrs.frozen
class Toy:
    """An architecture whose configuration selects something."""

    name: str = "toy"
    switches: type = ToySwitches
    configure: object = staticmethod(_configure)
    changes: tuple[Change, ...] = (Change("aaaaaaaaaaaa", "toy: reclaim", "6.14", {"pt_reclaim": True}),)


TOY = Toy()


def after(*settings: str, name: str = "7.0") -> Kernel:
    return set_kernel(resolve(name, TOY), parse_settings(settings), TOY)


# --- what is understood


@pytest.mark.parametrize("word", ["false", "False", "off", "no", "0"])
def test_booleans_have_the_usual_words(word: str) -> None:
    assert not after(f"kernel.merge_vmas={word}").merge_vmas
    assert not after(f"kernel.rcu_table_free={word}").rcu_table_free


@pytest.mark.parametrize(("word", "size"), [("4096", 4096), ("4k", 4096), ("64K", 65536), ("0x4000", 16384)])
def test_sizes_are_written_in_bytes_or_kibibytes(word: str, size: int) -> None:
    kernel = after(f"kernel.page_size={word}")
    assert kernel.page_size == kernel.arch.page_size == size


def test_true_means_always_for_skip_redundant_sync_and_false_never() -> None:
    assert after("kernel.skip_redundant_sync=true").skip_redundant_sync == "always"
    assert after("kernel.skip_redundant_sync=false").skip_redundant_sync == "never"
    assert after("kernel.skip_redundant_sync=native-ipi").skip_redundant_sync == "native-ipi"


def test_a_choice_named_true_is_that_choice() -> None:
    field = dict(switches_of(Platform))["final_level_only"]
    assert parse_value("platform.final_level_only", field, "true") == "true"


def test_an_architectures_switch_is_set_like_any_other() -> None:
    assert after("kernel.ceiling=512").arch.ceiling == 512
    assert after("kernel.free=-7").arch.free == -7


def test_hyphens_in_names_are_underscores() -> None:
    assert after("kernel.unshare-sync=per-table").unshare_sync == "per-table"


@given(st.sampled_from([pair for pair in switches_of(Kernel) if pair[1].metadata["choices"]]), st.data())
def test_every_choice_of_every_switch_can_be_set(
    pair: tuple[str, attrs.Attribute], data: st.DataObject
) -> None:
    name, field = pair
    choice = data.draw(st.sampled_from(field.metadata["choices"]))
    assert getattr(after(f"kernel.{name}={choice}"), name) == choice


# --- what is refused


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("kernel.rcu_tabel_free=true", "nearest: kernel.rcu_table_free"),
        ("kernel.selects_rcuu=true", "nearest: kernel.selects_rcu"),
        ("kernel.name=7.1", "there is no switch 'kernel.name'"),
        ("kernel.remarks=x", "there is no switch"),
        ("kernal.pti=true", "nearest: kernel"),
        ("rcu_table_free=false", "write it as kernel.FIELD=VALUE"),
        ("kernel.rcu_table_free", "write it as kernel.FIELD=VALUE"),
        ("kernel.rcu_table_free=", "write it as kernel.FIELD=VALUE"),
        ("kernel.rcu_table_free=maybe", "allowed: true or false"),
        ("kernel.unshare_sync=sometimes", "allowed: none, per-table, last-sharer"),
        ("kernel.page_size=8k", "allowed: 4096, 16384, 65536"),
        ("kernel.ceiling=-1", "allowed: a whole number from 0 to 512"),
        ("kernel.ceiling=513", "allowed: a whole number from 0 to 512"),
        ("kernel.ceiling=many", "allowed: a whole number from 0 to 512"),
        ("kernel.free=many", "allowed: a whole number"),
    ],
)
def test_what_is_unknown_or_out_of_range_is_refused_with_what_is_allowed(setting: str, message: str) -> None:
    with pytest.raises(ShootdownError, match=re.escape(message)) as refusal:
        after(setting)
    assert len(str(refusal.value).splitlines()) == 1


def test_one_name_with_two_values_is_refused_and_the_same_twice_is_not() -> None:
    with pytest.raises(ShootdownError, match="cannot both hold"):
        parse_settings(["kernel.pt_reclaim=true", "kernel.pt_reclaim=false"])
    assert parse_settings(["kernel.pt_reclaim=true"] * 2) == {"kernel.pt_reclaim": "true"}


def test_another_command_may_know_more_groups() -> None:
    assert parse_settings(["scenario.fix=false"], ("kernel", "scenario")) == {"scenario.fix": "false"}
    with pytest.raises(ShootdownError, match="nothing is called 'scenario'"):
        parse_settings(["scenario.fix=false"])


def test_two_settings_that_cannot_both_hold_are_refused_only_if_both_were_given() -> None:
    platform = attrs.make_class("P", [])()
    both = parse_settings(["kernel.pt_reclaim=true", "kernel.rcu_table_free=false"])
    kernel = set_kernel(resolve("7.0", TOY), both, TOY)
    with pytest.raises(
        ShootdownError, match=r"pt_reclaim=true and kernel\.rcu_table_free=false cannot both hold"
    ):
        refuse_contradictions(both, kernel, platform)
    one = parse_settings(["kernel.rcu_table_free=false"])
    refuse_contradictions(one, set_kernel(resolve("7.0", TOY), one, TOY), platform)


def test_an_architecture_adds_rules_of_its_own() -> None:
    rule = Contradiction(
        ("kernel.free",), lambda kernel, platform: kernel.arch.free == platform, "they are equal"
    )
    settings = parse_settings(["kernel.free=3"])
    kernel = after("kernel.free=3")
    refuse_contradictions(settings, kernel, 4, (rule,))
    with pytest.raises(ShootdownError, match=r"kernel\.free=3 is not possible here: they are equal"):
        refuse_contradictions(settings, kernel, 3, (rule,))


# --- what follows, and what the remarks say


def test_a_setting_that_contradicts_history_is_remarked() -> None:
    kernel = after("kernel.rcu_table_free=false")
    assert "what-if: rcu_table_free=false (7.0 has true)" in kernel.remarks


def test_a_setting_that_repeats_history_is_not_remarked() -> None:
    assert after("kernel.unshare_sync=last-sharer").remarks == ()


def test_what_the_configuration_selects_follows_and_is_remarked() -> None:
    kernel = after("kernel.selects_rcu=false")
    assert not kernel.rcu_table_free
    assert not kernel.pt_reclaim
    assert "follows: rcu_table_free=false (7.0 has true)" in kernel.remarks
    assert "follows: pt_reclaim=false (7.0 has true)" in kernel.remarks


def test_a_setting_wins_over_what_would_follow() -> None:
    kernel = after("kernel.selects_rcu=false", "kernel.rcu_table_free=true")
    assert kernel.rcu_table_free
    assert kernel.pt_reclaim


def test_remarks_of_the_release_stay_and_a_proposal_is_named() -> None:
    kernel = after("kernel.sync_targets=all", name="proposal:targeted-sync")
    assert "never merged" in kernel.remarks[0]
    assert "what-if: sync_targets=all (proposal:targeted-sync has walkers)" in kernel.remarks


def test_nothing_to_set_changes_nothing() -> None:
    kernel = resolve("7.0", TOY)
    assert set_kernel(kernel, {"platform.flush": "kvm"}, TOY) is kernel


@attrs.frozen
class Own:
    """What only this platform's architecture has."""

    speed: int = switch(3, "how fast it is", minimum=1)


@attrs.frozen
class Box:
    """Any value with switches, such as a platform."""

    name: str = "box"
    arch: Own = Own()
    flush: str = switch("auto", "how it flushes", choices=("auto", "kvm"))
    label: str = switch("", "free text")


def test_the_same_settings_serve_any_value_with_switches() -> None:
    settings = parse_settings(["platform.flush=kvm", "platform.speed=9", "platform.label=Mine", "kernel.x=1"])
    box, remarks = set_fields(Box(), settings, "platform", "box")
    assert (box.flush, box.arch.speed, box.label) == ("kvm", 9, "Mine")
    assert remarks[:2] == ("what-if: flush=kvm (box has auto)", "what-if: speed=9 (box has 3)")
    with pytest.raises(ShootdownError, match=r"nearest: platform\.flush"):
        set_fields(Box(), {"platform.flash": "kvm"}, "platform", "box")
    with pytest.raises(ShootdownError, match="allowed: a whole number from 1 to 2147483647"):
        set_fields(Box(), {"platform.speed": "0"}, "platform", "box")


def test_every_whole_number_that_can_be_set_has_a_largest_value() -> None:
    for architecture in registry().architectures().values():
        kernel = resolve("7.0", architecture)
        for name, field in (*switches_of(Kernel), *switches_of(kernel.arch)):
            if type(field.default) is int and not field.metadata["choices"]:
                with pytest.raises(
                    ShootdownError, match=f"kernel.{name}=9+ is not possible; allowed: a whole"
                ):
                    parse_value(f"kernel.{name}", field, "99999999999999999999")


def test_a_cost_of_more_than_1000_seconds_is_refused() -> None:
    assert Cost(0, 1, 10**12, "a test").high == 10**12
    with pytest.raises(ValueError, match="must not lie"):
        Cost(0, 1, 1e13, "a test")
    for high in (float("inf"), float("nan")):
        with pytest.raises(ShootdownError, match=r"high is \w+, which is no finite number"):
            Cost(0, 1, high, "a test")
