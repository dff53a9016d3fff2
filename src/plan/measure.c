/* The pass over the layers. Streams lie in a mapped file in two generations: a layer reads one and writes the other. */
#include "plan/measure_internal.h"

#include "base/memory.h"

#include <string.h>
#include <unistd.h>

samp_status samp__measure_report(samp__measure *m, uint64_t n_tokens, samp_error *error)
{
    m->work_done += n_tokens;
    uint64_t layers = m->config->n_layers;
    if (samp_progress_report(&m->options->progress, "measure", m->work_done / layers,
                             m->work_total / layers))
        return SAMP_OK;
    return samp_fail(error, SAMP_CANCELLED, "stopped; the same command goes on after layer %u",
                     m->layers_done);
}

/* A window through a block, from the complete generation to the next. */
static samp_status run_window(samp__measure *m, const samp_layered_block *block, const float *from,
                              float *to, const samp_tap *tap, samp_error *error)
{
    memcpy(to, from, (size_t)m->window * m->config->dim * sizeof *to);
    SAMP_TRY(samp_layered_run(m->layered, block, m->window, to, tap, error));
    return samp__measure_report(m, m->window, error);
}

static samp_status run_reference(samp__measure *m, const samp_layered_block *block,
                                 samp_moments *const *moments, samp_error *error)
{
    m->speed.pass_tokens += (double)m->n_windows * m->window;
    const float *from = samp__reference_stream(m, samp_streams_now(&m->streams));
    float *to = samp__reference_stream(m, samp_streams_next(&m->streams));
    size_t floats = (size_t)m->window * m->config->dim;
    samp_tap tap = samp_collector_tap(m->collector);
    for (uint32_t w = 0; w < m->n_windows; w++) {
        SAMP_TRY(run_window(m, block, from + w * floats, to + w * floats, &tap, error));
        SAMP_TRY(samp_collector_add(m->collector, moments, error));
    }
    return SAMP_OK;
}

/* A probe's windows; one that begins here starts from the reference's. */
static samp_status run_probe(samp__measure *m, const samp_layered_block *block, size_t probe,
                             bool begins, samp_error *error)
{
    float *now = samp_streams_now(&m->streams), *next = samp_streams_next(&m->streams);
    const float *from = begins ? samp__reference_stream(m, now) : samp__probe_stream(m, now, probe);
    float *to = samp__probe_stream(m, next, probe);
    size_t floats = (size_t)m->window * m->config->dim;
    m->speed.probe_tokens += (double)m->n_probe_windows * m->window;
    for (uint32_t w = 0; w < m->n_probe_windows; w++) {
        uint32_t at = begins ? samp__probe_window(m, w) : w;
        SAMP_TRY(run_window(m, block, from + at * floats, to + w * floats, NULL, error));
    }
    return SAMP_OK;
}

static samp_status set_gains(samp__measure *m, uint32_t layer, float *gains, samp_error *error)
{
    SAMP_TRY(samp_model_read_vector(
        m->model, samp_model_weight(m->model, SAMP_ROLE_ATTN_NORM, layer), gains, error));
    SAMP_TRY(samp_model_read_vector(m->model,
                                    samp_model_weight(m->model, SAMP_ROLE_MLP_NORM, layer),
                                    gains + m->config->dim, error));
    samp_collector_set_gains(m->collector, gains, gains + m->config->dim);
    return SAMP_OK;
}

/* Probes of earlier layers (and of the embedding) go on through the layer as it is; the reference too, with its inputs
 * measured. */
static samp_status pass_reference(samp__measure *m, uint32_t layer, samp_moments *const *moments,
                                  samp_error *error)
{
    samp_layered_block *block;
    double start = samp_clock();
    SAMP_TRY(samp_layered_block_create(m->layered, layer, NULL, &block, error));
    samp_status status = run_reference(m, block, moments, error);
    double between = samp_clock();
    for (size_t g = 0; g < m->n_groups && status == SAMP_OK; g++) {
        bool begun = m->groups[g].kind < SAMP_GROUP_EMBED ? m->groups[g].layer < layer
                                                          : samp__is_early(m, g);
        if (begun) status = run_probe(m, block, g, false, error);
    }
    samp_layered_block_release(m->layered, block);
    m->speed.pass_s += between - start;
    m->speed.probe_s += samp_clock() - between;
    return status;
}

