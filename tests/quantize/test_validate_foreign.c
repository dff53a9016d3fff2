/* validate on what other programs wrote: artifacts of bitsandbytes and compressed-tensors
 * (tests/golden/artifacts) and GGUF files have no errors as they are, and each damage is found. */
#include "support/cmocka_all.h"

#include "quantize/gguf_maker.h"
#include "quantize/model_maker.h"
#include "quantize/validate.h"

#include <math.h>

typedef struct fixture {
    char root[256], work[512];
} fixture;

static int group_setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    maker_scratch(f->root, sizeof f->root);
    snprintf(f->work, sizeof f->work, "%s/work", f->root);
    *state = f;
    return 0;
}

static int group_teardown(void **state)
{
    fixture *f = *state;
    samp_error error;
    maker_must(samp_remove_folder(f->root, &error), &error);
    free(f);
    return 0;
}

static samp_findings validate(const char *path, const char *target)
{
    samp_findings findings = {0};
    samp_error error = {0};
    samp_validate_options options = {.depth = SAMP_VALIDATE_DEEP, .target = target, .n_threads = 1};
    if (samp_validate(path, &options, NULL, &findings, &error) != SAMP_OK)
        fail_msg("%s", error.message);
    return findings;
}

static void expect(const char *path, const char *target, samp_finding_id id, bool there,
                   const char *what)
{
    samp_findings findings = validate(path, target);
    if (!!findings.counts[id] != there) {
        samp_buffer text = {0};
        samp_findings_text(&findings, path, false, &text);
        fprintf(stderr, "%s", text.data);
        fail_msg("%s: %s was%s found", what, samp_finding_rule_get(id)->code, there ? " not" : "");
    }
    samp_findings_release(&findings);
}

/* ---- artifacts and their damage -------------------------------------------------------------- */

static void copy_golden(const fixture *f, const char *name)
{
    char command[2048];
    snprintf(command, sizeof command, "rm -rf '%s' && cp -r '%s/artifacts/%s' '%s'", f->work,
             SAMP_GOLDEN, name, f->work);
    assert_int_equal(system(command), 0);
}

/* Replaces the first of some bytes in a file of the work folder by as many others. */
static void replace(const fixture *f, const char *file, const char *from, const char *to)
{
    char path[1024];
    samp_error error;
    samp_buffer bytes = {0};
    snprintf(path, sizeof path, "%s/%s", f->work, file);
    maker_must(samp_file_slurp(path, 1 << 24, &bytes, &error), &error);
    char *at = memmem(bytes.data, bytes.length, from, strlen(from));
    if (!at) fail_msg("%s holds no %s", file, from);
    samp_buffer made = {0};
    size_t before = (size_t)(at - bytes.data);
    samp_buffer_append(&made, bytes.data, before);
    samp_buffer_text(&made, to);
    samp_buffer_append(&made, at + strlen(from), bytes.length - before - strlen(from));
    maker_must(samp_file_write(path, made.data, made.length, &error), &error);
    samp_buffer_release(&made);
    samp_buffer_release(&bytes);
}

