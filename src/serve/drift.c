/* Drift: sampled inputs against the calibration's. */
#include "serve/drift.h"

#include "base/clock.h"
#include "base/memory.h"
#include "plan/moments.h"
#include "quantize/input_fingerprint.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { TOKENS_MAX = 8, TOKENS_ENOUGH = 256, BYTES_MAX = 32 << 20, KINDS = SAMP_GROUP_EMBED };

/* What is measured is half of what looking costs: the step that is looked at copies inputs, and
 * these and the sums here take the caches' room (tests/serve/bench_drift.c). */
static const double share_of_time = 0.0025, remembered_tokens = 8192, outlier_sigmas = 6;
static const double publish_every_s = 1;

/* One group: an input of one layer, or the head's. */
typedef struct watched {
    char name[40];
    bool known;
    uint64_t cols;
    const float *gain; /* [cols] of the norm in front of it; NULL = none */
    float *x, *y;      /* [tokens][cols] as the tap read them; y only for a gated product */
    samp_input_kind kind;
    float eps;
    uint32_t n; /* tokens read by the step under way, 0 = not seen */
    double calibrated[SAMP_FINGERPRINT_BLOCKS];
    float far[SAMP_FINGERPRINT_BLOCKS];   /* a square beyond it is an outlier */
    double mean[SAMP_FINGERPRINT_BLOCKS]; /* of x², running */
    double weight;                        /* tokens in it, at most remembered_tokens */
    double outliers;                      /* running share */
    _Atomic double drift;
} watched;

struct samp_drift {
    samp_metrics *metrics;
    uint32_t n_layers, n_tokens;
    size_t n;
    watched *groups; /* layer by layer qkv, o, gate_up, down; then the head */
    float **gains;   /* [2 * n_layers + 1] */
    bool sampling;   /* the next step is looked at */
    double owed;     /* seconds of looking that the steps so far have paid for */
    double last_cost;
    double unpublished; /* seconds of steps since the metrics were set */
};

/* ---- life ------------------------------------------------------------------------------------ */

static samp_status read_gain(samp_model *model, samp_role role, uint32_t layer, float **out,
                             samp_error *error)
{
    *out = samp_alloc(samp_model_config(model)->dim, sizeof **out);
    if (!*out) return samp_fail(error, SAMP_NOMEM, "out of memory for watching drift");
    return samp_model_read_vector(model, samp_model_weight(model, role, layer), *out, error);
}

static samp_status read_gains(samp_drift *d, samp_model *model, samp_error *error)
{
    d->gains = samp_alloc(2 * (size_t)d->n_layers + 1, sizeof *d->gains);
    if (!d->gains) return samp_fail(error, SAMP_NOMEM, "out of memory for watching drift");
    for (uint32_t i = 0; i < d->n_layers; i++) {
        SAMP_TRY(read_gain(model, SAMP_ROLE_ATTN_NORM, i, &d->gains[2 * i], error));
        SAMP_TRY(read_gain(model, SAMP_ROLE_MLP_NORM, i, &d->gains[2 * i + 1], error));
    }
    return read_gain(model, SAMP_ROLE_FINAL_NORM, 0, &d->gains[2 * d->n_layers], error);
}

static samp_group_kind kind_at(const samp_drift *d, size_t i)
{
    return i == d->n - 1 ? SAMP_GROUP_HEAD : (samp_group_kind)(i % KINDS);
}

static void name_groups(samp_drift *d, const samp_config *config)
{
    for (size_t i = 0; i < d->n; i++) {
        watched *w = &d->groups[i];
        samp_group_kind kind = kind_at(d, i);
        unsigned layer = (unsigned)(i / KINDS);
        w->cols = samp_group_kind_cols(kind, config);
        if (kind == SAMP_GROUP_HEAD)
            snprintf(w->name, sizeof w->name, "%s", samp_group_kind_name(kind));
        else
            snprintf(w->name, sizeof w->name, "layers.%u.%s", layer, samp_group_kind_name(kind));
        if (kind == SAMP_GROUP_QKV || kind == SAMP_GROUP_HEAD) w->gain = d->gains[2 * layer];
        if (kind == SAMP_GROUP_GATE_UP) w->gain = d->gains[2 * layer + 1];
    }
}