/* A probe's weights are rounded as the plan would round them. */
static const samp_feedback *probe_feedback(const samp__measure *m, size_t g,
                                           const samp__inputs *inputs)
{
    const samp_sensitivity_group *group = &m->out->groups[g];
    for (uint32_t c = 0; c < group->n_choices; c++)
        if (group->choices[c].format->id == samp__probe_format &&
            group->choices[c].rounding == SAMP_ROUNDING_GPTQ)
            return samp__inputs_feedback(inputs);
    return NULL;
}

/* Probes of this layer's groups begin, from the reference; the whole goes on with all four groups replaced. */
static samp_status pass_probes(samp__measure *m, uint32_t layer, const samp__inputs *inputs,
                               samp_error *error)
{
    samp_encoded_group encoded[SAMP_GROUP_EMBED] = {{0}};
    const samp_encoded_group *all[SAMP_GROUP_EMBED];
    samp_status status = SAMP_OK;
    double start = samp_clock();
    for (int k = 0; k < SAMP_GROUP_EMBED && status == SAMP_OK; k++) {
        size_t g = (size_t)layer * SAMP_GROUP_EMBED + (size_t)k;
        all[k] = &encoded[k];
        status = samp_encode_group(&encoded[k], m->model, &m->groups[g],
                                   samp_format_get(samp__probe_format), m->moment + m->moment_at[g],
                                   probe_feedback(m, g, &inputs[k]), m->pool, error);
    }
    for (int k = 0; k <= SAMP_GROUP_EMBED && status == SAMP_OK; k++) {
        bool whole = k == SAMP_GROUP_EMBED;
        size_t stream = whole ? m->n_groups : (size_t)layer * SAMP_GROUP_EMBED + (size_t)k;
        samp_encoded_list list = {whole ? all : &all[k], whole ? SAMP_GROUP_EMBED : 1};
        samp_replace replace = samp_encoded_replace(&list);
        samp_layered_block *block = NULL;
        status = samp_layered_block_create(m->layered, layer, &replace, &block, error);
        if (status == SAMP_OK) status = run_probe(m, block, stream, !whole, error);
        samp_layered_block_release(m->layered, block);
    }
    for (int k = 0; k < SAMP_GROUP_EMBED; k++) samp_encoded_group_release(&encoded[k]);
    m->speed.probe_s += samp_clock() - start;
    return status;
}

static samp_status measure_layer(samp__measure *m, uint32_t layer, samp_error *error)
{
    samp__inputs inputs[SAMP_GROUP_EMBED] = {{.factor = NULL}};
    samp_moments *wanted[SAMP_GROUP_KINDS] = {NULL};
    float *gains = samp_alloc(2, m->config->dim * sizeof *gains);
    samp_status status =
        gains ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "out of memory for layer %u", layer);
    for (int k = 0; k < SAMP_GROUP_EMBED && status == SAMP_OK; k++) {
        wanted[k] = &inputs[k].moments;
        status = samp_moments_init(wanted[k], samp_group_cols(&m->groups[k]), true, error);
    }
    if (status == SAMP_OK) status = set_gains(m, layer, gains, error);
    if (status == SAMP_OK) status = pass_reference(m, layer, wanted, error);
    for (int k = 0; k < SAMP_GROUP_EMBED && status == SAMP_OK; k++) {
        size_t g = (size_t)layer * SAMP_GROUP_EMBED + (size_t)k;
        status = samp__measure_factor(m, g, &inputs[k], error);
        if (status == SAMP_OK) status = samp__measure_errors(m, g, &inputs[k], error);
    }
    if (status == SAMP_OK) status = pass_probes(m, layer, inputs, error);
    for (int k = 0; k < SAMP_GROUP_EMBED; k++) samp__inputs_release(&inputs[k]);
    samp_free(gains);
    if (status != SAMP_OK) return status;
    m->streams.generation ^= 1;
    m->layers_done = layer + 1;
    return samp__measure_save(m, error);
}

/* Embeddings of all windows: as they are for the reference; in the base format for the probes that begin here, and all of
 * it for the whole. */
