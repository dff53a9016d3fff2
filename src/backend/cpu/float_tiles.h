/* Float products over the tiles of a level. Read after a level's file has defined
 *   FLOAT_TILE   the tokens, or the groups of 16 rows, of a tile
 *   float_tile(kind, m, n_groups, product, group, token)
 *                m tokens x n_groups groups, one of the two 1
 * it defines the tiles of every float kind, and walk_floats(product). */
#include "backend/cpu/kernel.h"

typedef void float_function(const samp__product *product, size_t group, size_t token);

#define FLOAT_TILES(kind)                                                                          \
    static void kind##_one(const samp__product *p, size_t group, size_t token)                     \
    {                                                                                              \
        float_tile(SAMP__##kind, 1, 1, p, group, token);                                           \
    }                                                                                              \
    static void kind##_groups(const samp__product *p, size_t group, size_t token)                  \
    {                                                                                              \
        float_tile(SAMP__##kind, 1, FLOAT_TILE, p, group, token);                                  \
    }                                                                                              \
    static void kind##_tokens(const samp__product *p, size_t group, size_t token)                  \
    {                                                                                              \
        float_tile(SAMP__##kind, FLOAT_TILE, 1, p, group, token);                                  \
    }
FLOAT_TILES(FP32)
FLOAT_TILES(BF16)
FLOAT_TILES(FP16)
FLOAT_TILES(FP8)
#undef FLOAT_TILES

static const struct {
    float_function *one, *groups, *tokens;
} float_tiles[] = {{FP32_one, FP32_groups, FP32_tokens},
                   {BF16_one, BF16_groups, BF16_tokens},
                   {FP16_one, FP16_groups, FP16_tokens},
                   {FP8_one, FP8_groups, FP8_tokens}};

/* Tokens as many at a time as a tile takes; for those left over, groups. */
static void walk_floats(const samp__product *product)
{
    int kind = product->weight->kind - SAMP__INTEGER_KINDS;
    for (size_t group = product->group_begin, next; group < product->group_end; group = next) {
        next = product->group_end - group < FLOAT_TILE ? product->group_end : group + FLOAT_TILE;
        size_t token = product->token_begin;
        for (; product->token_end - token >= FLOAT_TILE; token += FLOAT_TILE)
            for (size_t g = group; g < next; g++) float_tiles[kind].tokens(product, g, token);
        for (; token < product->token_end; token++) {
            if (next - group == FLOAT_TILE)
                float_tiles[kind].groups(product, group, token);
            else
                for (size_t g = group; g < next; g++) float_tiles[kind].one(product, g, token);
        }
    }
}
