/* The stations of a weight. One pass over its rows, a panel at a time, gives the errors of decoded
 * and integer values; the kernels are asked through the backend's seam, for the first columns. */
#include "run/follow.h"

#include "base/half.h"
#include "base/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FIRST = 4, UNIT_VECTORS = 64 };

/* Squares summed for a relative error. */
typedef struct distance {
    double error, power;
} distance;

typedef struct follower {
    samp_model *model, *source;
    const samp_weight_ref *weight, *original; /* original: NULL without source */
    uint64_t original_row;                    /* of the original, where the weight's rows start */
    void *parts[SAMP_PARTS_MAX];              /* whole */
    void *original_scales[SAMP_PARTS_MAX];
    int group;                           /* of the integer form, 0 = none */
    size_t head;                         /* columns that the kernels are asked for */
    float *decoded_head, *original_head; /* [rows][head] */
    float *decoded, *originals, *values; /* of one panel, [panel rows][cols]; values: scale * t */
    samp_integer_rows integers;          /* of one panel */
    distance decoded_source, integer_file, integer_source, kernel_file, kernel_source;
    samp_stations *out;
} follower;

static void add_distance(distance *to, const float *x, const float *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double d = (double)x[i] - (double)from[i];
        to->error += d * d;
        to->power += (double)from[i] * (double)from[i];
    }
}

static double relative(const distance *d) { return d->power > 0 ? sqrt(d->error / d->power) : NAN; }

/* ---- texts ---- */

static samp_station *add_station(follower *f, const char *name, uint64_t bytes)
{
    samp_station *station = &f->out->items[f->out->n++];
    *station = (samp_station){.name = name, .bytes = bytes, .from_file = NAN, .from_source = NAN};
    return station;
}

/* One element of a tensor as text. */
static int print_element(char *out, size_t n, samp_dtype dtype, const uint8_t *at)
{
    uint16_t half;
    float x;
    memcpy(&half, at, dtype == SAMP_F16 || dtype == SAMP_BF16 ? sizeof half : 0);
    if (dtype == SAMP_F16) return snprintf(out, n, "%.5g ", (double)samp_fp16_to_float(half));
    if (dtype == SAMP_BF16) return snprintf(out, n, "%.5g ", (double)samp_bf16_to_float(half));
    if (dtype == SAMP_I8) return snprintf(out, n, "%d ", (int)(int8_t)*at);
    if (dtype != SAMP_F32) return snprintf(out, n, "0x%02x ", *at);
    memcpy(&x, at, sizeof x);
    return snprintf(out, n, "%.5g ", (double)x);
}

static void first_elements(char *out, samp_dtype dtype, const void *data, uint64_t n)
{
    int at = 0;
    for (uint64_t i = 0; i < n && i < FIRST; i++)
        at += print_element(out + at, SAMP_STATION_TEXT - (size_t)at, dtype,
                            (const uint8_t *)data + i * samp_dtype_bits(dtype) / 8);
    if (at) out[at - 1] = '\0';
}

static void file_stations(follower *f)
{
    const samp_weight_ref *w = f->weight;
    for (int i = 0; i < w->layout.n_parts; i++) {
        const samp_tensor_info *tensor = w->parts[i];
        uint64_t bytes = w->layout.parts[i].bytes, size = samp_dtype_bits(tensor->dtype) / 8;
        samp_station *station = add_station(f, "file", bytes);
        char shape[64];
        samp_shape_text(shape, sizeof shape, tensor->rank, tensor->shape);
        snprintf(
            station->what, sizeof station->what, "%s %s at byte %" PRIu64 " of %.60s",
            samp_dtype_name(tensor->dtype), shape,
            tensor->offset + (i == 0 ? samp_weight_start(w) : 0),
            samp_checkpoint_shard_name(samp_model_checkpoint(f->model), (size_t)tensor->shard));
        first_elements(station->first, tensor->dtype, f->parts[i], bytes / (size ? size : 1));
    }
}

/* ---- one pass over the rows ---- */

static samp_status reserve(follower *f, samp_error *error)
{
    const samp_layout *layout = &f->weight->layout;
    size_t cols = layout->cols, padded = samp_round_up(cols, 64);
    f->head = cols < UNIT_VECTORS ? cols : UNIT_VECTORS;
    f->decoded = samp_alloc(SAMP_PANEL_ROWS * sizeof(float), cols);
    f->originals = samp_alloc(SAMP_PANEL_ROWS * sizeof(float), cols);
    f->values = samp_alloc(SAMP_PANEL_ROWS * sizeof(float), cols);
    f->decoded_head = samp_alloc(layout->rows * sizeof(float), f->head);
    f->original_head = samp_alloc(layout->rows * sizeof(float), f->head);
    f->integers.t = samp_alloc(SAMP_PANEL_ROWS, padded);
    f->integers.scale = samp_alloc(SAMP_PANEL_ROWS * sizeof(float), padded / 32);
    if (f->decoded && f->originals && f->values && f->decoded_head && f->original_head &&
        f->integers.t && f->integers.scale)
        return SAMP_OK;
    return samp_fail(error, SAMP_NOMEM, "%s: out of memory to follow it", f->weight->name);
}

