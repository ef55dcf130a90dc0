/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads that spin read meanwhile, in repetitions of their own, what the measured calls take away. A read that still
 * finds what was written there, after the calls have returned, went through a stale entry of a TLB.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

#include "runner.h"

#define DONTNEED 0   /* the first advice that bytecode.py knows */

static __thread sigjmp_buf back;

static void fault(int signal)
{
	(void)signal;
	siglongjmp(back, 1);
}

/* Whether a call takes away what this process reads: a file's pages go everywhere, others where the call is made. */
static int takes(const struct instruction *at, int64_t process)
{
	switch (at->op) {
	case OP_TRUNCATE:
	case OP_PUNCH:
		return 1;
	case OP_MUNMAP:
	case OP_MREMAP:
		return process == shared->process;
	case OP_MADVISE:
		return at->b == DONTNEED && memories[at->a].kind != FILE_PAGES && process == shared->process;
	}
	return 0;
}

/* Read one byte of each page; the count of those that are there still. */
static int64_t read_all(const char *begin, int64_t length, int64_t step)
{
	volatile int64_t found = 0;

	for (volatile int64_t offset = 0; offset < length; offset += step)
		if (!sigsetjmp(back, 1) && *(const volatile char *)(begin + offset))
			found++;
	return found;
}

void watch(int64_t process)
{
	const struct instruction *first = code;
	struct sigaction action = { .sa_handler = fault, .sa_flags = SA_NODEFER };

	sigaction(SIGSEGV, &action, 0);
	sigaction(SIGBUS, &action, 0);
	while (first->op != OP_MEASURE)
		first++;
	for (int after = 0; after < ROUNDS;) {
		int over = atomic_load(&shared->over);

		for (const struct instruction *at = first + 1; at->op != OP_MEASURED; at++) {
			const struct memory *it = &memories[at->a];
			int64_t length = at->piece ? it->size : at->hi - at->lo, size = sysconf(_SC_PAGESIZE);

			if (!takes(at, process) || it->by_thread)
				continue;
			if (at->op == OP_TRUNCATE || at->op == OP_PUNCH || at->op == OP_MREMAP)
				length = it->size;
			int64_t found = read_all((char *)it->address + at->lo, length, it->kind == HUGETLB ? 1 << 30 : size);

			if (over) {
				atomic_fetch_add(&shared->reads, length / (it->kind == HUGETLB ? 1 << 30 : size));
				atomic_fetch_add(&shared->stale, found);
			}
		}
		after += over;
	}
}
