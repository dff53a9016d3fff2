/* Masks: walks through schemas that take a random allowed token each time. Whatever the walk does,
 * there is a token that leads on until the text is complete, and the text is JSON the schema takes.
 */
#include "base/prng.h"
#include "constrain/constrain.h"
#include "support/byte_tokenizer.h"
#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { END = BYTE_TOKENIZER_END, VOCABULARY = BYTE_TOKENIZER_VOCABULARY, STEPS = 600 };

static samp_tokenizer *tokenizer;
static samp_constrain_vocabulary *vocabulary;

static int open_vocabulary(void **state)
{
    static const int32_t ends[] = {END};
    samp_error error;
    char *text = byte_tokenizer_text();
    (void)state;
    samp_status status =
        samp_tokenizer_parse(&tokenizer, text, strlen(text), NULL, 0, "test", &error);
    if (status != SAMP_OK) print_message("%s\n", error.message);
    assert_int_equal(status, SAMP_OK);
    free(text);
    return samp_constrain_vocabulary_create(&vocabulary, tokenizer, VOCABULARY, ends, 1, &error);
}

static int close_vocabulary(void **state)
{
    (void)state;
    samp_constrain_vocabulary_release(vocabulary);
    samp_tokenizer_release(tokenizer);
    return 0;
}

static unsigned choose(const uint64_t *mask, samp_prng *prng, bool *end_allowed)
{
    unsigned allowed[VOCABULARY], n = 0;
    for (unsigned t = 0; t < VOCABULARY; t++)
        if (mask[t / 64] >> t % 64 & 1) allowed[n++] = t;
    *end_allowed = mask[END / 64] >> END % 64 & 1;
    return n ? allowed[samp_prng_below(prng, n)] : UINT32_MAX;
}

