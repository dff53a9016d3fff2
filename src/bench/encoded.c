/* Encoding of a whole matrix, panel by panel as the quantizer does it. */
#include "bench/encoded.h"

#include "base/memory.h"
#include "model/model.h"

#include <string.h>

samp_status samp_matrix_encode(const samp_format *format, const samp_layout *layout,
                               const float *values, void *parts[SAMP_PARTS_MAX], samp_error *error)
{
    memset(parts, 0, SAMP_PARTS_MAX * sizeof *parts);
    float *work = samp_alloc(layout->work_floats + 1, sizeof *work);
    bool good = work != NULL;
    for (int i = 0; i < layout->n_parts && good; i++)
        good = (parts[i] = samp_alloc(1, layout->parts[i].bytes)) != NULL;
    samp_status status =
        good ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "out of memory for a matrix of weights");
    samp_encode_options options = {0};
    for (uint64_t row = 0; row < layout->rows && status == SAMP_OK; row += SAMP_PANEL_ROWS) {
        uint64_t left = layout->rows - row, at, bytes;
        uint64_t n = left < SAMP_PANEL_ROWS ? left : SAMP_PANEL_ROWS;
        status = samp_panel_range(format, layout, row, n, &at, &bytes, error);
        void *panel[SAMP_PARTS_MAX];
        memcpy(panel, parts, sizeof panel);
        panel[0] = (char *)parts[0] + at;
        if (status == SAMP_OK)
            format->encode(layout, values + row * layout->cols, row, n, &options, panel, work);
    }
    if (status == SAMP_OK && format->finish) status = format->finish(layout, parts, work, error);
    samp_free(work);
    return status;
}
