/* Opening models: what is found, and one clear sentence for everything that does not fit together.
 */
#include "support/cmocka_all.h"

#include "quantize/model_maker.h"

#include <math.h>

typedef struct fixture {
    char root[256], folder[512];
    samp_config config;
    maker_tensors tensors;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    maker_scratch(f->root, sizeof f->root);
    snprintf(f->folder, sizeof f->folder, "%s/model", f->root);
    samp_error error;
    maker_must(samp_make_folder(f->folder, &error), &error);
    f->config = maker_config(MAKER_TINY);
    f->tensors = maker_tensors_of(&f->config);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    samp_error error;
    maker_must(samp_remove_folder(f->root, &error), &error);
    maker_tensors_release(&f->tensors);
    free(f);
    return 0;
}

static void write_config(const fixture *f, json_t *quantization)
{
    json_t *config = samp_config_json(&f->config, "bfloat16");
    if (quantization) json_object_set_new(config, "quantization_config", quantization);
    maker_json(f->folder, "config.json", config);
}

static samp_model *open_model(const fixture *f)
{
    samp_error error = {0};
    samp_model *model;
    if (samp_model_open(&model, f->folder, &error) != SAMP_OK) fail_msg("%s", error.message);
    return model;
}

static void expect(const fixture *f, samp_status status, const char *words)
{
    samp_error error = {0};
    samp_model *model;
    samp_status found = samp_model_open(&model, f->folder, &error);
    if (found != status || !strstr(error.message, words))
        fail_msg("status %d \"%s\", expected %d with \"%s\"", found, error.message, status, words);
    assert_null(model);
}

static void test_order_and_lookup(void **state)
{
    fixture *f = *state;
    maker_shard(f->folder, "model.safetensors", &f->tensors, 1);
    write_config(f, NULL);
    samp_model *model = open_model(f);
    assert_int_equal(samp_model_count(model), 1 + 2 * 9 + 2);
    for (size_t i = 0; i < samp_model_count(model); i++) {
        const samp_weight_ref *weight = samp_model_at(model, i);
        assert_ptr_equal(samp_model_weight(model, weight->role, weight->layer), weight);
        assert_string_equal(weight->parts[0]->name, weight->name);
        assert_string_equal(weight->format->name, "bf16");
        assert_int_equal(weight->activation_bits, 16);
    }
    const samp_weight_ref *down = samp_model_weight(model, SAMP_ROLE_DOWN, 1);
    assert_string_equal(down->name, "model.layers.1.mlp.down_proj.weight");
    assert_int_equal(down->layout.rows, 128);
    assert_int_equal(down->layout.cols, 192);
    assert_string_equal(samp_role_class(down->role), "mlp");
    samp_model_close(model);
}

/* Whatever a family has or has not: an index for every weight and no other, names that differ. */
static void test_roles_of_families(void **state)
{
    (void)state;
    for (int traits = 0; traits < 8; traits++) {
        samp_config c = maker_config(MAKER_TINY);
        c.qkv_bias = traits & 1, c.qk_norm = traits & 2, c.tied_embeddings = traits & 4;
        size_t n = samp_weight_count(&c), per_layer = 9u + 3 * c.qkv_bias + 2 * c.qk_norm;
        assert_int_equal(n, 1 + 2 * per_layer + 2 - c.tied_embeddings);
        char before[SAMP_TENSOR_NAME_MAX] = "";
        for (size_t i = 0; i < n; i++) {
            samp_weight_ref weight;
            uint64_t rows, cols;
            samp_stored_at(&c, 0, i, &weight, &rows, &cols);
            assert_true(samp_role_present(weight.role, &c));
            assert_int_equal(samp_weight_index(&c, weight.role, weight.layer), i);
            assert_string_not_equal(weight.name, before);
            if (!samp_role_is_matrix(weight.role)) assert_int_equal(rows, 1);
            if (weight.role == SAMP_ROLE_K_BIAS) {
                assert_string_equal(strstr(weight.name, "self"), "self_attn.k_proj.bias");
                assert_string_equal(samp_role_class(weight.role), "bias");
                assert_int_equal(cols, 64);
            }
            if (weight.role == SAMP_ROLE_Q_NORM) assert_int_equal(cols, 32);
            memcpy(before, weight.name, sizeof weight.name);
        }
    }
}

