/* THE table of number formats. Everything that must know a format asks this table: the quantizer,
 * the validator, the planner, the loader, the backends. A new format is one row of
 * SAMP_FORMAT_LIST, one file here with its plain scalar definition, and one kernel per backend;
 * nothing else names formats.
 *
 * A weight matrix is [rows][cols] = [out_features][in_features], row-major. In an artifact it is
 * one to SAMP_PARTS_MAX tensors, its *parts*: part 0 holds the codes of all weights and can be
 * written and read panel by panel (a panel = some whole rows, a multiple of SAMP_PANEL_ROWS, but
 * for the last); the other parts (scales) are small and are held whole.
 *
 * Names of parts for a tensor NAME ("model.layers.0.mlp.down_proj.weight"): NAME + suffix, except
 * that a suffix that starts with '!' replaces the ending ".weight" ("!.SCB" -> "….down_proj.SCB").
 */
#ifndef SAMP_FORMAT_FORMAT_H
#define SAMP_FORMAT_FORMAT_H

#include "base/error.h"
#include "format/dtype.h"

/* id, name, file-local table symbol */
#define SAMP_FORMAT_LIST(X)                                                                        \
    X(FP32, "fp32", samp__fp32)                                                                    \
    X(BF16, "bf16", samp__bf16)                                                                    \
    X(FP16, "fp16", samp__fp16)                                                                    \
    X(FP8, "fp8_e4m3", samp__fp8)                                                                  \
    X(FP8_G64, "fp8_e4m3_g64", samp__fp8_g64)                                                      \
    X(INT8, "int8", samp__int8)                                                                    \
    X(LLM_INT8, "llm_int8", samp__llm_int8)                                                        \
    X(INT6, "int6", samp__int6)                                                                    \
    X(INT5, "int5", samp__int5)                                                                    \
    X(NF6A, "nf6a", samp__nf6a)                                                                    \
    X(NF5A, "nf5a", samp__nf5a)                                                                    \
    X(NF4, "nf4", samp__nf4)                                                                       \
    X(NF4_PLAIN, "nf4_plain", samp__nf4_plain)                                                     \
    X(NF4A, "nf4a", samp__nf4a)                                                                    \
    X(NF4A_G32, "nf4a_g32", samp__nf4a_g32)

typedef enum samp_format_id {
#define X(id, name, table) SAMP_FORMAT_##id,
    SAMP_FORMAT_LIST(X)
#undef X
        SAMP_FORMAT_COUNT
} samp_format_id;

enum {
    SAMP_PARTS_MAX = 6,
    SAMP_PANEL_ROWS =
        64, /* panels start at multiples of this; 64 rows of any width are whole NF4 blocks */
    SAMP_GROUP_ROW = -1 /* samp_format.group: one scale a row */
};

/* One tensor of the artifact that stores part of a weight. */
typedef struct samp_part {
    const char *suffix; /* see above; "" for part 0 */
    samp_dtype dtype;
    int rank; /* 0: one number */
    uint64_t shape[2];
    uint64_t bytes;
} samp_part;

typedef struct samp_layout {
    uint64_t rows, cols;
    int n_parts;
    samp_part parts[SAMP_PARTS_MAX];
    uint64_t bytes;       /* sum over parts: what the file spends on data (headers excluded) */
    uint64_t work_floats; /* floats of work[] that encode and finish need for the whole tensor */
} samp_layout;

/* What multiplies the format without expanding it first; bits of samp_format.native. */
enum {
    SAMP_NATIVE_CPU_INT8 = 1,
    SAMP_NATIVE_TENSOR_INT8 = 2,
    SAMP_NATIVE_TENSOR_FP8 = 4,
    SAMP_NATIVE_TENSOR_F16 = 8
};

/* Options of an encode; zeroed = plain absmax rounding. */
typedef struct samp_encode_options {
    /* [cols] second moment of each input channel, NULL = all 1: weighs the error in the scale
     * search. */
    const float *input_moment;
    /* Search the scale (17 factors, both signs where the stored scale has a sign, then least
     * squares) instead of taking absmax. */
    bool search;
    /* Error feedback (format/feedback.h) after the search, NULL = none; formats without group
     * scales ignore it, and a call then takes SAMP_PANEL_ROWS rows at most.
     * room [samp_feedback_room(cols)] is the calling thread's; *error, NULL = not
     * wanted, gains the panel's squared error of outputs. */
    const struct samp_feedback *feedback;
    bool sweep; /* then sweeps of coordinate descent, which need feedback->d */
    float *room;
    double *error;
} samp_encode_options;

