/* A table of sixteen values, prepared so that the code of a weight is found quickly.
 *
 * The code of x is how many of the 15 ascending midpoints are below it. `grid` puts x on the
 * integers of 16 bits: position = rint(x * grid), cut to -32768 … 32767. This keeps order, so where
 * x and a midpoint have different positions, comparing the positions tells which is larger; where
 * they are the same (about one weight in three thousand) floats are compared. A cell is 2,048
 * positions, few enough to hold one midpoint at most: the cell, -16 … 15, tells all of the code but
 * that comparison. Nothing here owns memory. */
#ifndef SAMP_FORMAT_CODEBOOK_H
#define SAMP_FORMAT_CODEBOOK_H

#include <stdint.h>

enum {
    SAMP__CELL_BITS = 11, /* log2 of a cell's positions */
    SAMP__CELLS = 32
};

typedef struct samp__codebook {
    float midpoint[15];
    float grid;
    /* Of each cell, 0 … 15 and then -16 … -1: the code at its start; its bound, the position of its
     * midpoint, as low and high byte. Where a cell has no midpoint the bound is 32767. That of cell
     * -16 is -32768 and its code -1: what is too large for a conversion to integers may come out as
     * -32768, and has floats compared. */
    uint8_t code[SAMP__CELLS], low[SAMP__CELLS], high[SAMP__CELLS];
} samp__codebook;

/* Midpoints ascend, lie on both sides of 0, and differ by an eleventh of the largest at least. */
void samp__codebook_init(samp__codebook *out, const float midpoint[15]);

#endif
