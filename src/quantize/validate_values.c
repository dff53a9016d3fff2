/* Every value of a weight: codes in their range, numbers finite, groups not lost to a zero scale.
 *
 * Threads take row panels in turn; each notes counts and the first place of each kind, and the
 * places are merged by position, so that findings do not depend on the number of threads. */
#include "base/half.h"
#include "quantize/validate_internal.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

/* How often something was seen, and where first (element index in the weight, or row). */
typedef struct sighting {
    uint64_t count, first;
    float value;
} sighting;

typedef enum sight {
    NOT_FINITE,
    BEYOND_FP16,
    CODE_RANGE,
    CODE_END,
    ZERO_ROW,
    ZERO_SPAN,
    SIGHTS
} sight;

typedef struct value_lane {
    float *floats;
    void *codes;
    sighting seen[SIGHTS];
    samp_status status;
    samp_error error;
} value_lane;

typedef struct value_work {
    samp_validation *v;
    const samp_weight_ref *weight;
    void *const *parts; /* 1…: scales */
    uint64_t panel_rows, span;
    value_lane *lanes;
    atomic_bool stop;
} value_work;

static void see(value_lane *lane, sight kind, uint64_t at, float value)
{
    sighting *seen = &lane->seen[kind];
    if (!seen->count++ || at < seen->first) *seen = (sighting){seen->count, at, value};
}

/* Weights that share a scale, as far as they lie in one row. */
static uint64_t span_of(const samp_format *format, const samp_layout *layout)
{
    return format->group > 0 ? (uint64_t)format->group : layout->cols;
}

/* ---- first pass ------------------------------------------------------------------------------ */

static void look_at_codes(value_lane *lane, const samp_part *part, uint64_t at, uint64_t bytes)
{
    if (part->dtype != SAMP_I8) return;
    const int8_t *codes = lane->codes;
    for (uint64_t i = 0; i < bytes; i++) {
        if (codes[i] == -128) see(lane, CODE_RANGE, at + i, -128);
        if (codes[i] == 127 || codes[i] == -127) see(lane, CODE_END, at + i, codes[i]);
    }
}

static void look_at_span(value_lane *lane, const float *w, uint64_t n, uint64_t at, bool *zero)
{
    uint32_t largest = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t magnitude = samp_float_bits(w[i]) & 0x7fffffff;
        largest = magnitude > largest ? magnitude : largest;
    }
    *zero = largest == 0;
    if (largest < 0x477ff000) return; /* all below 65520, finite */
    for (uint64_t i = 0; i < n; i++) {
        if (!isfinite(w[i]))
            see(lane, NOT_FINITE, at + i, w[i]);
        else if (fabsf(w[i]) >= 65520.0f)
            see(lane, BEYOND_FP16, at + i, w[i]);
    }
}

static void look_at_rows(const value_work *work, value_lane *lane, uint64_t row0, uint64_t n_rows)
{
    uint64_t cols = work->weight->layout.cols;
    for (uint64_t r = 0; r < n_rows; r++) {
        bool row_zero = true;
        for (uint64_t c = 0; c < cols; c += work->span) {
            bool zero;
            uint64_t n = cols - c < work->span ? cols - c : work->span;
            look_at_span(lane, lane->floats + r * cols + c, n, (row0 + r) * cols + c, &zero);
            if (zero) see(lane, ZERO_SPAN, (row0 + r) * cols + c, 0);
            row_zero &= zero;
        }
        if (row_zero) see(lane, ZERO_ROW, row0 + r, 0);
    }
}

static samp_status read_panel(const value_work *work, uint64_t row0, uint64_t n_rows, void *codes,
                              uint64_t *at, uint64_t *bytes, samp_error *error)
{
    const samp_weight_ref *weight = work->weight;
    SAMP_TRY(samp_panel_range(weight->format, &weight->layout, row0, n_rows, at, bytes, error));
    return samp__validate_read(work->v, weight->parts[0], *at, codes, *bytes, error);
}

