"""Small programs on ordinary memory, searched by brute force in plain Python; nothing of the package is used.

Written from what Linux 7.0 does (mm/memory.c, mm/mmu_gather.c, mm/mremap.c, mm/mprotect.c, mm/gup.c, arch/x86/mm/tlb.c,
arch/arm64/include/asm/tlbflush.h) and from the manuals. All orders of single actions are tried: each read or write of
something shared is one, so is each interrupt or broadcast that arrives, each fill of a TLB, each access in user mode.

A violation needs one translation of one address on one CPU, and what a TLB holds changes no action of the kernel. So a
search watches one CPU and one address, and fills no other; a program is searched for each of them. Memory is
sequentially consistent.
"""
