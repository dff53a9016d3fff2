/* samp plan: a number format for every group of weights, within a budget. */
#include "command/command.h"
#include "command/steps.h"
#include "command/terminal.h"

#include <math.h>
#include <string.h>

typedef struct plan_options {
    const char *sensitivity, *out, *hardware;
    int64_t budget, batch, positions;
    double max_ms;
    samp_text_list pins;
    bool a16, json, groups;
} plan_options;

static const samp_option options[] = {
    SAMP_OPTION(plan_options, TEXT, sensitivity, "sensitivity", 's', "FILE", .required = true,
                .help = "what samp measure wrote"),
    SAMP_OPTION(plan_options, BYTES, budget, "budget", 'b', "BYTES", .max = 1e15,
                .help = "most bytes of the weight files, such as 84MB or 38GB; 0 = no limit"),
    SAMP_OPTION(plan_options, TEXT, hardware, "hardware", 0, "NAME|FILE.json",
                .help = "what it will run on: h100, h200, a100, l40s, rtx4090, cpu, or a profile "
                        "of samp doctor --profile; decides which formats suit, and times"),
    SAMP_OPTION(plan_options, NUMBER, max_ms, "max-ms-per-token", 0, "MS", .max = 1e6,
                .help = "most milliseconds for a token of each sequence, on --hardware; 0 = no "
                        "limit"),
    SAMP_OPTION(plan_options, INTEGER, batch, "batch", 0, "N", .initial = "1", .min = 1,
                .max = 4096, .help = "sequences a step, for the times"),
    SAMP_OPTION(plan_options, INTEGER, positions, "positions", 0, "N", .initial = "512",
                .max = 1 << 24,
                .help = "positions each has in its cache, for the time of attention"),
    SAMP_OPTION(plan_options, LIST, pins, "pin", 0, "PATTERN=FORMAT",
                .help = "fix the format of groups, such as head=int8 or layers.0.*=fp16"),
    SAMP_OPTION(plan_options, FLAG, a16, "a16", 0, NULL,
                .help = "keep inputs in 16 bits; else a limit of time may take 8 where that costs "
                        "little"),
    SAMP_OPTION(plan_options, TEXT, out, "out", 'o', "FILE", .help = "plan to write (JSON)"),
    SAMP_OPTION(plan_options, FLAG, groups, "groups", 0, NULL, .help = "list every group"),
    SAMP_OPTION(plan_options, FLAG, json, "json", 0, NULL, .help = "print the plan as JSON"),
};

/* Sums over the groups of one kind. */
typedef struct kind_sum {
    uint32_t counts[SAMP_FORMAT_COUNT], groups, a8;
    uint64_t bytes;
    double weights, kl, seconds;
} kind_sum;

/* What a group is called without its layer. */
static const char *kind_of(const samp_sensitivity_group *group)
{
    return group->kind < SAMP_GROUP_EMBED ? samp_group_kind_name(group->kind) : group->name;
}

static kind_sum sum_kind(const samp_plan *plan, const char *kind)
{
    kind_sum sum = {0};
    for (size_t g = 0; g < plan->n_entries; g++) {
        const samp_plan_entry *e = &plan->entries[g];
        if (strcmp(kind_of(e->group), kind) != 0) continue;
        sum.counts[e->choice->format->id]++;
        sum.groups++;
        sum.a8 += e->activation_bits == 8;
        sum.bytes += e->choice->bytes;
        sum.weights += (double)e->group->rows * (double)e->group->cols;
        sum.kl += e->kl;
        sum.seconds += e->time.seconds;
    }
    return sum;
}

/* One line a layer would be long: formats a kind of group got, with how many layers. */
static void print_formats(const samp_plan *plan, bool timed)
{
    static const char *const headers[] = {"group",        "formats (layers)", "bits", "size",
                                          "predicted KL", "inputs",           "ms"};
    size_t columns = timed ? 7 : 5;
    samp_table table;
    samp_table_begin(&table, "llrrrlr", columns, headers);
    for (size_t g = 0; g < plan->n_entries; g++) {
        const samp_sensitivity_group *group = plan->entries[g].group;
        if (group->layer > 0) continue; /* the first of each kind stands for all */
        kind_sum sum = sum_kind(plan, kind_of(group));
        char formats[200] = "", bits[32], size[32], cost[32], inputs[48], ms[32];
        for (int f = SAMP_FORMAT_COUNT; f--;) {
            size_t at = strlen(formats);
            if (sum.counts[f])
                snprintf(formats + at, sizeof formats - at, "%s%s %u", at ? ", " : "",
                         samp_format_get((samp_format_id)f)->name, sum.counts[f]);
        }
        snprintf(bits, sizeof bits, "%.3f", 8.0 * (double)sum.bytes / sum.weights);
        snprintf(cost, sizeof cost, "%.5f", sum.kl);
        snprintf(inputs, sizeof inputs,
                 sum.a8 == 0            ? "a16"
                 : sum.a8 == sum.groups ? "a8"
                                        : "a16 %u, a8 %u",
                 sum.groups - sum.a8, sum.a8);
        snprintf(ms, sizeof ms, "%.3f", sum.seconds * 1e3);
        const char *cells[] = {
            kind_of(group), formats, bits, samp_show_bytes(size, (double)sum.bytes),
            cost,           inputs,  ms};
        samp_table_row(&table, columns, cells);
    }
    samp_table_print(&table, stdout);
    samp_table_release(&table);
}

