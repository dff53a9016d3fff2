/* The streaming loop: each thread takes its share of a weight's row panels, gets one, checks that its
 * values are finite, encodes it (unless it comes in the artifact's type), and writes its codes to
 * their place.
 * Scale parts are collected whole and written when the weight is complete. */
#include "quantize/writer.h"
#include "base/half.h"
#include "base/memory.h"
#include "format/convert.h"
#include "format/feedback.h"
#include "model/model.h"

#include <stdatomic.h>
#include <string.h>

/* One thread's buffers, and the first failure it met. */
typedef struct write_lane {
    void *values;    /* as the source has them */
    void *other;     /* codes, or floats on the way to them */
    float *feedback; /* room for error feedback, where the weight takes it */
    samp_status status;
    samp_error error;
} write_lane;

typedef struct write_job {
    samp_artifact *artifact;
    const samp_artifact_weight *weights;
    const samp_row_source *source;
    size_t weight;       /* being written */
    uint64_t panel_rows; /* of that weight */
    samp_encode_options options;
    void *parts[SAMP_PARTS_MAX]; /* parts 1…: whole */
    float *work;
    write_lane *lanes;
    unsigned n_lanes;
    atomic_bool stop; /* a thread failed, or the user cancelled */
    atomic_uint_fast64_t rows_done;
    uint64_t elements_before, elements_total; /* for progress */
    unsigned unit_bytes;
    const char *what;
    const samp_progress *progress;
} write_job;

/* Magnitude (as float bits) from which a plain float format would round to infinity. */
static uint32_t overflow_bits(const samp_format *format)
{
    if (format->id == SAMP_FORMAT_FP16) return 0x477ff000; /* 65520 */
    if (format->id == SAMP_FORMAT_BF16) return 0x7f7f8000;
    return 0x7f800000;
}

/* Names the first weight of magnitude `limit` or more. */
static samp_status refuse_value(const samp_artifact_weight *weight, const float *w, uint64_t row0,
                                uint32_t limit, samp_error *error)
{
    uint64_t cols = weight->layout.cols, i = 0;
    while ((samp_float_bits(w[i]) & 0x7fffffff) < limit) i++;
    unsigned long long row = row0 + i / cols, col = i % cols;
    if ((samp_float_bits(w[i]) & 0x7fffffff) >= 0x7f800000)
        return samp_fail(
            error, SAMP_NUMERIC,
            "%s: the weight in row %llu, column %llu is %f; weights must be finite: the "
            "source is damaged or was trained to divergence",
            weight->name, row, col, (double)w[i]);
    return samp_fail(error, SAMP_NUMERIC,
                     "%s: the weight in row %llu, column %llu is %g, more than %s can hold: choose "
                     "bf16 (samp import --dtype bf16, or that format in the plan)",
                     weight->name, row, col, (double)w[i], weight->format->name);
}

/* The panel's values as floats: in place, or widened into the lane's other room. */
static float *floats_of(const write_lane *lane, samp_dtype dtype, uint64_t n)
{
    if (dtype == SAMP_F32) return lane->values;
    if (dtype == SAMP_F16)
        samp_fp16_to_floats(lane->values, n, lane->other);
    else
        samp_bf16_to_floats(lane->values, n, lane->other);
    return lane->other;
}

/* *codes = where the panel's bytes for the artifact are: either room of the lane. */
static samp_status encode_panel(const write_job *job, write_lane *lane, samp_dtype dtype,
                                uint64_t row0, uint64_t n_rows, void **codes)
{
    const samp_artifact_weight *weight = &job->weights[job->weight];
    const samp_format *format = weight->format;
    uint64_t n = n_rows * weight->layout.cols;
    uint32_t limit = overflow_bits(format), magnitude;
    bool as_is = format->group == 0 && weight->layout.parts[0].dtype == dtype;
    bool direct = !as_is && format->encode_stored && !job->options.search;
    void *parts[SAMP_PARTS_MAX];
    memcpy(parts, job->parts, sizeof parts);
    parts[0] = *codes = as_is ? lane->values : lane->other;
    if (direct)
        magnitude = format->encode_stored(&weight->layout, dtype, lane->values, row0, n_rows, parts,
                                          job->work);
    else
        magnitude = samp_magnitude_bits(dtype, lane->values, n);
    if (magnitude >= limit)
        return refuse_value(weight, floats_of(lane, dtype, n), row0, limit, &lane->error);
    if (as_is || direct) return SAMP_OK;
    samp_encode_options options = job->options;
    options.room = lane->feedback;
    const float *floats = floats_of(lane, dtype, n);
    if (floats == lane->other) parts[0] = *codes = lane->values;
    format->encode(&weight->layout, floats, row0, n_rows, &options, parts, job->work);
    return SAMP_OK;
}

