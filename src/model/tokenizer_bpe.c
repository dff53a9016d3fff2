/* Byte-pair encoding of one word: symbols in a linked list, and a heap of the pairs that may merge.
 *
 * A heap entry is rank << 32 | position, so that the lowest rank comes first and the leftmost of
 * equal ranks; an entry whose pair has changed meanwhile is recognized by its rank and skipped. The
 * heap has four children a node, on 8-byte entries: one cache line holds two families, and a word
 * of five megabytes (a hostile one: text has none) takes about a second instead of a quadratic
 * eternity. */
#include "model/tokenizer_internal.h"

#include <string.h>

void samp__scratch_release(samp__scratch *s)
{
    for (int i = 0; i < 2; i++) {
        samp_buffer_release(&s->normalized[i]);
        samp_buffer_release(&s->prefixed[i]);
    }
    samp__matcher_release(s->matcher);
    samp_free(s->symbols);
    samp_free(s->queue);
}

/* Room for count items; the array, moved or not, or NULL when out of memory. */
static void *reserve(void *array, size_t *capacity, size_t count, size_t size, samp_error *error)
{
    if (count <= *capacity) return array;
    size_t room = count < 64 ? 64 : count + count / 2;
    void *grown = samp_realloc(array, room, size);
    if (grown)
        *capacity = room;
    else
        samp_fail(error, SAMP_NOMEM, "out of memory for encoding a word of %zu symbols", count);
    return grown;
}

static void sift_up(uint64_t *queue, size_t at)
{
    uint64_t entry = queue[at];
    for (size_t parent; at > 0 && queue[parent = (at - 1) / 4] > entry; at = parent)
        queue[at] = queue[parent];
    queue[at] = entry;
}

static void sift_down(uint64_t *queue, size_t count, size_t at)
{
    uint64_t entry = queue[at];
    for (;;) {
        size_t first = 4 * at + 1, least = first;
        if (first >= count) break;
        size_t end = first + 4 < count ? first + 4 : count;
        for (size_t i = first + 1; i < end; i++)
            if (queue[i] < queue[least]) least = i;
        if (queue[least] >= entry) break;
        queue[at] = queue[least];
        at = least;
    }
    queue[at] = entry;
}

static uint64_t queue_pop(samp__scratch *s)
{
    uint64_t entry = s->queue[0];
    s->queue[0] = s->queue[--s->queue_count];
    if (s->queue_count > 1) sift_down(s->queue, s->queue_count, 0);
    return entry;
}

/* Looks up the pair that starts at a symbol; its entry for the queue, or 0 when it does not merge.
 * (A real entry is never 0: positions count from 1.) */
static uint64_t pair_entry(samp__scratch *s, uint32_t position)
{
    samp__symbol *symbol = &s->symbols[position];
    symbol->merge = SAMP__NONE;
    if (symbol->next == SAMP__NONE) return 0;
    symbol->merge = samp__merges_find(s->tokenizer, symbol->id, s->symbols[symbol->next].id);
    if (symbol->merge == SAMP__NONE) return 0;
    return (uint64_t)s->tokenizer->merges.slots[symbol->merge].rank << 32 | (position + 1);
}

static void symbol_add(samp__scratch *s, uint32_t *count, int32_t id)
{
    uint32_t at = (*count)++;
    s->symbols[at] = (samp__symbol){(uint32_t)id, at - 1, at + 1, SAMP__NONE};
}

