/* SPDX-License-Identifier: Apache-2.0
 *
 * The image of a program, as bytecode.py writes it: 64-bit words in the byte order of the machine. First the header,
 * then the tables in this order: memories, processes, roles, instructions, numbers of touched pages.
 */
#ifndef SHOOTDOWN_IMAGE_H
#define SHOOTDOWN_IMAGE_H

#include <stdint.h>

#define IMAGE_MAGIC 0x53484f4f54313uLL

struct header {
	int64_t magic, memories, processes, roles, instructions, pages;
	int64_t huge_pages;   /* to reserve, of the size of a PMD entry */
	int64_t repetitions;
	int64_t page_size;    /* of the kernel that it was compiled for */
	int64_t swaps;        /* whether it pages out */
	int64_t watched;      /* further repetitions, in which threads that spin read what goes */
};

enum { ANONYMOUS, THP, FILE_PAGES, HUGETLB };

struct memory {
	int64_t kind, size, shared, vmas, alone, by_thread;
	int64_t address, stride;   /* of what a page table maps; places count from there */
	int64_t begin;             /* of the memory itself, from there */
};

/* A process: its roles are roles[first_role] to roles[first_role + threads - 1], the main thread first. */
struct process {
	int64_t first_role, threads, forked, maps, class, exits_event;
};

struct role {
	int64_t process, thread, cpu, begins, code, ends;
};

enum {
	OP_END, OP_MMAP, OP_TOUCH, OP_TOUCH_PAGES, OP_MUNMAP, OP_MADVISE, OP_MPROTECT, OP_MREMAP, OP_TRUNCATE,
	OP_PUNCH, OP_SOFT_OFFLINE, OP_MOVE_PAGES, OP_USERFAULTFD, OP_MEMBARRIER, OP_FORK, OP_EXIT, OP_START, OP_SIGNAL, OP_WAIT, OP_REAP, OP_LOCK, OP_UNLOCK,
	OP_WORK, OP_SPIN, OP_SLEEP, OP_MOVE, OP_LOOP, OP_AGAIN, OP_MEASURE, OP_MEASURED,
};

/* `piece` is bytes that the place moves by with each turn of the loop `slot`, -1 if it stays. */
struct instruction {
	int64_t op, a, lo, hi, b, c, piece, slot;
};

#endif
