/* Weights in formats they do not have on disk. */
#include "plan/candidate.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

/* ---- a group encoded whole ---- */

typedef struct encode_job {
    const samp_layout *layout;
    const samp_format *format;
    const float *w; /* [n_rows][cols] rows row0 … */
    uint64_t row0, n_rows;
    samp_encode_options options;
    void *const *parts;
    float *work;
} encode_job;

/* parts[0] given to encode is the panel's own codes; other parts are whole. */
static void encode_panels(void *context, unsigned thread, unsigned n_threads)
{
    encode_job *job = context;
    size_t begin, end;
    samp_split(job->n_rows, SAMP_PANEL_ROWS, thread, n_threads, &begin, &end);
    for (uint64_t row = begin; row < end; row += SAMP_PANEL_ROWS) {
        uint64_t n = end - row < SAMP_PANEL_ROWS ? end - row : SAMP_PANEL_ROWS;
        void *parts[SAMP_PARTS_MAX];
        memcpy(parts, job->parts, sizeof parts);
        uint64_t at, bytes;
        if (samp_panel_range(job->format, job->layout, job->row0 + row, n, &at, &bytes, NULL) !=
            SAMP_OK)
            return;
        parts[0] = (char *)job->parts[0] + at;
        job->format->encode(job->layout, job->w + row * job->layout->cols, job->row0 + row, n,
                            &job->options, parts, job->work);
    }
}

enum { CHUNK_ROWS = 1024 }; /* rows of floats in memory at a time */

static samp_status encode_weight(samp_encoded_group *out, uint32_t index, samp_model *model,
                                 const float *moment, bool search, samp_pool *pool,
                                 samp_error *error)
{
    const samp_weight_ref *ref = out->group->weights[index];
    samp_layout *layout = &out->layouts[index];
    SAMP_TRY(out->format->layout(ref->layout.rows, ref->layout.cols, layout, error));
    for (int p = 0; p < layout->n_parts; p++)
        if (!(out->parts[index][p] = samp_alloc(layout->parts[p].bytes, 1)))
            return samp_fail(error, SAMP_NOMEM, "%s: out of memory for %s", ref->name,
                             out->format->name);
    float *w = samp_alloc(CHUNK_ROWS, layout->cols * sizeof *w),
          *work = samp_alloc(layout->work_floats, sizeof *work);
    void *scales[SAMP_PARTS_MAX] = {0};
    samp_status status =
        w && work ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "%s: out of memory", ref->name);
    for (uint64_t row = 0; row < layout->rows && status == SAMP_OK; row += CHUNK_ROWS) {
        uint64_t n = layout->rows - row < CHUNK_ROWS ? layout->rows - row : CHUNK_ROWS;
        status = samp_model_read_rows(model, ref, row, n, scales, w, error);
        encode_job job = {.layout = layout,
                          .format = out->format,
                          .w = w,
                          .row0 = row,
                          .n_rows = n,
                          .options = {.input_moment = moment, .search = search},
                          .parts = out->parts[index],
                          .work = work};
        if (status == SAMP_OK) samp_pool_run(pool, encode_panels, &job);
    }
    if (status == SAMP_OK && out->format->finish)
        status = out->format->finish(layout, out->parts[index], work, error);
    samp_model_free_parts(scales);
    samp_free(w);
    samp_free(work);
    return status;
}

samp_status samp_encode_group(samp_encoded_group *out, samp_model *model, const samp_group *group,
                              const samp_format *format, const float *moment, bool search,
                              samp_pool *pool, samp_error *error)
{
    *out = (samp_encoded_group){.group = group, .format = format, .activation_bits = 16};
    for (uint32_t i = 0; i < group->n_weights; i++) {
        samp_status status = encode_weight(out, i, model, moment, search, pool, error);
        if (status != SAMP_OK) {
            samp_encoded_group_release(out);
            return status;
        }
    }
    return SAMP_OK;
}

void samp_encoded_group_release(samp_encoded_group *encoded)
{
    for (int i = 0; i < SAMP_GROUP_WEIGHTS_MAX; i++) samp_model_free_parts(encoded->parts[i]);
    encoded->group = NULL;
}

