/* Profiles: finding one, and the time of a product on it. The JSON is hardware_json.c's. */
#include "plan/hardware.h"

#include "file/file.h"

#include <math.h>
#include <string.h>

enum { PROFILE_BYTES_MAX = 4 << 20 };

static bool is_path(const char *name)
{
    return strchr(name, '/') || samp_path_has_ending(name, ".json");
}

static samp_status load_builtin(json_t **root, const char *name, samp_error *error)
{
    char names[256] = "";
    for (size_t i = 0; i < samp_hardware_n_builtins; i++) {
        const samp_hardware_builtin *builtin = &samp_hardware_builtins[i];
        if (strcmp(builtin->name, name) == 0)
            return samp_json_parse(root, builtin->json, builtin->length, name, error);
        size_t at = strlen(names);
        snprintf(names + at, sizeof names - at, "%s%s", at ? ", " : "", builtin->name);
    }
    return samp_fail(error, SAMP_NOT_FOUND,
                     "no profile of hardware is named \"%s\"; there are %s, and files (FILE.json) "
                     "that samp doctor --profile writes",
                     name, names);
}

samp_status samp_hardware_load(samp_hardware *out, const char *name, samp_error *error)
{
    json_t *root;
    *out = (samp_hardware){0};
    if (is_path(name))
        SAMP_TRY(samp_json_load(&root, name, PROFILE_BYTES_MAX, error));
    else
        SAMP_TRY(load_builtin(&root, name, error));
    samp_status status = samp_hardware_parse(out, root, name, error);
    json_decref(root);
    return status;
}

void samp_hardware_release(samp_hardware *hardware)
{
    samp_arena_release(&hardware->arena);
    *hardware = (samp_hardware){0};
}

static bool multiplies_integers(const samp_format *format)
{
    return format->native & (SAMP_NATIVE_CPU_INT8 | SAMP_NATIVE_TENSOR_INT8);
}

bool samp_hardware_multiplies(const samp_hardware *hardware, const samp_format *format,
                              samp_multiply *how)
{
    bool integers = multiplies_integers(format);
    if (format->native & SAMP_NATIVE_TENSOR_FP8 && format->code_bits == 8 && !integers) {
        *how = SAMP_MULTIPLY_FP8;
        return hardware->rates[SAMP_MULTIPLY_FP8].value > 0;
    }
    *how = integers && hardware->rates[SAMP_MULTIPLY_INT8].value > 0 ? SAMP_MULTIPLY_INT8
                                                                     : SAMP_MULTIPLY_FLOAT16;
    return true;
}

static const samp_kernel *measured_kernel(const samp_hardware *hardware, const samp_format *format,
                                          int activation_bits)
{
    for (size_t k = 0; k < hardware->n_kernels; k++) {
        const samp_kernel *kernel = &hardware->kernels[k];
        if (kernel->format == format &&
            (kernel->activation_bits == activation_bits || !multiplies_integers(format)))
            return kernel;
    }
    return NULL;
}

samp_product_time samp_hardware_time(const samp_hardware *hardware, const samp_product *product)
{
    samp_multiply how;
    samp_hardware_multiplies(hardware, product->format, &how);
    double rate = hardware->rates[how].value;
    if (!(rate > 0)) rate = hardware->rates[SAMP_MULTIPLY_FLOAT16].value;
    double rows = (double)product->rows, cols = (double)product->cols, batch = product->batch;
    double operations = 2 * rows * cols * batch;
    const samp_kernel *kernel =
        measured_kernel(hardware, product->format, product->activation_bits);
    if (kernel) {
        const samp_kernel_law *law = &kernel->law;
        double floor = rate > 0 ? operations / rate : 0; /* times of one batch do not know it */
        double ratio = hardware->step_ratio.value > 0 ? hardware->step_ratio.value : 1;
        samp_product_time time = {
            .seconds = ratio * fmax(samp_kernel_law_seconds(law, rows, cols, batch), floor),
            .reading = ratio * law->weight * rows * cols,
            .multiplying = ratio * fmax(law->multiply * rows * cols * batch, floor),
            .measured = true};
        return time;
    }
    /* an input of 16 bits is two INT8 parts: twice the products */
    if (how == SAMP_MULTIPLY_INT8 && product->activation_bits == 16) operations *= 2;
    samp_product_time time = {.reading = (double)product->bytes / hardware->bandwidth.value,
                              .multiplying = rate > 0 ? operations / rate : 0};
    time.seconds = fmax(time.reading, time.multiplying);
    return time;
}

double samp_hardware_attention(const samp_hardware *hardware, double width, double kv_width,
                               double positions, double sequences)
{
    if (hardware->attention.n_times)
        return samp_kernel_law_seconds(&hardware->attention.law, width, positions, sequences);
    return 2 * 2 * kv_width * positions * sequences / hardware->bandwidth.value;
}
