/* The pre-tokenizer: cuts a text into the words within which byte-pair encoding works.
 *
 * It is a list of patterns as in tokenizer.json; each cuts the pieces that the one before it left.
 * The patterns run in PCRE2 with Unicode on, on valid UTF-8 only: an invalid byte is a word of its
 * own. A hostile text must not be able to make a pattern backtrack for hours, so matching steps are
 * counted and limited (match_next). Compiled patterns are shared by all threads; a samp__matcher
 * belongs to one call. */
#include "model/tokenizer_internal.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

enum {
    PATTERN_BYTES_MAX = 64 * 1024,
    STEPS_FIRST = 4096,    /* matching steps tried first; each further try takes 16 times more */
    STEPS_SPARE = 1 << 20, /* a call may waste this and STEPS_A_BYTE for each byte of its text */
    STEPS_A_BYTE = 32,
};

static const char GPT2_PATTERN[] = "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
                                   "\\s+(?!\\S)|\\s+";

typedef enum split_behavior {
    ISOLATED,
    REMOVED,
    MERGED_WITH_PREVIOUS,
    MERGED_WITH_NEXT,
    CONTIGUOUS,
} split_behavior;

typedef struct split_step {
    pcre2_code *code;
    split_behavior behavior;
    bool invert;
} split_step;

struct samp__split {
    split_step steps[SAMP__STEPS_MAX];
    int count;
    pcre2_general_context *memory;
};

struct samp__matcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
    uint64_t steps_left;
    const char *text, *shown; /* a piece of a text, and what patterns see of it: byte for byte */
    samp_buffer stand_ins;
};

static void *pattern_allocate(size_t n, void *unused)
{
    (void)unused;
    return samp_realloc(NULL, n, 1);
}

static void pattern_free(void *pointer, void *unused)
{
    (void)unused;
    samp_free(pointer);
}

void samp__split_release(samp__split *split)
{
    if (!split) return;
    for (int i = 0; i < split->count; i++) pcre2_code_free(split->steps[i].code);
    pcre2_general_context_free(split->memory);
    samp_free(split);
}

static samp_status compile(samp__split *split, const samp_buffer *pattern, pcre2_code **out,
                           const char *where, samp_error *error)
{
    pcre2_compile_context *context = pcre2_compile_context_create(split->memory);
    if (!context) return samp_fail(error, SAMP_NOMEM, "%s: out of memory for a pattern", where);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_max_pattern_length(context, PATTERN_BYTES_MAX);
    int code = 0;
    PCRE2_SIZE at = 0;
    /* MULTILINE: Oniguruma's ^ and $ are a line's */
    *out = pcre2_compile((PCRE2_SPTR)pattern->data, pattern->length,
                         PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code,
                         &at, context);
    pcre2_compile_context_free(context);
    if (!*out) {
        PCRE2_UCHAR text[128] = "unknown error";
        pcre2_get_error_message(code, text, sizeof text);
        return samp_fail(error, code == PCRE2_ERROR_HEAP_FAILED ? SAMP_NOMEM : SAMP_CORRUPT,
                         "%s: pattern \"%.200s\": %s at byte %zu", where, pattern->data,
                         (char *)text, at);
    }
    pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE); /* without it, the interpreter gives the same */
    return SAMP_OK;
}

static samp_status add_step(samp_tokenizer *t, const char *pattern, split_behavior behavior,
                            bool invert, const char *where, samp_error *error)
{
    if (!t->split) {
        t->split = samp_alloc(1, sizeof *t->split);
        if (t->split)
            t->split->memory = pcre2_general_context_create(pattern_allocate, pattern_free, NULL);
        if (!t->split || !t->split->memory)
            return samp_fail(error, SAMP_NOMEM, "%s: out of memory for a pattern", where);
    }
    samp__split *split = t->split;
    if (split->count == SAMP__STEPS_MAX)
        return samp_fail(error, SAMP_LIMIT, "%s: the pre-tokenizer has more than %d patterns",
                         where, SAMP__STEPS_MAX);
    split_step *step = &split->steps[split->count];
    *step = (split_step){.behavior = behavior, .invert = invert};
    samp_buffer translated = {0};
    samp_status status =
        samp__pattern_translate(&translated, pattern, strlen(pattern), where, error);
    samp_buffer_text(&translated, "");
    if (status == SAMP_OK) status = samp_buffer_ok(&translated, error);
    if (status == SAMP_OK) status = compile(split, &translated, &step->code, where, error);
    samp_buffer_release(&translated);
    if (status == SAMP_OK) split->count++;
    return status;
}

