/* The bad inputs 1 to 50 of research/serving.md §6.4, one test each: the program as a stranger runs
 * it meets every variant of a number. `samp validate --deep` must print the finding and exit with
 * the code of the row; the command that uses the model (quantize for 16-bit models, generate for
 * artifacts, chat where a row says so) must exit with its code, say the words, print no byte that a
 * terminal obeys, end within a minute and without a signal; the input must be as it was, and what
 * stood at quantize's --out, if quantize did not succeed.
 *
 * 44's zero points: no format here has any, and compressed-tensors' are of a type they fill. 46's
 * ten gigabytes are ten kilobytes: values are read panel by panel all the same. */
#include "command/bad_inputs.h"

#include "file/headers.h"

#include <math.h>

typedef enum user { USE, CHAT } user;

typedef struct bad_input {
    int number;
    const char *what;
    world_base base;
    void (*make)(void);
    const char *finding; /* NULL: validate has nothing to say */
    int validate, use;   /* exit codes */
    const char *says;    /* by the command that uses the model */
    user user;
} bad_input;

enum { DONE = 0, NO = 1, ERROR = 2 };

/* ---- 1 – 8, 13, 28, 31 – 34: files ----------------------------------------------------------- */

static void empty_file(void) { put_text(SINGLE, ""); }
static void seven_bytes(void) { put_text(SINGLE, "\2\1\1\1\1\1\1"); }
static void length_0(void) { put_safetensors(0, "{}", 2, 0); }
static void length_1(void) { put_safetensors(1, "{", 1, 0); }
static void length_past_limit(void) { put_safetensors(100000001, "{}", 2, 0); }
static void length_2_63(void) { put_safetensors(1ull << 63, "{}", 2, 0); }
static void length_wraps(void) { put_safetensors(UINT64_MAX, "{}", 2, 0); }
static void length_past_end(void) { put_safetensors(3, "{}", 2, 0); }

static void nested_arrays(void)
{
    samp_buffer text = {0};
    samp_buffer_text(&text, "{\"a\":{\"x\":");
    for (int i = 0; i < 100000; i++) samp_buffer_text(&text, "[");
    put_safetensors(text.length, text.data, text.length, 0);
    samp_buffer_release(&text);
}

static void zip_behind(void)
{
    int fd = open(in_work(SINGLE), O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "PK\3\4 and an archive", 19), 19);
    close(fd);
}

static void million_tensors(void)
{
    samp_buffer text = {0};
    samp_buffer_text(&text, "{");
    for (int i = 0; i <= 1000000; i++)
        samp_buffer_printf(&text, "%s\"%d\":" TENSOR("U8", "[0]", 0, 0), i ? "," : "", i);
    samp_buffer_text(&text, "}");
    put_safetensors(text.length, text.data, text.length, 0);
    samp_buffer_release(&text);
}

static void long_name(void)
{
    samp_buffer text = {0};
    samp_buffer_text(&text, "{\"");
    for (int i = 0; i < 1 << 20; i++) samp_buffer_text(&text, "n");
    samp_buffer_text(&text, "\":" TENSOR("U8", "[1]", 0, 1) "}");
    put_safetensors(text.length, text.data, text.length, 1);
    samp_buffer_release(&text);
}

static void add_tensor(maker_tensors *tensors, const char *name)
{
    tensors->specs[tensors->n++] =
        (samp_tensor_spec){.name = name, .dtype = SAMP_U8, .rank = 1, .shape = {4}};
}

static void name_a_path(maker_tensors *tensors) { add_tensor(tensors, "../../etc/passwd"); }
static void name_proto(maker_tensors *tensors) { add_tensor(tensors, "__proto__"); }
static void path_as_name(void) { put_model(name_a_path); }
static void proto_as_name(void) { put_model(name_proto); }

static void instead_of_shard(void) { assert_int_equal(unlink(in_work(SHARD2)), 0); }

