/* quantize: what it writes is what encode gives, recipes cost the bytes the table promises, and bad
 * sources are refused. */
#include "support/cmocka_all.h"

#include "file/manifest.h"
#include "model/tokenizer.h"
#include "quantize/model_maker.h"
#include "quantize/quantize.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_ROWS = 37 }; /* of a head that a plan cuts */

typedef struct fixture {
    char root[256], source[512], out[512];
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    maker_scratch(f->root, sizeof f->root);
    snprintf(f->source, sizeof f->source, "%s/source", f->root);
    snprintf(f->out, sizeof f->out, "%s/out", f->root);
    maker_model(f->source, MAKER_TINY, 1);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    samp_error error;
    assert_int_equal(samp_remove_folder(f->root, &error), SAMP_OK);
    free(f);
    return 0;
}

static void quantize(const fixture *f, const samp_quantize_options *options)
{
    samp_error error = {0};
    if (samp_quantize(f->source, f->out, options, NULL, &error) != SAMP_OK)
        fail_msg("%s", error.message);
}

static samp_model *open_model(const char *folder)
{
    samp_error error = {0};
    samp_model *model = NULL;
    if (samp_model_open(&model, folder, &error) != SAMP_OK) fail_msg("%s", error.message);
    return model;
}

static float *read_weight(samp_model *model, const samp_weight_ref *weight)
{
    samp_error error = {0};
    float *out = samp_alloc(weight->layout.rows * weight->layout.cols, sizeof *out);
    void *scales[SAMP_PARTS_MAX] = {0};
    if (samp_model_read_rows(model, weight, 0, weight->layout.rows, scales, out, &error) != SAMP_OK)
        fail_msg("%s", error.message);
    samp_model_free_parts(scales);
    return out;
}

/* Encode and decode in one piece, in memory. */
static float *direct(const samp_format *format, const samp_layout *layout, const float *w)
{
    samp_error error = {0};
    void *parts[SAMP_PARTS_MAX] = {0};
    for (int i = 0; i < layout->n_parts; i++) parts[i] = samp_alloc(layout->parts[i].bytes, 1);
    float *work = layout->work_floats ? samp_alloc(layout->work_floats, sizeof *work) : NULL;
    samp_encode_options options = {0};
    format->encode(layout, w, 0, layout->rows, &options, parts, work);
    if (format->finish) assert_int_equal(format->finish(layout, parts, work, &error), SAMP_OK);
    float *out = samp_alloc(layout->rows * layout->cols, sizeof *out);
    format->decode(layout, (const void *const *)parts, 0, layout->rows, out);
    samp_free(work);
    samp_model_free_parts(parts);
    return out;
}

static void compare_with_direct(const fixture *f)
{
    samp_model *source = open_model(f->source), *made = open_model(f->out);
    samp_error error = {0};
    if (samp_model_head_rest(made))
        assert_int_equal(samp_model_cut_head(source, FIRST_ROWS, &error), SAMP_OK);
    assert_int_equal(samp_model_count(source), samp_model_count(made));
    for (size_t i = 0; i < samp_model_count(made); i++) {
        const samp_weight_ref *weight = samp_model_at(made, i);
        float *w = read_weight(source, samp_model_at(source, i)), *got = read_weight(made, weight);
        float *expected = direct(weight->format, &weight->layout, w);
        assert_memory_equal(got, expected, weight->layout.rows * weight->layout.cols * sizeof *got);
        samp_free(w);
        samp_free(got);
        samp_free(expected);
    }
    samp_model_close(source);
    samp_model_close(made);
}

static void test_recipes_equal_direct_encoding(void **state)
{
    const fixture *f = *state;
#define X(name, mlp, attention, embedding, head, summary) name,
    static const char *const names[] = {SAMP_RECIPE_LIST(X)};
#undef X
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        quantize(f, &(samp_quantize_options){.recipe = names[i], .force = true, .n_threads = 2});
        compare_with_direct(f);
    }
}

