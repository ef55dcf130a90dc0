/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the runner share.
 */
#ifndef SHOOTDOWN_RUNNER_H
#define SHOOTDOWN_RUNNER_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "image.h"
#include "tracing.h"

#define EVENTS 1024
#define LOCKS 256
#define CLASSES 256
#define MEMORIES 64
#define ROUNDS 50   /* of reading, by each thread, once the calls have returned */

/* What all processes of a program share: futexes, and who measures. */
struct shared {
	_Atomic uint32_t events[EVENTS];
	_Atomic uint32_t locks[LOCKS];
	_Atomic uint32_t copies[CLASSES];   /* of a class of process, how many were forked */
	_Atomic uint32_t forked;
	struct { pid_t pid; int64_t event; } children[PROCESSES];
	_Atomic uint32_t arrived, go, finished, failed;
	_Atomic uint32_t watching, over;   /* whether who spins reads, and whether the calls that are measured have returned */
	_Atomic int64_t reads, stale;
	int64_t process;                   /* that measures */
	struct window window;
};

extern struct shared *shared;
extern const struct header *head;
extern const struct memory *memories;
extern const struct process *processes;
extern const struct role *roles;
extern const struct instruction *code;
extern const int64_t *pages;
extern int files[MEMORIES];

/* Say what went wrong and end: the program, or the machine if init can't go on. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void check(const char *what, long answer);

int load(int number);         /* map program `number`; whether there is one */
void unload(void);
void share(void);             /* map what processes share */
void open_files(void);
void close_files(void);

void pin(int64_t cpu);

void futex_wait_until(_Atomic uint32_t *word, uint32_t least);
void futex_add(_Atomic uint32_t *word);
void futex_lock(_Atomic uint32_t *word);
void futex_unlock(_Atomic uint32_t *word);

/* Read what measured calls take away, until some time after they returned. */
void watch(int64_t process);

void run_process(int64_t number) __attribute__((noreturn));

#endif