static void decode(const value_work *work, const void *codes, void *const scales[], uint64_t row0,
                   uint64_t n_rows, float *out)
{
    const void *parts[SAMP_PARTS_MAX] = {codes};
    for (int i = 1; i < work->weight->layout.n_parts; i++) parts[i] = scales[i];
    work->weight->format->decode(&work->weight->layout, parts, row0, n_rows, out);
}

static samp_status look_at_panel(value_work *work, value_lane *lane, uint64_t row0, uint64_t n_rows)
{
    uint64_t at, bytes;
    SAMP_TRY(read_panel(work, row0, n_rows, lane->codes, &at, &bytes, &lane->error));
    look_at_codes(lane, &work->weight->layout.parts[0], at, bytes);
    decode(work, lane->codes, work->parts, row0, n_rows, lane->floats);
    look_at_rows(work, lane, row0, n_rows);
    return SAMP_OK;
}

static void look_at_share(void *context, unsigned thread, unsigned n_threads)
{
    value_work *work = context;
    value_lane *lane = &work->lanes[thread];
    uint64_t rows = work->weight->layout.rows;
    for (uint64_t row0 = thread * work->panel_rows; row0 < rows && !atomic_load(&work->stop);
         row0 += n_threads * work->panel_rows) {
        uint64_t n = rows - row0 < work->panel_rows ? rows - row0 : work->panel_rows;
        lane->status = look_at_panel(work, lane, row0, n);
        if (lane->status != SAMP_OK) atomic_store(&work->stop, true);
    }
}

/* ---- second pass ----------------------------------------------------------------------------- */

/* Groups that are zero only because of their scale. Where a group decodes to zero, its codes are
 * decoded again with scales that are not zero (those of a matrix of ones): if that differs from
 * what codes of zeros give, weights were lost. Needs no knowledge of the format. */
typedef struct lost_search {
    void *unit[SAMP_PARTS_MAX], *scratch[SAMP_PARTS_MAX]; /* scale parts */
    float *work, *as_is, *with_unit, *of_zero;
    void *codes, *zero_codes;
} lost_search;

static bool allocate_lost(lost_search *s, const samp_layout *layout, uint64_t panel)
{
    bool ok = true;
    for (int i = 1; i < layout->n_parts; i++) {
        ok &= (s->unit[i] = samp_alloc(layout->parts[i].bytes, 1)) != NULL;
        ok &= (s->scratch[i] = samp_alloc(layout->parts[i].bytes, 1)) != NULL;
    }
    ok &= (s->work = samp_alloc(layout->work_floats + 1, sizeof(float))) != NULL;
    ok &= (s->as_is = samp_alloc(panel, sizeof(float))) != NULL;
    ok &= (s->with_unit = samp_alloc(panel, sizeof(float))) != NULL;
    ok &= (s->of_zero = samp_alloc(panel, sizeof(float))) != NULL;
    ok &= (s->codes = samp_alloc(panel, sizeof(float))) != NULL;
    ok &= (s->zero_codes = samp_alloc(panel, sizeof(float))) != NULL;
    return ok;
}

static void release_lost(lost_search *s)
{
    samp_model_free_parts(s->unit);
    samp_model_free_parts(s->scratch);
    samp_free(s->work);
    samp_free(s->as_is);
    samp_free(s->with_unit);
    samp_free(s->of_zero);
    samp_free(s->codes);
    samp_free(s->zero_codes);
}

static void encode(const value_work *work, lost_search *s, void *scales[], const float *w,
                   uint64_t row0, uint64_t n_rows, void *codes)
{
    const samp_encode_options options = {0};
    void *parts[SAMP_PARTS_MAX] = {codes};
    for (int i = 1; i < work->weight->layout.n_parts; i++) parts[i] = scales[i];
    work->weight->format->encode(&work->weight->layout, w, row0, n_rows, &options, parts, s->work);
}

