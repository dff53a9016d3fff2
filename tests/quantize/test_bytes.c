/* What a dry run says, a run writes, to the byte: for every recipe and every format, in one shard
 * and in several. And a plan of 38.0e9 bytes for Llama-3-70B's shapes: made, and weighed without
 * writing it. The same is written in full for 8B's layers, a sixteenth as wide; SAMP_TEST_8B=1
 * takes the whole width (16 GB of sparse input, some 4.6 GB of output). */
#include "support/cmocka_all.h"

#include "base/clock.h"
#include "plan/measure.h"
#include "plan/plan.h"
#include "quantize/model_maker.h"
#include "quantize/quantize.h"

#include <math.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define OK(expression)                                                                             \
    do {                                                                                           \
        if ((expression) != SAMP_OK) fail_msg("%s", error.message);                                \
    } while (0)

static samp_error error;
static char root[256], source[512], out[512];

static int set_up(void **state)
{
    (void)state;
    maker_scratch(root, sizeof root);
    snprintf(source, sizeof source, "%s/source", root);
    snprintf(out, sizeof out, "%s/out", root);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return samp_remove_folder(root, NULL) == SAMP_OK ? 0 : 1;
}

/* ---- predicted and written ------------------------------------------------------------------- */

static samp_quantize_sizes weigh(samp_quantize_options options)
{
    samp_quantize_sizes sizes;
    options.dry_run = &sizes;
    OK(samp_quantize(source, NULL, &options, NULL, &error));
    return sizes;
}

/* Every shard that was predicted is there with its very size, and no other. */
static void compare_files(const samp_artifact_sizes *files)
{
    uint64_t sum = 0;
    char path[1024];
    struct stat info;
    for (size_t s = 0; s < files->n_shards; s++) {
        snprintf(path, sizeof path, "%s/%s", out, files->shards[s].name);
        if (stat(path, &info) != 0) fail_msg("%s was predicted and not written", path);
        assert_int_equal(info.st_size, files->shards[s].bytes);
        sum += (uint64_t)info.st_size;
    }
    assert_int_equal(sum, files->bytes);
    samp_model *model;
    OK(samp_model_open(&model, out, &error));
    assert_int_equal(samp_checkpoint_shards(samp_model_checkpoint(model)), files->n_shards);
    samp_model_close(model);
}

/* Weighs, writes and compares; returns the number of shards. */
static size_t check(samp_quantize_options options)
{
    samp_quantize_sizes sizes = weigh(options);
    uint64_t data = 0;
    for (int f = 0; f < SAMP_FORMAT_COUNT; f++) data += sizes.formats[f].bytes;
    assert_true(data < sizes.files.bytes);
    assert_false(samp_is_folder(out)); /* nothing was written */
    OK(samp_quantize(source, out, &options, NULL, &error));
    compare_files(&sizes.files);
    OK(samp_remove_folder(out, &error));
    size_t n_shards = sizes.files.n_shards;
    samp_artifact_sizes_release(&sizes.files);
    return n_shards;
}

static void recipes_weigh_what_they_say(void **state)
{
    (void)state;
#define X(name, mlp, attention, embedding, head, summary) name,
    static const char *const names[] = {SAMP_RECIPE_LIST(X)};
#undef X
    maker_model(source, MAKER_TINY, 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        samp_quantize_options options = {.recipe = names[i], .n_threads = 1};
        assert_int_equal(check(options), 1);
        options.shard_bytes = 50000;
        assert_true(check(options) > 2);
    }
}

/* Every format of the table on some matrices, then the next on them, until all had all. */
static void mixed_plans_weigh_what_they_say(void **state)
{
    (void)state;
    maker_model(source, MAKER_TINY, 2);
    samp_model *model;
    OK(samp_model_open(&model, source, &error));
    samp_weight_plan *plan = samp_alloc(samp_model_count(model), sizeof *plan);
    for (size_t turn = 0; turn < SAMP_FORMAT_COUNT; turn++) {
        for (size_t i = 0; i < samp_model_count(model); i++)
            if (samp_role_is_matrix(samp_model_at(model, i)->role))
                plan[i] = (samp_weight_plan){
                    .format = samp_format_get((samp_format_id)((i + turn) % SAMP_FORMAT_COUNT)),
                    .activation_bits = 16};
        samp_quantize_options options = {.weights = plan, .n_threads = 1};
        options.shard_bytes = turn % 2 ? 0 : 40000 + 1000 * turn;
        assert_int_equal(check(options) > 1, turn % 2 == 0);
    }
    samp_free(plan);
    samp_model_close(model);
}

static void room_is_what_the_disk_has(void **state)
{
    (void)state;
    uint64_t room = 0;
    char deep[600];
    OK(samp_artifact_room(out, &room, &error));
    assert_true(room > 0);
    snprintf(deep, sizeof deep, "%s/absent/out", root);
    assert_int_equal(samp_artifact_room(deep, &room, &error), SAMP_NOT_FOUND);
    assert_non_null(strstr(error.message, "absent"));
}

