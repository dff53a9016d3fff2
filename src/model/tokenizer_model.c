/* Reads tokenizer.model: SentencePiece's ModelProto, a protocol buffer (sentencepiece_model.proto).
 *
 * A message is a run of fields, each a number with a wire type, then its bytes; fields may come
 * in any order, unknown ones are stepped over, and of one that comes twice the last counts. Every
 * length is checked against the bytes left (samp_cursor). Two walks: one counts the pieces and
 * reads the settings, one takes the pieces. What would give other ids than SentencePiece does
 * (unigram, normalization tables, collapsed spaces) is refused by name.
 * The result is what Hugging Face's converter makes of the file. As there, tokenizer_config.json may
 * say "add_prefix_space", and "legacy": false for a space in front of the first text only; when it
 * says nothing, one stands behind each special token too, as in Llama 2's published tokenizer. */
#include "model/tokenizer_internal.h"

#include "file/cursor.h"

#include <string.h>

/* read_settings starts with what the .proto file says of fields that are absent. */
typedef struct settings {
    uint64_t n_pieces;
    uint64_t model_type;
    bool byte_fallback, suffix_spaces;             /* trainer_spec */
    int32_t unk, bos, eos, pad;                    /* the same; -1: none */
    bool dummy_prefix, remove_spaces, escape;      /* normalizer_spec */
    const char *rule;                              /* its name, of n_rule bytes */
    uint64_t n_rule, n_normalizer, n_denormalizer; /* bytes of the tables */
} settings;

enum { UNIGRAM = 1, BPE, WORD, CHARACTER };
enum { PIECE_NORMAL = 1, PIECE_UNKNOWN, PIECE_CONTROL, PIECE_USER, PIECE_UNUSED, PIECE_BYTE };
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 }; /* wire types */

/* A field: number, and a value or its bytes. */
typedef struct field {
    uint64_t number;
    unsigned wire;
    uint64_t value; /* VARINT; BYTES: how many */
    float number32; /* FIXED32 */
    const char *bytes;
} field;

static uint64_t read_varint(samp_cursor *c, const char *what)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = samp_cursor_u8(c, what);
        if (shift == 63 && byte > 1) break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
    samp_cursor_fail(c, SAMP_CORRUPT, "%s has more than 64 bits", what);
    return 0;
}

/* The next field; false at the end of the message and on failure (c->status). */
static bool next_field(samp_cursor *c, field *f)
{
    if (c->status != SAMP_OK || c->at == c->size) return false;
    uint64_t key = read_varint(c, "a field's key");
    *f = (field){.number = key >> 3, .wire = (unsigned)(key & 7)};
    switch (f->wire) {
    case VARINT: f->value = read_varint(c, "a field"); break;
    case FIXED64: f->value = samp_cursor_u64(c, "a field"); break;
    case FIXED32: f->number32 = samp_cursor_f32(c, "a field"); break;
    case BYTES:
        f->value = read_varint(c, "a field's length");
        f->bytes = samp_cursor_bytes(c, f->value, "a field");
        break;
    default: samp_cursor_fail(c, SAMP_CORRUPT, "wire type %u is none of a field", f->wire);
    }
    if (c->status == SAMP_OK && (f->number == 0 || f->number > 0x1fffffff))
        samp_cursor_fail(c, SAMP_CORRUPT, "field number %llu, expected 1 to 536870911",
                         (unsigned long long)f->number);
    return c->status == SAMP_OK;
}

static bool has_wire(samp_cursor *c, const field *f, unsigned wire, const char *what)
{
    if (f->wire != wire)
        samp_cursor_fail(c, SAMP_CORRUPT, "%s has wire type %u, expected %u", what, f->wire, wire);
    return f->wire == wire;
}

static void take_bool(samp_cursor *c, const field *f, const char *what, bool *out)
{
    if (has_wire(c, f, VARINT, what)) *out = f->value != 0;
}

static void take_id(samp_cursor *c, const field *f, const char *what, int32_t *out)
{
    if (has_wire(c, f, VARINT, what)) *out = (int32_t)(uint32_t)f->value;
}