static void test_rows(void **state)
{
    fixture *f = *state;
    maker_shard(f->folder, "model.safetensors", &f->tensors, 2);
    write_config(f, NULL);
    samp_model *model = open_model(f);
    const samp_weight_ref *up = samp_model_weight(model, SAMP_ROLE_UP, 0);
    void *parts[SAMP_PARTS_MAX], *scales[SAMP_PARTS_MAX] = {0};
    samp_error error;
    assert_int_equal(samp_model_read_parts(model, up, parts, &error), SAMP_OK);
    float rows[3 * 128], norm[128];
    assert_int_equal(samp_model_read_rows(model, up, 70, 3, scales, rows, &error), SAMP_OK);
    for (int i = 0; i < 3 * 128; i++)
        assert_true(rows[i] == samp_bf16_to_float(((uint16_t *)parts[0])[70 * 128 + i]));
    assert_int_equal(samp_model_read_rows(model, up, 190, 3, scales, rows, &error), SAMP_INVALID);
    assert_int_equal(samp_model_read_vector(
                         model, samp_model_weight(model, SAMP_ROLE_FINAL_NORM, 0), norm, &error),
                     SAMP_OK);
    samp_model_free_parts(parts);
    samp_model_close(model);
}

static void test_tied_head_is_the_embedding(void **state)
{
    fixture *f = *state;
    f->config.tied_embeddings = true; /* lm_head.weight is in the file all the same */
    snprintf(f->tensors.names[f->tensors.n], SAMP_TENSOR_NAME_MAX,
             "model.layers.0.self_attn.rotary_emb.inv_freq");
    f->tensors.specs[f->tensors.n] = (samp_tensor_spec){
        .name = f->tensors.names[f->tensors.n], .dtype = SAMP_F32, .rank = 1, .shape = {16}};
    f->tensors.n++;
    maker_shard(f->folder, "model.safetensors", &f->tensors, 3);
    write_config(f, NULL);
    samp_model *model = open_model(f);
    assert_ptr_equal(samp_model_weight(model, SAMP_ROLE_HEAD, 0),
                     samp_model_weight(model, SAMP_ROLE_EMBED, 0));
    assert_int_equal(samp_model_count(model), 1 + 2 * 9 + 1);
    samp_model_close(model);
}

/* A whole head taken as two weights, and rows of it read. */
static void test_cut_head(void **state)
{
    fixture *f = *state;
    samp_error error;
    maker_shard(f->folder, "model.safetensors", &f->tensors, 4);
    write_config(f, NULL);
    samp_model *model = open_model(f), *whole = open_model(f);
    size_t n = samp_model_count(model);
    uint32_t vocab = f->config.vocab_size;
    assert_null(samp_model_head_rest(model));
    assert_int_equal(samp_model_cut_head(model, vocab, &error), SAMP_INVALID);
    assert_int_equal(samp_model_cut_head(model, 0, &error), SAMP_INVALID);
    assert_int_equal(samp_model_cut_head(model, 50, &error), SAMP_OK);
    assert_int_equal(samp_model_cut_head(model, 50, &error), SAMP_OK);
    assert_int_equal(samp_model_cut_head(model, 51, &error), SAMP_UNSUPPORTED);
    assert_int_equal(samp_model_count(model), n + 1);
    const samp_weight_ref *parts[2] = {samp_model_weight(model, SAMP_ROLE_HEAD, 0),
                                       samp_model_head_rest(model)};
    assert_string_equal(parts[0]->name, "lm_head.first.weight");
    assert_string_equal(parts[1]->name, "lm_head.rest.weight");
    assert_int_equal(parts[0]->layout.rows, 50);
    assert_int_equal(parts[1]->layout.rows, vocab - 50);
    assert_ptr_equal(samp_model_at(model, n), parts[1]);
    static float all[160 * 128], rows[160 * 128];
    void *scales[SAMP_PARTS_MAX] = {0}, *codes[SAMP_PARTS_MAX];
    const samp_weight_ref *head = samp_model_weight(whole, SAMP_ROLE_HEAD, 0);
    assert_int_equal(samp_model_read_rows(whole, head, 0, vocab, scales, all, &error), SAMP_OK);
    for (int part = 0; part < 2; part++) {
        uint64_t rows_here = parts[part]->layout.rows;
        const float *expected = all + (part ? 50 * 128 : 0);
        assert_int_equal(
            samp_model_read_rows(model, parts[part], 3, rows_here - 3, scales, rows, &error),
            SAMP_OK);
        assert_memory_equal(rows, expected + 3 * 128, (rows_here - 3) * 128 * sizeof *rows);
        assert_int_equal(samp_model_read_parts(model, parts[part], codes, &error), SAMP_OK);
        for (uint64_t i = 0; i < rows_here * 128; i++)
            assert_true(samp_bf16_to_float(((uint16_t *)codes[0])[i]) == expected[i]);
        samp_model_free_parts(codes);
    }
    assert_int_equal(samp_model_read_rows(model, parts[0], 40, 11, scales, rows, &error),
                     SAMP_INVALID);
    samp_model_close(model);
    samp_model_close(whole);
}

