/* samp plan: a number format for every group of weights, within a budget. */
#include "base/memory.h"
#include "command/command.h"
#include "command/terminal.h"
#include "file/file.h"
#include "plan/plan.h"

#include <string.h>

typedef struct plan_options {
    const char *sensitivity, *out, *hardware;
    int64_t budget, batch;
    double max_ms;
    samp_text_list pins;
    bool a8, json, groups;
} plan_options;

static const samp_option options[] = {
    SAMP_OPTION(plan_options, TEXT, sensitivity, "sensitivity", 's', "FILE", .required = true,
                .help = "what samp measure wrote"),
    SAMP_OPTION(plan_options, BYTES, budget, "budget", 'b', "BYTES", .max = 1e15,
                .help = "most bytes of the weight files, such as 84MB or 38GB; 0 = no limit"),
    SAMP_OPTION(plan_options, NUMBER, max_ms, "max-ms", 0, "MS", .max = 1e6,
                .help = "most milliseconds a step takes on --hardware; 0 = no limit"),
    SAMP_OPTION(plan_options, CHOICE, hardware, "hardware", 0, "NAME",
                .choices = "any|h100|h200|a100|l40s|rtx4090|cpu", .initial = "any",
                .help = "hardware it will run on: what it multiplies well, and times"),
    SAMP_OPTION(plan_options, INTEGER, batch, "batch", 0, "N", .initial = "1", .min = 1,
                .max = 4096, .help = "sequences a step, for the times"),
    SAMP_OPTION(plan_options, LIST, pins, "pin", 0, "PATTERN=FORMAT",
                .help = "fix the format of groups, such as head=int8 or layers.0.*=fp16"),
    SAMP_OPTION(plan_options, FLAG, a8, "a8", 0, NULL,
                .help = "allow inputs in one INT8 part where that costs little"),
    SAMP_OPTION(plan_options, TEXT, out, "out", 'o', "FILE", .help = "plan to write (JSON)"),
    SAMP_OPTION(plan_options, FLAG, groups, "groups", 0, NULL, .help = "list every group"),
    SAMP_OPTION(plan_options, FLAG, json, "json", 0, NULL, .help = "print the plan as JSON"),
};

/* One line a layer would be long: formats a kind of group got, with how many layers. */
static void print_formats(const samp_plan *plan)
{
    static const char *const headers[] = {"group", "formats (layers)", "bits", "size",
                                          "predicted KL"};
    samp_table table;
    samp_table_begin(&table, "llrrr", 5, headers);
    for (int kind = 0; kind < SAMP_GROUP_KINDS; kind++) {
        uint32_t counts[SAMP_FORMAT_COUNT] = {0};
        uint64_t bytes = 0;
        double weights = 0, kl = 0;
        for (size_t g = 0; g < plan->n_entries; g++) {
            const samp_plan_entry *e = &plan->entries[g];
            if ((int)e->group->kind != kind) continue;
            counts[e->choice->format->id]++;
            bytes += e->choice->bytes;
            weights += (double)e->group->rows * (double)e->group->cols;
            kl += e->kl;
        }
        if (weights == 0) continue;
        char formats[200] = "", bits[32], size[32], cost[32];
        for (int f = SAMP_FORMAT_COUNT; f--;) {
            size_t at = strlen(formats);
            if (counts[f])
                snprintf(formats + at, sizeof formats - at, "%s%s %u", at ? ", " : "",
                         samp_format_get((samp_format_id)f)->name, counts[f]);
        }
        snprintf(bits, sizeof bits, "%.3f", 8.0 * (double)bytes / weights);
        snprintf(cost, sizeof cost, "%.5f", kl);
        const char *cells[] = {samp_group_kind_name((samp_group_kind)kind), formats, bits,
                               samp_show_bytes(size, (double)bytes), cost};
        samp_table_row(&table, 5, cells);
    }
    samp_table_print(&table, stdout);
    samp_table_release(&table);
}

static void print_groups(const samp_plan *plan)
{
    static const char *const headers[] = {"group", "format", "rounding",
                                          "input", "size",   "predicted KL"};
    samp_table table;
    samp_table_begin(&table, "lllrrr", 6, headers);
    for (size_t g = 0; g < plan->n_entries; g++) {
        const samp_plan_entry *e = &plan->entries[g];
        char input[16], size[32], kl[32];
        snprintf(input, sizeof input, "a%d", e->activation_bits);
        snprintf(kl, sizeof kl, "%.6f", e->kl);
        const char *cells[] = {e->group->name,
                               e->choice->format->name,
                               samp_rounding_name(e->choice->rounding),
                               input,
                               samp_show_bytes(size, (double)e->choice->bytes),
                               kl};
        samp_table_row(&table, 6, cells);
    }
    samp_table_print(&table, stdout);
    putchar('\n');
    samp_table_release(&table);
}

