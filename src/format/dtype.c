/* Names and sizes of the element types, generated from SAMP_DTYPE_LIST. */
#include "format/dtype.h"

#include <string.h>

static const struct {
    const char *name;
    unsigned bits;
} dtypes[SAMP_DTYPE_COUNT] = {
#define X(id, name, bits) {name, bits},
    SAMP_DTYPE_LIST(X)
#undef X
};

const char *samp_dtype_name(samp_dtype dtype) { return dtypes[dtype].name; }

unsigned samp_dtype_bits(samp_dtype dtype) { return dtypes[dtype].bits; }

bool samp_dtype_parse(const char *name, size_t n, samp_dtype *out)
{
    for (int i = 0; i < SAMP_DTYPE_COUNT; i++) {
        if (strlen(dtypes[i].name) != n || memcmp(dtypes[i].name, name, n) != 0) continue;
        *out = (samp_dtype)i;
        return true;
    }
    return false;
}
