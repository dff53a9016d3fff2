/* config.json: what is read, and one clear sentence for each bad input (research/serving.md 6.4,
 * 41). */
#include "support/cmocka_all.h"

#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char GOOD[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 576, \"intermediate_size\": 1536,"
    " \"num_hidden_layers\": 30, \"num_attention_heads\": 9, \"num_key_value_heads\": 3,"
    " \"vocab_size\": 49152, \"max_position_embeddings\": 8192, \"rms_norm_eps\": 1e-05,"
    " \"rope_theta\": 100000, \"tie_word_embeddings\": true, \"bos_token_id\": 1,"
    " \"eos_token_id\": [2, 0], \"hidden_act\": \"silu\", \"torch_dtype\": \"bfloat16\"}";

/* GOOD with members replaced, or removed where the patch has null and `remove`. */
static json_t *patched(const char *patch)
{
    samp_error error;
    json_t *root, *changes;
    assert_int_equal(samp_json_parse(&root, GOOD, sizeof GOOD - 1, "good", &error), SAMP_OK);
    if (samp_json_parse(&changes, patch, strlen(patch), "patch", &error) != SAMP_OK)
        fail_msg("%s: %s", patch, error.message);
    const char *key;
    json_t *value;
    json_object_foreach(changes, key, value)
    {
        if (json_is_string(value) && strcmp(json_string_value(value), "(absent)") == 0)
            json_object_del(root, key);
        else
            json_object_set(root, key, value);
    }
    json_decref(changes);
    return root;
}

static void parse(const char *patch, samp_config *config)
{
    samp_error error = {0};
    json_t *root = patched(patch);
    if (samp_config_parse(config, root, "config.json", &error) != SAMP_OK)
        fail_msg("%s: %s", patch, error.message);
    json_decref(root);
}

static void test_values(void **state)
{
    (void)state;
    samp_config c;
    parse("{}", &c);
    assert_string_equal(c.architecture, "LlamaForCausalLM");
    assert_int_equal(c.n_layers, 30);
    assert_int_equal(c.dim, 576);
    assert_int_equal(c.hidden_dim, 1536);
    assert_int_equal(c.n_heads, 9);
    assert_int_equal(c.n_kv_heads, 3);
    assert_int_equal(c.head_dim, 64);
    assert_int_equal(c.vocab_size, 49152);
    assert_int_equal(c.max_positions, 8192);
    assert_true(c.rms_norm_eps == 1e-5f);
    assert_true(c.rope_theta == 100000);
    assert_int_equal(c.rope_scaling, SAMP_ROPE_NONE);
    assert_true(c.tied_embeddings);
    assert_int_equal(c.bos_token, 1);
    assert_int_equal(c.n_eos_tokens, 2);
    assert_int_equal(c.eos_tokens[0], 2);
    assert_int_equal(c.eos_tokens[1], 0);
}

static void test_defaults(void **state)
{
    (void)state;
    samp_config c;
    parse("{\"num_key_value_heads\": \"(absent)\", \"rms_norm_eps\": \"(absent)\","
          " \"rope_theta\": \"(absent)\", \"tie_word_embeddings\": \"(absent)\","
          " \"bos_token_id\": null, \"eos_token_id\": null, \"hidden_act\": \"(absent)\"}",
          &c);
    assert_int_equal(c.n_kv_heads, 9);
    assert_true(c.rms_norm_eps == 1e-6f);
    assert_true(c.rope_theta == 10000);
    assert_false(c.tied_embeddings);
    assert_int_equal(c.bos_token, -1);
    assert_int_equal(c.n_eos_tokens, 0);
    parse("{\"eos_token_id\": 7, \"head_dim\": 128}", &c);
    assert_int_equal(c.n_eos_tokens, 1);
    assert_int_equal(c.eos_tokens[0], 7);
    assert_int_equal(c.head_dim, 128);
    parse("{\"architectures\": [\"MistralForCausalLM\"], \"sliding_window\": null}", &c);
    assert_string_equal(c.architecture, "MistralForCausalLM");
}

