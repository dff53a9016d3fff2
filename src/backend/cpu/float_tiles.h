/* Float products over the tiles of a level. Read after a level's file has defined
 *   FLOAT_TILE     the groups of 16 rows, or the tokens, of a tile
 *   float_groups(kind, n_groups, weight, lines, x, y)
 *                  y [n_groups][16] = one token's products, n_groups 1 or FLOAT_TILE: streams
 *                  through the weights
 *   float_tokens(kind, lines, n, x, cols, y, panel)
 *                  y [FLOAT_TILE][16] += n columns of a group times as many of each token's inputs;
 *                  the columns' weights, as floats [n][16], also go to panel, where that is not NULL
 * it defines walk_floats(product).
 *
 * With tokens enough for a tile a group goes PANEL_COLS columns at a time: the first tile of tokens
 * widens them, into a panel of floats that stays in the first cache while the others meet it; all
 * tokens' sums lie in y meanwhile. Each sum still adds its products column by column, and so has
 * the bits it has for one token. */
#include "backend/cpu/kernel.h"

enum {
    PANEL_COLS = 256,   /* 16 KB of floats */
    PANEL_TOKENS = 128, /* a multiple of every FLOAT_TILE */
    PANEL_TILES = PANEL_TOKENS / FLOAT_TILE
};

#define FLOAT_KIND(kind)                                                                           \
    static void kind##_one(const samp_weight *weight, const uint8_t *lines, const float *x,        \
                           float(*y)[SAMP__ROWS])                                                  \
    {                                                                                              \
        float_groups(SAMP__##kind, 1, weight, lines, x, y);                                        \
    }                                                                                              \
    static void kind##_groups(const samp_weight *weight, const uint8_t *lines, const float *x,     \
                              float(*y)[SAMP__ROWS])                                               \
    {                                                                                              \
        float_groups(SAMP__##kind, FLOAT_TILE, weight, lines, x, y);                               \
    }                                                                                              \
    static void kind##_tokens(const uint8_t *lines, size_t n, const float *x, size_t cols,         \
                              float(*y)[SAMP__ROWS], float *panel)                                 \
    {                                                                                              \
        float_tokens(SAMP__##kind, lines, n, x, cols, y, panel);                                   \
    }
FLOAT_KIND(FP32)
FLOAT_KIND(BF16)
FLOAT_KIND(FP16)
FLOAT_KIND(FP8)
#undef FLOAT_KIND

typedef void groups_function(const samp_weight *weight, const uint8_t *lines, const float *x,
                             float (*y)[SAMP__ROWS]);
typedef void tokens_function(const uint8_t *lines, size_t n, const float *x, size_t cols,
                             float (*y)[SAMP__ROWS], float *panel);

/* Of a panel. */
static void panel_tokens(const float *panel, size_t n, const float *x, size_t cols,
                         float (*y)[SAMP__ROWS])
{
    float_tokens(SAMP__FP32, (const uint8_t *)panel, n, x, cols, y, NULL);
}

static const struct {
    groups_function *one, *groups;
    tokens_function *tokens;
} float_kinds[] = {{FP32_one, FP32_groups, FP32_tokens},
                   {BF16_one, BF16_groups, BF16_tokens},
                   {FP16_one, FP16_groups, FP16_tokens},
                   {FP8_one, FP8_groups, FP8_tokens}};

/* A group's finished sums for one token. */
static void store_group(const samp__product *product, size_t group, size_t token, float *y)
{
    const samp_weight *weight = product->weight;
    size_t row = group * SAMP__ROWS, rest = weight->rows - row;
    if (weight->kind == SAMP__FP8) {
        const float *scale = samp__row_scales(weight, weight->data + group * weight->group_bytes);
        for (size_t r = 0; r < SAMP__ROWS; r++) y[r] *= scale[r];
    }
    samp__store_rows(product->out + token * weight->rows + row, y,
                     rest < SAMP__ROWS ? rest : SAMP__ROWS, product->add);
}

static void walk_groups(const samp__product *product)
{
    const samp_weight *weight = product->weight;
    int kind = weight->kind - SAMP__INTEGER_KINDS;
    _Alignas(64) float y[FLOAT_TILE][SAMP__ROWS];
    for (size_t group = product->group_begin, n; group < product->group_end; group += n) {
        n = product->group_end - group < FLOAT_TILE ? 1 : FLOAT_TILE;
        groups_function *multiply = n == 1 ? float_kinds[kind].one : float_kinds[kind].groups;
        const uint8_t *lines = weight->data + group * weight->group_bytes;
        for (size_t token = product->token_begin; token < product->token_end; token++) {
            multiply(weight, lines, product->x + token * weight->cols, y);
            for (size_t g = 0; g < n; g++) store_group(product, group + g, token, y[g]);
        }
    }
}

/* Tokens first … first+n-1 of one group. The last tile goes back as far as it must to be full: some
 * tokens are then multiplied twice and stored once. */
static void panel_group(const samp__product *product, size_t group, size_t first, size_t n)
{
    const samp_weight *weight = product->weight;
    const size_t cols = weight->cols, line_bytes = SAMP__ROWS * samp__kinds[weight->kind].lines;
    const uint8_t *lines = weight->data + group * weight->group_bytes;
    tokens_function *widen_tokens = float_kinds[weight->kind - SAMP__INTEGER_KINDS].tokens;
    const size_t n_tiles = (n + FLOAT_TILE - 1) / FLOAT_TILE, last = first + n - FLOAT_TILE;
    _Alignas(64) float panel[PANEL_COLS * SAMP__ROWS], y[PANEL_TILES][FLOAT_TILE][SAMP__ROWS];
    memset(y, 0, n_tiles * sizeof *y);
    for (size_t k = 0; k < cols; k += PANEL_COLS) {
        size_t n_cols = cols - k < PANEL_COLS ? cols - k : PANEL_COLS;
        for (size_t i = 0; i < n_tiles; i++) {
            size_t token = i + 1 < n_tiles ? first + i * FLOAT_TILE : last;
            const float *x = product->x + token * cols + k;
            if (i == 0)
                widen_tokens(lines + k * line_bytes, n_cols, x, cols, y[i], panel);
            else
                panel_tokens(panel, n_cols, x, cols, y[i]);
        }
    }
    for (size_t token = first; token < first + n; token++) {
        size_t i = (token - first) / FLOAT_TILE;
        size_t begin = i + 1 < n_tiles ? first + i * FLOAT_TILE : last;
        store_group(product, group, token, y[i][token - begin]);
    }
}

static void walk_floats(const samp__product *product)
{
    if (product->token_end - product->token_begin < FLOAT_TILE) {
        walk_groups(product);
        return;
    }
    for (size_t group = product->group_begin; group < product->group_end; group++)
        for (size_t token = product->token_begin, n; token < product->token_end; token += n) {
            n = product->token_end - token < PANEL_TOKENS ? product->token_end - token
                                                          : PANEL_TOKENS;
            panel_group(product, group, token, n);
        }
}
