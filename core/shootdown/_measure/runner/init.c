/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs the images of programs as PID 1 of a machine that was booted for it, and prints what the kernel counted.
 *
 * For each repetition it starts the processes that are there from the beginning, by exec: with fresh address spaces.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runner.h"

/* Seconds that a repetition may take. */
#define LONGEST 120

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		printf("@remark %s does not take %s: %s\n", path, text, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void mounts(void)
{
	static const char *const folders[] = { "/proc", "/sys", "/dev", "/huge", "/files" };

	for (unsigned n = 0; n < sizeof(folders) / sizeof(*folders); n++)
		mkdir(folders[n], 0700);
	mount("none", "/proc", "proc", 0, 0);
	mount("none", "/sys", "sysfs", 0, 0);
	mount("none", "/dev", "devtmpfs", 0, 0);
	mount("none", "/files", "tmpfs", 0, "size=90%");
	if (mount("none", "/sys/kernel/tracing", "tracefs", 0, 0))
		die("this kernel has no tracefs: %s", strerror(errno));
}

/* The kernel's own name, which has the release that a distribution's build is of. */
static void say_version(void)
{
	char line[512];
	FILE *file = fopen("/proc/version", "r");

	if (file && fgets(line, sizeof(line), file))
		printf("@version %s", line);
	if (file)
		fclose(file);
}

/* Programs touch each page once, so that they are of one page size: whoever compiled them is told if it is another. */
static void page_size(void)
{
	long size = sysconf(_SC_PAGESIZE);

	if (!load(0) || head->page_size == size)
		return;
	printf("@pages %ld\n@done\n", size);
	fflush(stdout);
	reboot(RB_POWER_OFF);
}

#define THP_ENABLED "/sys/kernel/mm/transparent_hugepage/enabled"

static long reserved;
static int swaps;

/* Whether the kernel has what a program's memory is of. */
static int fits(void)
{
	for (int64_t m = 0; m < head->memories; m++)
		if (memories[m].kind == THP && access(THP_ENABLED, F_OK)) {
			printf("@failed this kernel has no transparent huge pages\n");
			return 0;
		}
	if (head->swaps && !swaps) {
		printf("@failed there is no swap\n");
		return 0;
	}
	if (head->huge_pages > reserved) {
		printf("@failed there are %ld of %ld huge pages\n", reserved, (long)head->huge_pages);
		return 0;
	}
	return 1;
}

static void huge_pages(void)
{
	long most = 0;
	char text[32];
	FILE *file;

	if (!access(THP_ENABLED, F_OK)) {
		put(THP_ENABLED, "madvise");
		put("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs", "4000000000");
	}
	for (int number = 0; load(number); number++) {
		most = head->huge_pages > most ? head->huge_pages : most;
		unload();
	}
	if (!most)
		return;
	snprintf(text, sizeof(text), "%ld", most);
	put("/proc/sys/vm/nr_hugepages", text);
	file = fopen("/proc/sys/vm/nr_hugepages", "r");
	if (file && fscanf(file, "%ld", &reserved) != 1)
		reserved = 0;
	if (file)
		fclose(file);
	if (mount("none", "/huge", "hugetlbfs", 0, 0)) {
		printf("@remark this kernel has no hugetlbfs: %s\n", strerror(errno));
		reserved = 0;
	}
}

/* A block device in memory, of a module of the kernel's package, to swap to. */
static void swap(void)
{
	const char *why = "the kernel's package has no brd.ko";
	long size = sysconf(_SC_PAGESIZE);
	int64_t wanted = 0;
	struct stat stat;
	int module, disk;

	for (int number = 0; load(number); number++) {
		wanted |= head->swaps;
		unload();
	}
	if (!wanted)
		return;
	module = open("/brd.ko", O_RDONLY);
	if (module >= 0 && !fstat(module, &stat)) {
		uint32_t *first = calloc(1, size);

		if (syscall(SYS_finit_module, module, "rd_nr=1 rd_size=65536", 0))
			why = strerror(errno);
		disk = open("/dev/ram0", O_RDWR);
		/* The header of a swap area: version, last page, and its name at the end of the page. */
		first[1024 / 4] = 1;
		first[1024 / 4 + 1] = (65536 << 10) / size - 1;
		memcpy((char *)first + size - 10, "SWAPSPACE2", 10);
		if (disk >= 0 && write(disk, first, size) == size && !fsync(disk))
			swaps = !swapon("/dev/ram0", 0);
		if (!swaps && disk >= 0)
			why = strerror(errno);
		close(disk);
		free(first);
	}
	if (!swaps)
		printf("@remark there is no swap: %s\n", why);
}

static void begin_files(void)
{
	for (int64_t m = 0; m < head->memories; m++) {
		if (files[m] < 0)
			continue;
		check("ftruncate", ftruncate(files[m], 0));
		check("ftruncate", ftruncate(files[m], memories[m].size));
	}
}

static void start_processes(int number)
{
	char program[16], process[16];

	for (int64_t n = 0; n < head->processes; n++) {
		if (processes[n].forked)
			continue;
		pid_t pid = fork();

		if (pid < 0)
			die("fork: %s", strerror(errno));
		if (!pid) {
			/* Before exec, so that no other CPU ever has its address space. */
			if (roles[processes[n].first_role].cpu >= 0)
				pin(roles[processes[n].first_role].cpu);
			snprintf(program, sizeof(program), "%d", number);
			snprintf(process, sizeof(process), "%d", (int)n);
			execl("/init", "/init", program, process, (char *)0);
			_exit(1);
		}
	}
}

/* Processes that nobody forked are init's children: their ends are events that others may wait for. */
static void reap(void)
{
	for (pid_t pid; (pid = waitpid(-1, 0, WNOHANG)) > 0;)
		for (int64_t n = 0; n < head->processes; n++)
			if (!processes[n].forked && processes[n].exits_event >= 0 && shared->window.pids[n] == pid)
				futex_add(&shared->events[processes[n].exits_event]);
}

static void wait_until(_Atomic uint32_t *word, uint32_t least, time_t end)
{
	uint32_t seen;
	int ends = 0;

	/* Seldom, as it takes a CPU from the program, unless others wait for the end of init's children. */
	for (int64_t n = 0; n < head->processes; n++)
		ends |= !processes[n].forked && processes[n].exits_event >= 0;
	while (!atomic_load(&shared->failed) && (seen = atomic_load(word)) < least) {
		struct timespec moment = { ends ? 0 : 10, ends ? 500000000 : 0 };

		if (time(0) > end) {
			printf("@failed it did not end within %d s\n", LONGEST);
			atomic_store(&shared->failed, 1);
			return;
		}
		syscall(SYS_futex, word, FUTEX_WAIT, seen, &moment, 0, 0);
		reap();
	}
}

static void once(int number, int repetition)
{
	uint32_t begin = 0, ends = 0;
	time_t end = time(0) + LONGEST;

	memset(shared, 0, sizeof(*shared));
	atomic_store(&shared->watching, repetition >= head->repetitions);
	begin_files();
	window_reset();
	for (int64_t n = 0; n < head->roles; n++) {
		begin += !processes[roles[n].process].forked && roles[n].begins;
		ends += roles[n].ends;
	}
	start_processes(number);
	wait_until(&shared->arrived, begin, end);
	usleep(200000);
	atomic_store(&shared->go, 1);
	syscall(SYS_futex, &shared->go, FUTEX_WAKE, 1 << 30, 0, 0, 0);
	wait_until(&shared->finished, ends, end);
	usleep(atomic_load(&shared->watching) ? 1000000 : 100000);
	kill(-1, SIGKILL);
	while (wait(0) > 0)
		;
	window_mark();
	if (!atomic_load(&shared->failed) && atomic_load(&shared->watching))
		printf("@stale %ld %ld\n", (long)shared->stale, (long)shared->reads);
	else if (!atomic_load(&shared->failed))
		window_print(&shared->window, repetition);
}

int main(int arguments, char **argument)
{
	setvbuf(stdout, 0, _IOLBF, 0);
	if (arguments == 3) {
		share();
		if (!load(atoi(argument[1])))
			die("there is no program %s", argument[1]);
		open_files();
		window_files();
		run_process(atoi(argument[2]));
	}
	mounts();
	say_version();
	share();
	page_size();
	huge_pages();
	swap();
	window_prepare();
	for (int number = 0; load(number); number++) {
		printf("@program %d\n", number);
		if (!fits()) {
			unload();
			continue;
		}
		open_files();
		for (int repetition = 0; repetition < head->repetitions + head->watched; repetition++) {
			once(number, repetition);
			if (atomic_load(&shared->failed))
				break;
		}
		close_files();
		unload();
	}
	printf("@done\n");
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 0;
}