#define LLAMA3                                                                                     \
    "\"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0,"                        \
    " \"original_max_position_embeddings\": 8192"

static void test_rope_spellings(void **state)
{
    (void)state;
    samp_config c;
    parse("{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.5}}", &c);
    assert_int_equal(c.rope_scaling, SAMP_ROPE_LINEAR);
    assert_true(c.rope_factor == 2.5);
    parse("{\"rope_scaling\": {\"rope_type\": \"default\"}}", &c);
    assert_int_equal(c.rope_scaling, SAMP_ROPE_NONE);
    static const char *const spellings[] = {
        "{\"rope_scaling\": {\"rope_type\": \"llama3\", " LLAMA3 "}}",
        "{\"rope_scaling\": {\"type\": \"llama3\", " LLAMA3 "}}",
        "{\"rope_theta\": \"(absent)\","
        " \"rope_parameters\": {\"rope_type\": \"llama3\", \"rope_theta\": 100000, " LLAMA3 "}}"};
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        parse(spellings[i], &c);
        assert_int_equal(c.rope_scaling, SAMP_ROPE_LLAMA3);
        assert_true(c.rope_factor == 8 && c.rope_low_freq_factor == 1);
        assert_true(c.rope_high_freq_factor == 4 && c.rope_original_positions == 8192);
        assert_true(c.rope_theta == 100000);
    }
}

/* Against the formula written out for one frequency of each kind (Llama 3.1's numbers). */
static void test_rope_frequencies(void **state)
{
    (void)state;
    samp_config c;
    double f[64], plain[64];
    parse("{\"head_dim\": 128, \"rope_theta\": 500000}", &c);
    samp_rope_frequencies(&c, plain);
    assert_true(plain[0] == 1);
    assert_true(fabs(plain[32] - 1 / sqrt(500000.0)) < 1e-15);
    parse("{\"head_dim\": 128, \"rope_theta\": 500000,"
          " \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 4}}",
          &c);
    samp_rope_frequencies(&c, f);
    for (int i = 0; i < 64; i++) assert_true(fabs(f[i] - plain[i] / 4) < 1e-18);
    parse("{\"head_dim\": 128, \"rope_theta\": 500000, \"rope_scaling\": {\"rope_type\": "
          "\"llama3\", " LLAMA3 "}}",
          &c);
    samp_rope_frequencies(&c, f);
    assert_true(f[0] == plain[0]);
    assert_true(f[63] == plain[63] / 8);
    int blended = 0;
    for (int i = 0; i < 64; i++) {
        double wavelength = 2 * 3.14159265358979323846 / plain[i];
        if (wavelength < 8192 / 4.0 || wavelength > 8192) continue;
        double smooth = (8192 / wavelength - 1) / 3;
        double expected = (1 - smooth) * plain[i] / 8 + smooth * plain[i];
        assert_true(fabs(f[i] - expected) < 1e-15);
        blended++;
    }
    assert_true(blended > 3);
}

#define QWEN2   "{\"architectures\": [\"Qwen2ForCausalLM\"], "
#define QWEN3   "{\"architectures\": [\"Qwen3ForCausalLM\"], "
#define SMOLLM3 "{\"architectures\": [\"SmolLM3ForCausalLM\"], "
#define WINDOW  "\"use_sliding_window\": true, \"sliding_window\": 16"

/* Layers with a window, and layers without rope, as bit i of layer i. */
static void expect_layers(const char *patch, uint32_t window, uint32_t windows, uint32_t no_rope)
{
    samp_config c;
    parse(patch, &c);
    for (uint32_t i = 0; i < c.n_layers; i++)
        if (samp_layer_window(&c, i) != (windows >> i & 1 ? window : 0) ||
            samp_layer_has_rope(&c, i) != !(no_rope >> i & 1))
            fail_msg("%s: layer %u has window %u, rope %d", patch, i, samp_layer_window(&c, i),
                     samp_layer_has_rope(&c, i));
}

