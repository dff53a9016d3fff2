/* A backend of another ABI (test_load.c): nothing after the first field may be trusted, so nothing
 * is there. */
#include <stdint.h>

static const struct {
    uint32_t abi;
} table = {999};

__attribute__((visibility("default"))) const void *samp_backend_entry(void);
const void *samp_backend_entry(void) { return &table; }