/* A string to look for as a pattern: every ASCII character but letters and digits escaped. */
static samp_status add_literal(samp_tokenizer *t, const char *text, split_behavior behavior,
                               bool invert, const char *where, samp_error *error)
{
    samp_buffer pattern = {0};
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain =
            c >= 0x80 || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!plain) samp_buffer_append(&pattern, "\\", 1);
        samp_buffer_append(&pattern, text, 1);
    }
    samp_buffer_text(&pattern, "");
    samp_status status = samp_buffer_ok(&pattern, error);
    if (status == SAMP_OK) status = add_step(t, pattern.data, behavior, invert, where, error);
    samp_buffer_release(&pattern);
    return status;
}

static samp_status read_split(samp_tokenizer *t, const json_t *json, const char *where,
                              samp_error *error)
{
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    const char *name = NULL, *regex = NULL, *literal = NULL;
    bool invert = false;
    SAMP_TRY(samp_json_string(json, "behavior", true, &name, where, error));
    SAMP_TRY(samp_json_bool(json, "invert", false, &invert, where, error));
    const json_t *pattern = json_object_get(json, "pattern");
    SAMP_TRY(samp_json_string(pattern, "Regex", false, &regex, where, error));
    SAMP_TRY(samp_json_string(pattern, "String", false, &literal, where, error));
    int behavior = 0;
    while (behavior < 5 && strcmp(name, names[behavior]) != 0) behavior++;
    if (behavior == 5)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: \"Split\" has the behavior \"%s\" (supported: Isolated, Removed, "
                         "MergedWithPrevious, MergedWithNext, Contiguous)",
                         where, name);
    if (regex) return add_step(t, regex, (split_behavior)behavior, invert, where, error);
    if (literal) return add_literal(t, literal, (split_behavior)behavior, invert, where, error);
    return samp_fail(error, SAMP_CORRUPT, "%s: \"Split\" has neither a Regex nor a String", where);
}

static samp_status read_byte_level(samp_tokenizer *t, const json_t *json, const char *where,
                                   samp_error *error)
{
    bool prefix = true, use_regex = true;
    SAMP_TRY(samp_json_bool(json, "add_prefix_space", false, &prefix, where, error));
    SAMP_TRY(samp_json_bool(json, "use_regex", false, &use_regex, where, error));
    if (prefix && t->split)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: \"ByteLevel\" with add_prefix_space is supported only as the first "
                         "pre-tokenizer",
                         where);
    if (prefix)
        SAMP_TRY(samp__transform_add(t, &t->prefix, SAMP__PREPEND_FRESH, "", " ", where, error));
    t->byte_level = true;
    return use_regex ? add_step(t, GPT2_PATTERN, ISOLATED, false, where, error) : SAMP_OK;
}

static samp_status read_metaspace(samp_tokenizer *t, const json_t *json, const char *where,
                                  samp_error *error)
{
    const char *mark = NULL, *scheme = NULL;
    bool split = true, prefix = true;
    SAMP_TRY(samp_json_string(json, "replacement", true, &mark, where, error));
    SAMP_TRY(
        samp_json_bool(json, "add_prefix_space", false, &prefix, where, error)); /* older files */
    SAMP_TRY(samp_json_string(json, "prepend_scheme", false, &scheme, where, error));
    SAMP_TRY(samp_json_bool(json, "split", false, &split, where, error));
    if (!scheme) scheme = prefix ? "always" : "never";
    bool first = strcmp(scheme, "first") == 0, never = strcmp(scheme, "never") == 0;
    if (t->split || (!first && !never && strcmp(scheme, "always") != 0))
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: \"Metaspace\" is supported as the first pre-tokenizer, with a "
                         "prepend_scheme of first, always or never (here \"%s\")",
                         where, scheme);
    SAMP_TRY(samp__transform_add(t, &t->prefix, SAMP__REPLACE, " ", mark, where, error));
    if (!never)
        SAMP_TRY(samp__transform_add(t, &t->prefix,
                                     first ? SAMP__PREPEND_FIRST : SAMP__PREPEND_FRESH, "", mark,
                                     where, error));
    return split ? add_literal(t, mark, MERGED_WITH_NEXT, false, where, error) : SAMP_OK;
}

