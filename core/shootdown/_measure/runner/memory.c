/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory of a program: how it is mapped, and the calls on it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "thread.h"

#define MOVED 4096 /* as many pages as bytecode.py lets a call move */

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_FREE
#define MADV_FREE 8
#endif

/* Who knows whether a memory was moved. */
static int64_t *moved(const struct self *self, int64_t m)
{
	int64_t owner = memories[m].by_thread ? self->role - roles : processes[self->role->process].first_role;

	return &selves[owner].moved[m];
}

/* mremap() moves memory between two halves of its part. */
static char *base(const struct self *self, int64_t m)
{
	int64_t thread = memories[m].by_thread ? self->role->thread : 0;
	int64_t half = *moved(self, m) ? memories[m].stride / 2 : 0;

	return (char *)memories[m].address + thread * memories[m].stride + half;
}

char *begin_of(const struct self *self, int64_t m)
{
	return base(self, m) + memories[m].begin;
}

static char *place(const struct self *self, const struct instruction *at)
{
	int64_t turn = at->piece ? self->all[at->slot] - self->left[at->slot] : 0;

	return base(self, at->a) + at->lo + turn * at->piece;
}

void map_memory(const struct self *self, int64_t m)
{
	const struct memory *it = &memories[m];
	int flags = MAP_FIXED | MAP_NORESERVE, fd = -1;
	int64_t each = it->size / it->vmas;
	char *address = begin_of(self, m);

	if (it->kind == ANONYMOUS || it->kind == THP) {
		flags |= MAP_PRIVATE | MAP_ANONYMOUS;
	} else {
		flags |= it->shared ? MAP_SHARED : MAP_PRIVATE;
		fd = files[m];
	}
	for (int64_t n = 0; n < it->vmas; n++) {
		/* Neighbours that differ in MADV_DONTDUMP don't merge. */
		char *got = mmap(address + n * each, each, PROT_READ | PROT_WRITE, flags, fd, fd < 0 ? 0 : n * each);

		if (got == MAP_FAILED)
			die("mmap of memory %d: %s", (int)m, strerror(errno));
		if (n & 1)
			madvise(got, each, MADV_DONTDUMP);
	}
	if (it->kind == THP) /* init says `madvise`: other memory has no huge pages but those that MADV_COLLAPSE makes */
		madvise(address, it->size, MADV_HUGEPAGE);
	watch_writes(m, address);
}

static void put_page(char *at)
{
	long size = sysconf(_SC_PAGESIZE);
	char *got = mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (got == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	madvise(got, size, MADV_DONTFORK);
	*(volatile char *)got = 1;
}

void keep_tables(const struct self *self, int64_t m)
{
	char *address = base(self, m), *begin = begin_of(self, m);
	int64_t half = memories[m].stride / 2, own = memories[m].size + (8 << 20);

	if (memories[m].kind == HUGETLB)
		return;
	if (memories[m].alone) {
		put_page(address + memories[m].stride - (8 << 20));
		if (half >= own + (memories[m].kind == THP) * (1 << 30)) /* mremap() moves from one half to the other */
			put_page(address + half - (8 << 20));
		return;
	}
	if (memories[m].kind != THP)
		put_page(begin - sysconf(_SC_PAGESIZE));
	put_page(begin + memories[m].size);
}

static void touch(volatile char *at, int write)
{
	if (write)
		*at = 1;
	else
		(void)*at;
}

static int advice(int64_t which)
{
	static const int known[] = { MADV_DONTNEED, MADV_FREE, MADV_COLLAPSE, MADV_PAGEOUT };

	return known[which];
}

/* Move pages to the other one of two nodes. */
static void move_pages_of(char *begin, int64_t length)
{
	int64_t size = sysconf(_SC_PAGESIZE), count = length / size;
	int nodes[MOVED], status[MOVED];
	void *at[MOVED];

	for (int64_t n = 0; n < count; n++)
		at[n] = begin + n * size;
	check("move_pages", syscall(SYS_move_pages, 0, 1, at, 0, status, 0));
	if (status[0] < 0)
		die("move_pages: its first page is not there");
	for (int64_t n = 0; n < count; n++)
		nodes[n] = !status[0];
	check("move_pages", syscall(SYS_move_pages, 0, count, at, nodes, status, 2 /* MPOL_MF_MOVE */));
	for (int64_t n = 0; n < count; n++)
		if (status[n] != nodes[n])
			die("move_pages: page %d did not move: %d", (int)n, status[n]);
}

static void touch_all(const struct self *self, const struct instruction *at)
{
	char *begin = place(self, at);

	if (at->op == OP_TOUCH_PAGES)
		for (int64_t n = 0; n < at->hi; n++)
			touch(base(self, at->a) + pages[at->lo + n], at->b);
	else
		for (int64_t offset = 0; offset < at->hi - at->lo; offset += at->c)
			touch(begin + offset, at->b);
}

static void move_memory(const struct self *self, int64_t m, char *begin)
{
	int64_t size = memories[m].size, half = memories[m].stride / 2;
	char *there = *moved(self, m) ? begin - half : begin + half;

	if (mremap(begin, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, there) == MAP_FAILED)
		die("mremap: %s", strerror(errno));
	*moved(self, m) = !*moved(self, m);
}

int call_on_memory(const struct self *self, const struct instruction *at)
{
	char *begin = place(self, at);
	int64_t length = at->hi - at->lo;

	switch (at->op) {
	case OP_MMAP:
		map_memory(self, at->a);
		return 1;
	case OP_TOUCH:
	case OP_TOUCH_PAGES:
		touch_all(self, at);
		return 1;
	case OP_MUNMAP:
		check("munmap", munmap(begin, length));
		return 1;
	case OP_MADVISE:
		check("madvise", madvise(begin, length, advice(at->b)));
		return 1;
	case OP_MPROTECT:
		check("mprotect", mprotect(begin, length, at->b ? PROT_READ | PROT_WRITE : PROT_READ));
		return 1;
	case OP_MREMAP:
		move_memory(self, at->a, begin);
		return 1;
	case OP_TRUNCATE:
		check("ftruncate", ftruncate(files[at->a], begin - begin_of(self, at->a)));
		return 1;
	case OP_PUNCH:
		check("fallocate", fallocate(files[at->a], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					     begin - begin_of(self, at->a), length));
		return 1;
	case OP_SOFT_OFFLINE:
		check("soft offline", madvise(begin, 2 << 20, MADV_SOFT_OFFLINE));
		return 1;
	case OP_MOVE_PAGES:
		move_pages_of(begin, length);
		return 1;
	case OP_USERFAULTFD:
		ask_monitor(self, at, begin, length);
		return 1;
	}
	return 0;
}
