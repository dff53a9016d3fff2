/* The run: which request goes where and when, and what all of them took. */
#include "bench/load_internal.h"

#include "base/descriptors.h"
#include "base/memory.h"
#include "base/prng.h"

#include <event2/event.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OTHER_DESCRIPTORS = 32 }; /* kept for files and the loop */

typedef struct planned {
    double due; /* seconds after the start; closed loop: 0 */
    uint8_t arm;
    bool warmup;
    uint32_t index; /* among the records of its arm */
} planned;

typedef struct load {
    const samp_load_options *options;
    samp_load_result *result;
    samp__load_target targets[SAMP_LOAD_ARMS];
    int n_arms;
    struct event_base *base;
    struct event *due_timer, *pulse;
    planned *plan; /* [n_plan] in the order they are sent */
    size_t n_plan, next, n_ended, n_open;
    samp_load_record *scratch; /* [n_plan] of the warm-up */
    samp__load_connection *idle;
    samp__load_connection **all; /* [n_all], for release */
    size_t n_all, all_capacity;
    size_t gaps_capacity[SAMP_LOAD_ARMS];
    float *lags; /* [n_plan + pulses] seconds */
    size_t n_lags, lags_capacity;
    double start, counted_from, counted_to, pulse_due, cpu_start;
    samp_buffer body;
    bool failed;
} load;

/* ---- what is sent ---------------------------------------------------------------------------- */

/* Words that no tokenizer finds odd and no prompt has in the same order. */
static void write_words(samp_buffer *out, samp_prng *prng, uint32_t n)
{
    static const char *const syllables[] = {"ba", "con", "der", "el", "for", "gra", "in",  "ker",
                                            "lo", "mar", "net", "or", "pel", "ra",  "sta", "ti"};
    for (uint32_t i = 0; i < n; i++) {
        if (i) samp_buffer_append(out, " ", 1);
        for (uint64_t k = 0; k < 2; k++)
            samp_buffer_text(out, syllables[samp_prng_below(prng, 16)]);
    }
}

void samp__load_body(const samp_load_options *o, const char *model, uint64_t i, samp_buffer *out)
{
    samp_buffer text = {0};
    samp_prng shared = {o->seed}, own = {o->seed ^ (i + 1) * 0x9E3779B97F4A7C15u};
    if (o->shared_words) {
        write_words(&text, &shared, o->shared_words);
        samp_buffer_append(&text, " ", 1);
    }
    write_words(&text, &own, o->input_words ? o->input_words : 1);
    json_t *content = json_stringn(text.data, text.length);
    json_t *body = json_pack("{s:s, s:i, s:f, s:b, s:{s:b}}", "model", model, "max_tokens",
                             (int)o->output_tokens, "temperature", o->temperature, "stream", 1,
                             "stream_options", "include_usage", 1);
    if (o->chat)
        json_object_set_new(body, "messages",
                            json_pack("[{s:s, s:o}]", "role", "user", "content", content));
    else
        json_object_set_new(body, "prompt", content);
    if (!o->free_length) {
        json_object_set_new(body, "ignore_eos", json_true());
        json_object_set_new(body, "min_tokens", json_integer(o->output_tokens));
    }
    char *dumped = body ? json_dumps(body, JSON_COMPACT) : NULL;
    samp_buffer_clear(out);
    if (dumped)
        samp_buffer_text(out, dumped);
    else
        out->failed = true;
    free(dumped);
    json_decref(body);
    samp_buffer_release(&text);
}

static samp_status find_model(load *l, samp_error *error)
{
    samp_buffer body = {0};
    if (l->options->model) {
        snprintf(l->result->model, sizeof l->result->model, "%s", l->options->model);
        return SAMP_OK;
    }
    SAMP_TRY(samp__load_fetch(&l->targets[0], "/v1/models", l->options->api_key, &body, error));
    json_t *json = samp_json_read(body.data, body.length, 0, NULL);
    const char *id =
        json_string_value(json_object_get(json_array_get(json_object_get(json, "data"), 0), "id"));
    samp_status status = SAMP_OK;
    if (id)
        snprintf(l->result->model, sizeof l->result->model, "%s", id);
    else
        status =
            samp_fail(error, SAMP_CORRUPT, "%s/v1/models names no model; give one with --model",
                      l->options->urls[0]);
    json_decref(json);
    samp_buffer_release(&body);
    return status;
}