static samp_status print_front(const samp_sensitivity *s, const samp_plan_options *how,
                               const samp_plan *plan, samp_error *error)
{
    enum { POINTS = 9 };
    uint64_t bytes[POINTS];
    double kl[POINTS];
    SAMP_TRY(samp_plan_front(s, how, POINTS, bytes, kl, error));
    static const char *const headers[] = {"what other budgets would give", "predicted KL"};
    samp_table table;
    samp_table_begin(&table, "rr", 2, headers);
    for (int i = 0; i < POINTS; i++) {
        char size[32], cost[32];
        snprintf(cost, sizeof cost, "%.5f", kl[i]);
        const char *cells[] = {samp_show_bytes(size, (double)bytes[i]), cost};
        samp_table_row(&table, 2, cells);
    }
    putchar('\n');
    samp_table_print(&table, stdout);
    samp_table_release(&table);
    if (plan->solution.price_of_byte > 0) {
        double step = (double)plan->weight_bytes / 100;
        char size[32];
        printf("\nOne per cent more (%s) would lower the predicted KL by about %.5f.\n",
               samp_show_bytes(size, step), plan->solution.price_of_byte * step);
    }
    return SAMP_OK;
}

static samp_status print_plan(const plan_options *o, const samp_sensitivity *s,
                              const samp_plan_options *how, const samp_plan *plan,
                              samp_error *error)
{
    const samp_solution *r = &plan->solution;
    if (o->groups) print_groups(plan);
    print_formats(plan);
    char weights[32], files[32];
    printf("\n%s of weights, at most %s with norms and headers; predicted KL %.5f nats a token.\n",
           samp_show_bytes(weights, (double)plan->weight_bytes),
           samp_show_bytes(files, (double)(r->bytes + plan->fixed_bytes)), r->cost);
    if (how->hardware)
        printf("A step of %u takes %.3f ms of weights on %s (%s).\n", how->batch, r->seconds * 1e3,
               how->hardware->title, how->hardware->source);
    if (r->exact)
        puts("No plan of these choices within the limits is predicted to be better.");
    else
        printf("At most %.2f %% better could exist (bound %.5f).\n",
               r->cost > 0 ? 100 * (r->cost - r->bound) / r->cost : 0, r->bound);
    return print_front(s, how, plan, error);
}

static samp_status make_plan(const plan_options *o, const samp_plan_options *how, samp_error *error)
{
    samp_sensitivity s;
    samp_plan plan = {0};
    SAMP_TRY(samp_sensitivity_load(&s, o->sensitivity, error));
    samp_status status = samp_plan_make(&plan, &s, how, error);
    json_t *json = status == SAMP_OK ? samp_plan_json(&plan, &s, how) : NULL;
    char moments[4096];
    if (json &&
        (size_t)snprintf(moments, sizeof moments, "%s.safetensors", o->sensitivity) <
            sizeof moments &&
        samp_is_file(moments))
        samp_json_set(json, "moments", json_string(moments));
    if (status == SAMP_OK && o->out) {
        char *text = json ? json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
        status = text ? samp_file_write(o->out, text, strlen(text), error)
                      : samp_fail(error, SAMP_NOMEM, "out of memory for the plan");
        samp_free(text);
    }
    if (status == SAMP_OK)
        status = o->json ? samp_print_json(json_incref(json), error)
                         : print_plan(o, &s, how, &plan, error);
    json_decref(json);
    samp_plan_release(&plan);
    samp_sensitivity_release(&s);
    return status;
}

static int run(const void *given, const char *const *arguments, size_t n, samp_error *error)
{
    (void)arguments;
    (void)n;
    const plan_options *o = given;
    samp_plan_options how = {.max_bytes = (uint64_t)o->budget,
                             .max_seconds = o->max_ms / 1e3,
                             .hardware = samp_hardware_find(o->hardware),
                             .batch = (uint32_t)o->batch,
                             .allow_a8 = o->a8,
                             .n_pins = o->pins.count};
    if (o->max_ms > 0 && !how.hardware) {
        samp_fail(error, SAMP_INVALID, "--max-ms needs --hardware: times differ between machines");
        return SAMP_EXIT_USAGE;
    }
    for (size_t i = 0; i < o->pins.count; i++)
        if (samp_plan_pin_parse(o->pins.items[i], &how.pins[i], error) != SAMP_OK)
            return SAMP_EXIT_USAGE;
    samp_status status = make_plan(o, &how, error);
    if (status != SAMP_LIMIT) return status == SAMP_OK ? SAMP_EXIT_DONE : SAMP_EXIT_ERROR;
    fprintf(stderr, "samp plan: %s\n", error->message); /* an answer, not a failure */
    return SAMP_EXIT_NO;
}

const samp_command samp__cmd_plan = {
    .name = "plan",
    .summary = "choose a number format for every group of weights",
    .arguments = "",
    .description = "Chooses formats so that the predicted KL divergence is least within the "
                   "budget: exactly, not by\n"
                   "rule of thumb, and says how much better another plan could be. Groups are what "
                   "engines need in\n"
                   "one format: q, k and v; o; gate and up; down; embedding; head. Exit code 1 "
                   "when the budget\n"
                   "cannot be met; then the least that can is named.",
    .examples =
        "  $ samp plan --sensitivity sensitivity.json --budget 84MB --out plan.json\n"
        "  $ samp plan -s s.json -b 38GB --hardware h100 --max-ms 12 --pin head=int8 --groups\n",
    SAMP_OPTIONS(options),
    .options_size = sizeof(plan_options),
    .run = run,
};