static void print_groups(const samp_plan *plan, bool timed)
{
    static const char *const headers[] = {"group", "format",       "rounding", "input",
                                          "size",  "predicted KL", "ms"};
    size_t columns = timed ? 7 : 6;
    samp_table table;
    samp_table_begin(&table, "lllrrrr", columns, headers);
    for (size_t g = 0; g < plan->n_entries; g++) {
        const samp_plan_entry *e = &plan->entries[g];
        char input[16], size[32], kl[32], ms[32];
        snprintf(input, sizeof input, "a%d", e->activation_bits);
        snprintf(kl, sizeof kl, "%.6f", e->kl);
        snprintf(ms, sizeof ms, "%.4f", e->time.seconds * 1e3);
        const char *cells[] = {e->group->name,
                               e->choice->format->name,
                               samp_rounding_name(e->choice->rounding),
                               input,
                               samp_show_bytes(size, (double)e->choice->bytes),
                               kl,
                               ms};
        samp_table_row(&table, columns, cells);
    }
    samp_table_print(&table, stdout);
    putchar('\n');
    samp_table_release(&table);
}

static uint64_t file_bytes(const samp_plan *plan)
{
    return plan->solution.bytes + plan->fixed_bytes;
}

/* The front, the plan itself among its points. */
static samp_status print_front(const samp_sensitivity *s, const samp_plan_options *how,
                               const samp_plan *plan, samp_error *error)
{
    enum { POINTS = 9 };
    samp_plan_point points[POINTS + 1];
    size_t n;
    SAMP_TRY(samp_plan_front(s, how, POINTS, points, &n, error));
    samp_plan_point own = {file_bytes(plan), plan->solution.cost,
                           plan->time.seconds + plan->attention};
    size_t at = n;
    while (at && points[at - 1].bytes >= own.bytes) at--;
    if (at == n || points[at].bytes != own.bytes) {
        memmove(points + at + 1, points + at, (n - at) * sizeof *points);
        n++;
    }
    points[at] = own;
    bool timed = how->hardware != NULL;
    const char *headers[] = {"files", "predicted KL", timed ? "ms" : "", ""};
    size_t columns = timed ? 4 : 3;
    samp_table table;
    samp_table_begin(&table, timed ? "rrrl" : "rrl", columns, headers);
    for (size_t i = 0; i < n; i++) {
        char size[32], cost[32], ms[32];
        snprintf(cost, sizeof cost, "%.5f", points[i].kl);
        snprintf(ms, sizeof ms, "%.3f", points[i].seconds * 1e3);
        const char *mark = i == at ? "<- this plan" : "";
        const char *cells[] = {samp_show_bytes(size, (double)points[i].bytes), cost,
                               timed ? ms : mark, mark};
        samp_table_row(&table, columns, cells);
    }
    puts("\nThe Pareto front: what other budgets would give");
    samp_table_print(&table, stdout);
    samp_table_release(&table);
    return SAMP_OK;
}

/* Solves again with a round step more: about a hundredth to a tenth of the plan. */
static samp_status print_next_bytes(const samp_sensitivity *s, const samp_plan_options *how,
                                    const samp_plan *plan, samp_error *error)
{
    double step = pow(10, floor(log10((double)file_bytes(plan))) - 1);
    samp_plan_options more = *how;
    more.max_bytes = (how->max_bytes ? how->max_bytes : file_bytes(plan)) + (uint64_t)step;
    samp_plan larger;
    SAMP_TRY(samp_plan_make(&larger, s, &more, error));
    char size[32], used[32];
    double gain = plan->solution.cost - larger.solution.cost;
    samp_show_bytes(size, step);
    samp_show_bytes(used, (double)(file_bytes(&larger) - file_bytes(plan)));
    if (gain > 0)
        printf("%s more would lower the predicted KL by %.5f, to %.5f (-%.1f %%).\n", size, gain,
               larger.solution.cost, 100 * gain / plan->solution.cost);
    else
        printf("%s more would buy nothing: %s.\n", size,
               how->max_seconds > 0 ? "the limit of time binds"
                                    : "every group has its most accurate format");
    samp_plan_release(&larger);
    return SAMP_OK;
}

