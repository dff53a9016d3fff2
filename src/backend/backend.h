/* The seam between the model and whatever computes it: the few operations a Llama-family model needs.
 *
 * Rules that let a GPU stand behind it:
 *   - buffers and weights are opaque; they are never host pointers;
 *   - every operation is enqueued and returns at once; errors of running it come from `sync`;
 *   - `read` copies to the host at the next sync; there is one sync a step;
 *   - a backend is a table of functions. The CPU's is built in; others are shared objects named
 *     samp-backend-NAME.so that export samp_backend_entry (samp_backend_open finds them).
 *
 * Shapes: activations are float [n_tokens][width], rows without gaps. One thread drives a device. */
#ifndef SAMP_BACKEND_BACKEND_H
#define SAMP_BACKEND_BACKEND_H

#include "backend/numerics.h"
#include "base/error.h"
#include "format/format.h"

enum { SAMP_BACKEND_ABI = 3, SAMP_MATMUL_MAX = 3 };

typedef struct samp_device samp_device; /* an open backend: its threads or its GPU, its queue */
typedef struct samp_tensor samp_tensor; /* floats (or bytes) on the device */
typedef struct samp_weight samp_weight; /* a matrix in kernel layout */
typedef struct samp_kv samp_kv;         /* paged key and value store of all layers */

typedef struct samp_device_options {
    unsigned n_threads; /* CPU backends; 0 = samp_threads_available() */
    bool exact;         /* decode every weight to float at load and multiply in float */
} samp_device_options;

/* A weight matrix as read from the artifact (host memory, needed only during the call). */
typedef struct samp_weight_source {
    const char *name; /* for messages */
    const samp_format *format;
    const samp_layout *layout;
    const void *const *parts;
    int activation_bits; /* 8 or 16 */
    bool embed; /* `embed` will read rows of it: the device keeps what an exact decode needs */
} samp_weight_source;

typedef enum samp_kv_type { SAMP_KV_FP16, SAMP_KV_INT8, SAMP_KV_FP32 } samp_kv_type;

typedef struct samp_kv_shape {
    uint32_t n_layers, n_blocks, n_kv_heads, head_dim; /* a block holds SAMP_KV_BLOCK positions */
    samp_kv_type type;
} samp_kv_shape;

/* Tokens of one sequence in a step: rows first … first+count-1 of the step's activations are its positions
 * start … start+count-1. blocks[i] is the KV block of positions 64*i … 64*i+63. */
typedef struct samp_batch_seq {
    uint32_t first, count, start;
    const uint32_t *blocks;
} samp_batch_seq;

typedef struct samp_batch {
    uint32_t n_tokens, n_seqs;
    const int32_t *tokens;      /* [n_tokens] ids, already checked against the vocabulary */
    const samp_batch_seq *seqs; /* [n_seqs], in order of `first`, covering all tokens */
} samp_batch;

/* What a matmul multiplies: rows made from one or two tensors. */
typedef enum samp_input_kind {
    SAMP_INPUT_PLAIN, /* x */
    SAMP_INPUT_NORM,  /* rmsnorm of x by gain (a tensor [width]) */
    SAMP_INPUT_SILU   /* silu(x) * y */
} samp_input_kind;

typedef struct samp_input {
    samp_input_kind kind;
    const samp_tensor *x, *y, *gain;
    float eps;
    float outlier_threshold; /* of formats with outliers (numerics.h); 0 = none */
} samp_input;

typedef struct samp_attention {
    uint32_t layer, n_heads, n_kv_heads, head_dim;
    uint32_t window; /* positions a query sees, its own the last; 0 = all up to its own */
    float scale;     /* 1/sqrt(head_dim) */
    float eps;       /* of the norms by gain */
    /* [max_positions][head_dim/2][2]: cos, sin; NULL = nothing is rotated */
    const samp_tensor *rope;
    /* added to q, k, v first: [n_heads*head_dim], [n_kv_heads*head_dim] twice; or NULL */
    const samp_tensor *bias[3];
    const samp_tensor *gain[2]; /* rmsnorm of each head of q, k, before rope: [head_dim]; or NULL */
    /* [n_tokens][n_heads*head_dim], [n_tokens][n_kv_heads*head_dim] twice; may be overwritten by what
     * attention makes of them */
    samp_tensor *q, *k, *v;
    samp_tensor *out; /* [n_tokens][n_heads*head_dim] */
} samp_attention;

