"""Page tables in a memory image, for `shootdown walk` and `shootdown.walk`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from shootdown._images.opening import Image, open_image
from shootdown._pagetables.format import Access, CustomFormat, Format, FormatSetting, Kind, Reason, Settings
from shootdown._pagetables.mappings import Listing
from shootdown._pagetables.mappings import Mapping as Range
from shootdown._pagetables.memory import FRAME_BYTES, PhysicalMemory
from shootdown._pagetables.walk_steps import Step, Trace, trace
from shootdown._values.dump import DumpRoot
from shootdown._values.errors import ShootdownError
from shootdown._values.reading import UnreadableError, read_boolean, read_integer

OUTSIDE = "outside of the image"
"""The `fault` of a walk that needs a table which is not in the image; real hardware might find one there."""

_LETTERS: tuple[tuple[str, Kind], ...] = (("r", "read"), ("w", "write"), ("x", "execute"))


@attrs.frozen
class Translation:
    """The result of walking one address.

    Levels have the manual's numbers where it gives any (arm64's 3 is the last, riscv's 0), and count from the
    root, which is 0, where it gives none.

    Args:
        va: the address, in bytes.
        pa: its physical address; None without a translation.
        fault: the exception, as the manual calls it; None with a translation. `OUTSIDE` if the walk needs a table
            that is not in the image.
        fault_code: the exception's code; None without a fault.
        fault_code_name: the manual's name for the code: error code, ESR_EL1, DSISR.
        reason: the reason in words; `translated` with a translation.
        level: the level at which the walk ended.
        page_size: bytes that the leaf maps, or its contiguous run; None without a translation.
        flags: names of the fields of the last entry that are not zero.
        user: the rights of user mode, such as `rw-`; None if the walk reached no page.
        supervisor: the rights of supervisor mode, likewise.
        steps: the entries that were read, from the root on.
    """

    va: int
    pa: int | None
    fault: str | None
    fault_code: int | None
    fault_code_name: str
    reason: str
    level: int
    page_size: int | None
    flags: tuple[str, ...]
    user: str | None
    supervisor: str | None
    steps: tuple[Step, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON has it."""
        first = ("va", "pa", "fault", "level", "page_size")
        rest = ("reason", "fault_code", "fault_code_name", "user", "supervisor")
        return {
            **{name: getattr(self, name) for name in first},
            "flags": list(self.flags),
            "steps": [attrs.asdict(step) | {"flags": list(step.flags)} for step in self.steps],
            **{name: getattr(self, name) for name in rest},
        }


