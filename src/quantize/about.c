/* Sizes and provenance of a model folder. */
#include "quantize/about.h"

#include "file/file.h"
#include "file/manifest.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void samp_about_model(const samp_model *model, samp_about *out)
{
    enum { MANIFEST_BYTES_MAX = 16 << 20 };
    char path[4096];
    *out = (samp_about){.predicted_kl = NAN};
    for (size_t i = 0; i < samp_model_count(model); i++) {
        const samp_layout *layout = &samp_model_at(model, i)->layout;
        out->weight_bytes += layout->bytes;
        out->n_weights += (double)layout->rows * (double)layout->cols;
    }
    if (samp_path_join(path, sizeof path, samp_model_folder(model), SAMP_MANIFEST_NAME, NULL) !=
            SAMP_OK ||
        !samp_is_file(path) ||
        samp_json_load(&out->manifest, path, MANIFEST_BYTES_MAX, NULL) != SAMP_OK) {
        out->manifest = NULL;
        return;
    }
    const char *type = "";
    samp_json_string(out->manifest, "quant_type", false, &type, path, NULL);
    snprintf(out->quant_type, sizeof out->quant_type, "%s", type);
    samp_json_number(json_object_get(out->manifest, "plan"), "predicted_kl", false,
                     &out->predicted_kl, path, NULL);
}

void samp_about_release(samp_about *about)
{
    json_decref(about->manifest);
    about->manifest = NULL;
}

void samp_folder_name(const char *path, char *out, size_t n)
{
    size_t end = strlen(path), begin;
    while (end > 1 && path[end - 1] == '/') end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/'; begin--) {}
    if (begin == end) begin = 0;
    snprintf(out, n, "%.*s", (int)(end - begin), path + begin);
}
