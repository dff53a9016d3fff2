/* From sensitivity to a plan: budgets, pins, hardware, errors. The sensitivity is made up: two layers and a head. */
#include "plan/plan.h"
#include "support/cmocka_all.h"

#include <string.h>

enum { GROUPS = 9, FORMATS = 4 };

static samp_sensitivity s;
static samp_sensitivity_group groups[GROUPS];
static samp_sensitivity_choice choices[GROUPS][FORMATS];
static char names[GROUPS][1][96];
static samp_error error;

static int make(void **state)
{
    (void)state;
    static const samp_format_id formats[FORMATS] = {SAMP_FORMAT_NF4A, SAMP_FORMAT_INT6,
                                                    SAMP_FORMAT_FP8, SAMP_FORMAT_INT8};
    static const double errors[FORMATS] = {8e-3, 5e-4, 7e-4, 3e-5};
    for (size_t g = 0; g < GROUPS; g++) {
        samp_sensitivity_group *group = &groups[g];
        group->kind = g == GROUPS - 1 ? SAMP_GROUP_HEAD : (samp_group_kind)(g % 4);
        group->layer = (uint32_t)(g / 4);
        group->rows = 640, group->cols = 128;
        group->alpha = 1.0 + (double)g;
        group->activation_kl = 1e-5;
        if (g == GROUPS - 1)
            snprintf(group->name, sizeof group->name, "head");
        else
            snprintf(group->name, sizeof group->name, "layers.%u.%s", group->layer,
                     samp_group_kind_name(group->kind));
        snprintf(names[g][0], sizeof names[g][0], "model.%.80s.weight", group->name);
        group->weights = names[g];
        group->n_weights = 1;
        for (size_t f = 0; f < FORMATS; f++) {
            samp_layout layout;
            const samp_format *format = samp_format_get(formats[f]);
            assert_int_equal(format->layout(640, 128, &layout, &error), SAMP_OK);
            choices[g][f] = (samp_sensitivity_choice){format, SAMP_ROUNDING_SEARCH, layout.bytes,
                                                      errors[f], group->alpha * errors[f]};
        }
        group->choices = choices[g];
        group->n_choices = FORMATS;
    }
    s = (samp_sensitivity){.groups = groups, .n_groups = GROUPS, .bias = 1.25, .n_tokens = 1};
    return 0;
}

static samp_status plan_for(samp_plan_options *o, samp_plan *plan)
{
    return samp_plan_make(plan, &s, o, &error);
}

static void budget_is_kept_and_spent_where_it_pays(void **state)
{
    (void)state;
    samp_plan all, plan;
    samp_plan_options o = {0};
    assert_int_equal(plan_for(&o, &all), SAMP_OK);
    for (size_t g = 0; g < GROUPS; g++)
        assert_int_equal(all.entries[g].choice->format->id, SAMP_FORMAT_INT8);
    o.max_bytes = all.fixed_bytes + all.solution.bytes * 3 / 4;
    assert_int_equal(plan_for(&o, &plan), SAMP_OK);
    assert_true(plan.fixed_bytes + plan.solution.bytes <= o.max_bytes);
    assert_true(plan.solution.exact);
    double kl = 0;
    uint64_t bytes = 0;
    for (size_t g = 0; g < GROUPS; g++) {
        kl += plan.entries[g].kl, bytes += plan.entries[g].choice->bytes;
        /* groups are alike but for alpha: a more sensitive one never gets fewer bytes */
        if (g) assert_true(plan.entries[g].choice->bytes >= plan.entries[g - 1].choice->bytes);
    }
    assert_float_equal(kl, plan.solution.cost, 1e-12);
    assert_int_equal(bytes, plan.weight_bytes);
    samp_plan_release(&all);
    samp_plan_release(&plan);
}

static void impossible_budget_says_what_is_possible(void **state)
{
    (void)state;
    samp_plan plan;
    samp_plan_options o = {.max_bytes = 200000};
    assert_int_equal(plan_for(&o, &plan), SAMP_LIMIT);
    assert_non_null(strstr(error.message, "need"));
    o.max_bytes = 10;
    assert_int_equal(plan_for(&o, &plan), SAMP_LIMIT);
}

