/* Profiles of hardware from and to JSON. What is read comes from anywhere: every size is capped. */
#include "plan/hardware.h"

#include "file/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KERNELS_MAX = 128, TIMES_MAX = 4096, TEXT_MAX = 1024 };
static const double figure_max = 1e20, seconds_max = 1e6, side_max = 4294967296.0,
                    batch_max = 65536;

static const char *const rate_names[SAMP_MULTIPLY_COUNT] = {
#define X(id, name) name,
    SAMP_MULTIPLY_LIST(X)
#undef X
};

static samp_status read_text(samp_arena *arena, const json_t *object, const char *key,
                             const char **out, const char *where, samp_error *error)
{
    const char *text = NULL;
    SAMP_TRY(samp_json_string(object, key, true, &text, where, error));
    size_t n = strlen(text);
    if (n == 0 || n > TEXT_MAX)
        return samp_fail(error, SAMP_INVALID, "%s: \"%s\" is a text of %zu bytes, expected 1 to %d",
                         where, key, n, TEXT_MAX);
    *out = samp_arena_strndup(arena, text, n);
    return *out ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "%s: out of memory", where);
}

/* {"value": 3e12, "source": "…"}: a figure without a source is an error. */
static samp_status read_figure(samp_arena *arena, const json_t *object, const char *key,
                               bool required, samp_figure *out, const char *where,
                               samp_error *error)
{
    const json_t *figure = json_object_get(object, key);
    if (!figure && !required) return SAMP_OK;
    char place[320];
    snprintf(place, sizeof place, "%.200s: \"%s\"", where, key);
    if (!json_is_object(figure))
        return samp_fail(error, SAMP_CORRUPT,
                         "%s is not there or not an object; expected {\"value\": number, "
                         "\"source\": text}",
                         place);
    SAMP_TRY(samp_json_number(figure, "value", true, &out->value, place, error));
    if (!(out->value > 0 && out->value <= figure_max))
        return samp_fail(error, SAMP_INVALID, "%s is %g, expected more than 0 and at most %g",
                         place, out->value, figure_max);
    return read_text(arena, figure, "source", &out->source, place, error);
}

static bool in_range(const json_t *value, double low, double high, bool whole)
{
    double x = json_number_value(value);
    return json_is_number(value) && x >= low && x <= high && (!whole || x == floor(x));
}

static samp_status read_times(samp_arena *arena, const json_t *list, samp_kernel *kernel,
                              const char *where, samp_error *error)
{
    size_t n = json_array_size(list);
    if (n < 1 || n > TIMES_MAX)
        return samp_fail(error, SAMP_INVALID,
                         "%s: \"times\" has %zu entries, expected a list of 1 to %d", where, n,
                         TIMES_MAX);
    kernel->times = samp_arena_alloc(arena, n, sizeof *kernel->times);
    if (!kernel->times) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", where);
    kernel->n_times = n;
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(list, i), *v[4];
        for (size_t j = 0; j < 4; j++) v[j] = json_array_get(row, j);
        if (json_array_size(row) != 4 || !in_range(v[0], 1, side_max, true) ||
            !in_range(v[1], 1, side_max, true) || !in_range(v[2], 1, batch_max, true) ||
            !in_range(v[3], 1e-12, seconds_max, false))
            return samp_fail(error, SAMP_INVALID,
                             "%s: time %zu is not [rows, cols, batch, seconds] with sides up to "
                             "2^32, batches up to %g and 1e-12 to %g seconds",
                             where, i, batch_max, seconds_max);
        kernel->times[i] =
            (samp_kernel_time){(uint64_t)json_number_value(v[0]), (uint64_t)json_number_value(v[1]),
                               (uint32_t)json_number_value(v[2]), json_number_value(v[3])};
    }
    samp_kernel_law_fit(kernel->times, n, &kernel->law);
    return SAMP_OK;
}

static samp_status read_kernel(samp_arena *arena, const json_t *object, samp_kernel *kernel,
                               const char *where, samp_error *error)
{
    const char *format = NULL;
    int64_t bits = 16;
    SAMP_TRY(samp_json_string(object, "format", true, &format, where, error));
    kernel->format = samp_format_find(format);
    if (!kernel->format)
        return samp_fail(error, SAMP_UNSUPPORTED, "%s: \"%.60s\" is not a format; formats are %s",
                         where, format, samp_format_names());
    SAMP_TRY(samp_json_integer(object, "activation_bits", false, 8, 16, &bits, where, error));
    if (bits != 8 && bits != 16)
        return samp_fail(error, SAMP_INVALID, "%s: \"activation_bits\" is %lld, expected 8 or 16",
                         where, (long long)bits);
    kernel->activation_bits = (int)bits;
    SAMP_TRY(read_text(arena, object, "source", &kernel->source, where, error));
    return read_times(arena, json_object_get(object, "times"), kernel, where, error);
}

static samp_status read_kernels(samp_hardware *out, const json_t *list, const char *where,
                                samp_error *error)
{
    if (!list) return SAMP_OK;
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > KERNELS_MAX)
        return samp_fail(error, SAMP_INVALID,
                         "%s: \"kernels\" has %zu entries, expected a list of at most %d", where, n,
                         KERNELS_MAX);
    out->kernels = samp_arena_alloc(&out->arena, n + 1, sizeof *out->kernels);
    if (!out->kernels) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", where);
    for (out->n_kernels = 0; out->n_kernels < n; out->n_kernels++) {
        char place[320];
        snprintf(place, sizeof place, "%.200s: kernel %zu", where, out->n_kernels);
        SAMP_TRY(read_kernel(&out->arena, json_array_get(list, out->n_kernels),
                             &out->kernels[out->n_kernels], place, error));
    }
    return SAMP_OK;
}