static void integer_values(follower *f, size_t n)
{
    size_t cols = f->weight->layout.cols, padded = samp_round_up(cols, 64);
    size_t group = (size_t)f->group;
    for (size_t r = 0; r < n; r++)
        for (size_t k = 0; k < cols; k++)
            f->values[r * cols + k] = f->integers.scale[r * (padded / group) + k / group] *
                                      (float)f->integers.t[r * padded + k];
}

static samp_status follow_panel(follower *f, uint64_t row, size_t n, samp_error *error)
{
    const samp_weight_ref *w = f->weight;
    const samp_layout *layout = &w->layout;
    size_t cols = layout->cols;
    uint64_t at, bytes;
    const void *panel[SAMP_PARTS_MAX];
    SAMP_TRY(samp_panel_range(w->format, layout, row, n, &at, &bytes, error));
    for (int i = 0; i < layout->n_parts; i++) panel[i] = f->parts[i];
    panel[0] = (const uint8_t *)panel[0] + at;
    w->format->decode(layout, panel, row, n, f->decoded);
    if (f->original) {
        SAMP_TRY(samp_model_read_rows(f->source, f->original, f->original_row + row, n,
                                      f->original_scales, f->originals, error));
        add_distance(&f->decoded_source, f->decoded, f->originals, n * cols);
    }
    for (size_t r = 0; r < n; r++) {
        size_t to = (row + r) * f->head, bytes_head = f->head * sizeof(float);
        memcpy(f->decoded_head + to, f->decoded + r * cols, bytes_head);
        memcpy(f->original_head + to, f->originals + r * cols, bytes_head);
    }
    if (!f->group) return SAMP_OK;
    samp_integer_form(w->format->id, layout, panel, row, n, &f->integers);
    integer_values(f, n);
    add_distance(&f->integer_file, f->values, f->decoded, n * cols);
    if (f->original) add_distance(&f->integer_source, f->values, f->originals, n * cols);
    return SAMP_OK;
}

/* The stations that the first panel's numbers describe; errors are filled when all are seen. */
static void value_stations(follower *f, samp_station **decoded, samp_station **integers)
{
    const samp_layout *layout = &f->weight->layout;
    uint64_t padded = samp_round_up(layout->cols, 64);
    *decoded = add_station(f, "decoded", 4 * layout->rows * layout->cols);
    snprintf((*decoded)->what, SAMP_STATION_TEXT, "float32, for exact mode only");
    first_elements((*decoded)->first, SAMP_F32, f->decoded, layout->cols);
    *integers = NULL;
    if (!f->group) return;
    uint64_t scales = padded / (uint64_t)f->group;
    *integers = add_station(f, "integers", layout->rows * (padded + 4 * scales));
    snprintf((*integers)->what, SAMP_STATION_TEXT, "t and a float scale for %d columns", f->group);
    char *out = (*integers)->first;
    int at = snprintf(out, SAMP_STATION_TEXT, "%.5g * (", (double)f->integers.scale[0]);
    for (uint64_t k = 0; k < layout->cols && k < FIRST; k++)
        at += snprintf(out + at, SAMP_STATION_TEXT - (size_t)at, "%d ", f->integers.t[k]);
    out[at - 1] = ')';
}

static samp_status follow_rows(follower *f, samp_error *error)
{
    const samp_layout *layout = &f->weight->layout;
    samp_station *decoded = NULL, *integers = NULL;
    for (uint64_t row = 0; row < layout->rows; row += SAMP_PANEL_ROWS) {
        uint64_t left = layout->rows - row;
        SAMP_TRY(follow_panel(f, row, left < SAMP_PANEL_ROWS ? left : SAMP_PANEL_ROWS, error));
        if (row == 0) value_stations(f, &decoded, &integers);
    }
    if (f->original) decoded->from_source = relative(&f->decoded_source);
    if (!integers) return SAMP_OK;
    integers->from_file = relative(&f->integer_file);
    if (f->original) integers->from_source = relative(&f->integer_source);
    return SAMP_OK;
}

/* ---- what the kernels read ---- */

/* y [head][rows]: column k of the weight, as its product with unit vector k. */
static samp_status ask_kernel(const follower *f, samp_device *device, const samp_weight *weight,
                              float *y, samp_error *error)
{
    const samp_backend *cpu = samp_cpu_backend();
    size_t cols = f->weight->layout.cols, n = f->head, n_out = n * f->weight->layout.rows;
    float *unit = samp_alloc(n * sizeof *unit, cols);
    samp_tensor *in = NULL, *out = NULL;
    samp_batch batch = {.n_tokens = (uint32_t)n};
    samp_status status =
        unit ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "%s: out of memory", f->weight->name);
    for (size_t k = 0; unit && k < n; k++) unit[k * cols + k] = 1;
    if (status == SAMP_OK) status = cpu->tensor_create(device, n * cols, &in, error);
    if (status == SAMP_OK) status = cpu->tensor_create(device, n_out, &out, error);
    if (status == SAMP_OK) status = cpu->tensor_set(device, in, unit, n * cols, error);
    if (status == SAMP_OK) {
        samp_input input = {.kind = SAMP_INPUT_PLAIN, .x = in};
        cpu->begin(device, &batch);
        cpu->matmul(device, (uint32_t)n, &input, 1, &weight, &out, false);
        cpu->read(device, out, 0, n_out, y);
        status = cpu->sync(device, error);
    }
    if (out) cpu->tensor_release(device, out);
    if (in) cpu->tensor_release(device, in);
    samp_free(unit);
    return status;
}

