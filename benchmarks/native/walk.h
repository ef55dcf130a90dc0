/* What benchmarks/walk reads from walk.c; cffi parses this file as it stands. */
typedef struct {
    uint64_t *pa;
    uint8_t *fault; /* 0 translated, 1 not present, 2 permission, 3 reserved bit, 4 not canonical */
} walk_out;

void walk_naive(const uint8_t *memory, uint64_t root, const uint64_t *va, uint64_t n, walk_out *out);
uint64_t walk_dependent(const uint8_t *memory, uint64_t root, const uint64_t *va, uint64_t n, walk_out *out);
void walk_ring(const uint8_t *memory, uint64_t root, const uint64_t *va, uint64_t n, walk_out *out);
void walk_groups(const uint8_t *memory, uint64_t root, const uint64_t *va, uint64_t n, walk_out *out);
