/* samp measure on small models: layer by layer equals the whole model; a stopped run goes on to the same result; errors equal
 * a direct computation; probes and the whole are real KL divergences; bad input is refused. */
#include "eval/compare.h"
#include "format/feedback.h"
#include "plan/measure.h"
#include "plan/plan.h"
#include "run/layered.h"
#include "support/tiny_session.h"

#include <math.h>
#include <unistd.h>

enum { WINDOW = 48, WINDOWS = 5, TOKENS = WINDOW * WINDOWS + 7 };

static char *folder, *scratch;
static int32_t tokens[TOKENS];
static samp_config config;

static int set_up(void **state)
{
    (void)state;
    folder = tiny_folder();
    scratch = tiny_folder();
    config = tiny_config_even();
    tiny_write(folder, &config, 11);
    random_tokens(tokens, TOKENS, config.vocab_size, 3);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tiny_remove(folder);
    tiny_remove(scratch);
    return 0;
}

static const char *in_scratch(const char *name)
{
    static char path[4][600];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", scratch, name);
    return path[next];
}

/* Stops after `left` reports. */
static bool stop_after(void *context, const char *what, uint64_t done, uint64_t total)
{
    (void)what;
    int *left = context;
    assert_true(done <= total);
    return (*left)-- > 0;
}

static samp_measure_options options_for(const char *work)
{
    return (samp_measure_options){.work_folder = in_scratch(work),
                                  .tokens = tokens,
                                  .n_tokens = TOKENS,
                                  .window = WINDOW,
                                  .probe_windows = 2,
                                  .score_every = 3,
                                  .n_threads = 2};
}

static samp_status measure_with(const samp_measure_options *options, samp_sensitivity *out,
                                samp_error *error)
{
    samp_model *model;
    OK(samp_model_open(&model, folder, e));
    samp_status status = samp_measure(model, options, out, error);
    samp_model_close(model);
    return status;
}

static void layer_by_layer_equals_the_whole_model(void **state)
{
    (void)state;
    samp_session *session = session_on(folder, (samp_session_options){.n_threads = 1});
    float *expected = logits_of(session, tokens, WINDOW);
    samp_model *model;
    samp_layered *layered;
    samp_layered_head *head;
    float *x = samp_alloc((size_t)WINDOW * config.dim, sizeof *x);
    float *logits = samp_alloc((size_t)WINDOW * config.vocab_size, sizeof *logits);
    OK(samp_model_open(&model, folder, e));
    OK(samp_layered_open(&layered, model, &(samp_session_options){.n_threads = 2}, WINDOW, e));
    OK(samp_layered_embed(layered, NULL, tokens, WINDOW, x, e));
    for (uint32_t layer = 0; layer < config.n_layers; layer++) {
        samp_layered_block *block;
        OK(samp_layered_block_create(layered, layer, NULL, &block, e));
        OK(samp_layered_run(layered, block, WINDOW, x, NULL, e));
        samp_layered_block_release(layered, block);
    }
    OK(samp_layered_head_create(layered, NULL, &head, e));
    const samp_layered_head *heads[2] = {head, head};
    OK(samp_layered_logits(layered, heads, x, WINDOW, logits, NULL, e));
    assert_memory_equal(logits, expected, (size_t)WINDOW * config.vocab_size * sizeof *logits);
    samp_layered_head_release(layered, head);
    samp_layered_close(layered);
    samp_model_close(model);
    samp_session_close(session);
    samp_free(expected);
    samp_free(logits);
    samp_free(x);
}

static void saved(const samp_sensitivity *s, const char *name, samp_buffer *out)
{
    OK(samp_sensitivity_save(s, in_scratch(name), e));
    OK(samp_file_slurp(in_scratch(name), 1 << 24, out, e));
}