/* Files that hold it as two, and those that say so and do not. */
static void test_stored_as_two(void **state)
{
    fixture *f = *state;
    samp_tensor_spec *head = maker_find(&f->tensors, "lm_head.weight");
    samp_tensor_spec *rest = &f->tensors.specs[f->tensors.n];
    snprintf((char *)head->name, SAMP_TENSOR_NAME_MAX, "lm_head.first.weight");
    snprintf(f->tensors.names[f->tensors.n], SAMP_TENSOR_NAME_MAX, "lm_head.rest.weight");
    *rest = *head;
    rest->name = f->tensors.names[f->tensors.n++];
    head->shape[0] = 64, rest->shape[0] = 96;
    maker_shard(f->folder, "model.safetensors", &f->tensors, 5);
    write_config(
        f, json_pack("{s:s, s:i, s:{}}", "quant_method", "samp", "first_rows", 64, "modules"));
    samp_model *model = open_model(f);
    assert_string_equal(samp_model_head_rest(model)->name, "lm_head.rest.weight");
    assert_int_equal(samp_model_head_rest(model)->layout.rows, 96);
    samp_model_close(model);
    static const json_int_t wrong[] = {0, 160, -1, 63};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_config(f, json_pack("{s:s, s:I, s:{}}", "quant_method", "samp", "first_rows",
                                  wrong[i], "modules"));
        if (wrong[i] == 63)
            expect(f, SAMP_MISMATCH, "lm_head.first.weight has shape [64, 128]");
        else
            expect(f, SAMP_CORRUPT, "first_rows");
    }
    write_config(f, NULL);
    expect(f, SAMP_MISMATCH, "lm_head.weight");
}

static void test_tensors_that_do_not_fit(void **state)
{
    fixture *f = *state;
    write_config(f, NULL);
    expect(f, SAMP_NOT_FOUND, "model.safetensors");
    samp_tensor_spec *up = maker_find(&f->tensors, "model.layers.1.mlp.up_proj.weight");
    samp_tensor_spec good = *up;

    up->name = "model.layers.1.mlp.up_proj.bias";
    maker_shard(f->folder, "model.safetensors", &f->tensors, 4);
    expect(f, SAMP_MISMATCH,
           "model.layers.1.mlp.up_proj.weight, which config.json asks for, is missing");

    *up = good;
    up->shape[0] = 128, up->shape[1] = 192;
    maker_shard(f->folder, "model.safetensors", &f->tensors, 4);
    expect(f, SAMP_MISMATCH, "up_proj.weight has shape [128, 192]");
    expect(f, SAMP_MISMATCH, "ask for [192, 128]");

    *up = good;
    up->dtype = SAMP_I16;
    maker_shard(f->folder, "model.safetensors", &f->tensors, 4);
    expect(f, SAMP_MISMATCH, "has type I16 but no entry in quantization_config");

    *up = good;
    samp_tensor_spec *norm = maker_find(&f->tensors, "model.norm.weight");
    norm->rank = 2, norm->shape[0] = 1, norm->shape[1] = 128;
    maker_shard(f->folder, "model.safetensors", &f->tensors, 4);
    expect(f, SAMP_MISMATCH, "model.norm.weight has shape [1, 128]");
    norm->rank = 1, norm->shape[0] = 128;

    f->tensors.specs[f->tensors.n++] =
        (samp_tensor_spec){.name = "model.layers.0.self_attn.q_proj.bias",
                           .dtype = SAMP_BF16,
                           .rank = 1,
                           .shape = {128}};
    maker_shard(f->folder, "model.safetensors", &f->tensors, 4);
    expect(f, SAMP_MISMATCH, "q_proj.bias is no part of a LlamaForCausalLM with 2 layers");
}

