/* The parts of a tokenizer.json one by one, on small vocabularies made here: pre-tokenizers, normalizers,
 * added tokens, byte fallback, configuration; and one clear sentence for everything that is refused.
 * The expected pieces are those of Hugging Face's tokenizers 0.23.3. */
#include "model/tokenizer_data.h"
#include "model/tokenizer_internal.h"

static const char NO_REGEX[] = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false,"
                               " \"use_regex\": false}";

/* A byte-level tokenizer with these merges, behind the pre-tokenizer step given (JSON, may be ""). */
static samp_tokenizer *small(const char *const *merges, size_t n, const char *step)
{
    char pre[1024];
    snprintf(pre, sizeof pre, "{\"type\": \"Sequence\", \"pretokenizers\": [%s%s%s]}", step,
             *step ? ", " : "", NO_REGEX);
    return tokenizer_of(small_model(merges, n), json_array(), "null", pre, BYTE_LEVEL_DECODER);
}

static void test_split_behaviors(void **state)
{
    (void)state;
    static const char *const merges[] = {"- -", "a -", "- b", "b -", "- c", "-- c"};
    static const struct {
        const char *behavior, *expected, *inverted;
    } cases[] = {{"Isolated", "a|-|b|-|-|c", "a|-|b|-|-|c"},
                 {"Removed", "a|b|c", "-|-|-"},
                 {"MergedWithPrevious", "a-|b-|-|c", "a|-b|-|-c"},
                 {"MergedWithNext", "a|-b|-|-c", "a-|b-|-|c"},
                 {"Contiguous", "a|-|b|--|c", "a|-|b|--|c"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int invert = 0; invert < 2; invert++) {
            char step[256];
            snprintf(step, sizeof step,
                     "{\"type\": \"Split\", \"pattern\": {\"String\": \"-\"}, \"behavior\": \"%s\","
                     " \"invert\": %s}",
                     cases[i].behavior, invert ? "true" : "false");
            samp_tokenizer *t = small(merges, 6, step);
            assert_pieces(t, "a-b--c", false, invert ? cases[i].inverted : cases[i].expected);
            samp_tokenizer_release(t);
        }
    }
    samp_tokenizer *t = small(merges, 6, "");
    assert_pieces(t, "a-b--c", false, "a-|b|--c");
    samp_tokenizer_release(t);
}

/* One pattern, and what it makes of a text whose bytes would all merge into pairs. */
static void check_pattern(const char *regex, const char *text, const char *expected)
{
    static const char *const merges[] = {"a a", "aa a", "aa aa", "a 1", "1 1", "a Ġ", "Ġ a", "a _"};
    json_t *step = json_pack("{s:s, s:{s:s}, s:s}", "type", "Split", "pattern", "Regex", regex,
                             "behavior", "Isolated");
    char *json = json_dumps(step, 0);
    samp_tokenizer *t = small(merges, 8, json);
    assert_pieces(t, text, false, expected);
    samp_tokenizer_release(t);
    samp_free(json);
    json_decref(step);
}

/* An empty match right behind a match does not count: "aa" is joined with what follows it. */
static void test_empty_matches(void **state)
{
    (void)state;
    static const char *const merges[] = {"a a", "aa b"};
    samp_tokenizer *t = small(merges, 2,
                              "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"a*\"},"
                              " \"behavior\": \"MergedWithNext\"}");
    assert_pieces(t, "aabb", false, "aab|b");
    samp_tokenizer_release(t);
}