static void pins_hold_and_are_checked(void **state)
{
    (void)state;
    samp_plan plan;
    samp_plan_options o = {.n_pins = 2};
    assert_int_equal(samp_plan_pin_parse("layers.0.*=nf4a", &o.pins[0], &error), SAMP_OK);
    assert_int_equal(samp_plan_pin_parse("*.qkv=int6", &o.pins[1], &error), SAMP_OK);
    assert_int_equal(plan_for(&o, &plan), SAMP_OK);
    assert_int_equal(plan.entries[0].choice->format->id, SAMP_FORMAT_INT6); /* the last pin wins */
    assert_int_equal(plan.entries[1].choice->format->id, SAMP_FORMAT_NF4A);
    assert_int_equal(plan.entries[5].choice->format->id, SAMP_FORMAT_INT8);
    samp_plan_release(&plan);
    assert_int_equal(samp_plan_pin_parse("head", &o.pins[0], &error), SAMP_INVALID);
    assert_int_equal(samp_plan_pin_parse("=int8", &o.pins[0], &error), SAMP_INVALID);
    assert_int_equal(samp_plan_pin_parse("head=q4", &o.pins[0], &error), SAMP_INVALID);
    o.n_pins = 1;
    assert_int_equal(samp_plan_pin_parse("layers.7.*=int8", &o.pins[0], &error), SAMP_OK);
    assert_int_equal(plan_for(&o, &plan), SAMP_INVALID);
    assert_non_null(strstr(error.message, "fits no group"));
    assert_int_equal(samp_plan_pin_parse("head=fp16", &o.pins[0], &error), SAMP_OK);
    assert_int_equal(plan_for(&o, &plan), SAMP_INVALID);
    assert_non_null(strstr(error.message, "not measured"));
}

/* FP8 only where a chip multiplies it; a limit of time is kept, by a8 inputs where they pay. */
static void hardware_decides_what_may_be_chosen(void **state)
{
    (void)state;
    samp_multiply how;
    const samp_format *fp8 = samp_format_get(SAMP_FORMAT_FP8),
                      *int8 = samp_format_get(SAMP_FORMAT_INT8);
    samp_hardware a100, cpu, h100;
    assert_int_equal(samp_hardware_load(&a100, "a100", &error), SAMP_OK);
    assert_int_equal(samp_hardware_load(&cpu, "cpu", &error), SAMP_OK);
    assert_int_equal(samp_hardware_load(&h100, "h100", &error), SAMP_OK);
    assert_false(samp_hardware_multiplies(&a100, fp8, &how));
    assert_false(samp_hardware_multiplies(&cpu, fp8, &how));
    assert_true(samp_hardware_multiplies(&h100, fp8, &how) && how == SAMP_MULTIPLY_FP8);
    assert_true(samp_hardware_multiplies(&a100, int8, &how) && how == SAMP_MULTIPLY_INT8);
    samp_plan fast, free_plan, stiff;
    samp_plan_options o = {.hardware = &cpu, .batch = 64};
    assert_int_equal(plan_for(&o, &free_plan), SAMP_OK);
    double sum = 0;
    for (size_t g = 0; g < GROUPS; g++) {
        assert_int_equal(free_plan.entries[g].activation_bits, 16); /* no limit: nothing to gain */
        sum += free_plan.entries[g].time.seconds;
    }
    assert_float_equal(sum, free_plan.time.seconds, 1e-12);
    assert_float_equal(sum, free_plan.solution.seconds, 1e-12);
    o.max_seconds = free_plan.solution.seconds * 0.7;
    assert_int_equal(plan_for(&o, &fast), SAMP_OK);
    assert_true(fast.solution.seconds <= o.max_seconds);
    assert_true(fast.solution.cost > free_plan.solution.cost);
    size_t a8 = 0;
    for (size_t g = 0; g < GROUPS; g++) a8 += fast.entries[g].activation_bits == 8;
    assert_true(a8 > 0);
    o.a16_only = true; /* dearer, or impossible */
    samp_status status = plan_for(&o, &stiff);
    assert_true(status == SAMP_LIMIT || stiff.solution.cost > fast.solution.cost);
    if (status == SAMP_OK) samp_plan_release(&stiff);
    o.a16_only = false;
    o.max_seconds = free_plan.solution.seconds * 1e-3;
    samp_plan none;
    assert_int_equal(plan_for(&o, &none), SAMP_LIMIT);
    samp_plan_release(&fast);
    samp_plan_release(&free_plan);
    samp_hardware_release(&a100);
    samp_hardware_release(&cpu);
    samp_hardware_release(&h100);
}

/* Attention takes its share of a limit of time, with the positions and the sequences. */
static void attention_counts_against_the_limit(void **state)
{
    (void)state;
    samp_hardware cpu;
    samp_plan none, few, many;
    assert_int_equal(samp_hardware_load(&cpu, "cpu", &error), SAMP_OK);
    samp_plan_options o = {.hardware = &cpu, .batch = 1};
    assert_int_equal(plan_for(&o, &none), SAMP_OK);
    assert_true(none.attention == 0);
    o.positions = 100;
    assert_int_equal(plan_for(&o, &few), SAMP_OK);
    o.positions = 100000;
    assert_int_equal(plan_for(&o, &many), SAMP_OK);
    assert_true(few.attention > 0 && many.attention > 10 * few.attention);
    assert_float_equal(many.time.seconds, none.time.seconds, 1e-15);
    o.max_seconds = many.attention;
    samp_plan impossible;
    assert_int_equal(plan_for(&o, &impossible), SAMP_LIMIT);
    assert_non_null(strstr(error.message, "attention to 100000 positions"));
    o.positions = 0; /* the same limit, all of it for products */
    samp_plan possible;
    assert_int_equal(plan_for(&o, &possible), SAMP_OK);
    samp_plan_release(&possible);
    samp_plan_release(&none);
    samp_plan_release(&few);
    samp_plan_release(&many);
    samp_hardware_release(&cpu);
}

