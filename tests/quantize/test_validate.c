/* validate: every finding of the table is provoked by one defect, a sound artifact has none, and a
 * byte flipped anywhere is found. */
#include "support/cmocka_all.h"

#include "quantize/model_maker.h"
#include "quantize/quantize.h"
#include "quantize/validate.h"

#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct fixture {
    char root[256], source[512], artifact[512], work[512];
} fixture;

static void quantize(const fixture *f, const samp_quantize_options *options, const char *folder)
{
    samp_error error = {0};
    if (samp_quantize(f->source, folder, options, NULL, &error) != SAMP_OK)
        fail_msg("%s", error.message);
}

/* The plan of the artifact under test: every kind of scale part. */
static json_t *mixed_plan(void)
{
    return json_pack("{s:{s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}}}", "modules",
                     "model.layers.0.mlp.up_proj", "format", "nf4", "model.layers.0.mlp.down_proj",
                     "format", "fp8_e4m3", "model.layers.0.self_attn.q_proj", "format", "int8",
                     "model.layers.1.mlp.up_proj", "format", "nf4a",
                     "model.layers.1.self_attn.k_proj", "format", "nf4_plain");
}

static int group_setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    maker_scratch(f->root, sizeof f->root);
    snprintf(f->source, sizeof f->source, "%s/source", f->root);
    snprintf(f->artifact, sizeof f->artifact, "%s/artifact", f->root);
    snprintf(f->work, sizeof f->work, "%s/work", f->root);
    maker_model(f->source, MAKER_TINY, 1);
    json_t *plan = mixed_plan();
    quantize(f, &(samp_quantize_options){.plan = plan, .shard_bytes = 150000}, f->artifact);
    json_decref(plan);
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

/* A fresh copy of the artifact in f->work. */
static void copy_artifact(const fixture *f)
{
    char command[2048];
    snprintf(command, sizeof command, "rm -rf '%s' && cp -r '%s' '%s'", f->work, f->artifact,
             f->work);
    assert_int_equal(system(command), 0);
}

static void path_in(const fixture *f, const char *name, char *out, size_t n)
{
    snprintf(out, n, "%s/%s", f->work, name);
}

static samp_findings validate(const fixture *f, samp_validate_depth depth, const char *target)
{
    samp_findings findings = {0};
    samp_error error = {0};
    samp_validate_options options = {.depth = depth, .target = target, .n_threads = 2};
    if (samp_validate(f->work, &options, NULL, &findings, &error) != SAMP_OK)
        fail_msg("%s", error.message);
    return findings;
}

static void print_all(const samp_findings *findings)
{
    samp_buffer text = {0};
    samp_findings_text(findings, "folder", false, &text);
    fprintf(stderr, "%s", text.data);
    samp_buffer_release(&text);
}

/* ---- defects, one for each finding ----------------------------------------------------------- */

static void write_text(const fixture *f, const char *name, const char *text)
{
    char path[1024];
    samp_error error;
    path_in(f, name, path, sizeof path);
    maker_must(samp_file_write(path, text, strlen(text), &error), &error);
}

static void remove_file(const fixture *f, const char *name)
{
    char path[1024];
    path_in(f, name, path, sizeof path);
    assert_int_equal(unlink(path), 0);
}

static json_t *load_json(const fixture *f, const char *name)
{
    char path[1024];
    samp_error error;
    json_t *root;
    path_in(f, name, path, sizeof path);
    maker_must(samp_json_load(&root, path, 1 << 24, &error), &error);
    return root;
}

/* Where a tensor lies: its shard's path and its byte offset. */
static uint64_t locate(const fixture *f, const char *tensor, char *path, size_t n)
{
    samp_error error;
    samp_checkpoint *checkpoint;
    maker_must(samp_checkpoint_open(&checkpoint, f->work, &error), &error);
    const samp_tensor_info *info = samp_checkpoint_find(checkpoint, tensor);
    if (!info) fail_msg("no tensor %s", tensor);
    path_in(f, samp_checkpoint_shard_name(checkpoint, (size_t)info->shard), path, n);
    uint64_t offset = info->offset;
    samp_checkpoint_close(checkpoint);
    return offset;
}

