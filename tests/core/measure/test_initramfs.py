"""Initial file systems."""

from __future__ import annotations

import gzip

from shootdown._measure.initramfs import initramfs

FILES = {"init": b"#!/bin/true\n", "program0": bytes(range(7))}


def test_an_archive_has_each_file_with_its_bytes() -> None:
    data, found, at = gzip.decompress(initramfs(FILES)), {}, 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name = data[at + 110 : at + 110 + fields[11] - 1].decode()
        at += -(-(110 + fields[11]) // 4) * 4
        if name == "TRAILER!!!":
            break
        found[name] = (data[at : at + fields[6]], oct(fields[1]))
        at += -(-fields[6] // 4) * 4
    assert found == {"init": (FILES["init"], "0o100755"), "program0": (FILES["program0"], "0o100644")}


def test_equal_files_give_equal_bytes() -> None:
    assert initramfs(FILES) == initramfs(dict(FILES))
