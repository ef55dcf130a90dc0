"""What `uname -r` prints on distributions' kernels, and the release of kernel.org that it stands for, where one does.

A distribution puts its own number behind the release that it started from. Some keep the point release in front
(`6.12.57+deb13-amd64`), so it can be read. Others count their own builds from a fixed `.0` (`6.8.0-51-generic`): then
the number says nothing of the fixes inside, and another file of the machine has to be asked.
"""

from __future__ import annotations

import re

from shootdown._values.errors import ShootdownError

_FORM = re.compile(r"(\d{1,4}\.\d{1,4})(?:\.(\d{1,9}))?(?:-rc(\d{1,4}))?((?:[-+~.][\w.+~-]*)?)", re.ASCII)
#: An enterprise kernel: `5.14.0-427.13.1.el9_4.x86_64`, `5.15.0-300.163.18.el9uek.x86_64`, or SUSE's
#: `6.4.0-150600.23.25-default`.
_ENTERPRISE = re.compile(r"\.el\d|^-\d{6}\.", re.ASCII)
_UBUNTU = re.compile(r"^-\d+-(generic|lowlatency|aws|azure|gcp|oracle|kvm|oem|raspi|ibm|nvidia)", re.ASCII)
#: A build counter right behind the release: Debian's ABI number before Debian 13, and others of the kind.
_COUNTER = re.compile(r"^-\d+\b(?!-g[0-9a-f])", re.ASCII)
#: What `git describe` adds: so many commits after the release.
_AFTER = re.compile(r"^(-rt\d+)?-\d+-g[0-9a-f]+|^\+$", re.ASCII)
#: Behind a plus: a commit that no tag names, Debian's and Raspberry Pi's packages. Rows of a patch have its name there.
_PLUS = re.compile(r"^\+($|-|deb|bpo|rpt|b\d)", re.ASCII)

_ON_TOP = "commits on top of it are not known"


def upstream(text: str) -> tuple[str, str] | None:
    """Read what `uname -r` prints where that is more than a release.

    Args:
        text: such as `6.12.57+deb13-amd64`, `6.11.4-301.fc41.x86_64` or `6.17.0-rc3+`.

    Returns:
        The release as kernel.org writes it, and a remark on what is not known; None where the text has another form.

    Raises:
        ShootdownError: no release stands for it; the message says what else names one.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        return None
    series, point, candidate, rest = form.groups()
    if rest.endswith(("-", "~", ".")) or ".." in rest or (rest.startswith("+") and not _PLUS.match(rest)):
        return None
    if candidate is not None:
        release = f"{series}-rc{candidate}"
        return release, f"{text}: taken as {release}; {_ON_TOP}"
    if point is None:  # uname prints three numbers; two, and more behind them, is what git describe prints
        return (series, f"{text}: taken as {series}; {_ON_TOP}") if _AFTER.match(rest) else None
    if _ENTERPRISE.search(rest):
        raise ShootdownError(
            f"kernel {text!r} is an enterprise kernel: {series} with thousands of later commits, which no release of "
            f"kernel.org stands for. Ask for {series}, and set what its changelog says was backported: "
            "`shootdown list switches`, --set kernel.NAME=..."
        )
    if not int(point) and _UBUNTU.match(rest):
        raise ShootdownError(
            f"kernel {text!r} is Ubuntu's: its number doesn't name the point release. The last word of "
            "/proc/version_signature does: ask for that"
        )
    if not int(point) and _COUNTER.match(rest) and not _AFTER.match(rest):
        raise ShootdownError(
            f"kernel {text!r} has a distribution's counter, not a point release. On Debian `uname -v` names it "
            "(Debian 6.1.147-1 is 6.1.147), elsewhere the package's changelog: ask for that"
        )
    release = f"{series}.{point}" if int(point) else series
    on_top = _ON_TOP if _AFTER.match(rest) else "what the distribution changed is not known"
    return release, f"{text}: taken as {release}; {on_top}"