static void overwrite(const fixture *f, const char *tensor, uint64_t at, const void *bytes,
                      size_t n)
{
    char path[1024];
    uint64_t offset = locate(f, tensor, path, sizeof path);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, bytes, n, (off_t)(offset + at)), (ssize_t)n);
    close(fd);
}

static void overwrite_float(const fixture *f, const char *tensor, uint64_t index, float value)
{
    overwrite(f, tensor, 4 * index, &value, sizeof value);
}

#define UP0   "model.layers.0.mlp.up_proj.weight"      /* nf4 */
#define DOWN0 "model.layers.0.mlp.down_proj.weight"    /* fp8 */
#define Q0    "model.layers.0.self_attn.q_proj.weight" /* int8 */
#define K1    "model.layers.1.self_attn.k_proj.weight" /* nf4_plain */
#define SHARD "model-00001-of-00004.safetensors"
#define INDEX "model.safetensors.index.json"

static void config_missing(const fixture *f) { remove_file(f, "config.json"); }

static void config_set(const fixture *f, const char *key, json_t *value)
{
    json_t *config = load_json(f, "config.json");
    json_object_set_new(config, key, value);
    maker_json(f->work, "config.json", config);
}

static void quant_set(const fixture *f, const char *key, json_t *value)
{
    json_t *config = load_json(f, "config.json");
    json_object_set_new(json_object_get(config, "quantization_config"), key, value);
    maker_json(f->work, "config.json", config);
}

static void config_value(const fixture *f)
{
    config_set(f, "num_attention_heads", json_integer(3));
}
static void quant_config(const fixture *f) { quant_set(f, "modules", json_string("all")); }
static void quant_unchecked(const fixture *f) { quant_set(f, "quant_method", json_string("awq")); }
static void int8_threshold(const fixture *f) { quant_set(f, "llm_int8_threshold", json_real(3.0)); }
static void quant_type(const fixture *f) { quant_set(f, "quant_type", json_string("int6")); }
static void quant_detail(const fixture *f) { quant_set(f, "block_size", json_integer(128)); }
static void remote_code(const fixture *f) { config_set(f, "auto_map", json_object()); }

static void quant_module(const fixture *f)
{
    json_t *config = load_json(f, "config.json");
    json_t *modules = json_object_get(json_object_get(config, "quantization_config"), "modules");
    json_object_set_new(modules, "model.layers.7.mlp.up_proj", json_pack("{s:s}", "format", "nf4"));
    maker_json(f->work, "config.json", config);
}

static void quant_absent(const fixture *f)
{
    json_t *config = load_json(f, "config.json");
    json_object_del(config, "quantization_config");
    maker_json(f->work, "config.json", config);
}

static void index_bad(const fixture *f)
{
    write_text(f, INDEX, "{\"weight_map\": {\"a\": \"../../etc/passwd\"}}");
}

static void index_patch(const fixture *f, const char *tensor, json_t *shard)
{
    json_t *index = load_json(f, INDEX), *map = json_object_get(index, "weight_map");
    if (shard)
        json_object_set_new(map, tensor, shard);
    else
        json_object_del(map, tensor);
    maker_json(f->work, INDEX, index);
}

static void index_extra(const fixture *f)
{
    index_patch(f, "model.extra.weight", json_string(SHARD));
}
static void index_lacks(const fixture *f) { index_patch(f, UP0, NULL); }

static void index_size(const fixture *f)
{
    json_t *index = load_json(f, INDEX);
    json_object_set_new(json_object_get(index, "metadata"), "total_size", json_integer(7));
    maker_json(f->work, INDEX, index);
}

static void no_weights(const fixture *f)
{
    char command[1024];
    snprintf(command, sizeof command, "rm '%s'/model*", f->work);
    assert_int_equal(system(command), 0);
}

