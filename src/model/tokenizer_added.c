/* Added tokens: texts such as "<|im_start|>" that are found before byte-pair encoding.
 *
 * As in Hugging Face's tokenizers there are two sets: tokens looked for in the text as given
 * (normalized: false), then in each rest those looked for in the normalized text. In each set the
 * leftmost match wins, the longest of those; special tokens take part only with parse_special. A
 * trie over bytes lives in the arena; a token has at most 512 bytes, which bounds the look-ahead.
 */
#include "model/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

static uint32_t node_new(samp__added_trie *trie, uint8_t byte)
{
    trie->nodes[trie->count] = (samp__added_node){SAMP__NONE, SAMP__NONE, SAMP__NONE, byte};
    return trie->count++;
}

static uint32_t child_find(const samp__added_trie *trie, uint32_t node, uint8_t byte)
{
    uint32_t child = trie->nodes[node].child;
    while (child != SAMP__NONE && trie->nodes[child].byte != byte)
        child = trie->nodes[child].sibling;
    return child;
}

static void trie_insert(samp__added_trie *trie, const char *text, size_t n, uint32_t added)
{
    uint8_t first = (uint8_t)text[0];
    if (trie->roots[first] == SAMP__NONE) trie->roots[first] = node_new(trie, first);
    uint32_t node = trie->roots[first];
    for (size_t i = 1; i < n; i++) {
        uint32_t child = child_find(trie, node, (uint8_t)text[i]);
        if (child == SAMP__NONE) {
            child = node_new(trie, (uint8_t)text[i]);
            trie->nodes[child].sibling = trie->nodes[node].child;
            trie->nodes[node].child = child;
        }
        node = child;
    }
    if (trie->nodes[node].added == SAMP__NONE) trie->nodes[node].added = added;
}

static samp_status trie_begin(samp_tokenizer *t, samp__added_trie *trie, size_t bytes,
                              const char *where, samp_error *error)
{
    for (int i = 0; i < 256; i++) trie->roots[i] = SAMP__NONE;
    trie->nodes = samp_arena_alloc(&t->arena, bytes, sizeof *trie->nodes);
    return trie->nodes ? SAMP_OK
                       : samp_fail(error, SAMP_NOMEM, "%s: out of memory for added tokens", where);
}

samp_status samp__added_finish(samp_tokenizer *t, const char *where, samp_error *error)
{
    size_t n_raw = 0, n_normalized = 0;
    samp_buffer buffers[2] = {{0}, {0}}, contents = {0};
    size_t *ends = samp_realloc(NULL, t->n_added, sizeof *ends);
    samp_status status = ends ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "%s: out of memory", where);
    for (uint32_t i = 0; i < t->n_added && status == SAMP_OK; i++) {
        const char *text = t->added[i].content;
        size_t n = t->added[i].n;
        if (t->added[i].normalized)
            status = samp__transforms_apply(&t->normalizer, true, buffers, &text, &n, error);
        if (status == SAMP_OK && (n == 0 || n > SAMP__ADDED_BYTES_MAX))
            status =
                samp_fail(error, SAMP_LIMIT, "%s: added token %d has %zu bytes, expected 1 to %d",
                          where, t->added[i].id, n, SAMP__ADDED_BYTES_MAX);
        if (status != SAMP_OK) break;
        samp_buffer_append(&contents, text, n);
        ends[i] = contents.length;
        *(t->added[i].normalized ? &n_normalized : &n_raw) += n;
    }
    if (status == SAMP_OK) status = samp_buffer_ok(&contents, error);
    if (status == SAMP_OK) status = trie_begin(t, &t->raw, n_raw, where, error);
    if (status == SAMP_OK) status = trie_begin(t, &t->normalized, n_normalized, where, error);
    for (uint32_t i = 0; i < t->n_added && status == SAMP_OK; i++) {
        size_t start = i ? ends[i - 1] : 0;
        trie_insert(t->added[i].normalized ? &t->normalized : &t->raw, contents.data + start,
                    ends[i] - start, i);
    }
    samp_buffer_release(&buffers[0]);
    samp_buffer_release(&buffers[1]);
    samp_buffer_release(&contents);
    samp_free(ends);
    return status;
}