static void test_patterns(void **state)
{
    (void)state;
    check_pattern("a", "aaa", "a|a|a");
    check_pattern("a+", "aa11", "aa|11");
    check_pattern("(?=aa)", "aaaa", "a|a|aa"); /* empty matches cut where they stand */
    check_pattern("x*", "aa", "a|a");
    check_pattern("\\s", "a aa", "a| |aa");
    check_pattern("[\\s]", "a aa", "a| |aa");
    check_pattern("\\S+", "a a", "a| |a");
    check_pattern("\\w+", "a1_", "a1|_");
    check_pattern("\\h+", "aag", "aa|g"); /* a hexadecimal digit in Oniguruma */
    check_pattern("[[:alpha:]]", "aa", "a|a");
    check_pattern("[]a]", "aa", "a|a");
    check_pattern("^a", "aa\naa", "a|a|\n|a|a"); /* ^ is a line's */
    check_pattern("a\\b", "aa aa", "a|a| a|a");
}

/* \s is Unicode's White_Space: U+0085 and U+3000 are, U+180E is not. */
static void test_white_space(void **state)
{
    (void)state;
    static const char *const merges[] = {"Â ħ", "á ł", "áł İ"};
    samp_tokenizer *t = small(merges, 3,
                              "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\s\"},"
                              " \"behavior\": \"Removed\"}");
    assert_pieces(t,
                  "a\xc2\x85"
                  "b\xe3\x80\x80"
                  "c",
                  false, "a|b|c");
    assert_pieces(t, "\xe1\xa0\x8e", false, "\xe1\xa0\x8e");
    samp_tokenizer_release(t);
}

/* Characters newer than PCRE2's Unicode (14) count as what they are in 16, and come back whole. */
static void test_new_characters(void **state)
{
    (void)state;
    check_pattern("\\p{L}", "1\xf0\xb1\x8d\x90\xf0\xb1\x8d\x91",
                  "1|\xf0|\xb1|\x8d|\x90|\xf0|\xb1|\x8d|\x91");
    static const char *const merges[] = {"ð ±", "ð± į", "ð±į Ĳ", "ð±įĲ 1"};
    samp_tokenizer *t = small(merges, 4,
                              "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\p{L}+\"},"
                              " \"behavior\": \"Isolated\"}");
    assert_pieces(t,
                  "\xf0\xb1\x8d\x90"
                  "1",
                  false, "\xf0\xb1\x8d\x90|1"); /* U+31350 */
    samp_tokenizer_release(t);
    for (uint32_t code = 0; code < 0x110000; code++) {
        char bytes[4];
        uint32_t older = samp__unicode_stand_in(code);
        assert_int_equal(samp_utf8_encode(code, bytes), samp_utf8_encode(older, bytes));
        assert_int_equal(samp__unicode_stand_in(older), older);
    }
}

static void test_digits(void **state)
{
    (void)state;
    static const char *const merges[] = {"1 2", "12 3", "a 1"};
    samp_tokenizer *t = small(merges, 3, "{\"type\": \"Digits\", \"individual_digits\": true}");
    assert_pieces(t, "a123", false, "a|1|2|3");
    samp_tokenizer_release(t);
    t = small(merges, 3, "{\"type\": \"Digits\", \"individual_digits\": false}");
    assert_pieces(t, "a123", false, "a|123");
    samp_tokenizer_release(t);
}

/* Invalid bytes are words of their own, and come back. */
static void test_invalid_utf8(void **state)
{
    (void)state;
    static const char *const merges[] = {"a a", "a ÿ", "ÿ a", "à ł"};
    samp_tokenizer *t = small(merges, 4, "{\"type\": \"Digits\", \"individual_digits\": true}");
    assert_pieces(t,
                  "aa\xff"
                  "aa\xe0\xa0"
                  "1",
                  false, "aa|\xff|aa|\xe0|\xa0|1");
    samp_tokenizer_release(t);
}

/* ---- Character-level ---- */

static const char SPM_NORMALIZER[] =
    "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": \"▁\"},"
    " {\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"▁\"}]}";
static const char SPM_DECODER[] =
    "{\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", \"pattern\": {\"String\": "
    "\"▁\"}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"},"
    " {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}]}";