static void read_calibrated(watched *w, const json_t *manifest)
{
    w->known = samp_input_fingerprint_read(manifest, w->name, w->calibrated);
    for (unsigned b = 0; w->known && b < SAMP_FINGERPRINT_BLOCKS; b++)
        w->far[b] = (float)(outlier_sigmas * outlier_sigmas * exp(w->calibrated[b]));
}

static samp_status make_room(samp_drift *d, samp_error *error)
{
    uint64_t floats = 0;
    for (size_t i = 0; i < d->n; i++)
        floats += d->groups[i].cols * (kind_at(d, i) == SAMP_GROUP_DOWN ? 2 : 1);
    uint64_t tokens = BYTES_MAX / (floats * sizeof(float) + 1);
    d->n_tokens = tokens < 1 ? 1 : tokens > TOKENS_MAX ? TOKENS_MAX : (uint32_t)tokens;
    for (size_t i = 0; i < d->n; i++) {
        watched *w = &d->groups[i];
        bool gated = kind_at(d, i) == SAMP_GROUP_DOWN;
        w->x = samp_alloc(w->cols, d->n_tokens * sizeof *w->x);
        if (gated) w->y = samp_alloc(w->cols, d->n_tokens * sizeof *w->y);
        if (!w->x || (gated && !w->y))
            return samp_fail(error, SAMP_NOMEM, "out of memory for watching drift");
        atomic_store(&w->drift, NAN);
    }
    return SAMP_OK;
}

samp_status samp_drift_create(samp_drift **out, samp_model *model, const json_t *manifest,
                              samp_metrics *metrics, samp_error *error)
{
    const samp_config *config = samp_model_config(model);
    *out = NULL;
    if (!json_object_get(manifest, "calibration_inputs")) return SAMP_OK;
    samp_drift *d = samp_alloc(1, sizeof *d);
    if (!d) return samp_fail(error, SAMP_NOMEM, "out of memory for watching drift");
    d->metrics = metrics;
    d->n_layers = config->n_layers;
    d->n = (size_t)KINDS * d->n_layers + 1;
    d->groups = samp_alloc(d->n, sizeof *d->groups);
    samp_status status = d->groups
                             ? read_gains(d, model, error)
                             : samp_fail(error, SAMP_NOMEM, "out of memory for watching drift");
    if (status == SAMP_OK) {
        name_groups(d, config);
        for (size_t i = 0; i < d->n; i++) read_calibrated(&d->groups[i], manifest);
        status = make_room(d, error);
    }
    if (status == SAMP_OK)
        *out = d;
    else
        samp_drift_release(d);
    return status;
}

void samp_drift_release(samp_drift *d)
{
    if (!d) return;
    for (size_t i = 0; d->groups && i < d->n; i++) {
        samp_free(d->groups[i].x);
        samp_free(d->groups[i].y);
    }
    for (size_t i = 0; d->gains && i < 2 * (size_t)d->n_layers + 1; i++) samp_free(d->gains[i]);
    samp_free(d->gains);
    samp_free(d->groups);
    samp_free(d);
}

/* ---- looking --------------------------------------------------------------------------------- */

static watched *group_of(samp_drift *d, samp_role role, uint32_t layer)
{
    samp_group_kind kind = samp_group_kind_of(role);
    return &d->groups[kind == SAMP_GROUP_HEAD ? d->n - 1 : KINDS * layer + kind];
}

static void take_input(void *context, const samp_backend *backend, samp_device *device,
                       samp_role role, uint32_t layer, const samp_input *input, uint32_t n_rows)
{
    samp_drift *d = context;
    if (!d->sampling) return;
    watched *w = group_of(d, role, layer);
    w->kind = input->kind;
    w->eps = input->eps;
    w->n = n_rows < d->n_tokens ? n_rows : d->n_tokens;
    backend->read(device, input->x, 0, w->n * w->cols, w->x);
    if (input->kind == SAMP_INPUT_SILU && w->y)
        backend->read(device, input->y, 0, w->n * w->cols, w->y);
}