samp_status samp__added_from_flags(samp_tokenizer *t, const char *where, samp_error *error)
{
    uint32_t n = 0;
    for (uint32_t id = 0; id < t->n_tokens; id++)
        n += (t->tokens[id].flags & SAMP__TOKEN_ADDED) && t->tokens[id].n_text;
    if (n > SAMP__ADDED_MAX)
        return samp_fail(error, SAMP_LIMIT, "%s: %u special tokens, at most %d are accepted", where,
                         n, SAMP__ADDED_MAX);
    t->added = samp_arena_alloc(&t->arena, n, sizeof *t->added);
    if (!t->added)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for special tokens", where);
    for (uint32_t id = 0; id < t->n_tokens; id++) {
        const samp__token *token = &t->tokens[id];
        if (!(token->flags & SAMP__TOKEN_ADDED) || !token->n_text) continue;
        t->added[t->n_added++] = (samp__added){.id = (int32_t)id,
                                               .content = token->text,
                                               .n = token->n_text,
                                               .special = token->flags & SAMP__TOKEN_SPECIAL};
    }
    return SAMP_OK;
}

static int by_id(const void *a, const void *b)
{
    const samp__added *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

samp_status samp__added_named(samp_tokenizer *t, const char *where, samp_error *error)
{
    const int32_t ids[] = {t->bos, t->eos, t->pad, t->unk_name};
    enum { N = sizeof ids / sizeof *ids };
    samp__added *room = samp_arena_alloc(&t->arena, (size_t)t->n_added + N, sizeof *room);
    if (!room) return samp_fail(error, SAMP_NOMEM, "%s: out of memory for special tokens", where);
    if (t->n_added) memcpy(room, t->added, t->n_added * sizeof *room);
    t->added = room;
    for (int i = 0; i < N; i++) {
        samp__token *token = ids[i] >= 0 ? &t->tokens[ids[i]] : NULL;
        if (!token || token->flags & SAMP__TOKEN_ADDED || !token->n_text) continue;
        token->flags |= SAMP__TOKEN_ADDED | SAMP__TOKEN_SPECIAL;
        t->added[t->n_added++] = (samp__added){
            .id = ids[i], .content = token->text, .n = token->n_text, .special = true};
    }
    qsort(t->added, t->n_added, sizeof *t->added, by_id);
    return SAMP_OK;
}

/* The longest token that text[at..n) starts with, NULL when none. */
static const samp__added *longest(const samp_tokenizer *t, const samp__added_trie *trie,
                                  bool parse_special, const uint8_t *marks, const char *text,
                                  size_t n, size_t at, size_t *end)
{
    const samp__added *found = NULL;
    uint32_t node = trie->roots[(uint8_t)text[at]];
    while (node != SAMP__NONE) {
        parse_special = parse_special && (!marks || marks[at]);
        at++;
        uint32_t added = trie->nodes[node].added;
        if (added != SAMP__NONE && (parse_special || !t->added[added].special)) {
            found = &t->added[added];
            *end = at;
        }
        if (at == n) break;
        node = child_find(trie, node, (uint8_t)text[at]);
    }
    return found;
}

/* The character that ends at text[at] and where it starts; 0 and `at` when there is no valid one.
 */
static uint32_t code_before(const char *text, size_t at, size_t *start)
{
    *start = at;
    for (size_t back = 1; back <= 4 && back <= at; back++) {
        int length = samp_utf8_length(text + at - back, back);
        if (length == (int)back) {
            *start = at - back;
            return samp_utf8_decode(text + *start, length);
        }
    }
    return 0;
}

static uint32_t code_at(const char *text, size_t n, size_t at, size_t *end)
{
    int length = at < n ? samp_utf8_length(text + at, n - at) : 0;
    *end = at;
    if (length <= 0) return 0;
    *end = at + (size_t)length;
    return samp_utf8_decode(text + at, length);
}

bool samp__added_find(const samp_tokenizer *t, const samp__added_trie *trie, bool parse_special,
                      const uint8_t *marks, const char *text, size_t n, size_t from,
                      samp__added_match *match)
{
    if (!trie->count) return false;
    for (size_t at = from; at < n; at++) {
        size_t end, other;
        const samp__added *added = longest(t, trie, parse_special, marks, text, n, at, &end);
        if (!added) continue;
        if (added->single_word && (samp__is_word(code_before(text, at, &other)) ||
                                   samp__is_word(code_at(text, n, end, &other)))) {
            at = end - 1;
            continue;
        }
        *match = (samp__added_match){at, end, added->id};
        while (added->lstrip && match->start > from &&
               samp__is_white_space(code_before(text, match->start, &other)) && other >= from)
            match->start = other;
        while (added->rstrip && samp__is_white_space(code_at(text, n, match->end, &other)))
            match->end = other;
        return true;
    }
    return false;
}