/* <unk> 0, then a, b, ▁, ab, ▁ab; with `bytes` also all 256 byte tokens. */
static samp_tokenizer *characters(bool fallback, bool fuse, const char *normalizer, const char *pre)
{
    json_t *vocab = json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "<unk>", 0, "a", 1, "b", 2, "▁", 3,
                              "ab", 4, "▁ab", 5);
    for (int byte = 0; byte < 256 && fallback; byte++) {
        char text[16];
        snprintf(text, sizeof text, "<0x%02X>", byte);
        json_object_set_new(vocab, text, json_integer(6 + byte));
    }
    json_t *model =
        json_pack("{s:s, s:o, s:[s, s], s:s, s:b, s:b}", "type", "BPE", "vocab", vocab, "merges",
                  "a b", "▁ ab", "unk_token", "<unk>", "fuse_unk", fuse, "byte_fallback", fallback);
    json_t *added = json_pack("[o]", special_token("<unk>", 0));
    return tokenizer_of(model, added, normalizer, pre, SPM_DECODER);
}

static void assert_decodes(const samp_tokenizer *t, const char *text, const char *expected)
{
    samp_error error = {0};
    samp_buffer out = {0};
    samp_tokens tokens = encode(t, text, strlen(text), false);
    assert_ok(samp_tokenizer_decode(t, tokens.ids, tokens.count, false, &out, &error), &error);
    samp_buffer_text(&out, "");
    assert_string_equal(out.data, expected);
    samp_buffer_release(&out);
    samp_tokens_release(&tokens);
}

static void test_byte_fallback(void **state)
{
    (void)state;
    samp_tokenizer *t = characters(true, true, SPM_NORMALIZER, "null");
    assert_encodes(t, "ab ab", false, "5 5");
    assert_encodes(t, "é", false, "3 201 175");
    assert_encodes(t, "\xff", false, "3 261");
    assert_encodes(t, "<0x41>", false, "3 66 54 126 58 55 68"); /* never the byte token 71 */
    assert_encodes(t, "", false, "");
    assert_decodes(t, "ab é\xff \xc3", "ab é\xff \xc3");
    assert_decodes(t, "  ab", "  ab");
    samp_tokenizer_release(t);
}

static void test_unknown(void **state)
{
    (void)state;
    samp_tokenizer *t = characters(false, true, "null", "null");
    assert_encodes(t, "axyb", false, "1 0 2");
    samp_tokenizer_release(t);
    t = characters(false, false, "null", "null");
    assert_encodes(t, "axyb", false, "1 0 0 2");
    samp_tokenizer_release(t);
}

static void test_metaspace(void **state)
{
    (void)state;
    static const struct {
        const char *scheme, *plain, *spaced;
    } cases[] = {{"always", "5", "5"}, {"first", "5", "5"}, {"never", "4", "5"}};
    for (size_t i = 0; i < 3; i++) {
        char pre[256];
        snprintf(pre, sizeof pre,
                 "{\"type\": \"Metaspace\", \"replacement\": \"▁\", \"prepend_scheme\": \"%s\","
                 " \"split\": true}",
                 cases[i].scheme);
        samp_tokenizer *t = characters(true, true, "null", pre);
        assert_encodes(t, "ab", false, cases[i].plain);
        assert_encodes(t, " ab", false, cases[i].spaced);
        samp_tokens tokens = encode(t, "<unk>ab", 7, true);
        const int32_t after = strcmp(cases[i].scheme, "always") == 0 ? 5 : 4;
        assert_ids(&tokens, (const int32_t[]){0, after}, 2, "<unk>ab");
        samp_tokens_release(&tokens);
        samp_tokenizer_release(t);
    }
}