static samp_status make_unit_scales(const value_work *work, lost_search *s, samp_error *error)
{
    const samp_layout *layout = &work->weight->layout;
    for (uint64_t i = 0; i < work->panel_rows * layout->cols; i++) s->as_is[i] = 1;
    for (uint64_t row0 = 0; row0 < layout->rows; row0 += work->panel_rows) {
        uint64_t n =
            layout->rows - row0 < work->panel_rows ? layout->rows - row0 : work->panel_rows;
        encode(work, s, s->unit, s->as_is, row0, n, s->codes);
    }
    if (!work->weight->format->finish) return SAMP_OK;
    return work->weight->format->finish(layout, s->unit, s->work, error);
}

static bool all_zero(const float *w, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (w[i] != 0) return false;
    return true;
}

static samp_status search_panel(const value_work *work, lost_search *s, value_lane *lane,
                                uint64_t row0, uint64_t n_rows, samp_error *error)
{
    uint64_t cols = work->weight->layout.cols, at, bytes;
    SAMP_TRY(read_panel(work, row0, n_rows, s->codes, &at, &bytes, error));
    decode(work, s->codes, work->parts, row0, n_rows, s->as_is);
    decode(work, s->codes, s->unit, row0, n_rows, s->with_unit);
    memset(s->of_zero, 0, n_rows * cols * sizeof(float));
    encode(work, s, s->scratch, s->of_zero, row0, n_rows, s->zero_codes);
    decode(work, s->zero_codes, s->unit, row0, n_rows, s->of_zero);
    for (uint64_t r = 0; r < n_rows; r++)
        for (uint64_t c = 0; c < cols; c += work->span) {
            uint64_t i = r * cols + c, n = cols - c < work->span ? cols - c : work->span;
            if (all_zero(s->as_is + i, n) &&
                memcmp(s->with_unit + i, s->of_zero + i, n * sizeof(float)) != 0)
                see(lane, ZERO_SPAN, row0 * cols + i, 0);
        }
    return SAMP_OK;
}

/* Replaces lane->seen[ZERO_SPAN] by the spans that are lost. */
static samp_status find_lost(const value_work *work, value_lane *lane, samp_error *error)
{
    const samp_layout *layout = &work->weight->layout;
    lost_search search = {0};
    lane->seen[ZERO_SPAN] = (sighting){0};
    samp_status status =
        allocate_lost(&search, layout, work->panel_rows * layout->cols)
            ? make_unit_scales(work, &search, error)
            : samp_fail(error, SAMP_NOMEM, "%s: out of memory", work->weight->name);
    for (uint64_t row0 = 0; status == SAMP_OK && row0 < layout->rows; row0 += work->panel_rows) {
        uint64_t n =
            layout->rows - row0 < work->panel_rows ? layout->rows - row0 : work->panel_rows;
        status = search_panel(work, &search, lane, row0, n, error);
    }
    release_lost(&search);
    return status;
}

/* ---- result ---------------------------------------------------------------------------------- */

static samp_status merge(value_work *work, unsigned n_lanes, samp_error *error)
{
    for (unsigned i = 0; i < n_lanes; i++) {
        value_lane *lane = &work->lanes[i], *into = &work->lanes[0];
        if (lane->status != SAMP_OK) {
            if (error) *error = lane->error;
            return lane->status;
        }
        for (int kind = 0; i > 0 && kind < SIGHTS; kind++) {
            sighting *a = &into->seen[kind], *b = &lane->seen[kind];
            bool earlier = b->count && (!a->count || b->first < a->first);
            *a = (sighting){a->count + b->count, earlier ? b->first : a->first,
                            earlier ? b->value : a->value};
        }
    }
    return SAMP_OK;
}

static void report(const value_work *work, const value_lane *lane, sight kind, samp_finding_id id,
                   const char *what)
{
    const sighting *seen = &lane->seen[kind];
    uint64_t cols = work->weight->layout.cols;
    if (!seen->count) return;
    samp_findings_add(work->v->findings, id, work->v->shards[work->weight->parts[0]->shard].name,
                      work->weight->name, "%llu %s, first in row %llu, column %llu (%g)",
                      (unsigned long long)seen->count, what,
                      (unsigned long long)(seen->first / cols),
                      (unsigned long long)(seen->first % cols), (double)seen->value);
}