static samp_status start_streams(samp__measure *m, samp_error *error)
{
    float *now = samp_streams_now(&m->streams);
    uint32_t n_probe = m->n_probe_windows * m->window;
    const int32_t *tokens = m->options->tokens;
    SAMP_TRY(samp_layered_embed(m->layered, NULL, tokens, m->n_windows * m->window,
                                samp__reference_stream(m, now), error));
    int32_t *probed = samp_alloc(n_probe, sizeof *probed);
    if (!probed) return samp_fail(error, SAMP_NOMEM, "out of memory for %u tokens", n_probe);
    for (uint32_t w = 0; w < m->n_probe_windows; w++)
        memcpy(probed + (size_t)w * m->window,
               tokens + (size_t)samp__probe_window(m, w) * m->window, m->window * sizeof *probed);
    samp_encoded_group encoded[2] = {{.group = NULL}};
    const samp_encoded_group *items[2] = {&encoded[0], &encoded[1]};
    size_t n = samp__early_probes(m), first = m->config->tied_embeddings ? m->head : m->head - 1;
    samp_status status = SAMP_OK;
    for (size_t i = 0; i < n && status == SAMP_OK; i++)
        status = samp_encode_group(&encoded[i], m->model, &m->groups[first + i],
                                   samp_format_get(samp__probe_format), NULL, NULL, m->pool, error);
    for (size_t i = 0; i <= n && status == SAMP_OK; i++) {
        bool whole = i == n;
        samp_encoded_list list = {whole ? items : &items[i], whole ? n : 1};
        samp_replace replace = samp_encoded_replace(&list);
        float *to = samp__probe_stream(m, now, whole ? m->n_groups : first + i);
        status = samp_layered_embed(m->layered, &replace, probed, n_probe, to, error);
    }
    for (size_t i = 0; i < n; i++) samp_encoded_group_release(&encoded[i]);
    samp_free(probed);
    return status;
}

/* The input of the head is what left the last layer, normed; an embedding's "input" is one token at a time: all alike. */
static samp_status measure_ends(samp__measure *m, samp_error *error)
{
    uint32_t dim = m->config->dim;
    samp__inputs inputs = {.factor = NULL};
    samp_moments *wanted[SAMP_GROUP_KINDS] = {NULL};
    SAMP_TRY(samp_moments_init(&inputs.moments, dim, true, error));
    wanted[SAMP_GROUP_HEAD] = &inputs.moments;
    float *gain = samp_alloc(dim, sizeof *gain);
    samp_status status = gain ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "out of memory");
    if (status == SAMP_OK)
        status = samp_model_read_vector(
            m->model, samp_model_weight(m->model, SAMP_ROLE_FINAL_NORM, 0), gain, error);
    samp_collector_set_gains(m->collector, gain, NULL);
    const float *last = samp__reference_stream(m, samp_streams_now(&m->streams));
    for (uint32_t w = 0; w < m->n_windows && status == SAMP_OK; w++) {
        samp_collector_see_head(m->collector, last + (size_t)w * m->window * dim, m->window,
                                m->config->rms_norm_eps);
        status = samp_collector_add(m->collector, wanted, error);
    }
    if (status == SAMP_OK) status = samp__measure_factor(m, m->head, &inputs, error);
    for (size_t g = m->head; g < m->n_groups && status == SAMP_OK; g++)
        status = samp__measure_errors(m, g, &inputs, error);
    if (status == SAMP_OK && !m->config->tied_embeddings)
        status = samp__measure_errors(m, m->head - 1, NULL, error);
    samp__inputs_release(&inputs);
    samp_free(gain);
    return status;
}

/* The rows of a vocabulary's first ids are as sensitive as all the others together, and few: they are a group of their
 * own wherever they are few. */
static samp_status open_groups(samp__measure *m, samp_error *error)
{
    uint32_t first = m->options->first_ids ? m->options->first_ids : SAMP_MEASURE_FIRST_IDS;
    if (m->config->vocab_size / 8 >= first) SAMP_TRY(samp_model_cut_head(m->model, first, error));
    SAMP_TRY(samp_groups_of(m->model, &m->groups, &m->n_groups, error));
    m->head = m->n_groups - (samp_model_head_rest(m->model) ? 2 : 1);
    return SAMP_OK;
}

static void count_vectors(samp__measure *m)
{
    m->out->n_vectors = m->out->vector_bytes = 0;
    for (size_t i = 0; i < samp_model_count(m->model); i++) {
        const samp_weight_ref *weight = samp_model_at(m->model, i);
        if (samp_role_is_matrix(weight->role)) continue;
        m->out->n_vectors++;
        m->out->vector_bytes += weight->layout.bytes;
    }
}