static samp_status read_step(samp_tokenizer *t, const json_t *json, int depth, const char *where,
                             samp_error *error)
{
    const char *type = NULL;
    SAMP_TRY(samp_json_string(json, "type", true, &type, where, error));
    if (t->byte_level)
        return samp_fail(
            error, SAMP_UNSUPPORTED,
            "%s: pre-tokenizer \"%s\" stands behind \"ByteLevel\", which must be the last", where,
            type);
    if (strcmp(type, "Sequence") == 0 && depth < 4) {
        const json_t *items = json_object_get(json, "pretokenizers"), *item;
        if (!json_is_array(items))
            return samp_fail(error, SAMP_CORRUPT, "%s: pre-tokenizer \"Sequence\" has no list",
                             where);
        size_t i;
        json_array_foreach(items, i, item) SAMP_TRY(read_step(t, item, depth + 1, where, error));
        return SAMP_OK;
    }
    if (strcmp(type, "Digits") == 0) {
        bool individual = false;
        SAMP_TRY(samp_json_bool(json, "individual_digits", false, &individual, where, error));
        return add_step(t, individual ? "\\p{N}" : "\\p{N}+", ISOLATED, false, where, error);
    }
    if (strcmp(type, "Split") == 0) return read_split(t, json, where, error);
    if (strcmp(type, "ByteLevel") == 0) return read_byte_level(t, json, where, error);
    if (strcmp(type, "Metaspace") == 0) return read_metaspace(t, json, where, error);
    return samp_fail(error, SAMP_UNSUPPORTED,
                     "%s: pre-tokenizer \"%s\" is not supported (supported: Sequence up to 4 deep, "
                     "Split, Digits, ByteLevel, Metaspace)",
                     where, type);
}

samp_status samp__pre_tokenizer_read(samp_tokenizer *t, const json_t *json, const char *where,
                                     samp_error *error)
{
    return json ? read_step(t, json, 0, where, error) : SAMP_OK;
}

void samp__matcher_release(samp__matcher *matcher)
{
    if (!matcher) return;
    pcre2_match_data_free(matcher->data);
    pcre2_match_context_free(matcher->context);
    samp_buffer_release(&matcher->stand_ins);
    samp_free(matcher);
}

static samp_status matcher_new(samp__scratch *s)
{
    pcre2_general_context *memory = s->tokenizer->split->memory;
    s->matcher = samp_alloc(1, sizeof *s->matcher);
    if (!s->matcher) return samp_fail(s->error, SAMP_NOMEM, "out of memory for splitting a text");
    s->matcher->data = pcre2_match_data_create(1, memory);
    s->matcher->context = pcre2_match_context_create(memory);
    s->matcher->steps_left = STEPS_SPARE;
    if (!s->matcher->data || !s->matcher->context)
        return samp_fail(s->error, SAMP_NOMEM, "out of memory for splitting a text");
    return SAMP_OK;
}

/* The next match at or behind text[from]: 1 and its bounds, 0 when there is none, < 0 an error of
 * PCRE2. Steps are limited by trying with few first, and with more as long as the call has some
 * left: an ordinary match needs a handful, a long run of spaces a few for each, and a hostile one
 * finds its end. */
static int match_next(samp__matcher *matcher, const split_step *step, const char *text, size_t n,
                      size_t from, size_t *start, size_t *end)
{
    const char *shown = matcher->shown + (text - matcher->text);
    for (uint32_t limit = STEPS_FIRST;; limit *= 16) {
        pcre2_set_match_limit(matcher->context, limit);
        int found = pcre2_match(step->code, (PCRE2_SPTR)shown, n, from, PCRE2_NO_UTF_CHECK,
                                matcher->data, matcher->context);
        if (found == PCRE2_ERROR_JIT_STACKLIMIT)
            found = pcre2_match(step->code, (PCRE2_SPTR)shown, n, from,
                                PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, matcher->data, matcher->context);
        if (found >= 0) {
            const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(matcher->data);
            *start = bounds[0];
            *end = bounds[1];
            return 1;
        }
        if (found == PCRE2_ERROR_NOMATCH) return 0;
        if (found != PCRE2_ERROR_MATCHLIMIT || matcher->steps_left < limit) return found;
        matcher->steps_left -= limit;
    }
}

/* Pieces between matches and matches themselves come in; words for the next pattern go out. */
typedef struct cutter {
    samp__scratch *scratch;
    const char *text;
    int step;
    size_t start, end; /* the piece that waits for its neighbour */
    bool waits, is_match;
} cutter;