samp_tap samp_drift_tap(samp_drift *drift)
{
    return drift ? (samp_tap){.input = take_input, .context = drift} : (samp_tap){0};
}

/* The sum of x² over n inputs; *n_far grows by those beyond `far`. In lanes, so that no addition
 * waits for the one before. */
static double add_squares(const float *x, size_t n, float far, uint32_t *n_far)
{
    enum { LANES = 8 };
    float sums[LANES] = {0};
    uint32_t counts[LANES] = {0};
    size_t k = 0;
    for (; k + LANES <= n; k += LANES)
        for (unsigned lane = 0; lane < LANES; lane++) {
            float square = x[k + lane] * x[k + lane];
            sums[lane] += square;
            counts[lane] += square > far;
        }
    for (; k < n; k++) {
        sums[0] += x[k] * x[k];
        counts[0] += x[k] * x[k] > far;
    }
    double sum = 0;
    for (unsigned lane = 0; lane < LANES; lane++) {
        sum += sums[lane];
        *n_far += counts[lane];
    }
    return sum;
}

static void add_token(watched *w, const float *x)
{
    uint32_t n_far = 0;
    w->weight = fmin(w->weight + 1, remembered_tokens);
    for (unsigned b = 0; b < SAMP_FINGERPRINT_BLOCKS; b++) {
        uint64_t begin, end;
        samp_fingerprint_block(w->cols, b, &begin, &end);
        if (end == begin) continue;
        double sum = add_squares(x + begin, end - begin, w->far[b], &n_far);
        w->mean[b] += (sum / (double)(end - begin) - w->mean[b]) / w->weight;
    }
    w->outliers += ((double)n_far / (double)w->cols - w->outliers) / w->weight;
}

static double drift_of(const watched *w)
{
    double sum = 0;
    for (unsigned b = 0; b < SAMP_FINGERPRINT_BLOCKS; b++)
        sum += fabs(log(fmax(w->mean[b], 1e-30)) - w->calibrated[b]);
    return sum / SAMP_FINGERPRINT_BLOCKS;
}

static void add_step(samp_drift *d)
{
    uint32_t seen = 0;
    for (size_t i = 0; i < d->n; i++) {
        watched *w = &d->groups[i];
        for (uint32_t t = 0; w->known && t < w->n; t++) {
            float *x = w->x + t * w->cols;
            samp_input_finish(w->kind, x, w->y ? w->y + t * w->cols : NULL, w->gain, w->cols,
                              w->eps);
            add_token(w, x);
        }
        if (w->n > seen) seen = w->n;
        w->n = 0;
    }
    samp_metric_add(d->metrics, SAMP_METRIC_DRIFT_TOKENS, NULL, seen);
}

/* Logarithms of all groups, and a search for each one's series: more than a look at one token. */
static void publish(samp_drift *d)
{
    d->unpublished = 0;
    for (size_t i = 0; i < d->n; i++) {
        watched *w = &d->groups[i];
        if (!w->known || w->weight < TOKENS_ENOUGH) continue;
        atomic_store(&w->drift, drift_of(w));
        samp_metric_set(d->metrics, SAMP_METRIC_DRIFT, w->name, atomic_load(&w->drift));
        samp_metric_set(d->metrics, SAMP_METRIC_OUTLIER_RATIO, w->name, w->outliers);
    }
}

void samp_drift_step(samp_drift *d, double seconds)
{
    if (!d) return;
    d->owed += share_of_time * seconds;
    d->unpublished += seconds;
    if (d->sampling) {
        double start = samp_clock();
        add_step(d);
        if (d->unpublished >= publish_every_s) publish(d);
        d->last_cost = samp_clock() - start;
        d->owed -= d->last_cost;
        if (d->owed < -1) d->owed = -1; /* after a pause of the machine */
    }
    d->sampling = d->owed >= d->last_cost;
}

bool samp_drift_read(samp_drift *d, size_t i, const char **group, double *value)
{
    if (!d || i >= d->n) return false;
    *group = d->groups[i].name;
    *value = atomic_load(&d->groups[i].drift);
    return true;
}