@attrs.frozen(eq=False)
class PageTables:
    """The page tables below one root.

    Args:
        format: the page-table format.
        memory: where the tables are.
        root: physical address of the top table.
        settings: the CPU's settings.
        name: the image's name, for messages.
        named: what the image says of the root; None if the root was given as an address.
    """

    format: Format | CustomFormat
    memory: PhysicalMemory
    root: int
    settings: Settings
    name: str = "memory"
    named: DumpRoot | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse a root that is not in the image or not a valid address."""
        if not 0 <= self.root < 1 << 64:
            raise ShootdownError(f"root {self.root:#x} is no 64-bit address")
        mask = self.format.root_mask
        if isinstance(self.format, Format) and self.root & ~mask:
            raise ShootdownError(
                f"root {self.root:#x} can't be the address of a top table of {self.format.name}: "
                f"its bits {self.root & ~mask:#x} must be zero"
            )
        first, size = self.root & mask, 1
        if isinstance(self.format, Format):
            size = self.format.table_bytes(0)
        # One frame of the table is enough: an image may lack the others.
        if not any(self.memory.holds(address) for address in range(first, first + size, FRAME_BYTES)):
            raise ShootdownError(
                f"root {self.root:#x} lies outside of the image {self.name}, which has {self.memory.extent}"
            )

    def translate(self, va: int, access: Access) -> Translation:
        """Walk one address.

        Args:
            va: address in bytes.
            access: the access.

        Raises:
            ShootdownError: the address has more than 64 bits.
        """
        if not 0 <= va < 1 << 64:
            raise ShootdownError(f"{va:#x} is no 64-bit address")
        found = trace(self.format, self.memory, self.root, va, access, self.settings)
        number = self.format.level_number
        user, supervisor = self.rights(found.attributes) if _reached_a_page(found) else (None, None)
        outside = self._is_outside(found)
        exception = None if found.pa is not None else self.format.exception(found.reason, access)
        return Translation(
            va=va,
            pa=found.pa,
            fault=OUTSIDE if outside else found.fault or None,
            fault_code=None if outside or exception is None else found.fault_code,
            fault_code_name="" if outside or exception is None else exception.code_name,
            reason="a table is not in the image" if outside else found.reason.text,
            level=number(found.level),
            page_size=found.page_size,
            flags=found.flags,
            user=user,
            supervisor=supervisor,
            steps=tuple(attrs.evolve(step, level=number(step.level)) for step in found.steps),
        )

    def listing(self, *, upper_half: bool | None = None) -> Listing:
        """Return everything that is mapped; see `mappings`.

        Args:
            upper_half: the root is that of the upper half of the address space; what the image says unless given.
        """
        if upper_half is None:
            upper_half = self.named is not None and self.named.upper_half
        return Listing(self.format, self.memory, self.root, self.settings, upper_half=upper_half)

    def rights(self, attributes: frozenset[str]) -> tuple[str, str]:
        """Return the rights of user and supervisor mode: `("r--", "rw-")`."""
        user, supervisor = (
            "".join(
                letter if self._allows(Access(kind, who), attributes) else "-" for letter, kind in _LETTERS
            )
            for who in (True, False)
        )
        return user, supervisor

    def _allows(self, access: Access, attributes: frozenset[str]) -> bool:
        if isinstance(self.format, Format):
            return self.format.allows(access, attributes, self.settings)
        index = sum(1 << i for i, a in enumerate(self.format.attributes) if a.name in attributes)
        found = self.format.check(access, self.settings, False)
        words = (found.allowed, *getattr(found, "allowed_beyond", ()))
        return bool(int(words[index >> 6]) >> (index & 63) & 1)

    def _is_outside(self, found: Trace) -> bool:
        """Whether a walk needed an entry that is not in the image."""
        if found.pa is not None or not found.steps:
            return False
        last = found.steps[-1]
        return found.reason in (Reason.NO_MEMORY, Reason.NOT_PRESENT) and not self.memory.holds(last.address)


def _reached_a_page(found: Trace) -> bool:
    return bool(found.steps) and found.steps[-1].kind == "leaf"


def page_tables(
    image: str | os.PathLike[str] | PhysicalMemory | Image,
    *,
    format: str | Format | CustomFormat | None = None,
    root: int | str | None = None,
    base: int = 0,
    settings: Mapping[str, int] | None = None,
) -> PageTables:
    """Open an image and return the page tables at a root in it.

    Args:
        image: an ELF core, a LiME image or a kdump, whose frames are read when they are needed; a raw image of
            physical memory, which is memory-mapped; an `.npz` with `pfn` (physical address / 4096) and `data`
            (4096 bytes for each); an image that `image()` opened; or a `PhysicalMemory`.
        format: a name of `shootdown list formats`, or a format; what the image says of the root unless given.
        root: physical address of the top table, or a name that the image has for a root; unless given, the only root
            that the image names.
        base: physical address of a raw image's first byte; other images carry their own addresses.
        settings: the CPU's settings, such as `{"maxphyaddr": 52}`; the format's defaults for the rest.

    Raises:
        ShootdownError: there is no such format, image, root or setting, or the root is not in the image.
    """
    if isinstance(image, PhysicalMemory):
        opened, name = Image(image, "memory"), "memory"
    else:
        opened = image if isinstance(image, Image) else opened_image(image, base=base)
        name = opened.name
    found = opened.root(root) if not isinstance(root, int) else None
    address = root if isinstance(root, int) else found.address if found is not None else 0
    if format is None:
        format = found.format if found is not None else ""
        if not format:
            raise ShootdownError(
                f"which page-table format? {name} does not say; `shootdown list formats` names them"
            )
    if isinstance(format, str):
        from shootdown._plugins.registry import registry

        format = registry().format(format)
    chosen = format.settings(**(settings or {}))
    return PageTables(format, opened.memory, address, chosen, name, found)


def opened_image(path: str | os.PathLike[str], *, base: int = 0) -> Image:
    """Open a memory image, and find the roots that it names.

    Args:
        path: the file.
        base: physical address of a raw image's first byte.

    Raises:
        ShootdownError: the file can't be read, or is damaged.
    """
    from shootdown._plugins.registry import registry

    return open_image(path, registry().architectures().values(), base=base)


def walk(
    image: str | os.PathLike[str] | PhysicalMemory,
    addresses: int | Iterable[int],
    *,
    format: str | Format | CustomFormat | None = None,
    root: int | str | None = None,
    base: int = 0,
    access: Kind = "read",
    supervisor: bool = False,
    settings: Mapping[str, int] | None = None,
) -> list[Translation]:
    """Walk the page tables in a memory image, step by step.

    Args:
        image: a file with memory, or a `PhysicalMemory`: an ELF core, a LiME image, a kdump, raw bytes, or an `.npz`
            with `pfn` (physical address / 4096) and `data` (4096 bytes for each).
        addresses: virtual addresses, in bytes; or one.
        format: a name of `shootdown list formats`, or a format; what the image says of the root unless given.
        root: physical address of the top table, or a name that the image has for a root, such as `kernel` or `cpu0`;
            unless given, the only root that the image names.
        base: physical address of a raw image's first byte.
        access: the access: `read`, `write` or `execute`.
        supervisor: the access is by supervisor mode; otherwise by user mode.
        settings: the CPU's settings, such as `{"maxphyaddr": 52}`; the format's defaults for the rest.

    Returns:
        The result for each address, in their order.

    Raises:
        ShootdownError: the format, image or a setting does not exist, or an address is out of range.
    """
    tables = page_tables(image, format=format, root=root, base=base, settings=settings)
    asked = Access(access, not supervisor)
    each = (addresses,) if isinstance(addresses, int) else addresses
    return [tables.translate(int(va), asked) for va in each]


def mapped(
    image: str | os.PathLike[str] | PhysicalMemory,
    *,
    format: str | Format | CustomFormat | None = None,
    root: int | str | None = None,
    base: int = 0,
    settings: Mapping[str, int] | None = None,
    upper_half: bool | None = None,
) -> Iterator[Range]:
    """List everything that page tables in a memory image map, as ranges in the order of addresses.

    Args:
        image: a file with memory, or a `PhysicalMemory`: an ELF core, a LiME image, a kdump, raw bytes, or an `.npz`
            with `pfn` (physical address / 4096) and `data` (4096 bytes for each).
        format: a name of `shootdown list formats`, or a format; what the image says of the root unless given.
        root: physical address of the top table, or a name that the image has for a root; unless given, the only root
            that the image names.
        base: physical address of a raw image's first byte.
        settings: the CPU's settings; the format's defaults for the rest.
        upper_half: the root is that of the upper half of the address space, in formats with a root for each half;
            unless given, what the image says of the root.

    Raises:
        ShootdownError: the format, image or a setting does not exist.
    """
    tables = page_tables(image, format=format, root=root, base=base, settings=settings)
    return iter(tables.listing(upper_half=upper_half))


def read_settings(form: Format | CustomFormat, texts: Mapping[str, str]) -> dict[str, int]:
    """Parse values of settings as users write them: `on`, `off`, a number.

    Args:
        form: the format with the settings.
        texts: the values by name. Unknown names are refused later, by `Format.settings`.

    Raises:
        ShootdownError: a value is of another kind.
    """
    known = {setting.name: setting for setting in form.settings_known}
    return {name: _value(form.name, known.get(name), name, text) for name, text in texts.items()}


def _value(form: str, setting: FormatSetting | None, name: str, text: str) -> int:
    if setting is None:
        return 0
    try:
        return read_boolean(text) if isinstance(setting.default, bool) else read_integer(text)
    except UnreadableError:
        allowed = (
            "is on or off"
            if isinstance(setting.default, bool)
            else f"lies between {setting.minimum} and {setting.maximum}"
        )
        raise ShootdownError(f"format {form}: {name} {allowed}, not {text!r}") from None