static void test_every_format_in_a_plan(void **state)
{
    const fixture *f = *state;
    json_t *modules = json_object();
    samp_model *source = open_model(f->source);
    int id = 0;
    for (size_t i = 0; i < samp_model_count(source); i++) {
        const samp_weight_ref *weight = samp_model_at(source, i);
        if (!samp_role_is_matrix(weight->role)) continue;
        char module[128];
        snprintf(module, sizeof module, "%.*s", (int)strlen(weight->name) - 7, weight->name);
        json_object_set_new(modules, module,
                            json_pack("{s:s, s:i}", "format",
                                      samp_format_get((samp_format_id)id)->name, "activation_bits",
                                      8));
        id = (id + 1) % SAMP_FORMAT_COUNT;
    }
    samp_model_close(source);
    json_t *plan = json_pack("{s:o}", "modules", modules);
    quantize(f, &(samp_quantize_options){.plan = plan, .n_threads = 1});
    compare_with_direct(f);
    samp_model *made = open_model(f->out);
    assert_int_equal(samp_model_at(made, 0)->activation_bits, 8);
    samp_model_close(made);
    json_decref(plan);
}

/* Any two formats for the parts of a head, and no plan for a part without the other. */
static void test_cut_head_in_a_plan(void **state)
{
    fixture *f = *state;
    for (int tied = 0; tied < 2; tied++) {
        maker_shape shape = MAKER_TINY;
        shape.tied = tied;
        samp_error error;
        maker_must(samp_remove_folder(f->source, &error), &error);
        maker_model(f->source, shape, 3);
        const char *head = tied ? "model.embed_tokens" : "lm_head";
        for (int id = 0; id < SAMP_FORMAT_COUNT; id++) {
            char first[64], rest[64];
            snprintf(first, sizeof first, "%s.first", head);
            snprintf(rest, sizeof rest, "%s.rest", head);
            json_t *plan =
                json_pack("{s:i, s:{s:{s:s}, s:{s:s}}}", "first_rows", FIRST_ROWS, "modules", first,
                          "format", samp_format_get((samp_format_id)id)->name, rest, "format",
                          samp_format_get((samp_format_id)((id + 5) % SAMP_FORMAT_COUNT))->name);
            quantize(f, &(samp_quantize_options){.plan = plan, .force = true, .n_threads = 1});
            compare_with_direct(f);
            json_decref(plan);
        }
    }
    samp_error error = {0};
    json_t *plan = json_pack("{s:{s:{s:s}}}", "modules", "lm_head.first", "format", "int8");
    samp_quantize_options options = {.plan = plan, .force = true, .n_threads = 1};
    assert_int_equal(samp_quantize(f->source, f->out, &options, NULL, &error), SAMP_MISMATCH);
    json_decref(plan);
    plan = json_pack("{s:i, s:{}}", "first_rows", 160, "modules");
    options.plan = plan;
    assert_int_equal(samp_quantize(f->source, f->out, &options, NULL, &error), SAMP_INVALID);
    assert_non_null(strstr(error.message, "160"));
    json_decref(plan);
}

static uint64_t file_bytes(const char *folder, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return (uint64_t)info.st_size;
}

static void test_samp_recipe_costs_what_the_table_says(void **state)
{
    const fixture *f = *state;
    quantize(f, &(samp_quantize_options){.recipe = "samp"});
    samp_model *made = open_model(f->out);
    uint64_t bytes = 0;
    for (size_t i = 0; i < samp_model_count(made); i++) {
        const samp_weight_ref *weight = samp_model_at(made, i);
        const char *class = samp_role_class(weight->role), *format = weight->format->name;
        if (!strcmp(class, "mlp")) assert_string_equal(format, "nf4");
        if (!strcmp(class, "attention")) assert_string_equal(format, "fp8_e4m3");
        if (!strcmp(class, "head") || !strcmp(class, "embedding"))
            assert_string_equal(format, "fp16");
        if (!strcmp(class, "norm")) assert_string_equal(format, "bf16");
        bytes += weight->layout.bytes;
    }
    uint64_t file = file_bytes(f->out, "model.safetensors");
    assert_true(file > bytes && file < bytes + 16384);
    assert_true(file_bytes(f->out, "tokenizer.json") > 0);
    assert_true(file_bytes(f->out, "samp.json") > 0);
    samp_model_close(made);
}

