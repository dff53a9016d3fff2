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
    float **rooms; /* [n_threads], with feedback */
} encode_job;

/* parts[0] given to encode is the panel's own codes; other parts are whole. */
static void encode_panels(void *context, unsigned thread, unsigned n_threads)
{
    const encode_job *job = context;
    samp_encode_options options = job->options;
    if (job->rooms) options.room = job->rooms[thread];
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
                            &options, parts, job->work);
    }
}

enum { CHUNK_ROWS = 1024 }; /* rows of floats in memory at a time */

static samp_status encode_weight(samp_encoded_group *out, uint32_t index, samp_model *model,
                                 const samp_encode_options *options, float **rooms, samp_pool *pool,
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
                          .options = *options,
                          .parts = out->parts[index],
                          .work = work,
                          .rooms = rooms};
        if (status == SAMP_OK) samp_pool_run(pool, encode_panels, &job);
    }
    if (status == SAMP_OK && out->format->finish)
        status = out->format->finish(layout, out->parts[index], work, error);
    samp_model_free_parts(scales);
    samp_free(w);
    samp_free(work);
    return status;
}

static void free_rooms(float **rooms, unsigned n)
{
    for (unsigned t = 0; rooms && t < n; t++) samp_free(rooms[t]);
    samp_free(rooms);
}

/* A thread's room for error feedback, each; NULL when out of memory. */
static float **make_rooms(const samp_feedback *feedback, unsigned n)
{
    float **rooms = samp_alloc(n, sizeof *rooms);
    for (unsigned t = 0; rooms && t < n; t++)
        if (!(rooms[t] = samp_alloc(samp_feedback_room(feedback->cols), sizeof **rooms))) {
            free_rooms(rooms, n);
            return NULL;
        }
    return rooms;
}

