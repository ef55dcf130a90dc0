"""Slow, obvious readers of text traces: a regular expression for each line."""

import re

LACKEY = re.compile(r"\s*([ILSM])\s+([0-9A-Fa-f]{1,16}),(\d+)\s*")
VIEW = re.compile(r"\s*\d+(?:\s+\d+)?:\s+(?:W(\d+)\.)?T?(\d+)\s+(.*)")
ACCESS = re.compile(r"(ifetch|read|write)[^@]*@\s+0x([0-9A-Fa-f]{1,16})")
CORE = re.compile(r"<marker: .* on core (\d+)")


def lackey(text, fetches):
    """Return the addresses, and the number of the first line that can't be read or None."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith(("==", "--")):
            continue
        match = LACKEY.fullmatch(line)
        if not match or int(match[3]) == 0:
            return found, number
        if match[1] != "I" or fetches:
            found.append(int(match[2], 16))
    return found, None


def view(text, fetches):
    """Return (address, core, workload), and the number of the first line that can't be read or None."""
    found, core, started, ended = [], 0, False, False
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip().startswith("View tool results"):
            ended = True
            break
        if not line.strip():
            continue
        match = VIEW.fullmatch(line)
        if not match:
            if started:
                return found, number
            continue
        started = True
        if access := ACCESS.match(match[3]):
            if access[1] != "ifetch" or fetches:
                found.append((int(access[2], 16), core, int(match[1] or 0)))
        elif match[3].startswith(("ifetch", "read", "write")):
            return found, number
        elif marker := CORE.match(match[3]):
            core = int(marker[1])
    if text and not started and not ended:
        return found, text.count("\n") + (not text.endswith("\n")) + 1
    return found, None
