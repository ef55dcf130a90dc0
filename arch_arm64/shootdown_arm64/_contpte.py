"""Which contiguous blocks a change of entries folds or unfolds (arch/arm64/mm/contpte.c, read in 6.12, 7.2 and 7.3).

Since 6.9 the entries of a large folio have the Contiguous bit set in whole aligned blocks, after the split of a THP
too. Before one entry of a block changes, contpte_convert() clears the bit in all of them and flushes the block.
"""

from __future__ import annotations

#: Entries of a block by page size: CONT_PTES (arch/arm64/Kconfig, ARM64_CONT_PTE_SHIFT).
BLOCK_PAGES = {4096: 16, 16384: 128, 65536: 32}


def conversions(first: int, count: int, block: int, *, batched: bool) -> list[int]:
    """Return the blocks that are converted when entries of a large folio, whose blocks are all folded, change.

    Args:
        first: the first entry that changes, counted from the folio's first.
        count: the number of entries that change, all in the same way.
        block: entries of a block.
        batched: they are changed together, as in clearing, and in mprotect() since 6.17: a block that is wholly
            covered stays folded. Otherwise the first changed entry of a block unfolds it, and the last one folds it
            again if all entries are alike by then.

    Returns:
        The first entry of each block, once for each conversion.
    """
    last = first + count - 1
    blocks = range(first // block * block, last + 1, block)
    converted: list[int] = []
    for start in blocks:
        whole = first <= start and start + block - 1 <= last
        if not whole:
            converted.append(start)
        elif not batched:
            converted += [start, start]
    return converted