static samp_status give_source(void *context, const samp_weight_ref *ref,
                               samp_weight_source *source, bool *replaced, samp_error *error)
{
    (void)error;
    const samp_encoded_list *list = context;
    for (size_t g = 0; g < list->count; g++) {
        const samp_encoded_group *e = list->items[g];
        for (uint32_t i = 0; i < e->group->n_weights; i++) {
            if (e->group->weights[i] != ref) continue;
            source->format = e->format;
            source->layout = &e->layouts[i];
            source->parts = (const void *const *)e->parts[i];
            source->activation_bits = e->activation_bits;
            *replaced = true;
            return SAMP_OK;
        }
    }
    return SAMP_OK;
}

samp_replace samp_encoded_replace(const samp_encoded_list *list)
{
    return (samp_replace){give_source, (void *)list};
}

/* ---- errors ---- */

/* One thread's room for a panel of 64 rows: decoded values, parts of any candidate, sums. */
typedef struct error_room {
    float *decoded, *work;
    char *bytes;
    double *change; /* [n candidates] */
    double *column; /* [cols] */
    double total;
} error_room;

typedef struct error_job {
    const float *w, *moment; /* moment never NULL */
    uint64_t n_rows, cols;
    const samp_candidate *candidates;
    size_t n;
    const samp_layout *layouts; /* [n] of a full panel */
    error_room *rooms;          /* [n_threads] */
    bool columns;
} error_job;

static double weighted_square(const float *a, const float *b, const float *moment, uint64_t rows,
                              uint64_t cols)
{
    double sum = 0;
    for (uint64_t r = 0; r < rows; r++) {
        double row = 0;
        for (uint64_t k = 0; k < cols; k++) {
            float d = b ? a[r * cols + k] - b[r * cols + k] : a[r * cols + k];
            row += (double)(d * d * moment[k]);
        }
        sum += row;
    }
    return sum;
}

/* Encodes and decodes a panel as a matrix of its own. A short last panel gets its own layout; that of a full one is a
 * bound on its bytes. */
static void judge_panel(const error_job *job, error_room *room, const float *w, uint64_t rows,
                        size_t c)
{
    const samp_format *format = job->candidates[c].format;
    samp_layout layout = job->layouts[c];
    if (rows != layout.rows && format->layout(rows, job->cols, &layout, NULL) != SAMP_OK) return;
    void *parts[SAMP_PARTS_MAX] = {0};
    char *at = room->bytes;
    for (int p = 0; p < layout.n_parts; p++) {
        parts[p] = at;
        at += samp_round_up(layout.parts[p].bytes, 64);
    }
    memset(room->work, 0, layout.work_floats * sizeof *room->work);
    samp_encode_options options = {.input_moment = job->candidates[c].plain ? NULL : job->moment,
                                   .search = job->candidates[c].rounding != SAMP_ROUNDING_ABSMAX};
    format->encode(&layout, w, 0, rows, &options, parts, room->work);
    if (format->finish && format->finish(&layout, parts, room->work, NULL) != SAMP_OK) return;
    format->decode(&layout, (const void *const *)parts, 0, rows, room->decoded);
    room->change[c] += weighted_square(w, room->decoded, job->moment, rows, job->cols);
}

static void judge_panels(void *context, unsigned thread, unsigned n_threads)
{
    error_job *job = context;
    error_room *room = &job->rooms[thread];
    size_t begin, end;
    samp_split(job->n_rows, SAMP_PANEL_ROWS, thread, n_threads, &begin, &end);
    for (uint64_t row = begin; row < end; row += SAMP_PANEL_ROWS) {
        uint64_t rows = end - row < SAMP_PANEL_ROWS ? end - row : SAMP_PANEL_ROWS;
        const float *w = job->w + row * job->cols;
        for (size_t c = 0; c < job->n; c++) judge_panel(job, room, w, rows, c);
        room->total += weighted_square(w, NULL, job->moment, rows, job->cols);
        for (uint64_t r = 0; job->columns && r < rows; r++)
            for (uint64_t k = 0; k < job->cols; k++)
                room->column[k] += (double)w[r * job->cols + k] * w[r * job->cols + k];
    }
}