static samp_status measure_open(samp__measure *m, samp_error *error)
{
    const samp_measure_options *o = m->options;
    m->config = samp_model_config(m->model);
    m->window = o->window ? o->window : 512;
    m->score_every = o->score_every ? o->score_every : 2;
    m->n_probe_windows = o->probe_windows ? o->probe_windows : 2;
    if (o->n_tokens < m->window)
        return samp_fail(error, SAMP_INVALID,
                         "the calibration text has %zu tokens, at least one window of %u is needed",
                         o->n_tokens, m->window);
    m->n_windows = (uint32_t)(o->n_tokens / m->window);
    if (m->n_probe_windows > m->n_windows) m->n_probe_windows = m->n_windows;
    if (m->score_every >= m->window) m->score_every = m->window - 1;
    for (size_t i = 0; i < samp_model_count(m->model); i++)
        if (samp_integer_group(&samp_model_at(m->model, i)->layout,
                               samp_model_at(m->model, i)->format->id))
            return samp_fail(error, SAMP_UNSUPPORTED,
                             "%s is quantized already (%s is %s); measure the 16-bit original",
                             samp_model_folder(m->model), samp_model_at(m->model, i)->name,
                             samp_model_at(m->model, i)->format->name);
    SAMP_TRY(open_groups(m, error));
    uint64_t dim = m->config->dim, layers = m->config->n_layers;
    m->reference_floats = (uint64_t)m->n_windows * m->window * dim;
    m->probe_floats = (uint64_t)m->n_probe_windows * m->window * dim;
    m->work_total = layers * m->n_windows * m->window +
                    (2 * layers * (layers + 1) + (1 + samp__early_probes(m)) * layers) *
                        m->n_probe_windows * m->window;
    uint64_t cols = 0;
    m->moment_at = samp_alloc(m->n_groups, sizeof *m->moment_at);
    m->probe_kl = samp_alloc(m->n_groups + 1, sizeof *m->probe_kl);
    if (!m->moment_at || !m->probe_kl) return samp_fail(error, SAMP_NOMEM, "out of memory");
    for (size_t g = 0; g < m->n_groups; g++) {
        m->moment_at[g] = g > m->head ? m->moment_at[m->head] : cols;
        if (g <= m->head) cols += samp_group_cols(&m->groups[g]);
    }
    m->moment = samp_alloc(cols, sizeof *m->moment);
    if (!m->moment)
        return samp_fail(error, SAMP_NOMEM, "out of memory for the moments of %llu channels",
                         (unsigned long long)cols);
    samp_session_options session = {.n_threads = o->n_threads};
    SAMP_TRY(samp_pool_create(&m->pool, o->n_threads, error));
    SAMP_TRY(samp_collector_create(&m->collector, m->config, m->window, m->pool, error));
    return samp_layered_open(&m->layered, m->model, &session, m->window, error);
}

static void measure_close(samp__measure *m)
{
    samp_streams_close(&m->streams);
    if (m->feedback_fd >= 0) close(m->feedback_fd);
    samp_free(m->feedback_at);
    samp_layered_close(m->layered);
    samp_collector_release(m->collector);
    samp_pool_release(m->pool);
    samp_free(m->moment);
    samp_free(m->moment_at);
    samp_free(m->probe_kl);
    samp_free(m->groups);
}

samp_status samp_measure(samp_model *model, const samp_measure_options *options,
                         samp_sensitivity *out, samp_error *error)
{
    *out = (samp_sensitivity){.bias = 1};
    samp__measure m = {
        .model = model, .options = options, .out = out, .streams = {.fd = -1}, .feedback_fd = -1};
    samp_status status = measure_open(&m, error);
    if (status == SAMP_OK) status = samp__measure_begin(&m, error);
    count_vectors(&m);
    if (status == SAMP_OK && m.layers_done == 0) status = start_streams(&m, error);
    for (uint32_t layer = m.layers_done; status == SAMP_OK && layer < m.config->n_layers; layer++)
        status = measure_layer(&m, layer, error);
    if (status == SAMP_OK) status = measure_ends(&m, error);
    if (status == SAMP_OK) status = samp__measure_probes(&m, error);
    if (status == SAMP_OK && options->moments_path) status = samp__measure_moments(&m, error);
    m.speed.pass_tokens /= m.config->n_layers;
    m.speed.probe_tokens /= m.config->n_layers;
    if (options->speed) *options->speed = m.speed;
    measure_close(&m);
    if (status == SAMP_OK) status = samp_remove_folder(options->work_folder, error);
    if (status != SAMP_OK) samp_sensitivity_release(out);
    return status;
}