/* A message inside another, with the offsets of the whole file in its errors. */
static samp_cursor enter(const samp_cursor *c, const field *f)
{
    samp_cursor inner = {.data = (const unsigned char *)f->bytes,
                         .size = f->value,
                         .base = c->base + c->at - f->value,
                         .where = c->where,
                         .error = c->error};
    return inner;
}

static samp_status read_trainer(samp_cursor c, settings *s)
{
    field f;
    while (next_field(&c, &f)) {
        switch (f.number) {
        case 3:
            if (has_wire(&c, &f, VARINT, "model_type")) s->model_type = f.value;
            break;
        case 24: take_bool(&c, &f, "treat_whitespace_as_suffix", &s->suffix_spaces); break;
        case 35: take_bool(&c, &f, "byte_fallback", &s->byte_fallback); break;
        case 40: take_id(&c, &f, "unk_id", &s->unk); break;
        case 41: take_id(&c, &f, "bos_id", &s->bos); break;
        case 42: take_id(&c, &f, "eos_id", &s->eos); break;
        case 43: take_id(&c, &f, "pad_id", &s->pad); break;
        default: break;
        }
    }
    return c.status;
}

static samp_status read_normalizer(samp_cursor c, settings *s)
{
    field f;
    while (next_field(&c, &f)) {
        switch (f.number) {
        case 1:
            if (!has_wire(&c, &f, BYTES, "the normalizer's name")) break;
            s->rule = f.bytes;
            s->n_rule = f.value;
            break;
        case 2:
            if (has_wire(&c, &f, BYTES, "precompiled_charsmap")) s->n_normalizer = f.value;
            break;
        case 3: take_bool(&c, &f, "add_dummy_prefix", &s->dummy_prefix); break;
        case 4: take_bool(&c, &f, "remove_extra_whitespaces", &s->remove_spaces); break;
        case 5: take_bool(&c, &f, "escape_whitespaces", &s->escape); break;
        default: break;
        }
    }
    return c.status;
}

static samp_status read_denormalizer(samp_cursor c, settings *s)
{
    field f;
    while (next_field(&c, &f))
        if (f.number == 2 && has_wire(&c, &f, BYTES, "precompiled_charsmap"))
            s->n_denormalizer = f.value;
    return c.status;
}

static samp_status read_settings(samp_cursor c, settings *s)
{
    static const char *const names[] = {
        [1] = "a piece", [2] = "trainer_spec", [3] = "normalizer_spec", [5] = "denormalizer_spec"};
    field f;
    *s = (settings){.model_type = UNIGRAM,
                    .bos = 1,
                    .eos = 2,
                    .pad = -1,
                    .dummy_prefix = true,
                    .remove_spaces = true,
                    .escape = true,
                    .rule = ""};
    while (next_field(&c, &f)) {
        const char *name = f.number <= 5 ? names[f.number] : NULL;
        if (!name || !has_wire(&c, &f, BYTES, name)) continue;
        s->n_pieces += f.number == 1;
        if (f.number == 2) SAMP_TRY(read_trainer(enter(&c, &f), s));
        if (f.number == 3) SAMP_TRY(read_normalizer(enter(&c, &f), s));
        if (f.number == 5) SAMP_TRY(read_denormalizer(enter(&c, &f), s));
    }
    return c.status;
}

static samp_status check_settings(const settings *s, const char *where, samp_error *error)
{
    static const char *const types[] = {"unknown", "unigram", "BPE", "word", "character"};
    const char *wrong = NULL;
    if (s->model_type != BPE)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: the model's type is %s (%llu), only BPE is supported", where,
                         types[s->model_type <= CHARACTER ? s->model_type : 0],
                         (unsigned long long)s->model_type);
    if (s->n_normalizer)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: the normalizer is \"%.*s\" with a table, only identity is supported",
                         where, (int)(s->n_rule < 40 ? s->n_rule : 40), s->rule);
    if (s->n_denormalizer) wrong = "a denormalizer";
    if (s->remove_spaces) wrong = "remove_extra_whitespaces";
    if (s->suffix_spaces) wrong = "treat_whitespace_as_suffix";
    if (!s->escape) wrong = "unescaped whitespace";
    if (wrong)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: SentencePiece with %s is not supported; a tokenizer.json beside it "
                         "would be used instead",
                         where, wrong);
    return SAMP_OK;
}