static void test_unicode_forms(void **state)
{
    (void)state;
    static const struct {
        const char *form, *text, *expected;
    } cases[] = {{"NFC", "e\xcc\x81", "é"},
                 {"NFC", "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "한"},
                 {"NFC", "a\xcc\x88\xcc\xa3\xff", "\xe1\xba\xa1\xcc\x88\xff"},
                 {"NFC", "plain", "plain"},
                 {"NFD", "é", "e\xcc\x81"},
                 {"NFKC", "ﬁ²", "fi2"},
                 {"NFKD", "é²",
                  "e\xcc\x81"
                  "2"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char normalizer[64];
        snprintf(normalizer, sizeof normalizer, "{\"type\": \"%s\"}", cases[i].form);
        samp_tokenizer *t = tokenizer_of(small_model(NULL, 0), json_array(), normalizer, NO_REGEX,
                                         BYTE_LEVEL_DECODER);
        assert_decodes(t, cases[i].text, cases[i].expected);
        samp_tokenizer_release(t);
    }
}

/* ---- Added tokens ---- */

static samp_tokenizer *with_added(const char *added, const char *normalizer)
{
    static const char *const merges[] = {"x x", "Ġ x"};
    json_t *list = json_loads(added, 0, NULL);
    assert_non_null(list);
    return tokenizer_of(small_model(merges, 2), list, normalizer, NO_REGEX, BYTE_LEVEL_DECODER);
}

static void test_added_tokens(void **state)
{
    (void)state;
    samp_tokenizer *t = with_added(
        "[{\"id\": 300, \"content\": \"<s>\", \"special\": true},"
        " {\"id\": 301, \"content\": \"<s><s>\", \"special\": true},"
        " {\"id\": 302, \"content\": \"<user>\", \"normalized\": false},"
        " {\"id\": 303, \"content\": \"<l>\", \"special\": true, \"lstrip\": true},"
        " {\"id\": 304, \"content\": \"<r>\", \"special\": true, \"rstrip\": true},"
        " {\"id\": 305, \"content\": \"word\", \"normalized\": false, \"single_word\": true},"
        " {\"id\": 306, \"content\": \"<us\", \"special\": true}]",
        "null");
    assert_pieces(t, "xx<s>xx", true, "xx|<s>|xx");
    assert_pieces(t, "xx<s>xx", false, "xx|<|s|>|xx");
    assert_encodes(t, "<s><s><s>", true, "301 300"); /* the longest */
    assert_encodes(t, "<user>", false, "302");
    assert_encodes(t, "<user>", true, "302");
    assert_encodes(t, "<us", true, "306");
    assert_pieces(t, "<us", false, "<|u|s");
    assert_pieces(t, "x \n<l> x", true, "x|<l>| x");
    assert_pieces(t, "x <r> \n x", true, "x| |<r>|x");
    assert_encodes(t, "word", false, "305");
    assert_pieces(t, " word.", false, " |word|.");
    assert_pieces(t, "words", false, "w|o|r|d|s");
    assert_pieces(t, "éword", false, "\xc3|\xa9|w|o|r|d");
    assert_pieces(t, "\xe2\x80\x8dword", false, "\xe2|\x80|\x8d|w|o|r|d"); /* a joiner */
    assert_pieces(t, "\xe2\x93\x90word", false, "\xe2|\x93|\x90|w|o|r|d"); /* a circled letter */
    assert_pieces(t, "aword<user>", false, "a|w|o|r|d|<user>");
    assert_int_equal(samp_tokenizer_find(t, "<s>"), 300);
    assert_int_equal(samp_tokenizer_find(t, "<none>"), -1);
    assert_true(samp_tokenizer_is_special(t, 300));
    assert_false(samp_tokenizer_is_special(t, 302));
    assert_false(samp_tokenizer_is_special(t, -1));
    assert_false(samp_tokenizer_is_special(t, 307));
    assert_int_equal(samp_tokenizer_vocab(t), 307);
    samp_tokenizer_release(t);
}

/* normalized: true is looked for behind the normalizer, and with its own text normalized. */
static void test_normalized_added(void **state)
{
    (void)state;
    samp_tokenizer *t =
        with_added("[{\"id\": 300, \"content\": \"caf\\u00e9\", \"normalized\": true},"
                   " {\"id\": 301, \"content\": \"th\\u00e9\", \"normalized\": false}]",
                   "{\"type\": \"NFC\"}");
    assert_encodes(t, "cafe\xcc\x81", false, "300");
    assert_encodes(t, "caf\xc3\xa9", false, "300");
    assert_pieces(t, "the\xcc\x81", false, "t|h|\xc3|\xa9");
    assert_encodes(t, "th\xc3\xa9", false, "301");
    samp_tokenizer_release(t);
}

/* With ignore_merges a word that is a token is that token, but never a special one. */
static void test_ignore_merges(void **state)
{
    (void)state;
    json_t *model = small_model((const char *const[]){"a b", "c d"}, 2);
    json_object_set_new(json_object_get(model, "vocab"), "abcd", json_integer(258));
    json_object_set_new(json_object_get(model, "vocab"), "end", json_integer(259));
    json_object_set_new(model, "ignore_merges", json_true());
    samp_tokenizer *t = tokenizer_of(model, json_pack("[o]", special_token("end", 259)), "null",
                                     NO_REGEX, BYTE_LEVEL_DECODER);
    assert_encodes(t, "abcd", false, "258");
    assert_pieces(t, "abcda", false, "ab|cd|a");
    assert_pieces(t, "end", false, "e|n|d");
    assert_encodes(t, "end", true, "259");
    samp_tokenizer_release(t);
}

/* ---- What is refused ---- */

static const char GOOD_MODEL[] = "{\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2},"
                                 " \"merges\": [\"a b\"]}";

static void check_refusal(const char *json, samp_status status, const char *says)
{
    samp_error error = {0};
    samp_tokenizer *t = NULL;
    assert_fails(samp_tokenizer_parse(&t, json, strlen(json), NULL, 0, "t.json", &error), &error,
                 status, says);
    assert_null(t);
    assert_non_null(strstr(error.message, "t.json"));
}

static void test_refused_models(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        samp_status status;
        const char *says;
    } cases[] = {
        {"", SAMP_CORRUPT, "not valid JSON"},
        {"[]", SAMP_CORRUPT, "no vocabulary"},
        {"{\"model\": {\"type\": \"WordPiece\"}}", SAMP_UNSUPPORTED, "\"WordPiece\", only BPE"},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}", SAMP_CORRUPT,
         "0 tokens"},
        {"{\"model\": {\"vocab\": {\"a\": -1}, \"merges\": []}}", SAMP_CORRUPT,
         "not an integer from 0"},
        {"{\"model\": {\"vocab\": {\"a\": 4194304}, \"merges\": []}}", SAMP_CORRUPT, "from 0 to"},
        {"{\"model\": {\"vocab\": {\"a\": 4000000}, \"merges\": []}}", SAMP_CORRUPT,
         "only 1 tokens"},
        {"{\"model\": {\"vocab\": {\"a\": 1.5}, \"merges\": []}}", SAMP_CORRUPT, "not an integer"},
        {"{\"model\": {\"vocab\": {\"a\": 1, \"b\": 1}, \"merges\": []}}", SAMP_CORRUPT,
         "two tokens"},
        {"{\"model\": {\"vocab\": {\"a\": 1}}}", SAMP_CORRUPT, "no list of merges"},
        {"{\"model\": {\"vocab\": {\"a\": 1}, \"merges\": [\"aa\"]}}", SAMP_CORRUPT, "merge 0"},
        {"{\"model\": {\"vocab\": {\"a\": 1}, \"merges\": [\"a a a\"]}}", SAMP_CORRUPT, "merge 0"},
        {"{\"model\": {\"vocab\": {\"a\": 1}, \"merges\": [\"a a\"]}}", SAMP_CORRUPT, "its result"},
        {"{\"model\": {\"vocab\": {\"a\": 1}, \"merges\": [\"b a\"]}}", SAMP_CORRUPT,
         "its left part"},
        {"{\"model\": {\"vocab\": {\"a\": 1}, \"merges\": [[\"a\", \"b\"]]}}", SAMP_CORRUPT,
         "its right"},
        {"{\"model\": {\"vocab\": {\"a\": 1}, \"merges\": [[\"a\", \"\"]]}}", SAMP_CORRUPT,
         "is empty"},
        {"{\"model\": {\"vocab\": {\"a\": 1}, \"merges\": [[\"a\"]]}}", SAMP_CORRUPT,
         "pair of strings"},
        {"{\"model\": {\"vocab\": {\"a\": 1}, \"merges\": [], \"dropout\": 0.1}}", SAMP_UNSUPPORTED,
         "dropout"},
        {"{\"model\": {\"vocab\": {\"a\": 1}, \"merges\": [], \"end_of_word_suffix\": \"</w>\"}}",
         SAMP_UNSUPPORTED, "</w>"},
        {"{\"model\": {\"vocab\": {\"a\": 1}, \"merges\": [], \"unk_token\": \"?\"}}", SAMP_CORRUPT,
         "unknown token"},
        {"{\"model\": {\"vocab\": {\"a\": 1}, \"merges\": []}, \"added_tokens\": [{\"id\": 2}]}",
         SAMP_CORRUPT, "\"content\" is missing"},
        {"{\"model\": {\"vocab\": {\"a\": 1}, \"merges\": []}, \"added_tokens\": [{\"id\": 2,"
         " \"content\": \"a\"}]}",
         SAMP_CORRUPT, "in the vocabulary 1"},
        {"{\"model\": {\"vocab\": {\"a\": 1}, \"merges\": []}, \"added_tokens\": [{\"id\": 2,"
         " \"content\": \"\"}]}",
         SAMP_LIMIT, "expected 1 to 512"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_refusal(cases[i].json, cases[i].status, cases[i].says);
}

static void test_refused_parts(void **state)
{
    (void)state;
    static const struct {
        const char *part;
        samp_status status;
        const char *says;
    } cases[] = {
        {"\"normalizer\": {\"type\": \"Lowercase\"}", SAMP_UNSUPPORTED,
         "normalizer \"Lowercase\" is not supported (supported: "},
        {"\"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"Regex\": \"a\"}, \"content\": "
         "\"\"}",
         SAMP_UNSUPPORTED, "with a \"String\" pattern only"},
        {"\"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"String\": \"\"}, \"content\": "
         "\"\"}",
         SAMP_CORRUPT, "empty pattern"},
        {"\"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}", SAMP_UNSUPPORTED,
         "pre-tokenizer \"BertPreTokenizer\" is not supported (supported: "},
        {"\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": "
         "\"ByteLevel\"},"
         " {\"type\": \"Digits\"}]}",
         SAMP_UNSUPPORTED, "behind \"ByteLevel\""},
        {"\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"(\"}, \"behavior\":"
         " \"Isolated\"}",
         SAMP_CORRUPT, "at byte 1"},
        {"\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"[a&&b]\"}, "
         "\"behavior\":"
         " \"Isolated\"}",
         SAMP_UNSUPPORTED, "\"&&\""},
        {"\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"[a[b]]\"}, "
         "\"behavior\":"
         " \"Isolated\"}",
         SAMP_UNSUPPORTED, "a class in a class"},
        {"\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"[a\"}, \"behavior\":"
         " \"Isolated\"}",
         SAMP_CORRUPT, "without \"]\""},
        {"\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {}, \"behavior\": \"Isolated\"}",
         SAMP_CORRUPT, "neither a Regex nor a String"},
        {"\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"String\": \"a\"}, \"behavior\":"
         " \"Sometimes\"}",
         SAMP_UNSUPPORTED, "\"Sometimes\" (supported: Isolated"},
        {"\"decoder\": {\"type\": \"WordPiece\"}", SAMP_UNSUPPORTED,
         "decoder \"WordPiece\" is not supported (supported: "},
        {"\"decoder\": {\"type\": \"ByteLevel\"}", SAMP_UNSUPPORTED, "without the pre-tokenizer"},
        {"\"decoder\": {\"type\": \"Strip\", \"content\": \" \", \"start\": 2, \"stop\": 0}",
         SAMP_UNSUPPORTED, "one space at the start"},
        {"\"post_processor\": {\"type\": \"BertProcessing\"}", SAMP_UNSUPPORTED,
         "post-processor \"BertProcessing\" is not supported (supported: "},
        {"\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\":"
         " {\"id\": \"<x>\"}}]}",
         SAMP_UNSUPPORTED, "\"<x>\" in front of a text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[1024];
        snprintf(json, sizeof json, "{\"model\": %s, %s}", GOOD_MODEL, cases[i].part);
        check_refusal(json, cases[i].status, cases[i].says);
    }
}

static void test_config(void **state)
{
    (void)state;
    samp_error error = {0};
    samp_tokenizer *t = NULL;
    static const char json[] =
        "{\"model\": {\"vocab\": {\"a\": 0, \"<s>\": 1, \"</s>\": 2}, \"merges\": []},"
        " \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": "
        "{\"id\": \"<s>\"}}, {\"Sequence\": {\"id\": \"A\"}}]}}";
    static const char config[] =
        "{\"bos_token\": null, \"eos_token\": {\"content\": \"</s>\"}, \"chat_template\": "
        "[{\"name\": "
        "\"tools\", \"template\": \"no\"}, {\"name\": \"default\", \"template\": \"yes\"}]}";
    assert_ok(samp_tokenizer_parse(&t, json, strlen(json), config, strlen(config), "t", &error),
              &error);
    assert_int_equal(samp_tokenizer_bos(t), 1);
    assert_int_equal(samp_tokenizer_eos(t), 2);
    assert_string_equal(samp_tokenizer_chat_template(t), "yes");
    samp_tokens tokens = {0};
    assert_ok(
        samp_tokenizer_encode(t, "a", 1, (samp_encode_text){.add_bos = true}, &tokens, &error),
        &error);
    assert_ids(&tokens, (const int32_t[]){1, 0}, 2, "a");
    samp_tokens_release(&tokens);
    samp_tokenizer_release(t);
    static const char no_bos[] = "{\"add_bos_token\": false}";
    assert_ok(samp_tokenizer_parse(&t, json, strlen(json), no_bos, strlen(no_bos), "t", &error),
              &error);
    assert_ok(
        samp_tokenizer_encode(t, "a", 1, (samp_encode_text){.add_bos = true}, &tokens, &error),
        &error);
    assert_int_equal(tokens.count, 1);
    assert_null(samp_tokenizer_chat_template(t));
    samp_tokens_release(&tokens);
    samp_tokenizer_release(t);
    static const char other[] = "{\"eos_token\": \"<end>\"}";
    assert_fails(samp_tokenizer_parse(&t, json, strlen(json), other, strlen(other), "t", &error),
                 &error, SAMP_MISMATCH, "\"<end>\", which is not in the vocabulary");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_behaviors),  cmocka_unit_test(test_empty_matches),
        cmocka_unit_test(test_patterns),         cmocka_unit_test(test_white_space),
        cmocka_unit_test(test_new_characters),   cmocka_unit_test(test_digits),
        cmocka_unit_test(test_invalid_utf8),     cmocka_unit_test(test_byte_fallback),
        cmocka_unit_test(test_unknown),          cmocka_unit_test(test_metaspace),
        cmocka_unit_test(test_unicode_forms),    cmocka_unit_test(test_added_tokens),
        cmocka_unit_test(test_normalized_added), cmocka_unit_test(test_ignore_merges),
        cmocka_unit_test(test_refused_models),   cmocka_unit_test(test_refused_parts),
        cmocka_unit_test(test_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