static void print_time(const samp_plan_options *how, const samp_plan *plan)
{
    const samp_product_time *t = &plan->time;
    const samp_hardware *hardware = how->hardware;
    double all = t->seconds + plan->attention, longest = fmax(t->reading, t->multiplying);
    const char *binds = t->reading >= t->multiplying ? "reading weights" : "multiplying";
    if (plan->attention > longest) binds = "attention", longest = plan->attention;
    char who[64] = "a token";
    if (how->batch > 1) snprintf(who, sizeof who, "a token of each of %u sequences", how->batch);
    printf("%.3f ms %s on %s: matrix products %.3f%s, attention to %u positions %.3f; %s binds "
           "(%.0f %%).\n",
           all * 1e3, who, hardware->title, t->seconds * 1e3,
           t->measured ? "" : " at least (not all formats were measured there)", how->positions,
           plan->attention * 1e3, binds, all > 0 ? fmin(100, 100 * longest / all) : 0);
    if (how->max_seconds > 0)
        printf("The limit of time %s: %.3f of %.3f ms.\n",
               plan->solution.price_of_second > 0 ? "binds" : "does not bind", all * 1e3,
               how->max_seconds * 1e3);
    double memory = hardware->memory_bytes.value;
    char have[32];
    if (memory > 0 && (double)file_bytes(plan) > memory)
        printf("It does not fit: one has %s of memory.\n", samp_show_bytes(have, memory));
}

/* Bytes of the files that quantize would write, from its own layout of the model that was measured;
 * 0 when that model is no longer where it was: then the plan's bound must do. */
static uint64_t exact_bytes(const samp_sensitivity *s, const json_t *json)
{
    samp_quantize_sizes sizes = {0};
    samp_quantize_options how = {.dry_run = &sizes};
    uint64_t bytes = 0;
    if (samp_step_quantize(s->model, NULL, json, s->model, NULL, NULL, &how, NULL) == SAMP_OK)
        bytes = sizes.files.bytes;
    samp_artifact_sizes_release(&sizes.files);
    return bytes;
}

static void print_bytes(const samp_sensitivity *s, const samp_plan *plan, const json_t *json)
{
    char weights[32], files[32], count[32];
    uint64_t exact = exact_bytes(s, json);
    printf("\n%s of weights, ", samp_show_bytes(weights, (double)plan->weight_bytes));
    if (exact)
        printf("%s bytes of files with norms and headers", samp_show_count(count, exact));
    else
        printf("at most %s with norms and headers",
               samp_show_bytes(files, (double)file_bytes(plan)));
    printf("; predicted KL %.5f nats a token.\n", plan->solution.cost);
}

static samp_status print_plan(const plan_options *o, const samp_sensitivity *s,
                              const samp_plan_options *how, const samp_plan *plan,
                              const json_t *json, samp_error *error)
{
    const samp_solution *r = &plan->solution;
    if (o->groups) print_groups(plan, how->hardware != NULL);
    print_formats(plan, how->hardware != NULL);
    print_bytes(s, plan, json);
    if (r->exact)
        puts("Optimality gap 0: no plan of these formats within the limits is predicted to be "
             "better.");
    else
        printf("Optimality gap %.2f %%: no plan can be better than %.5f.\n",
               r->cost > 0 ? 100 * (r->cost - r->bound) / r->cost : 0, r->bound);
    if (how->hardware) print_time(how, plan);
    SAMP_TRY(print_next_bytes(s, how, plan, error));
    return print_front(s, how, plan, error);
}

static samp_status make_plan(const plan_options *o, const samp_plan_options *how, samp_error *error)
{
    samp_sensitivity s;
    samp_plan plan = {0};
    SAMP_TRY(samp_sensitivity_load(&s, o->sensitivity, error));
    samp_status status = samp_plan_make(&plan, &s, how, error);
    json_t *json = NULL;
    if (status == SAMP_OK)
        status = samp_step_plan_json(&plan, &s, how, o->sensitivity, &json, error);
    if (status == SAMP_OK && o->out) status = samp_step_save_json(json, o->out, error);
    if (status == SAMP_OK)
        status = o->json ? samp_print_json(json_incref(json), error)
                         : print_plan(o, &s, how, &plan, json, error);
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
                             .batch = (uint32_t)o->batch,
                             .positions = (uint32_t)o->positions,
                             .a16_only = o->a16,
                             .n_pins = o->pins.count};
    if (o->max_ms > 0 && !o->hardware) {
        samp_fail(error, SAMP_INVALID,
                  "--max-ms-per-token needs --hardware: times differ between machines");
        return SAMP_EXIT_USAGE;
    }
    for (size_t i = 0; i < o->pins.count; i++)
        if (samp_plan_pin_parse(o->pins.items[i], &how.pins[i], error) != SAMP_OK)
            return SAMP_EXIT_USAGE;
    samp_hardware hardware = {0};
    if (o->hardware) {
        samp_status loaded = samp_hardware_load(&hardware, o->hardware, error);
        if (loaded != SAMP_OK) return loaded == SAMP_NOT_FOUND ? SAMP_EXIT_USAGE : SAMP_EXIT_ERROR;
        how.hardware = &hardware;
    }
    samp_status status = make_plan(o, &how, error);
    samp_hardware_release(&hardware);
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
    .examples = "  $ samp plan --sensitivity sensitivity.json --budget 84MB --out plan.json\n"
                "  $ samp doctor --profile here.json && samp plan -s sensitivity.json --hardware "
                "here.json\n"
                "  $ samp plan -s s.json -b 38GB --hardware h100 --max-ms-per-token 12 --pin "
                "head=int8 --groups\n",
    SAMP_OPTIONS(options),
    .options_size = sizeof(plan_options),
    .run = run,
};
