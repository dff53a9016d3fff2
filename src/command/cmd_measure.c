/* samp measure: what each number format costs each group of weights on a calibration text. */
#include "command/command.h"
#include "command/steps.h"
#include "command/terminal.h"

typedef struct measure_options {
    const char *calibration, *out;
    int64_t tokens, window, probe_windows, score_every, threads;
} measure_options;

static const samp_option options[] = {
    SAMP_OPTION(measure_options, TEXT, calibration, "calib", 0, "FILE", .required = true,
                .help = "calibration: JSON lines as samp sample writes them, or plain text"),
    SAMP_OPTION(measure_options, TEXT, out, "out", 'o', "FILE", .required = true,
                .help = "sensitivity to write (JSON); moments go beside it as FILE.safetensors"),
    SAMP_OPTION(measure_options, INTEGER, tokens, "tokens", 'n', "N", .initial = "32768", .min = 2,
                .max = 1e9, .help = "most calibration tokens to use"),
    SAMP_OPTION(measure_options, INTEGER, window, "ctx", 'c', "N", .initial = "512", .min = 2,
                .max = 32768, .help = "tokens a window"),
    SAMP_OPTION(measure_options, INTEGER, probe_windows, "probe-windows", 0, "N", .initial = "2",
                .min = 1, .max = 1e6,
                .help = "windows each probe runs; more make the prediction steadier"),
    SAMP_OPTION(measure_options, INTEGER, score_every, "score-every", 0, "N", .initial = "2",
                .min = 1, .max = 32768, .help = "score every n-th position of a probe"),
    SAMP_OPTION(measure_options, INTEGER, threads, "threads", 't', "N", .max = 256, .initial = "0",
                .help = "threads; 0 = what affinity and cgroup allow"),
};

static double per_second(double tokens, double seconds)
{
    return seconds > 0 ? tokens / seconds : 0;
}

/* The groups that cost most in 4 bits, the first line of what the file is for. */
static void print_summary(const samp_sensitivity *s, const samp_measure_speed *speed,
                          const char *out, double seconds)
{
    static const char *const headers[] = {"group", "parameters", "KL in nf4a", "in nf6a",
                                          "in int8"};
    size_t order[8], n = 0;
    for (size_t g = 0; g < s->n_groups; g++) {
        size_t at = n < 8 ? n++ : 8;
        while (at > 0 &&
               s->groups[order[at - 1]].alpha * s->groups[order[at - 1]].choices[1].error <
                   s->groups[g].alpha * s->groups[g].choices[1].error) {
            if (at < 8) order[at] = order[at - 1];
            at--;
        }
        if (at < 8) order[at] = g;
    }
    samp_table table;
    samp_table_begin(&table, "lrrrr", 5, headers);
    for (size_t i = 0; i < n; i++) {
        const samp_sensitivity_group *g = &s->groups[order[i]];
        char parameters[32], kl[3][32] = {"-", "-", "-"};
        const samp_format_id shown[3] = {SAMP_FORMAT_NF4A, SAMP_FORMAT_NF6A, SAMP_FORMAT_INT8};
        for (int f = 0; f < 3; f++)
            for (uint32_t c = 0; c < g->n_choices; c++)
                if (g->choices[c].format->id == shown[f])
                    snprintf(kl[f], sizeof kl[f], "%.6f", g->choices[c].kl);
        const char *cells[] = {g->name, samp_show_count(parameters, g->rows * g->cols), kl[0],
                               kl[1], kl[2]};
        samp_table_row(&table, 5, cells);
    }
    char took[32], tokens[32], probes[32], times[2][32], n_probed[32];
    printf("%s: %zu groups on %s tokens, probes scored on %s, in %s; the most sensitive:\n\n", out,
           s->n_groups, samp_show_count(tokens, s->n_tokens),
           samp_show_count(probes, s->n_probe_tokens), samp_show_seconds(took, seconds));
    samp_table_print(&table, stdout);
    samp_table_release(&table);
    printf("\nPass %.0f tok/s in %s; probes, another %s tokens, %.0f tok/s in %s.\n",
           per_second(speed->pass_tokens, speed->pass_s),
           samp_show_seconds(times[0], speed->pass_s),
           samp_show_count(n_probed, (uint64_t)speed->probe_tokens),
           per_second(speed->probe_tokens, speed->probe_s),
           samp_show_seconds(times[1], speed->probe_s));
    printf("\nTogether groups cost %.2f times the sum of what they cost alone; predictions have "
           "that in them.\n",
           s->bias);
}

static samp_status measure(const measure_options *o, const char *folder, samp_error *error)
{
    samp_measure_speed speed;
    samp_measure_step how = {.calibration = o->calibration,
                             .out = o->out,
                             .max_tokens = (size_t)o->tokens,
                             .window = (uint32_t)o->window,
                             .probe_windows = (uint32_t)o->probe_windows,
                             .score_every = (uint32_t)o->score_every,
                             .n_threads = (unsigned)o->threads,
                             .speed = &speed};
    samp_sensitivity s;
    double start = samp_clock();
    SAMP_TRY(samp_step_measure(&how, folder, &s, error));
    print_summary(&s, &speed, o->out, samp_clock() - start);
    samp_sensitivity_release(&s);
    return SAMP_OK;
}

static int run(const void *given, const char *const *arguments, size_t n, samp_error *error)
{
    (void)n;
    return measure(given, arguments[0], error) == SAMP_OK ? SAMP_EXIT_DONE : SAMP_EXIT_ERROR;
}

const samp_command samp__cmd_measure = {
    .name = "measure",
    .summary = "measure which weights are sensitive on your traffic",
    .arguments = "MODEL",
    .min_arguments = 1,
    .max_arguments = 1,
    .description = "Runs the 16-bit model in folder MODEL over a calibration sample, a layer at a "
                   "time: memory does\n"
                   "not grow with the model. For every group of weights (q, k and v; o; gate and "
                   "up; down; embedding;\n"
                   "head) it finds the error of each number format, weighted by what the inputs "
                   "really are, and by one\n"
                   "probe a group what that error costs in KL divergence at the output. samp plan "
                   "turns the result\n"
                   "into a plan. Activations lie in OUT.samp-partial; a killed run goes on from "
                   "the last layer.",
    .examples = "  $ samp measure demo/model --calib calib.jsonl --out sensitivity.json\n"
                "  $ samp plan --sensitivity sensitivity.json --budget 84MB --out plan.json\n",
    SAMP_OPTIONS(options),
    .options_size = sizeof(measure_options),
    .run = run,
};