/* Stopped at several places and continued: the same file as without a stop. */
static void a_stopped_run_goes_on(void **state)
{
    (void)state;
    samp_sensitivity whole, parts;
    samp_error error;
    samp_measure_options options = options_for("whole");
    assert_int_equal(measure_with(&options, &whole, &error), SAMP_OK);
    options = options_for("parts");
    int stops = 0;
    for (int left = 9;; left += 7) {
        int remaining = left;
        options.progress = (samp_progress){stop_after, &remaining};
        samp_status status = measure_with(&options, &parts, &error);
        if (status == SAMP_OK) break;
        assert_int_equal(status, SAMP_CANCELLED);
        stops++;
    }
    assert_true(stops >= 3);
    samp_buffer a = {0}, b = {0};
    memcpy(whole.model, "m", 2), memcpy(parts.model, "m", 2);
    saved(&whole, "a.json", &a);
    saved(&parts, "b.json", &b);
    assert_int_equal(a.length, b.length);
    assert_memory_equal(a.data, b.data, a.length);
    assert_int_not_equal(access(in_scratch("parts"), F_OK), 0); /* the work folder is gone */
    samp_buffer_release(&a);
    samp_buffer_release(&b);
    samp_sensitivity_release(&whole);
    samp_sensitivity_release(&parts);
}

static const samp_sensitivity_choice *choice_of(const samp_sensitivity_group *group,
                                                samp_format_id id)
{
    for (uint32_t c = 0; c < group->n_choices; c++)
        if (group->choices[c].format->id == id) return &group->choices[c];
    fail_msg("%s lacks format %d", group->name, (int)id);
    return NULL;
}

/* Second moments of a group's inputs [cols][cols], from the file: H_jj = sum over k <= j of A_jk^2 D_k gives D, and
 * A D A^T less the damping is H. Diagonal where the file has no factor. */
static double *read_products(samp_safetensors *file, const samp_sensitivity_group *group)
{
    char name[64];
    uint64_t n = group->cols;
    float *moment = samp_alloc(n, sizeof *moment);
    double *a = samp_alloc(n * n, sizeof *a), *d = samp_alloc(n, sizeof *d),
           *h = samp_alloc(n * n, sizeof *h), damping = 0;
    const char *input = group->kind == SAMP_GROUP_HEAD ? "head" : group->name;
    snprintf(name, sizeof name, "%s.moment", input);
    const samp_tensor_info *info = samp_safetensors_find(file, name);
    assert_non_null(info);
    OK(samp_safetensors_read(file, info, 0, moment, n * sizeof *moment, e));
    snprintf(name, sizeof name, "%s.feedback", input);
    info = samp_safetensors_find(file, name);
    assert_true((info != NULL) == (group->kind != SAMP_GROUP_EMBED));
    if (info) {
        uint16_t *factor = samp_alloc(samp_feedback_values(n), sizeof *factor);
        OK(samp_safetensors_read(file, info, 0, factor, samp_feedback_values(n) * 2, e));
        for (uint64_t j = 1; j < n; j++)
            for (uint64_t k = 0; k < j; k++)
                a[j * n + k] = (double)samp_fp16_to_float(factor[samp_feedback_values(j) + k]);
        for (uint64_t j = 0; j < n; j++) damping += .1 * (double)moment[j] / (double)n;
        samp_free(factor);
    }
    for (uint64_t j = 0; j < n; j++) {
        a[j * n + j] = 1;
        d[j] = (double)moment[j] + damping;
        for (uint64_t k = 0; k < j; k++) d[j] -= a[j * n + k] * a[j * n + k] * d[k];
        for (uint64_t i = 0; i <= j; i++) {
            for (uint64_t k = 0; k <= i; k++) h[j * n + i] += a[j * n + k] * d[k] * a[i * n + k];
            h[i * n + j] = h[j * n + i];
        }
        h[j * n + j] -= damping;
    }
    samp_free(moment), samp_free(a), samp_free(d);
    return h;
}