static void front_falls_with_bytes(void **state)
{
    (void)state;
    samp_plan_point points[7];
    size_t n;
    samp_plan_options o = {0};
    assert_int_equal(samp_plan_front(&s, &o, 7, points, &n, &error), SAMP_OK);
    assert_true(n >= 4 && n <= 7);
    for (size_t i = 1; i < n; i++)
        assert_true(points[i].bytes > points[i - 1].bytes && points[i].kl < points[i - 1].kl);
    assert_true(points[0].kl > 10 * points[n - 1].kl);
}

static void json_names_every_module(void **state)
{
    (void)state;
    samp_plan plan;
    samp_plan_options o = {.max_bytes = 700000};
    assert_int_equal(plan_for(&o, &plan), SAMP_OK);
    json_t *root = samp_plan_json(&plan, &s, &o);
    assert_non_null(root);
    assert_int_equal(json_object_size(json_object_get(root, "modules")), GROUPS);
    const json_t *module = json_object_get(json_object_get(root, "modules"), "model.head");
    assert_string_equal(json_string_value(json_object_get(module, "format")),
                        plan.entries[GROUPS - 1].choice->format->name);
    json_decref(root);
    samp_plan_release(&plan);
}

/* The head as two groups, the first an eighth as many rows, as sensitive as the rest: pins for
 * "head" mean both; one weight again when both got the same, else two modules and where it is cut. */
static void a_cut_head_is_two_modules_or_one(void **state)
{
    (void)state;
    static samp_sensitivity_group cut[GROUPS + 1];
    static char parts[2][1][96] = {{"lm_head.first.weight"}, {"lm_head.rest.weight"}};
    memcpy(cut, groups, sizeof groups);
    samp_sensitivity_choice few[FORMATS];
    cut[GROUPS] = cut[GROUPS - 1];
    for (size_t f = 0; f < FORMATS; f++) {
        few[f] = choices[GROUPS - 1][f];
        few[f].bytes /= 8;
    }
    cut[GROUPS - 1].choices = few, cut[GROUPS - 1].rows = 80;
    for (int i = 0; i < 2; i++) {
        cut[GROUPS - 1 + i].weights = parts[i];
        snprintf(cut[GROUPS - 1 + i].name, 40, i ? "head.rest" : "head.first");
    }
    samp_sensitivity two = s;
    two.groups = cut, two.n_groups = GROUPS + 1;
    samp_plan plan;
    samp_plan_options o = {.max_bytes = 560000};
    assert_int_equal(samp_plan_make(&plan, &two, &o, &error), SAMP_OK);
    assert_ptr_not_equal(plan.entries[GROUPS - 1].choice->format,
                         plan.entries[GROUPS].choice->format);
    json_t *root = samp_plan_json(&plan, &two, &o);
    assert_int_equal(json_integer_value(json_object_get(root, "first_rows")), 80);
    const json_t *modules = json_object_get(root, "modules");
    assert_int_equal(json_object_size(modules), GROUPS + 1);
    assert_non_null(json_object_get(modules, "lm_head.first"));
    assert_non_null(json_object_get(modules, "lm_head.rest"));
    json_decref(root);
    samp_plan_release(&plan);
    o = (samp_plan_options){.n_pins = 1};
    assert_int_equal(samp_plan_pin_parse("head=int6", &o.pins[0], &error), SAMP_OK);
    assert_int_equal(samp_plan_make(&plan, &two, &o, &error), SAMP_OK);
    root = samp_plan_json(&plan, &two, &o);
    assert_null(json_object_get(root, "first_rows"));
    modules = json_object_get(root, "modules");
    assert_int_equal(json_object_size(modules), GROUPS);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(modules, "lm_head"), "format")), "int6");
    json_decref(root);
    samp_plan_release(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(budget_is_kept_and_spent_where_it_pays),
                                       cmocka_unit_test(impossible_budget_says_what_is_possible),
                                       cmocka_unit_test(pins_hold_and_are_checked),
                                       cmocka_unit_test(hardware_decides_what_may_be_chosen),
                                       cmocka_unit_test(attention_counts_against_the_limit),
                                       cmocka_unit_test(front_falls_with_bytes),
                                       cmocka_unit_test(json_names_every_module),
                                       cmocka_unit_test(a_cut_head_is_two_modules_or_one)};
    return cmocka_run_group_tests(tests, make, NULL);
}
