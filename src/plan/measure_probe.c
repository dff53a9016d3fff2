/* The end of the pass: KL divergence of every probe from the reference, and what follows from it. */
#include "plan/measure_internal.h"

#include "eval/compare.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 64 }; /* positions whose logits are in memory at a time */

typedef struct probe_job {
    const float *reference, *probe; /* [n][vocab] logits */
    size_t n, vocab;
    double kl[CHUNK];
} probe_job;

static void compare_chunk(void *context, unsigned thread, unsigned n_threads)
{
    probe_job *job = context;
    size_t begin, end;
    samp_split(job->n, 1, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++)
        job->kl[i] = samp_compare_position(job->reference + i * job->vocab,
                                           job->probe + i * job->vocab, job->vocab, 0)
                         .kl;
}

typedef struct probe_run {
    samp__measure *m;
    samp_layered_head *heads[2]; /* as it is, base format */
    float *x;                    /* [CHUNK][dim] */
    float *logits[2];            /* [CHUNK][vocab]: reference, probe */
    uint32_t n_scored;           /* positions over all probe windows */
} probe_run;

/* Scored positions at … at+n of a stream, gathered; NULL stream = of the reference. */
static void gather(const probe_run *run, const float *stream, uint32_t at, uint32_t n)
{
    const samp__measure *m = run->m;
    uint32_t per_window = m->window / m->score_every, dim = m->config->dim;
    const float *from = stream ? stream : samp__reference_stream(m, samp_streams_now(&m->streams));
    for (uint32_t i = 0; i < n; i++) {
        uint32_t window = (at + i) / per_window,
                 position = (at + i) % per_window * m->score_every + m->score_every - 1;
        if (!stream) window = samp__probe_window(m, window);
        memcpy(run->x + (size_t)i * dim, from + ((size_t)window * m->window + position) * dim,
               dim * sizeof *run->x);
    }
}

static samp_status score_chunk(probe_run *run, uint32_t at, uint32_t n, samp_error *error)
{
    samp__measure *m = run->m;
    float *now = samp_streams_now(&m->streams);
    gather(run, NULL, at, n);
    const samp_layered_head *exact[2] = {run->heads[0], run->heads[0]};
    SAMP_TRY(samp_layered_logits(m->layered, exact, run->x, n, run->logits[0], NULL, error));
    probe_job job = {.reference = run->logits[0],
                     .probe = run->logits[1],
                     .n = n,
                     .vocab = m->config->vocab_size};
    for (size_t p = 0; p <= m->n_groups; p++) {
        bool whole = p == m->n_groups, head = !whole && p >= m->head;
        bool own_stream = !head || m->config->tied_embeddings;
        gather(run, own_stream ? samp__probe_stream(m, now, p) : NULL, at, n);
        const samp_layered_head *probe[2] = {run->heads[whole || p == m->head],
                                             run->heads[whole || p == m->head + 1]};
        SAMP_TRY(samp_layered_logits(m->layered, probe, run->x, n, run->logits[1], NULL, error));
        samp_pool_run(m->pool, compare_chunk, &job);
        for (uint32_t i = 0; i < n; i++) m->probe_kl[p] += job.kl[i];
        if (!samp_progress_report(&m->options->progress, "score",
                                  (uint64_t)at * (m->n_groups + 1) + p * n,
                                  (uint64_t)run->n_scored * (m->n_groups + 1)))
            return samp_fail(error, SAMP_CANCELLED, "stopped; the same command goes on from here");
    }
    return SAMP_OK;
}

static samp_status score_probes(probe_run *run, samp_error *error)
{
    samp__measure *m = run->m;
    samp_encoded_group encoded[2] = {{.group = NULL}};
    const samp_encoded_group *items[2] = {&encoded[0], &encoded[1]};
    samp_encoded_list list = {items, m->n_groups - m->head};
    samp_replace replace = samp_encoded_replace(&list);
    samp_status status = samp_layered_head_create(m->layered, NULL, &run->heads[0], error);
    for (size_t i = 0; i < list.count && status == SAMP_OK; i++)
        status = samp_encode_group(&encoded[i], m->model, &m->groups[m->head + i],
                                   samp_format_get(samp__probe_format), NULL, NULL, m->pool, error);
    if (status == SAMP_OK)
        status = samp_layered_head_create(m->layered, &replace, &run->heads[1], error);
    for (size_t i = 0; i < list.count; i++) samp_encoded_group_release(&encoded[i]);
    for (uint32_t at = 0; at < run->n_scored && status == SAMP_OK; at += CHUNK)
        status =
            score_chunk(run, at, run->n_scored - at < CHUNK ? run->n_scored - at : CHUNK, error);
    for (int h = 0; h < 2; h++) samp_layered_head_release(m->layered, run->heads[h]);
    return status;
}

/* alpha of a group from its probe; the error of the probe's own format is in the list of choices. */
static void apply_alpha(const samp__measure *m, size_t g, double kl)
{
    samp_sensitivity_group *group = &m->out->groups[g];
    double error = g >= m->head ? m->head_error[g - m->head] : 0;
    for (uint32_t i = 0; !error && i < group->n_choices; i++)
        if (group->choices[i].format->id == samp__probe_format) error = group->choices[i].error;
    group->alpha = error > 0 ? kl / error : 0;
    group->activation_kl *= group->alpha;
    for (uint32_t i = 0; i < group->n_choices; i++)
        group->choices[i].kl = group->alpha * group->choices[i].error;
}

samp_status samp__measure_probes(samp__measure *m, samp_error *error)
{
    probe_run run = {.m = m, .n_scored = m->n_probe_windows * (m->window / m->score_every)};
    size_t vocab = m->config->vocab_size;
    run.x = samp_alloc(CHUNK, m->config->dim * sizeof *run.x);
    for (int i = 0; i < 2; i++) run.logits[i] = samp_alloc(CHUNK, vocab * sizeof *run.logits[i]);
    memset(m->probe_kl, 0, (m->n_groups + 1) * sizeof *m->probe_kl);
    samp_status status = run.x && run.logits[0] && run.logits[1]
                             ? score_probes(&run, error)
                             : samp_fail(error, SAMP_NOMEM, "out of memory for logits");
    double sum = 0;
    for (size_t g = 0; g < m->n_groups && status == SAMP_OK; g++) {
        double kl = m->probe_kl[g] / run.n_scored;
        if (!isfinite(kl))
            status = samp_fail(error, SAMP_NUMERIC, "the probe of %s gave no finite KL divergence",
                               m->groups[g].name);
        apply_alpha(m, g, kl);
        sum += kl;
    }
    double whole = m->probe_kl[m->n_groups] / run.n_scored;
    m->out->bias = sum > 0 && isfinite(whole) && whole > 0 ? whole / sum : 1;
    m->out->n_probe_tokens = run.n_scored;
    m->out->n_tokens = (uint64_t)m->n_windows * m->window;
    samp_free(run.x);
    for (int i = 0; i < 2; i++) samp_free(run.logits[i]);
    return status;
}