/* The symbols of text in characters: a token, "<0x..>" tokens, the unknown token, or nothing. */
static uint32_t character_symbols(samp__scratch *s, const char *word, size_t n)
{
    const samp_tokenizer *t = s->tokenizer;
    uint32_t count = 0;
    bool after_unk = false;
    for (size_t at = 0; at < n;) {
        int valid = samp__utf8_length(word + at, n - at);
        size_t length = valid > 0 ? (size_t)valid : 1;
        const char *character = word + at;
        at += length;
        int32_t id = (unsigned char)*character < 128
                         ? t->symbol_of_ascii[(unsigned char)*character]
                         : samp__vocabulary_find_model(t, character, length);
        if (id >= 0) {
            symbol_add(s, &count, id);
            after_unk = false;
            continue;
        }
        bool all = t->byte_fallback;
        for (size_t i = 0; i < length; i++)
            all = all && t->symbol_of_byte[(uint8_t)character[i]] >= 0;
        for (size_t i = 0; i < length && all; i++)
            symbol_add(s, &count, t->symbol_of_byte[(uint8_t)character[i]]);
        if (!all && t->unk >= 0 && !(t->fuse_unk && after_unk)) symbol_add(s, &count, t->unk);
        after_unk = !all;
    }
    return count;
}

static uint32_t byte_symbols(samp__scratch *s, const char *word, size_t n)
{
    const samp_tokenizer *t = s->tokenizer;
    uint32_t count = 0;
    bool after_unk = false;
    for (size_t at = 0; at < n; at++) {
        int32_t id = t->symbol_of_byte[(uint8_t)word[at]];
        bool missing = id < 0;
        if (missing && !(t->fuse_unk && after_unk)) id = t->unk;
        if (id >= 0) symbol_add(s, &count, id);
        after_unk = missing;
    }
    return count;
}

static void merge_all(samp__scratch *s)
{
    const samp__merge *merges = s->tokenizer->merges.slots;
    while (s->queue_count) {
        uint64_t entry = queue_pop(s);
        uint32_t rank = (uint32_t)(entry >> 32), position = (uint32_t)entry - 1;
        samp__symbol *left = &s->symbols[position];
        if (left->merge == SAMP__NONE || merges[left->merge].rank != rank) continue;
        samp__symbol *right = &s->symbols[left->next];
        left->id = merges[left->merge].result;
        left->next = right->next;
        right->id = right->merge = SAMP__NONE;
        if (left->next != SAMP__NONE) s->symbols[left->next].prev = position;
        /* each merge takes one symbol away and adds two entries at most: room was made for them */
        uint32_t starts[2] = {left->prev, position};
        for (int i = 0; i < 2; i++) {
            uint64_t added = starts[i] == SAMP__NONE ? 0 : pair_entry(s, starts[i]);
            if (!added) continue;
            s->queue[s->queue_count] = added;
            sift_up(s->queue, s->queue_count++);
        }
    }
}

samp_status samp__bpe_word(samp__scratch *s, const char *word, size_t n)
{
    const samp_tokenizer *t = s->tokenizer;
    int32_t whole = t->ignore_merges ? samp__vocabulary_find_word(t, word, n) : -1;
    if (whole >= 0) return samp_tokens_push(s->out, whole, s->error);

    samp__symbol *symbols = reserve(s->symbols, &s->symbols_capacity, n, sizeof *symbols, s->error);
    if (!symbols) return SAMP_NOMEM;
    s->symbols = symbols;
    uint32_t count = t->byte_level ? byte_symbols(s, word, n) : character_symbols(s, word, n);
    if (!count) return SAMP_OK;
    s->symbols[0].prev = SAMP__NONE;
    s->symbols[count - 1].next = SAMP__NONE;

    /* n-1 pairs at the start; a pop and two pushes for each of n-1 merges at most */
    uint64_t *queue =
        reserve(s->queue, &s->queue_capacity, 2 * (size_t)count, sizeof *queue, s->error);
    if (!queue) return SAMP_NOMEM;
    s->queue = queue;
    s->queue_count = 0;
    for (uint32_t i = 0; i + 1 < count; i++) {
        uint64_t entry = pair_entry(s, i);
        if (entry) s->queue[s->queue_count++] = entry;
    }
    for (size_t i = s->queue_count / 4 + 1; i-- > 0;)
        if (i < s->queue_count) sift_down(s->queue, s->queue_count, i);
    merge_all(s);
    for (uint32_t i = 0; i != SAMP__NONE; i = s->symbols[i].next)
        SAMP_TRY(samp_tokens_push(s->out, (int32_t)s->symbols[i].id, s->error));
    return SAMP_OK;
}
