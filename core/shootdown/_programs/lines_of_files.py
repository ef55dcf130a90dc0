"""Which line of a program's file a value stands in."""

from __future__ import annotations

import re


def line_of(lines: tuple[str, ...], keys: tuple[str, ...], text: str) -> int:
    """Find the line of a value: in its table the first line that has the text, else its key, else the table's head."""
    heads: dict[int, str] = {}
    for number, line in enumerate(lines, start=1):
        found = re.match(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(#.*)?$", line)
        if found:
            heads[number] = re.sub(r"[\s\"']", "", found[1])
    best = 0
    for depth in range(len(keys), -1, -1):
        head = ".".join(keys[:depth])
        starts = [number for number, name in heads.items() if name == head] if depth else [0]
        starts = starts or [number for number, name in heads.items() if name.startswith(f"{head}.")]
        if not starts:
            continue
        begin = starts[0]
        end = min((number for number in heads if number > begin), default=len(lines) + 1)
        best = begin
        wanted = text.splitlines()[0].strip() if text.strip() else ""
        block = list(enumerate(lines, start=1))[max(begin - 1, 0) : end - 1]
        for number, line in block:
            if wanted and wanted in line:
                return number
        for key in reversed(keys[depth:]):
            for number, line in block:
                if re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line) or re.search(
                    rf"[{{,]\s*{re.escape(key)}\s*=", line
                ):
                    return number
        return best
    return best