static void shard_missing(const fixture *f) { remove_file(f, SHARD); }
static void shard_empty(const fixture *f) { write_text(f, SHARD, ""); }
static void shard_bad(const fixture *f) { write_text(f, SHARD, "this is no safetensors file"); }

static void shard_extra(const fixture *f)
{
    write_text(f, "model-00001-of-00002.safetensors", "left over");
}

static void shard_numbers(const fixture *f)
{
    json_t *index = load_json(f, INDEX), *map = json_object_get(index, "weight_map");
    const char *tensor;
    void *next;
    json_t *shard;
    json_object_foreach_safe(map, next, tensor, shard)
    {
        if (strcmp(json_string_value(shard), SHARD) == 0) json_object_del(map, tensor);
    }
    maker_json(f->work, INDEX, index);
}

static void shard_pointer(const fixture *f)
{
    write_text(f, SHARD,
               "version https://git-lfs.github.com/spec/v1\n"
               "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
               "size 12345\n");
}

static void tensor_twice(const fixture *f)
{
    maker_tensors one = {1, samp_alloc(1, sizeof(samp_tensor_spec)), NULL};
    one.specs[0] =
        (samp_tensor_spec){.name = "lm_head.weight", .dtype = SAMP_BF16, .rank = 1, .shape = {4}};
    maker_shard(f->work, SHARD, &one, 1);
    maker_tensors_release(&one);
}

static void weights_twice(const fixture *f) { write_text(f, "model.safetensors", "another model"); }

/* A plain float model in f->work, with its tensors changed first. */
static void plain_model(const fixture *f, void (*change)(maker_tensors *tensors))
{
    char command[2048];
    snprintf(command, sizeof command, "rm -rf '%s' && cp -r '%s' '%s'", f->work, f->source,
             f->work);
    assert_int_equal(system(command), 0);
    samp_config config = maker_config(MAKER_TINY);
    maker_tensors tensors = maker_tensors_of(&config);
    change(&tensors);
    maker_shard(f->work, "model.safetensors", &tensors, 1);
    maker_tensors_release(&tensors);
}

static void rename_norm(maker_tensors *tensors)
{
    maker_find(tensors, "model.norm.weight")->name = "model.norm.bias";
}

static void shorten_norm(maker_tensors *tensors)
{
    maker_find(tensors, "model.norm.weight")->shape[0] = 64;
}

static void keep(maker_tensors *tensors) { (void)tensors; }

static void tensor_missing(const fixture *f) { plain_model(f, rename_norm); }
static void tensor_extra(const fixture *f) { plain_model(f, rename_norm); }
static void tensor_shape(const fixture *f) { plain_model(f, shorten_norm); }

static void tensor_type(const fixture *f)
{
    json_t *config = load_json(f, "config.json");
    json_t *modules = json_object_get(json_object_get(config, "quantization_config"), "modules");
    json_object_set_new(modules, "model.layers.0.mlp.up_proj",
                        json_pack("{s:s}", "format", "int8"));
    maker_json(f->work, "config.json", config);
}

/* A model that says its head is tied, and stores one of its own. */
static void tied_differs(const fixture *f)
{
    plain_model(f, keep);
    config_set(f, "tie_word_embeddings", json_true());
}

static void tied_head(const fixture *f)
{
    samp_error error;
    samp_checkpoint *checkpoint;
    tied_differs(f);
    maker_must(samp_checkpoint_open(&checkpoint, f->work, &error), &error);
    const samp_tensor_info *info = samp_checkpoint_find(checkpoint, "model.embed_tokens.weight");
    char *bytes = samp_alloc(info->bytes, 1);
    maker_must(samp_checkpoint_read(checkpoint, info, 0, bytes, info->bytes, &error), &error);
    overwrite(f, "lm_head.weight", 0, bytes, info->bytes);
    samp_free(bytes);
    samp_checkpoint_close(checkpoint);
}