/* ---- Pieces ---- */

typedef struct piece {
    const char *text;
    uint64_t n, type;
    float score;
} piece;

static samp_status read_piece(samp_cursor c, uint32_t id, piece *p)
{
    field f;
    *p = (piece){.text = "", .type = PIECE_NORMAL};
    while (next_field(&c, &f)) {
        if (f.number == 1 && has_wire(&c, &f, BYTES, "a piece's text")) {
            p->text = f.bytes;
            p->n = f.value;
        }
        if (f.number == 2 && has_wire(&c, &f, FIXED32, "a piece's score")) p->score = f.number32;
        if (f.number == 3 && has_wire(&c, &f, VARINT, "a piece's type")) p->type = f.value;
    }
    if (p->n == 0) samp_cursor_fail(&c, SAMP_CORRUPT, "piece %u has no text", id);
    if (p->type == 0 || p->type > PIECE_BYTE)
        samp_cursor_fail(&c, SAMP_CORRUPT, "piece %u has type %llu, expected 1 to %d", id,
                         (unsigned long long)p->type, PIECE_BYTE);
    if (p->type == PIECE_BYTE && samp__byte_token(p->text, p->n) < 0)
        samp_cursor_fail(&c, SAMP_CORRUPT, "piece %u, \"%.*s\", stands for no byte", id,
                         (int)(p->n < 40 ? p->n : 40), p->text);
    return c.status;
}

static uint32_t piece_flags(uint64_t type)
{
    switch (type) {
    case PIECE_UNKNOWN:
    case PIECE_CONTROL: return SAMP__TOKEN_MODEL | SAMP__TOKEN_ADDED | SAMP__TOKEN_SPECIAL;
    case PIECE_USER: return SAMP__TOKEN_MODEL | SAMP__TOKEN_ADDED;
    case PIECE_UNUSED: return SAMP__TOKEN_MODEL | SAMP__TOKEN_UNUSED;
    default: return SAMP__TOKEN_MODEL;
    }
}

/* Puts all pieces into the vocabulary, and their scores into scores [n_pieces]. */
static samp_status read_pieces(samp_tokenizer *t, samp_cursor c, const settings *s, float *scores)
{
    field f;
    piece p;
    uint32_t id = 0;
    bool has_unknown = false;
    SAMP_TRY(samp__vocabulary_index(t, c.error));
    while (next_field(&c, &f)) {
        if (f.number != 1) continue;
        SAMP_TRY(read_piece(enter(&c, &f), id, &p));
        int32_t same = samp__vocabulary_find(t, p.text, p.n);
        if (same >= 0)
            return samp_cursor_fail(&c, SAMP_CORRUPT, "pieces %d and %u are both \"%.*s\"", same,
                                    id, (int)(p.n < 40 ? p.n : 40), p.text);
        if (p.type == PIECE_UNKNOWN && (has_unknown || (int32_t)id != s->unk))
            return samp_cursor_fail(&c, SAMP_CORRUPT,
                                    "piece %u is the unknown one, expected %d alone", id, s->unk);
        has_unknown = has_unknown || p.type == PIECE_UNKNOWN;
        scores[id] = p.score;
        SAMP_TRY(samp__vocabulary_put(t, id, p.text, p.n, piece_flags(p.type), c.where, c.error));
        id++;
    }
    if (!has_unknown && c.status == SAMP_OK)
        return samp_fail(c.error, SAMP_CORRUPT, "%s: no piece is the unknown one", c.where);
    return c.status;
}

/* An id of trainer_spec: -1 is none, and so is one that is no control piece (SentencePiece then
 * takes it for the unknown one). */
static int32_t control_id(const samp_tokenizer *t, const settings *s, int32_t id)
{
    bool valid = id >= 0 && (uint64_t)id < s->n_pieces && id != s->unk;
    return valid && t->tokens[id].flags & SAMP__TOKEN_SPECIAL ? id : -1;
}

