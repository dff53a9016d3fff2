/* import: GGUF and llama2.c files become Hugging Face folders with the same weights in the right
 * order. */
#include "support/cmocka_all.h"

#include "model/tokenizer.h"
#include "quantize/gguf_maker.h"
#include "quantize/import.h"
#include "quantize/model_maker.h"
#include "quantize/validate.h"

#include <math.h>
#include <unistd.h>

typedef struct fixture {
    char root[256], file[512], out[512];
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    maker_scratch(f->root, sizeof f->root);
    snprintf(f->file, sizeof f->file, "%s/model.gguf", f->root);
    snprintf(f->out, sizeof f->out, "%s/out", f->root);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    samp_error error;
    maker_must(samp_remove_folder(f->root, &error), &error);
    free(f);
    return 0;
}

/* ---- a small GGUF ---------------------------------------------------------------------------- */

enum { DIM = 16, HIDDEN = 24, HEADS = 2, HEAD_DIM = 8, VOCAB = 12 };

/* What a test wants to be different. */
typedef struct variant {
    const char *architecture, *rope_type, *extra_tensor;
    uint32_t experts, n_heads;
    bool own_head;
    float large;                /* one value of the embedding; 0 = none */
    const float *rope_divisors; /* [HEAD_DIM/2] */
} variant;

/* Value c of row r: every row tells its number. */
static void fill(float *values, uint64_t rows, uint64_t cols)
{
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t c = 0; c < cols; c++) values[r * cols + c] = (float)r + (float)c / 64.0f;
}

static void add_tensors(gguf_maker *gguf, const variant *v)
{
    static const struct {
        const char *name;
        uint64_t rows, cols;
    } shapes[] = {
        {"token_embd.weight", VOCAB, DIM},      {"blk.0.attn_norm.weight", 0, DIM},
        {"blk.0.attn_q.weight", DIM, DIM},      {"blk.0.attn_k.weight", HEAD_DIM, DIM},
        {"blk.0.attn_v.weight", HEAD_DIM, DIM}, {"blk.0.attn_output.weight", DIM, DIM},
        {"blk.0.ffn_norm.weight", 0, DIM},      {"blk.0.ffn_gate.weight", HIDDEN, DIM},
        {"blk.0.ffn_up.weight", HIDDEN, DIM},   {"blk.0.ffn_down.weight", DIM, HIDDEN},
        {"output_norm.weight", 0, DIM},         {"output.weight", VOCAB, DIM},
    };
    float values[HIDDEN * HIDDEN];
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes - !v->own_head; i++) {
        fill(values, shapes[i].rows ? shapes[i].rows : 1, shapes[i].cols);
        if (i == 0 && v->large != 0) values[3 * DIM + 2] = v->large;
        gguf_tensor(gguf, shapes[i].name, shapes[i].rows, shapes[i].cols, values);
    }
    if (v->extra_tensor) gguf_tensor(gguf, v->extra_tensor, 0, DIM, values);
    if (v->rope_divisors) gguf_tensor(gguf, "rope_freqs.weight", 0, HEAD_DIM / 2, v->rope_divisors);
}

