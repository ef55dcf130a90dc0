"""Which contiguous blocks a change of entries folds or unfolds (arch/arm64/mm/contpte.c, read in 6.12, 7.2 and 7.3).

Since 6.9 the entries of a large folio carry the Contiguous bit in whole aligned blocks: a THP that is split is born so.
Changing one entry of a block takes the bit away from all of them first, and contpte_convert() flushes the block for it.
"""

from __future__ import annotations

#: Entries of a block by page size: CONT_PTES (arch/arm64/Kconfig, ARM64_CONT_PTE_SHIFT).
BLOCK_PAGES = {4096: 16, 16384: 128, 65536: 32}


def conversions(first: int, count: int, block: int, *, batched: bool) -> list[int]:
    """Say which blocks are converted when entries of a large folio change, all of whose blocks are folded.

    Args:
        first: the first entry that changes, counted from the folio's first.
        count: how many change, all in the same way.
        block: entries of a block.
        batched: they are changed together: clearing always is, mprotect() since 6.17. A block that is covered whole
            then stays folded. One by one, the first entry of a block unfolds it, and the last one folds it again if
            all are alike by then.

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