typedef struct bad_quantization {
    const char *json;
    samp_status status;
    const char *words;
} bad_quantization;

static const bad_quantization BAD[] = {
    {"{}", SAMP_CORRUPT, "\"quant_method\" is missing"},
    {"{\"quant_method\": \"bitsandbytes\"}", SAMP_UNSUPPORTED, "\"bitsandbytes\""},
    {"{\"quant_method\": \"samp\"}", SAMP_CORRUPT, "\"modules\" is missing"},
    {"{\"quant_method\": \"samp\", \"modules\": {\"lm_head\": 4}}", SAMP_CORRUPT, "lm_head"},
    {"{\"quant_method\": \"samp\", \"modules\": {\"lm_head\": {}}}", SAMP_CORRUPT, "format"},
    {"{\"quant_method\": \"samp\", \"modules\": {\"lm_head\": {\"format\": \"int3\"}}}",
     SAMP_UNSUPPORTED, "\"int3\""},
    {"{\"quant_method\": \"samp\", \"modules\": {\"lm_head\": {\"format\": \"bf16\","
     " \"activation_bits\": 12}}}",
     SAMP_CORRUPT, "expected 8 or 16"},
    {"{\"quant_method\": \"samp\", \"modules\": {\"model.layers.2.mlp.up_proj\": {\"format\": "
     "\"nf4\"}}}",
     SAMP_MISMATCH, "model.layers.2.mlp.up_proj, which this model does not have"},
    {"{\"quant_method\": \"samp\", \"modules\": {\"model.norm\": {\"format\": \"nf4\"}}}",
     SAMP_UNSUPPORTED, "norms and biases must be floats"},
    {"{\"quant_method\": \"samp\", \"modules\": {\"lm_head\": {\"format\": \"nf4\"}}}",
     SAMP_MISMATCH, "has type BF16, format nf4 needs U8"},
    {"{\"quant_method\": \"samp\", \"modules\": {\"lm_head\": {\"format\": \"fp16\"}}}",
     SAMP_MISMATCH, "has type BF16, format fp16 needs F16"},
};

static void test_quantization_that_does_not_fit(void **state)
{
    fixture *f = *state;
    maker_shard(f->folder, "model.safetensors", &f->tensors, 5);
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        samp_error error;
        json_t *object;
        maker_must(samp_json_parse(&object, BAD[i].json, strlen(BAD[i].json), "test", &error),
                   &error);
        write_config(f, object);
        expect(f, BAD[i].status, BAD[i].words);
    }
}

static void test_activation_bits(void **state)
{
    fixture *f = *state;
    maker_shard(f->folder, "model.safetensors", &f->tensors, 6);
    write_config(f, json_pack("{s:s, s:{s:{s:s, s:i}}}", "quant_method", "samp", "modules",
                              "lm_head", "format", "bf16", "activation_bits", 8));
    samp_model *model = open_model(f);
    assert_int_equal(samp_model_weight(model, SAMP_ROLE_HEAD, 0)->activation_bits, 8);
    assert_int_equal(samp_model_weight(model, SAMP_ROLE_EMBED, 0)->activation_bits, 16);
    samp_model_close(model);
}

/* Every allocation of an open fails in turn: an error each time, and nothing leaks (asan). */
static void test_out_of_memory(void **state)
{
    fixture *f = *state;
    maker_shard(f->folder, "model.safetensors", &f->tensors, 7);
    write_config(f, NULL);
    for (uint64_t n = 1;; n++) {
        samp_error error = {0};
        samp_model *model;
        samp_alloc_fail_at(n);
        samp_status status = samp_model_open(&model, f->folder, &error);
        samp_alloc_fail_at(0);
        if (status == SAMP_OK) {
            samp_model_close(model);
            assert_true(n > 20);
            return;
        }
        if (status != SAMP_NOMEM)
            fail_msg("allocation %llu: %s", (unsigned long long)n, error.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roles_of_families),
        cmocka_unit_test_setup_teardown(test_order_and_lookup, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tied_head_is_the_embedding, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_head, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stored_as_two, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tensors_that_do_not_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_quantization_that_does_not_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_activation_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
