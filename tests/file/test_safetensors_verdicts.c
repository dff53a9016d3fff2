/* Accept or refuse as the Rust library does: its verdicts on the headers of headers.h and on 10,000
 * mutants are stored (tests/golden/safetensors_verdicts.txt, tools/compare_safetensors.py), and
 * ours must be the same but where a rule of RULES makes us stricter. Never the other way round.
 *
 *     test_file_safetensors_verdicts --emit    writes all files and our verdicts, for the tool */
#include "file/mutants.h"
#include "file/scratch.h"

#include "base/hash.h"
#include "file/safetensors.h"

/* Where we refuse what the library accepts: a part of our sentence, and why. Section numbers are
 * research/serving.md's. */
static const struct {
    const char *says, *why;
} RULES[] = {
    {"is there twice", "6.1: a name may be there once; the library lets the last one win"},
    {"\" twice", "6.1: a key of a tensor or of __metadata__ may be there once"},
    {"expected '{'", "6.1: the header begins with '{'; the library skips white space first"},
    {"found '[', expected an object",
     "6.1: a tensor is an object; serde also takes an array in the order of its fields"},
    {"name is 0 bytes", "6.4, 32: a name of nothing cannot be shown or looked up"},
    {"holds control byte", "6.4, 32: a name with control bytes attacks terminals and C strings"},
    {"__metadata__ holds a NUL", "6.4, 32: metadata are C strings here"},
    {"more than 8 dimensions", "a limit of ours: no model has a tensor of more than 4"},
};
enum { N_RULES = sizeof RULES / sizeof *RULES };

/* Accepted or not, and a description of the tensors or the sentence. */
static bool judge(const samp_buffer *bytes, samp_buffer *says)
{
    samp_error error = {0};
    samp_safetensors *file;
    unsigned char *copy = malloc(bytes->length ? bytes->length : 1); /* its end is memory's end */
    assert_non_null(copy);
    if (bytes->length) memcpy(copy, bytes->data, bytes->length);
    samp_status status =
        samp_safetensors_parse(&file, copy, bytes->length, bytes->length, "file", &error);
    free(copy);
    samp_buffer_clear(says);
    if (status != SAMP_OK) {
        samp_buffer_text(says, error.message);
        return false;
    }
    for (size_t i = 0; i < samp_safetensors_count(file); i++) {
        const samp_tensor_info *t = samp_safetensors_at(file, i);
        samp_buffer_printf(says, "%s\t%s\t", t->name, samp_dtype_name(t->dtype));
        for (int d = 0; d < t->rank; d++)
            samp_buffer_printf(says, "%llu,", (unsigned long long)t->shape[d]);
        samp_buffer_printf(says, "\t%llu\t", (unsigned long long)t->bytes);
    }
    samp_safetensors_close(file);
    return true;
}

static int rule_of(const char *sentence)
{
    for (int i = 0; i < N_RULES; i++)
        if (strstr(sentence, RULES[i].says)) return i;
    return -1;
}

static void put_record(const void *bytes, size_t n)
{
    unsigned char length[4] = {(unsigned char)n, (unsigned char)(n >> 8), (unsigned char)(n >> 16),
                               0};
    fwrite(length, 1, sizeof length, stdout);
    fwrite(bytes, 1, n, stdout);
}

/* For each file three records (a length of 32 bits, then bytes): the file; "ok", "no" or "rule";
 * the tensors, or the sentence, or the reason the rule gives. */
static int emit(void)
{
    samp_buffer bytes = {0}, says = {0};
    for (unsigned i = 0; i < MUTANTS_ALL; i++) {
        mutant_make(i, &bytes);
        bool accepted = judge(&bytes, &says);
        int rule = accepted ? -1 : rule_of(says.data);
        const char *text = rule >= 0 ? RULES[rule].why : says.length ? says.data : "";
        put_record(bytes.data, bytes.length);
        put_record(accepted ? "ok" : rule >= 0 ? "rule" : "no", accepted || rule < 0 ? 2 : 4);
        put_record(text, strlen(text));
    }
    samp_buffer_release(&bytes);
    samp_buffer_release(&says);
    return ferror(stdout) ? 1 : 0;
}

/* 'a' or 'r' for each file from the golden file, and the digest of all files. */
static void read_golden(char verdicts[MUTANTS_ALL], char digest[SAMP_SHA256_HEX])
{
    char line[256];
    size_t n = 0;
    FILE *file = fopen(SAMP_GOLDEN "/safetensors_verdicts.txt", "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "# sha256 %64s", digest) == 1 || line[0] == '#') continue;
        for (const char *c = line; *c == 'a' || *c == 'r'; c++) {
            assert_true(n < MUTANTS_ALL);
            verdicts[n++] = *c;
        }
    }
    fclose(file);
    assert_int_equal(n, MUTANTS_ALL);
}

static void test_verdicts(void **state)
{
    char verdicts[MUTANTS_ALL], expected[SAMP_SHA256_HEX] = "", digest[SAMP_SHA256_HEX];
    samp_buffer bytes = {0}, says = {0};
    samp_error error;
    samp_sha256 *hash;
    unsigned both = 0, used[N_RULES] = {0};
    (void)state;
    read_golden(verdicts, expected);
    assert_ok(samp_sha256_begin(&hash, &error), &error);
    for (unsigned i = 0; i < MUTANTS_ALL; i++) {
        mutant_make(i, &bytes);
        samp_sha256_update(hash, bytes.data, bytes.length);
        bool accepted = judge(&bytes, &says), library = verdicts[i] == 'a';
        int rule = accepted ? -1 : rule_of(says.data);
        both += accepted && library;
        if (accepted && !library) fail_msg("file %u: only we accept it: %s", i, says.data);
        if (!accepted && library && rule < 0)
            fail_msg("file %u: the library accepts it, we say: %s", i, says.data);
        if (!accepted && library) used[rule]++;
    }
    samp_sha256_end(hash, digest);
    assert_string_equal(digest, expected); /* else the mutants changed: run the tool */
    assert_true(both > 1000);
    for (int i = 0; i < N_RULES; i++)
        if (!used[i]) fail_msg("no file needs the rule \"%s\"", RULES[i].says);
    samp_buffer_release(&bytes);
    samp_buffer_release(&says);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_verdicts)};
    if (argc == 2 && strcmp(argv[1], "--emit") == 0) return emit();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