/* One random text; returns whether it came to its end. *stuck: no token led on. */
static bool walk(const json_t *schema, bool ordered, uint64_t seed, bool *stuck)
{
    samp_constrainer *c;
    samp_error error;
    samp_constrain_options options = {.schema = schema, .ordered = ordered};
    samp_buffer text = {0};
    samp_prng prng = {seed};
    bool complete = false;
    samp_status status = samp_constrainer_create(&c, vocabulary, &options, &error);
    if (status != SAMP_OK) print_message("%s\n", error.message);
    assert_int_equal(status, SAMP_OK);
    for (int i = 0; i < STEPS && !complete; i++) {
        uint64_t mask[(VOCABULARY + 63) / 64] = {0};
        bool end_allowed;
        assert_true(samp_constrainer_allowed(c, mask));
        unsigned token = choose(mask, &prng, &end_allowed);
        assert_int_equal(end_allowed, samp_constrainer_complete(c));
        *stuck = token == UINT32_MAX;
        if (*stuck) break;
        assert_true(samp_constrainer_accept(c, (int32_t)token));
        complete = token == END;
        const char *bytes;
        size_t n;
        samp_tokenizer_bytes(tokenizer, (int32_t)token, false, &bytes, &n);
        if (!complete) samp_buffer_append(&text, bytes, n);
    }
    if (complete) {
        json_t *value = json_loadb(text.data, text.length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (!value) print_message("not JSON: %s\n", text.data);
        assert_non_null(value);
        json_decref(value);
    }
    samp_buffer_release(&text);
    samp_constrainer_release(c);
    return complete;
}

static const char *const schemas[] = {
    "{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\", \"maxLength\": 20}, "
    "\"age\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 120}, \"tags\": {\"type\": "
    "\"array\", \"items\": {\"enum\": [\"a\", \"b\", \"c\"]}, \"maxItems\": 3}}, \"required\": "
    "[\"name\", \"age\", \"tags\"], \"additionalProperties\": false}",
    "{\"type\": \"integer\", \"minimum\": -13, \"maximum\": 2047, \"multipleOf\": 7}",
    "{\"type\": \"number\", \"exclusiveMinimum\": 0.25, \"maximum\": 0.5}",
    "{\"type\": \"string\", \"pattern\": \"^(foo|ba[rz])+$\", \"maxLength\": 12}",
    "{\"type\": \"string\", \"format\": \"date-time\"}",
    "{\"enum\": [null, true, \"\xc3\xa9t\xc3\xa9\", 12, -1.5, [1, \"x\"], {\"k\": 0}]}",
    "{\"anyOf\": [{\"type\": \"array\", \"prefixItems\": [{\"type\": \"boolean\"}, {\"const\": "
    "3}], "
    "\"items\": false, \"minItems\": 2}, {\"type\": \"null\"}]}",
    "{\"type\": \"object\", \"patternProperties\": {\"^x-[a-z]$\": {\"type\": \"boolean\"}}, "
    "\"additionalProperties\": false, \"minProperties\": 1, \"maxProperties\": 3}",
    "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"null\"}, \"ab\": {\"type\": "
    "\"null\"}, \"b\": {\"not\": {\"type\": [\"array\", \"object\", \"string\"]}}}, "
    "\"dependentRequired\": {\"a\": [\"b\"]}, \"additionalProperties\": false, \"maxProperties\": "
    "2}",
    "{\"$defs\": {\"t\": {\"type\": \"object\", \"properties\": {\"v\": {\"type\": \"boolean\"}, "
    "\"next\": {\"anyOf\": [{\"type\": \"null\"}, {\"$ref\": \"#/$defs/t\"}]}}, \"required\": "
    "[\"v\", \"next\"], \"additionalProperties\": false}}, \"$ref\": \"#/$defs/t\"}",
};

static void test_walks(void **state)
{
    unsigned complete = 0, n = sizeof schemas / sizeof *schemas;
    (void)state;
    for (unsigned i = 0; i < n; i++) {
        json_t *schema = json_loads(schemas[i], 0, NULL);
        assert_non_null(schema);
        for (uint64_t seed = 1; seed <= 40; seed++) {
            bool stuck;
            complete += walk(schema, seed % 2, seed * 77 + i, &stuck);
            assert_false(stuck);
        }
        json_decref(schema);
    }
    print_message("%u of %u walks came to their end within %d tokens\n", complete, 40 * n, STEPS);
    assert_true(complete > 20 * n);
}

/* Schemas of use: hardly a walk gets stuck. */
static void test_published(void **state)
{
    static const char archive[] = SAMP_DATA "/json/maskbench_subset.jsonl.zst";
    char command[1024], *line = NULL;
    size_t room = 0;
    unsigned walks = 0, complete = 0, n_stuck = 0;
    (void)state;
    if (access(archive, R_OK) != 0) {
        print_message("%s is not there: skipped\n", archive);
        skip();
    }
    snprintf(command, sizeof command, "zstdcat '%s'", archive);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    for (unsigned i = 0; getline(&line, &room, pipe) > 0; i++) {
        json_t *record = i % 4 == 0 ? json_loads(line, JSON_ALLOW_NUL, NULL) : NULL;
        samp_constrain_options options = {.schema = json_object_get(record, "schema")};
        samp_constrainer *c;
        if (record && samp_constrainer_create(&c, vocabulary, &options, NULL) == SAMP_OK) {
            samp_constrainer_release(c);
            bool stuck;
            complete += walk(options.schema, i % 8 == 0, i, &stuck);
            n_stuck += stuck;
            walks++;
        }
        json_decref(record);
    }
    free(line);
    pclose(pipe);
    print_message("%u of %u walks came to their end within %d tokens, %u got stuck\n", complete,
                  walks, STEPS, n_stuck);
    assert_true(walks > 200);
    assert_true(n_stuck <= 2); /* three patterns and a maxLength for one string */
}

static void test_frame(void **state)
{
    samp_constrainer *c;
    samp_error error;
    (void)state;
    json_t *schema = json_pack("{s:s}", "const", "x");
    samp_constrain_options options = {.schema = schema, .before = "<call>\n", .after = "\n</call>"};
    assert_int_equal(samp_constrainer_create(&c, vocabulary, &options, &error), SAMP_OK);
    assert_false(samp_constrainer_accept_bytes(c, "\"x\"", 3));
    assert_true(samp_constrainer_accept_bytes(c, "<call>\n \"x\"", 11));
    assert_false(samp_constrainer_complete(c));
    assert_false(samp_constrainer_accept(c, END));
    assert_true(samp_constrainer_accept_bytes(c, "\n</call>", 8));
    assert_true(samp_constrainer_accept(c, END));
    samp_constrainer_release(c);
    json_decref(schema);
}

/* Hostile schemas: an error, soon. */
static void test_refused(void **state)
{
    static const struct {
        const char *schema;
        samp_status status;
    } cases[] = {
        {"{\"$ref\": \"#\"}", SAMP_INVALID},
        {"{\"$ref\": \"#/nowhere\"}", SAMP_INVALID},
        {"{\"$ref\": \"http://example.org/x\"}", SAMP_UNSUPPORTED},
        {"{\"type\": \"strang\"}", SAMP_INVALID},
        {"{\"allOf\": [{\"type\": \"string\"}, {\"type\": \"number\"}]}", SAMP_INVALID},
        {"{\"pattern\": \"(a\"}", SAMP_INVALID},
        {"{\"pattern\": \"(?=a)\"}", SAMP_UNSUPPORTED},
        {"{\"pattern\": \"((((a{9999}){9999}){9999}){9999})\"}", SAMP_LIMIT},
        {"{\"contains\": {}}", SAMP_UNSUPPORTED},
        {"{\"not\": {\"$ref\": 3}}", SAMP_UNSUPPORTED},
        {"{\"format\": \"nonsense\"}", SAMP_UNSUPPORTED},
        {"{\"minItems\": -1}", SAMP_INVALID},
        {"{\"required\": [\"a\"], \"additionalProperties\": false, \"type\": \"object\"}",
         SAMP_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samp_constrainer *c;
        samp_error error;
        json_t *schema = json_loads(cases[i].schema, 0, NULL);
        samp_constrain_options options = {.schema = schema};
        samp_status status = samp_constrainer_create(&c, vocabulary, &options, &error);
        if (status != cases[i].status) print_message("%s: %d\n", cases[i].schema, status);
        assert_int_equal(status, cases[i].status);
        assert_true(error.message[0]);
        json_decref(schema);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walks), cmocka_unit_test(test_published),
        cmocka_unit_test(test_frame), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, open_vocabulary, close_vocabulary);
}
