/* GGUF files of each family, converted by llama.cpp from the checkpoints of tests/golden/models: the
 * imported folder has the weights and the logits of the checkpoint, to the bit. Files in parts, and
 * what they are refused for. */
#include "quantize/gguf_maker.h"
#include "quantize/import.h"
#include "quantize/validate.h"
#include "support/golden.h"
#include "support/tiny_session.h"

#include <unistd.h>

enum { LENGTH = 150 };

static float *logits_in(const char *folder)
{
    int32_t tokens[LENGTH];
    samp_session *session = session_on(folder, (samp_session_options){.exact = true});
    random_tokens(tokens, LENGTH, (uint32_t)vocab_of(session), 3);
    float *logits = logits_of(session, tokens, LENGTH);
    samp_session_close(session);
    return logits;
}

static void expect_same_weights(const char *a, const char *b)
{
    samp_model *x, *y;
    OK(samp_model_open(&x, a, e));
    OK(samp_model_open(&y, b, e));
    assert_int_equal(samp_model_count(x), samp_model_count(y));
    for (size_t i = 0; i < samp_model_count(x); i++) {
        void *p[SAMP_PARTS_MAX], *q[SAMP_PARTS_MAX];
        const samp_weight_ref *ref = samp_model_at(x, i);
        assert_string_equal(ref->name, samp_model_at(y, i)->name);
        OK(samp_model_read_parts(x, ref, p, e));
        OK(samp_model_read_parts(y, samp_model_at(y, i), q, e));
        if (memcmp(p[0], q[0], ref->layout.parts[0].bytes) != 0) fail_msg("%s differs", ref->name);
        samp_model_free_parts(p);
        samp_model_free_parts(q);
    }
    samp_model_close(x);
    samp_model_close(y);
}

static void test_same_as_the_checkpoint(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"llama3", "model-00001-of-00002.gguf"},
                                           {"qwen2", "model.gguf"},
                                           {"qwen3", "model.gguf"},
                                           {"smollm3", "model.gguf"}};
    char *scratch = tiny_folder();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char folder[256], file[320], out[128];
        snprintf(folder, sizeof folder, SAMP_GOLDEN "/models/%s", cases[i][0]);
        snprintf(file, sizeof file, "%s/%s", folder, cases[i][1]);
        snprintf(out, sizeof out, "%s/%s", scratch, cases[i][0]);
        samp_import_options options = {.dtype = "bf16", .n_threads = 1};
        OK(samp_import(file, out, &options, NULL, e));
        expect_same_weights(folder, out);
        float *want = logits_in(folder), *got = logits_in(out);
        assert_memory_equal(got, want, LENGTH * 128 * sizeof *got);
        samp_free(want);
        samp_free(got);
        samp_findings findings = {0};
        samp_validate_options deep = {.depth = SAMP_VALIDATE_DEEP};
        OK(samp_validate(out, &deep, NULL, &findings, e));
        assert_int_equal(samp_findings_exit(&findings, SAMP_SEVERITY_WARNING), 0);
        samp_findings_release(&findings);
    }
    tiny_remove(scratch);
}

/* ---- files in parts ---- */

static void copy(const char *from, const char *folder, const char *name, char path[128])
{
    snprintf(path, 128, "%s/%s", folder, name);
    OK(samp_file_copy(from, path, e));
}

static void expect_refused(const char *path, const char *out, samp_status status, const char *words)
{
    samp_error error = {0};
    samp_import_options options = {.n_threads = 1};
    assert_int_equal(samp_import(path, out, &options, NULL, &error), status);
    if (!strstr(error.message, words)) fail_msg("\"%s\" lacks \"%s\"", error.message, words);
}

