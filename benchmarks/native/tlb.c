/* C references for the TLB simulator: L1 of 64 entries in 4 ways, L2 of 1536 in 12, true LRU, ASID tags, and
 * paging-structure caches of 32, 4 and 4 entries in 4 ways for the tables of a four-level walk. Each access looks
 * L1 up; on a miss L2; on a miss it walks from the deepest cached table entry; and fills both.
 *
 * The first three take one access after another, as simulators do; they differ in how LRU is kept:
 *   move-to-front  a set is an array in the order of use
 *   timestamps     a set is an array of keys and one of times of last use
 *   permute        move-to-front of four ways at a time by AVX2 permutation
 * The fourth is the algorithm of shootdown's own kernel (a pass for each cache over a block of accesses), so that
 * the best C of any algorithm is in the table.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif
#include "tlb.h"

#define VALID (1ull << 63)
#define PAGES ((1ull << 52) - 1)
enum { L1_SETS = 16, L1_WAYS = 4, L2_SETS = 128, L2_WAYS = 12, LEVELS = 3 };
static const unsigned walk_sets[LEVELS] = {8, 1, 1};

#define LIKELY(x) __builtin_expect(!!(x), 1)

/* --- move to front */

#define MOVE_TO_FRONT(name, WAYS)                                     \
    static inline __attribute__((always_inline)) int name(uint64_t *set, uint64_t key) \
    {                                                                 \
        if (set[0] == key)                                            \
            return 1;                                                 \
        int way = 1;                                                  \
        while (way < WAYS && set[way] != key)                         \
            way++;                                                    \
        int hit = way < WAYS;                                         \
        for (int i = hit ? way : WAYS - 1; i > 0; i--)                \
            set[i] = set[i - 1];                                      \
        set[0] = key;                                                 \
        return hit;                                                   \
    }
MOVE_TO_FRONT(front4, 4)
MOVE_TO_FRONT(front12, 12)

/* --- timestamps */

#define TIMESTAMPS(name, WAYS)                                        \
    static inline __attribute__((always_inline)) int name(uint64_t *set, uint64_t *times, uint64_t key, uint64_t now) \
    {                                                                 \
        for (int way = 0; way < WAYS; way++)                          \
            if (set[way] == key) {                                    \
                times[way] = now;                                     \
                return 1;                                             \
            }                                                         \
        int oldest = 0;                                               \
        for (int way = 1; way < WAYS; way++)                          \
            oldest = times[way] < times[oldest] ? way : oldest;       \
        set[oldest] = key;                                            \
        times[oldest] = now;                                          \
        return 0;                                                     \
    }
TIMESTAMPS(stamp4, 4)
TIMESTAMPS(stamp12, 12)

typedef struct {
    uint64_t l1[L1_SETS][L1_WAYS], l2[L2_SETS][L2_WAYS], walk[LEVELS][8][4];
} sets;

#define SIMULATE(name, USE4, USE12, STATE)                                                     \
    void name(const uint64_t *addresses, uint64_t n, uint64_t asid, tlb_counts *out)           \
    {                                                                                          \
        STATE;                                                                                 \
        tlb_counts c = {0};                                                                    \
        for (uint64_t i = 0; i < n; i++) {                                                     \
            uint64_t page = addresses[i] >> 12, key = page | asid << 52 | VALID;               \
            if (USE4(l1[page % L1_SETS])) {                                                    \
                c.l1_hits++;                                                                   \
                continue;                                                                      \
            }                                                                                  \
            if (USE12(l2[page % L2_SETS])) {                                                   \
                c.l2_hits++;                                                                   \
                continue;                                                                      \
            }                                                                                  \
            c.walks++;                                                                         \
            c.walk_references++;                                                               \
            for (int level = 0; level < LEVELS; level++) {                                     \
                uint64_t up = page >> 9 * (level + 1);                                         \
                key = up | asid << 52 | VALID;                                                 \
                if (USE4(walk[level][up % walk_sets[level]])) {                                \
                    c.walk_hits[level]++;                                                      \
                    break;                                                                     \
                }                                                                              \
                c.walk_references++;                                                           \
            }                                                                                  \
        }                                                                                      \
        c.accesses = n;                                                                        \
        free(tlb);                                                                             \
        free(stamps);                                                                          \
        *out = c;                                                                              \
    }

static sets *new_sets(void)
{
    void *memory = NULL;
    if (posix_memalign(&memory, 64, sizeof(sets)))
        abort();
    return memset(memory, 0, sizeof(sets));
}

#define FRONT4(set) front4(tlb->set, key)
#define FRONT12(set) front12(tlb->set, key)
SIMULATE(tlb_move_to_front, FRONT4, FRONT12, sets *tlb = new_sets(); sets *stamps = NULL)

#define STAMP4(set) stamp4(tlb->set, stamps->set, key, ++now)
#define STAMP12(set) stamp12(tlb->set, stamps->set, key, ++now)
SIMULATE(tlb_timestamps, STAMP4, STAMP12, sets *tlb = new_sets(); sets *stamps = new_sets(); uint64_t now = 0)

