/* SPDX-License-Identifier: Apache-2.0
 *
 * The program's image, the files that its memories map, and what its processes share.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runner.h"

#define SHARED_AT ((void *)0x1000000000)

struct shared *shared;
const struct header *head;
const struct memory *memories;
const struct process *processes;
const struct role *roles;
const struct instruction *code;
const int64_t *pages;
int files[MEMORIES];
static size_t length;

void die(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	printf("@failed ");
	vprintf(format, list);
	printf("\n");
	va_end(list);
	fflush(stdout);
	if (getpid() != 1 && shared) {
		atomic_store(&shared->failed, 1);
		syscall(SYS_futex, &shared->finished, FUTEX_WAKE, 1 << 30, 0, 0, 0);
	}
	if (getpid() == 1)
		reboot(RB_POWER_OFF);
	_exit(1);
}

void check(const char *what, long answer)
{
	if (answer)
		die("%s: %s", what, strerror(errno));
}

void futex_wait_until(_Atomic uint32_t *word, uint32_t least)
{
	uint32_t seen;

	while ((seen = atomic_load(word)) < least)
		syscall(SYS_futex, word, FUTEX_WAIT, seen, 0, 0, 0);
}

void futex_add(_Atomic uint32_t *word)
{
	atomic_fetch_add(word, 1);
	syscall(SYS_futex, word, FUTEX_WAKE, 1 << 30, 0, 0, 0);
}

void futex_lock(_Atomic uint32_t *word)
{
	uint32_t seen = 0;

	while (!atomic_compare_exchange_strong(word, &seen, 1)) {
		syscall(SYS_futex, word, FUTEX_WAIT, 1, 0, 0, 0);
		seen = 0;
	}
}

void futex_unlock(_Atomic uint32_t *word)
{
	atomic_store(word, 0);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, 0, 0, 0);
}

void pin(int64_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("there is no CPU %d", (int)cpu);
}

int load(int number)
{
	char name[32];
	struct stat stat;
	int fd;

	snprintf(name, sizeof(name), "/program%d", number);
	fd = open(name, O_RDONLY);
	if (fd < 0 || fstat(fd, &stat))
		return 0;
	length = stat.st_size;
	head = mmap(0, length, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	close(fd);
	if (head == MAP_FAILED || head->magic != IMAGE_MAGIC)
		die("%s is no image", name);
	memories = (const void *)(head + 1);
	processes = (const void *)(memories + head->memories);
	roles = (const void *)(processes + head->processes);
	code = (const void *)(roles + head->roles);
	pages = (const void *)(code + head->instructions);
	return 1;
}

void unload(void)
{
	munmap((void *)head, length);
}

void share(void)
{
	int fd = open("/shared", O_RDWR | O_CREAT, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(*shared)))
		die("/shared: %s", strerror(errno));
	shared = mmap(SHARED_AT, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0);
	if (shared == MAP_FAILED)
		die("nothing can be shared: %s", strerror(errno));
	close(fd);
}

static void name_of(char *name, size_t size, int64_t number)
{
	snprintf(name, size, memories[number].kind == HUGETLB ? "/huge/%d" : "/files/%d", (int)number);
}

void open_files(void)
{
	char name[32];

	for (int64_t m = 0; m < head->memories; m++) {
		files[m] = -1;
		if (memories[m].kind != HUGETLB && memories[m].kind != FILE_PAGES)
			continue;
		name_of(name, sizeof(name), m);
		files[m] = open(name, O_RDWR | O_CREAT, 0600);
		if (files[m] < 0)
			die("%s: %s", name, strerror(errno));
	}
}

void close_files(void)
{
	char name[32];

	for (int64_t m = 0; m < head->memories; m++) {
		if (files[m] < 0)
			continue;
		close(files[m]);
		name_of(name, sizeof(name), m);
		unlink(name);
	}
}