typedef struct samp_format {
    samp_format_id id;
    const char *name;
    const char *summary; /* half a line for `samp inspect` and --help */
    double code_bits;    /* bits of one weight, scales excluded */
    int group;           /* weights along a row that share a scale; 0 none; SAMP_GROUP_ROW */
    unsigned native;     /* SAMP_NATIVE_… */
    bool feedback;       /* encode can feed errors back (samp_encode_options) */
    /* 8-bit inputs share a scale a token; large ones multiply as they are (backend/numerics.h) */
    bool outliers;

    /* Parts, shapes and bytes for a matrix. Errors: SAMP_LIMIT when a size overflows. */
    samp_status (*layout)(uint64_t rows, uint64_t cols, samp_layout *out, samp_error *error);

    /* Encodes rows row0 … row0+n_rows-1 given in w [n_rows][cols]. parts[0] points to this panel's
     * codes; parts[1…] to the whole parts, of which the rows' share is written. work [work_floats],
     * zeroed before the first panel, belongs to the whole tensor. Values must be finite (the caller
     * checks). */
    void (*encode)(const samp_layout *layout, const float *w, uint64_t row0, uint64_t n_rows,
                   const samp_encode_options *options, void *const parts[], float *work);

    /* encode by plain rounding, from rows of type F32, F16 or BF16 as files have them, which need not be
     * finite: one pass widens them, finds the largest magnitude and returns it as a float's bits
     * (samp_magnitude_bits). What it wrote is of no use when that is not finite. NULL: widen, look,
     * encode. */
    uint32_t (*encode_stored)(const samp_layout *layout, samp_dtype dtype, const void *w,
                              uint64_t row0, uint64_t n_rows, void *const parts[], float *work);

    /* After the last panel: completes parts[1…] from work (NF4: double quantization of the scales).
     * NULL when there is nothing to do. */
    samp_status (*finish)(const samp_layout *layout, void *const parts[], float *work,
                          samp_error *error);

    /* Exact decode of the same rows to out [n_rows][cols]; parts as for encode. Decoding (and the integer
     * form) may start at any row, but for NF4 with cols % 64 != 0. */
    void (*decode)(const samp_layout *layout, const void *const parts[], uint64_t row0,
                   uint64_t n_rows, float *out);

    /* Header and metadata check of scale parts for the validator and loader: finite, allowed sign,
     * code tables as they must be. parts[0] may be NULL. NULL when there is nothing to check. */
    samp_status (*check)(const samp_layout *layout, const void *const parts[], const char *name,
                         samp_error *error);
} samp_format;

const samp_format *samp_format_get(samp_format_id id);
/* By name ("nf4"); NULL when unknown. */
const samp_format *samp_format_find(const char *name);
/* "fp32, bf16, fp16, …" for messages. */
const char *samp_format_names(void);
/* Bits a weight of this shape costs, scales included. */
double samp_format_bits(const samp_format *format, uint64_t rows, uint64_t cols);

/* Writes the name of a part of tensor `name` to out (n bytes); SAMP_LIMIT when it does not fit. */
samp_status samp_part_name(char *out, size_t n, const char *name, const samp_part *part,
                           samp_error *error);

/* ---- What kernels need to know of formats whose products are integers ----
 *
 * A format with integer products gives, for every row and group of `group` columns, a weight
 * value = scale * t, where t is an integer in -128 … 127. samp_integer_form expands rows into these.
 * It is the definition kernels must equal; the default path of every backend multiplies these integers.
 *   nf4               t = round(124.1 * code value), scale = absmax / 124.1f (exact mode: the real table)
 *   nf4a, nf5a, nf6a  t = the table's value
 *   int8, int6, int5, llm_int8  t = the integer itself
 *   fp8_e4m3_g64      each group is requantized: scale = max|w|/127, t = rint(w/scale)
 * group is 64 (32 for nf4a_g32); a last short group is padded with t = 0. */
typedef struct samp_integer_rows {
    int8_t *t;    /* [n_rows][cols_padded], cols_padded = cols rounded up to a multiple of 64 */
    float *scale; /* [n_rows][cols_padded / group] */
} samp_integer_rows;

/* Group size of the integer form, 0 when the format has none (fp32, bf16, fp16, fp8_e4m3; NF4 when cols % 64
 * != 0, because its flat blocks then cross rows): such weights multiply in float. */
int samp_integer_group(const samp_layout *layout, samp_format_id id);
void samp_integer_form(samp_format_id id, const samp_layout *layout, const void *const parts[],
                       uint64_t row0, uint64_t n_rows, samp_integer_rows *out);
/* fp8_e4m3 multiplies as floats whose row scale is applied to the finished sum, so that kernels can widen its bytes by
 * shifts: w [n_rows][cols] = the stored value * 2^-8 (its bits as an FP16), scale [n_rows] = the stored scale * 2^8, both
 * exact; y = scale * sum w*x. false, and nothing written, for formats without this form. w or scale may be NULL. */
bool samp_row_form(samp_format_id id, const samp_layout *layout, const void *const parts[],
                   uint64_t row0, uint64_t n_rows, float *w, float *scale);
/* For codebook formats: the integers t by code, *n of them (16, 32 or 64; n may be NULL). For other
 * formats NULL and 0. Of 32 and 64, t of the second half's codes is ~t of the first half's. */
const int8_t *samp_integer_codebook(samp_format_id id, int *n);

#endif