/* ---- the plan -------------------------------------------------------------------------------- */

static int compare_due(const void *a, const void *b)
{
    const planned *x = a, *y = b;
    return (x->due > y->due) - (x->due < y->due);
}

/* Closed: the arms in random order, warm-up first. Open: each arm's own arrivals, merged. */
static samp_status make_plan(load *l, samp_error *error)
{
    const samp_load_options *o = l->options;
    samp_prng prng = {o->seed + 1};
    size_t per_arm = (size_t)o->n_warmup + o->n_requests, n = 0;
    l->n_plan = per_arm * (size_t)l->n_arms;
    l->plan = samp_alloc(l->n_plan, sizeof *l->plan);
    l->scratch = samp_alloc(l->n_plan, sizeof *l->scratch);
    if (!l->plan || !l->scratch)
        return samp_fail(error, SAMP_NOMEM, "out of memory for %zu requests", l->n_plan);
    for (uint8_t arm = 0; arm < l->n_arms; arm++) {
        double due = 0;
        for (size_t i = 0; i < per_arm; i++) {
            bool warmup = i < o->n_warmup;
            if (o->arrivals == SAMP_LOAD_POISSON)
                due -= log(1 - samp_prng_uniform(&prng)) / o->rate;
            if (o->arrivals == SAMP_LOAD_CONSTANT) due += 1 / o->rate;
            if (o->arrivals == SAMP_LOAD_CLOSED) due = samp_prng_uniform(&prng) + !warmup;
            l->plan[n++] = (planned){.due = due,
                                     .arm = arm,
                                     .warmup = warmup,
                                     .index = (uint32_t)(warmup ? i : i - o->n_warmup)};
        }
    }
    qsort(l->plan, n, sizeof *l->plan, compare_due);
    return SAMP_OK;
}

/* A connection is a descriptor. An open loop has as many as the server keeps waiting, which nobody
 * knows: it gets what there is. */
static samp_status reserve_descriptors(const load *l, samp_error *error)
{
    const samp_load_options *o = l->options;
    uint64_t wanted = (uint64_t)o->concurrency * (uint64_t)l->n_arms + OTHER_DESCRIPTORS;
    bool closed = o->arrivals == SAMP_LOAD_CLOSED;
    uint64_t limit = samp_descriptors_raise(closed ? wanted : UINT32_MAX);
    if (limit >= wanted || !closed) return SAMP_OK;
    return samp_fail(error, SAMP_LIMIT,
                     "%u requests at any moment need %llu file descriptors, and this process may "
                     "have %llu: raise the hard limit (ulimit -Hn) or take fewer",
                     o->concurrency, (unsigned long long)wanted, (unsigned long long)limit);
}

/* ---- sending and ending ---------------------------------------------------------------------- */

static void note_lag(load *l, double seconds)
{
    if (l->n_lags < l->lags_capacity) l->lags[l->n_lags++] = (float)fmax(seconds, 0);
}

static void take_gap(void *context, samp__load_connection *c, double seconds)
{
    load *l = context;
    int arm = c->target == &l->targets[1];
    samp_load_result *r = l->result;
    if (c->record >= l->scratch && c->record < l->scratch + l->n_plan) return;
    if (r->n_gaps[arm] == l->gaps_capacity[arm]) {
        size_t capacity = 2 * l->gaps_capacity[arm] + 4096;
        float *gaps = samp_realloc(r->gaps[arm], capacity, sizeof *gaps);
        if (!gaps) {
            l->failed = true;
            return;
        }
        r->gaps[arm] = gaps;
        l->gaps_capacity[arm] = capacity;
    }
    r->gaps[arm][r->n_gaps[arm]++] = (float)seconds;
}

static void send_next(load *l);

