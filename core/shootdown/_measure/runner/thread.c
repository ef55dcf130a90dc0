/* SPDX-License-Identifier: Apache-2.0
 *
 * The processes and threads of a program, and what each statement does.
 *
 * Whatever a thread writes is on its stack or in the shared mapping, so that the program's own memory is all that is
 * copied on write or unmapped.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "thread.h"

#define STACK (256 << 10)
#define STACKS_AT 0x1100000000

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

extern char __executable_start[], end[];

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* --- the statements of one thread */

struct self *selves;

static struct self *self_of(const struct role *role)
{
	selves[role - roles].role = role;
	return &selves[role - roles];
}

static void run(struct self *self, int64_t at);

static void arrive(void)
{
	atomic_fetch_add(&shared->arrived, 1);
	syscall(SYS_futex, &shared->arrived, FUTEX_WAKE, 1 << 30, 0, 0, 0);
	futex_wait_until(&shared->go, 1);
}

static void *thread(void *role)
{
	struct self *self = self_of(role);

	if (self->role->cpu >= 0)
		pin(self->role->cpu);
	if (self->role->begins)
		arrive();
	run(self, self->role->code);
	return 0;
}

/* Threads get stacks that are there, so that starting one maps nothing. They begin with the CPUs of who starts them. */
static void start(const struct role *role)
{
	int64_t number = role - roles;
	pthread_attr_t attributes;
	pthread_t made;

	pthread_attr_init(&attributes);
	pthread_attr_setstack(&attributes, (void *)(STACKS_AT + number * STACK), STACK);
	if (pthread_create(&made, &attributes, thread, (void *)role))
		die("no thread can be started: %s", strerror(errno));
}

static void prepare(const struct process *process)
{
	prepare_to_ask();
	int64_t threads = process->threads;
	char *stacks = (char *)STACKS_AT + process->first_role * STACK;

	if (threads > 1 && mmap(stacks, threads * STACK, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0) == MAP_FAILED)
		die("there is no memory for %d stacks", (int)threads);
	for (int64_t n = 0; n < threads; n++) {
		struct self *other = self_of(&roles[process->first_role + n]);

		for (int64_t m = 0; m < head->memories; m++) {
			if (n && !memories[m].by_thread)
				continue;
			keep_tables(other, m);
			if (process->maps >> m & 1)
				map_memory(other, m);
		}
	}
}

static int measures(const struct role *role)
{
	for (const struct instruction *at = &code[role->code]; at->op != OP_END; at++)
		if (at->op == OP_MEASURE)
			return 1;
	return 0;
}

static void fork_one(const struct self *self, const struct instruction *at)
{
	uint32_t copy = atomic_fetch_add(&shared->copies[at->a], 1);
	const struct process *child = &processes[at->b + copy];
	struct self *first = self_of(&roles[child->first_role]);
	cpu_set_t mine, every;
	long pid;

	/* fork() chooses among the CPUs of the parent, which otherwise has one alone. */
	memset(&every, 0xff, sizeof(every));
	if (sched_getaffinity(0, sizeof(mine), &mine) || sched_setaffinity(0, sizeof(every), &every))
		die("CPUs can't be chosen: %s", strerror(errno));
	/* s390 takes the stack before the flags. */
#ifdef __s390x__
	pid = syscall(SYS_clone, 0, SIGCHLD, 0, 0, 0);
#else
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
#endif
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid) {
		sched_setaffinity(0, sizeof(mine), &mine);
		uint32_t number = atomic_fetch_add(&shared->forked, 1) % PROCESSES;

		shared->children[number].event = child->exits_event;
		shared->children[number].pid = pid;
		return;
	}
	for (int64_t n = 1; n < child->threads; n++)
		if (roles[child->first_role + n].begins)
			start(&roles[child->first_role + n]);
	if (measures(first->role))   /* the pages that keep tables are not forked */
		for (int64_t m = 0; m < head->memories; m++)
			keep_tables(first, m);
	memcpy(first->moved, selves[processes[self->role->process].first_role].moved, sizeof(first->moved));
	run(first, roles[child->first_role].code);
}

