/* Weights as bitsandbytes and compressed-tensors store them: are all tensors of a weight there, of
 * the right type and shape, with scales that are numbers? bitsandbytes' NF4 in blocks of 64 is our
 * own nf4 byte for byte and goes the way of our formats; so does every weight stored in plain
 * floats. The tables below say what the rest must look like. */
#include "base/half.h"
#include "quantize/validate_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BIT(dtype) (1u << SAMP_##dtype)
#define FLOATS     (BIT(F32) | BIT(F16) | BIT(BF16))
#define ANY_TYPE   (~0u)

typedef enum foreign_shape {
    SHAPE_WEIGHT,  /* [rows, cols] */
    SHAPE_PACKED,  /* [rows, words of 32 bits] */
    SHAPE_HALVES,  /* [rows, cols / 2] */
    SHAPE_NIBBLES, /* [bytes of all codes, 1], whatever the type's width */
    SHAPE_ROWS,    /* [rows] */
    SHAPE_BLOCKS,  /* [blocks of 32 to 4096 weights] */
    SHAPE_SCALES,  /* by the group's strategy */
    SHAPE_ANY
} foreign_shape;

typedef struct foreign_part {
    const char *suffix; /* after the module's name */
    unsigned dtypes;    /* set of BIT(…) */
    foreign_shape shape;
    bool scale, required;
} foreign_part;

enum { FOREIGN_PARTS = 8 };

typedef struct foreign_scheme {
    const char *name;
    samp_foreign_method method;
    int smallest_code;                 /* of codes of type I8; -128 = all are allowed */
    foreign_part parts[FOREIGN_PARTS]; /* part 0 holds the codes and tells the scheme */
} foreign_scheme;

static const foreign_scheme SCHEMES[] = {
    {"bitsandbytes 8-bit",
     SAMP_FOREIGN_BITSANDBYTES,
     -127,
     {{".weight", BIT(I8), SHAPE_WEIGHT, false, true},
      {".SCB", BIT(F32), SHAPE_ROWS, true, true},
      {".weight_format", ANY_TYPE, SHAPE_ANY, false, false}}},
    {"bitsandbytes 4-bit",
     SAMP_FOREIGN_BITSANDBYTES,
     -128,
     {{".weight", ANY_TYPE, SHAPE_NIBBLES, false, true},
      {".weight.absmax", BIT(F32) | BIT(U8), SHAPE_BLOCKS, true, true},
      {".weight.quant_map", BIT(F32), SHAPE_ANY, false, true},
      {".weight.nested_absmax", BIT(F32), SHAPE_ANY, true, false},
      {".weight.nested_quant_map", BIT(F32), SHAPE_ANY, false, false},
      {".weight.quant_state.bitsandbytes__nf4", BIT(U8), SHAPE_ANY, false, false},
      {".weight.quant_state.bitsandbytes__fp4", BIT(U8), SHAPE_ANY, false, false}}},
    {"compressed-tensors packed",
     SAMP_FOREIGN_COMPRESSED_TENSORS,
     -128,
     {{".weight_packed", BIT(I32), SHAPE_PACKED, false, true},
      {".weight_scale", FLOATS, SHAPE_SCALES, true, true},
      {".weight_shape", BIT(I32) | BIT(I64), SHAPE_ANY, false, true},
      {".weight_zero_point", ANY_TYPE, SHAPE_ANY, false, false},
      {".weight_g_idx", ANY_TYPE, SHAPE_ANY, false, false}}},
    {"compressed-tensors FP4",
     SAMP_FOREIGN_COMPRESSED_TENSORS,
     -128,
     {{".weight_packed", BIT(U8), SHAPE_HALVES, false, true},
      {".weight_scale", BIT(F8_E4M3) | BIT(U8), SHAPE_SCALES, true, true},
      {".weight_global_scale", BIT(F32), SHAPE_ANY, true, false},
      {".input_global_scale", BIT(F32), SHAPE_ANY, true, false}}},
    {"compressed-tensors 8-bit",
     SAMP_FOREIGN_COMPRESSED_TENSORS,
     -128,
     {{".weight", BIT(I8) | BIT(F8_E4M3), SHAPE_WEIGHT, false, true},
      {".weight_scale", FLOATS, SHAPE_SCALES, true, true},
      {".weight_zero_point", ANY_TYPE, SHAPE_ANY, false, false},
      {".input_scale", FLOATS, SHAPE_ANY, true, false},
      {".input_zero_point", ANY_TYPE, SHAPE_ANY, false, false}}},
};
enum { N_SCHEMES = sizeof SCHEMES / sizeof *SCHEMES };