static void take_end(void *context, samp__load_connection *c)
{
    load *l = context;
    l->n_open--;
    l->n_ended++;
    l->counted_to = samp_clock();
    c->next = l->idle;
    l->idle = c;
    if (!samp_progress_report(&l->options->progress, "requests", l->n_ended, l->n_plan))
        l->failed = true;
    if (l->n_ended == l->n_plan || l->failed)
        event_base_loopbreak(l->base);
    else if (l->options->arrivals == SAMP_LOAD_CLOSED)
        send_next(l);
}

/* An idle connection, to this server if there is one; a new one otherwise. */
static samp__load_connection *take_connection(load *l, const samp__load_target *target)
{
    samp_error ignored;
    for (samp__load_connection **at = &l->idle; *at; at = &(*at)->next) {
        samp__load_connection *c = *at;
        if (c->target != target) continue;
        *at = c->next;
        return c;
    }
    if (l->n_all == l->all_capacity) {
        size_t capacity = 2 * l->all_capacity + 64;
        void *all = samp_realloc(l->all, capacity, sizeof *l->all);
        if (!all) return NULL;
        l->all = all;
        l->all_capacity = capacity;
    }
    samp__load_connection *c;
    if (samp__load_connection_open(&c, l->base, &ignored) != SAMP_OK) return NULL;
    c->timeout_s = l->options->timeout_s;
    c->on_gap = take_gap;
    c->on_end = take_end;
    c->context = l;
    return l->all[l->n_all++] = c;
}

static void send_next(load *l)
{
    const samp_load_options *o = l->options;
    const planned *p = &l->plan[l->next];
    samp__load_connection *c = l->next < l->n_plan ? take_connection(l, &l->targets[p->arm]) : NULL;
    if (l->next == l->n_plan) return;
    if (!c) {
        l->failed = true;
        event_base_loopbreak(l->base);
        return;
    }
    samp_load_record *record =
        p->warmup ? &l->scratch[l->next] : &l->result->records[p->arm][p->index];
    samp__load_body(o, l->result->model, l->next, &l->body);
    *record = (samp_load_record){0};
    double now = samp_clock();
    record->due = o->arrivals == SAMP_LOAD_CLOSED ? now : l->start + p->due;
    if (!p->warmup && l->counted_from == 0) l->counted_from = record->due;
    l->next++;
    l->n_open++;
    samp__load_send(c, &l->targets[p->arm], o->chat ? "/v1/chat/completions" : "/v1/completions",
                    o->api_key, &l->body, record);
    if (o->arrivals != SAMP_LOAD_CLOSED && !p->warmup) note_lag(l, record->sent - record->due);
}

/* ---- timers ---------------------------------------------------------------------------------- */

static void wait_for(struct event *timer, double seconds)
{
    struct timeval wait = {.tv_sec = (time_t)seconds,
                           .tv_usec = (suseconds_t)(1e6 * (seconds - floor(seconds)))};
    event_add(timer, &wait);
}

static void on_due(evutil_socket_t fd, short what, void *context)
{
    load *l = context;
    (void)fd, (void)what;
    while (l->next < l->n_plan && !l->failed && l->start + l->plan[l->next].due <= samp_clock())
        send_next(l);
    if (l->next < l->n_plan && !l->failed)
        wait_for(l->due_timer, fmax(l->start + l->plan[l->next].due - samp_clock(), 0));
}

