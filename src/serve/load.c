/* Loading: digests, model, tokenizer, template, engine, a first answer; on a thread of its own, so
 * that /health is answered from the start. */
#include "file/file.h"
#include "file/manifest.h"
#include "quantize/about.h"
#include "serve/server_internal.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

/* ---- digests --------------------------------------------------------------------------------- */

typedef struct verified {
    samp_error first; /* what was wrong first; status SAMP_OK = nothing */
    const samp_progress *progress;
} verified;

static void report_finding(void *context, const char *id, samp_severity severity, const char *file,
                           const char *message)
{
    verified *v = context;
    (void)file;
    if (severity == SAMP_SEVERITY_ERROR && v->first.status == SAMP_OK)
        samp_fail(&v->first, SAMP_CORRUPT,
                  "%s (%s); see samp validate, or serve it as it is with --no-verify", message, id);
}

static bool report_progress(void *context, uint64_t done, uint64_t total)
{
    const verified *v = context;
    return samp_progress_report(v->progress, "verify", done, total);
}

/* An artifact of samp says what its bytes must be; other folders say nothing. */
static samp_status verify(const samp_server *server, samp_error *error)
{
    verified v = {.progress = &server->progress};
    samp_manifest_check check = {
        .digests = true, .report = report_finding, .progress = report_progress, .context = &v};
    const char *folder = server->options->folder;
    if (server->options->no_verify || !samp_is_folder(folder)) return SAMP_OK; /* a GGUF file */
    samp_status status = samp_manifest_verify(folder, &check, error);
    if (status == SAMP_NOT_FOUND) return SAMP_OK;
    if (status == SAMP_OK && v.first.status != SAMP_OK) {
        *error = v.first;
        status = v.first.status;
    }
    return status;
}

/* ---- parts ----------------------------------------------------------------------------------- */

static void describe(samp_server *server, const samp_model *model, const samp_about *about)
{
    const samp_weight_ref *first = samp_model_weight(model, SAMP_ROLE_Q, 0);
    snprintf(server->quantization_level, sizeof server->quantization_level, "%s",
             about->quant_type[0] ? about->quant_type : first->format->name);
    const char *digest = "";
    samp_json_string(about->manifest, "manifest_sha256", false, &digest, "samp.json", NULL);
    snprintf(server->fingerprint, sizeof server->fingerprint, "samp-%.16s",
             digest[0] ? digest : "unsealed");
    snprintf(server->about, sizeof server->about, "%.200s, %s, %.1f MB of weights",
             server->model_name, server->quantization_level, (double)about->weight_bytes / 1e6);
}

static samp_status open_chat(samp_server *server, samp_error *error)
{
    const char *path = server->options->chat_template;
    samp_buffer source = {0};
    if (path) SAMP_TRY(samp_file_slurp(path, 1 << 20, &source, error));
    samp_status status =
        samp_chat_open(&server->chat, server->tokenizer, source.data, path ? path : "", error);
    if (status == SAMP_OK) {
        const char *text = path ? source.data : samp_tokenizer_tool_template(server->tokenizer);
        if (!text) text = samp_tokenizer_chat_template(server->tokenizer);
        server->tool_style = samp_tool_style_of(text);
    } else if (status == SAMP_NOT_FOUND && !path)
        status = SAMP_OK; /* a base model */
    samp_buffer_release(&source);
    return status;
}

enum { ENDS_MAX = 24 };

/* Tokens that end an answer: the config's, and the tokenizer's end of turn. */
static size_t end_tokens(const samp_server *server, const samp_config *config, int32_t *ends)
{
    size_t n = 0;
    for (uint32_t i = 0; i < (uint32_t)config->n_eos_tokens && n < ENDS_MAX - 1; i++)
        ends[n++] = config->eos_tokens[i];
    int32_t own = samp_tokenizer_eos(server->tokenizer);
    if (own >= 0) ends[n++] = own;
    return n;
}

static samp_status open_engine(samp_server *server, samp_model *model, const samp_about *about,
                               samp_error *error)
{
    int32_t ends[ENDS_MAX];
    samp_engine_options options = server->options->engine;
    const samp_config *config = samp_model_config(model);
    options.eos_tokens = ends;
    options.n_eos_tokens = (uint32_t)end_tokens(server, config, ends);
    options.session.progress = server->progress;
    options.stepped = samp__observe_step;
    options.context = server;
    SAMP_TRY(samp_drift_create(&server->drift, model, about->manifest, server->metrics, error));
    options.session.tap = samp_drift_tap(server->drift);
    SAMP_TRY(samp_constrain_vocabulary_create(&server->vocabulary, server->tokenizer,
                                              config->vocab_size, ends, options.n_eos_tokens,
                                              error));
    SAMP_TRY(samp_engine_open(&server->engine, model, &options, error));
    const samp_session *session = samp_engine_session(server->engine);
    server->defaults.vocab_size = config->vocab_size;
    server->defaults.max_positions = samp_session_max_positions(session);
    size_t n = strlen(server->about);
    snprintf(server->about + n, sizeof server->about - n, "; %s, %u positions of KV",
             samp_session_describe(session), samp_session_context(session));
    return SAMP_OK;
}