static void scale_nan(const fixture *f) { overwrite_float(f, DOWN0 "_scale", 5, NAN); }
static void scale_negative(const fixture *f) { overwrite_float(f, DOWN0 "_scale", 5, -0.01f); }
static void scale_zero(const fixture *f) { overwrite_float(f, K1 ".absmax", 3, 0); }
static void scale_overflow(const fixture *f) { overwrite_float(f, DOWN0 "_scale", 5, 3e38f); }
static void scale_subnormal(const fixture *f) { overwrite_float(f, DOWN0 "_scale", 5, 1e-40f); }
static void scale_table(const fixture *f) { overwrite_float(f, UP0 ".quant_map", 3, 0.5f); }
static void weight_range(const fixture *f) { overwrite_float(f, DOWN0 "_scale", 5, 1e4f); }

static void value_nan(const fixture *f)
{
    const uint16_t nan = 0x7fc0;
    overwrite(f, "lm_head.weight", 2 * 777, &nan, sizeof nan);
}

static void code_nan(const fixture *f) { overwrite(f, DOWN0, 100, "\x7f", 1); }
static void code_range(const fixture *f) { overwrite(f, Q0, 100, "\x80", 1); }

static void code_clipped(const fixture *f)
{
    char codes[128 * 128];
    memset(codes, 127, sizeof codes);
    overwrite(f, Q0, 0, codes, sizeof codes);
}

static void row_zero(const fixture *f)
{
    char zeros[256] = {0};
    overwrite(f, "lm_head.weight", 256 * 9, zeros, sizeof zeros);
}

static void manifest_malformed(const fixture *f) { write_text(f, "samp.json", "{"); }

static void manifest_set(const fixture *f, const char *key, json_t *value)
{
    json_t *manifest = load_json(f, "samp.json");
    json_object_set_new(manifest, key, value);
    maker_json(f->work, "samp.json", manifest);
}

static void manifest_version(const fixture *f)
{
    manifest_set(f, "schema_version", json_integer(99));
}
static void manifest_changed(const fixture *f) { manifest_set(f, "made_by", json_string("me")); }

static void manifest_name(const fixture *f)
{
    manifest_set(f, "files",
                 json_pack("{s:{s:i, s:s}}", "../secret", "bytes", 1, "sha256",
                           "0000000000000000000000000000000000000000000000000000000000000000"));
}

static void file_missing(const fixture *f) { remove_file(f, "tokenizer.json"); }

static void file_unreadable(const fixture *f)
{
    char path[1024];
    remove_file(f, "tokenizer.json");
    path_in(f, "tokenizer.json", path, sizeof path);
    assert_int_equal(mkfifo(path, 0600), 0);
}

static void file_size(const fixture *f) { write_text(f, "tokenizer.json", "{}"); }
static void file_digest(const fixture *f) { overwrite(f, UP0, 0, "\x12", 1); }
static void weights_unlisted(const fixture *f) { write_text(f, "adapter.safetensors", "x"); }
static void code_unlisted(const fixture *f) { write_text(f, "modeling.py", "x"); }
static void manifest_missing(const fixture *f) { remove_file(f, "samp.json"); }
static void tokenizer_missing(const fixture *f) { remove_file(f, "tokenizer.json"); }
static void tokenizer_bad(const fixture *f) { write_text(f, "tokenizer.json", "{\"version\": 1}"); }

static void tokenizer_size(const fixture *f)
{
    json_t *vocab = json_object();
    for (int i = 0; i < 200; i++) {
        char word[16];
        snprintf(word, sizeof word, "w%d", i);
        json_object_set_new(vocab, word, json_integer(i));
    }
    maker_json(f->work, "tokenizer.json",
               json_pack("{s:s, s:{s:s, s:o, s:[]}, s:[]}", "version", "1.0", "model", "type",
                         "BPE", "vocab", vocab, "merges", "added_tokens"));
}