static samp_status set_pipeline(samp_tokenizer *t, const settings *s, const json_t *config,
                                const char *where, samp_error *error)
{
    bool legacy = true, prefix = s->dummy_prefix;
    SAMP_TRY(samp_json_bool(config, "legacy", false, &legacy, where, error));
    SAMP_TRY(samp_json_bool(config, "add_prefix_space", false, &prefix, where, error));
    json_t *pipeline = samp__sentencepiece_pipeline(prefix, legacy);
    if (!pipeline) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", where);
    samp_status status = samp__pipeline_read(t, pipeline, where, error);
    json_decref(pipeline);
    return status;
}

static samp_status read_document(samp_tokenizer *t, const samp_cursor *c, const json_t *config,
                                 samp__merge_list *merges, float **scores)
{
    settings s;
    uint32_t highest = 0;
    const char *where = c->where;
    samp_error *error = c->error;
    SAMP_TRY(read_settings(*c, &s));
    SAMP_TRY(check_settings(&s, where, error));
    SAMP_TRY(samp__added_highest(NULL, config, &highest, where, error));
    if (highest / 4 > s.n_pieces + 16384)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: the configuration adds the id %u, but there are only %llu pieces",
                         where, highest, (unsigned long long)s.n_pieces);
    uint64_t n = s.n_pieces && highest >= s.n_pieces ? (uint64_t)highest + 1 : s.n_pieces;
    SAMP_TRY(samp__vocabulary_begin(t, n, where, error));
    *scores = samp_alloc(n, sizeof **scores);
    if (!*scores) return samp_fail(error, SAMP_NOMEM, "%s: out of memory for scores", where);
    SAMP_TRY(read_pieces(t, *c, &s, *scores));
    t->byte_fallback = s.byte_fallback;
    t->fuse_unk = t->add_bos = true;
    t->unk = t->unk_name = s.unk;
    t->bos = control_id(t, &s, s.bos);
    t->eos = control_id(t, &s, s.eos);
    t->pad = control_id(t, &s, s.pad);
    SAMP_TRY(samp__added_from_flags(t, where, error));
    SAMP_TRY(samp__added_read(t, NULL, config, where, error));
    SAMP_TRY(samp__merges_add_scores(t, merges, *scores, where, error));
    SAMP_TRY(set_pipeline(t, &s, config, where, error));
    SAMP_TRY(samp__tokenizer_finish(t, merges, where, error));
    return samp__tokenizer_configure(t, config, where, error);
}

/* Llama 3's first release calls a list of base64 tokens and ranks tokenizer.model, too. */
static bool is_tiktoken(const char *text, size_t n)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    size_t at = 0;
    while (at < n && at < 200 && memchr(digits, text[at], sizeof digits - 1)) at++;
    return at > 0 && at + 1 < n && text[at] == ' ' && text[at + 1] >= '0' && text[at + 1] <= '9';
}

samp_status samp__tokenizer_from_model(samp_tokenizer **out, const void *bytes, size_t n,
                                       const json_t *config, const char *where, samp_error *error)
{
    *out = NULL;
    samp_tokenizer *t;
    samp_cursor cursor;
    if (n > SAMP__JSON_MAX)
        return samp_fail(error, SAMP_LIMIT, "%s has %zu bytes, at most %d are accepted", where, n,
                         SAMP__JSON_MAX);
    if (is_tiktoken(bytes, n))
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s is tiktoken's list of ranks, expected a SentencePiece model; use the "
                         "model's Hugging Face version, which has a tokenizer.json",
                         where);
    samp_cursor_init(&cursor, bytes, n, where, error);
    SAMP_TRY(samp__tokenizer_new(&t, error));
    samp__merge_list merges = {0};
    float *scores = NULL;
    samp_status status = read_document(t, &cursor, config, &merges, &scores);
    samp_free(merges.items);
    samp_free(scores);
    if (status == SAMP_OK)
        *out = t;
    else
        samp_tokenizer_release(t);
    return status;
}

samp_status samp_tokenizer_from_sentencepiece(samp_tokenizer **out, const void *bytes, size_t n,
                                              const char *where, samp_error *error)
{
    return samp__tokenizer_from_model(out, bytes, n, NULL, where, error);
}