/* A timer that should ring every 20 ms: how late it does shows whether the loop keeps up. */
static void on_pulse(evutil_socket_t fd, short what, void *context)
{
    load *l = context;
    double now = samp_clock();
    (void)fd, (void)what;
    if (l->counted_from > 0) note_lag(l, now - l->pulse_due);
    l->pulse_due = now + 0.02;
    wait_for(l->pulse, 0.02);
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* ---- the run --------------------------------------------------------------------------------- */

static void read_memory(load *l, int arm)
{
    static const char name[] = "\nprocess_resident_memory_bytes";
    samp_buffer body = {0};
    samp_error ignored;
    if (samp__load_fetch(&l->targets[arm], "/metrics", l->options->api_key, &body, &ignored) ==
            SAMP_OK &&
        body.data) {
        const char *line = strstr(body.data, name);
        const char *value = line ? strpbrk(line + 1, " \n") : NULL;
        if (value && *value == ' ') l->result->memory_bytes[arm] = strtod(value, NULL);
    }
    samp_buffer_release(&body);
}

static samp_status open_load(load *l, samp_error *error)
{
    const samp_load_options *o = l->options;
    for (int arm = 0; arm < SAMP_LOAD_ARMS && o->urls[arm]; arm++) {
        SAMP_TRY(samp__load_target_parse(o->urls[arm], &l->targets[arm], error));
        l->result->records[arm] = samp_alloc(o->n_requests, sizeof(samp_load_record));
        if (!l->result->records[arm])
            return samp_fail(error, SAMP_NOMEM, "out of memory for %u requests", o->n_requests);
        l->n_arms++;
    }
    SAMP_TRY(reserve_descriptors(l, error));
    SAMP_TRY(find_model(l, error));
    SAMP_TRY(make_plan(l, error));
    l->lags_capacity = l->n_plan + 1000000;
    l->lags = samp_alloc(l->lags_capacity, sizeof *l->lags);
    l->base = samp__load_loop();
    if (l->base) l->due_timer = event_new(l->base, -1, 0, on_due, l);
    if (l->base) l->pulse = event_new(l->base, -1, 0, on_pulse, l);
    if (!l->lags || !l->due_timer || !l->pulse)
        return samp_fail(error, SAMP_NOMEM, "out of memory for the load");
    return SAMP_OK;
}

static samp_status run(load *l, samp_error *error)
{
    l->start = samp_clock();
    l->cpu_start = samp_cpu_seconds();
    l->pulse_due = l->start + 0.02;
    wait_for(l->pulse, 0.02);
    if (l->options->arrivals == SAMP_LOAD_CLOSED)
        for (uint32_t i = 0; i < l->options->concurrency; i++) send_next(l);
    else
        on_due(-1, 0, l);
    event_base_dispatch(l->base);
    double seconds = samp_clock() - l->start;
    l->result->seconds = l->counted_to - l->counted_from;
    l->result->cpu_share = (samp_cpu_seconds() - l->cpu_start) / seconds;
    if (l->n_lags) {
        qsort(l->lags, l->n_lags, sizeof *l->lags, compare_floats);
        l->result->lag_p99 = l->lags[(size_t)(0.99 * (double)(l->n_lags - 1))];
    }
    if (l->n_ended == l->n_plan) return SAMP_OK;
    return samp_fail(error, SAMP_CANCELLED, "stopped after %zu of %zu requests", l->n_ended,
                     l->n_plan);
}

samp_status samp_load_run(const samp_load_options *options, samp_load_result *out,
                          samp_error *error)
{
    load l = {.options = options, .result = out};
    *out = (samp_load_result){0};
    samp_status status = open_load(&l, error);
    if (status == SAMP_OK) status = run(&l, error);
    for (size_t i = 0; i < l.n_all; i++) samp__load_connection_close(l.all[i]);
    if (l.due_timer) event_free(l.due_timer);
    if (l.pulse) event_free(l.pulse);
    if (l.base) event_base_free(l.base);
    /* Now that connections are closed: libevent ends the program when a loop finds no descriptor. */
    for (int arm = 0; arm < l.n_arms && status == SAMP_OK; arm++) read_memory(&l, arm);
    samp_buffer_release(&l.body);
    samp_free(l.all);
    samp_free(l.lags);
    samp_free(l.plan);
    samp_free(l.scratch);
    if (status != SAMP_OK) samp_load_result_release(out);
    return status;
}

void samp_load_result_release(samp_load_result *result)
{
    for (int arm = 0; arm < SAMP_LOAD_ARMS; arm++) {
        samp_free(result->records[arm]);
        samp_free(result->gaps[arm]);
        result->records[arm] = NULL;
        result->gaps[arm] = NULL;
    }
}
