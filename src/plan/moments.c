/* Second moments of inputs. The tap reads the raw tensors; norm and gated product are repeated here, on all threads,
 * first by tokens, then by groups of channels: sums do not depend on the number of threads. */
#include "plan/moments.h"

#include "base/matrix.h"
#include "base/memory.h"
#include "base/fast_exp.h"

#include <math.h>
#include <string.h>

samp_status samp_moments_init(samp_moments *m, uint64_t cols, bool gram, samp_error *error)
{
    *m = (samp_moments){.cols = cols};
    m->square = samp_alloc(cols, sizeof *m->square);
    m->a8_error = samp_alloc(cols, sizeof *m->a8_error);
    if (gram) m->gram = samp_alloc(cols, cols * sizeof *m->gram);
    if (m->square && m->a8_error && (m->gram || !gram)) return SAMP_OK;
    samp_moments_release(m);
    return samp_fail(error, SAMP_NOMEM, "out of memory for the moments of %llu channels",
                     (unsigned long long)cols);
}

void samp_moments_release(samp_moments *m)
{
    samp_free(m->square);
    samp_free(m->a8_error);
    samp_free(m->gram);
    *m = (samp_moments){0};
}

void samp_moments_mean(const samp_moments *m, float *moment)
{
    for (uint64_t k = 0; k < m->cols; k++)
        moment[k] = m->n_tokens ? (float)(m->square[k] / (double)m->n_tokens) : 0;
}

/* One input of the layer as the tap read it. */
typedef struct seen {
    float *x, *y; /* [window][cols]; y only for a gated product */
    const float *gain;
    uint64_t cols;
    samp_input_kind kind;
    float eps;
    uint32_t n;
} seen;

struct samp_collector {
    samp_pool *pool;
    seen inputs[SAMP_GROUP_KINDS];
    const float *gains[2];        /* attention (or head), mlp */
    samp_moments *const *moments; /* of the current add */
};

static void read_input(void *context, const samp_backend *backend, samp_device *device,
                       samp_role role, uint32_t layer, const samp_input *input, uint32_t n)
{
    (void)layer;
    samp_collector *c = context;
    seen *s = &c->inputs[samp_group_kind_of(role)];
    s->kind = input->kind;
    s->eps = input->eps;
    s->n = n;
    backend->read(device, input->x, 0, n * s->cols, s->x);
    if (input->kind == SAMP_INPUT_SILU) backend->read(device, input->y, 0, n * s->cols, s->y);
}

void samp_collector_see_head(samp_collector *c, const float *x, uint32_t n, float eps)
{
    seen *s = &c->inputs[SAMP_GROUP_HEAD];
    s->kind = SAMP_INPUT_NORM;
    s->eps = eps;
    s->n = n;
    memcpy(s->x, x, n * s->cols * sizeof *x);
}

samp_tap samp_collector_tap(samp_collector *c) { return (samp_tap){read_input, c}; }

samp_status samp_collector_create(samp_collector **out, const samp_config *config, uint32_t window,
                                  samp_pool *pool, samp_error *error)
{
    samp_collector *c = samp_alloc(1, sizeof *c);
    *out = c;
    if (!c) return samp_fail(error, SAMP_NOMEM, "out of memory");
    c->pool = pool;
    for (int k = 0; k < SAMP_GROUP_KINDS; k++) {
        uint64_t cols = samp_group_kind_cols((samp_group_kind)k, config);
        c->inputs[k].cols = cols;
        c->inputs[k].x = samp_alloc(window, cols * sizeof(float));
        c->inputs[k].y = k == SAMP_GROUP_DOWN ? samp_alloc(window, cols * sizeof(float)) : NULL;
        if (!c->inputs[k].x || (k == SAMP_GROUP_DOWN && !c->inputs[k].y)) {
            samp_collector_release(c);
            *out = NULL;
            return samp_fail(error, SAMP_NOMEM, "out of memory for the inputs of %u tokens",
                             window);
        }
    }
    return SAMP_OK;
}

void samp_collector_release(samp_collector *c)
{
    if (!c) return;
    for (int k = 0; k < SAMP_GROUP_KINDS; k++) {
        samp_free(c->inputs[k].x);
        samp_free(c->inputs[k].y);
    }
    samp_free(c);
}

