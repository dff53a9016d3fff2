/* The reference backend's own types, shared by its three files:
 *   reference.c   the device, its queue, and the table of functions that is exported
 *   store.c       tensors, weights and the KV store: what lives longer than a step
 *   operations.c  what each queued operation computes */
#ifndef SAMP_BACKEND_REFERENCE_REFERENCE_H
#define SAMP_BACKEND_REFERENCE_REFERENCE_H

#include "backend/backend.h"

struct samp_tensor {
    size_t n;
    float *values;
};

/* The integer form when products are in integers; floats when they are not or `embed` needs them. */
struct samp_weight {
    samp_layout layout;
    int group;        /* columns a scale of the integer form; 0 = multiply in float */
    bool exact;       /* multiply by the decoded values themselves */
    int n_max;        /* input integers are -n_max … n_max */
    bool outliers;    /* as numerics.h says of them */
    int8_t *t;        /* [rows][cols_padded] */
    float *scale;     /* [rows][cols_padded / group] */
    float *floats;    /* [rows][cols], exact values; with row_scale those of samp_row_form */
    float *row_scale; /* [rows]; NULL: none */
};

/* Rows of head_dim elements, [layer][block][position in block][kv head]; index 0 keys, 1 values. */
struct samp_kv {
    samp_kv_shape shape;
    float *full[2];    /* SAMP_KV_FP32 */
    uint16_t *half[2]; /* SAMP_KV_FP16 */
    int8_t *code[2];   /* SAMP_KV_INT8, with a scale a row */
    float *scale[2];
};

typedef enum samp__op_kind {
    SAMP__EMBED,
    SAMP__MATMUL,
    SAMP__ATTENTION,
    SAMP__GATHER,
    SAMP__READ
} samp__op_kind;

/* One queued operation: its arguments, copied. Not every kind uses every field. */
typedef struct samp__op {
    samp__op_kind kind;
    const samp_batch *batch;
    uint32_t n, width; /* rows; floats of a row (gather) */
    samp_input input;  /* matmul */
    int n_weights;
    bool add;
    const samp_weight *weights[SAMP_MATMUL_MAX];
    samp_tensor *outs[SAMP_MATMUL_MAX];
    samp_kv *kv;
    samp_attention attention;
    const samp_tensor *in;  /* gather, read */
    const uint32_t *rows;   /* gather */
    size_t first, n_floats; /* read */
    float *host;
} samp__op;

struct samp_device {
    bool exact;
    const samp_batch *batch; /* of the step being enqueued */
    samp__op *queue;
    size_t n_queued, queue_capacity;
    samp_status failed; /* first failure since the last sync */
    samp_error error;
    float *row; /* scratch: one input row, its integers and their scales */
    int16_t *row_q;
    float *row_scale;
    size_t row_capacity;
};

/* operations.c */
samp_status samp__reference_run(samp_device *device, const samp__op *op, samp_error *error);

/* store.c; contracts in backend.h */
samp_status samp__reference_tensor_create(samp_device *device, size_t n_floats, samp_tensor **out,
                                          samp_error *error);
void samp__reference_tensor_release(samp_device *device, samp_tensor *tensor);
samp_status samp__reference_tensor_set(samp_device *device, samp_tensor *tensor,
                                       const float *values, size_t n, samp_error *error);
samp_status samp__reference_weight_create(samp_device *device, const samp_weight_source *source,
                                          samp_weight **out, samp_error *error);
void samp__reference_weight_release(samp_device *device, samp_weight *weight);
size_t samp__reference_weight_bytes(const samp_weight *weight);
samp_status samp__reference_kv_create(samp_device *device, const samp_kv_shape *shape,
                                      samp_kv **out, samp_error *error);
void samp__reference_kv_release(samp_device *device, samp_kv *kv);
size_t samp__reference_kv_bytes(const samp_kv *kv);

/* Index of a row of the KV store. */
size_t samp__reference_kv_row(const samp_kv *kv, uint32_t layer, uint32_t block, uint32_t in_block,
                              uint32_t head);

#endif