static samp_status write_panel(write_job *job, write_lane *lane, uint64_t row0, uint64_t n_rows)
{
    const samp_artifact_weight *weight = &job->weights[job->weight];
    samp_error *error = &lane->error;
    samp_row_panel panel = {.values = lane->values};
    SAMP_TRY(job->source->rows(job->source->context, job->weight, row0, n_rows, &panel, error));
    void *codes;
    SAMP_TRY(encode_panel(job, lane, panel.dtype, row0, n_rows, &codes));
    uint64_t at, bytes;
    SAMP_TRY(samp_panel_range(weight->format, &weight->layout, row0, n_rows, &at, &bytes, error));
    return samp_artifact_write(job->artifact, job->weight, 0, at, codes, bytes, error);
}

static void report(write_job *job)
{
    uint64_t elements =
        job->elements_before + atomic_load(&job->rows_done) * job->weights[job->weight].layout.cols;
    if (!samp_progress_report(job->progress, job->what, elements * job->unit_bytes,
                              job->elements_total * job->unit_bytes))
        atomic_store(&job->stop, true);
}

static void write_share(void *context, unsigned thread, unsigned n_threads)
{
    write_job *job = context;
    write_lane *lane = &job->lanes[thread];
    uint64_t rows = job->weights[job->weight].layout.rows;
    for (uint64_t row0 = thread * job->panel_rows; row0 < rows && !atomic_load(&job->stop);
         row0 += n_threads * job->panel_rows) {
        uint64_t n = rows - row0 < job->panel_rows ? rows - row0 : job->panel_rows;
        lane->status = write_panel(job, lane, row0, n);
        if (lane->status != SAMP_OK) atomic_store(&job->stop, true);
        atomic_fetch_add(&job->rows_done, n);
        if (thread == 0) report(job); /* the caller's thread */
    }
}

static samp_status stop_reason(write_job *job, samp_error *error)
{
    for (unsigned i = 0; i < job->n_lanes; i++) {
        if (job->lanes[i].status == SAMP_OK) continue;
        if (error) *error = job->lanes[i].error;
        return job->lanes[i].status;
    }
    if (atomic_load(&job->stop)) return samp_fail(error, SAMP_CANCELLED, "stopped before the end");
    return SAMP_OK;
}

static samp_status finish_weight(write_job *job, samp_error *error)
{
    const samp_artifact_weight *weight = &job->weights[job->weight];
    if (weight->format->finish) {
        samp_status status = weight->format->finish(&weight->layout, job->parts, job->work, error);
        if (status != SAMP_OK) return samp_error_prefix(error, "%s", weight->name);
    }
    for (int i = 1; i < weight->layout.n_parts; i++)
        SAMP_TRY(samp_artifact_write(job->artifact, job->weight, i, 0, job->parts[i],
                                     weight->layout.parts[i].bytes, error));
    return samp_artifact_done(job->artifact, job->weight, error);
}

static samp_status allocate_scales(write_job *job, samp_error *error)
{
    const samp_layout *layout = &job->weights[job->weight].layout;
    bool ok = true;
    for (int i = 1; i < layout->n_parts; i++)
        ok &= (job->parts[i] = samp_alloc(layout->parts[i].bytes, 1)) != NULL;
    if (layout->work_floats)
        ok &= (job->work = samp_alloc(layout->work_floats, sizeof(float))) != NULL;
    if (ok) return SAMP_OK;
    return samp_fail(error, SAMP_NOMEM, "%s: out of memory for its scales",
                     job->weights[job->weight].name);
}

