/* What came out of `samp quantize --budget`: one table of figures, one of strata, and where the
 * files lie. */
#include "command/budget_internal.h"

#include "command/terminal.h"

#include <string.h>

/* "0.0312 ± 0.0021"; without an interval when one window says nothing about the spread. */
static const char *show(char out[64], samp_estimate e, double factor, int digits, const char *unit)
{
    double half = factor * (e.high - e.low) / 2;
    if (half > 0)
        snprintf(out, 64, "%.*f ± %.*f%s", digits, e.value * factor, digits, half, unit);
    else
        snprintf(out, 64, "%.*f%s", digits, e.value * factor, unit);
    return out;
}

/* Three digits or so of a divergence. */
static int kl_digits(samp_estimate e) { return e.value >= 0.1 ? 3 : e.value >= 0.01 ? 4 : 5; }

static void add(samp_table *table, const char *name, const char *value)
{
    const char *cells[] = {name, value};
    samp_table_row(table, 2, cells);
}

static void print_figures(const budget_run *run, double seconds)
{
    const samp_eval_result *all = &run->held_out.all;
    const char *headers[] = {run->out, ""};
    char a[32], b[32], cell[64], line[200];
    samp_table table;
    samp_table_begin(&table, "ll", 2, headers);
    snprintf(line, sizeof line, "%s of %s (%.1f %% less), %.2f bits a weight",
             samp_show_bytes(a, (double)run->weight_bytes),
             samp_show_bytes(b, (double)run->source_bytes),
             100 - 100 * (double)run->weight_bytes / (double)run->source_bytes,
             8 * (double)run->weight_bytes / run->n_weights);
    add(&table, "weights", line);
    snprintf(line, sizeof line, "%s, tokenizer and configuration included",
             samp_show_bytes(a, (double)run->file_bytes));
    add(&table, "files", line);
    snprintf(line, sizeof line, "%.*f nats a token",
             kl_digits((samp_estimate){run->plan.solution.cost, 0, 0}), run->plan.solution.cost);
    add(&table, "predicted KL", line);
    add(&table, "measured KL",
        show(cell, all->kl_mean, 1, kl_digits(all->kl_mean), " nats a token"));
    add(&table, "same top-1", show(cell, all->top1, 100, 1, " %"));
    add(&table, "perplexity ratio", show(cell, all->perplexity_ratio, 1, 4, ""));
    uint64_t errors = samp_findings_at_least(&run->findings, SAMP_SEVERITY_ERROR),
             warnings = samp_findings_at_least(&run->findings, SAMP_SEVERITY_WARNING) - errors;
    snprintf(line, sizeof line, "%s: %llu errors, %llu warnings", errors ? "not valid" : "valid",
             (unsigned long long)errors, (unsigned long long)warnings);
    add(&table, "validate --deep", line);
    add(&table, "time", samp_show_seconds(a, seconds));
    putchar('\n');
    samp_table_print(&table, stdout);
    samp_table_release(&table);
}

static void print_strata(const samp_held_out *held_out)
{
    static const char *const headers[] = {"held out", "windows", "KL", "same top-1",
                                          "perplexity ratio"};
    samp_table table;
    samp_table_begin(&table, "lrrrr", 5, headers);
    for (size_t i = 0; i < held_out->n_strata; i++) {
        const samp_held_out_stratum *s = &held_out->strata[i];
        char windows[32], cell[3][64];
        const char *cells[] = {
            s->name, samp_show_count(windows, s->result.n_windows),
            show(cell[0], s->result.kl_mean, 1, kl_digits(s->result.kl_mean), ""),
            show(cell[1], s->result.top1, 100, 1, " %"),
            show(cell[2], s->result.perplexity_ratio, 1, 4, "")};
        samp_table_row(&table, 5, cells);
    }
    putchar('\n');
    samp_table_print(&table, stdout);
    samp_table_release(&table);
}

void samp__budget_print(const budget_run *run, double seconds)
{
    print_figures(run, seconds);
    print_strata(&run->held_out);
    printf("\nMeasured on %llu tokens of seven records in eight of each stratum; evaluated on "
           "windows of %d tokens\nof the eighth (of a plain text, its last eighth), against %s. ± "
           "is half of a 95 %% interval.\n\n%s holds sensitivity.json and its moments, plan.json, "
           "evaluation.json, report.html.\n",
           (unsigned long long)run->s.n_tokens, SAMP_HELD_OUT_WINDOW, run->o->model, run->folder);
}