/* The traps of published files: windows that are switched off, or begin at a layer past the last. */
static void test_layers(void **state)
{
    (void)state;
    const uint32_t all = (1u << 30) - 1, every_fourth = 0x8888888;
    expect_layers("{\"sliding_window\": 16}", 0, 0, 0); /* Llama's class does not read it */
    expect_layers("{\"architectures\": [\"MistralForCausalLM\"], \"sliding_window\": null}", 0, 0,
                  0);
    expect_layers("{\"architectures\": [\"MistralForCausalLM\"]}", 4096, all, 0);
    expect_layers("{\"architectures\": [\"MistralForCausalLM\"], \"sliding_window\": 16}", 16, all,
                  0);
    expect_layers(QWEN2 "\"sliding_window\": 16, \"max_window_layers\": 0}", 0, 0, 0);
    expect_layers(QWEN2 "\"use_sliding_window\": false, \"sliding_window\": 16,"
                        " \"max_window_layers\": 0}",
                  0, 0, 0);
    expect_layers(QWEN2 WINDOW ", \"max_window_layers\": 30}", 0, 0, 0);
    expect_layers(QWEN2 WINDOW ", \"max_window_layers\": 2}", 16, all & ~3u, 0);
    expect_layers(QWEN3 WINDOW "}", 16, all & ~((1u << 28) - 1), 0);
    expect_layers(QWEN3 WINDOW ", \"num_hidden_layers\": 2, \"max_window_layers\": 0,"
                               " \"layer_types\": [\"sliding_attention\", \"full_attention\"]}",
                  16, 1, 0);
    expect_layers(SMOLLM3 "\"num_hidden_layers\": 30}", 0, 0, every_fourth);
    expect_layers(SMOLLM3 "\"no_rope_layer_interval\": 31}", 0, 0, 0);
    expect_layers(SMOLLM3 "\"num_hidden_layers\": 3, \"no_rope_layers\": [0, 1, 0]}", 0, 0, 5);
    expect_layers(SMOLLM3 WINDOW "}", 16, every_fourth, every_fourth);
}

/* Members that are missing have the values of the family's class in transformers. */
static void test_family_defaults(void **state)
{
    (void)state;
    samp_config c;
    parse(QWEN2 "\"tie_word_embeddings\": \"(absent)\", \"head_dim\": null}", &c);
    assert_true(c.qkv_bias && !c.qk_norm && !c.tied_embeddings);
    assert_int_equal(c.head_dim, 64);
    parse(QWEN3 "\"rope_theta\": \"(absent)\"}", &c);
    assert_true(!c.qkv_bias && c.qk_norm && c.rope_theta == 10000);
    assert_int_equal(c.head_dim, 128);
    parse(SMOLLM3 "\"tie_word_embeddings\": \"(absent)\", \"rope_theta\": \"(absent)\","
                  " \"num_attention_heads\": 12, \"num_key_value_heads\": \"(absent)\"}",
          &c);
    assert_true(!c.qkv_bias && !c.qk_norm && c.tied_embeddings && c.rope_theta == 2e6);
    assert_int_equal(c.n_kv_heads, 4);
    parse("{\"architectures\": [\"MistralForCausalLM\"], \"num_attention_heads\": 16,"
          " \"num_key_value_heads\": \"(absent)\"}",
          &c);
    assert_int_equal(c.n_kv_heads, 8);
    parse("{\"architectures\": [\"MistralForCausalLM\"], \"num_key_value_heads\": null}", &c);
    assert_int_equal(c.n_kv_heads, 9);
}

