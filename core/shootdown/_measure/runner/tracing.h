/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kernel did in the window that a program measures: functions and events by ftrace, rows of /proc/interrupts,
 * and marks for an emulator that counts instructions.
 */
#ifndef SHOOTDOWN_TRACING_H
#define SHOOTDOWN_TRACING_H

#include <stdint.h>
#include <sys/types.h>

#define ROWS 256
#define PROCESSES 65536

struct row {
	char name[24];
	int64_t before, all;
};

/* Lies in memory that all processes share. */
struct window {
	pid_t actor;             /* who measures; 0 while nobody has */
	int64_t opened;
	struct row rows[ROWS];
	char text[1 << 18];      /* /proc/interrupts, as it was read */
	pid_t pids[PROCESSES];   /* of the processes that are there from the beginning */
};

void window_files(void);                /* open what a process needs to open windows */
void window_prepare(void);              /* tell ftrace what to trace, once */
void window_reset(void);                /* forget what was traced */
void window_open(struct window *window);
void window_close(struct window *window);
void window_mark(void);                 /* let an emulator's plugin print what it counted */
void window_print(struct window *window, int repetition);

#endif