samp_status samp_encode_group(samp_encoded_group *out, samp_model *model, const samp_group *group,
                              const samp_format *format, const float *moment,
                              const samp_feedback *feedback, samp_pool *pool, samp_error *error)
{
    *out = (samp_encoded_group){.group = group, .format = format, .activation_bits = 16};
    samp_encode_options options = {.input_moment = moment, .search = true};
    float **rooms = NULL;
    unsigned n_threads = samp_pool_threads(pool);
    if (feedback && format->feedback) {
        options.feedback = feedback;
        if (!(rooms = make_rooms(feedback, n_threads)))
            return samp_fail(error, SAMP_NOMEM, "%s: out of memory for error feedback",
                             group->name);
    }
    samp_status status = SAMP_OK;
    for (uint32_t i = 0; i < group->n_weights && status == SAMP_OK; i++)
        status = encode_weight(out, i, model, &options, rooms, pool, error);
    free_rooms(rooms, n_threads);
    if (status != SAMP_OK) samp_encoded_group_release(out);
    return status;
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

enum { SAMPLE_PANELS = 8 }; /* of a weight, judged for all its rows */

/* One thread's room for a panel of 64 rows: decoded values, parts of any candidate, sums. */
typedef struct error_room {
    float *decoded, *work, *feedback;
    char *bytes;
    double *change; /* [n candidates] */
    double *column; /* [cols] */
    double total;
} error_room;

typedef struct error_job {
    const float *w;         /* [n_rows][cols] */
    samp_input_shape input; /* moment never NULL */
    uint64_t n_rows, cols;
    double share; /* rows of the weight that each of these stands for */
    const samp_candidate *candidates;
    size_t n;
    const samp_layout *layouts; /* [n] of a full panel */
    error_room *rooms;          /* [n_threads] */
    bool columns;
} error_job;

/* Squared error of the outputs of rows a that became b (NULL: zero). */
static double output_error(const error_job *job, const error_room *room, const float *a,
                           const float *b, uint64_t rows)
{
    if (job->input.feedback)
        return samp_feedback_error(job->input.feedback, a, b, rows, room->feedback);
    double sum = 0;
    for (uint64_t r = 0; r < rows; r++) {
        double row = 0;
        for (uint64_t k = 0; k < job->cols; k++) {
            float d = b ? a[r * job->cols + k] - b[r * job->cols + k] : a[r * job->cols + k];
            row += (double)(d * d * job->input.moment[k]);
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
    double change = 0;
    samp_encode_options options = {.input_moment =
                                       job->candidates[c].plain ? NULL : job->input.moment,
                                   .search = job->candidates[c].rounding != SAMP_ROUNDING_ABSMAX};
    bool fed = job->candidates[c].rounding == SAMP_ROUNDING_GPTQ && job->input.feedback;
    if (fed) {
        options.feedback = job->input.feedback;
        options.room = room->feedback;
        options.error = &change;
    }
    format->encode(&layout, w, 0, rows, &options, parts, room->work);
    if (!fed) {
        if (format->finish && format->finish(&layout, parts, room->work, NULL) != SAMP_OK) return;
        format->decode(&layout, (const void *const *)parts, 0, rows, room->decoded);
        change = output_error(job, room, w, room->decoded, rows);
    }
    room->change[c] += change * job->share;
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
        room->total += output_error(job, room, w, NULL, rows) * job->share;
        for (uint64_t r = 0; job->columns && r < rows; r++)
            for (uint64_t k = 0; k < job->cols; k++)
                room->column[k] += (double)w[r * job->cols + k] * w[r * job->cols + k] * job->share;
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
        room->feedback = samp_alloc(samp_feedback_room(job->cols), sizeof *room->feedback);
        room->bytes = samp_alloc(bytes, 1);
        room->change = samp_alloc(job->n, sizeof *room->change);
        room->column = samp_alloc(job->cols, sizeof *room->column);
        if (!room->decoded || !room->work || !room->feedback || !room->bytes || !room->change ||
            !room->column)
            return samp_fail(error, SAMP_NOMEM, "out of memory for the errors of %zu formats",
                             job->n);
    }
    return SAMP_OK;
}

/* The panels of a weight that are judged: all, or SAMPLE_PANELS at equal distances. */
static samp_status read_sample(error_job *job, samp_model *model, const samp_weight_ref *ref,
                               float *w, samp_error *error)
{
    uint64_t rows = ref->layout.rows, panels = samp_ceil_div(rows, SAMP_PANEL_ROWS);
    uint64_t taken = panels < SAMPLE_PANELS ? panels : SAMPLE_PANELS;
    void *scales[SAMP_PARTS_MAX] = {0};
    samp_status status = SAMP_OK;
    job->n_rows = 0;
    for (uint64_t i = 0; i < taken && status == SAMP_OK; i++) {
        uint64_t row = i * panels / taken * SAMP_PANEL_ROWS;
        uint64_t n = rows - row < SAMP_PANEL_ROWS ? rows - row : SAMP_PANEL_ROWS;
        status =
            samp_model_read_rows(model, ref, row, n, scales, w + job->n_rows * job->cols, error);
        job->n_rows += n;
    }
    job->share = (double)rows / (double)job->n_rows;
    samp_model_free_parts(scales);
    return status;
}

static void close_rooms(error_job *job, unsigned n_threads)
{
    for (unsigned t = 0; job->rooms && t < n_threads; t++) {
        samp_free(job->rooms[t].decoded);
        samp_free(job->rooms[t].work);
        samp_free(job->rooms[t].feedback);
        samp_free(job->rooms[t].bytes);
        samp_free(job->rooms[t].change);
        samp_free(job->rooms[t].column);
    }
    samp_free(job->rooms);
}

/* The threads' sums, over the outputs' square. */
static void gather_errors(const error_job *job, unsigned n_threads, samp_candidate *candidates,
                          double *column_square)
{
    double total = 0;
    for (unsigned t = 0; t < n_threads; t++) total += job->rooms[t].total;
    double per = total > 0 ? 1 / total : 0;
    for (size_t c = 0; c < job->n; c++) {
        candidates[c].error = 0;
        for (unsigned t = 0; t < n_threads; t++)
            candidates[c].error += job->rooms[t].change[c] * per;
    }
    for (uint64_t k = 0; column_square && k < job->cols; k++) {
        column_square[k] = 0;
        for (unsigned t = 0; t < n_threads; t++) column_square[k] += job->rooms[t].column[k] * per;
    }
}

samp_status samp_group_errors(samp_model *model, const samp_group *group,
                              const samp_input_shape *input, samp_candidate *candidates, size_t n,
                              double *column_square, samp_pool *pool, samp_error *error)
{
    uint64_t cols = samp_group_cols(group);
    unsigned n_threads = samp_pool_threads(pool);
    float *w = samp_alloc(SAMPLE_PANELS * SAMP_PANEL_ROWS, cols * sizeof *w),
          *ones = samp_alloc(cols, sizeof *ones);
    samp_layout *layouts = samp_alloc(n, sizeof *layouts);
    error_job job = {.w = w,
                     .input = *input,
                     .cols = cols,
                     .candidates = candidates,
                     .n = n,
                     .rooms = samp_alloc(n_threads, sizeof(error_room)),
                     .columns = column_square != NULL};
    samp_status status = SAMP_OK;
    if (!w || !ones || !layouts || !job.rooms)
        status = samp_fail(error, SAMP_NOMEM, "%s: out of memory", group->name);
    for (uint64_t k = 0; status == SAMP_OK && k < cols; k++) ones[k] = 1;
    if (!job.input.moment) job.input.moment = ones;
    if (status == SAMP_OK) status = open_rooms(&job, layouts, n_threads, error);
    for (uint32_t i = 0; i < group->n_weights && status == SAMP_OK; i++) {
        status = read_sample(&job, model, group->weights[i], w, error);
        if (status == SAMP_OK) samp_pool_run(pool, judge_panels, &job);
    }
    if (status == SAMP_OK) gather_errors(&job, n_threads, candidates, column_square);
    close_rooms(&job, n_threads);
    samp_free(layouts);
    samp_free(ones);
    samp_free(w);
    return status;
}
