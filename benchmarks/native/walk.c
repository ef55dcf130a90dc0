/* C references for walks of x86-64 4-level tables, hand-written for them: presence, page size, reserved bits,
 * canonical addresses, and read permission of user mode, for which a page must be U/S at every level (SDM
 * volume 3A, chapter 4). `memory` is where physical address 0 lies in this process.
 *
 *   naive      one walk after another, as anybody would write it; the core overlaps those that are independent
 *   dependent  each address depends on the result before it: what a walk costs alone
 *   ring       the upper levels at once, the last entry prefetched and read 64 walks later
 *   groups     64 walks go down level by level, each prefetching its next entry
 */
#include <stdint.h>
#include "walk.h"

#define P 1ull
#define US 4ull
#define PS (1ull << 7)
#define ADDRESS 0x000ffffffffff000ull
enum { OK, NOT_PRESENT, PERMISSION, RESERVED, NONCANONICAL };
enum { AT_ONCE = 64 };

static inline __attribute__((always_inline)) uint64_t entry_at(const uint8_t *memory, uint64_t table, uint64_t va, int shift)
{
    return *(const uint64_t *)(memory + table + (va >> shift & 511) * 8);
}

static inline __attribute__((always_inline)) uint64_t page(uint64_t entry, uint64_t va, int shift, uint64_t rights,
                                                           uint8_t *fault)
{
    uint64_t low = (1ull << shift) - 1, base = entry & ADDRESS;
    /* In an entry that maps a large page, the address bits below it are reserved, except PAT (bit 12). */
    if (shift > 12 && base & low & ~(1ull << 12)) {
        *fault = RESERVED;
        return 0;
    }
    if (!(rights & US)) {
        *fault = PERMISSION;
        return 0;
    }
    *fault = OK;
    return (base & ~low) | (va & low);
}

/* Walks the tables above the last one. Answers 1 with the last table, or 0 with the end of the walk in *pa and *fault. */
static inline __attribute__((always_inline)) int upper(const uint8_t *memory, uint64_t root, uint64_t va, uint64_t *table,
                                                       uint64_t *rights, uint64_t *pa, uint8_t *fault)
{
    *pa = 0;
    if ((uint64_t)((int64_t)(va << 16) >> 16) != va) {
        *fault = NONCANONICAL;
        return 0;
    }
    uint64_t at = root & ADDRESS, all = US;
    for (int shift = 39; shift > 12; shift -= 9) {
        uint64_t entry = entry_at(memory, at, va, shift);
        if (!(entry & P)) {
            *fault = NOT_PRESENT;
            return 0;
        }
        all &= entry;
        if (entry & PS) {
            if (shift == 39) {
                *fault = RESERVED;
                return 0;
            }
            *pa = page(entry, va, shift, all, fault);
            return 0;
        }
        at = entry & ADDRESS;
    }
    *table = at;
    *rights = all;
    return 1;
}

static inline __attribute__((always_inline)) void last(const uint8_t *memory, uint64_t table, uint64_t rights, uint64_t va,
                                                       uint64_t *pa, uint8_t *fault)
{
    uint64_t entry = entry_at(memory, table, va, 12);
    if (!(entry & P)) {
        *pa = 0;
        *fault = NOT_PRESENT;
        return;
    }
    *pa = page(entry, va, 12, rights & entry, fault);
}

void walk_naive(const uint8_t *memory, uint64_t root, const uint64_t *va, uint64_t n, walk_out *out)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t table, rights;
        if (upper(memory, root, va[i], &table, &rights, &out->pa[i], &out->fault[i]))
            last(memory, table, rights, va[i], &out->pa[i], &out->fault[i]);
    }
}

uint64_t walk_dependent(const uint8_t *memory, uint64_t root, const uint64_t *va, uint64_t n, walk_out *out)
{
    uint64_t before = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t table, rights, here = va[i] ^ (before & 1ull << 63); /* bit 63 of a translation is 0 */
        if (upper(memory, root, here, &table, &rights, &out->pa[i], &out->fault[i]))
            last(memory, table, rights, here, &out->pa[i], &out->fault[i]);
        before = out->pa[i];
    }
    return before;
}

void walk_ring(const uint8_t *memory, uint64_t root, const uint64_t *va, uint64_t n, walk_out *out)
{
    struct { uint64_t table, rights, waits; } ring[AT_ONCE] = {{0, 0, 0}};
    for (uint64_t i = 0; i < n + AT_ONCE; i++) {
        uint64_t slot = i % AT_ONCE;
        if (ring[slot].waits) {
            uint64_t j = i - AT_ONCE;
            last(memory, ring[slot].table, ring[slot].rights, va[j], &out->pa[j], &out->fault[j]);
            ring[slot].waits = 0;
        }
        if (i < n && upper(memory, root, va[i], &ring[slot].table, &ring[slot].rights, &out->pa[i], &out->fault[i])) {
            __builtin_prefetch(memory + ring[slot].table + (va[i] >> 12 & 511) * 8);
            ring[slot].waits = 1;
        }
    }
}

void walk_groups(const uint8_t *memory, uint64_t root, const uint64_t *va, uint64_t n, walk_out *out)
{
    struct { uint64_t table, rights, waits; } group[AT_ONCE];
    for (uint64_t start = 0; start < n; start += AT_ONCE) {
        uint64_t size = n - start < AT_ONCE ? n - start : AT_ONCE;
        for (uint64_t j = 0; j < size; j++) {
            uint64_t here = va[start + j];
            group[j].table = root & ADDRESS;
            group[j].rights = US;
            group[j].waits = (uint64_t)((int64_t)(here << 16) >> 16) == here;
            if (!group[j].waits) {
                out->pa[start + j] = 0;
                out->fault[start + j] = NONCANONICAL;
            }
        }
        for (int shift = 39; shift > 12; shift -= 9)
            for (uint64_t j = 0; j < size; j++) {
                if (!group[j].waits)
                    continue;
                uint64_t i = start + j, entry = entry_at(memory, group[j].table, va[i], shift);
                group[j].rights &= entry;
                if (!(entry & P) || entry & PS) {
                    group[j].waits = 0;
                    out->pa[i] = 0;
                    out->fault[i] = entry & P ? RESERVED : NOT_PRESENT;
                    if (entry & P && shift < 39)
                        out->pa[i] = page(entry, va[i], shift, group[j].rights, &out->fault[i]);
                    continue;
                }
                group[j].table = entry & ADDRESS;
                __builtin_prefetch(memory + group[j].table + (va[i] >> (shift - 9) & 511) * 8);
            }
        for (uint64_t j = 0; j < size; j++)
            if (group[j].waits)
                last(memory, group[j].table, group[j].rights, va[start + j], &out->pa[start + j], &out->fault[start + j]);
    }
}
