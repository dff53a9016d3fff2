/* Reads llama2.c's tokenizer.bin: int32 length of the longest token, then for each id a float
 * score, an int32 length and that many bytes, little-endian. It is a SentencePiece vocabulary with
 * "▁" written as a space and with "\n<s>\n" for "<s>"; both are put back, so that the tokenizer is
 * the one the file was made from. */
#include "model/tokenizer_internal.h"

#include <string.h>

enum { FILE_BYTES_MAX = 128 << 20 };

typedef struct entries {
    const char *bytes;
    size_t at, n;
} entries;

static samp_status next_entry(entries *e, uint32_t id, float *score, const char **text,
                              size_t *length, const char *path, samp_error *error)
{
    int32_t n = -1;
    if (e->n - e->at >= 8) {
        memcpy(score, e->bytes + e->at, 4);
        memcpy(&n, e->bytes + e->at + 4, 4);
    }
    if (n < 0 || (size_t)n > e->n - e->at - 8)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: token %u does not fit in the file (byte %zu of %zu)", path, id, e->at,
                         e->n);
    *text = e->bytes + e->at + 8;
    *length = (size_t)n;
    e->at += 8 + (size_t)n;
    return SAMP_OK;
}

static samp_status put_token(samp_tokenizer *t, uint32_t id, const char *text, size_t n,
                             samp_buffer *spelled, const char *path, samp_error *error)
{
    static const char *const special[] = {"<unk>", "<s>", "</s>"};
    if (id < 3)
        return samp__vocabulary_put(t, id, special[id], strlen(special[id]),
                                    SAMP__TOKEN_MODEL | SAMP__TOKEN_ADDED | SAMP__TOKEN_SPECIAL,
                                    path, error);
    samp_buffer_clear(spelled);
    for (size_t i = 0; i < n; i++) {
        if (text[i] == ' ')
            samp_buffer_text(spelled, "▁");
        else
            samp_buffer_append(spelled, text + i, 1);
    }
    SAMP_TRY(samp_buffer_ok(spelled, error));
    return samp__vocabulary_put(t, id, n ? spelled->data : "", spelled->length, SAMP__TOKEN_MODEL,
                                path, error);
}

static samp_status read_entries(samp_tokenizer *t, entries *e, float *scores, const char *path,
                                samp_error *error)
{
    samp_buffer spelled = {0};
    samp_status status = SAMP_OK;
    for (uint32_t id = 0; id < t->n_tokens && status == SAMP_OK; id++) {
        const char *text = "";
        size_t n = 0;
        status = next_entry(e, id, &scores[id], &text, &n, path, error);
        if (status == SAMP_OK) status = put_token(t, id, text, n, &spelled, path, error);
    }
    samp_buffer_release(&spelled);
    if (status == SAMP_OK && e->at != e->n)
        status =
            samp_fail(error, SAMP_MISMATCH, "%s: %zu bytes are left behind the model's %u tokens",
                      path, e->n - e->at, t->n_tokens);
    return status;
}

static samp_status read_file(samp_tokenizer *t, const char *path, float *scores, samp_error *error)
{
    samp_buffer file = {0};
    samp_status status = samp_file_slurp(path, FILE_BYTES_MAX, &file, error);
    if (status == SAMP_OK && file.length < 4)
        status = samp_fail(error, SAMP_CORRUPT, "%s has %zu bytes, expected at least 4", path,
                           file.length);
    if (status == SAMP_OK)
        status = read_entries(t, &(entries){file.data, 4, file.length}, scores, path, error);
    samp_buffer_release(&file);
    return status;
}

static samp_status build(samp_tokenizer *t, const char *path, const float *scores,
                         samp_error *error)
{
    samp__merge_list merges = {0};
    t->byte_fallback = t->fuse_unk = t->add_bos = true;
    t->unk = t->unk_name = 0;
    t->bos = 1;
    t->eos = 2;
    json_t *pipeline = samp__sentencepiece_pipeline(true, true);
    samp_status status = samp__vocabulary_index(t, error);
    if (status == SAMP_OK) status = samp__added_from_flags(t, path, error);
    if (status == SAMP_OK) status = samp__merges_add_scores(t, &merges, scores, path, error);
    if (status == SAMP_OK && !pipeline)
        status = samp_fail(error, SAMP_NOMEM, "%s: out of memory", path);
    if (status == SAMP_OK) status = samp__pipeline_read(t, pipeline, path, error);
    if (status == SAMP_OK) status = samp__tokenizer_finish(t, &merges, path, error);
    samp_free(merges.items);
    json_decref(pipeline);
    return status;
}

samp_status samp_tokenizer_from_llama2c(samp_tokenizer **out, const char *path, uint32_t n_vocab,
                                        samp_error *error)
{
    *out = NULL;
    samp_tokenizer *t;
    if (n_vocab < 3)
        return samp_fail(error, SAMP_INVALID, "%s: a vocabulary of %u tokens, expected at least 3",
                         path, n_vocab);
    SAMP_TRY(samp__tokenizer_new(&t, error));
    float *scores = NULL;
    samp_status status = samp__vocabulary_begin(t, n_vocab, path, error);
    if (status == SAMP_OK && !(scores = samp_alloc(n_vocab, sizeof *scores)))
        status = samp_fail(error, SAMP_NOMEM, "%s: out of memory for %u scores", path, n_vocab);
    if (status == SAMP_OK) status = read_file(t, path, scores, error);
    if (status == SAMP_OK) status = build(t, path, scores, error);
    samp_free(scores);
    if (status == SAMP_OK)
        *out = t;
    else
        samp_tokenizer_release(t);
    return status;
}