static void read_file(const char *folder, const char *name, samp_buffer *out)
{
    char path[1024];
    samp_error error;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    samp_buffer_clear(out);
    assert_int_equal(samp_file_slurp(path, 1 << 28, out, &error), SAMP_OK);
}

static void test_threads_and_shards_do_not_matter(void **state)
{
    fixture f = *(fixture *)*state;
    samp_buffer a = {0}, b = {0};
    quantize(&f, &(samp_quantize_options){.recipe = "nf4", .n_threads = 1});
    read_file(f.out, "model.safetensors", &a);
    quantize(&f, &(samp_quantize_options){.recipe = "nf4", .n_threads = 3, .force = true});
    read_file(f.out, "model.safetensors", &b);
    assert_int_equal(a.length, b.length);
    assert_memory_equal(a.data, b.data, a.length);
    quantize(&f, &(samp_quantize_options){
                     .recipe = "nf4", .shard_bytes = 60000, .n_threads = 2, .force = true});
    compare_with_direct(&f);
    samp_model *made = open_model(f.out);
    assert_true(samp_checkpoint_shards(samp_model_checkpoint(made)) > 3);
    samp_model_close(made);
    samp_buffer_release(&a);
    samp_buffer_release(&b);
}

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[1024];
    samp_error error;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(samp_file_write(path, text, strlen(text), &error), SAMP_OK);
}

static void make_folder(const char *folder, const char *name)
{
    char path[1024];
    samp_error error;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(samp_make_folder(path, &error), SAMP_OK);
}

static void note_finding(void *context, const char *id, samp_severity severity, const char *file,
                         const char *message)
{
    (void)severity, (void)message;
    snprintf(context, 100, "%s %s", id, file);
}

/* The first finding of the artifact's manifest; "" = none. */
static const char *manifest_finding(const fixture *f)
{
    static char first[100];
    samp_error error = {0};
    samp_manifest_check check = {.digests = true, .report = note_finding, .context = first};
    first[0] = '\0';
    if (samp_manifest_verify(f->out, &check, &error) != SAMP_OK) fail_msg("%s", error.message);
    return first;
}

/* They are taken over with digests, whatever else lies beside them is not, and they are used. */
static void test_named_chat_templates(void **state)
{
    const fixture *f = *state;
    static const char folder[] = "additional_chat_templates", tools[] = "{{ tools }}";
    samp_quantize_sizes before = {0}, after = {0};
    samp_quantize_options options = {.recipe = "samp", .n_threads = 1, .dry_run = &before};
    samp_buffer text = {0};
    samp_tokenizer *tokenizer;
    samp_error error = {0};
    quantize(f, &options);
    make_folder(f->source, folder);
    write_file(f->source, "additional_chat_templates/tool_use.jinja", tools);
    write_file(f->source, "additional_chat_templates/rag.jinja", "{{ documents }}");
    write_file(f->source, "additional_chat_templates/.jinja", "no name");
    write_file(f->source, "additional_chat_templates/run.py", "no template");
    make_folder(f->source, "additional_chat_templates/x.jinja");
    options.dry_run = &after;
    quantize(f, &options);
    assert_int_equal(after.companion_bytes - before.companion_bytes, strlen(tools) + 15);
    samp_artifact_sizes_release(&before.files);
    samp_artifact_sizes_release(&after.files);
    options.dry_run = NULL;
    quantize(f, &options);
    assert_string_equal(manifest_finding(f), "");
    read_file(f->out, "samp.json", &text);
    assert_non_null(strstr(text.data, "\"additional_chat_templates/rag.jinja\""));
    assert_null(strstr(text.data, "run.py"));
    assert_null(strstr(text.data, "x.jinja"));
    assert_int_equal(samp_tokenizer_load(&tokenizer, f->out, &error), SAMP_OK);
    assert_string_equal(samp_tokenizer_tool_template(tokenizer), tools);
    samp_tokenizer_release(tokenizer);
    write_file(f->out, "additional_chat_templates/tool_use.jinja", "{{ TOOLS }}");
    assert_string_equal(manifest_finding(f),
                        "SAMP-MAN-007 additional_chat_templates/tool_use.jinja");
    options.force = true; /* replaces a folder in the folder too */
    quantize(f, &options);
    assert_string_equal(manifest_finding(f), "");
    for (int i = 0; i < 40; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s/t%d.jinja", folder, i);
        write_file(f->source, name, "x");
    }
    assert_int_equal(samp_quantize(f->source, f->out, &options, NULL, &error), SAMP_LIMIT);
    assert_non_null(strstr(error.message, "has more than 32 chat templates"));
    assert_string_equal(manifest_finding(f), ""); /* what was there stays */
    samp_buffer_release(&text);
}

