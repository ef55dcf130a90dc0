"""Every reader of a file, with inputs: valid ones, made from the grammar of the format, and damaged."""

from __future__ import annotations

from fuzz.readers import images, measured, options, recordings, scenarios, stories, traces

READERS = {
    reader.name: reader
    for kind in (measured, stories, traces, images, scenarios, options, recordings)
    for reader in kind.READERS
}