static void kernel_station(follower *f, const float *y)
{
    size_t rows = f->weight->layout.rows;
    float first[FIRST] = {0};
    for (size_t k = 0; k < f->head; k++)
        for (size_t r = 0; r < rows; r++) {
            size_t at = r * f->head + k;
            add_distance(&f->kernel_file, &y[k * rows + r], &f->decoded_head[at], 1);
            add_distance(&f->kernel_source, &y[k * rows + r], &f->original_head[at], 1);
            if (r == 0 && k < FIRST) first[k] = y[k * rows];
        }
    samp_station *station = add_station(f, "kernel", 0);
    snprintf(station->what, sizeof station->what, "products with %zu unit vectors, %d-bit inputs",
             f->head, f->group ? f->weight->activation_bits : 32);
    first_elements(station->first, SAMP_F32, first, f->head);
    station->from_file = relative(&f->kernel_file);
    if (f->original) station->from_source = relative(&f->kernel_source);
}

static samp_status kernel_stations(follower *f, samp_device *device, samp_error *error)
{
    const samp_backend *cpu = samp_cpu_backend();
    const samp_weight_ref *w = f->weight;
    samp_weight_source source = {.name = w->name,
                                 .format = w->format,
                                 .layout = &w->layout,
                                 .parts = (const void *const *)f->parts,
                                 .activation_bits = w->activation_bits};
    samp_weight *weight;
    SAMP_TRY(cpu->weight_create(device, &source, &weight, error));
    samp_station *station = add_station(f, "packed", cpu->weight_bytes(weight));
    snprintf(station->what, sizeof station->what, "16 rows together, for %.120s",
             cpu->describe(device));
    float *y = samp_alloc(w->layout.rows * sizeof *y, f->head);
    samp_status status = y ? ask_kernel(f, device, weight, y, error)
                           : samp_fail(error, SAMP_NOMEM, "%s: out of memory", w->name);
    if (status == SAMP_OK) kernel_station(f, y);
    samp_free(y);
    cpu->weight_release(device, weight);
    return status;
}

/* ---- the whole way ---- */

/* The source's weight of this role that has these rows. */
static samp_status find_original(follower *f, samp_error *error)
{
    const samp_weight_ref *w = f->weight;
    for (size_t i = 0; f->source && i < samp_model_count(f->source); i++) {
        const samp_weight_ref *o = samp_model_at(f->source, i);
        if (o->role != w->role || o->layer != w->layer || o->layout.cols != w->layout.cols)
            continue;
        if (w->first_row < o->first_row ||
            w->first_row - o->first_row + w->layout.rows > o->layout.rows)
            continue;
        f->original = o;
        f->original_row = w->first_row - o->first_row;
    }
    if (!f->source || f->original) return SAMP_OK;
    return samp_fail(error, SAMP_MISMATCH, "%s has no %s of %" PRIu64 " x %" PRIu64 " weights",
                     samp_model_folder(f->source), w->name, w->layout.rows, w->layout.cols);
}

static samp_status follow(follower *f, unsigned n_threads, samp_error *error)
{
    const samp_layout *layout = &f->weight->layout;
    SAMP_TRY(find_original(f, error));
    SAMP_TRY(samp_model_read_parts(f->model, f->weight, f->parts, error));
    SAMP_TRY(reserve(f, error));
    f->group = samp_role_is_matrix(f->weight->role)
                   ? samp_integer_group(layout, f->weight->format->id)
                   : 0;
    file_stations(f);
    SAMP_TRY(follow_rows(f, error));
    if (!samp_role_is_matrix(f->weight->role)) return SAMP_OK;
    samp_device *device;
    samp_device_options options = {.n_threads = n_threads};
    SAMP_TRY(samp_cpu_backend()->open(&device, &options, error));
    samp_status status = kernel_stations(f, device, error);
    samp_cpu_backend()->close(device);
    return status;
}

samp_status samp_follow(samp_model *model, const samp_weight_ref *weight, samp_model *source,
                        unsigned n_threads, samp_stations *out, samp_error *error)
{
    *out = (samp_stations){.rows = weight->layout.rows, .cols = weight->layout.cols};
    follower f = {.model = model, .source = source, .weight = weight, .out = out};
    samp_status status = follow(&f, n_threads, error);
    samp_model_free_parts(f.parts);
    samp_model_free_parts(f.original_scales);
    samp_free(f.decoded_head);
    samp_free(f.original_head);
    samp_free(f.decoded);
    samp_free(f.originals);
    samp_free(f.values);
    samp_free(f.integers.t);
    samp_free(f.integers.scale);
    return status;
}