typedef struct samp_backend {
    uint32_t abi; /* SAMP_BACKEND_ABI */
    const char *name;

    samp_status (*open)(samp_device **out, const samp_device_options *options, samp_error *error);
    /* NULL allowed; tensors, weights, kv must be released before */
    void (*close)(samp_device *device);
    /* One line for people: "AMD EPYC, avx2, 2 threads". Lives as long as the device. */
    const char *(*describe)(const samp_device *device);

    samp_status (*tensor_create)(samp_device *device, size_t n_floats, samp_tensor **out,
                                 samp_error *error);
    void (*tensor_release)(samp_device *device, samp_tensor *tensor);
    /* Copies at once from the host (load time, tables). */
    samp_status (*tensor_set)(samp_device *device, samp_tensor *tensor, const float *values,
                              size_t n, samp_error *error);
    samp_status (*weight_create)(samp_device *device, const samp_weight_source *source,
                                 samp_weight **out, samp_error *error);
    void (*weight_release)(samp_device *device, samp_weight *weight);
    /* Bytes the kernels read when they multiply by this weight once. */
    size_t (*weight_bytes)(const samp_weight *weight);
    samp_status (*kv_create)(samp_device *device, const samp_kv_shape *shape, samp_kv **out,
                             samp_error *error);
    void (*kv_release)(samp_device *device, samp_kv *kv);
    size_t (*kv_bytes)(const samp_kv *kv);

    /* ---- enqueued; a step is begin … sync. The batch and what it points to must live until sync. ---- */
    void (*begin)(samp_device *device, const samp_batch *batch);
    /* out [n_tokens][cols] = rows `tokens` of the weights (created with source.embed), of which each goes on where
     * the one before ends, decoded exactly. */
    void (*embed)(samp_device *device, int n_weights, const samp_weight *const weights[],
                  samp_tensor *out);
    /* out[i] [n][rows_i] = input · weight[i]^T (added to out[i] when add); all weights have the same number of columns.
     * n is the step's n_tokens, or n_rows of a gathered input. */
    void (*matmul)(samp_device *device, uint32_t n, const samp_input *input, int n_weights,
                   const samp_weight *const weights[], samp_tensor *const outs[], bool add);
    /* Adds biases, norms and rotates heads of q and k, appends k and v to the cache, attends causally. */
    void (*attention)(samp_device *device, samp_kv *kv, const samp_attention *attention);
    /* out row i = in row rows[i]; rows is host memory that must live until sync. width floats a row. */
    void (*gather)(samp_device *device, const samp_tensor *in, const uint32_t *rows,
                   uint32_t n_rows, uint32_t width, samp_tensor *out);
    /* Copies floats first … first+n-1 of the tensor, as they are at this place in the queue, to host memory,
     * which is written by the end of the next sync. */
    void (*read)(samp_device *device, const samp_tensor *tensor, size_t first, size_t n,
                 float *host);
    /* Runs everything enqueued; the first failure (also of an enqueue that ran out of memory) is returned. */
    samp_status (*sync)(samp_device *device, samp_error *error);
} samp_backend;

/* What a shared object exports: `const samp_backend *samp_backend_entry(void)`. */
typedef const samp_backend *samp_backend_entry_function(void);

/* The built-in CPU backend (backend/cpu/cpu.c). Declared here, defined there. */
const samp_backend *samp_cpu_backend(void);

/* Loads samp-backend-NAME.so from $SAMP_BACKEND_PATH, the program's folder, or its ../lib/samp; checks the ABI.
 * "cpu" is not looked up here: run/session.c uses the built-in one. The object stays loaded. */
samp_status samp_backend_load(const char *name, const samp_backend **out, samp_error *error);

#endif