/* e H e^T of a row. */
static double square_of(const double *h, const double *row, uint64_t n)
{
    double sum = 0;
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t k = 0; k < n; k++) sum += row[i] * h[i * n + k] * row[k];
    return sum;
}

/* fp16's error needs no search and no scales: recompute it from weights and products of inputs. */
static void errors_equal_a_direct_computation(void **state)
{
    (void)state;
    samp_sensitivity s;
    samp_error error;
    samp_measure_options options = options_for("errors");
    options.moments_path = in_scratch("errors.safetensors");
    options.first_ids = 20; /* of 203: the head is two groups */
    assert_int_equal(measure_with(&options, &s, &error), SAMP_OK);
    samp_model *model;
    samp_safetensors *moments;
    OK(samp_model_open(&model, folder, e));
    OK(samp_model_cut_head(model, options.first_ids, e));
    OK(samp_safetensors_open(&moments, options.moments_path, e));
    assert_int_equal(s.n_groups, config.n_layers * 4 + 3);
    for (size_t g = 0; g < s.n_groups; g++) {
        const samp_sensitivity_group *group = &s.groups[g];
        uint64_t cols = group->cols;
        double *h = read_products(moments, group), change = 0, total = 0;
        float *w = samp_alloc(group->rows * cols, sizeof *w);
        double *row = samp_alloc(cols, sizeof *row), *lost = samp_alloc(cols, sizeof *lost);
        for (uint32_t i = 0; i < group->n_weights; i++) {
            const samp_weight_ref *ref = NULL;
            for (size_t k = 0; k < samp_model_count(model); k++)
                if (strcmp(samp_model_at(model, k)->name, group->weights[i]) == 0)
                    ref = samp_model_at(model, k);
            assert_non_null(ref);
            void *scales[SAMP_PARTS_MAX] = {0};
            OK(samp_model_read_rows(model, ref, 0, ref->layout.rows, scales, w, e));
            for (uint64_t r = 0; r < ref->layout.rows; r++) {
                for (uint64_t k = 0; k < cols; k++) {
                    float x = w[r * cols + k];
                    row[k] = (double)x;
                    lost[k] = (double)x - (double)samp_fp16_to_float(samp_float_to_fp16(x));
                }
                change += square_of(h, lost, cols);
                total += square_of(h, row, cols);
            }
        }
        double measured = choice_of(group, SAMP_FORMAT_FP16)->error;
        assert_true(fabs(measured / (change / total) - 1) < .03);
        samp_free(h), samp_free(w), samp_free(row), samp_free(lost);
    }
    samp_safetensors_close(moments);
    samp_model_close(model);
    samp_sensitivity_release(&s);
}

/* More bits cost more bytes and less divergence; every alpha is positive and finite; the file reads back the same. */
static void sensitivity_makes_sense_and_reads_back(void **state)
{
    (void)state;
    samp_sensitivity s, again;
    samp_error error;
    samp_measure_options options = options_for("sense");
    samp_measure_speed speed;
    options.speed = &speed;
    assert_int_equal(measure_with(&options, &s, &error), SAMP_OK);
    assert_true(speed.pass_tokens == WINDOW * WINDOWS && speed.pass_s > 0);
    assert_true(speed.probe_tokens > WINDOW && speed.probe_s > 0);
    options.speed = NULL;
    memcpy(s.model, "m", 2);
    assert_int_equal(s.n_tokens, WINDOW * WINDOWS);
    assert_int_equal(s.n_probe_tokens, 2 * (WINDOW / 3));
    assert_true(s.bias > 0.3 && s.bias < 3);
    static const samp_format_id order[] = {SAMP_FORMAT_NF4A, SAMP_FORMAT_NF5A, SAMP_FORMAT_NF6A,
                                           SAMP_FORMAT_INT8, SAMP_FORMAT_FP16};
    for (size_t g = 0; g < s.n_groups; g++) {
        assert_true(s.groups[g].alpha > 0 && isfinite(s.groups[g].alpha));
        for (size_t i = 1; i < sizeof order / sizeof *order; i++) {
            const samp_sensitivity_choice *less = choice_of(&s.groups[g], order[i - 1]),
                                          *more = choice_of(&s.groups[g], order[i]);
            assert_true(less->bytes < more->bytes && less->kl > more->kl && more->kl >= 0);
        }
    }
    samp_buffer a = {0}, b = {0};
    saved(&s, "s.json", &a);
    OK(samp_sensitivity_load(&again, in_scratch("s.json"), e));
    saved(&again, "t.json", &b);
    assert_int_equal(a.length, b.length);
    assert_memory_equal(a.data, b.data, a.length);
    samp_buffer_release(&a);
    samp_buffer_release(&b);
    samp_sensitivity_release(&s);
    samp_sensitivity_release(&again);
}