static void expect_error(const fixture *f, const samp_quantize_options *options, samp_status status,
                         const char *words)
{
    samp_error error = {0};
    assert_int_equal(samp_quantize(f->source, f->out, options, NULL, &error), status);
    if (!strstr(error.message, words)) fail_msg("'%s' lacks '%s'", error.message, words);
}

static void test_refusals(void **state)
{
    fixture f = *(fixture *)*state;
    expect_error(&f, &(samp_quantize_options){.recipe = "int3"}, SAMP_INVALID, "samp, nf4");
    expect_error(&f, &(samp_quantize_options){0}, SAMP_INVALID, "recipe or a plan");
    json_t *plan =
        json_pack("{s:{s:{s:s}}}", "modules", "model.layers.9.mlp.up_proj", "format", "nf4");
    expect_error(&f, &(samp_quantize_options){.plan = plan}, SAMP_MISMATCH, "layers.9");
    json_decref(plan);
    plan = json_pack("{s:{s:{s:s}}}", "modules", "model.norm", "format", "nf4");
    expect_error(&f, &(samp_quantize_options){.plan = plan}, SAMP_INVALID, "norm");
    json_decref(plan);
    plan = json_pack("{s:{s:{s:s}}}", "modules", "lm_head", "format", "int99");
    expect_error(&f, &(samp_quantize_options){.plan = plan}, SAMP_INVALID, "int99");
    json_decref(plan);

    quantize(&f, &(samp_quantize_options){.recipe = "nf4"});
    expect_error(&f, &(samp_quantize_options){.recipe = "nf4"}, SAMP_INVALID, "--force");
    snprintf(f.source, sizeof f.source, "%s", f.out);
    expect_error(&f, &(samp_quantize_options){.recipe = "nf4", .force = true}, SAMP_INVALID,
                 "the model itself");
    snprintf(f.out, sizeof f.out, "%s/again", f.root);
    expect_error(&f, &(samp_quantize_options){.recipe = "nf4"}, SAMP_UNSUPPORTED,
                 "quantized already");
}

/* Overwrites one value of a tensor of the source. */
static void poke(const fixture *f, const char *tensor, uint64_t element, float value)
{
    samp_model *model = open_model(f->source);
    const samp_tensor_info *info = samp_checkpoint_find(samp_model_checkpoint(model), tensor);
    assert_non_null(info);
    char path[1024];
    snprintf(path, sizeof path, "%s/model.safetensors", f->source);
    FILE *file = fopen(path, "r+b");
    uint16_t bits = samp_float_to_bf16(value);
    fseek(file, (long)(info->offset + element * 2), SEEK_SET);
    fwrite(&bits, 2, 1, file);
    fclose(file);
    samp_model_close(model);
}