static void overwrite(const fixture *f, const char *tensor, const void *bytes, size_t n)
{
    char path[1024];
    samp_error error;
    samp_safetensors *file;
    snprintf(path, sizeof path, "%s/model.safetensors", f->work);
    maker_must(samp_safetensors_open(&file, path, &error), &error);
    const samp_tensor_info *info = samp_safetensors_find(file, tensor);
    if (!info) fail_msg("no tensor %s", tensor);
    uint64_t offset = info->offset;
    samp_safetensors_close(file);
    FILE *out = fopen(path, "r+be");
    assert_non_null(out);
    assert_int_equal(fseek(out, (long)offset, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    fclose(out);
}

#define Q      "model.layers.0.self_attn.q_proj"
#define CONFIG "config.json"
#define DATA   "model.safetensors"

/* One damage: text of a file replaced, or bytes of a tensor. */
static const struct {
    const char *artifact;
    samp_finding_id id;
    const char *file, *from, *to;
    const char *tensor, *bytes;
    size_t n;
} DAMAGES[] = {
    {"bnb_int8", SAMP_FINDING_INT8_THRESHOLD, CONFIG, "\"llm_int8_threshold\": 6.0",
     "\"llm_int8_threshold\": 3.0", NULL, NULL, 0},
    {"bnb_int8", SAMP_FINDING_INT8_THRESHOLD, CONFIG, "\"llm_int8_threshold\": 6.0",
     "\"llm_int8_threshold\": 0", NULL, NULL, 0},
    {"bnb_int8", SAMP_FINDING_QUANT_CONFIG, CONFIG, "\"llm_int8_threshold\": 6.0",
     "\"llm_int8_threshold\": \"6\"", NULL, NULL, 0},
    {"bnb_int8", SAMP_FINDING_CODE_RANGE, NULL, NULL, NULL, Q ".weight", "\x80", 1},
    {"bnb_int8", SAMP_FINDING_SCALE_NOT_FINITE, NULL, NULL, NULL, Q ".SCB", "\0\0\xc0\x7f", 4},
    {"bnb_int8", SAMP_FINDING_SCALE_NEGATIVE, NULL, NULL, NULL, Q ".SCB", "\0\0\x80\xbf", 4},
    {"bnb_int8", SAMP_FINDING_TENSOR_MISSING, DATA, "q_proj.SCB\"", "q_proj.SCX\"", NULL, NULL, 0},
    {"bnb_int8", SAMP_FINDING_TENSOR_EXTRA, DATA, "q_proj.SCB\"", "q_proj.SCX\"", NULL, NULL, 0},
    {"bnb_int8", SAMP_FINDING_QUANT_CONFIG, CONFIG, "\"load_in_8bit\": true",
     "\"load_in_8bit\": false", NULL, NULL, 0},
    {"bnb_int8", SAMP_FINDING_QUANT_ABSENT, CONFIG, "\"quantization_config\"", "\"lost\"", NULL,
     NULL, 0},
    {"bnb_int8", SAMP_FINDING_QUANT_UNCHECKED, CONFIG, "\"bitsandbytes\"", "\"gptq\"", NULL, NULL,
     0},
    {"bnb_nf4", SAMP_FINDING_QUANT_CONFIG, CONFIG,
     "\"load_in_4bit\": true,\n    \"load_in_8bit\": false", "\"load_in_8bit\": true", NULL, NULL,
     0},
    {"bnb_nf4", SAMP_FINDING_QUANT_CONFIG, CONFIG, "\"bnb_4bit_quant_type\": \"nf4\"",
     "\"bnb_4bit_quant_type\": \"nf3\"", NULL, NULL, 0},
    {"bnb_nf4", SAMP_FINDING_QUANT_DETAIL, CONFIG, "\"bnb_4bit_quant_type\"",
     "\"quant_type\": \"nf4\", \"bnb_4bit_quant_type\"", NULL, NULL, 0},
    {"bnb_nf4", SAMP_FINDING_QUANT_DETAIL, CONFIG, "\"bnb_4bit_use_double_quant\": true",
     "\"bnb_4bit_use_double_quant\": false", NULL, NULL, 0},
    {"bnb_nf4", SAMP_FINDING_SCALE_TABLE, NULL, NULL, NULL, Q ".weight.quant_map", "\0\0\0\x3f", 4},
    {"bnb_nf4", SAMP_FINDING_SCALE_NOT_FINITE, NULL, NULL, NULL, Q ".weight.nested_absmax",
     "\0\0\x80\x7f", 4},
    {"bnb_fp4", SAMP_FINDING_SCALE_NOT_FINITE, NULL, NULL, NULL, Q ".weight.absmax", "\0\0\x80\x7f",
     4},
    {"bnb_fp4", SAMP_FINDING_TENSOR_MISSING, DATA, "q_proj.weight.quant_map\"",
     "q_proj.weight.quant_mop\"", NULL, NULL, 0},
    {"ct_w4a16", SAMP_FINDING_QUANT_CONFIG, CONFIG, "\"group_size\": 32", "\"group_size\": 48",
     NULL, NULL, 0},
    {"ct_w4a16", SAMP_FINDING_TENSOR_SHAPE, CONFIG, "\"group_size\": 32", "\"group_size\": 16",
     NULL, NULL, 0},
    {"ct_w4a16", SAMP_FINDING_TENSOR_SHAPE, CONFIG, "\"num_bits\": 4", "\"num_bits\": 8", NULL,
     NULL, 0},
    {"ct_w4a16", SAMP_FINDING_QUANT_CONFIG, CONFIG, "\"config_groups\"", "\"config_group\"", NULL,
     NULL, 0},
    {"ct_w4a16", SAMP_FINDING_QUANT_CONFIG, CONFIG, "\"strategy\": \"group\"",
     "\"strategy\": \"spiral\"", NULL, NULL, 0},
    {"ct_w4a16", SAMP_FINDING_QUANT_ABSENT, CONFIG, "\"quantization_config\"", "\"lost\"", NULL,
     NULL, 0},
    {"ct_w4a16", SAMP_FINDING_SCALE_NOT_FINITE, NULL, NULL, NULL, Q ".weight_scale", "\x80\x7f", 2},
    {"ct_w4a16", SAMP_FINDING_TENSOR_MISSING, DATA, "q_proj.weight_scale\"",
     "q_proj.weight_scald\"", NULL, NULL, 0},
    {"ct_w8a8", SAMP_FINDING_TENSOR_SHAPE, DATA, "BF16\",\"shape\":[64,1]",
     "BF16\",\"shape\":[1,64]", NULL, NULL, 0},
    {"ct_w8a8", SAMP_FINDING_SCALE_NEGATIVE, NULL, NULL, NULL, Q ".weight_scale", "\x80\xbf", 2},
    {"ct_fp8", SAMP_FINDING_CODE_NAN, NULL, NULL, NULL, Q ".weight", "\x7f", 1},
    {"ct_fp8", SAMP_FINDING_TENSOR_SHAPE, CONFIG, "\"strategy\": \"channel\"",
     "\"strategy\": \"tensor\"", NULL, NULL, 0},
};

static void test_sound_artifacts(void **state)
{
    static const char *const names[] = {"bnb_nf4",  "bnb_fp4", "bnb_int8",
                                        "ct_w4a16", "ct_w8a8", "ct_fp8"};
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        copy_golden(f, names[i]);
        samp_findings findings = validate(f->work, NULL);
        if (findings.count != 2) fail_msg("%s has %zu findings", names[i], findings.count);
        assert_int_equal(findings.counts[SAMP_FINDING_QUANT_FOREIGN], 1);
        assert_int_equal(findings.counts[SAMP_FINDING_TOKENIZER_MISSING], 1);
        assert_true(findings.n_bytes > 15000);
        samp_findings_release(&findings);
        expect(f->work, "samp", SAMP_FINDING_TARGET, true, names[i]);
        expect(f->work, "transformers", SAMP_FINDING_TARGET, false, names[i]);
    }
}

static void test_damages(void **state)
{
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof DAMAGES / sizeof *DAMAGES; i++) {
        char what[256];
        copy_golden(f, DAMAGES[i].artifact);
        if (DAMAGES[i].file)
            replace(f, DAMAGES[i].file, DAMAGES[i].from, DAMAGES[i].to);
        else
            overwrite(f, DAMAGES[i].tensor, DAMAGES[i].bytes, DAMAGES[i].n);
        snprintf(what, sizeof what, "damage %zu of %s", i, DAMAGES[i].artifact);
        expect(f->work, NULL, DAMAGES[i].id, true, what);
    }
}

