/* samp serve: an OpenAI-compatible server of one model. */
#include "command/command.h"
#include "command/terminal.h"
#include "serve/server.h"

#include <string.h>
#include <unistd.h>

typedef struct serve_options {
    samp_text_list listen;
    const char *model_name, *api_keys, *chat_template, *metrics_listen, *log, *kv, *backend;
    const char *certificate, *key, *config;
    bool log_prompts, verify, prefix_cache, speculation;
    int64_t threads, context, max_batch, max_running, max_queue, max_queue_tokens;
    int64_t max_connections, max_body;
    double drain_delay, drain, heartbeat, temperature, top_p;
} serve_options;

static const samp_option options[] = {
    SAMP_OPTION(serve_options, TEXT, config, "config", 0, "FILE",
                .help = "take options that are not given here from FILE, lines of NAME = VALUE"),
    SAMP_OPTION(serve_options, LIST, listen, "listen", 'l', "ADDRESS",
                .help = "where to listen, 127.0.0.1:8000 unless given: HOST:PORT, *:PORT, "
                        "[::1]:PORT, unix:PATH; several times"),
    SAMP_OPTION(serve_options, TEXT, model_name, "model-name", 0, "NAME",
                .help = "the name requests ask for; the folder's unless given"),
    SAMP_OPTION(serve_options, TEXT, api_keys, "api-keys", 0, "FILE",
                .help = "accept only requests with a key of this file, one a line"),
    SAMP_OPTION(serve_options, TEXT, certificate, "tls-certificate", 0, "FILE",
                .help = "speak TLS, with this PEM certificate (SIGHUP reads it again)"),
    SAMP_OPTION(serve_options, TEXT, key, "tls-key", 0, "FILE", .help = "its private key"),
    SAMP_OPTION(serve_options, TEXT, metrics_listen, "metrics-listen", 0, "ADDRESS",
                .help = "answer /metrics there only"),
    SAMP_OPTION(serve_options, TEXT, log, "log", 0, "FILE",
                .help = "a JSON line a request; - is standard output (SIGHUP opens it again)"),
    SAMP_OPTION(serve_options, FLAG, log_prompts, "log-prompts", 0, NULL,
                .help = "put the texts of prompts and answers into it"),
    SAMP_OPTION(serve_options, TEXT, chat_template, "chat-template", 0, "FILE",
                .help = "a chat template (Jinja) instead of the model's own"),
    SAMP_OPTION(serve_options, NUMBER, temperature, "temperature", 0, "X", .initial = "-1",
                .min = -1, .max = 2,
                .help = "for requests that do not say; -1 = as generation_config.json has it, else "
                        "1"),
    SAMP_OPTION(serve_options, NUMBER, top_p, "top-p", 0, "X", .initial = "-1", .min = -1, .max = 1,
                .help = "the same"),
    SAMP_OPTION(serve_options, INTEGER, threads, "threads", 't', "N", .initial = "0", .max = 256,
                .help = "threads; 0 = what affinity and cgroup allow"),
    SAMP_OPTION(serve_options, INTEGER, context, "context", 'c', "N", .initial = "16384", .min = 64,
                .max = 1 << 24,
                .help = "positions of the key and value cache, for all requests together"),
    SAMP_OPTION(serve_options, CHOICE, kv, "kv", 0, "TYPE", .choices = "fp16|int8",
                .initial = "fp16", .help = "precision of that cache"),
    SAMP_OPTION(serve_options, TEXT, backend, "backend", 0, "NAME", .initial = "cpu",
                .help = "cpu, or the NAME of a samp-backend-NAME.so"),
    SAMP_OPTION(serve_options, INTEGER, max_batch, "max-batch", 0, "N", .initial = "512", .min = 1,
                .max = 65536, .help = "tokens of a step"),
    SAMP_OPTION(serve_options, INTEGER, max_running, "max-running", 0, "N", .initial = "64",
                .min = 1, .max = 4096, .help = "requests that run at once"),
    SAMP_OPTION(serve_options, INTEGER, max_queue, "max-queue", 0, "N", .initial = "1024", .min = 1,
                .max = 1 << 20, .help = "requests that wait; more are answered 429"),
    SAMP_OPTION(serve_options, INTEGER, max_queue_tokens, "max-queue-tokens", 0, "N",
                .initial = "0", .max = 1e12, .help = "prompt tokens that wait; 0 = any"),
    SAMP_OPTION(serve_options, INTEGER, max_connections, "max-connections", 0, "N",
                .initial = "8192", .min = 1, .max = 1 << 20, .help = "connections at once"),
    SAMP_OPTION(serve_options, BYTES, max_body, "max-body", 0, "BYTES", .initial = "8MB",
                .min = 1024, .max = 1 << 30, .help = "of a request; more is answered 413"),
    SAMP_OPTION(serve_options, FLAG, prefix_cache, "prefix-cache", 0, NULL, .initial = "",
                .help = "share the keys and values of prompts that begin alike"),
    SAMP_OPTION(serve_options, FLAG, speculation, "speculation", 0, NULL, .initial = "",
                .help = "guess tokens from the request's own text, where that pays"),
    SAMP_OPTION(serve_options, FLAG, verify, "verify", 0, NULL, .initial = "",
                .help = "compare the files' digests with samp.json before serving them"),
    SAMP_OPTION(serve_options, NUMBER, heartbeat, "heartbeat", 0, "SECONDS", .initial = "15",
                .max = 3600, .help = "a comment on streams that were silent so long; 0 = none"),
    SAMP_OPTION(serve_options, NUMBER, drain_delay, "drain-delay", 0, "SECONDS", .initial = "0",
                .max = 3600, .help = "after SIGTERM: /ready says no, and requests are still taken"),
    SAMP_OPTION(serve_options, NUMBER, drain, "drain", 0, "SECONDS", .initial = "30", .max = 86400,
                .help = "then: how long running requests may take"),
};

