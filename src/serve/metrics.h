/* What a server counts about itself, for Prometheus: one list of families that /metrics, its
 * documentation and the dashboard are made from.
 *
 * Names, types, labels and buckets of `vllm:` families are vLLM's, so that its dashboards and
 * autoscalers work unchanged; bounds were added around 0.25 s, which its own lack (a 99th
 * percentile against 250 ms cannot be told from them). Old names of renamed families are exposed
 * too. Our own begin with samp_.
 *
 * One lock around everything: a few thousand updates a second. */
#ifndef SAMP_SERVE_METRICS_H
#define SAMP_SERVE_METRICS_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdint.h>

typedef enum samp_metric_kind { SAMP_COUNTER, SAMP_GAUGE, SAMP_HISTOGRAM } samp_metric_kind;

/* X(id, name as exposed, kind, bounds, label, old name, help) */
#define SAMP_METRIC_LIST(X)                                                                        \
    X(REQUESTS_RUNNING, "vllm:num_requests_running", SAMP_GAUGE, NONE, "", "",                     \
      "Requests in the running batch")                                                             \
    X(REQUESTS_WAITING, "vllm:num_requests_waiting", SAMP_GAUGE, NONE, "", "",                     \
      "Requests waiting to be run")                                                                \
    X(KV_USAGE, "vllm:kv_cache_usage_perc", SAMP_GAUGE, NONE, "", "vllm:gpu_cache_usage_perc",     \
      "Share of KV blocks in use; 1 is all of them")                                               \
    X(PREFIX_QUERIES, "vllm:prefix_cache_queries_total", SAMP_COUNTER, NONE, "",                   \
      "vllm:gpu_prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache")        \
    X(PREFIX_HITS, "vllm:prefix_cache_hits_total", SAMP_COUNTER, NONE, "",                         \
      "vllm:gpu_prefix_cache_hits_total", "Prompt tokens found in the prefix cache")               \
    X(PREEMPTIONS, "vllm:num_preemptions_total", SAMP_COUNTER, NONE, "", "",                       \
      "Requests that gave up their KV blocks to be recomputed")                                    \
    X(PROMPT_TOKENS, "vllm:prompt_tokens_total", SAMP_COUNTER, NONE, "", "",                       \
      "Prompt tokens processed")                                                                   \
    X(GENERATION_TOKENS, "vllm:generation_tokens_total", SAMP_COUNTER, NONE, "", "",               \
      "Tokens generated")                                                                          \
    X(REQUEST_SUCCESS, "vllm:request_success_total", SAMP_COUNTER, NONE, "finished_reason", "",    \
      "Requests finished, by reason")                                                              \
    X(SUCCESS_RATE, "vllm:request_success_rate", SAMP_GAUGE, NONE, "", "",                         \
      "Share of the last 1,000 requests that ended with stop or length")                           \
    X(ADMISSION_REJECTIONS, "vllm:admission_rejections_total", SAMP_COUNTER, NONE, "reason", "",   \
      "Requests refused before any work, by the limit they met")                                   \
    X(ITERATION_TOKENS, "vllm:iteration_tokens_total", SAMP_HISTOGRAM, STEP, "", "",               \
      "Tokens processed in a step")                                                                \
    X(REQUEST_PROMPT_TOKENS, "vllm:request_prompt_tokens", SAMP_HISTOGRAM, TOKENS, "", "",         \
      "Prompt tokens of a request")                                                                \
    X(REQUEST_GENERATION_TOKENS, "vllm:request_generation_tokens", SAMP_HISTOGRAM, TOKENS, "", "", \
      "Tokens generated for a request")                                                            \
    X(REQUEST_MAX_GENERATION, "vllm:request_max_num_generation_tokens", SAMP_HISTOGRAM, TOKENS,    \
      "", "", "Tokens of the longest of a request's n answers")                                    \
    X(REQUEST_MAX_TOKENS, "vllm:request_params_max_tokens", SAMP_HISTOGRAM, TOKENS, "", "",        \
      "max_tokens of a request")                                                                   \
    X(REQUEST_N, "vllm:request_params_n", SAMP_HISTOGRAM, CHOICES, "", "", "n of a request")       \
    X(TTFT, "vllm:time_to_first_token_seconds", SAMP_HISTOGRAM, TTFT_SECONDS, "", "",              \
      "From arrival to the first token")                                                           \
    X(INTER_TOKEN, "vllm:inter_token_latency_seconds", SAMP_HISTOGRAM, TOKEN_SECONDS, "",          \
      "vllm:time_per_output_token_seconds", "Between two tokens of a request")                     \
    X(TIME_PER_TOKEN, "vllm:request_time_per_output_token_seconds", SAMP_HISTOGRAM, TOKEN_SECONDS, \
      "", "", "Mean time between the tokens of a request")                                         \
    X(E2E, "vllm:e2e_request_latency_seconds", SAMP_HISTOGRAM, REQUEST_SECONDS, "", "",            \
      "From arrival to the last token")                                                            \
    X(QUEUE_TIME, "vllm:request_queue_time_seconds", SAMP_HISTOGRAM, REQUEST_SECONDS, "", "",      \
      "From arrival to the first step")                                                            \
    X(INFERENCE_TIME, "vllm:request_inference_time_seconds", SAMP_HISTOGRAM, REQUEST_SECONDS, "",  \
      "", "From the first step to the last token")                                                 \
    X(PREFILL_TIME, "vllm:request_prefill_time_seconds", SAMP_HISTOGRAM, REQUEST_SECONDS, "", "",  \
      "From the first step to the first token")                                                    \
    X(DECODE_TIME, "vllm:request_decode_time_seconds", SAMP_HISTOGRAM, REQUEST_SECONDS, "", "",    \
      "From the first token to the last")                                                          \
    X(SPEC_DRAFTS, "vllm:spec_decode_num_draft_tokens_total", SAMP_COUNTER, NONE, "", "",          \
      "Tokens proposed from the request's own text")                                               \
    X(SPEC_ACCEPTED, "vllm:spec_decode_num_accepted_tokens_total", SAMP_COUNTER, NONE, "", "",     \
      "Proposed tokens that were right")                                                           \
    X(CACHE_CONFIG, "vllm:cache_config_info", SAMP_GAUGE, NONE, "block_size", "",                  \
      "Tokens in a KV block; always 1")                                                            \
    X(BUILD_INFO, "samp_build_info", SAMP_GAUGE, NONE, "version", "",                              \
      "The program's version; always 1")                                                           \
    X(MODEL_INFO, "samp_model_info", SAMP_GAUGE, NONE, "quantization_level", "",                   \
      "What the weights are; always 1")                                                            \
    X(REQUESTS, "samp_requests_total", SAMP_COUNTER, NONE, "outcome", "",                          \
      "API requests, by outcome")                                                                  \
    X(REQUEST_LATENCY, "samp_request_latency_seconds", SAMP_HISTOGRAM, FINE_SECONDS, "", "",       \
      "From the first byte of a request to the last of its answer")                                \
    X(HTTP_REQUESTS, "samp_http_requests_total", SAMP_COUNTER, NONE, "code", "",                   \
      "HTTP answers, by status")                                                                   \
    X(HTTP_CONNECTIONS, "samp_http_connections", SAMP_GAUGE, NONE, "", "", "Connections open")     \
    X(KV_BYTES, "samp_kv_cache_bytes", SAMP_GAUGE, NONE, "", "", "Memory of the KV cache")         \
    X(KV_BLOCKS, "samp_kv_blocks", SAMP_GAUGE, NONE, "state", "",                                  \
      "KV blocks: used by requests, cached for prefixes, free")                                    \
    X(WEIGHT_BYTES, "samp_weight_bytes", SAMP_GAUGE, NONE, "", "",                                 \
      "Bytes of weights read to make one token")                                                   \
    X(STEP_SECONDS, "samp_step_seconds", SAMP_HISTOGRAM, FINE_SECONDS, "", "",                     \
      "Time of a step of the engine")                                                              \
    X(NONFINITE, "samp_nonfinite_logits_total", SAMP_COUNTER, NONE, "", "",                        \
      "Steps whose logits were not finite")                                                        \
    X(DRIFT, "quantization_scale_drift", SAMP_GAUGE, NONE, "tensor_group", "",                     \
      "Mean |ln(live / calibrated)| of the inputs' second moments")                                \
    X(OUTLIER_RATIO, "samp_outlier_ratio", SAMP_GAUGE, NONE, "tensor_group", "",                   \
      "Share of live inputs beyond six calibrated standard deviations")                            \
    X(DRIFT_TOKENS, "samp_drift_tokens_total", SAMP_COUNTER, NONE, "", "",                         \
      "Tokens whose inputs were looked at for drift")                                              \
    X(LOG_LINES_LOST, "samp_log_lines_lost_total", SAMP_COUNTER, NONE, "", "",                     \
      "Lines of the log that could not be written")                                                \
    X(CPU_SECONDS, "process_cpu_seconds_total", SAMP_COUNTER, NONE, "", "",                        \
      "User and system time of the process")                                                       \
    X(RESIDENT_BYTES, "process_resident_memory_bytes", SAMP_GAUGE, NONE, "", "",                   \
      "Resident memory of the process")                                                            \
    X(OPEN_FDS, "process_open_fds", SAMP_GAUGE, NONE, "", "", "Open file descriptors")             \
    X(START_TIME, "process_start_time_seconds", SAMP_GAUGE, NONE, "", "",                          \
      "When the process began, in seconds since 1970")