/* Qwen's model cards: a context four times as long. Frequencies against transformers 5.23.0. */
static void test_yarn(void **state)
{
    (void)state;
    samp_config c;
    parse(QWEN2 "\"rope_theta\": 1000000, \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4,"
                " \"original_max_position_embeddings\": 32768}}",
          &c);
    assert_int_equal(c.rope_scaling, SAMP_ROPE_YARN);
    assert_int_equal(c.max_positions, 131072);
    assert_true(fabs(samp_rope_magnitude(&c) - 1.1386294361119891) < 1e-15);
    double f[32];
    samp_rope_frequencies(&c, f);
    assert_true(f[0] == 1 && f[31] == pow(1e6, -62 / 64.0) / 4);
    parse(QWEN2 "\"rope_parameters\": {\"rope_type\": \"yarn\", \"factor\": 2, \"beta_fast\": 20,"
                " \"beta_slow\": 2, \"attention_factor\": 1.5, \"truncate\": false}}",
          &c);
    assert_int_equal(c.max_positions, 16384);
    assert_int_equal(c.rope_original_positions, 8192);
    assert_true(samp_rope_magnitude(&c) == 1.5 && !c.rope_truncate && c.rope_beta_fast == 20);
}

/* A family whose generation_config.json names more ends of text than its config.json. */
static void test_generation_config(void **state)
{
    (void)state;
    char folder[] = "/tmp/samp-config-XXXXXX", path[2][64];
    static const char *const names[] = {"config.json", "generation_config.json"};
    const char *texts[] = {GOOD, "{\"eos_token_id\": [151645, 5, 6], \"bos_token_id\": 9}"};
    samp_error error;
    samp_config config;
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < 2; i++) {
        snprintf(path[i], sizeof path[i], "%s/%s", folder, names[i]);
        FILE *file = fopen(path[i], "w");
        fputs(texts[i], file);
        fclose(file);
    }
    assert_int_equal(samp_config_load(&config, folder, NULL, &error), SAMP_CORRUPT);
    assert_non_null(strstr(error.message, "generation_config.json"));
    FILE *file = fopen(path[1], "w");
    fputs("{\"eos_token_id\": [4, 5, 6], \"bos_token_id\": 9}", file);
    fclose(file);
    assert_int_equal(samp_config_load(&config, folder, NULL, &error), SAMP_OK);
    assert_int_equal(config.n_eos_tokens, 3);
    assert_int_equal(config.eos_tokens[2], 6);
    assert_int_equal(config.bos_token, 1);
    for (int i = 0; i < 2; i++) unlink(path[i]);
    rmdir(folder);
}

typedef struct bad_config {
    const char *patch, *words; /* the message must have these */
} bad_config;

