"""What `uname -r` prints is taken as the release that it stands for, or refused with what else names one."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shootdown._values.errors import ShootdownError
from shootdown._values.series import AS_OF, SERIES, newest_known, parse_release
from shootdown._values.uname import upstream


@pytest.mark.parametrize(
    ("name", "release"),
    [
        ("6.1.158-amd64", "6.1.158"),
        ("6.12.57+deb13-amd64", "6.12.57"),
        ("6.6.51+rpt-rpi-v8", "6.6.51"),
        ("6.11.4-301.fc41.x86_64", "6.11.4"),
        ("6.12.4-arch1-1", "6.12.4"),
        ("6.11.8-1-default", "6.11.8"),
        ("6.8.12-4-pve", "6.8.12"),
        ("6.1.119-129.201.amzn2023.x86_64", "6.1.119"),
        ("5.15.167.4-microsoft-standard-WSL2", "5.15.167"),
        ("6.6.9-rt15", "6.6.9"),
        ("6.17.0-rc3", "6.17-rc3"),
        ("6.17.0-rc3+", "6.17-rc3"),
        ("7.3.0-00012-gdeadbeef0123", "7.3"),
        ("7.0-12-gabcdef1", "7.0"),
        ("6.8.0-custom", "6.8"),
        ("7.3.0", "7.3"),
    ],
)
def test_a_release_in_front_is_taken(name: str, release: str) -> None:
    found, remark = parse_release(name)
    assert str(found) == release
    assert (remark is None) == (name == "7.3.0")
    assert remark is None or remark.startswith(f"{name}: taken as {release}; ")


@pytest.mark.parametrize(
    ("name", "what_to_do"),
    [
        ("6.8.0-51-generic", "/proc/version_signature"),
        ("6.8.0-1021-aws", "/proc/version_signature"),
        ("6.1.0-38-amd64", "`uname -v`"),
        ("6.1.0-0.deb11.21-amd64", "`uname -v`"),
        ("5.14.0-427.el9", "Ask for 5.14,"),
        ("5.14.0-427.13.1.el9_4.x86_64", "Ask for 5.14,"),
        ("5.15.0-300.163.18.el9uek.x86_64", "Ask for 5.15,"),
        ("6.4.0-150600.23.25-default", "Ask for 6.4,"),
    ],
)
def test_a_counter_of_builds_is_refused_with_what_names_the_release(name: str, what_to_do: str) -> None:
    with pytest.raises(ShootdownError) as refusal:
        parse_release(name)
    assert what_to_do in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_latest_and_stable_are_the_newest_release_of_the_tables_and_longterm_that_of_the_newest_such_series() -> (
    None
):
    assert [str(parse_release(word)[0]) for word in ("latest", "stable")] == [newest_known()] * 2
    longterm = [series for series in SERIES if series.state == "longterm"][-1]
    assert parse_release("longterm")[0].series == longterm.name
    assert parse_release("latest")[1] == f"latest: as of {AS_OF}"


@given(st.text(alphabet="0123456789.-+~_rcelgba", max_size=24))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ShootdownError):
        found = upstream(text)
        assert found is None or found[1].startswith(f"{text}: taken as {found[0]}; ")