/* Of a tied model each part of the head is embedding and head of its ids; as one or as two, the head
 * costs about the same, and all other groups exactly the same. */
static void a_cut_head_costs_what_the_whole_costs(void **state)
{
    (void)state;
    samp_sensitivity whole, parts;
    samp_error error;
    samp_config saved_config = config;
    config.tied_embeddings = true;
    tiny_write(folder, &config, 12);
    samp_measure_options options = options_for("tied");
    assert_int_equal(measure_with(&options, &whole, &error), SAMP_OK);
    options.first_ids = 25;
    options.moments_path = in_scratch("tied.safetensors");
    assert_int_equal(measure_with(&options, &parts, &error), SAMP_OK);
    size_t n = whole.n_groups;
    assert_int_equal(parts.n_groups, n + 1);
    assert_string_equal(whole.groups[n - 1].name, "head");
    assert_string_equal(parts.groups[n - 1].name, "head.first");
    assert_string_equal(parts.groups[n].name, "head.rest");
    assert_string_equal(parts.groups[n].weights[0], "model.embed_tokens.rest.weight");
    assert_string_equal(whole.model_digest, parts.model_digest);
    for (size_t g = 0; g + 1 < n; g++) assert_true(whole.groups[g].alpha == parts.groups[g].alpha);
    const samp_format_id base = SAMP_FORMAT_NF4A;
    double one = choice_of(&whole.groups[n - 1], base)->kl,
           two[] = {choice_of(&parts.groups[n - 1], base)->kl,
                    choice_of(&parts.groups[n], base)->kl};
    assert_true(two[0] > 0 && two[1] > 0);
    assert_true((two[0] + two[1]) / one > .6 && (two[0] + two[1]) / one < 1.6);
    assert_int_equal(choice_of(&whole.groups[n - 1], SAMP_FORMAT_INT8)->bytes,
                     choice_of(&parts.groups[n - 1], SAMP_FORMAT_INT8)->bytes +
                         choice_of(&parts.groups[n], SAMP_FORMAT_INT8)->bytes);
    samp_sensitivity_release(&whole);
    samp_sensitivity_release(&parts);
    config = saved_config;
    tiny_write(folder, &config, 11);
}

static void bad_input_is_refused(void **state)
{
    (void)state;
    samp_sensitivity s;
    samp_error error;
    samp_measure_options options = options_for("bad");
    options.n_tokens = WINDOW - 1;
    assert_int_equal(measure_with(&options, &s, &error), SAMP_INVALID);
    assert_non_null(strstr(error.message, "window"));
    options = options_for("bad");
    options.work_folder = "/proc/nowhere/at/all";
    assert_true(measure_with(&options, &s, &error) != SAMP_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(layer_by_layer_equals_the_whole_model),
                                       cmocka_unit_test(a_stopped_run_goes_on),
                                       cmocka_unit_test(errors_equal_a_direct_computation),
                                       cmocka_unit_test(sensitivity_makes_sense_and_reads_back),
                                       cmocka_unit_test(a_cut_head_costs_what_the_whole_costs),
                                       cmocka_unit_test(bad_input_is_refused)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