/* ---- GGUF ------------------------------------------------------------------------------------ */

/* A llama of one layer; `heads` and the value decide what is wrong. */
static void put_gguf(const char *path, const char *architecture, uint32_t heads, float value)
{
    enum { DIM = 16, HIDDEN = 24, HEAD_DIM = 8, VOCAB = 12 };
    static const char *const tokens[VOCAB] = {"<e>", "<s>", "</s>", "a", "b", "c",
                                              "d",   "e",   "f",    "g", "h", "ab"};
    static const uint32_t types[VOCAB] = {3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const char *const merges[] = {"a b"};
    static const struct {
        const char *name;
        uint64_t rows, cols;
    } tensors[] = {
        {"token_embd.weight", VOCAB, DIM},      {"blk.0.attn_norm.weight", 0, DIM},
        {"blk.0.attn_q.weight", DIM, DIM},      {"blk.0.attn_k.weight", HEAD_DIM, DIM},
        {"blk.0.attn_v.weight", HEAD_DIM, DIM}, {"blk.0.attn_output.weight", DIM, DIM},
        {"blk.0.ffn_norm.weight", 0, DIM},      {"blk.0.ffn_gate.weight", HIDDEN, DIM},
        {"blk.0.ffn_up.weight", HIDDEN, DIM},   {"blk.0.ffn_down.weight", DIM, HIDDEN},
        {"output_norm.weight", 0, DIM},
    };
    float values[HIDDEN * DIM] = {value};
    samp_error error;
    gguf_maker gguf = {0};
    gguf_text(&gguf, "general.architecture", architecture);
    gguf_u32(&gguf, "llama.block_count", 1);
    gguf_u32(&gguf, "llama.embedding_length", DIM);
    gguf_u32(&gguf, "llama.feed_forward_length", HIDDEN);
    gguf_u32(&gguf, "llama.attention.head_count", heads);
    gguf_u32(&gguf, "llama.attention.head_count_kv", 1);
    gguf_u32(&gguf, "llama.context_length", 64);
    gguf_f32(&gguf, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    gguf_text(&gguf, "tokenizer.ggml.model", "gpt2");
    gguf_text(&gguf, "tokenizer.ggml.pre", "smollm");
    gguf_texts(&gguf, "tokenizer.ggml.tokens", tokens, VOCAB);
    gguf_u32s(&gguf, "tokenizer.ggml.token_type", types, VOCAB);
    gguf_texts(&gguf, "tokenizer.ggml.merges", merges, 1);
    gguf_u32(&gguf, "tokenizer.ggml.eos_token_id", 2);
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        gguf_tensor(&gguf, tensors[i].name, tensors[i].rows, tensors[i].cols, values);
    samp_buffer bytes = gguf_finish(&gguf);
    maker_must(samp_file_write(path, bytes.data, bytes.length, &error), &error);
    samp_buffer_release(&bytes);
}

static void test_gguf(void **state)
{
    const fixture *f = *state;
    char path[600];
    samp_error error;
    snprintf(path, sizeof path, "%s/model.gguf", f->root);
    put_gguf(path, "llama", 2, 1);
    samp_findings findings = validate(path, NULL);
    if (findings.count) fail_msg("%s", findings.items[0].message);
    assert_int_equal(findings.n_tensors, 11);
    assert_true(findings.n_bytes > 5000);
    samp_findings_release(&findings);
    expect(path, "samp", SAMP_FINDING_TARGET, true, "samp and a GGUF file");
    put_gguf(path, "llama", 2, NAN);
    expect(path, NULL, SAMP_FINDING_VALUE_NOT_FINITE, true, "NaN");
    put_gguf(path, "llama", 4, 1);
    expect(path, NULL, SAMP_FINDING_GGUF_MODEL, true, "heads that do not fit");
    put_gguf(path, "mamba", 2, 1);
    expect(path, NULL, SAMP_FINDING_GGUF_UNCHECKED, true, "another architecture");
    maker_must(samp_file_write(path, "GGUF\3\0\0\0", 8, &error), &error);
    expect(path, NULL, SAMP_FINDING_GGUF_BAD, true, "a cut file");
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
    maker_must(samp_file_write(path, pointer, sizeof pointer - 1, &error), &error);
    expect(path, NULL, SAMP_FINDING_POINTER, true, "a pointer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound_artifacts),
        cmocka_unit_test(test_damages),
        cmocka_unit_test(test_gguf),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
