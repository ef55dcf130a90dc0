/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tracing.h"

#define TRACING "/sys/kernel/tracing/"
#define NAMES 128

/* Instructions that nothing else has: an emulator's plugin looks for them. They are given where it knows some. */
#ifndef MARK_OPEN
#define MARK_OPEN ""
#define MARK_CLOSE ""
#define MARK_PRINT ""
#endif

static int on = -1, interrupts = -1;
static char names[NAMES][64];
static int events[NAMES], known;

static int append(const char *path, const char *text)
{
	char whole[128];
	int fd, answer;

	snprintf(whole, sizeof(whole), TRACING "%s", path);
	fd = open(whole, O_WRONLY | O_APPEND);
	if (fd < 0)
		return -1;
	answer = write(fd, text, strlen(text)) < 0 ? -1 : 0;
	close(fd);
	return answer;
}

void window_files(void)
{
	on = open(TRACING "tracing_on", O_WRONLY);
	interrupts = open("/proc/interrupts", O_RDONLY);
}

/* A line of /trace is `function NAME`, or `event NAME FILTER DEFINITION`, where FILTER is - for none. */
static void one(char *line)
{
	char *name, *filter, *definition, path[128];

	if (known == NAMES || !(name = strchr(line, ' ')))
		return;
	*name++ = 0;
	if (!strcmp(line, "function")) {
		/* Without the end of the line a name is looked up when the file is closed, and nobody hears of a mistake. */
		snprintf(path, sizeof(path), "%s\n", name);
		if (append("set_ftrace_filter", path)) {
			printf("@absent %s\n", name);
			return;
		}
	} else {
		filter = strchr(name, ' ');
		*filter++ = 0;
		definition = strchr(filter, ' ');
		*definition++ = 0;
		if (append("kprobe_events", definition)) {
			printf("@absent %s\n", name);
			return;
		}
		snprintf(path, sizeof(path), "events/shootdown/%s/filter", name);
		if (strcmp(filter, "-") && append(path, filter))
			printf("@remark the filter of %s is refused\n", name);
		snprintf(path, sizeof(path), "events/shootdown/%s/enable", name);
		if (append(path, "1"))
			printf("@remark %s can't be enabled\n", name);
		events[known] = 1;
	}
	snprintf(names[known++], sizeof(*names), "%s", name);
}

void window_prepare(void)
{
	FILE *file = fopen("/trace", "r");
	char line[512];

	window_files();
	append("tracing_on", "0");
	append("buffer_size_kb", "8192");
	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		one(line);
	}
	if (append("current_tracer", "function"))
		printf("@remark this kernel has no function tracer\n");
}

static void count_interrupts(struct window *window, int closing)
{
	char *text = window->text, *next;
	ssize_t got, length = 0;
	int row = 0;

	lseek(interrupts, 0, SEEK_SET);
	while ((got = read(interrupts, text + length, sizeof(window->text) - 1 - length)) > 0)
		length += got;
	text[length] = 0;
	next = strchr(text, '\n');
	for (char *line = next ? next + 1 : text; *line && row < ROWS; line = next + 1) {
		char *colon = strchr(line, ':'), *at;
		int64_t sum = 0;

		next = strchr(line, '\n');
		if (!next)
			break;
		if (!colon || colon > next)
			continue;
		while (*line == ' ')
			line++;
		for (at = colon + 1; at < next;) {
			char *end;
			int64_t value = strtoll(at, &end, 10);

			if (end == at || (*end != ' ' && *end != '\n'))
				break;
			sum += value;
			at = end;
		}
		snprintf(window->rows[row].name, sizeof(window->rows[row].name), "%.*s", (int)(colon - line), line);
		if (closing)
			window->rows[row].all += sum - window->rows[row].before;
		else
			window->rows[row].before = sum;
		row++;
	}
}

void window_reset(void)
{
	int fd = open(TRACING "trace", O_WRONLY | O_TRUNC);

	close(fd);
}

void window_open(struct window *window)
{
	window->actor = syscall(SYS_gettid);
	window->opened++;
	/* The first time it may write pages of its stack that a fork() shares: their flushes are not the program's. */
	for (int twice = 0; twice < 2; twice++)
		count_interrupts(window, 0);
	if (write(on, "1", 1) < 0)
		printf("@failed tracing can't be turned on\n");
	__asm__ volatile(MARK_OPEN ::: "memory");
}

void window_close(struct window *window)
{
	__asm__ volatile(MARK_CLOSE ::: "memory");
	if (write(on, "0", 1) < 0)
		printf("@failed tracing can't be turned off\n");
	count_interrupts(window, 1);
}

void window_mark(void)
{
	static int marked;

	__asm__ volatile(MARK_PRINT ::: "memory");
	printf("@marked %d\n", marked++);
}

/* Events that the rings had no room for. */
static int64_t lost(void)
{
	int64_t all = 0, value;
	char path[128], line[128];

	for (int cpu = 0; cpu < 4096; cpu++) {
		snprintf(path, sizeof(path), TRACING "per_cpu/cpu%d/stats", cpu);
		FILE *file = fopen(path, "r");

		if (!file)
			return all;
		while (fgets(line, sizeof(line), file))
			if (sscanf(line, "overrun: %ld", &value) == 1 || sscanf(line, "dropped events: %ld", &value) == 1)
				all += value;
		fclose(file);
	}
	return all;
}

void window_print(struct window *window, int repetition)
{
	static char line[4096];
	int64_t mine[NAMES] = { 0 }, all[NAMES] = { 0 };
	FILE *file = fopen(TRACING "trace", "r");

	while (file && fgets(line, sizeof(line), file)) {
		char *bracket = strstr(line, " ["), *colon = bracket ? strstr(bracket, ": ") : 0, *pid;

		if (line[0] == '#' || !colon)
			continue;
		for (pid = bracket; pid > line && pid[-1] != '-'; pid--)
			;
		char *name = colon + 2;
		size_t length = strcspn(name, " :\n");

		for (int n = 0; n < known; n++) {
			if (strncmp(names[n], name, length) || names[n][length] || events[n] != (name[length] == ':'))
				continue;
			all[n]++;
			mine[n] += atoi(pid) == window->actor;
		}
	}
	if (file)
		fclose(file);
	for (int n = 0; n < known; n++)
		printf("@count %d %s %ld %ld\n", repetition, names[n], mine[n], all[n]);
	for (int row = 0; row < ROWS && window->rows[row].name[0]; row++)
		if (window->rows[row].all)
			printf("@row %d %ld %s\n", repetition, window->rows[row].all, window->rows[row].name);
	printf("@window %d %ld %ld\n", repetition, window->opened, lost());
}
