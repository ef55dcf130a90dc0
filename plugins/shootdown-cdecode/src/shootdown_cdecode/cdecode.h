/* The decode of a hashed page table. Each function has a twin in _twin.py, which has the same value. */
#ifndef SHOOTDOWN_CDECODE_H
#define SHOOTDOWN_CDECODE_H

#include <stdint.h>

/* The hash of a virtual page number. */
uint64_t cdecode_hash(uint64_t vpn);

/* The address of the entry with this tag among the eight of a group; 0 if there is none.
 * group: the address of the group in this process; an entry is a tag and a word. */
uint64_t cdecode_find(uint64_t group, uint64_t tag);

#endif