static samp_status read_attention(samp_hardware *out, const json_t *object, const char *where,
                                  samp_error *error)
{
    if (!object) return SAMP_OK;
    char place[320];
    snprintf(place, sizeof place, "%.200s: attention", where);
    SAMP_TRY(read_text(&out->arena, object, "source", &out->attention.source, place, error));
    return read_times(&out->arena, json_object_get(object, "times"), &out->attention, place, error);
}

static samp_status read_profile(samp_hardware *out, const json_t *root, const char *where,
                                samp_error *error)
{
    int64_t version = 0;
    SAMP_TRY(samp_json_integer(root, "schema_version", true, 1, INT32_MAX, &version, where, error));
    if (version != 1)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: a profile of version %lld, this program reads version 1", where,
                         (long long)version);
    samp_arena *arena = &out->arena;
    SAMP_TRY(read_text(arena, root, "name", &out->name, where, error));
    SAMP_TRY(read_text(arena, root, "title", &out->title, where, error));
    SAMP_TRY(read_figure(arena, root, "memory_bytes", false, &out->memory_bytes, where, error));
    SAMP_TRY(read_figure(arena, root, "bandwidth", true, &out->bandwidth, where, error));
    const json_t *rates = json_object_get(root, "rates");
    for (int r = 0; r < SAMP_MULTIPLY_COUNT; r++)
        SAMP_TRY(read_figure(arena, rates, rate_names[r], r == SAMP_MULTIPLY_FLOAT16,
                             &out->rates[r], where, error));
    SAMP_TRY(read_figure(arena, root, "step_ratio", false, &out->step_ratio, where, error));
    SAMP_TRY(read_attention(out, json_object_get(root, "attention"), where, error));
    return read_kernels(out, json_object_get(root, "kernels"), where, error);
}

samp_status samp_hardware_parse(samp_hardware *out, const json_t *root, const char *where,
                                samp_error *error)
{
    *out = (samp_hardware){0};
    if (!json_is_object(root))
        return samp_fail(error, SAMP_CORRUPT, "%s is not a profile of hardware: not an object",
                         where);
    samp_status status = read_profile(out, root, where, error);
    if (status != SAMP_OK) samp_hardware_release(out);
    return status;
}

static json_t *figure_json(const samp_figure *figure)
{
    return json_pack("{s:f,s:s}", "value", figure->value, "source", figure->source);
}

static json_t *times_json(const samp_kernel *kernel)
{
    json_t *times = json_array();
    for (size_t i = 0; i < kernel->n_times; i++) {
        const samp_kernel_time *t = &kernel->times[i];
        if (json_array_append_new(times,
                                  json_pack("[I,I,I,f]", (json_int_t)t->rows, (json_int_t)t->cols,
                                            (json_int_t)t->batch, t->seconds)) != 0) {
            json_decref(times);
            return NULL;
        }
    }
    return times;
}

static json_t *kernel_json(const samp_kernel *kernel)
{
    return json_pack("{s:s,s:i,s:s,s:o}", "format", kernel->format->name, "activation_bits",
                     kernel->activation_bits, "source", kernel->source, "times",
                     times_json(kernel));
}

json_t *samp_hardware_json(const samp_hardware *hardware)
{
    json_t *rates = json_object(), *kernels = json_array();
    bool good = true;
    for (int r = 0; r < SAMP_MULTIPLY_COUNT; r++)
        if (hardware->rates[r].value > 0)
            good &= samp_json_set(rates, rate_names[r], figure_json(&hardware->rates[r]));
    for (size_t k = 0; k < hardware->n_kernels; k++)
        good &= json_array_append_new(kernels, kernel_json(&hardware->kernels[k])) == 0;
    json_t *root = json_pack("{s:i,s:s,s:s,s:o,s:o,s:o}", "schema_version", 1, "name",
                             hardware->name, "title", hardware->title, "bandwidth",
                             figure_json(&hardware->bandwidth), "rates", rates, "kernels", kernels);
    if (root && hardware->memory_bytes.value > 0)
        good &= samp_json_set(root, "memory_bytes", figure_json(&hardware->memory_bytes));
    if (root && hardware->step_ratio.value > 0)
        good &= samp_json_set(root, "step_ratio", figure_json(&hardware->step_ratio));
    if (root && hardware->attention.n_times)
        good &= samp_json_set(root, "attention",
                              json_pack("{s:s,s:o}", "source", hardware->attention.source, "times",
                                        times_json(&hardware->attention)));
    if (good) return root;
    json_decref(root);
    return NULL;
}

static void append(samp_buffer *to, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    if (text)
        samp_buffer_text(to, text);
    else
        to->failed = true;
    free(text);
}

samp_status samp_hardware_save(const samp_hardware *hardware, const char *path, samp_error *error)
{
    json_t *root = samp_hardware_json(hardware), *value;
    samp_buffer text = {.failed = root == NULL};
    const char *key, *separator = "{\n";
    json_object_foreach(root, key, value)
    {
        samp_buffer_printf(&text, "%s \"%s\": ", separator, key);
        separator = ",\n";
        if (!json_is_array(value)) {
            append(&text, value);
            continue;
        }
        for (size_t i = 0; i < json_array_size(value); i++) {
            samp_buffer_text(&text, i ? ",\n  " : "[\n  ");
            append(&text, json_array_get(value, i));
        }
        samp_buffer_text(&text, "]");
    }
    samp_buffer_text(&text, "\n}\n");
    json_decref(root);
    samp_status status = samp_buffer_ok(&text, error);
    if (status == SAMP_OK) status = samp_file_write(path, text.data, text.length, error);
    samp_buffer_release(&text);
    return status;
}
