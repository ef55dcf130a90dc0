/* What benchmarks/tlb reads from tlb.c; cffi parses this file as it stands. */
typedef struct {
    uint64_t accesses, l1_hits, l2_hits, walks, walk_references;
    uint64_t walk_hits[3];
} tlb_counts;

void tlb_move_to_front(const uint64_t *addresses, uint64_t n, uint64_t asid, tlb_counts *counts);
void tlb_timestamps(const uint64_t *addresses, uint64_t n, uint64_t asid, tlb_counts *counts);
void tlb_permute(const uint64_t *addresses, uint64_t n, uint64_t asid, tlb_counts *counts);
void tlb_staged(const uint64_t *addresses, uint64_t n, uint64_t asid, tlb_counts *counts);
int tlb_has_permute(void);
int tlb_has_staged(void);