static const bad_config BAD[] = {
    {"{\"architectures\": \"(absent)\"}", "architectures"},
    {"{\"architectures\": [7]}", "architectures"},
    {"{\"architectures\": [\"GPT2LMHeadModel\"]}", "GPT2LMHeadModel"},
    {"{\"architectures\": [\"GPT2LMHeadModel\"]}", "supported are LlamaForCausalLM"},
    {"{\"hidden_size\": \"(absent)\"}", "\"hidden_size\" is missing"},
    {"{\"hidden_size\": 0}", "\"hidden_size\" is 0, expected 1 to 1048576"},
    {"{\"hidden_size\": -1}", "\"hidden_size\" is -1"},
    {"{\"hidden_size\": 2147483648}", "\"hidden_size\" is 2147483648"},
    {"{\"hidden_size\": 576.0}", "\"hidden_size\" is not an integer"},
    {"{\"hidden_size\": \"576\"}", "\"hidden_size\" is not an integer"},
    {"{\"hidden_size\": 575}", "not a multiple of \"num_attention_heads\""},
    {"{\"intermediate_size\": 0}", "intermediate_size"},
    {"{\"num_hidden_layers\": 1025}", "expected 1 to 1024"},
    {"{\"num_attention_heads\": 0}", "num_attention_heads"},
    {"{\"num_key_value_heads\": 2}", "not a multiple of \"num_key_value_heads\" 2"},
    {"{\"num_key_value_heads\": 18}", "\"num_key_value_heads\" is 18, expected 1 to 9"},
    {"{\"num_key_value_heads\": 0}", "num_key_value_heads"},
    {"{\"head_dim\": 63}", "even number"},
    {"{\"head_dim\": 4096}", "head_dim"},
    {"{\"hidden_size\": 9, \"num_attention_heads\": 9}", "a head has 1 dimensions"},
    {"{\"num_attention_heads\": 16384, \"num_key_value_heads\": 1, \"head_dim\": 1024}", "wider"},
    {"{\"vocab_size\": 0}", "vocab_size"},
    {"{\"vocab_size\": 4194305}", "vocab_size"},
    {"{\"max_position_embeddings\": 0}", "max_position_embeddings"},
    {"{\"rms_norm_eps\": 0}", "rms_norm_eps"},
    {"{\"rms_norm_eps\": \"1e-5\"}", "rms_norm_eps"},
    {"{\"rope_theta\": 0}", "rope_theta"},
    {"{\"rope_theta\": -1e4}", "rope_theta"},
    {"{\"tie_word_embeddings\": 1}", "tie_word_embeddings"},
    {"{\"hidden_act\": \"gelu\"}", "only \"silu\""},
    {"{\"attention_bias\": true}", "attention_bias"},
    {"{\"mlp_bias\": true}", "mlp_bias"},
    {"{\"partial_rotary_factor\": 0.5}", "partial_rotary_factor"},
    {"{\"bos_token_id\": 49152}", "\"bos_token_id\" is 49152, expected 0 to 49151"},
    {"{\"bos_token_id\": \"<s>\"}", "bos_token_id"},
    {"{\"eos_token_id\": -1}", "eos_token_id"},
    {"{\"eos_token_id\": \"2\"}", "eos_token_id"},
    {"{\"eos_token_id\": [2, \"3\"]}", "eos_token_id"},
    {"{\"eos_token_id\": [1,2,3,4,5,6,7,8,9]}", "at most 8"},
    {"{\"rope_scaling\": 8}", "neither an object nor null"},
    {"{\"rope_scaling\": {\"rope_type\": \"dynamic\", \"factor\": 4}}", "\"dynamic\""},
    {"{\"rope_scaling\": {\"rope_type\": \"yarn\"}}", "\"factor\" is missing"},
    {"{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4, \"mscale\": 1}}", "\"mscale\""},
    {"{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4, \"beta_fast\": 0}}", "beta_fast"},
    {"{\"rope_parameters\": {\"partial_rotary_factor\": 0.5}}", "partial_rotary_factor"},
    {"{\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"default\"}}}", "full_attention"},
    {"{\"architectures\": [\"MistralForCausalLM\"], \"sliding_window\": 0}", "sliding_window"},
    {"{\"architectures\": [\"Qwen2ForCausalLM\"], \"num_key_value_heads\": \"(absent)\"}",
     "num_key_value_heads"},
    {QWEN3 "\"attention_bias\": true}", "attention_bias"},
    {QWEN3 "\"use_sliding_window\": 1}", "use_sliding_window"},
    {QWEN3 WINDOW ", \"layer_types\": [\"full_attention\"]}", "each of 30 layers"},
    {QWEN3 WINDOW ", \"num_hidden_layers\": 1, \"layer_types\": [\"chunked_attention\"]}",
     "\"chunked_attention\" for layer 0"},
    {QWEN3 WINDOW ", \"num_hidden_layers\": 1, \"layer_types\": [4]}", "(no text)"},
    {SMOLLM3 "\"no_rope_layers\": [1, 1]}", "each of 30 layers"},
    {SMOLLM3 "\"num_hidden_layers\": 2, \"no_rope_layers\": [1, 2]}", "neither 0 nor 1"},
    {SMOLLM3 "\"no_rope_layer_interval\": 0}", "no_rope_layer_interval"},
    {"{\"rope_scaling\": {\"rope_type\": \"linear\"}}", "\"factor\" is missing"},
    {"{\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 0}}", "factor"},
    {"{\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8}}", "low_freq_factor"},
    {"{\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4,"
     " \"high_freq_factor\": 4, \"original_max_position_embeddings\": 8192}}",
     "less than \"high_freq_factor\""},
    {"{\"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": -1}}", "rope_parameters"},
};

