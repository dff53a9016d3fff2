/* The merges of byte-pair encoding: one table from a pair of token ids to what it becomes, and
 * when.
 *
 * tokenizer.json and GGUF's "gpt2" model list merges in order. SentencePiece has none: it merges
 * any two neighbours whose text together is a token, the token of the highest score first. That is
 * the same thing with a merge for each way to split each token, and equal ranks for equal scores;
 * so both kinds of tokenizer run through one algorithm (tokenizer_bpe.c). */
#include "model/tokenizer_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static samp_status list_push(samp__merge_list *list, samp__merge merge, const char *where,
                             samp_error *error)
{
    if (list->count >= SAMP__MERGES_MAX)
        return samp_fail(error, SAMP_LIMIT, "%s: more than %d merges", where, SAMP__MERGES_MAX);
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 1024;
        samp__merge *items = samp_realloc(list->items, capacity, sizeof *items);
        if (!items) return samp_fail(error, SAMP_NOMEM, "%s: out of memory for merges", where);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = merge;
    return SAMP_OK;
}

samp_status samp__merges_add_texts(samp_tokenizer *t, samp__merge_list *list, const char *left,
                                   size_t n_left, const char *right, size_t n_right,
                                   const char *where, samp_error *error)
{
    char small[256];
    size_t n = n_left + n_right;
    char *both = n <= sizeof small ? small : samp_realloc(NULL, n, 1);
    if (!both) return samp_fail(error, SAMP_NOMEM, "%s: out of memory for a merge", where);
    memcpy(both, left, n_left);
    memcpy(both + n_left, right, n_right);
    int32_t left_id = samp__vocabulary_find(t, left, n_left);
    int32_t right_id = samp__vocabulary_find(t, right, n_right);
    int32_t result = samp__vocabulary_find(t, both, n);
    if (both != small) samp_free(both);
    if (!n_left || !n_right || left_id < 0 || right_id < 0 || result < 0) {
        const char *missing = !n_left || !n_right ? "one of its parts is empty"
                              : left_id < 0       ? "its left part is not a token"
                              : right_id < 0      ? "its right part is not a token"
                                                  : "its result is not a token";
        return samp_fail(error, SAMP_CORRUPT, "%s: merge %zu (\"%.*s\" + \"%.*s\"): %s", where,
                         list->count, (int)(n_left < 40 ? n_left : 40), left,
                         (int)(n_right < 40 ? n_right : 40), right, missing);
    }
    uint32_t rank = (uint32_t)list->count;
    return list_push(list,
                     (samp__merge){(uint32_t)left_id, (uint32_t)right_id, rank, (uint32_t)result},
                     where, error);
}

typedef struct scored_token {
    float score;
    uint32_t id;
} scored_token;