static void test_parts(void **state)
{
    (void)state;
#define PARTS SAMP_GOLDEN "/models/llama3/model-0000"
    char *scratch = tiny_folder(), out[128], path[128];
    snprintf(out, sizeof out, "%s/out", scratch);
    expect_refused(PARTS "2-of-00002.gguf", out, SAMP_INVALID, "-00001-of-00002.gguf");
    copy(PARTS "1-of-00002.gguf", scratch, "other.gguf", path);
    expect_refused(path, out, SAMP_INVALID, "does not end in -00001-of-00002.gguf");
    copy(PARTS "1-of-00002.gguf", scratch, "a-00001-of-00002.gguf", path);
    expect_refused(path, out, SAMP_NOT_FOUND, "a-00002-of-00002.gguf");
    copy(PARTS "1-of-00002.gguf", scratch, "a-00002-of-00002.gguf", path);
    copy(PARTS "1-of-00002.gguf", scratch, "a-00001-of-00002.gguf", path);
    expect_refused(path, out, SAMP_MISMATCH, "says that it is number 1 of 2");
    assert_int_not_equal(access(out, F_OK), 0);
    tiny_remove(scratch);
}

/* validate takes the parts together, and does not take one of the later ones for a model. */
static void test_parts_are_validated(void **state)
{
    (void)state;
    samp_error error;
    samp_findings findings = {0};
    samp_validate_options deep = {.depth = SAMP_VALIDATE_DEEP};
    OK(samp_validate(PARTS "1-of-00002.gguf", &deep, NULL, &findings, e));
    assert_int_equal(findings.count, 0);
    assert_int_equal(findings.n_files, 2);
    assert_int_equal(findings.n_tensors, 30);
    assert_int_equal(samp_validate(PARTS "2-of-00002.gguf", &deep, NULL, &findings, &error),
                     SAMP_INVALID);
    samp_findings_release(&findings);
}

/* ---- metadata ---- */

enum { DIM = 16, VOCAB = 12 };

/* The keys that every architecture has: one layer, two heads of 8. */
static void add_sizes(gguf_maker *gguf, const char *architecture)
{
    static const struct {
        const char *key;
        uint32_t value;
    } sizes[] = {{"block_count", 1},
                 {"embedding_length", DIM},
                 {"feed_forward_length", DIM},
                 {"attention.head_count", 2},
                 {"context_length", 64}};
    gguf_text(gguf, "general.architecture", architecture);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s.%s", architecture, sizes[i].key);
        gguf_u32(gguf, key, sizes[i].value);
    }
}

static void add_tensors(gguf_maker *gguf, bool biases)
{
    static const char *const matrices[] = {"attn_q", "attn_k",   "attn_v",  "attn_output",
                                           "ffn_up", "ffn_gate", "ffn_down"};
    static const float values[VOCAB * DIM];
    char name[64];
    gguf_tensor(gguf, "token_embd.weight", VOCAB, DIM, values);
    gguf_tensor(gguf, "output_norm.weight", 0, DIM, values);
    gguf_tensor(gguf, "blk.0.attn_norm.weight", 0, DIM, values);
    gguf_tensor(gguf, "blk.0.ffn_norm.weight", 0, DIM, values);
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++) {
        float zeros[DIM * DIM] = {0};
        snprintf(name, sizeof name, "blk.0.%s.weight", matrices[i]);
        gguf_tensor(gguf, name, DIM, DIM, zeros);
        snprintf(name, sizeof name, "blk.0.%s.bias", matrices[i]);
        if (biases && i < 3) gguf_tensor(gguf, name, 0, DIM, zeros);
    }
}