static samp_status allocate_feedback(write_job *job, samp_error *error)
{
    if (!job->options.feedback) return SAMP_OK;
    uint64_t floats = samp_feedback_room(job->options.feedback->cols);
    for (unsigned i = 0; i < job->n_lanes; i++)
        if (!(job->lanes[i].feedback = samp_alloc(floats, sizeof(float))))
            return samp_fail(error, SAMP_NOMEM, "%s: out of memory for error feedback",
                             job->weights[job->weight].name);
    return SAMP_OK;
}

static samp_status write_weight(write_job *job, samp_pool *pool, samp_error *error)
{
    const samp_artifact_weight *weight = &job->weights[job->weight];
    atomic_store(&job->rows_done, 0);
    job->options = (samp_encode_options){0};
    samp_status status = SAMP_OK;
    if (job->source->options)
        status = job->source->options(job->source->context, job->weight, &job->options, error);
    job->panel_rows = job->options.feedback ? SAMP_PANEL_ROWS : samp_panel_rows(&weight->layout);
    if (status == SAMP_OK) status = allocate_feedback(job, error);
    if (status == SAMP_OK) status = allocate_scales(job, error);
    if (status == SAMP_OK) {
        samp_pool_run(pool, write_share, job);
        status = stop_reason(job, error);
    }
    if (status == SAMP_OK) status = finish_weight(job, error);
    samp_model_free_parts(job->parts);
    samp_free(job->work);
    job->work = NULL;
    for (unsigned i = 0; i < job->n_lanes; i++) {
        samp_free(job->lanes[i].feedback);
        job->lanes[i].feedback = NULL;
    }
    return status;
}

/* Panels of the largest weight; codes are never wider than the floats. */
static samp_status allocate_lanes(write_job *job, size_t n, samp_error *error)
{
    uint64_t elements = 1;
    for (size_t i = 0; i < n; i++) {
        const samp_layout *layout = &job->weights[i].layout;
        uint64_t panel = samp_panel_rows(layout) * layout->cols;
        if (panel > elements) elements = panel;
        job->elements_total += layout->rows * layout->cols;
    }
    bool ok = (job->lanes = samp_alloc(job->n_lanes, sizeof *job->lanes)) != NULL;
    for (unsigned i = 0; ok && i < job->n_lanes; i++) {
        job->lanes[i].values = samp_alloc(elements, sizeof(float));
        job->lanes[i].other = samp_alloc(elements, sizeof(float));
        ok = job->lanes[i].values && job->lanes[i].other;
    }
    if (ok) return SAMP_OK;
    return samp_fail(error, SAMP_NOMEM, "out of memory for %u row panels of %llu weights",
                     job->n_lanes, (unsigned long long)elements);
}

samp_status samp_write_weights(samp_artifact *artifact, const samp_artifact_weight *weights,
                               size_t n, const samp_row_source *source, samp_pool *pool,
                               const char *what, unsigned unit_bytes, const samp_progress *progress,
                               samp_error *error)
{
    write_job job = {.artifact = artifact,
                     .weights = weights,
                     .source = source,
                     .n_lanes = samp_pool_threads(pool),
                     .unit_bytes = unit_bytes,
                     .what = what,
                     .progress = progress};
    samp_status status = allocate_lanes(&job, n, error);
    for (job.weight = 0; status == SAMP_OK && job.weight < n; job.weight++) {
        if (!samp_artifact_has(artifact, job.weight)) status = write_weight(&job, pool, error);
        job.elements_before += weights[job.weight].layout.rows * weights[job.weight].layout.cols;
    }
    for (unsigned i = 0; job.lanes && i < job.n_lanes; i++) {
        samp_free(job.lanes[i].values);
        samp_free(job.lanes[i].other);
    }
    samp_free(job.lanes);
    return status;
}