static const samp_tensor_info *find(samp_validation *v, const char *weight, const char *suffix)
{
    char name[SAMP_TENSOR_NAME_MAX];
    size_t n = strlen(weight) - strlen(".weight");
    int length = snprintf(name, sizeof name, "%.*s%s", (int)n, weight, suffix);
    return length < (int)sizeof name ? samp__validate_find(v, name) : NULL;
}

/* ---- which scheme ---------------------------------------------------------------------------- */

/* bitsandbytes' 4 bits are told by their scales, since any type may carry the codes. */
static const foreign_scheme *scheme_of(samp_validation *v, const char *weight)
{
    bool blocks =
        v->foreign.method == SAMP_FOREIGN_BITSANDBYTES && find(v, weight, ".weight.absmax");
    for (int i = 0; i < N_SCHEMES; i++) {
        const foreign_part *codes = &SCHEMES[i].parts[0];
        if (SCHEMES[i].method != v->foreign.method) continue;
        if (codes->shape == SHAPE_NIBBLES ? !blocks : blocks) continue;
        const samp_tensor_info *tensor = find(v, weight, codes->suffix);
        if (tensor && codes->dtypes & 1u << tensor->dtype) return &SCHEMES[i];
    }
    return NULL;
}

/* Our format with the same bytes, NULL when there is none. */
static const samp_format *same_bytes(samp_validation *v, const char *weight, uint64_t elements)
{
    const samp_tensor_info *codes = find(v, weight, ".weight"),
                           *absmax = find(v, weight, ".weight.absmax");
    if (!codes || codes->dtype != SAMP_U8 || !absmax || absmax->rank != 1 ||
        absmax->shape[0] != samp_ceil_div(elements, 64) ||
        !find(v, weight, ".weight.quant_state.bitsandbytes__nf4"))
        return NULL;
    return samp_format_get(absmax->dtype == SAMP_U8 ? SAMP_FORMAT_NF4 : SAMP_FORMAT_NF4_PLAIN);
}

/* ---- shapes ---------------------------------------------------------------------------------- */

/* The shape a part must have, as rank and two sizes; rank -1 = any. */
static int scales_shape(const samp_foreign_group *group, uint64_t rows, uint64_t cols,
                        uint64_t shape[2])
{
    shape[0] = group->strategy == SAMP_FOREIGN_TENSOR  ? 1
               : group->strategy == SAMP_FOREIGN_BLOCK ? samp_ceil_div(rows, group->block[0])
                                                       : rows;
    shape[1] = group->strategy == SAMP_FOREIGN_GROUP   ? samp_ceil_div(cols, group->group_size)
               : group->strategy == SAMP_FOREIGN_BLOCK ? samp_ceil_div(cols, group->block[1])
                                                       : 1;
    return group->strategy == SAMP_FOREIGN_TENSOR ? 1 : 2;
}

static int wanted_shape(const foreign_part *part, const samp_foreign_group *group,
                        const samp_tensor_info *tensor, uint64_t rows, uint64_t cols,
                        uint64_t shape[2])
{
    uint64_t elements = rows * cols, width = samp_dtype_bits(tensor->dtype) / 8;
    shape[0] = rows;
    shape[1] = cols;
    switch (part->shape) {
    case SHAPE_WEIGHT: return 2;
    case SHAPE_PACKED: shape[1] = samp_ceil_div(cols * group->bits, 32); return 2;
    case SHAPE_HALVES: shape[1] = samp_ceil_div(cols, 2); return 2;
    case SHAPE_ROWS: return 1;
    case SHAPE_SCALES: return scales_shape(group, rows, cols, shape);
    case SHAPE_NIBBLES:
        shape[0] = samp_ceil_div(samp_ceil_div(elements, 2), width ? width : 1);
        shape[1] = 1;
        return 2;
    case SHAPE_BLOCKS: /* of the size that fits, or of 64 */
        shape[0] = samp_ceil_div(elements, 64);
        for (uint64_t block = 32; block <= 4096; block *= 2)
            if (tensor->rank == 1 && tensor->shape[0] == samp_ceil_div(elements, block))
                shape[0] = tensor->shape[0];
        return 1;
    case SHAPE_ANY: break;
    }
    return -1;
}

static bool shape_fits(const foreign_part *part, const samp_foreign_group *group,
                       const samp_tensor_info *tensor, uint64_t rows, uint64_t cols)
{
    uint64_t shape[2];
    int rank = wanted_shape(part, group, tensor, rows, cols, shape);
    if (rank < 0) return true;
    if (rank == 1 && shape[0] == 1 && tensor->rank == 0) return true; /* one number */
    bool same = tensor->rank == rank;
    for (int i = 0; same && i < rank; i++) same = tensor->shape[i] == shape[i];
    return same;
}

