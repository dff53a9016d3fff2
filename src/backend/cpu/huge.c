/* Large aligned blocks on top of the program's one allocator (so that a test can fail them too). */
#include "backend/cpu/huge.h"

#include "base/memory.h"

#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20, CACHE_LINE = 64 };

bool samp__huge_alloc(samp__huge *out, size_t count, size_t size)
{
    *out = (samp__huge){0};
    size_t bytes, padded;
    if (__builtin_mul_overflow(count, size, &bytes)) return false;
    size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : CACHE_LINE;
    if (__builtin_add_overflow(bytes, alignment, &padded)) return false;
    void *base = samp_realloc(NULL, padded, 1);
    if (!base) return false;
    uintptr_t address = samp_round_up((uintptr_t)base, alignment);
    *out = (samp__huge){
        .data = (char *)base + (address - (uintptr_t)base), .size = bytes, .base = base};
    /* Only advice: without huge pages everything works, a little slower. */
    if (alignment == HUGE_PAGE) (void)madvise(out->data, bytes, MADV_HUGEPAGE);
    return true;
}

bool samp__huge_reserve(samp__huge *block, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return false;
    if (bytes <= block->size) return true;
    samp__huge larger;
    if (!samp__huge_alloc(&larger, bytes, 1)) return false;
    samp__huge_release(block);
    *block = larger;
    return true;
}

void samp__huge_release(samp__huge *block)
{
    samp_free(block->base);
    *block = (samp__huge){0};
}