static void report_all(const value_work *work, const value_lane *lane)
{
    const samp_weight_ref *weight = work->weight;
    const sighting *ends = &lane->seen[CODE_END], *rows = &lane->seen[ZERO_ROW];
    const char *file = work->v->shards[weight->parts[0]->shard].name;
    bool coded = weight->format->group != 0;
    report(work, lane, NOT_FINITE, coded ? SAMP_FINDING_CODE_NAN : SAMP_FINDING_VALUE_NOT_FINITE,
           coded ? "codes stand for NaN" : "values are NaN or infinite");
    report(work, lane, BEYOND_FP16, SAMP_FINDING_WEIGHT_RANGE, "weights are 65520 or more");
    report(work, lane, CODE_RANGE, SAMP_FINDING_CODE_RANGE, "codes are -128");
    if (coded)
        report(work, lane, ZERO_SPAN, SAMP_FINDING_SCALE_ZERO,
               "groups have a zero scale but codes that are not zero");
    uint64_t elements = weight->layout.rows * weight->layout.cols;
    if (ends->count > elements / 10) /* absmax rounding gives 1 of 64 */
        samp_findings_add(work->v->findings, SAMP_FINDING_CODE_CLIPPED, file, weight->name,
                          "%.1f %% of the codes are 127 or -127",
                          100 * (double)ends->count / (double)elements);
    if (rows->count)
        samp_findings_add(work->v->findings, SAMP_FINDING_ROW_ZERO, file, weight->name,
                          "%llu rows are all zero, the first is row %llu",
                          (unsigned long long)rows->count, (unsigned long long)rows->first);
}

static bool allocate_lanes(value_work *work, unsigned n)
{
    uint64_t elements = work->panel_rows * work->weight->layout.cols;
    work->lanes = samp_alloc(n, sizeof *work->lanes);
    bool ok = work->lanes != NULL;
    for (unsigned i = 0; ok && i < n; i++) {
        work->lanes[i].floats = samp_alloc(elements, sizeof(float));
        work->lanes[i].codes = samp_alloc(elements, sizeof(float)); /* codes are never wider */
        ok = work->lanes[i].floats && work->lanes[i].codes;
    }
    return ok;
}

static void release_lanes(value_work *work, unsigned n)
{
    for (unsigned i = 0; work->lanes && i < n; i++) {
        samp_free(work->lanes[i].floats);
        samp_free(work->lanes[i].codes);
    }
    samp_free(work->lanes);
}

samp_status samp__validate_values(samp_validation *v, const samp_weight_ref *weight,
                                  void *const parts[SAMP_PARTS_MAX], samp_error *error)
{
    value_work work = {.v = v,
                       .weight = weight,
                       .parts = parts,
                       .panel_rows = samp_panel_rows(&weight->layout),
                       .span = span_of(weight->format, &weight->layout)};
    unsigned n = samp_pool_threads(v->pool);
    samp_status status = SAMP_OK;
    if (!allocate_lanes(&work, n))
        status = samp_fail(error, SAMP_NOMEM, "%s: out of memory for row panels", weight->name);
    if (status == SAMP_OK) {
        samp_pool_run(v->pool, look_at_share, &work);
        status = merge(&work, n, error);
    }
    if (status == SAMP_OK && weight->format->group != 0 && work.lanes[0].seen[ZERO_SPAN].count)
        status = find_lost(&work, &work.lanes[0], error);
    if (status == SAMP_OK) report_all(&work, &work.lanes[0]);
    release_lanes(&work, n);
    if (status != SAMP_OK) return status;
    v->findings->n_bytes += weight->layout.parts[0].bytes;
    return samp__validate_progress(v, weight->layout.parts[0].bytes, error);
}