static void finish(int64_t endless)
{
	if (!endless)
		futex_add(&shared->finished);
}

/* Wait for one child of this process, and signal that it ended. */
static void reap(void)
{
	int status;
	pid_t pid = wait(&status);

	if (pid < 0)
		die("wait: %s", strerror(errno));
	for (uint32_t n = 0; n < PROCESSES; n++) {
		if (shared->children[n].pid != pid)
			continue;
		shared->children[n].pid = 0;
		if (shared->children[n].event >= 0)
			atomic_fetch_add(&shared->events[shared->children[n].event], 1);
		return;
	}
}

static void compute(int64_t nanoseconds)
{
	int64_t end = now() + nanoseconds;

	while (now() < end)
		;
}

static void run(struct self *self, int64_t next)
{
	for (;; next++) {
		const struct instruction *at = &code[next];

		if (at->op >= OP_MMAP && at->op <= OP_USERFAULTFD && call_on_memory(self, at))
			continue;
		switch (at->op) {
		case OP_END:
			finish(0);
			for (;;)
				pause();
		case OP_MEMBARRIER:
			barrier(at->b);
			break;
		case OP_FORK:
			fork_one(self, at);
			break;
		case OP_EXIT:
			finish(0);
			_exit(0);
		case OP_START:
			for (int64_t n = 0; n < at->b; n++)
				start(&roles[processes[self->role->process].first_role + at->a + n]);
			break;
		case OP_SIGNAL:
			futex_add(&shared->events[at->a]);
			break;
		case OP_WAIT:
			self->waited[at->a] = at->c ? self->waited[at->a] + at->b : at->b;
			futex_wait_until(&shared->events[at->a], self->waited[at->a]);
			break;
		case OP_REAP:
			self->waited[at->a] += at->c ? at->b : at->b - self->waited[at->a];
			while (atomic_load(&shared->events[at->a]) < self->waited[at->a])
				reap();
			break;
		case OP_LOCK:
			futex_lock(&shared->locks[at->a]);
			break;
		case OP_UNLOCK:
			futex_unlock(&shared->locks[at->a]);
			break;
		case OP_WORK:
			compute(at->a);
			break;
		case OP_SPIN:
			if (atomic_load(&shared->watching))
				watch(self->role->process);
			for (;;)
				__asm__ volatile("" ::: "memory");
		case OP_SLEEP:
			for (;;)
				pause();
		case OP_MOVE:
			pin(at->a);
			break;
		case OP_LOOP:
			self->all[at->slot] = self->left[at->slot] = at->a;
			break;
		case OP_AGAIN:
			if (--self->left[at->slot])
				next = at->a - 1;
			break;
		case OP_MEASURE:
			shared->process = self->role->process;
			window_open(&shared->window);
			break;
		case OP_MEASURED:
			atomic_store(&shared->over, 1);
			window_close(&shared->window);
			break;
		default:
			die("an instruction is unknown: %d", (int)at->op);
		}
	}
}

/* Map the runner itself, so that a call that nobody made before does not fault while it is measured (since 5.14). */
static void populate(void)
{
	long size = sysconf(_SC_PAGESIZE);

	for (char *at = (char *)((uintptr_t)__executable_start & -size); at < end; at += size)
		madvise(at, size, MADV_POPULATE_READ);
}

/* Start a thread on its own CPU, so that no other one ever has this address space. */
static void start_there(const struct role *role, const struct role *self)
{
	if (role->cpu >= 0)
		pin(role->cpu);
	start(role);
	if (self->cpu >= 0)
		pin(self->cpu);
}

void run_process(int64_t number)
{
	const struct process *process = &processes[number];
	const struct role *self = &roles[process->first_role];

	selves = mmap(0, head->roles * sizeof(*selves), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (selves == MAP_FAILED)
		die("there is no memory for %d threads", (int)head->roles);
	shared->window.pids[number] = getpid();
	populate();
	prepare(process);
	for (int64_t n = 1; n < process->threads; n++)
		if (roles[process->first_role + n].begins)
			start_there(&roles[process->first_role + n], self);
	arrive();
	run(self_of(self), self->code);
	for (;;)
		pause();
}
