/* SPDX-License-Identifier: Apache-2.0
 *
 * What a process asks the kernel for by userfaultfd and membarrier(), and registers for before.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "thread.h"

/* Since 5.10; libraries' headers may be older than the kernel. */
#define PRIVATE_EXPEDITED_RSEQ (1 << 7)
#define REGISTER_PRIVATE_EXPEDITED_RSEQ (1 << 8)

/* Of userfaultfd, in bytecode.py's order. */
enum { COPY, ZEROPAGE, WRITEPROTECT };

/* Commands, in bytecode.py's order, and what a process has to register for before. */
static const int barriers[] = { MEMBARRIER_CMD_PRIVATE_EXPEDITED, PRIVATE_EXPEDITED_RSEQ, MEMBARRIER_CMD_GLOBAL };
static const int registrations[] = {
	MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, REGISTER_PRIVATE_EXPEDITED_RSEQ, 0
};

/* Of each process that begins with the program; no other one has a monitor. */
static int monitor;

/* Whether the program has an instruction with this word; of one memory, unless that is -1. */
static int asks(int64_t op, int64_t m, int64_t word)
{
	for (int64_t n = 0; n < head->instructions; n++)
		if (code[n].op == op && (m < 0 || code[n].a == m) && code[n].b == word)
			return 1;
	return 0;
}

static void ask(unsigned long what, void *argument, const char *name)
{
	if (ioctl(monitor, what, argument) && errno != EEXIST) /* a page that is there stays */
		die("%s: %s", name, strerror(errno));
}

static void register_for(char *begin, int64_t length, uint64_t mode)
{
	struct uffdio_register all = { .range = { (uintptr_t)begin, length }, .mode = mode };

	ask(UFFDIO_REGISTER, &all, "UFFDIO_REGISTER");
}

/* Do what a monitor is asked for. Memory is registered for missing pages meanwhile alone: who touches one waits for it. */
static void fill(const struct self *self, const struct instruction *at, char *begin, int64_t length)
{
	char *all = begin_of(self, at->a);
	int64_t size = sysconf(_SC_PAGESIZE);
	struct uffdio_range range = { (uintptr_t)all, memories[at->a].size };

	register_for(all, memories[at->a].size, UFFDIO_REGISTER_MODE_MISSING);
	for (int64_t offset = 0; offset < length; offset += size) {
		uintptr_t page = (uintptr_t)begin + offset;
		struct uffdio_copy copy = { .dst = page, .src = (uintptr_t)head, .len = size };
		struct uffdio_zeropage zero = { .range = { page, size } };

		if (at->b == COPY)
			ask(UFFDIO_COPY, &copy, "UFFDIO_COPY");
		else
			ask(UFFDIO_ZEROPAGE, &zero, "UFFDIO_ZEROPAGE");
	}
	ask(UFFDIO_UNREGISTER, &range, "UFFDIO_UNREGISTER");
}

void watch_writes(int64_t m, char *begin)
{
	if (asks(OP_USERFAULTFD, m, WRITEPROTECT))
		register_for(begin, memories[m].size, UFFDIO_REGISTER_MODE_WP);
}

void ask_monitor(const struct self *self, const struct instruction *at, char *begin, int64_t length)
{
	struct uffdio_writeprotect protect = {
		.range = { (uintptr_t)begin, length }, .mode = UFFDIO_WRITEPROTECT_MODE_WP
	};

	if (at->b == WRITEPROTECT)
		ask(UFFDIO_WRITEPROTECT, &protect, "UFFDIO_WRITEPROTECT");
	else
		fill(self, at, begin, length);
}

void prepare_to_ask(void)
{
	struct uffdio_api api = { .api = UFFD_API };

	if (asks(OP_USERFAULTFD, -1, COPY) || asks(OP_USERFAULTFD, -1, ZEROPAGE) || asks(OP_USERFAULTFD, -1, WRITEPROTECT)) {
		monitor = syscall(SYS_userfaultfd, O_CLOEXEC);
		if (monitor < 0)
			die("userfaultfd: %s", strerror(errno));
		check("UFFDIO_API", ioctl(monitor, UFFDIO_API, &api));
	}
	for (int64_t which = 0; which < 3; which++)
		if (registrations[which] && asks(OP_MEMBARRIER, -1, which))
			check("membarrier", syscall(SYS_membarrier, registrations[which], 0, 0));
}

void barrier(int64_t which)
{
	check("membarrier", syscall(SYS_membarrier, barriers[which], 0, 0));
}
