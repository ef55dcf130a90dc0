"""Boot a kernel under an emulator with programs to run, and read what the runner prints."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from shootdown._measure.building import MARKS, plugin
from shootdown._measure.bytecode import HUGE_PAGE
from shootdown._measure.bytecode import Image as Compiled
from shootdown._measure.initramfs import initramfs
from shootdown._values.emulation import Counted, Emulation, Pattern
from shootdown._values.errors import ShootdownError

#: Memory of the machine besides huge pages, in MiB, and the most that is asked for.
_MEMORY, _MOST_MEMORY = 768, 16384
#: MiB of which memory is a multiple: QEMU's pseries asks for it.
_UNIT = 256
#: What the kernel is told: the same addresses each time, no mitigations, no pages that it moves, and to end with init.
_TOLD = "quiet nokaslr mitigations=off numa_balancing=disable panic=-1 oops=panic"
_LAST_LINES = 5
#: The last QEMU that the plugin is loaded into: it speaks version 1 of the interface, and was tried with 7.2 alone.
_NEWEST = (8, 2)


@attrs.define
class Ran:
    """What one program did in one repetition.

    Args:
        calls: by the name of a function or probe: calls by who measured, and by all.
        rows: rows of /proc/interrupts, added up.
        windows: how often its window was opened.
        lost: events that the trace had no room for.
        marked: its number among what the emulator's plugin printed.
        instructions: by name, how many were executed; None where nobody counted.
    """

    calls: dict[str, tuple[int, int]] = attrs.Factory(dict)
    rows: dict[str, int] = attrs.Factory(dict)
    windows: int = 0
    lost: int = 0
    marked: int = -1
    instructions: dict[str, int] | None = None


@attrs.define
class Booted:
    """What a machine printed.

    Args:
        version: the kernel's `/proc/version`.
        absent: functions and probes that the kernel has not.
        remarks: what the machine refused.
        runs: by program, its repetitions.
        failures: by program, why it did not end.
        stale: by program: repetitions in which threads read what it takes away, reads that still found it after that,
            and all reads after that.
        page_size: the kernel's, in bytes, if the programs were compiled for another one: none has run then.
    """

    version: str = ""
    absent: set[str] = attrs.Factory(set)
    remarks: list[str] = attrs.Factory(list)
    runs: dict[int, list[Ran]] = attrs.Factory(dict)
    failures: dict[int, str] = attrs.Factory(dict)
    stale: dict[int, tuple[int, int, int]] = attrs.Factory(dict)
    page_size: int | None = None


def boot(
    emulation: Emulation,
    kernel: Path,
    runner: bytes,
    programs: Sequence[Compiled],
    *,
    cpus: int,
    seconds: float,
    ran: Callable[[], None],
    modules: Mapping[str, bytes] | None = None,
) -> Booted:
    """Boot a kernel, run programs, and return what was counted.

    Args:
        emulation: how.
        kernel: the image.
        runner: the static program that is init.
        programs: what it runs.
        cpus: of the machine.
        seconds: after which the machine is stopped.
        ran: called after each repetition.
        modules: of the kernel, by their files' names, that the runner may load.

    Raises:
        ShootdownError: there is no emulator, or the machine did not come to its end.
    """
    command = shutil.which(emulation.qemu)
    if command is None:
        raise ShootdownError(
            f"{emulation.qemu} is not installed: it emulates {emulation.arch} "
            f"(Debian: apt-get install {emulation.package})"
        )
    memory = _MEMORY + max((one.huge_pages for one in programs), default=0) * (HUGE_PAGE >> 20)
    memory += -memory % (2 * _UNIT)  # either node's is a multiple
    if memory > _MOST_MEMORY:
        raise ShootdownError(
            f"the programs touch so many huge pages that the machine needs {memory >> 10} GiB; "
            f"{_MOST_MEMORY >> 10} at most"
        )
    files = {"init": runner, "trace": _trace(emulation.counts)}
    packed = (one.content(big_endian=emulation.big_endian) for one in programs)
    files |= {f"program{number}": one for number, one in enumerate(packed)} | dict(modules or {})
    with tempfile.TemporaryDirectory(prefix="shootdown-boot-") as folder:
        initial = Path(folder) / "initrd"
        initial.write_bytes(initramfs(files))
        told = f"console={emulation.console} {_TOLD} {emulation.parameters}".rstrip()
        arguments = [
            command, *emulation.options, "-cpu", emulation.cpu, "-m", str(memory), "-smp", str(cpus),
            "-kernel", str(kernel), "-initrd", str(initial), "-append", told, "-display", "none", "-nodefaults",
            "-serial", "stdio", "-no-reboot",
            *(_nodes(memory, cpus) if any(one.migrates for one in programs) else ()),
        ]  # fmt: skip
        counted = Path(folder) / "instructions"
        try:
            arguments += _counting(emulation, command, Path(folder), counted)
        except ShootdownError as error:
            found = _read(arguments, seconds, ran)
            found.remarks.append(f"instructions are not counted: {error}")
            return found
        found = _read(arguments, seconds, ran)
        _add_instructions(found, counted)
        return found


def _nodes(memory: int, cpus: int) -> list[str]:
    """Return the emulator's options for two nodes of memory, of which the first one has all CPUs."""
    told = []
    for node, where in enumerate((f",cpus=0-{cpus - 1}", "")):
        told += ["-object", f"memory-backend-ram,id=node{node},size={memory // 2}M"]
        told += ["-numa", f"node,nodeid={node},memdev=node{node}{where}"]
    return told