static void test_values_that_cannot_be_quantized(void **state)
{
    const fixture *f = *state;
    const char *name = "model.layers.1.mlp.up_proj.weight";
    samp_quantize_options options = {.recipe = "nf4", .n_threads = 2};
    poke(f, name, 70 * 128 + 5, NAN);
    expect_error(f, &options, SAMP_NUMERIC,
                 "layers.1.mlp.up_proj.weight: the weight in row 70, column 5");
    poke(f, name, 70 * 128 + 5, -INFINITY);
    expect_error(f, &options, SAMP_NUMERIC, "row 70, column 5 is -inf");
    poke(f, name, 70 * 128 + 5, 0.25f);
    poke(f, "lm_head.weight", 3, 1e5f);
    expect_error(f, &options, SAMP_NUMERIC, "more than fp16 can hold");
    poke(f, "lm_head.weight", 3, 65504.0f); /* bf16 65536 rounds to infinity in fp16 */
    expect_error(f, &options, SAMP_NUMERIC, "more than fp16 can hold");
    poke(f, "lm_head.weight", 3, 60000.0f);
    poke(f, "model.norm.weight", 7, NAN); /* stays as it is: copied, and checked all the same */
    expect_error(f, &options, SAMP_NUMERIC, "model.norm.weight: the weight in row 0, column 7");
    poke(f, "model.norm.weight", 7, 1.0f);
    quantize(f, &options);
}

static bool stop_at_half(void *context, const char *what, uint64_t done, uint64_t total)
{
    (void)context, (void)what;
    return done < total / 2;
}

static void test_cancel_and_continue(void **state)
{
    const fixture *f = *state;
    samp_error error = {0};
    samp_progress progress = {stop_at_half, NULL};
    samp_quantize_options options = {.recipe = "samp", .commit_bytes = 1, .n_threads = 2};
    assert_int_equal(samp_quantize(f->source, f->out, &options, &progress, &error), SAMP_CANCELLED);
    assert_false(samp_is_folder(f->out));
    quantize(f, &options);
    compare_with_direct(f);
}

/* A source in shards gives the same weights as the same source in one file. */
static void test_sharded_source(void **state)
{
    fixture f = *(fixture *)*state;
    char sharded[600], from_one[600];
    samp_error error;
    snprintf(sharded, sizeof sharded, "%s/sharded", f.root);
    snprintf(from_one, sizeof from_one, "%s/from-one", f.root);
    json_t *nothing = json_pack("{s:{}}", "modules"); /* all weights stay as they are */
    samp_quantize_options split = {.plan = nothing, .shard_bytes = 60000};
    maker_must(samp_quantize(f.source, sharded, &split, NULL, &error), &error);
    json_decref(nothing);
    samp_quantize_options options = {.recipe = "samp", .n_threads = 2};
    maker_must(samp_quantize(f.source, from_one, &options, NULL, &error), &error);
    maker_must(samp_quantize(sharded, f.out, &options, NULL, &error), &error);
    samp_buffer a = {0}, b = {0};
    read_file(f.out, "model.safetensors", &a);
    read_file(from_one, "model.safetensors", &b);
    assert_int_equal(a.length, b.length);
    assert_memory_equal(a.data, b.data, a.length);
    samp_buffer_release(&a);
    samp_buffer_release(&b);
}

/* Allocations fail, one run after the other further into the work: each time a clean error and no
 * OUT. */
static void test_out_of_memory(void **state)
{
    const fixture *f = *state;
    samp_quantize_options options = {.recipe = "samp", .n_threads = 2, .start_over = true};
    int failures = 0;
    for (uint64_t n = 1;; n += 1 + n / 12) {
        samp_error error = {0};
        samp_alloc_fail_at(n);
        samp_status status = samp_quantize(f->source, f->out, &options, NULL, &error);
        samp_alloc_fail_at(0);
        if (status == SAMP_OK) break;
        if (status != SAMP_NOMEM || !*error.message)
            fail_msg("allocation %llu: status %d, \"%s\"", (unsigned long long)n, status,
                     error.message);
        assert_false(samp_is_folder(f->out));
        failures++;
    }
    assert_true(failures > 50);
    compare_with_direct(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_recipes_equal_direct_encoding, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_format_in_a_plan, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_head_in_a_plan, setup, teardown),
        cmocka_unit_test_setup_teardown(test_samp_recipe_costs_what_the_table_says, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_threads_and_shards_do_not_matter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_named_chat_templates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values_that_cannot_be_quantized, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel_and_continue, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sharded_source, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