/* The group whose shapes the weight's tensors have; the first when none fits, so that the finding
 * can say what was expected. NULL for schemes without groups. */
static const samp_foreign_group *group_of(samp_validation *v, const foreign_scheme *scheme,
                                          const char *weight, uint64_t rows, uint64_t cols)
{
    for (size_t g = 0; g < v->foreign.n_groups; g++) {
        bool fits = true;
        for (const foreign_part *part = scheme->parts; part->suffix; part++) {
            const samp_tensor_info *tensor = find(v, weight, part->suffix);
            fits &= !tensor || shape_fits(part, &v->foreign.groups[g], tensor, rows, cols);
        }
        if (fits) return &v->foreign.groups[g];
    }
    return v->foreign.n_groups ? &v->foreign.groups[0] : NULL;
}

/* ---- values ---------------------------------------------------------------------------------- */

enum { CHUNK = 1 << 20 };

static float value_at(samp_dtype dtype, const unsigned char *bytes)
{
    uint16_t half;
    float whole;
    memcpy(&half, bytes, sizeof half);
    switch (dtype) {
    case SAMP_F32: memcpy(&whole, bytes, sizeof whole); return whole;
    case SAMP_F16: return samp_fp16_to_float(half);
    case SAMP_BF16: return samp_bf16_to_float(half);
    default: return samp_e4m3_to_float(bytes[0]);
    }
}

/* What is wrong in a chunk of scales or codes: counts. */
typedef struct foreign_faults {
    uint64_t not_finite, negative, out_of_range;
} foreign_faults;

static void look_at(const foreign_scheme *scheme, const foreign_part *part, samp_dtype dtype,
                    const unsigned char *bytes, uint64_t n, foreign_faults *faults)
{
    unsigned numbers = part->shape == SHAPE_NIBBLES ? 0 : FLOATS | BIT(F8_E4M3);
    bool number = numbers & 1u << dtype;
    uint64_t width = samp_dtype_bits(dtype) / 8;
    for (uint64_t i = 0; i + width <= n; i += width) {
        if (number) {
            float x = value_at(dtype, bytes + i);
            faults->not_finite += !isfinite(x);
            faults->negative += part->scale && x < 0;
        } else if (dtype == SAMP_I8) {
            faults->out_of_range += (int8_t)bytes[i] < scheme->smallest_code;
        }
    }
}

static void report(samp_validation *v, const foreign_part *part, const samp_tensor_info *tensor,
                   const foreign_faults *faults)
{
    const char *file = v->shards[tensor->shard].name;
    if (faults->not_finite)
        samp_findings_add(
            v->findings, part->scale ? SAMP_FINDING_SCALE_NOT_FINITE : SAMP_FINDING_CODE_NAN, file,
            tensor->name, "%" PRIu64 " of its values are NaN or infinite", faults->not_finite);
    if (faults->negative)
        samp_findings_add(v->findings, SAMP_FINDING_SCALE_NEGATIVE, file, tensor->name,
                          "%" PRIu64 " of its values are negative", faults->negative);
    if (faults->out_of_range)
        samp_findings_add(v->findings, SAMP_FINDING_CODE_RANGE, file, tensor->name,
                          "%" PRIu64 " codes are -128", faults->out_of_range);
}

/* Scales always, codes in deep mode; a piece at a time. */
static samp_status read_values(samp_validation *v, const foreign_scheme *scheme,
                               const foreign_part *part, const samp_tensor_info *tensor,
                               samp_error *error)
{
    bool deep = v->options->depth == SAMP_VALIDATE_DEEP;
    if (v->options->depth == SAMP_VALIDATE_HEADERS || (!part->scale && !deep)) return SAMP_OK;
    unsigned char *bytes = samp_alloc(CHUNK + 4, 1);
    if (!bytes) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", tensor->name);
    foreign_faults faults = {0};
    samp_status status = SAMP_OK;
    for (uint64_t at = 0; at < tensor->bytes && status == SAMP_OK; at += CHUNK) {
        uint64_t n = tensor->bytes - at < CHUNK ? tensor->bytes - at : CHUNK;
        status = samp__validate_read(v, tensor, at, bytes, n, error);
        if (status != SAMP_OK) break;
        look_at(scheme, part, tensor->dtype, bytes, n, &faults);
        v->findings->n_bytes += n;
        status = samp__validate_progress(v, n, error);
    }
    samp_free(bytes);
    if (status == SAMP_OK) report(v, part, tensor, &faults);
    return status;
}