typedef enum samp_metric {
#define X(id, name, kind, bounds, label, old, help) SAMP_METRIC_##id,
    SAMP_METRIC_LIST(X)
#undef X
        SAMP_METRICS
} samp_metric;

typedef struct samp_metric_info {
    const char *name;
    samp_metric_kind kind;
    const double *bounds; /* [n_bounds] upper bounds of a histogram, +Inf left out */
    unsigned n_bounds;
    const char *label;    /* the label its series differ in; "" = one series */
    const char *old_name; /* also exposed under it; "" = none */
    const char *help;
} samp_metric_info;

const samp_metric_info *samp_metric_describe(samp_metric metric);

typedef struct samp_metrics samp_metrics;
/* model_name becomes a label of every series, as vLLM has it. */
samp_status samp_metrics_create(samp_metrics **out, const char *model_name, samp_error *error);
void samp_metrics_release(samp_metrics *metrics); /* NULL allowed */

/* label: the value of the family's label, NULL where it has none. A family has at most 512 series;
 * what comes after is counted under "other". From any thread. */
void samp_metric_add(samp_metrics *metrics, samp_metric metric, const char *label, double value);
void samp_metric_set(samp_metrics *metrics, samp_metric metric, const char *label, double value);
void samp_metric_observe(samp_metrics *metrics, samp_metric metric, double value);
/* The value of a counter or gauge, the count of a histogram; 0 when there is no such series. */
double samp_metric_value(samp_metrics *metrics, samp_metric metric, const char *label);

/* Text exposition format 0.0.4 of everything, of one moment. */
void samp_metrics_write(samp_metrics *metrics, samp_buffer *out);

/* How a number is written there: whole ones plainly, others as short as reads back; NaN, +Inf,
 * -Inf. */
void samp_metrics_write_number(samp_buffer *out, double value);

#endif