static void make_gguf(const fixture *f, const variant *v)
{
    static const char *const tokens[VOCAB] = {
        "<|endoftext|>", "<s>", "</s>", "a", "b", "c", "d", "e", "f", "g", "h", "ab"};
    static const uint32_t types[VOCAB] = {3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const char *const merges[] = {"a b"};
    gguf_maker gguf = {0};
    gguf_text(&gguf, "general.architecture", v->architecture ? v->architecture : "llama");
    gguf_u32(&gguf, "llama.block_count", 1);
    gguf_u32(&gguf, "llama.embedding_length", DIM);
    gguf_u32(&gguf, "llama.feed_forward_length", HIDDEN);
    gguf_u32(&gguf, "llama.attention.head_count", v->n_heads ? v->n_heads : HEADS);
    gguf_u32(&gguf, "llama.attention.head_count_kv", 1);
    gguf_u32(&gguf, "llama.context_length", 64);
    gguf_f32(&gguf, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    gguf_f32(&gguf, "llama.rope.freq_base", v->rope_divisors ? 500000.0f : 100000.0f);
    if (v->experts) gguf_u32(&gguf, "llama.expert_count", v->experts);
    if (v->rope_type) {
        gguf_text(&gguf, "llama.rope.scaling.type", v->rope_type);
        gguf_f32(&gguf, "llama.rope.scaling.factor", 4.0f);
    }
    gguf_text(&gguf, "tokenizer.ggml.model", "gpt2");
    gguf_text(&gguf, "tokenizer.ggml.pre", "smollm");
    gguf_texts(&gguf, "tokenizer.ggml.tokens", tokens, VOCAB);
    gguf_u32s(&gguf, "tokenizer.ggml.token_type", types, VOCAB);
    gguf_texts(&gguf, "tokenizer.ggml.merges", merges, 1);
    gguf_u32(&gguf, "tokenizer.ggml.bos_token_id", 1);
    gguf_u32(&gguf, "tokenizer.ggml.eos_token_id", 2);
    gguf_u32(&gguf, "tokenizer.ggml.eot_token_id", 0);
    add_tensors(&gguf, v);
    samp_buffer bytes = gguf_finish(&gguf);
    samp_error error;
    maker_must(samp_file_write(f->file, bytes.data, bytes.length, &error), &error);
    samp_buffer_release(&bytes);
}

static samp_model *import_and_open(const fixture *f, const samp_import_options *options)
{
    samp_error error = {0};
    samp_model *model;
    if (samp_import(f->file, f->out, options, NULL, &error) != SAMP_OK)
        fail_msg("%s", error.message);
    if (samp_model_open(&model, f->out, &error) != SAMP_OK) fail_msg("%s", error.message);
    return model;
}

static void read_rows(samp_model *model, samp_role role, uint64_t n_rows, float *out)
{
    samp_error error = {0};
    void *scales[SAMP_PARTS_MAX] = {0};
    const samp_weight_ref *weight = samp_model_weight(model, role, 0);
    if (samp_model_read_rows(model, weight, 0, n_rows, scales, out, &error) != SAMP_OK)
        fail_msg("%s", error.message);
}

static void test_rows_of_q_and_k_are_put_back(void **state)
{
    const fixture *f = *state;
    float rows[DIM * DIM];
    make_gguf(f, &(variant){0});
    samp_model *model = import_and_open(f, &(samp_import_options){0});
    /* Hugging Face row i of a head pairs with i+4; the file pairs neighbours. */
    static const float order[HEAD_DIM] = {0, 2, 4, 6, 1, 3, 5, 7};
    read_rows(model, SAMP_ROLE_Q, DIM, rows);
    for (int r = 0; r < DIM; r++)
        assert_true(rows[r * DIM] == (float)(r / HEAD_DIM * HEAD_DIM) + order[r % HEAD_DIM]);
    read_rows(model, SAMP_ROLE_K, HEAD_DIM, rows);
    for (int r = 0; r < HEAD_DIM; r++) assert_true(rows[r * DIM + 5] == order[r] + 5 / 64.0f);
    read_rows(model, SAMP_ROLE_V, HEAD_DIM, rows);
    for (int r = 0; r < HEAD_DIM; r++) assert_true(rows[r * DIM] == (float)r);
    read_rows(model, SAMP_ROLE_DOWN, 1, rows);
    assert_true(rows[HIDDEN - 1] == (HIDDEN - 1) / 64.0f);
    samp_model_close(model);
}

static void test_config_and_tokenizer(void **state)
{
    const fixture *f = *state;
    samp_error error = {0};
    make_gguf(f, &(variant){0});
    samp_model *model = import_and_open(f, &(samp_import_options){0});
    const samp_config *c = samp_model_config(model);
    assert_int_equal(c->n_layers, 1);
    assert_int_equal(c->head_dim, HEAD_DIM);
    assert_int_equal(c->vocab_size, VOCAB);
    assert_true(c->tied_embeddings && c->rope_theta == 100000 && c->rms_norm_eps == 1e-5f);
    assert_int_equal(c->bos_token, 1);
    assert_int_equal(c->n_eos_tokens, 2);
    assert_string_equal(samp_model_at(model, 0)->format->name, "fp16");
    samp_model_close(model);
    samp_tokenizer *tokenizer;
    if (samp_tokenizer_load(&tokenizer, f->out, &error) != SAMP_OK) fail_msg("%s", error.message);
    assert_int_equal(samp_tokenizer_vocab(tokenizer), VOCAB);
    assert_int_equal(samp_tokenizer_find(tokenizer, "ab"), 11);
    samp_tokenizer_release(tokenizer);
    samp_findings findings = {0};
    samp_validate_options options = {.depth = SAMP_VALIDATE_DEEP};
    assert_int_equal(samp_validate(f->out, &options, NULL, &findings, &error), SAMP_OK);
    assert_int_equal(samp_findings_exit(&findings, SAMP_SEVERITY_WARNING), 0);
    samp_findings_release(&findings);
}

static void test_variants(void **state)
{
    const fixture *f = *state;
    make_gguf(f, &(variant){.own_head = true, .rope_type = "linear"});
    samp_model *model = import_and_open(f, &(samp_import_options){.dtype = "bf16"});
    const samp_config *c = samp_model_config(model);
    assert_false(c->tied_embeddings);
    assert_int_equal(c->rope_scaling, SAMP_ROPE_LINEAR);
    assert_true(c->rope_factor == 4);
    assert_string_equal(samp_model_weight(model, SAMP_ROLE_HEAD, 0)->name, "lm_head.weight");
    assert_string_equal(samp_model_at(model, 0)->format->name, "bf16");
    samp_model_close(model);
}

/* rope_freqs.weight as llama.cpp's converter writes it for Llama 3.1 with head_dim 8. */
static void test_llama3_rope_table(void **state)
{
    const fixture *f = *state;
    samp_config c = maker_config((maker_shape){1, DIM, HIDDEN, HEADS, 1, VOCAB, true});
    double plain[HEAD_DIM / 2], scaled[HEAD_DIM / 2];
    float divisors[HEAD_DIM / 2];
    c.rope_theta = 500000;
    samp_rope_frequencies(&c, plain);
    c.rope_scaling = SAMP_ROPE_LLAMA3;
    c.rope_factor = 32;
    c.rope_low_freq_factor = 1;
    c.rope_high_freq_factor = 4;
    c.rope_original_positions = 8192;
    samp_rope_frequencies(&c, scaled);
    for (int i = 0; i < HEAD_DIM / 2; i++) divisors[i] = (float)(plain[i] / scaled[i]);
    make_gguf(f, &(variant){.rope_divisors = divisors});
    samp_model *model = import_and_open(f, &(samp_import_options){0});
    assert_int_equal(samp_model_config(model)->rope_scaling, SAMP_ROPE_LLAMA3);
    assert_true(samp_model_config(model)->rope_factor == 32);
    samp_model_close(model);

    divisors[1] = 5; /* no blend of Llama 3's */
    make_gguf(f, &(variant){.rope_divisors = divisors});
    samp_error error;
    samp_import_options options = {.force = true};
    assert_int_equal(samp_import(f->file, f->out, &options, NULL, &error), SAMP_UNSUPPORTED);
    assert_non_null(strstr(error.message, "rope_freqs.weight"));
}

static void expect(const fixture *f, const variant *v, const samp_import_options *options,
                   samp_status status, const char *words)
{
    samp_error error = {0};
    make_gguf(f, v);
    samp_status found = samp_import(f->file, f->out, options, NULL, &error);
    if (found != status || !strstr(error.message, words))
        fail_msg("status %d \"%s\", expected %d with \"%s\"", found, error.message, status, words);
    assert_false(samp_is_folder(f->out));
}

static void test_refusals(void **state)
{
    const fixture *f = *state;
    const samp_import_options plain = {0}, bf16 = {.dtype = "bf16"}, int4 = {.dtype = "int4"};
    expect(f, &(variant){.architecture = "falcon"}, &plain, SAMP_UNSUPPORTED,
           "\"falcon\" is not supported, supported are llama, qwen2, qwen3, smollm3");
    expect(f, &(variant){.experts = 8}, &plain, SAMP_UNSUPPORTED, "8 experts");
    expect(f, &(variant){.rope_type = "longrope"}, &plain, SAMP_UNSUPPORTED, "\"longrope\"");
    expect(f, &(variant){.extra_tensor = "blk.0.attn_q.bias"}, &plain, SAMP_UNSUPPORTED,
           "blk.0.attn_q.bias");
    expect(f, &(variant){.n_heads = 3}, &plain, SAMP_CORRUPT, "even number");
    expect(f, &(variant){.n_heads = 4}, &plain, SAMP_MISMATCH, "attn_k.weight has not the shape");
    expect(f, &(variant){.large = 70000}, &plain, SAMP_NUMERIC, "--dtype bf16");
    expect(f, &(variant){.large = NAN}, &bf16, SAMP_NUMERIC, "row 3, column 2 is nan");
    expect(f, &(variant){0}, &int4, SAMP_INVALID, "fp16, bf16 or fp32");
    make_gguf(f, &(variant){.large = 70000});
    samp_model_close(import_and_open(f, &(samp_import_options){.dtype = "bf16"}));

    samp_error error;
    maker_must(samp_file_write(f->file, "PK\3\4 a wheel", 11, &error), &error);
    samp_import_options options = {.force = true};
    assert_int_equal(samp_import(f->file, f->out, &options, NULL, &error), SAMP_UNSUPPORTED);
    assert_non_null(strstr(error.message, "neither a GGUF file"));
    assert_int_equal(samp_import("/nonexistent.gguf", f->out, &options, NULL, &error),
                     SAMP_NOT_FOUND);
}

static void test_two_runs_give_the_same_bytes(void **state)
{
    const fixture *f = *state;
    samp_buffer a = {0}, b = {0};
    char path[1024];
    samp_error error;
    make_gguf(f, &(variant){0});
    for (int run = 0; run < 2; run++) {
        samp_import_options options = {.force = true, .n_threads = run ? 3 : 1};
        if (samp_import(f->file, f->out, &options, NULL, &error) != SAMP_OK)
            fail_msg("%s", error.message);
        snprintf(path, sizeof path, "%s/samp.json", f->out);
        maker_must(samp_file_slurp(path, 1 << 20, run ? &b : &a, &error), &error);
    }
    assert_int_equal(a.length, b.length); /* it holds the digests of all files */
    assert_memory_equal(a.data, b.data, a.length);
    samp_buffer_release(&a);
    samp_buffer_release(&b);
}

/* stories260K: every weight against the file, rows of q and k in Hugging Face's order. */
static void test_llama2c(void **state)
{
    const fixture *f = *state;
    const char *bin = SAMP_DATA "/stories260K/stories260K.bin";
    const char *tokens = SAMP_DATA "/stories260K/tok512.bin";
    samp_error error = {0};
    if (access(bin, R_OK) != 0) {
        print_message("skipped: %s is not there\n", bin);
        skip();
    }
    samp_import_options options = {.dtype = "fp32", .tokenizer = tokens};
    if (samp_import(bin, f->out, &options, NULL, &error) != SAMP_OK) fail_msg("%s", error.message);
    samp_model *model;
    maker_must(samp_model_open(&model, f->out, &error), &error);
    samp_buffer file = {0};
    maker_must(samp_file_slurp(bin, 1 << 24, &file, &error), &error);
    const samp_config *c = samp_model_config(model);
    assert_int_equal(c->dim, 64);
    assert_int_equal(c->n_layers, 5);
    assert_int_equal(c->vocab_size, 512);
    assert_true(c->tied_embeddings);
    float rows[64 * 64], expected[64];
    read_rows(model, SAMP_ROLE_Q, 64, rows); /* layer 0, after the embedding and 5 norms */
    for (int r = 0; r < 64; r++) {
        int half = 4, i = r % 8, paired = r / 8 * 8 + (i < half ? 2 * i : 2 * (i - half) + 1);
        memcpy(expected, file.data + 28 + 4 * (512 * 64 + 5 * 64 + paired * 64), sizeof expected);
        assert_memory_equal(rows + r * 64, expected, sizeof expected);
    }
    read_rows(model, SAMP_ROLE_EMBED, 1, rows);
    assert_memory_equal(rows, file.data + 28, sizeof expected);
    samp_buffer_release(&file);
    samp_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows_of_q_and_k_are_put_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_config_and_tokenizer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_variants, setup, teardown),
        cmocka_unit_test_setup_teardown(test_llama3_rope_table, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_runs_give_the_same_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_llama2c, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