static void add_tokenizer(gguf_maker *gguf)
{
    static const char *const tokens[VOCAB] = {"<unk>", "<s>", "</s>", "a", "b", "c",
                                              "d",     "e",   "f",    "g", "h", "ab"};
    static const uint32_t types[VOCAB] = {3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const char *const merges[] = {"a b"};
    gguf_text(gguf, "tokenizer.ggml.model", "gpt2");
    gguf_text(gguf, "tokenizer.ggml.pre", "smollm");
    gguf_texts(gguf, "tokenizer.ggml.tokens", tokens, VOCAB);
    gguf_u32s(gguf, "tokenizer.ggml.token_type", types, VOCAB);
    gguf_texts(gguf, "tokenizer.ggml.merges", merges, 1);
}

static void write_gguf(gguf_maker *gguf, const char *path)
{
    samp_buffer bytes = gguf_finish(gguf);
    OK(samp_file_write(path, bytes.data, bytes.length, e));
    samp_buffer_release(&bytes);
}

static samp_config imported(gguf_maker *gguf, bool biases)
{
    char *scratch = tiny_folder(), path[128], out[128];
    snprintf(path, sizeof path, "%s/model.gguf", scratch);
    snprintf(out, sizeof out, "%s/out", scratch);
    add_tensors(gguf, biases);
    add_tokenizer(gguf);
    write_gguf(gguf, path);
    samp_config config;
    samp_import_options options = {.n_threads = 1};
    OK(samp_import(path, out, &options, NULL, e));
    OK(samp_config_load(&config, out, NULL, e));
    tiny_remove(scratch);
    return config;
}

/* A Llama with a window is a Mistral; yarn says from where it stretches, and how. */
static void test_metadata(void **state)
{
    (void)state;
    gguf_maker mistral = {0}, yarn = {0};
    add_sizes(&mistral, "llama");
    gguf_u32(&mistral, "llama.attention.sliding_window", 24);
    samp_config config = imported(&mistral, false);
    assert_string_equal(config.architecture, "MistralForCausalLM");
    assert_int_equal(samp_layer_window(&config, 0), 24);

    add_sizes(&yarn, "qwen2");
    gguf_text(&yarn, "qwen2.rope.scaling.type", "yarn");
    gguf_f32(&yarn, "qwen2.rope.scaling.factor", 4);
    gguf_f32(&yarn, "qwen2.rope.scaling.yarn_beta_fast", 20);
    gguf_u32(&yarn, "qwen2.rope.scaling.original_context_length", 48);
    config = imported(&yarn, true);
    assert_string_equal(config.architecture, "Qwen2ForCausalLM");
    assert_int_equal(config.rope_scaling, SAMP_ROPE_YARN);
    assert_int_equal(config.rope_original_positions, 48);
    assert_int_equal(config.max_positions, 192);
    assert_true(config.rope_factor == 4 && config.rope_beta_fast == 20);
    assert_true(fabs(samp_rope_magnitude(&config) - 1.1386294361119891) < 1e-12);
}

static void test_refused_metadata(void **state)
{
    (void)state;
    static const struct {
        const char *key, *text; /* text NULL: the number */
        uint32_t number;
        samp_status status;
        const char *words;
    } all[] = {
        {"qwen2.attention.sliding_window", NULL, 16, SAMP_UNSUPPORTED, "of \"llama\" only"},
        {"qwen2.expert_count", NULL, 8, SAMP_UNSUPPORTED, "mixture of 8 experts"},
        {"qwen2.rope.scaling.type", "longrope", 0, SAMP_UNSUPPORTED, "\"longrope\""},
        {"qwen2.rope.scaling.type", "yarn", 0, SAMP_CORRUPT, "original_context_length"},
        {"qwen2.attention.value_length", NULL, 12, SAMP_UNSUPPORTED, "only equal lengths"},
        {"qwen2.attention.head_count_kv", NULL, 0, SAMP_CORRUPT, "expected 1 to"},
        {"split.count", NULL, 1025, SAMP_LIMIT, "expected 1 to 1024"},
        {"split.tensors.count", NULL, 99, SAMP_MISMATCH, "not of one model"},
        {"general.name", "no biases", 0, SAMP_MISMATCH, "blk.0.attn_q.bias is missing"},
    };
    char *scratch = tiny_folder(), path[128], out[128];
    snprintf(path, sizeof path, "%s/model.gguf", scratch);
    snprintf(out, sizeof out, "%s/out", scratch);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        gguf_maker gguf = {0};
        add_sizes(&gguf, "qwen2");
        if (all[i].text)
            gguf_text(&gguf, all[i].key, all[i].text);
        else
            gguf_u32(&gguf, all[i].key, all[i].number);
        add_tensors(&gguf, false);
        write_gguf(&gguf, path);
        expect_refused(path, out, all[i].status, all[i].words);
    }
    tiny_remove(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_the_checkpoint), cmocka_unit_test(test_parts),
        cmocka_unit_test(test_parts_are_validated),    cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_refused_metadata),
    };
    return cmocka_run_group_tests_name("quantize/import_families", tests, NULL, NULL);
}