/* ---- one weight ------------------------------------------------------------------------------ */

static samp_status check_part(samp_validation *v, const foreign_scheme *scheme,
                              const foreign_part *part, const samp_foreign_group *group,
                              const samp_weight_ref *weight, uint64_t rows, uint64_t cols,
                              samp_error *error)
{
    const samp_tensor_info *tensor = find(v, weight->name, part->suffix);
    if (!tensor) {
        if (part->required && v->shards_complete)
            samp_findings_add(v->findings, SAMP_FINDING_TENSOR_MISSING, "", weight->name,
                              "%s needs its %s, no shard has it", scheme->name, part->suffix + 1);
        return SAMP_OK;
    }
    const char *file = v->shards[tensor->shard].name;
    if (!(part->dtypes & 1u << tensor->dtype)) {
        samp_findings_add(v->findings, SAMP_FINDING_TENSOR_TYPE, file, tensor->name,
                          "it is %s, which %s does not have here", samp_dtype_name(tensor->dtype),
                          scheme->name);
        return SAMP_OK;
    }
    if (!shape_fits(part, group, tensor, rows, cols)) {
        uint64_t shape[2];
        char found[128], expected[128];
        int rank = wanted_shape(part, group, tensor, rows, cols, shape);
        samp_shape_text(found, sizeof found, tensor->rank, tensor->shape);
        samp_shape_text(expected, sizeof expected, rank, shape);
        samp_findings_add(v->findings, SAMP_FINDING_TENSOR_SHAPE, file, tensor->name,
                          "its shape is %s, config.json and %s ask for %s", found, scheme->name,
                          expected);
        return SAMP_OK;
    }
    return read_values(v, scheme, part, tensor, error);
}

/* group_size must divide the columns: engines cut rows into whole groups. */
static void check_group_size(samp_validation *v, const samp_foreign_group *group,
                             const samp_weight_ref *weight, uint64_t cols)
{
    if (!group || group->strategy != SAMP_FOREIGN_GROUP || cols % group->group_size == 0) return;
    samp_findings_add(v->findings, SAMP_FINDING_QUANT_CONFIG, "config.json", weight->name,
                      "group_size %" PRIu64 " does not divide its %" PRIu64 " columns",
                      group->group_size, cols);
}

/* Whether the config and the tensors agree on what bitsandbytes did. */
static void check_bits(samp_validation *v, const foreign_scheme *scheme,
                       const samp_weight_ref *weight)
{
    bool four = scheme->parts[0].shape == SHAPE_NIBBLES;
    bool nested = find(v, weight->name, ".weight.nested_absmax") != NULL;
    if (scheme->method != SAMP_FOREIGN_BITSANDBYTES) return;
    if (four != v->foreign.four_bits)
        samp_findings_add(v->findings, SAMP_FINDING_QUANT_CONFIG, "config.json", weight->name,
                          "config.json says load_in_%dbit, its tensors are of %s",
                          v->foreign.four_bits ? 4 : 8, scheme->name);
    else if (four && nested != v->foreign.double_quant && !v->said_nested) {
        v->said_nested = true; /* once for the whole model */
        samp_findings_add(v->findings, SAMP_FINDING_QUANT_DETAIL, "config.json", weight->name,
                          "bnb_4bit_use_double_quant is %s, its scales are%s quantized",
                          v->foreign.double_quant ? "true" : "false", nested ? "" : " not");
    }
}

samp_status samp__validate_foreign_weight(samp_validation *v, samp_weight_ref *weight,
                                          uint64_t rows, uint64_t cols, bool *done,
                                          samp_error *error)
{
    *done = false;
    size_t n = strlen(weight->name);
    if (n <= 7 || strcmp(weight->name + n - 7, ".weight") != 0) return SAMP_OK; /* a bias */
    const foreign_scheme *scheme = scheme_of(v, weight->name);
    if (!scheme) return SAMP_OK; /* plain floats, or missing */
    check_bits(v, scheme, weight);
    if (scheme->parts[0].shape == SHAPE_NIBBLES) {
        weight->format = same_bytes(v, weight->name, rows * cols);
        if (weight->format) return SAMP_OK;
    }
    *done = true;
    const samp_foreign_group *group = group_of(v, scheme, weight->name, rows, cols);
    check_group_size(v, group, weight, cols);
    for (const foreign_part *part = scheme->parts; part->suffix; part++)
        SAMP_TRY(check_part(v, scheme, part, group, weight, rows, cols, error));
    return SAMP_OK;
}