/* Where there is no tokenizer.json, tokenizer.model counts: here one of 1,400 pieces. */
static void tokenizer_model(const fixture *f)
{
    char path[1024];
    samp_error error;
    remove_file(f, "tokenizer.json");
    path_in(f, "tokenizer.model", path, sizeof path);
    assert_int_equal(samp_file_copy(SAMP_GOLDEN "/tokenizers/characters.model", path, &error),
                     SAMP_OK);
}

static void tokenizer_small(const fixture *f) { maker_tokenizer(f->work, 40); }

/* A tokenizer whose end token is another one than config.json's. */
static void tokenizer_ids(const fixture *f)
{
    maker_json(f->work, "tokenizer_config.json", json_pack("{s:s}", "eos_token", "w7"));
}

static void unsafe_file(const fixture *f) { write_text(f, "pytorch_model.bin", "pickle"); }
static void code_file(const fixture *f) { write_text(f, "modeling_llama.py", "import os"); }
static void pointer(const fixture *f)
{
    write_text(f, "tokenizer.json", "version https://git-lfs.github.com/spec/v1\nsize 17210000\n");
}

static void legacy(const fixture *f)
{
    no_weights(f);
    write_text(f, "pytorch_model-00001-of-00002.bin", "pickle");
    write_text(f, "pytorch_model.bin.index.json", "{}");
}

/* An error page instead of a shard. */
static void shard_small(const fixture *f)
{
    write_text(f, SHARD, "<html><body>Entry not found</body></html>");
}
static void leftover(const fixture *f) { write_text(f, ".samp-state", "samp-partial"); }

static void unreadable(const fixture *f)
{
    char path[1024];
    path_in(f, "vocab.json", path, sizeof path);
    assert_int_equal(symlink("/nonexistent/file", path), 0);
}

static void nothing(const fixture *f) { (void)f; }

typedef struct defect {
    samp_finding_id id;
    void (*make)(const fixture *f);
    samp_validate_depth depth; /* the least depth that must find it */
} defect;

#define HEADERS SAMP_VALIDATE_HEADERS
#define SCALES  SAMP_VALIDATE_SCALES
#define DEEP    SAMP_VALIDATE_DEEP

