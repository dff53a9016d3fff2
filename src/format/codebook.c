/* Preparing a codebook (codebook.h). */
#include "format/codebook.h"

#include "format/kernels.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* The largest midpoint's position: the values beyond it, not far, are on the grid too. */
static const float farthest = 24000;

static void set_cell(samp__codebook *book, int cell, int code, int bound)
{
    int at = cell & (SAMP__CELLS - 1);
    book->code[at] = (uint8_t)code;
    book->low[at] = (uint8_t)(bound & 255);
    book->high[at] = (uint8_t)(bound >> 8 & 255);
}

void samp__codebook_init(samp__codebook *out, const float midpoint[15])
{
    enum { LOWEST = -SAMP__CELLS / 2 };
    memcpy(out->midpoint, midpoint, sizeof out->midpoint);
    out->grid = farthest / fmaxf(-midpoint[0], midpoint[14]);
    int code = 0;
    for (int cell = LOWEST; cell < -LOWEST; cell++) {
        int start = cell * (1 << SAMP__CELL_BITS), end = start + (1 << SAMP__CELL_BITS);
        int bound = code < 15 ? (int)samp__round(midpoint[code] * out->grid) : INT16_MAX;
        assert(bound >= start); /* else two midpoints are in a cell */
        set_cell(out, cell, code, bound < end ? bound : INT16_MAX);
        code += bound < end && code < 15;
    }
    assert(code == 15);
    set_cell(out, LOWEST, -1, INT16_MIN); /* all above its lowest position have code 0 */
}
