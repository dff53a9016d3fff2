/* Hashes of texts, and the table of those that came by. */
#include "plan/sample_content.h"

#include "base/memory.h"

#include <string.h>

enum { SLOTS_LOG2_MIN = 16, SLOTS_LOG2_MAX = 24 };

static uint64_t absorb(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 29;
}

uint64_t samp_content_hash(const char *text, size_t n)
{
    uint64_t hash = 0x243F6A8885A308D3u, word = 0;
    unsigned filled = 0;
    bool gap = false, any = false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ') {
            gap = any;
            continue;
        }
        if (c >= 'A' && c <= 'Z') c |= 32;
        if (gap) {
            word = word << 8 | ' ';
            if (++filled == 8) hash = absorb(hash, word), filled = 0;
            gap = false;
        }
        word = word << 8 | c;
        any = true;
        if (++filled == 8) hash = absorb(hash, word), filled = 0;
    }
    /* The last bytes, shifted clear of older ones, and their number. */
    if (filled) word &= (UINT64_C(1) << 8 * filled) - 1;
    return samp_mix64(absorb(absorb(hash, filled ? word : 0), filled));
}

uint64_t samp_content_signature(const char *text, size_t n)
{
    int32_t votes[64] = {0};
    uint64_t word = 0, before = 0;
    bool inside = false;
    for (size_t i = 0; i <= n; i++) {
        unsigned char c = i < n ? (unsigned char)text[i] : ' ';
        if (c >= 'A' && c <= 'Z') c |= 32;
        bool part = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80;
        if (part) {
            word = absorb(inside ? word : 0, c);
            inside = true;
        } else if (inside) {
            uint64_t pair = samp_mix64(absorb(word, before));
            for (int b = 0; b < 64; b++) votes[b] += (pair >> b & 1) ? 1 : -1;
            before = word;
            inside = false;
        }
    }
    uint64_t signature = 0;
    for (int b = 0; b < 64; b++) signature |= (uint64_t)(votes[b] > 0) << b;
    return signature;
}

samp_status samp_seen_init(samp_seen *seen, uint64_t n_expected, samp_error *error)
{
    unsigned log2 = SLOTS_LOG2_MIN;
    while (log2 < SLOTS_LOG2_MAX && (n_expected == 0 || UINT64_C(1) << log2 < 2 * n_expected))
        log2++;
    *seen = (samp_seen){.n_slots = UINT64_C(1) << log2};
    seen->tags = samp_alloc(seen->n_slots, sizeof *seen->tags);
    return seen->tags ? SAMP_OK
                      : samp_fail(error, SAMP_NOMEM, "out of memory for the table of duplicates");
}

void samp_seen_release(samp_seen *seen)
{
    samp_free(seen->tags);
    *seen = (samp_seen){0};
}

bool samp_seen_add(samp_seen *seen, uint64_t hash)
{
    uint64_t mask = seen->n_slots - 1, at = hash & mask;
    uint32_t tag = (uint32_t)(hash >> 32);
    if (tag == 0) tag = 1;
    for (; seen->tags[at]; at = (at + 1) & mask)
        if (seen->tags[at] == tag) return true;
    seen->full = seen->n_used >= seen->n_slots / 8 * 7;
    if (seen->full) return false;
    seen->tags[at] = tag;
    seen->n_used++;
    return false;
}