static void print_bound(void *context, const samp_server *server)
{
    const serve_options *o = context;
    for (size_t i = 0; samp_server_address(server, i); i++)
        fprintf(stderr, "listening on %s%s\n",
                strncmp(samp_server_address(server, i), "unix:", 5) == 0 ? ""
                : o->certificate                                         ? "https://"
                                                                         : "http://",
                samp_server_address(server, i));
}

static void print_ready(void *context, const samp_server *server, double seconds)
{
    (void)context;
    fprintf(stderr, "ready after %.1f s: %s\n", seconds, samp_server_about(server));
}

static int run(const void *given, const char *const *arguments, size_t n, samp_error *error)
{
    static const char *const here[] = {"127.0.0.1:8000"};
    const serve_options *o = given;
    samp_meter meter;
    (void)n;
    samp_server_options s = {.folder = arguments[0],
                             .model_name = o->model_name,
                             .http = samp_http_options_default(),
                             .api_keys = o->api_keys,
                             .chat_template = o->chat_template,
                             .metrics_address = o->metrics_listen,
                             .log = o->log,
                             .log_prompts = o->log_prompts,
                             .no_verify = !o->verify,
                             .drain_delay_s = o->drain_delay,
                             .drain_s = o->drain,
                             .default_temperature = o->temperature,
                             .default_top_p = o->top_p,
                             .progress = samp_meter_start(&meter, "B"),
                             .bound = print_bound,
                             .ready = print_ready,
                             .context = (void *)o};
    s.http.addresses = o->listen.count ? o->listen.items : here;
    s.http.n_addresses = o->listen.count ? o->listen.count : 1;
    s.http.connections_max = (unsigned)o->max_connections;
    s.http.body_bytes_max = (size_t)o->max_body;
    s.http.heartbeat_seconds = o->heartbeat;
    s.http.tls_certificate = o->certificate;
    s.http.tls_key = o->key;
    s.engine.session.backend = o->backend;
    s.engine.session.n_threads = (unsigned)o->threads;
    s.engine.session.context = (uint32_t)o->context;
    s.engine.session.max_batch = (uint32_t)o->max_batch;
    s.engine.session.kv_type = strcmp(o->kv, "int8") == 0 ? SAMP_KV_INT8 : SAMP_KV_FP16;
    s.engine.max_running = (uint32_t)o->max_running;
    s.engine.max_queue = (uint32_t)o->max_queue;
    s.engine.max_queue_tokens = (uint64_t)o->max_queue_tokens;
    s.engine.no_prefix_cache = !o->prefix_cache;
    s.engine.no_speculation = !o->speculation;
    samp_status status = samp_server_run(&s, error);
    samp_meter_stop(&meter);
    return status == SAMP_OK ? SAMP_EXIT_DONE : SAMP_EXIT_ERROR;
}

const samp_command samp__cmd_serve = {
    .name = "serve",
    .summary = "serve a model with OpenAI's API",
    .arguments = "MODEL",
    .min_arguments = 1,
    .max_arguments = 1,
    .description =
        "Serves the model in folder MODEL over HTTP: /v1/chat/completions, /v1/completions,\n"
        "/v1/models, /tokenize, /detokenize, /health, /ready, /version, /metrics, and a small "
        "page\n"
        "at /. Many requests run in each step (continuous batching); prompts that begin alike\n"
        "share their cache; on the CPU an answer depends on nothing but its request and seed.\n"
        "\n"
        "Options also come from variables (SAMP_SERVE_MAX_BATCH for --max-batch) and, where\n"
        "neither says, from the file that --config names.\n"
        "\n"
        "SIGTERM drains: /ready says no, running requests end, then the server does. A second\n"
        "one ends it at once. SIGHUP opens the log again (after a rotation) and reads the\n"
        "certificate again; what runs is not disturbed. Log lines that cannot be written are\n"
        "lost, and counted in /metrics: no request waits for a disk or a reader.",
    .examples = "  $ samp serve demo/artifact\n"
                "  $ curl http://127.0.0.1:8000/v1/chat/completions -d '{\"messages\": "
                "[{\"role\": \"user\", \"content\": \"Hi!\"}]}'\n"
                "  # for other machines, with keys, TLS and a log\n"
                "  $ samp serve demo/artifact -l '*:8443' --api-keys keys.txt "
                "--tls-certificate cert.pem --tls-key key.pem --log requests.jsonl\n",
    SAMP_OPTIONS(options),
    .options_size = sizeof(serve_options),
    .environment = "SAMP_SERVE_",
    .run = run,
};
