/* What is enqueued between begin and sync, and the open device that runs it.
 *
 * Recording copies the few words of an operation; sync lets all threads walk the list together,
 * each doing its share, with a barrier where an operation needs what the one before it wrote. The
 * list and the scratch memory grow to the largest step seen and stay: a decode step allocates
 * nothing. */
#ifndef SAMP_CPU_QUEUE_H
#define SAMP_CPU_QUEUE_H

#include "backend/cpu/attention.h"
#include "backend/cpu/matmul.h"

struct samp_tensor {
    samp__huge memory;
    float *data;
    size_t n_floats;
};

/* One call of backend.h's matmul. */
typedef struct samp__matmul {
    uint32_t n;
    samp_input_kind input;
    const float *x, *y, *gain;
    float eps, outlier_threshold;
    int n_weights;
    const samp_weight *weights[SAMP_MATMUL_MAX];
    float *outs[SAMP_MATMUL_MAX];
    bool add;
} samp__matmul;

typedef enum samp__op_kind {
    SAMP__OP_EMBED,
    SAMP__OP_MATMUL,
    SAMP__OP_ATTENTION,
    SAMP__OP_GATHER,
    SAMP__OP_READ
} samp__op_kind;

typedef struct samp__op {
    samp__op_kind kind;
    union {
        struct {
            const samp_weight *weights[SAMP_MATMUL_MAX];
            float *out;
        } embed;
        samp__matmul matmul;
        samp__attention_job attention;
        struct {
            const float *in;
            const uint32_t *rows;
            uint32_t n_rows, width;
            float *out;
        } gather;
        struct {
            const float *from;
            size_t n;
            float *host;
        } read;
    };
} samp__op;

struct samp_device {
    samp_pool *pool;
    const samp__matmul_level *matmul;
    const samp__vector *vector;
    samp__attention_scratch *attention;
    bool exact;
    const samp_batch *batch; /* of the step being recorded */
    samp__op *ops;
    size_t n_ops, op_capacity;
    samp__huge scratch; /* prepared inputs of one matmul */
    samp_error failure; /* of an enqueue; reported by sync */
    char description[160];
};

/* Recording, as the backend's functions of these names. */
void samp__queue_begin(samp_device *device, const samp_batch *batch);
void samp__queue_embed(samp_device *device, int n_weights, const samp_weight *const weights[],
                       samp_tensor *out);
void samp__queue_matmul(samp_device *device, uint32_t n, const samp_input *input, int n_weights,
                        const samp_weight *const weights[], samp_tensor *const outs[], bool add);
void samp__queue_attention(samp_device *device, samp_kv *kv, const samp_attention *attention);
void samp__queue_gather(samp_device *device, const samp_tensor *in, const uint32_t *rows,
                        uint32_t n_rows, uint32_t width, samp_tensor *out);
void samp__queue_read(samp_device *device, const samp_tensor *tensor, size_t first, size_t n,
                      float *host);
samp_status samp__queue_sync(samp_device *device, samp_error *error);

/* Scratch bytes a matmul needs; false when the size overflows. */
bool samp__matmul_scratch(const samp_device *device, const samp__matmul *matmul, size_t *bytes);
/* One thread's share of a matmul; all threads of the pool call it (it may meet at a barrier). */
void samp__matmul_run(const samp_device *device, const samp__matmul *matmul, unsigned thread,
                      unsigned n_threads);

#endif