#if defined(__AVX2__)
/* What each way of a group of four receives, by the way that hit (4: none did): halves of 64-bit lanes. */
static const int32_t order[5][8] __attribute__((aligned(32))) = {
    {0, 1, 2, 3, 4, 5, 6, 7}, {2, 3, 0, 1, 4, 5, 6, 7}, {4, 5, 0, 1, 2, 3, 6, 7},
    {6, 7, 0, 1, 2, 3, 4, 5}, {6, 7, 0, 1, 2, 3, 4, 5},
};

static inline __attribute__((always_inline)) int permute(uint64_t *set, uint64_t key, int ways)
{
    __m256i wanted = _mm256_set1_epi64x((long long)key);
    uint64_t carried = key;
    for (int at = 0; at < ways; at += 4) {
        __m256i group = _mm256_load_si256((const __m256i *)(set + at));
        int equal = _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(group, wanted)));
        int way = equal ? __builtin_ctz((unsigned)equal) : 4;
        uint64_t last = set[at + 3];
        __m256i moved = _mm256_permutevar8x32_epi32(group, _mm256_load_si256((const __m256i *)order[way]));
        moved = _mm256_blend_epi32(moved, _mm256_set1_epi64x((long long)carried), 3);
        _mm256_store_si256((__m256i *)(set + at), moved);
        if (equal)
            return 1;
        carried = last;
    }
    return 0;
}
#define PERMUTE4(set) permute(tlb->set, key, 4)
#define PERMUTE12(set) permute(tlb->set, key, 12)
SIMULATE(tlb_permute, PERMUTE4, PERMUTE12, sets *tlb = new_sets(); sets *stamps = NULL)
int tlb_has_permute(void) { return 1; }
#else
void tlb_permute(const uint64_t *a, uint64_t n, uint64_t asid, tlb_counts *out) { (void)a; (void)n; (void)asid; (void)out; }
int tlb_has_permute(void) { return 0; }
#endif

#if defined(__AVX512VL__) && defined(__AVX512F__)
enum { BLOCK = 1 << 13 };

/* Use a key in a set kept in the order of use: hit or not, it comes to the front. No branch. */
static inline __attribute__((always_inline)) unsigned bring_to_front(uint64_t *set, uint64_t key, int ways)
{
    __m256i wanted = _mm256_set1_epi64x((long long)key), group[3];
    unsigned equal = 0;
    for (int c = 0; c < ways / 4; c++) {
        group[c] = _mm256_load_si256((const __m256i *)(set + 4 * c));
        equal |= (unsigned)_mm256_cmpeq_epi64_mask(group[c], wanted) << 4 * c;
    }
    unsigned moves = equal ^ (equal - 1);
    __m256i before = wanted;
    for (int c = 0; c < ways / 4; c++) {
        __m256i shifted = _mm256_alignr_epi64(group[c], before, 3);
        _mm256_store_si256((__m256i *)(set + 4 * c),
                           _mm256_mask_mov_epi64(group[c], (__mmask8)(moves >> 4 * c & 15), shifted));
        before = group[c];
    }
    return equal == 0;
}

static inline __attribute__((always_inline)) uint64_t pass(uint64_t *cache, unsigned set_count, int ways, unsigned up,
                                                           uint64_t asid, const uint64_t *pages, uint64_t n, uint64_t *missed)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t page = pages[i] >> up;
        missed[count] = page;
        count += bring_to_front(cache + (page % set_count) * (unsigned)ways, page | asid << 52 | VALID, ways);
    }
    return count;
}

void tlb_staged(const uint64_t *addresses, uint64_t n, uint64_t asid, tlb_counts *out)
{
    sets *tlb = new_sets();
    uint64_t *from = malloc(BLOCK * 8), *to = malloc(BLOCK * 8), previous = ~0ull;
    tlb_counts c = {.accesses = n};
    for (uint64_t start = 0; start < n; start += BLOCK) {
        uint64_t length = n - start < BLOCK ? n - start : BLOCK, count = 0, missed;
        for (uint64_t i = 0; i < length; i++) {
            uint64_t page = addresses[start + i] >> 12;
            from[count] = page;
            count += page != previous;
            previous = page;
        }
        missed = pass(&tlb->l1[0][0], L1_SETS, L1_WAYS, 0, asid, from, count, to);
        c.l1_hits += length - missed;
        count = pass(&tlb->l2[0][0], L2_SETS, L2_WAYS, 0, asid, to, missed, from);
        c.l2_hits += missed - count;
        c.walks += count;
        c.walk_references += count;
        for (int level = 0; level < LEVELS; level++) {
            missed = pass(&tlb->walk[level][0][0], walk_sets[level], 4, 9, asid, from, count, to);
            c.walk_hits[level] += count - missed;
            c.walk_references += missed;
            count = missed;
            uint64_t *swap = from;
            from = to;
            to = swap;
        }
    }
    free(from);
    free(to);
    free(tlb);
    *out = c;
}
int tlb_has_staged(void) { return 1; }
#else
void tlb_staged(const uint64_t *a, uint64_t n, uint64_t asid, tlb_counts *out) { (void)a; (void)n; (void)asid; (void)out; }
int tlb_has_staged(void) { return 0; }
#endif