static void shard_is_pipe(void)
{
    instead_of_shard();
    assert_int_equal(mkfifo(in_work(SHARD2), 0600), 0);
}
static void shard_is_folder(void)
{
    instead_of_shard();
    assert_int_equal(mkdir(in_work(SHARD2), 0700), 0);
}
static void shard_link(const char *target)
{
    instead_of_shard();
    assert_int_equal(symlink(target, in_work(SHARD2)), 0);
}
static void shard_is_device(void) { shard_link("/dev/zero"); }
static void shard_loops(void) { shard_link(SHARD2); }
static void shard_in_cache(void) { shard_link(in_root("sharded/" SHARD2)); }
static void config_is_pipe(void)
{
    assert_int_equal(unlink(in_work("config.json")), 0);
    assert_int_equal(mkfifo(in_work("config.json"), 0600), 0);
}

/* ---- 35 – 42: index and config --------------------------------------------------------------- */

static void index_to(const char *shard)
{
    json_t *index = load_json(INDEX);
    json_object_set_new(json_object_get(index, "weight_map"), "model.norm.weight",
                        json_string(shard));
    maker_json(work, INDEX, index);
}
static void index_leaves_folder(void) { index_to("../../etc/passwd"); }
static void index_absolute(void) { index_to("/etc/passwd"); }
static void index_wrong_total(void) { index_to("model-00002-of-00003.safetensors"); }
static void shard_missing(void) { instead_of_shard(); }
static void shard_extra(void) { put_text("model-00003-of-00003.safetensors", "left over"); }

static void index_names_more(void)
{
    json_t *index = load_json(INDEX);
    json_object_set_new(json_object_get(index, "weight_map"), "model.more.weight",
                        json_string(SHARD1));
    maker_json(work, INDEX, index);
}

static void tensor_in_two_shards(void)
{
    samp_config config = maker_config(WORLD_SHAPE);
    maker_tensors tensors = maker_tensors_of(&config);
    maker_shard(work, SHARD2, &tensors, 1); /* all, those of the first shard too */
    maker_tensors_release(&tensors);
}

static void total_size(void)
{
    replace(INDEX, "\"metadata\": {}", "\"metadata\": {\"total_size\": 7}");
}

static void index_gap(void)
{
    json_t *index = load_json(INDEX), *map = json_object_get(index, "weight_map"), *shard;
    const char *tensor;
    void *next;
    json_object_foreach_safe(map, next, tensor, shard)
    {
        if (strcmp(json_string_value(shard), SHARD1) == 0) json_object_del(map, tensor);
    }
    maker_json(work, INDEX, index);
}