static const defect DEFECTS[] = {
    {SAMP_FINDING_CONFIG_MISSING, config_missing, HEADERS},
    {SAMP_FINDING_CONFIG_VALUE, config_value, HEADERS},
    {SAMP_FINDING_QUANT_CONFIG, quant_config, HEADERS},
    {SAMP_FINDING_QUANT_TYPE, quant_type, HEADERS},
    {SAMP_FINDING_SCALE_SUBNORMAL, scale_subnormal, SCALES},
    {SAMP_FINDING_QUANT_UNCHECKED, quant_unchecked, HEADERS},
    {SAMP_FINDING_INT8_THRESHOLD, int8_threshold, HEADERS},
    {SAMP_FINDING_SHARD_SMALL, shard_small, HEADERS},
    {SAMP_FINDING_LEGACY, legacy, HEADERS},
    {SAMP_FINDING_TIED_DIFFERS, tied_differs, DEEP},
    {SAMP_FINDING_TOKENIZER_IDS, tokenizer_ids, HEADERS},
    {SAMP_FINDING_TOKENIZER_SMALL, tokenizer_small, HEADERS},
    {SAMP_FINDING_CODE_FILE, code_file, HEADERS},
    {SAMP_FINDING_POINTER, pointer, HEADERS},
    {SAMP_FINDING_QUANT_MODULE, quant_module, HEADERS},
    {SAMP_FINDING_QUANT_ABSENT, quant_absent, HEADERS},
    {SAMP_FINDING_REMOTE_CODE, remote_code, HEADERS},
    {SAMP_FINDING_QUANT_DETAIL, quant_detail, HEADERS},
    {SAMP_FINDING_INDEX_BAD, index_bad, HEADERS},
    {SAMP_FINDING_INDEX_EXTRA, index_extra, HEADERS},
    {SAMP_FINDING_INDEX_LACKS, index_lacks, HEADERS},
    {SAMP_FINDING_INDEX_SIZE, index_size, HEADERS},
    {SAMP_FINDING_NO_WEIGHTS, no_weights, HEADERS},
    {SAMP_FINDING_SHARD_MISSING, shard_missing, HEADERS},
    {SAMP_FINDING_SHARD_EXTRA, shard_extra, HEADERS},
    {SAMP_FINDING_SHARD_NUMBERS, shard_numbers, HEADERS},
    {SAMP_FINDING_SHARD_EMPTY, shard_empty, HEADERS},
    {SAMP_FINDING_SHARD_POINTER, shard_pointer, HEADERS},
    {SAMP_FINDING_SHARD_BAD, shard_bad, HEADERS},
    {SAMP_FINDING_TENSOR_TWICE, tensor_twice, HEADERS},
    {SAMP_FINDING_WEIGHTS_TWICE, weights_twice, HEADERS},
    {SAMP_FINDING_TENSOR_MISSING, tensor_missing, HEADERS},
    {SAMP_FINDING_TENSOR_EXTRA, tensor_extra, HEADERS},
    {SAMP_FINDING_TENSOR_SHAPE, tensor_shape, HEADERS},
    {SAMP_FINDING_TENSOR_TYPE, tensor_type, HEADERS},
    {SAMP_FINDING_TIED_HEAD, tied_head, HEADERS},
    {SAMP_FINDING_SCALE_NOT_FINITE, scale_nan, SCALES},
    {SAMP_FINDING_SCALE_NEGATIVE, scale_negative, SCALES},
    {SAMP_FINDING_SCALE_ZERO, scale_zero, DEEP},
    {SAMP_FINDING_SCALE_OVERFLOW, scale_overflow, SCALES},
    {SAMP_FINDING_SCALE_TABLE, scale_table, SCALES},
    {SAMP_FINDING_WEIGHT_RANGE, weight_range, DEEP},
    {SAMP_FINDING_VALUE_NOT_FINITE, value_nan, DEEP},
    {SAMP_FINDING_CODE_NAN, code_nan, DEEP},
    {SAMP_FINDING_CODE_RANGE, code_range, DEEP},
    {SAMP_FINDING_CODE_CLIPPED, code_clipped, DEEP},
    {SAMP_FINDING_ROW_ZERO, row_zero, DEEP},
    {SAMP_FINDING_MANIFEST_MALFORMED, manifest_malformed, HEADERS},
    {SAMP_FINDING_MANIFEST_VERSION, manifest_version, HEADERS},
    {SAMP_FINDING_MANIFEST_NAME, manifest_name, HEADERS},
    {SAMP_FINDING_FILE_MISSING, file_missing, HEADERS},
    {SAMP_FINDING_FILE_UNREADABLE, file_unreadable, HEADERS},
    {SAMP_FINDING_FILE_SIZE, file_size, HEADERS},
    {SAMP_FINDING_FILE_DIGEST, file_digest, DEEP},
    {SAMP_FINDING_WEIGHTS_UNLISTED, weights_unlisted, HEADERS},
    {SAMP_FINDING_CODE_UNLISTED, code_unlisted, HEADERS},
    {SAMP_FINDING_MANIFEST_CHANGED, manifest_changed, HEADERS},
    {SAMP_FINDING_MANIFEST_MISSING, manifest_missing, HEADERS},
    {SAMP_FINDING_TOKENIZER_MISSING, tokenizer_missing, HEADERS},
    {SAMP_FINDING_TOKENIZER_BAD, tokenizer_bad, HEADERS},
    {SAMP_FINDING_TOKENIZER_SIZE, tokenizer_size, HEADERS},
    {SAMP_FINDING_TOKENIZER_SIZE, tokenizer_model, HEADERS},
    {SAMP_FINDING_UNSAFE_FILE, unsafe_file, HEADERS},
    {SAMP_FINDING_LEFTOVER, leftover, HEADERS},
    {SAMP_FINDING_UNREADABLE, unreadable, HEADERS},
    {SAMP_FINDING_TARGET, nothing, HEADERS},
};

