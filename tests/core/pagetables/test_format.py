"""A format's literal: what it refuses, and what it answers."""

import subprocess
import sys

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins.toy_formats import BY_ANY_BIT, DESCRIPTORS, SIZED

from shootdown._pagetables.format import EVERY_ACCESS, Access, Attribute, Deny, Reason, Reserved, bits
from shootdown._pagetables.format_layout import check, layout
from shootdown._values.errors import ShootdownError

TOYS = (BY_ANY_BIT, SIZED, DESCRIPTORS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"va_bits": 40}, "translate 48 address bits and va_bits says 40"),
        ({"entry_bytes": 16}, "entry_bytes is 4 or 8"),
        ({"deny": (Deny(has=("writeable",)),)}, "the attribute 'writeable'"),
        ({"deny": (Deny(when=("smep",)),)}, "the setting 'smep'"),
        ({"reserved": (Reserved(1, levels=("PTE",)),)}, "the level 'PTE'"),
        ({"reserved": (Reserved(1, above="pa_bits"),)}, "the setting 'pa_bits'"),
        ({"attributes": tuple(Attribute(f"a{n}", n) for n in range(9)), "deny": ()}, "at most 8"),
    ],
)
def test_a_literal_that_contradicts_itself_is_refused(changes, said):
    with pytest.raises(ShootdownError, match=said):
        attrs.evolve(DESCRIPTORS, **changes)


def test_an_unknown_setting_is_refused_with_the_nearest_name():
    with pytest.raises(ShootdownError, match="no setting 'output'; nearest: output_bits"):
        DESCRIPTORS.settings(output=40)


@pytest.mark.parametrize(
    ("name", "value"), [("output_bits", 31), ("output_bits", 53), ("output_bits", True), ("ha", 2)]
)
def test_a_setting_out_of_range_is_refused(name, value):
    with pytest.raises(ShootdownError, match=name):
        DESCRIPTORS.settings(**{name: value})


def test_settings_are_a_mapping_with_every_name():
    assert dict(DESCRIPTORS.settings(ha=False)) == {"ha": 0, "hd": 1, "output_bits": 44}


@given(st.sampled_from(TOYS), st.integers(0, 63))
def test_attributes_and_their_index_are_inverses(format_, index):
    index &= (1 << len(format_.attributes)) - 1
    assert format_.index_of(format_.held(index)) == index


@given(st.sampled_from(TOYS), st.sampled_from(EVERY_ACCESS))
def test_the_bit_mask_that_kernels_ask_is_the_rules(format_, access):
    settings = format_.settings()
    allowed = int(check(format_, access, settings).allowed)
    for index in range(1 << len(format_.attributes)):
        assert bool(allowed >> index & 1) == format_.allows(access, format_.held(index), settings)


@given(st.sampled_from(TOYS), st.sets(st.sampled_from("rwx")), st.booleans())
def test_chosen_attributes_grant_what_is_asked_and_nothing_to_users_unasked(format_, letters, user):
    settings = format_.settings()
    held = format_.attributes_for("".join(letters), user=user)
    kinds = {"r": "read", "w": "write", "x": "execute"}
    for letter in letters:
        assert format_.allows(Access(kinds[letter], user), held, settings)
    if not user:
        assert not any(format_.allows(Access(kind, True), held, settings) for kind in kinds.values())


def test_permissions_are_letters():
    with pytest.raises(ShootdownError, match="the letters r, w and x"):
        SIZED.attributes_for("read", user=True)


def test_a_level_is_found_by_either_name():
    assert DESCRIPTORS.level_index("L2") == DESCRIPTORS.level_index("pmd") == 2
    with pytest.raises(ShootdownError, match="no level 'PDE'"):
        DESCRIPTORS.level_index("PDE")


def test_a_fault_code_holds_the_level_where_the_rule_says_so():
    assert DESCRIPTORS.fault(Reason.PERMISSION, Access("write"), level=3) == ("abort", 0b1001111)
    assert BY_ANY_BIT.fault(Reason.NOT_PRESENT, Access("execute")) == ("page fault", 12)


def test_address_bits_above_a_setting_are_reserved_from_there_up():
    rule = Reserved(bits(12, 51), above="output_bits")
    assert rule.effective(DESCRIPTORS.settings(output_bits=48)) == bits(48, 51)
    assert rule.effective(DESCRIPTORS.settings(output_bits=52)) == 0


def test_layouts_are_derived_once():
    assert layout(SIZED) is layout(SIZED)


def test_formats_memory_and_steps_need_no_numba():
    modules = "format, format_layout, memory, walk_steps, mappings, address_space"
    program = f"import sys; from shootdown._pagetables import {modules}; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