void samp_collector_set_gains(samp_collector *c, const float *attn_gain, const float *mlp_gain)
{
    c->gains[0] = attn_gain;
    c->gains[1] = mlp_gain;
}

SAMP_CLONES static void gate(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = x[i] / (1.0f + samp_fast_exp(-x[i])) * y[i];
}

SAMP_CLONES static void normalize(float *x, const float *gain, size_t n, float eps)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    float r = 1.0f / sqrtf((float)(sum / (double)n) + eps);
    for (size_t i = 0; i < n; i++) x[i] *= r * gain[i];
}

void samp_input_finish(samp_input_kind kind, float *x, const float *y, const float *gain,
                       size_t cols, float eps)
{
    if (kind == SAMP_INPUT_SILU) gate(x, y, cols);
    if (kind == SAMP_INPUT_NORM) normalize(x, gain, cols, eps);
}

/* Turns the tensors read into what the products multiply, token by token. */
static void apply_prologues(void *context, unsigned thread, unsigned n_threads)
{
    samp_collector *c = context;
    for (int k = 0; k < SAMP_GROUP_KINDS; k++) {
        seen *s = &c->inputs[k];
        if (!c->moments[k] || !s->n) continue;
        size_t begin, end;
        samp_split(s->n, 1, thread, n_threads, &begin, &end);
        for (size_t t = begin; t < end; t++) {
            float *x = s->x + t * s->cols;
            samp_input_finish(s->kind, x, s->y ? s->y + t * s->cols : NULL,
                              c->gains[k == SAMP_GROUP_GATE_UP], s->cols, s->eps);
        }
    }
}

/* One group of up to 64 channels of one token. */
SAMP_CLONES static void add_group(const float *x, size_t n, double *square, double *a8_error)
{
    float m = 0;
    for (size_t i = 0; i < n; i++) m = fmaxf(m, fabsf(x[i]));
    float factor = m >= 1e-30f ? 127.0f / m : 0, scale = m / 127.0f;
    for (size_t i = 0; i < n; i++) {
        float q = (x[i] * factor + 12582912.0f) - 12582912.0f; /* to the nearest integer */
        float difference = x[i] - q * scale;
        square[i] += (double)x[i] * x[i];
        a8_error[i] += (double)difference * difference;
    }
}

static void add_channels(void *context, unsigned thread, unsigned n_threads)
{
    samp_collector *c = context;
    for (int k = 0; k < SAMP_GROUP_KINDS; k++) {
        seen *s = &c->inputs[k];
        samp_moments *m = c->moments[k];
        if (!m || !s->n) continue;
        size_t begin, end;
        samp_split(s->cols, SAMP_INPUT_GROUP, thread, n_threads, &begin, &end);
        for (size_t t = 0; t < s->n; t++)
            for (size_t g = begin; g < end; g += SAMP_INPUT_GROUP) {
                size_t n = end - g < SAMP_INPUT_GROUP ? end - g : SAMP_INPUT_GROUP;
                add_group(s->x + t * s->cols + g, n, m->square + g, m->a8_error + g);
            }
    }
}

samp_status samp_collector_add(samp_collector *c, samp_moments *const moments[SAMP_GROUP_KINDS],
                               samp_error *error)
{
    c->moments = moments;
    samp_pool_run(c->pool, apply_prologues, c);
    samp_pool_run(c->pool, add_channels, c);
    for (int k = 0; k < SAMP_GROUP_KINDS; k++) {
        if (!moments[k]) continue;
        if (moments[k]->gram)
            SAMP_TRY(samp_gram_add(c->pool, moments[k]->gram, c->inputs[k].x, c->inputs[k].n,
                                   moments[k]->cols, error));
        moments[k]->n_tokens += c->inputs[k].n;
        c->inputs[k].n = 0;
        double sum = 0;
        for (uint64_t i = 0; i < moments[k]->cols; i++) sum += moments[k]->square[i];
        if (!isfinite(sum))
            return samp_fail(error, SAMP_NUMERIC,
                             "the input of %s is not finite on this calibration text; the model or "
                             "the text is damaged",
                             samp_group_kind_name((samp_group_kind)k));
    }
    return SAMP_OK;
}