def _counting(emulation: Emulation, command: str, folder: Path, counted: Path) -> list[str]:
    """Return the emulator's options with which a plugin counts instructions.

    Raises:
        ShootdownError: none can be counted; the message says why.
    """
    if emulation.marks is None or not emulation.instructions:
        raise ShootdownError(f"the plugin of {emulation.arch} names none")
    said = subprocess.run((command, "--version"), capture_output=True, text=True, check=False).stdout
    version = re.search(r"version (\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) > _NEWEST:
        number = version[0] if version else said[:40]
        raise ShootdownError(
            f"the plugin speaks with QEMU up to {_NEWEST[0]}.{_NEWEST[1]}, and this is {number}"
        )
    library = folder / "instructions.so"
    library.write_bytes(plugin())
    marks = emulation.marks
    patterns = [*emulation.instructions]
    patterns += [
        Pattern(name.lower(), marks.value | number << marks.shift, marks.mask)
        for number, name in enumerate(MARKS, start=1)
    ]
    told = [f"name={one.name}:{one.skip.hex()}:{one.value:x}:{one.mask:x}:{one.half}" for one in patterns]
    return ["-plugin", ",".join([str(library), f"out={counted}", *told])]


def _add_instructions(found: Booted, counted: Path) -> None:
    """Give each run the line that the plugin printed after it."""
    lines = counted.read_text().splitlines() if counted.exists() else []
    for runs in found.runs.values():
        for run in runs:
            if 0 <= run.marked < len(lines):
                run.instructions = {}
                for part in lines[run.marked].split():
                    name, _, count = part.partition("=")
                    if name and name.upper() not in MARKS:
                        run.instructions[name] = run.instructions.get(name, 0) + int(count)


def _trace(counts: Sequence[Counted]) -> bytes:
    """Write what the runner is to trace, a line each."""
    lines = dict.fromkeys(f"function {name}" for one in counts for name in one.functions)
    for one in counts:
        if one.probe:
            name = f"probe_{one.name}"
            packed = one.filter.replace(" ", "") or "-"
            lines[f"event {name} {packed} {one.probe.replace('NAME', name)}"] = None
    return "".join(f"{line}\n" for line in lines).encode()


def _read(arguments: list[str], seconds: float, ran: Callable[[], None]) -> Booted:
    found, last = Booted(), [""]
    with subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as machine:
        timer = threading.Timer(seconds, machine.kill)
        timer.start()
        try:
            assert machine.stdout is not None
            done = _lines(iter(machine.stdout.readline, b""), found, last, ran)
        finally:
            stopped = not timer.is_alive()
            timer.cancel()
            machine.kill()
    if not done:
        said = " | ".join(line for line in last[-_LAST_LINES:] if line) or "nothing"
        why = f"was stopped after {seconds:.0f} s" if stopped else "ended before its programs had"
        raise ShootdownError(f"the machine {why}; it said last: {said}")
    return found


def _lines(lines: Iterator[bytes], found: Booted, last: list[str], ran: Callable[[], None]) -> bool:
    """Read the runner's lines, and keep the last of the others; return whether it came to its end."""
    program, now = 0, Ran()
    for raw in lines:
        line = re.sub(r"\x1b(\[[?\d;]*[A-Za-z]|c)", "", raw.decode(errors="replace")).strip()
        at = line.find("@")
        word, *rest = line[at + 1 :].split() if at >= 0 else [""]
        with contextlib.suppress(ValueError, IndexError):
            if word == "version":
                found.version = " ".join(rest)
            elif word == "program":
                program, now = int(rest[0]), Ran()
                found.runs[program] = []
            elif word == "count":
                now.calls[rest[1]] = int(rest[2]), int(rest[3])
            elif word == "row":
                now.rows[" ".join(rest[2:])] = int(rest[1])
            elif word == "marked":
                now.marked = int(rest[0])
            elif word == "window":
                now.windows, now.lost = int(rest[1]), int(rest[2])
                found.runs[program].append(now)
                now = Ran()
                ran()
            elif word == "pages":
                found.page_size = int(rest[0])
            elif word == "stale":
                told = found.stale.get(program, (0, 0, 0))
                found.stale[program] = (told[0] + 1, told[1] + int(rest[0]), told[2] + int(rest[1]))
                ran()
            elif word == "absent":
                found.absent.add(rest[0])
            elif word == "remark":
                found.remarks.append(" ".join(rest))
            elif word == "failed" and program in found.runs:
                found.failures.setdefault(program, " ".join(rest))
            elif word == "failed":
                raise ShootdownError(f"the machine failed: {' '.join(rest)}")
            elif word == "done":
                return True
            else:
                last[:] = [*last, line][-_LAST_LINES:]
    return False
