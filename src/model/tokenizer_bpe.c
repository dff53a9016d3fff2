/* Byte-pair encoding of one word: symbols in a linked list, and a queue of the pairs that may merge
 * (tokenizer_queue.c). The merge of lowest rank is done first, the leftmost of equal ranks, until
 * none is left; each takes two look-ups in the table of merges. */
#include "model/tokenizer_internal.h"

/* Symbols of a long word are fetched so many merges ahead: 5 MB of random letters 1.45 s -> 0.95 s. */
enum { AHEAD = 8 };

void samp__scratch_release(samp__scratch *s)
{
    for (int i = 0; i < 2; i++) {
        samp_buffer_release(&s->normalized[i]);
        samp_buffer_release(&s->prefixed[i]);
    }
    samp_buffer_release(&s->marks);
    samp__matcher_release(s->matcher);
    samp__merge_queue_release(&s->queue);
    samp_free(s->symbols);
}

static samp_status fail_nomem(samp__scratch *s, size_t n)
{
    return samp_fail(s->error, SAMP_NOMEM, "out of memory for encoding a word of %zu bytes", n);
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
        int valid = samp_utf8_length(word + at, n - at);
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

/* Looks up the pair that starts at a symbol and queues it when it merges. */
static bool queue_pair(samp__scratch *s, uint32_t position)
{
    const samp_tokenizer *t = s->tokenizer;
    samp__symbol *symbol = &s->symbols[position];
    symbol->merge = SAMP__NONE;
    if (symbol->next == SAMP__NONE) return true;
    symbol->merge = samp__merges_find(t, symbol->id, s->symbols[symbol->next].id);
    return symbol->merge == SAMP__NONE ||
           samp__merge_queue_push(&s->queue, t->merges.slots[symbol->merge].rank, position);
}

/* Merges all that merges; false when out of memory. An entry of the queue whose pair has changed
 * meanwhile is known by its rank, and skipped. */
static bool merge_all(samp__scratch *s)
{
    const samp__merge *merges = s->tokenizer->merges.slots;
    uint32_t rank, position;
    samp__merge_queue_result result;
    while ((result = samp__merge_queue_pop(&s->queue, &rank, &position)) == SAMP__QUEUE_ENTRY) {
        const samp__queue *q = &s->queue;
        if (q->batch_at + AHEAD < q->batch_count)
            __builtin_prefetch(&s->symbols[q->batch[q->batch_at + AHEAD]]);
        samp__symbol *left = &s->symbols[position];
        if (left->merge == SAMP__NONE || merges[left->merge].rank != rank) continue;
        samp__symbol *right = &s->symbols[left->next];
        left->id = merges[left->merge].result;
        left->next = right->next;
        right->id = right->merge = SAMP__NONE;
        if (left->next != SAMP__NONE) s->symbols[left->next].prev = position;
        if (left->prev != SAMP__NONE && !queue_pair(s, left->prev)) return false;
        if (!queue_pair(s, position)) return false;
    }
    return result == SAMP__QUEUE_EMPTY;
}

static samp_status encode_piece(samp__scratch *s, const char *word, size_t n)
{
    const samp_tokenizer *t = s->tokenizer;
    if (n > s->symbols_capacity) {
        size_t room = n < 64 ? 64 : n;
        samp__symbol *symbols = samp_realloc(s->symbols, room, sizeof *symbols);
        if (!symbols) return fail_nomem(s, n);
        s->symbols = symbols;
        s->symbols_capacity = room;
    }
    uint32_t count = t->byte_level ? byte_symbols(s, word, n) : character_symbols(s, word, n);
    if (!count) return SAMP_OK;
    s->symbols[count - 1].next = SAMP__NONE;
    if (!samp__merge_queue_begin(&s->queue, count, t->merges.n_ranks)) return fail_nomem(s, n);
    for (uint32_t i = 0; i < count; i++)
        if (!queue_pair(s, i)) return fail_nomem(s, n);
    if (!merge_all(s)) return fail_nomem(s, n);
    for (uint32_t i = 0; i != SAMP__NONE; i = s->symbols[i].next)
        SAMP_TRY(samp_tokens_push(s->out, (int32_t)s->symbols[i].id, s->error));
    return SAMP_OK;
}

/* A word is encoded in pieces cut where no token could reach across: between two bytes that stand
 * side by side in no merge's result. That is exact, and makes short pieces of a text that is one
 * word. */
samp_status samp__bpe_word(samp__scratch *s, const char *word, size_t n)
{
    const samp_tokenizer *t = s->tokenizer;
    int32_t whole = t->ignore_merges ? samp__vocabulary_find_word(t, word, n) : -1;
    if (whole >= 0) return samp_tokens_push(s->out, whole, s->error);
    size_t start = 0;
    for (size_t i = 1; i < n; i++) {
        unsigned pair = (unsigned)(unsigned char)word[i - 1] << 8 | (unsigned char)word[i];
        if (t->joins[pair >> 3] >> (pair & 7) & 1) continue;
        SAMP_TRY(encode_piece(s, word + start, i - start));
        start = i;
    }
    return encode_piece(s, word + start, n - start);
}