/* ---- defaults -------------------------------------------------------------------------------- */

/* What requests that say nothing get: the options', else the model's own generation_config.json (as
 * vLLM does), else OpenAI's 1. */
static samp_status read_defaults(samp_server *server, samp_error *error)
{
    const samp_server_options *o = server->options;
    samp_sampler_options *sampler = &server->defaults.sampler;
    double temperature = 1, top_p = 1, repetition = 1;
    int64_t top_k = 0;
    char path[4096];
    json_t *json = NULL;
    SAMP_TRY(samp_path_join(path, sizeof path, o->folder, "generation_config.json", error));
    if (samp_is_file(path)) SAMP_TRY(samp_json_load(&json, path, 1 << 20, error));
    samp_status status = SAMP_OK;
    if (json) {
        status = samp_json_number(json, "temperature", false, &temperature, path, error);
        if (status == SAMP_OK) status = samp_json_number(json, "top_p", false, &top_p, path, error);
        if (status == SAMP_OK)
            status = samp_json_number(json, "repetition_penalty", false, &repetition, path, error);
        if (status == SAMP_OK)
            status = samp_json_integer(json, "top_k", false, 0, INT32_MAX, &top_k, path, error);
        json_decref(json);
    }
    if (status != SAMP_OK) return status;
    *sampler = samp_sampler_defaults();
    sampler->temperature =
        (float)(o->default_temperature < 0 ? temperature : o->default_temperature);
    sampler->top_p = (float)(o->default_top_p < 0 ? top_p : o->default_top_p);
    sampler->top_k = (int)top_k;
    sampler->repetition_penalty = (float)repetition;
    if (samp_sampler_check(sampler, error) != SAMP_OK)
        return samp_error_prefix(error, "the defaults of %s", path);
    return SAMP_OK;
}

/* ---- the first answer ------------------------------------------------------------------------ */

typedef struct first_answer {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ended;
    samp_end end;
    double logprob;
} first_answer;

static bool first_token(void *context, const samp_token_event *event)
{
    first_answer *first = context;
    first->logprob = event->logprob ? event->logprob->logprob : NAN;
    return true;
}

static void first_end(void *context, const samp_end *end)
{
    first_answer *first = context;
    pthread_mutex_lock(&first->lock);
    first->end = *end;
    first->ended = true;
    pthread_cond_signal(&first->changed);
    pthread_mutex_unlock(&first->lock);
}

/* The whole way once before anyone is let in: a token, from finite logits. */
static samp_status answer_once(samp_server *server, samp_error *error)
{
    first_answer first = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    int32_t bos = samp_tokenizer_bos(server->tokenizer), prompt = bos >= 0 ? bos : 0;
    samp_request request = samp_request_defaults();
    samp_ticket ticket;
    request.prompt = &prompt;
    request.n_prompt = 1;
    request.max_tokens = 1;
    request.logprobs = 0;
    request.sink = (samp_sink){.token = first_token, .end = first_end, .context = &first};
    SAMP_TRY(samp_engine_submit(server->engine, &request, &ticket, error));
    pthread_mutex_lock(&first.lock);
    while (!first.ended) pthread_cond_wait(&first.changed, &first.lock);
    pthread_mutex_unlock(&first.lock);
    if (first.end.finish == SAMP_FINISH_ERROR || !isfinite(first.logprob))
        return samp_fail(error, SAMP_NUMERIC,
                         "the self-test failed: the first token's probability is not a number; "
                         "see samp doctor and samp validate --deep");
    return SAMP_OK;
}

static samp_status load(samp_server *server, samp_error *error)
{
    samp_model *model = NULL;
    SAMP_TRY(verify(server, error));
    SAMP_TRY(samp_tokenizer_load(&server->tokenizer, server->options->folder, error));
    SAMP_TRY(open_chat(server, error));
    SAMP_TRY(read_defaults(server, error));
    SAMP_TRY(samp_model_open(&model, server->options->folder, error));
    samp_about about;
    samp_about_model(model, &about);
    describe(server, model, &about);
    samp_status status = open_engine(server, model, &about, error);
    samp_about_release(&about);
    samp_model_close(model);
    if (status != SAMP_OK) return status;
    return answer_once(server, error);
}

void *samp__server_load(void *context)
{
    samp_server *server = context;
    double start = samp_clock();
    server->load_status = load(server, &server->load_error);
    if (server->load_status == SAMP_OK) {
        samp_metric_set(server->metrics, SAMP_METRIC_MODEL_INFO, server->quantization_level, 1);
        const samp_session *session = samp_engine_session(server->engine);
        samp_metric_set(server->metrics, SAMP_METRIC_KV_BYTES, NULL,
                        (double)samp_session_kv_bytes(session));
        samp_metric_set(server->metrics, SAMP_METRIC_WEIGHT_BYTES, NULL,
                        (double)samp_session_weight_bytes(session));
        int loading = SAMP_SERVER_LOADING;
        atomic_compare_exchange_strong(&server->state, &loading, SAMP_SERVER_READY);
        samp_notify_ready(server->about);
        if (server->options->ready)
            server->options->ready(server->options->context, server, samp_clock() - start);
    } else
        samp_http_server_drain(server->http, 0);
    return NULL;
}
