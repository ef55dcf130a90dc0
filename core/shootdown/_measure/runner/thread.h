/* SPDX-License-Identifier: Apache-2.0
 *
 * A thread of a program, and what its statements do to memory.
 */
#ifndef SHOOTDOWN_THREAD_H
#define SHOOTDOWN_THREAD_H

#include "runner.h"

#define SLOTS 16

/* Of each role: lies in memory that forked processes share, so that nothing of it is copied. */
struct self {
	const struct role *role;
	int64_t left[SLOTS], all[SLOTS], waited[EVENTS];
	int64_t moved[MEMORIES];   /* whether mremap() moved its own memory, or of a process's first role the process's */
};

extern struct self *selves;

char *begin_of(const struct self *self, int64_t m);
void map_memory(const struct self *self, int64_t m);

/* Map pages that keep page tables: of memory that is alone those above its own, otherwise its own too. */
void keep_tables(const struct self *self, int64_t m);

/* Do a call on memory; return whether the instruction was one. */
int call_on_memory(const struct self *self, const struct instruction *at);

/* Open what the program asks by, and register for each command of membarrier() that it has. */
void prepare_to_ask(void);

/* Register memory that the program write-protects by userfaultfd. */
void watch_writes(int64_t m, char *begin);
void ask_monitor(const struct self *self, const struct instruction *at, char *begin, int64_t length);

void barrier(int64_t which);

#endif
