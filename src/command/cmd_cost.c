/* samp cost: what a deployment costs, and what a cheaper one saves. */
#include "command/command.h"
#include "command/terminal.h"
#include "plan/cost.h"

typedef struct cost_options {
    double price, tokens_per_second, utilization, hours;
    double baseline_price, baseline_tokens_per_second, one_time;
    bool json;
} cost_options;

static const samp_option options[] = {
    SAMP_OPTION(cost_options, NUMBER, price, "price", 0, "DOLLARS", .max = 1e9, .required = true,
                .help = "dollars an hour for all machines of the deployment"),
    SAMP_OPTION(cost_options, NUMBER, tokens_per_second, "tokens-per-second", 0, "N", .max = 1e12,
                .help = "measured output tokens a second of the whole deployment at full load"),
    SAMP_OPTION(cost_options, NUMBER, baseline_price, "baseline-price", 0, "DOLLARS", .max = 1e9,
                .help = "the same for the deployment it replaces"),
    SAMP_OPTION(cost_options, NUMBER, baseline_tokens_per_second, "baseline-tokens-per-second", 0,
                "N", .max = 1e12, .help = "the same for the deployment it replaces"),
    SAMP_OPTION(cost_options, NUMBER, one_time, "one-time", 0, "DOLLARS", .max = 1e12,
                .help = "cost of the change itself (engineering, GPU hours), for the payback time"),
    SAMP_OPTION(cost_options, NUMBER, utilization, "utilization", 0, "SHARE", .initial = "1",
                .min = 1e-6, .max = 1,
                .help = "share of the time the deployment works at that rate"),
    SAMP_OPTION(cost_options, NUMBER, hours, "hours", 0, "N", .initial = "720", .min = 1,
                .max = 744, .help = "hours in a month"),
    SAMP_OPTION(cost_options, FLAG, json, "json", 0, NULL, .help = "print JSON"),
};

static json_t *cost_json(const samp_cost_input *input, const samp_cost *cost)
{
    return json_pack("{s:f,s:f,s:f,s:f,s:f,s:f}", "price_per_hour", input->price_per_hour,
                     "tokens_per_second", input->tokens_per_second, "utilization",
                     input->utilization, "dollars_per_month", cost->per_month,
                     "dollars_per_million_tokens", cost->per_million_tokens, "tokens_per_month",
                     cost->tokens_per_month);
}

/* "$69,120" or "$0.42". */
static char *show_dollars(char *out, double dollars)
{
    char count[32];
    if (dollars >= 100 || dollars <= -100)
        snprintf(out, 48, "%s$%s", dollars < 0 ? "-" : "",
                 samp_show_count(count, (uint64_t)(dollars < 0 ? 0.5 - dollars : dollars + 0.5)));
    else
        snprintf(out, 48, dollars < 0.1 && dollars > 0 ? "$%.4f" : "$%.2f", dollars);
    return out;
}

static void add_row(samp_table *table, const char *name, const samp_cost_input *input,
                    const samp_cost *cost)
{
    char price[48], month[48], million[48] = "–", rate[32] = "–";
    if (cost->per_million_tokens > 0) {
        show_dollars(million, cost->per_million_tokens);
        samp_show_count(rate, (uint64_t)(input->tokens_per_second + 0.5));
    }
    const char *cells[] = {name, show_dollars(price, input->price_per_hour), rate, million,
                           show_dollars(month, cost->per_month)};
    samp_table_row(table, 5, cells);
}

static void print_text(const cost_options *o, const samp_cost_input input[2],
                       const samp_cost cost[2], const samp_savings *savings)
{
    static const char *const headers[] = {"deployment", "per hour", "tok/s", "per million tokens",
                                          "per month"};
    samp_table table;
    samp_table_begin(&table, "lrrrr", 5, headers);
    if (savings) add_row(&table, "baseline", &input[0], &cost[0]);
    add_row(&table, savings ? "candidate" : "this", &input[1], &cost[1]);
    samp_table_print(&table, stdout);
    samp_table_release(&table);
    if (!savings) return;
    char month[48], year[48], once[48];
    bool saves = savings->per_month >= 0;
    printf("\n%s %s a month, %s a year: %.1f %% of the baseline's bill.\n",
           saves ? "Saves" : "Costs",
           show_dollars(month, saves ? savings->per_month : -savings->per_month),
           show_dollars(year, saves ? savings->per_year : -savings->per_year),
           (saves ? savings->share : -savings->share) * 100);
    if (o->one_time > 0 && savings->payback_months >= 0)
        printf("The one-time cost of %s is paid back in %.2f months.\n",
               show_dollars(once, o->one_time), savings->payback_months);
    else if (o->one_time > 0)
        printf("The one-time cost of %s is never paid back.\n", show_dollars(once, o->one_time));
    if (cost[0].per_token > 0 && cost[1].per_token > 0)
        printf("A token costs %.1f %% %s.\n",
               (cost[1].per_token < cost[0].per_token ? 1 - cost[1].per_token / cost[0].per_token
                                                      : cost[1].per_token / cost[0].per_token - 1) *
                   100,
               cost[1].per_token < cost[0].per_token ? "less" : "more");
}

static int run(const void *given, const char *const *arguments, size_t n, samp_error *error)
{
    (void)arguments;
    (void)n;
    const cost_options *o = given;
    const samp_cost_input input[2] = {
        {o->baseline_price, o->baseline_tokens_per_second, o->utilization, o->hours},
        {o->price, o->tokens_per_second, o->utilization, o->hours}};
    samp_cost cost[2];
    for (int i = 0; i < 2; i++)
        if (samp_cost_compute(&input[i], &cost[i], error) != SAMP_OK) return SAMP_EXIT_USAGE;
    bool compare = o->baseline_price > 0;
    samp_savings savings = samp_cost_compare(&cost[0], &cost[1], o->one_time);
    if (!o->json) {
        print_text(o, input, cost, compare ? &savings : NULL);
        return SAMP_EXIT_DONE;
    }
    json_t *root =
        json_pack("{s:i,s:o}", "schema_version", 1, "candidate", cost_json(&input[1], &cost[1]));
    if (root && compare) {
        json_t *saved = json_pack("{s:f,s:f,s:f}", "dollars_per_month", savings.per_month,
                                  "dollars_per_year", savings.per_year, "share", savings.share);
        if (o->one_time > 0 && savings.payback_months >= 0)
            samp_json_set(saved, "payback_months", json_real(savings.payback_months));
        samp_json_set(root, "baseline", cost_json(&input[0], &cost[0]));
        samp_json_set(root, "savings", saved);
    }
    return samp_print_json(root, error) == SAMP_OK ? SAMP_EXIT_DONE : SAMP_EXIT_ERROR;
}

const samp_command samp__cmd_cost = {
    .name = "cost",
    .summary = "dollars per token, monthly bill, savings and payback",
    .arguments = "",
    .description =
        "Computes what a deployment costs from prices you give and throughput you measured\n"
        "(samp bench), and what it saves against the deployment it replaces. Nothing is\n"
        "assumed: without a throughput only the bill is computed.",
    .examples = "  # one 8-GPU machine instead of four, three engineer-weeks of work\n"
                "  $ samp cost --price 32 --baseline-price 128 --one-time 45000\n"
                "  $ samp cost --price 32 --tokens-per-second 3840 --baseline-price 128 \\\n"
                "        --baseline-tokens-per-second 1200 --utilization 0.4\n",
    SAMP_OPTIONS(options),
    .options_size = sizeof(cost_options),
    .run = run,
};