static void test_bad_inputs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        samp_error error = {0};
        samp_config config;
        json_t *root = patched(BAD[i].patch);
        assert_int_not_equal(samp_config_parse(&config, root, "config.json", &error), SAMP_OK);
        if (!strstr(error.message, BAD[i].words) || !strstr(error.message, "config.json"))
            fail_msg("%s gave \"%s\", which lacks \"%s\"", BAD[i].patch, error.message,
                     BAD[i].words);
        json_decref(root);
    }
}

static void test_not_json(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{", "[]", "{\"a\": NaN}", "{\"a\": 1, \"a\": 1}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        samp_error error = {0};
        samp_config config;
        json_t *root = NULL;
        samp_status status =
            samp_json_parse(&root, texts[i], strlen(texts[i]), "config.json", &error);
        if (status == SAMP_OK) status = samp_config_parse(&config, root, "config.json", &error);
        assert_int_equal(status, SAMP_CORRUPT);
        json_decref(root);
    }
    samp_error error;
    samp_config config;
    assert_int_equal(samp_config_load(&config, "/nonexistent/folder", NULL, &error),
                     SAMP_NOT_FOUND);
}

/* At most 10 MB are read. */
static void test_too_large(void **state)
{
    (void)state;
    char folder[] = "/tmp/samp-config-XXXXXX", path[64];
    static const char spaces[1 << 16];
    samp_error error;
    samp_config config;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/config.json", folder);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 161; i++)
        assert_int_equal(fwrite(spaces, 1, sizeof spaces, file), sizeof spaces);
    fclose(file);
    assert_int_equal(samp_config_load(&config, folder, NULL, &error), SAMP_LIMIT);
    unlink(path);
    rmdir(folder);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const char *const patches[] = {
        "{}",
        "{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}, \"eos_token_id\": 3}",
        "{\"rope_scaling\": {\"rope_type\": \"llama3\", " LLAMA3 "}, \"bos_token_id\": null,"
        " \"eos_token_id\": null, \"tie_word_embeddings\": false}",
        "{\"architectures\": [\"MistralForCausalLM\"]}",
        "{\"architectures\": [\"MistralForCausalLM\"], \"sliding_window\": null}",
        QWEN2 WINDOW ", \"max_window_layers\": 3, \"rope_scaling\": {\"type\": \"yarn\","
                     " \"factor\": 4, \"original_max_position_embeddings\": 4096}}",
        QWEN3 "\"tie_word_embeddings\": false}",
        SMOLLM3 WINDOW "}",
        SMOLLM3 "\"no_rope_layer_interval\": 2}"};
    for (size_t i = 0; i < sizeof patches / sizeof *patches; i++) {
        samp_error error;
        samp_config a, b;
        parse(patches[i], &a);
        json_t *json = samp_config_json(&a, "float16");
        assert_non_null(json);
        assert_int_equal(samp_config_parse(&b, json, "again", &error), SAMP_OK);
        assert_memory_equal(&a, &b, sizeof a);
        assert_true(json_real_value(json_object_get(json, "rms_norm_eps")) == 1e-5);
        json_decref(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),         cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_rope_spellings), cmocka_unit_test(test_rope_frequencies),
        cmocka_unit_test(test_bad_inputs),     cmocka_unit_test(test_not_json),
        cmocka_unit_test(test_too_large),      cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_layers),         cmocka_unit_test(test_family_defaults),
        cmocka_unit_test(test_yarn),           cmocka_unit_test(test_generation_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