static void shard_empty(void) { put_text(SHARD2, ""); }
static void shard_pointer(void)
{
    put_text(SHARD2, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n");
}
static void shard_zeros(void) { put_bytes(SHARD2, (char[4096]){0}, 4096); }

static void config_large(void)
{
    assert_int_equal(truncate(in_work("config.json"), (10 << 20) + 1), 0);
}
static void config_deep(void)
{
    samp_buffer text = {0};
    for (int i = 0; i < 100000; i++) samp_buffer_text(&text, "{\"a\":");
    put_bytes("config.json", text.data, text.length);
    samp_buffer_release(&text);
}
static void hidden_0(void) { config_set("hidden_size", json_integer(0)); }
static void hidden_negative(void) { config_set("hidden_size", json_integer(-1)); }
static void hidden_2_31(void) { config_set("hidden_size", json_integer(1ll << 31)); }
static void heads_uneven(void)
{
    json_t *config = load_json("config.json");
    json_object_del(config, "head_dim");
    json_object_set_new(config, "num_attention_heads", json_integer(3));
    maker_json(work, "config.json", config);
}
static void kv_heads_more(void) { config_set("num_key_value_heads", json_integer(4)); }
static void vocab_other(void) { config_set("vocab_size", json_integer(161)); }
static void theta_nan(void)
{
    replace("config.json", "\"rope_theta\": 10000.0", "\"rope_theta\": NaN");
}
static void theta_huge(void)
{
    replace("config.json", "\"rope_theta\": 10000.0", "\"rope_theta\": 1e999");
}
static void eos_list(void) { config_set("eos_token_id", json_pack("[i, i]", 2, 1)); }
static void eos_text(void) { config_set("eos_token_id", json_string("</s>")); }
static void eos_outside(void) { config_set("eos_token_id", json_integer(160)); }

static void quantization_lost(void)
{
    json_t *config = load_json("config.json");
    json_object_del(config, "quantization_config");
    maker_json(work, "config.json", config);
}
static void method_unknown(void) { quantization_set("quant_method", json_string("snake-oil")); }
static void bits_disagree(void) { replace("config.json", "\"num_bits\": 4", "\"num_bits\": 3"); }
static void group_uneven(void)
{
    replace("config.json", "\"group_size\": 32", "\"group_size\": 48");
}
static void ignore_slow(void)
{
    quantization_set("ignore", json_pack("[s, s]", "lm_head", "re:(a+)+(a+)+(a+)+$"));
}

/* ---- 43 – 48: values ------------------------------------------------------------------------- */

#define FP8  "model.layers.0.self_attn.q_proj.weight"
#define NF4  "model.layers.0.mlp.up_proj.weight"
#define NORM "model.norm.weight"
#define HEAD "lm_head.weight"

static void scale_is(float value) { overwrite(FP8 "_scale", 0, &value, sizeof value); }
static void scale_0(void) { scale_is(0); }
static void scale_negative(void) { scale_is(-0.01f); }
static void scale_nan(void) { scale_is(NAN); }
static void scale_infinite(void) { scale_is(INFINITY); }
static void scale_subnormal(void) { scale_is(1e-40f); }
static void scale_large(void) { scale_is(65504); }
static void bf16_is(const char *tensor, float value)
{
    uint16_t bits = samp_float_to_bf16(value);
    overwrite(tensor, 2 * 70, &bits, sizeof bits);
}
static void head_large(void) { bf16_is(HEAD, 70000); }
static void weight_nan(void) { bf16_is("model.layers.0.mlp.up_proj.weight", NAN); }
static void weight_infinite(void) { bf16_is("model.layers.0.mlp.up_proj.weight", INFINITY); }

/* An int8 artifact, whose codes can then be damaged. */
static void make_int8(void)
{
    samp_error error;
    samp_quantize_options options = {.recipe = "int8", .n_threads = 1, .force = true};
    maker_must(samp_quantize(in_root("single"), work, &options, NULL, &error), &error);
}
static void code_low(void)
{
    make_int8();
    overwrite(FP8, 100, "\x80", 1);
}
static void codes_clipped(void)
{
    char codes[1024];
    memset(codes, 127, sizeof codes);
    make_int8();
    overwrite(FP8, 0, codes, sizeof codes);
}
static void row_zero(void) { overwrite(HEAD, 0, (char[128]){0}, 128); }
static void bit_flipped(void) { overwrite(NF4, 7, "\x12", 1); }

static void scale_transposed(void)
{
    replace(SINGLE, "\"F32\",\"shape\":[64,1]", "\"F32\",\"shape\":[1,64]");
}
static void names_permuted(void) /* gate's scales for up and the other way round */
{
    replace(SINGLE, "gate_proj.weight.absmax\"", "xxxx_proj.weight.absmax\"");
    replace(SINGLE, "up_proj.weight.absmax\"", "gate_proj.weight.absmax\"");
    replace(SINGLE, "xxxx_proj.weight.absmax\"", "up_proj.weight.absmax\"");
}
static void head_missing(void) { replace(SINGLE, "\"lm_head.weight\"", "\"lm_head.weighd\""); }
static void head_twice(void) { config_set("tie_word_embeddings", json_true()); }

/* ---- 49, 50: tokenizer and code -------------------------------------------------------------- */

static void no_tokenizer(void) { assert_int_equal(unlink(in_work("tokenizer.json")), 0); }
static void ids_twice(void) { replace("tokenizer.json", "\"b\": 1", "\"b\": 0"); }
static void merges_many(void) /* sparse: past the size that any tokenizer has */
{
    assert_int_equal(truncate(in_work("tokenizer.json"), (128 << 20) + 1), 0);
}
static void added_empty(void)
{
    replace("tokenizer.json", "\"added_tokens\": []",
            "\"added_tokens\": [{\"id\": 2, \"content\": \"\", \"special\": true}]");
}
static void template_range(void)
{
    put_text("chat_template.jinja", "{% for i in range(1000000000) %}{{ i }}{% endfor %}");
}
static void template_loops(void)
{
    put_text("chat_template.jinja", "{% for i in range(99999) %}{% for j in range(99999) %}"
                                    "{{ i }}{% endfor %}{% endfor %}");
}
static void pickle(void) { put_text("pytorch_model.bin", "\x80\2}q."); }
static void python_code(void)
{
    put_text("modeling_evil.py", "import os\n");
    config_set("auto_map", json_pack("{s:s}", "AutoModelForCausalLM", "modeling_evil.Evil"));
}

/* ---- the table ------------------------------------------------------------------------------- */

static const bad_input INPUTS[] = {
    {1, "an empty file", BASE_SINGLE, empty_file, "SAMP-SHD-005", NO, ERROR, "is 0 bytes", USE},
    {2, "seven bytes", BASE_SINGLE, seven_bytes, "SAMP-SHD-007", NO, ERROR, "is 7 bytes", USE},
    {3, "N = 0", BASE_SINGLE, length_0, "SAMP-SHD-007", NO, ERROR, "header length is 0", USE},
    {4, "N = 1", BASE_SINGLE, length_1, "SAMP-SHD-007", NO, ERROR, "JSON ends where", USE},
    {5, "N = 100000001", BASE_SINGLE, length_past_limit, "SAMP-SHD-007", NO, ERROR,
     "at most 100000000", USE},
    {6, "N = 2^63", BASE_SINGLE, length_2_63, "SAMP-SHD-007", NO, ERROR, "9223372036854775808",
     USE},
    {7, "N = 2^64-1", BASE_SINGLE, length_wraps, "SAMP-SHD-007", NO, ERROR, "18446744073709551615",
     USE},
    {8, "N past the end", BASE_SINGLE, length_past_end, "SAMP-SHD-007", NO, ERROR, "only 2", USE},
    /* 9 – 12, 14 – 27, 29, 30, and some of 28 and 32: bad_headers of file/headers.h */
    {13, "100,000 nested arrays", BASE_SINGLE, nested_arrays, "SAMP-SHD-007", NO, ERROR,
     "nested deeper", USE},
    {28, "an archive behind the data", BASE_SINGLE, zip_behind, "SAMP-SHD-007", NO, ERROR,
     "19 bytes follow the last tensor's data", USE},
    {31, "more than a million tensors", BASE_SINGLE, million_tensors, "SAMP-SHD-007", NO, ERROR,
     "more than 1000000 tensors", USE},
    {32, "a name of a megabyte", BASE_SINGLE, long_name, "SAMP-SHD-007", NO, ERROR,
     "name is 1048576 bytes", USE},
    {32, "a path as name", BASE_SINGLE, path_as_name, "SAMP-TNS-002", NO, ERROR, "is no part of",
     USE},
    {32, "__proto__ as name", BASE_SINGLE, proto_as_name, "SAMP-TNS-002", NO, ERROR,
     "is no part of", USE},
    {34, "a pipe as shard", BASE_SHARDED, shard_is_pipe, "SAMP-DIR-003", NO, ERROR, "is a pipe",
     USE},
    {34, "a folder as shard", BASE_SHARDED, shard_is_folder, "SAMP-SHD-007", NO, ERROR,
     "is a folder", USE},
    {34, "a device as shard", BASE_SHARDED, shard_is_device, "SAMP-DIR-003", NO, ERROR,
     "is a device", USE},
    {34, "a link in a loop", BASE_SHARDED, shard_loops, "SAMP-DIR-003", NO, ERROR, "symbolic links",
     USE},
    {34, "a link out of the folder, as download caches make them", BASE_SHARDED, shard_in_cache,
     NULL, DONE, DONE, "", USE},
    {34, "a pipe as config.json", BASE_SINGLE, config_is_pipe, "SAMP-CFG-001", NO, ERROR,
     "is not a regular file", USE},
    {35, "an index that leaves the folder", BASE_SHARDED, index_leaves_folder, "SAMP-IDX-001", NO,
     ERROR, "in the same folder", USE},
    {35, "an absolute path", BASE_SHARDED, index_absolute, "SAMP-IDX-001", NO, ERROR,
     "in the same folder", USE},
    {36, "a missing shard", BASE_SHARDED, shard_missing, "SAMP-SHD-002", NO, ERROR, SHARD2, USE},
    {37, "a shard too many", BASE_SHARDED, shard_extra, "SAMP-SHD-003", NO, ERROR,
     "is not named in", USE},
    {38, "a tensor of the index in no shard", BASE_SHARDED, index_names_more, "SAMP-IDX-002", NO,
     ERROR, "no shard has it", USE},
    {38, "a tensor in two shards", BASE_SHARDED, tensor_in_two_shards, "SAMP-SHD-008", NO, ERROR,
     "is in two shards", USE},
    {39, "a wrong total_size", BASE_SHARDED, total_size, "SAMP-IDX-004", DONE, DONE, "", USE},
    {40, "a gap", BASE_SHARDED, index_gap, "SAMP-SHD-004", NO, ERROR, "the index has a gap", USE},
    {40, "two totals", BASE_SHARDED, index_wrong_total, "SAMP-SHD-004", NO, ERROR,
     "different totals", USE},
    {40, "a shard of no bytes", BASE_SHARDED, shard_empty, "SAMP-SHD-005", NO, ERROR, "is 0 bytes",
     USE},
    {40, "a Git LFS pointer", BASE_SHARDED, shard_pointer, "SAMP-SHD-006", NO, ERROR,
     "git lfs pull", USE},
    {40, "zeros instead of a header", BASE_SHARDED, shard_zeros, "SAMP-SHD-007", NO, ERROR,
     "starts with zeros", USE},
    {41, "a config past 10 MB", BASE_SINGLE, config_large, "SAMP-CFG-001", NO, ERROR, "at most",
     USE},
    {41, "a config nested 100,000 deep", BASE_SINGLE, config_deep, "SAMP-CFG-001", NO, ERROR,
     "not valid JSON", USE},
    {41, "hidden_size 0", BASE_SINGLE, hidden_0, "SAMP-CFG-002", NO, ERROR, "hidden_size", USE},
    {41, "hidden_size -1", BASE_SINGLE, hidden_negative, "SAMP-CFG-002", NO, ERROR, "hidden_size",
     USE},
    {41, "hidden_size 2^31", BASE_SINGLE, hidden_2_31, "SAMP-CFG-002", NO, ERROR, "hidden_size",
     USE},
    {41, "heads that do not divide", BASE_SINGLE, heads_uneven, "SAMP-CFG-002", NO, ERROR,
     "num_attention_heads", USE},
    {41, "more KV heads than heads", BASE_SINGLE, kv_heads_more, "SAMP-CFG-002", NO, ERROR,
     "num_key_value_heads", USE},
    {41, "another vocab_size", BASE_SINGLE, vocab_other, "SAMP-TNS-003", NO, ERROR,
     "model.embed_tokens.weight", USE},
    {41, "rope_theta NaN", BASE_SINGLE, theta_nan, "SAMP-CFG-001", NO, ERROR, "not valid JSON",
     USE},
    {41, "rope_theta 1e999", BASE_SINGLE, theta_huge, "SAMP-CFG-001", NO, ERROR, "not valid JSON",
     USE},
    {41, "a list of end tokens", BASE_SINGLE, eos_list, NULL, DONE, DONE, "", USE},
    {41, "a text as end token", BASE_SINGLE, eos_text, "SAMP-CFG-002", NO, ERROR, "eos_token_id",
     USE},
    {41, "an end token outside", BASE_SINGLE, eos_outside, "SAMP-CFG-002", NO, ERROR,
     "eos_token_id", USE},
    {42, "quantization_config lost", BASE_ARTIFACT, quantization_lost, "SAMP-CFG-006", NO, ERROR,
     "quantization_config", USE},
    {42, "an unknown quant_method", BASE_ARTIFACT, method_unknown, "SAMP-CFG-010", NO, ERROR,
     "snake-oil", USE},
    {42, "bits that do not fit", BASE_FOREIGN, bits_disagree, "SAMP-TNS-003", NO, ERROR,
     "compressed-tensors", USE},
    {42, "a group_size that does not divide", BASE_FOREIGN, group_uneven, "SAMP-CFG-003", NO, ERROR,
     "compressed-tensors", USE},
    {42, "an ignore of exponential time", BASE_FOREIGN, ignore_slow, "SAMP-CFG-009", DONE, ERROR,
     "compressed-tensors", USE},
    {43, "a scale of 0", BASE_ARTIFACT, scale_0, "SAMP-SCL-003", NO, DONE, "", USE},
    {43, "a negative scale", BASE_ARTIFACT, scale_negative, "SAMP-SCL-002", NO, ERROR, FP8, USE},
    {43, "a scale NaN", BASE_ARTIFACT, scale_nan, "SAMP-SCL-001", NO, ERROR, FP8, USE},
    {43, "an infinite scale", BASE_ARTIFACT, scale_infinite, "SAMP-SCL-001", NO, ERROR, FP8, USE},
    {43, "a subnormal scale", BASE_ARTIFACT, scale_subnormal, "SAMP-SCL-007", NO, DONE, "", USE},
    {43, "a scale that FP16 cannot hold", BASE_ARTIFACT, scale_large, "SAMP-SCL-006", NO, DONE, "",
     USE},
    {43, "bf16 past FP16", BASE_SINGLE, head_large, "SAMP-SCL-006", DONE, ERROR, HEAD, USE},
    {44, "the code -128", BASE_ARTIFACT, code_low, "SAMP-VAL-003", NO, DONE, "", USE},
    {44, "many clipped codes", BASE_ARTIFACT, codes_clipped, "SAMP-VAL-004", NO, DONE, "", USE},
    {45, "a row of zeros", BASE_SINGLE, row_zero, "SAMP-VAL-005", DONE, DONE, "", USE},
    {46, "one NaN", BASE_SINGLE, weight_nan, "SAMP-VAL-001", NO, ERROR, NF4, USE},
    {46, "one infinity", BASE_SINGLE, weight_infinite, "SAMP-VAL-001", NO, ERROR, NF4, USE},
    {47, "a flipped bit", BASE_ARTIFACT, bit_flipped, "SAMP-MAN-007", NO, DONE, "", USE},
    {48, "scales transposed", BASE_ARTIFACT, scale_transposed, "SAMP-TNS-003", NO, ERROR, "shape",
     USE},
    {48, "scales of another tensor", BASE_ARTIFACT, names_permuted, "SAMP-MAN-007", NO, DONE, "",
     USE},
    {48, "no head", BASE_SINGLE, head_missing, "SAMP-TNS-001", NO, ERROR, HEAD, USE},
    {48, "a head that should be tied", BASE_SINGLE, head_twice, "SAMP-TNS-006", DONE, DONE, "",
     USE},
    {49, "no tokenizer", BASE_ARTIFACT, no_tokenizer, "SAMP-TOK-001", NO, ERROR, "tokenizer", USE},
    {49, "an id twice", BASE_ARTIFACT, ids_twice, "SAMP-TOK-002", NO, ERROR, "tokenizer.json", USE},
    {49, "a tokenizer past 128 MB", BASE_ARTIFACT, merges_many, "SAMP-TOK-002", NO, ERROR,
     "at most", USE},
    {49, "an added token of no text", BASE_ARTIFACT, added_empty, "SAMP-TOK-002", NO, ERROR,
     "tokenizer.json", USE},
    {49, "a chat template with a range of 10^9", BASE_ARTIFACT, template_range, NULL, DONE, ERROR,
     "a range of more than 100000 numbers", CHAT},
    {49, "a chat template of 10^10 turns", BASE_ARTIFACT, template_loops, NULL, DONE, ERROR,
     "the chat template of", CHAT},
    {50, "a pickle", BASE_SINGLE, pickle, "SAMP-DIR-001", NO, DONE, "", USE},
    {50, "code of the model's own", BASE_SINGLE, python_code, "SAMP-CFG-007", DONE, DONE, "", USE},
};
enum { N_INPUTS = sizeof INPUTS / sizeof *INPUTS };

/* ---- a test ---------------------------------------------------------------------------------- */

/* The command that uses the model. */
static int use(const bad_input *input, samp_buffer *out)
{
    const char *const quantize[] = {"samp",          "quantize", work, "--recipe", "samp", "--out",
                                    in_root("kept"), "--force",  "-t", "1",        NULL};
    const char *const generate[] = {"samp", "generate", work, "-p", "abc",
                                    "-n",   "2",        "-t", "1",  NULL};
    const char *const chat[] = {"samp", "chat", work, "-t", "1", NULL};
    if (input->user == CHAT) return run_samp(chat, "a\n", out);
    bool plain = input->base == BASE_SINGLE || input->base == BASE_SHARDED;
    return run_samp(plain ? quantize : generate, "", out);
}

static void expect_code(const char *what, int code, int expected, const samp_buffer *out)
{
    if (code != expected)
        fail_msg("%s: exit %d, expected %d: %s", what, code, expected, out->data ? out->data : "");
}

static void meet(const bad_input *input)
{
    char what[256];
    samp_buffer out = {0};
    const char *const validate[] = {"samp", "validate", "--deep", work, NULL};
    samp_buffer before = snapshot(work), kept = snapshot(in_root("kept"));
    snprintf(what, sizeof what, "%d, %s, validate", input->number, input->what);
    int code = run_samp(validate, "", &out);
    expect_code(what, code, input->validate, &out);
    expect_text(what, &out, input->finding ? input->finding : "0 errors, 0 warnings");
    snprintf(what, sizeof what, "%d, %s, use", input->number, input->what);
    code = use(input, &out);
    expect_code(what, code, input->use, &out);
    expect_text(what, &out, input->says);
    samp_buffer after = snapshot(work), kept_after = snapshot(in_root("kept"));
    assert_string_equal(after.data, before.data);
    if (code != DONE) assert_string_equal(kept_after.data, kept.data);
    samp_buffer_release(&before);
    samp_buffer_release(&kept);
    samp_buffer_release(&after);
    samp_buffer_release(&kept_after);
    samp_buffer_release(&out);
}

static void meet_header(const header_case *header)
{
    bad_input input = {header->number, header->text, BASE_SINGLE, NULL, "SAMP-SHD-007", NO,
                       ERROR,          header->says, USE};
    copy_folder(in_root(BASE_NAMES[BASE_SINGLE]), work);
    put_safetensors(strlen(header->text), header->text, strlen(header->text), header->data_bytes);
    meet(&input);
}

/* 33: the file is cut while it is open, which no command line can time. */
static void shrink_while_open(void)
{
    samp_error error = {0};
    samp_model *model;
    void *parts[SAMP_PARTS_MAX] = {0};
    copy_folder(in_root(BASE_NAMES[BASE_SINGLE]), work);
    maker_must(samp_model_open(&model, work, &error), &error);
    assert_int_equal(truncate(in_work(SINGLE), 5000), 0);
    samp_status status =
        samp_model_read_parts(model, samp_model_weight(model, SAMP_ROLE_HEAD, 0), parts, &error);
    samp_model_free_parts(parts);
    samp_model_close(model);
    assert_int_equal(status, SAMP_IO);
    assert_non_null(strstr(error.message, "something shortened it while it was read"));
}

/* All inputs of one number; state is where the number is. */
static void test_number(void **state)
{
    int number = *(const int *)*state, n = 0;
    for (size_t i = 0; i < N_INPUTS; i++) {
        if (INPUTS[i].number != number) continue;
        copy_folder(in_root(BASE_NAMES[INPUTS[i].base]), work);
        INPUTS[i].make();
        meet(&INPUTS[i]);
        n++;
    }
    for (size_t i = 0; i < sizeof bad_headers / sizeof *bad_headers; i++)
        if (bad_headers[i].number == number) n += (meet_header(&bad_headers[i]), 1);
    if (number == 33) n += (shrink_while_open(), 1);
    assert_true(n > 0);
}

int main(void)
{
    enum { NUMBERS = 50 };
    static char names[NUMBERS][32];
    static int numbers[NUMBERS];
    struct CMUnitTest tests[NUMBERS];
    for (int i = 0; i < NUMBERS; i++) {
        numbers[i] = i + 1;
        snprintf(names[i], sizeof names[i], "bad_input_%02d", i + 1);
        tests[i] = (struct CMUnitTest){names[i], test_number, NULL, NULL, &numbers[i]};
    }
    return cmocka_run_group_tests(tests, make_world, remove_world);
}