/* ---- a plan of large shapes ------------------------------------------------------------------ */

/* Mean squared error of normal weights over their mean square: measured, here. */
static double relative_error(const samp_format *format, samp_rounding rounding)
{
    enum { ROWS = 64, COLS = 512, N = ROWS * COLS };
    static float w[N], back[N];
    samp_prng prng = {11};
    samp_layout layout;
    void *parts[SAMP_PARTS_MAX] = {0};
    for (size_t i = 0; i < N; i++) w[i] = (float)samp_prng_normal(&prng);
    OK(format->layout(ROWS, COLS, &layout, &error));
    for (int p = 0; p < layout.n_parts; p++) parts[p] = samp_alloc(layout.parts[p].bytes, 1);
    float *work = layout.work_floats ? samp_alloc(layout.work_floats, sizeof *work) : NULL;
    samp_encode_options how = {.search = rounding != SAMP_ROUNDING_ABSMAX};
    format->encode(&layout, w, 0, ROWS, &how, parts, work);
    if (format->finish) OK(format->finish(&layout, parts, work, &error));
    format->decode(&layout, (const void *const *)parts, 0, ROWS, back);
    double wrong = 0, all = 0;
    for (size_t i = 0; i < N; i++) {
        double difference = (double)back[i] - (double)w[i];
        wrong += difference * difference, all += (double)w[i] * (double)w[i];
    }
    samp_free(work);
    samp_model_free_parts(parts);
    return wrong / all;
}

/* KL divergence a unit of relative error costs: large in the first layers, least a quarter in,
 * growing to the end; among a layer's groups, down most. The head is two groups, which cost alike. */
static double alpha_of(const samp_group *group, uint32_t n_layers)
{
    static const double kinds[SAMP_GROUP_KINDS] = {0.5, 0.3, 0.6, 0.9, 0.2, 0.75};
    double at = (double)group->layer / n_layers;
    if (group->kind >= SAMP_GROUP_EMBED) return kinds[group->kind];
    return kinds[group->kind] * (0.15 + exp(-30 * at) + 0.35 * at * at);
}

/* As samp measure would leave it, for every format a plan may choose. Rounding is absmax: the
 * writing is what takes time, and sizes do not depend on it. */
static void make_sensitivity(samp_sensitivity *s, samp_model *model)
{
    samp_group *groups;
    samp_format_id formats[SAMP_FORMAT_COUNT];
    samp_rounding roundings[SAMP_FORMAT_COUNT];
    double errors[SAMP_FORMAT_COUNT];
    uint32_t n = (uint32_t)samp_measure_candidates(formats, roundings, SAMP_FORMAT_COUNT);
    *s = (samp_sensitivity){.bias = 1, .n_tokens = 1};
    for (size_t i = 0; i < samp_model_count(model); i++) {
        const samp_weight_ref *weight = samp_model_at(model, i);
        bool vector = !samp_role_is_matrix(weight->role);
        s->n_vectors += vector, s->vector_bytes += vector ? weight->layout.bytes : 0;
    }
    snprintf(s->model, sizeof s->model, "%.255s", source);
    snprintf(s->calibration, sizeof s->calibration, "none: made up from shapes");
    OK(samp_model_digest(model, s->model_digest, &error));
    OK(samp_groups_of(model, &groups, &s->n_groups, &error));
    s->groups = samp_arena_alloc(&s->arena, s->n_groups, sizeof *s->groups);
    for (uint32_t c = 0; c < n; c++)
        errors[c] = relative_error(samp_format_get(formats[c]), roundings[c]);
    for (size_t g = 0; g < s->n_groups; g++) {
        const samp_group *from = &groups[g];
        samp_sensitivity_group *to = &s->groups[g];
        *to = (samp_sensitivity_group){.kind = from->kind,
                                       .layer = from->layer,
                                       .rows = samp_group_rows(from),
                                       .cols = samp_group_cols(from),
                                       .n_weights = from->n_weights,
                                       .n_choices = n,
                                       .alpha = alpha_of(from, samp_model_config(model)->n_layers)};
        memcpy(to->name, from->name, sizeof to->name);
        to->weights = samp_arena_alloc(&s->arena, to->n_weights, sizeof *to->weights);
        to->choices = samp_arena_alloc(&s->arena, n, sizeof *to->choices);
        for (uint32_t w = 0; w < to->n_weights; w++)
            memcpy(to->weights[w], from->weights[w]->name, sizeof *to->weights);
        for (uint32_t c = 0; c < n; c++) {
            samp_sensitivity_choice *choice = &to->choices[c];
            *choice = (samp_sensitivity_choice){.format = samp_format_get(formats[c]),
                                                .error = errors[c],
                                                .kl = to->alpha * errors[c]};
            OK(samp_group_bytes(from, choice->format, &choice->bytes, &error));
        }
    }
    samp_free(groups);
}