static void test_every_finding(void **state)
{
    const fixture *f = *state;
    bool tested[SAMP_FINDING_COUNT] = {false};
    for (size_t i = 0; i < sizeof DEFECTS / sizeof *DEFECTS; i++) {
        const defect *d = &DEFECTS[i];
        const char *code = samp_finding_rule_get(d->id)->code;
        copy_artifact(f);
        d->make(f);
        samp_findings findings =
            validate(f, d->depth, d->id == SAMP_FINDING_TARGET ? "transformers" : NULL);
        if (!findings.counts[d->id]) {
            print_all(&findings);
            fail_msg("%s (%s) was not found", code, samp_finding_rule_get(d->id)->title);
        }
        /* Nothing of its own kind but this: a defect must not drown in its consequences. */
        for (int id = 0; id < SAMP_FINDING_COUNT; id++) assert_true(findings.counts[id] <= 40);
        samp_findings_release(&findings);
        tested[d->id] = true;
    }
    static const samp_finding_id elsewhere[] = {/* test_validate_foreign.c */
                                                SAMP_FINDING_QUANT_FOREIGN, SAMP_FINDING_GGUF_BAD,
                                                SAMP_FINDING_GGUF_UNCHECKED,
                                                SAMP_FINDING_GGUF_MODEL};
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) tested[elsewhere[i]] = true;
    for (int id = 0; id < SAMP_FINDING_COUNT; id++)
        if (!tested[id])
            fail_msg("%s has no test", samp_finding_rule_get((samp_finding_id)id)->code);
}

static void test_sound_artifacts_have_no_findings(void **state)
{
    const fixture *f = *state;
#define X(name, mlp, attention, embedding, head, summary) name,
    static const char *const recipes[] = {SAMP_RECIPE_LIST(X)};
#undef X
    for (size_t i = 0; i <= sizeof recipes / sizeof *recipes; i++) {
        if (i < sizeof recipes / sizeof *recipes)
            quantize(f, &(samp_quantize_options){.recipe = recipes[i], .force = true}, f->work);
        else
            copy_artifact(f);
        for (int depth = SAMP_VALIDATE_HEADERS; depth <= SAMP_VALIDATE_DEEP; depth++) {
            samp_findings findings = validate(f, (samp_validate_depth)depth, NULL);
            if (findings.count) {
                print_all(&findings);
                fail_msg("recipe %zu, depth %d", i, depth);
            }
            if (depth == SAMP_VALIDATE_HEADERS) assert_int_equal(findings.n_bytes, 0);
            if (depth == SAMP_VALIDATE_DEEP) assert_true(findings.n_bytes > 100000);
            samp_findings_release(&findings);
        }
    }
}

/* A head in two weights: sound; then a first_rows that its tensors contradict, and none. */
static void test_cut_head(void **state)
{
    const fixture *f = *state;
    json_t *plan =
        json_pack("{s:i, s:{s:{s:s}, s:{s:s}}}", "first_rows", 64, "modules", "lm_head.first",
                  "format", "nf6a", "lm_head.rest", "format", "nf4a_g32");
    quantize(f, &(samp_quantize_options){.plan = plan, .force = true}, f->work);
    json_decref(plan);
    samp_findings findings = validate(f, SAMP_VALIDATE_DEEP, NULL);
    if (findings.count) print_all(&findings);
    assert_int_equal(findings.count, 0);
    samp_findings_release(&findings);
    static const struct {
        int rows;
        samp_finding_id found;
    } wrong[] = {{63, SAMP_FINDING_TENSOR_SHAPE},
                 {160, SAMP_FINDING_QUANT_CONFIG},
                 {0, SAMP_FINDING_QUANT_MODULE}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        json_t *config = load_json(f, "config.json"),
               *object = json_object_get(config, "quantization_config");
        if (wrong[i].rows)
            json_object_set_new(object, "first_rows", json_integer(wrong[i].rows));
        else
            json_object_del(object, "first_rows");
        maker_json(f->work, "config.json", config);
        findings = validate(f, SAMP_VALIDATE_HEADERS, NULL);
        assert_true(findings.counts[wrong[i].found] > 0);
        samp_findings_release(&findings);
    }
}