static samp_status split_valid(samp__scratch *s, int index, const char *text, size_t n);

static samp_status cutter_flush(cutter *c)
{
    size_t n = c->end - c->start;
    c->waits = false;
    return n ? split_valid(c->scratch, c->step + 1, c->text + c->start, n) : SAMP_OK;
}

static samp_status cutter_take(cutter *c, split_behavior behavior, size_t start, size_t end,
                               bool is_match)
{
    if (behavior == REMOVED && is_match) return SAMP_OK;
    bool join = c->waits && ((behavior == MERGED_WITH_PREVIOUS && is_match && !c->is_match) ||
                             (behavior == MERGED_WITH_NEXT && !is_match && c->is_match) ||
                             (behavior == CONTIGUOUS && is_match == c->is_match));
    if (c->waits && !join) SAMP_TRY(cutter_flush(c));
    if (!join) c->start = start;
    c->end = end;
    c->is_match = is_match;
    c->waits = true;
    return SAMP_OK;
}

static samp_status fail_match(samp_error *error, int code, const char *text, size_t n)
{
    if (code == PCRE2_ERROR_NOMEMORY)
        return samp_fail(error, SAMP_NOMEM, "out of memory for splitting a text");
    PCRE2_UCHAR reason[128] = "unknown error";
    pcre2_get_error_message(code, reason, sizeof reason);
    return samp_fail(
        error, SAMP_LIMIT,
        "a text of %zu bytes that starts with \"%.*s\" cannot be cut into words by the "
        "tokenizer's pattern: %s",
        n, (int)(n < 20 ? n : 20), text, (char *)reason);
}

/* Cuts valid UTF-8 by the patterns from `index` on. As in Oniguruma's iteration an empty match cuts
 * where it stands, unless a match has just ended there. */
static samp_status split_valid(samp__scratch *s, int index, const char *text, size_t n)
{
    const samp__split *split = s->tokenizer->split;
    if (index == split->count) return samp__bpe_word(s, text, n);
    const split_step *step = &split->steps[index];
    cutter c = {.scratch = s, .text = text, .step = index};
    size_t done = 0, from = 0; /* text up to `done` was taken; the search goes on at `from` */
    bool matched = false;
    while (from < n) {
        size_t start, end;
        int found = match_next(s->matcher, step, text, n, from, &start, &end);
        if (found < 0) return fail_match(s->error, found, text, n);
        if (!found) break;
        bool empty = end <= start;
        from = empty ? start : end;
        if (empty && start < n) from += (size_t)samp_utf8_length(text + start, n - start);
        if (empty && matched && start == done) continue;
        if (start > done) SAMP_TRY(cutter_take(&c, step->behavior, done, start, step->invert));
        SAMP_TRY(cutter_take(&c, step->behavior, start, empty ? start : end, !step->invert));
        done = empty ? start : end;
        matched = true;
        if (empty && start == n) break;
    }
    if (done < n) SAMP_TRY(cutter_take(&c, step->behavior, done, n, step->invert));
    return c.waits ? cutter_flush(&c) : SAMP_OK;
}

static samp_status split_shown(samp__scratch *s, const char *text, size_t n)
{
    samp__matcher *matcher = s->matcher;
    matcher->text = matcher->shown = text;
    if (samp__unicode_stand_ins(text, n, &matcher->stand_ins)) {
        SAMP_TRY(samp_buffer_ok(&matcher->stand_ins, s->error));
        matcher->shown = matcher->stand_ins.data;
    }
    return split_valid(s, 0, text, n);
}

samp_status samp__split_text(samp__scratch *s, const char *text, size_t n)
{
    if (!s->tokenizer->split) return n ? samp__bpe_word(s, text, n) : SAMP_OK;
    if (!s->matcher) SAMP_TRY(matcher_new(s));
    s->matcher->steps_left += (uint64_t)STEPS_A_BYTE * n;
    for (size_t at = 0; at < n;) {
        size_t end = at;
        while (end < n) {
            int length = samp_utf8_length(text + end, n - end);
            if (length <= 0) break;
            end += (size_t)length;
        }
        if (end > at) SAMP_TRY(split_shown(s, text + at, end - at));
        if (end < n) SAMP_TRY(samp__bpe_word(s, text + end, 1));
        at = end + 1;
    }
    return SAMP_OK;
}