/* A plan within max_bytes for the model in `source`, as quantize takes it; *announced gets the
 * bytes that `samp plan` promises not to exceed. */
static json_t *make_plan(uint64_t max_bytes, uint64_t *announced)
{
    samp_model *model;
    samp_sensitivity s;
    samp_plan plan;
    samp_plan_options how = {.max_bytes = max_bytes};
    OK(samp_model_open(&model, source, &error));
    OK(samp_model_cut_head(model, samp_model_config(model)->vocab_size / 16, &error));
    make_sensitivity(&s, model);
    OK(samp_plan_make(&plan, &s, &how, &error));
    assert_true(plan.solution.cost - plan.solution.bound <= 0.01 * plan.solution.cost);
    *announced = plan.solution.bytes + plan.fixed_bytes;
    assert_true(*announced <= max_bytes);
    json_t *json = samp_plan_json(&plan, &s, &how);
    assert_non_null(json);
    assert_non_null(json_object_get(json, "first_rows")); /* the few rows got more bits */
    samp_plan_release(&plan);
    samp_sensitivity_release(&s);
    samp_model_close(model);
    return json;
}

static void say(const char *what, const samp_quantize_sizes *sizes, uint64_t announced)
{
    print_message("%s: %llu bytes in %zu shards; the plan announced at most %llu, %llu more\n",
                  what, (unsigned long long)sizes->files.bytes, sizes->files.n_shards,
                  (unsigned long long)announced,
                  (unsigned long long)(announced - sizes->files.bytes));
}

static double cpu_seconds(const struct rusage *usage)
{
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
           1e-6 * (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
}

/* The real checkpoint's thirty shards, and no block of their 141 GB on the disk. */
static void llama_70b_fits_38_gigabytes(void **state)
{
    (void)state;
    const uint64_t budget = 38000000000u;
    maker_sparse_model(source, (maker_shape){80, 8192, 28672, 64, 8, 128256, false}, 30);
    struct rusage before, after;
    uint64_t announced;
    getrusage(RUSAGE_SELF, &before);
    json_t *plan = make_plan(budget, &announced);
    samp_quantize_sizes sizes = weigh((samp_quantize_options){.plan = plan});
    getrusage(RUSAGE_SELF, &after);
    say("70B in 38.0e9 bytes", &sizes, announced);
    print_message("planned and weighed in %.2f s of CPU time, peak %ld MB\n",
                  cpu_seconds(&after) - cpu_seconds(&before), after.ru_maxrss / 1024);
    assert_int_equal(sizes.source_bytes, 2 * 70553706496u);
    assert_true(sizes.files.bytes <= announced && announced <= budget);
    assert_true(announced - sizes.files.bytes < budget / 100000);
    assert_true(sizes.files.bytes > budget - budget / 100); /* and the budget is used */
    int used = 0;
    for (int f = 0; f < SAMP_FORMAT_COUNT; f++) used += sizes.formats[f].weights > 0;
    assert_true(used >= 4); /* norms in bf16, and a mix */
    samp_artifact_sizes_release(&sizes.files);
    json_decref(plan);
}

static void llama_8b_is_written_as_predicted(void **state)
{
    (void)state;
    bool whole = getenv("SAMP_TEST_8B") != NULL;
    maker_shape shape = whole ? (maker_shape){32, 4096, 14336, 32, 8, 128256, false}
                              : (maker_shape){32, 256, 896, 4, 1, 8016, false};
    maker_sparse_model(source, shape, 4);
    uint64_t announced, budget = whole ? 4600000000u : 18500000u;
    json_t *plan = make_plan(budget, &announced);
    samp_quantize_options options = {
        .plan = plan, .n_threads = whole ? 0 : 1, .shard_bytes = whole ? 0 : 5000000};
    samp_quantize_sizes sizes = weigh(options);
    say("8B's layers", &sizes, announced);
    assert_true(sizes.files.bytes <= announced && announced <= budget);
    samp_artifact_sizes_release(&sizes.files);
    double start = samp_clock();
    size_t n_shards = check(options);
    print_message("written in %.1f s: the same bytes in %zu shards\n", samp_clock() - start,
                  n_shards);
    assert_true(whole || n_shards > 2);
    json_decref(plan);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    /* In memory where there is such a folder: every artifact has its fsyncs. */
    if (!getenv("SAMP_TEST_8B") && access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 0);
    const struct CMUnitTest tests[] = {
        TEST(recipes_weigh_what_they_say), TEST(mixed_plans_weigh_what_they_say),
        TEST(room_is_what_the_disk_has), TEST(llama_70b_fits_38_gigabytes),
        TEST(llama_8b_is_written_as_predicted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