static samp_status open_rooms(error_job *job, samp_layout *layouts, unsigned n_threads,
                              samp_error *error)
{
    uint64_t bytes = 0, work = 0;
    for (size_t c = 0; c < job->n; c++) {
        SAMP_TRY(job->candidates[c].format->layout(SAMP_PANEL_ROWS, job->cols, &layouts[c], error));
        uint64_t all = 0;
        for (int p = 0; p < layouts[c].n_parts; p++)
            all += samp_round_up(layouts[c].parts[p].bytes, 64);
        if (all > bytes) bytes = all;
        if (layouts[c].work_floats > work) work = layouts[c].work_floats;
    }
    job->layouts = layouts;
    for (unsigned t = 0; t < n_threads; t++) {
        error_room *room = &job->rooms[t];
        room->decoded = samp_alloc(SAMP_PANEL_ROWS * job->cols, sizeof *room->decoded);
        room->work = samp_alloc(work, sizeof *room->work);
        room->bytes = samp_alloc(bytes, 1);
        room->change = samp_alloc(job->n, sizeof *room->change);
        room->column = samp_alloc(job->cols, sizeof *room->column);
        if (!room->decoded || !room->work || !room->bytes || !room->change || !room->column)
            return samp_fail(error, SAMP_NOMEM, "out of memory for the errors of %zu formats",
                             job->n);
    }
    return SAMP_OK;
}

static samp_status judge_group(error_job *job, samp_model *model, const samp_group *group, float *w,
                               samp_pool *pool, samp_error *error)
{
    for (uint32_t i = 0; i < group->n_weights; i++) {
        const samp_weight_ref *ref = group->weights[i];
        void *scales[SAMP_PARTS_MAX] = {0};
        samp_status status = SAMP_OK;
        for (uint64_t row = 0; row < ref->layout.rows && status == SAMP_OK; row += CHUNK_ROWS) {
            job->n_rows = ref->layout.rows - row < CHUNK_ROWS ? ref->layout.rows - row : CHUNK_ROWS;
            status = samp_model_read_rows(model, ref, row, job->n_rows, scales, w, error);
            if (status == SAMP_OK) samp_pool_run(pool, judge_panels, job);
        }
        samp_model_free_parts(scales);
        SAMP_TRY(status);
    }
    return SAMP_OK;
}

samp_status samp_group_errors(samp_model *model, const samp_group *group, const float *moment,
                              samp_candidate *candidates, size_t n, double *column_square,
                              samp_pool *pool, samp_error *error)
{
    uint64_t cols = samp_group_cols(group);
    unsigned n_threads = samp_pool_threads(pool);
    float *w = samp_alloc(CHUNK_ROWS, cols * sizeof *w), *ones = samp_alloc(cols, sizeof *ones);
    samp_layout *layouts = samp_alloc(n, sizeof *layouts);
    error_job job = {.w = w,
                     .moment = moment ? moment : ones,
                     .cols = cols,
                     .candidates = candidates,
                     .n = n,
                     .rooms = samp_alloc(n_threads, sizeof(error_room)),
                     .columns = column_square != NULL};
    samp_status status = SAMP_OK;
    if (!w || !ones || !layouts || !job.rooms)
        status = samp_fail(error, SAMP_NOMEM, "%s: out of memory", group->name);
    for (uint64_t k = 0; status == SAMP_OK && k < cols; k++) ones[k] = 1;
    if (status == SAMP_OK) status = open_rooms(&job, layouts, n_threads, error);
    if (status == SAMP_OK) status = judge_group(&job, model, group, w, pool, error);
    double total = 0;
    for (unsigned t = 0; t < n_threads && status == SAMP_OK; t++) {
        total += job.rooms[t].total;
        for (uint64_t k = 0; column_square && k < cols; k++)
            column_square[k] += job.rooms[t].column[k];
    }
    for (size_t c = 0; c < n && status == SAMP_OK; c++) {
        double change = 0;
        for (unsigned t = 0; t < n_threads; t++) change += job.rooms[t].change[c];
        candidates[c].error = total > 0 ? change / total : 0;
    }
    for (unsigned t = 0; job.rooms && t < n_threads; t++) {
        samp_free(job.rooms[t].decoded);
        samp_free(job.rooms[t].work);
        samp_free(job.rooms[t].bytes);
        samp_free(job.rooms[t].change);
        samp_free(job.rooms[t].column);
    }
    samp_free(job.rooms);
    samp_free(layouts);
    samp_free(ones);
    samp_free(w);
    return status;
}
