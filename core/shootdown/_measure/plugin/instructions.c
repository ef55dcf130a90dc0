/* SPDX-License-Identifier: Apache-2.0
 *
 * A plugin of QEMU's TCG that counts chosen instructions, on all CPUs, while a program measures.
 *
 * Arguments: out=FILE, and one name=NAME:SKIP:VALUE:MASK:HALF for each pattern, in hexadecimal; SKIP lists bytes that may
 * stand before it, HALF is any, lower or upper. The first pattern that an instruction has counts it. The names open, close and print are the runner's marks. At each print a line is added to FILE.
 *
 * The interface is version 1 of QEMU's (its manual: "TCG plugins"), tried with QEMU 7.2; what is used of it is declared
 * here.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define PATTERNS 64

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t plugin_id;

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t number);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *instruction);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *instruction);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *instruction);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*call)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *instruction, void (*call)(unsigned, void *),
					    int registers, void *data);

EXPORT int qemu_plugin_version = 1;

struct pattern {
	char name[32];
	uint8_t skip[16];
	int skipped;
	char half;   /* the first letter of any, lower or upper */
	uint64_t value, mask, count;
};

static struct pattern patterns[PATTERNS];
static int known, measuring;
static FILE *out;

static void executed(unsigned cpu, void *data)
{
	struct pattern *pattern = data;

	(void)cpu;
	if (!strcmp(pattern->name, "open")) {
		__atomic_store_n(&measuring, 1, __ATOMIC_SEQ_CST);
	} else if (!strcmp(pattern->name, "close")) {
		__atomic_store_n(&measuring, 0, __ATOMIC_SEQ_CST);
	} else if (!strcmp(pattern->name, "print")) {
		for (int n = 0; n < known; n++)
			fprintf(out, "%s=%lu ", patterns[n].name, (unsigned long)__atomic_exchange_n(&patterns[n].count, 0, __ATOMIC_SEQ_CST));
		fprintf(out, "\n");
		fflush(out);
	} else if (__atomic_load_n(&measuring, __ATOMIC_SEQ_CST)) {
		__atomic_fetch_add(&pattern->count, 1, __ATOMIC_SEQ_CST);
	}
}

static int matches(const struct pattern *pattern, uint64_t address, const uint8_t *bytes, size_t size)
{
	uint64_t value = 0;

	if (pattern->half != 'a' && (address >> 63 ? 'u' : 'l') != pattern->half)
		return 0;
	while (size && memchr(pattern->skip, *bytes, pattern->skipped)) {
		bytes++;
		size--;
	}
	memcpy(&value, bytes, size < sizeof(value) ? size : sizeof(value));
	return size && (value & pattern->mask) == pattern->value;
}

static void translated(plugin_id id, struct qemu_plugin_tb *block)
{
	(void)id;
	for (size_t n = 0; n < qemu_plugin_tb_n_insns(block); n++) {
		struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, n);
		const uint8_t *bytes = qemu_plugin_insn_data(instruction);
		size_t size = qemu_plugin_insn_size(instruction);
		uint64_t address = qemu_plugin_insn_vaddr(instruction);
		int p = 0;

		while (p < known && !matches(&patterns[p], address, bytes, size))
			p++;
		if (p < known)
			qemu_plugin_register_vcpu_insn_exec_cb(instruction, executed, 0, &patterns[p]);
	}
}

static int add(char *text)
{
	struct pattern *pattern = &patterns[known];
	char *name = strsep(&text, ":"), *skip = strsep(&text, ":"), *value = strsep(&text, ":");
	char *mask = strsep(&text, ":"), *half = text;
	unsigned byte;

	if (known == PATTERNS || !name || !skip || !value || !mask || !half)
		return -1;
	snprintf(pattern->name, sizeof(pattern->name), "%s", name);
	for (; pattern->skipped < (int)sizeof(pattern->skip) && sscanf(skip, "%2x", &byte) == 1; skip += 2)
		pattern->skip[pattern->skipped++] = byte;
	pattern->value = strtoull(value, 0, 16);
	pattern->mask = strtoull(mask, 0, 16);
	pattern->half = *half;
	known++;
	return 0;
}

EXPORT int qemu_plugin_install(plugin_id id, const void *machine, int arguments, char **argument)
{
	(void)machine;
	for (int n = 0; n < arguments; n++) {
		if (!strncmp(argument[n], "out=", 4))
			out = fopen(argument[n] + 4, "w");
		else if (strncmp(argument[n], "name=", 5) || add(argument[n] + 5))
			return -1;
	}
	if (!out)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