static void flip(const char *path, uint64_t at, unsigned char mask)
{
    int fd = open(path, O_RDWR);
    unsigned char byte;
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= mask;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

/* Every file in turn, a random byte, a random bit; then put back. */
static void test_flipped_bytes(void **state)
{
    const fixture *f = *state;
    static const char *const files[] = {"config.json",
                                        "samp.json",
                                        "tokenizer.json",
                                        INDEX,
                                        SHARD,
                                        "model-00002-of-00004.safetensors",
                                        "model-00003-of-00004.safetensors",
                                        "model-00004-of-00004.safetensors"};
    enum { FLIPS = 240, FILES = sizeof files / sizeof *files };
    samp_prng prng = {42};
    copy_artifact(f);
    for (int i = 0; i < FLIPS; i++) {
        char path[1024];
        struct stat info;
        path_in(f, files[i % FILES], path, sizeof path);
        assert_int_equal(stat(path, &info), 0);
        uint64_t at = samp_prng_below(&prng, (uint64_t)info.st_size);
        unsigned char mask = (unsigned char)(1u << samp_prng_below(&prng, 8));
        flip(path, at, mask);
        samp_findings findings = validate(f, SAMP_VALIDATE_DEEP, NULL);
        if (!samp_findings_exit(&findings, SAMP_SEVERITY_ERROR))
            fail_msg("%s: flipping byte %llu by %02x was not found", path, (unsigned long long)at,
                     mask);
        samp_findings_release(&findings);
        flip(path, at, mask);
    }
    samp_findings findings = validate(f, SAMP_VALIDATE_DEEP, NULL);
    assert_int_equal(findings.count, 0);
    samp_findings_release(&findings);
}

static void test_messages_name_the_place(void **state)
{
    const fixture *f = *state;
    copy_artifact(f);
    scale_zero(f);
    value_nan(f);
    samp_findings findings = validate(f, SAMP_VALIDATE_DEEP, NULL);
    bool zero = false, nan = false;
    for (size_t i = 0; i < findings.count; i++) {
        const samp_finding *finding = &findings.items[i];
        zero |= !strcmp(finding->tensor, K1) && strstr(finding->message, "row 1, column 64");
        nan |= !strcmp(finding->tensor, "lm_head.weight") &&
               strstr(finding->message, "row 6, column 9");
    }
    if (!zero || !nan) print_all(&findings);
    assert_true(zero && nan);
    samp_findings_release(&findings);
}

static void test_cannot_look(void **state)
{
    const fixture *f = *state;
    samp_findings findings = {0};
    samp_error error;
    assert_int_equal(
        samp_validate("/nonexistent", &(samp_validate_options){0}, NULL, &findings, &error),
        SAMP_NOT_FOUND);
    assert_int_equal(samp_validate(f->artifact, &(samp_validate_options){.target = "ollama"}, NULL,
                                   &findings, &error),
                     SAMP_INVALID);
    assert_int_equal(
        samp_validate("m/model.safetensors", &(samp_validate_options){0}, NULL, &findings, &error),
        SAMP_INVALID);
    samp_findings_release(&findings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_finding),
        cmocka_unit_test(test_sound_artifacts_have_no_findings),
        cmocka_unit_test(test_cut_head),
        cmocka_unit_test(test_flipped_bytes),
        cmocka_unit_test(test_messages_name_the_place),
        cmocka_unit_test(test_cannot_look),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