static int by_score(const void *a, const void *b)
{
    const scored_token *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Only ordinary tokens are made by merging: not control, byte, unused or user-defined ones. */
static bool is_mergeable(const samp__token *token)
{
    return token->flags == (SAMP__TOKEN_PRESENT | SAMP__TOKEN_MODEL) && token->n_text > 1 &&
           samp__byte_token(token->text, token->n_text) < 0;
}

static samp_status add_splits(samp_tokenizer *t, samp__merge_list *list, uint32_t id, uint32_t rank,
                              const char *where, samp_error *error)
{
    const samp__token *token = &t->tokens[id];
    if (token->n_text > SAMP__SCORED_BYTES_MAX)
        return samp_fail(error, SAMP_LIMIT, "%s: token %u has %u bytes, at most %d with scores",
                         where, id, token->n_text, SAMP__SCORED_BYTES_MAX);
    if (samp__vocabulary_find(t, token->text, token->n_text) != (int32_t)id) return SAMP_OK;
    for (uint32_t i = 1; i < token->n_text; i++) {
        int32_t left = samp__vocabulary_find_model(t, token->text, i);
        if (left < 0) continue;
        int32_t right = samp__vocabulary_find_model(t, token->text + i, token->n_text - i);
        if (right < 0) continue;
        SAMP_TRY(list_push(list, (samp__merge){(uint32_t)left, (uint32_t)right, rank, id}, where,
                           error));
    }
    return SAMP_OK;
}

samp_status samp__merges_add_scores(samp_tokenizer *t, samp__merge_list *list, const float *scores,
                                    const char *where, samp_error *error)
{
    scored_token *order = samp_realloc(NULL, t->n_tokens, sizeof *order);
    if (!order) return samp_fail(error, SAMP_NOMEM, "%s: out of memory for scores", where);
    uint32_t n = 0;
    samp_status status = SAMP_OK;
    for (uint32_t id = 0; id < t->n_tokens && status == SAMP_OK; id++) {
        if (isnan(scores[id]))
            status = samp_fail(error, SAMP_CORRUPT, "%s: the score of token %u is not a number",
                               where, id);
        if (is_mergeable(&t->tokens[id])) order[n++] = (scored_token){scores[id], id};
    }
    if (status == SAMP_OK) qsort(order, n, sizeof *order, by_score);
    uint32_t rank = 0;
    for (uint32_t i = 0; i < n && status == SAMP_OK; i++) {
        if (i && order[i].score != order[i - 1].score) rank++;
        status = add_splits(t, list, order[i].id, rank, where, error);
    }
    samp_free(order);
    return status;
}

static uint32_t pair_hash(uint32_t left, uint32_t right)
{
    uint64_t hash = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(hash >> 32 ^ hash >> 15);
}

static uint32_t pair_slot(const samp__merge_table *table, uint32_t left, uint32_t right)
{
    uint32_t at = pair_hash(left, right) & table->mask;
    while (table->slots[at].left != SAMP__NONE &&
           (table->slots[at].left != left || table->slots[at].right != right))
        at = (at + 1) & table->mask;
    return at;
}

samp_status samp__merges_finish(samp_tokenizer *t, samp__merge_list *list, samp_error *error)
{
    uint64_t size = 16;
    while (size < 2 * (uint64_t)list->count) size *= 2;
    samp__merge_table *table = &t->merges;
    table->slots = samp_arena_alloc(&t->arena, size, sizeof *table->slots);
    table->mask = (uint32_t)(size - 1);
    if (table->slots) {
        for (uint64_t i = 0; i < size; i++) table->slots[i].left = SAMP__NONE;
        for (size_t i = 0; i < list->count; i++) {
            const samp__merge *merge = &list->items[i];
            /* a special token is never made from other text, whatever the list says */
            if (t->tokens[merge->result].flags & SAMP__TOKEN_SPECIAL) continue;
            samp__merge *slot = &table->slots[pair_slot(table, merge->left, merge->right)];
            table->count += slot->left == SAMP__NONE;
            if (merge->rank >= table->n_ranks) table->n_ranks = merge->rank + 1;
            *slot = *merge;
        }
    }
    samp_free(list->items);
    *list = (samp__merge_list){0};
    return table->slots ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "out of memory for the merges");
}

uint32_t samp__merges_find(const samp_tokenizer *t, uint32_t left, uint32_t right)
{
    uint32_t at = pair_slot(&t->merges, left, right);
    return t->merges.slots[at].left == SAMP__NONE ? SAMP__NONE : at;
}

static bool has_symbol(const samp_tokenizer *t, int byte) { return t->symbol_of_byte[byte] >= 0; }

static void join(samp_tokenizer *t, unsigned char x, unsigned char y)
{
    unsigned pair = (unsigned)x << 8 | y;
    t->joins[pair >> 3] |= (uint8_t)(1u << (pair & 7));
}

/* A word may be cut between bytes x and y when no token that merging makes has them side by side.
 * Two exceptions keep that exact: a byte without a symbol is dropped or fused with its neighbours,
 * so nothing is cut beside it; and a character is never cut. Merges of "<0x..>" tokens, whose text
 * is not what they stand for, rule cutting out. */
samp_status samp__joins_finish(samp_tokenizer *t, samp_error *error)
{
    t->joins = samp_arena_alloc(&t->arena, 65536 / 8, 1);
    if (!t->joins) return samp_fail(error, SAMP_NOMEM, "out of memory for the merges");
    bool complete = true, never = false;
    for (int byte = 0; byte < 256; byte++) complete = complete && has_symbol(t, byte);
    for (uint64_t i = 0; i <= t->merges.mask; i++) {
        const samp__merge *merge = &t->merges.slots[i];
        if (merge->left == SAMP__NONE) continue;
        const samp__token *left = &t->tokens[merge->left], *right = &t->tokens[merge->right];
        if ((left->flags | right->flags) & SAMP__TOKEN_BYTE) never = true;
        /* every result is made of smaller ones, so the seam of each merge is all that is new */
        const char *x = t->byte_level ? left->bytes + left->n_bytes : left->text + left->n_text;
        const char *y = t->byte_level ? right->bytes : right->text;
        if ((t->byte_level ? left->n_bytes && right->n_bytes : left->n_text && right->n_text))
            join(t, (unsigned char)x[-1], (unsigned char)*y);
    }
    never = never || (!t->byte_level && !complete);
    for (int x = 0; x < 256; x++)
        for (int y = 0; y < 256; y++)
            if (never || !has_symbol(t, x) || !has_symbol(t, y) ||
                (!t->byte_level && y >= 0x80 && y < 0xc0))
                join(t, (unsigned char)x, (unsigned char)y);
    return SAMP_OK;
}
