/* Numbers of the server: what ends of requests and steps tell, and gauges of this moment. */
#include "base/clock.h"
#include "serve/server_internal.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void samp__observe_token(samp_server *server, samp_choice *choice)
{
    double now = samp_clock();
    if (choice->last_token > 0)
        samp_metric_observe(server->metrics, SAMP_METRIC_INTER_TOKEN, now - choice->last_token);
    choice->last_token = now;
}

/* Share of the last requests that ended well; those that clients cut count for neither. */
static void observe_success(samp_server *server, samp_finish finish)
{
    const uint32_t room = sizeof server->recent;
    if (finish == SAMP_FINISH_ABORT) return;
    uint8_t good = finish != SAMP_FINISH_ERROR;
    if (server->n_recent == room)
        server->good_recent -= server->recent[server->next_recent];
    else
        server->n_recent++;
    server->recent[server->next_recent] = good;
    server->next_recent = (server->next_recent + 1) % room;
    server->good_recent += good;
    samp_metric_set(server->metrics, SAMP_METRIC_SUCCESS_RATE, NULL,
                    (double)server->good_recent / server->n_recent);
}

void samp__observe_end(samp_server *server, const samp_choice *choice)
{
    const samp_end *end = &choice->end;
    samp_metrics *m = server->metrics;
    samp_metric_add(m, SAMP_METRIC_REQUEST_SUCCESS, samp_finish_name(end->finish), 1);
    observe_success(server, end->finish);
    if (end->finish == SAMP_FINISH_ERROR && end->status == SAMP_NUMERIC)
        samp_metric_add(m, SAMP_METRIC_NONFINITE, NULL, 1);
    if (end->scheduled <= 0) return;
    samp_metric_observe(m, SAMP_METRIC_REQUEST_PROMPT_TOKENS, end->n_prompt);
    samp_metric_observe(m, SAMP_METRIC_QUEUE_TIME, end->scheduled - end->arrived);
    if (end->first_token <= 0) return;
    samp_metric_observe(m, SAMP_METRIC_REQUEST_GENERATION_TOKENS, end->n_generated);
    samp_metric_observe(m, SAMP_METRIC_TTFT, end->first_token - end->arrived);
    samp_metric_observe(m, SAMP_METRIC_E2E, end->last_token - end->arrived);
    samp_metric_observe(m, SAMP_METRIC_INFERENCE_TIME, end->last_token - end->scheduled);
    samp_metric_observe(m, SAMP_METRIC_PREFILL_TIME, end->first_token - end->scheduled);
    samp_metric_observe(m, SAMP_METRIC_DECODE_TIME, end->last_token - end->first_token);
    if (end->n_generated > 1)
        samp_metric_observe(m, SAMP_METRIC_TIME_PER_TOKEN,
                            (end->last_token - end->first_token) / (end->n_generated - 1));
}

void samp__observe_call(samp_server *server, const samp_call *call)
{
    uint32_t longest = 0; /* of the n choices of a prompt, which stand side by side */
    for (uint32_t i = 0; i < call->n_choices; i++) {
        uint32_t n = call->choices[i].end.n_generated;
        if (n > longest) longest = n;
        if ((i + 1) % call->request.n != 0) continue;
        if (longest)
            samp_metric_observe(server->metrics, SAMP_METRIC_REQUEST_MAX_GENERATION, longest);
        longest = 0;
    }
}

void samp__observe_step(void *context, const samp_engine_step *step)
{
    samp_server *server = context;
    samp_metric_observe(server->metrics, SAMP_METRIC_ITERATION_TOKENS,
                        step->n_decode + step->n_prefill);
    samp_metric_observe(server->metrics, SAMP_METRIC_STEP_SECONDS, step->seconds);
    samp_drift_step(server->drift, step->seconds);
}

/* ---- gauges ---------------------------------------------------------------------------------- */

static double open_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    double n = -3; /* ".", "..", and the folder itself */
    if (!folder) return 0;
    while (readdir(folder)) n++;
    closedir(folder);
    return n;
}

static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long size = 0, resident = 0;
    if (!file) return 0;
    if (fscanf(file, "%llu %llu", &size, &resident) != 2) resident = 0;
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static void observe_process(const samp_server *server)
{
    samp_metric_set(server->metrics, SAMP_METRIC_CPU_SECONDS, NULL, samp_cpu_seconds());
    samp_metric_set(server->metrics, SAMP_METRIC_RESIDENT_BYTES, NULL, resident_bytes());
    samp_metric_set(server->metrics, SAMP_METRIC_OPEN_FDS, NULL, open_files());
    samp_metric_set(server->metrics, SAMP_METRIC_START_TIME, NULL, (double)server->started);
    samp_metric_set(server->metrics, SAMP_METRIC_LOG_LINES_LOST, NULL,
                    (double)samp_access_log_lost(server->log));
}

static void observe_engine(const samp_server *server)
{
    samp_engine_stats stats;
    samp_metrics *m = server->metrics;
    samp_engine_stats_read(server->engine, &stats);
    double blocks = stats.kv_blocks ? stats.kv_blocks : 1;
    samp_metric_set(m, SAMP_METRIC_REQUESTS_RUNNING, NULL, stats.n_running);
    samp_metric_set(m, SAMP_METRIC_REQUESTS_WAITING, NULL, stats.n_waiting);
    samp_metric_set(m, SAMP_METRIC_KV_USAGE, NULL, stats.kv_used / blocks);
    samp_metric_set(m, SAMP_METRIC_KV_BLOCKS, "used", stats.kv_used);
    samp_metric_set(m, SAMP_METRIC_KV_BLOCKS, "cached", stats.kv_cached);
    samp_metric_set(m, SAMP_METRIC_KV_BLOCKS, "free",
                    (double)(stats.kv_blocks - stats.kv_used - stats.kv_cached));
    samp_metric_set(m, SAMP_METRIC_PREFIX_QUERIES, NULL, (double)stats.prefix_queries);
    samp_metric_set(m, SAMP_METRIC_PREFIX_HITS, NULL, (double)stats.prefix_hits);
    samp_metric_set(m, SAMP_METRIC_PREEMPTIONS, NULL, (double)stats.preemptions);
    samp_metric_set(m, SAMP_METRIC_PROMPT_TOKENS, NULL, (double)stats.prompt_tokens);
    samp_metric_set(m, SAMP_METRIC_GENERATION_TOKENS, NULL, (double)stats.generated_tokens);
    samp_metric_set(m, SAMP_METRIC_SPEC_DRAFTS, NULL, (double)stats.drafted_tokens);
    samp_metric_set(m, SAMP_METRIC_SPEC_ACCEPTED, NULL, (double)stats.accepted_tokens);
}

static void observe_http(const samp_server *server)
{
    samp_http_counters counters;
    samp_http_server_counters(server->http, &counters);
    samp_metric_set(server->metrics, SAMP_METRIC_HTTP_CONNECTIONS, NULL,
                    (double)counters.connections_open);
}

void samp__observe_now(samp_server *server)
{
    observe_process(server);
    observe_http(server);
    if (atomic_load(&server->state) != SAMP_SERVER_LOADING) observe_engine(server);
}
