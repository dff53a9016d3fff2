/* How fast attention is on this machine, printed, not asserted: SmolLM2-135M's shape (30 layers, 9 heads,
 * 3 kv heads of 64), one thread, its own CPU time (so that a busy machine does not spoil it), beside the
 * float multiply-add peak of the same core. What is asserted: all outputs are finite. */
#include "support/cmocka_all.h"

#include "backend/cpu/attention.h"
#include "base/memory.h"

#include <stdio.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    N_LAYERS = 30,
    N_HEADS = 9,
    N_KV_HEADS = 3,
    DIM = 64,
    CONTEXT = 2048,
    PREFILL = 512,
    N_BLOCKS = 32
};

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Billions of float multiply-adds a second, with as many independent chains as latencies need. */
#define PEAK(name, features, vector, lanes, set1, fma)                                             \
    __attribute__((target(features))) static double name(void)                                     \
    {                                                                                              \
        vector sum[12], x = set1(0.999f), y = set1(0.001f);                                        \
        for (int i = 0; i < 12; i++) sum[i] = set1((float)i);                                      \
        double best = 0;                                                                           \
        for (int round = 0; round < 10; round++) {                                                 \
            double start = cpu_seconds();                                                          \
            for (int k = 0; k < 200000; k++)                                                       \
                for (int i = 0; i < 12; i++) sum[i] = fma(sum[i], x, y);                           \
            double rate = 12 * 200000.0 * lanes / (cpu_seconds() - start) / 1e9;                   \
            best = rate > best ? rate : best;                                                      \
        }                                                                                          \
        float total = 0;                                                                           \
        for (int i = 0; i < 12; i++) total += ((const float *)&sum[i])[0];                         \
        assert_true(isfinite(total));                                                              \
        return best;                                                                               \
    }

#if defined(__x86_64__)
PEAK(peak_avx2, "avx2,fma", __m256, 8, _mm256_set1_ps, _mm256_fmadd_ps)
PEAK(peak_avx512, "avx512f", __m512, 16, _mm512_set1_ps, _mm512_fmadd_ps)
#endif

static double peak(samp_cpu_level level)
{
#if defined(__x86_64__)
    if (level >= SAMP_CPU_AVX512) return peak_avx512();
    if (level >= SAMP_CPU_AVX2) return peak_avx2();
#endif
    (void)level;
    return 0;
}

static float *floats(size_t n, unsigned step)
{
    float *p = samp_alloc(n, sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) p[i] = (float)(i * step % 2003) / 1000 - 1;
    return p;
}

/* Best of a few runs over n_layers layers, seconds a layer. */
static double layer_seconds(samp__attention_job *job, uint32_t n_layers, int rounds)
{
    double best = 1e9;
    for (int round = 0; round < rounds; round++) {
        double start = cpu_seconds();
        for (job->layer = 0; job->layer < n_layers; job->layer++) samp__attention_fused(job, 0, 1);
        double seconds = (cpu_seconds() - start) / n_layers;
        best = seconds < best ? seconds : best;
    }
    return best;
}

static void report(const char *what, uint32_t context, double keys, double seconds, double bytes,
                   double top)
{
    double rate = 2 * keys * DIM * N_HEADS / seconds / 1e9;
    printf("  %s at %4u: %8.3f ms for %d layers, %5.2f GB/s of keys and values, %4.1f G "
           "multiply-adds/s",
           what, context, seconds * N_LAYERS * 1e3, N_LAYERS, bytes / seconds / 1e9, rate);
    printf(top > 0 ? " (%.0f %% of peak)\n" : "\n", 100 * rate / top);
}

static void measure(samp_cpu_level level, samp_kv_type type)
{
    samp_error error;
    samp_kv *kv;
    samp__attention_scratch *scratch;
    samp_kv_shape shape = {N_LAYERS, N_BLOCKS, N_KV_HEADS, DIM, type};
    assert_int_equal(samp__kv_create(&shape, &kv, &error), SAMP_OK);
    assert_int_equal(samp__attention_scratch_create(1, level, &scratch, &error), SAMP_OK);
    memset(kv->cells, 0x2c, kv->bytes); /* small finite values in each type */
    float *q = floats(PREFILL * N_HEADS * DIM, 7), *out = floats(PREFILL * N_HEADS * DIM, 1);
    float *k = floats(PREFILL * N_KV_HEADS * DIM, 13), *v = floats(PREFILL * N_KV_HEADS * DIM, 29);
    float *rope = floats(CONTEXT * DIM, 3);
    uint32_t blocks[N_BLOCKS];
    for (uint32_t i = 0; i < N_BLOCKS; i++) blocks[i] = i * 7 % N_BLOCKS;
    samp_batch_seq seq = {0, 1, 0, blocks};
    samp_batch batch = {.n_tokens = 1, .n_seqs = 1, .seqs = &seq};
    samp__attention_job job = {.kv = kv,
                               .batch = &batch,
                               .n_heads = N_HEADS,
                               .n_kv_heads = N_KV_HEADS,
                               .head_dim = DIM,
                               .scale = 0.125f,
                               .rope = rope,
                               .q = q,
                               .k = k,
                               .v = v,
                               .out = out,
                               .scratch = scratch};
    double top = peak(level), size = type == SAMP_KV_INT8 ? 1 : 2;
    printf("%s, %s keys and values, peak %.1f G multiply-adds/s\n", samp_cpu_name(level),
           type == SAMP_KV_INT8 ? "int8" : "fp16", top);
    for (uint32_t context = 512; context <= CONTEXT; context *= 4) {
        seq.start = context - 1;
        double seconds = layer_seconds(&job, N_LAYERS, 5);
        report("decode ", context, context, seconds, 2.0 * context * N_KV_HEADS * DIM * size, top);
    }
    seq = (samp_batch_seq){0, PREFILL, 0, blocks};
    batch.n_tokens = PREFILL;
    double keys = PREFILL * (PREFILL + 1) / 2.0, seconds = layer_seconds(&job, 2, 2);
    report("prefill", PREFILL, keys, seconds, 2.0 * PREFILL * N_KV_HEADS * DIM * size, top);
    for (size_t i = 0; i < (size_t)PREFILL * N_HEADS * DIM; i++) assert_true(isfinite(out[i]));
    float *all[] = {q, k, v, out, rope};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) samp_free(all[i]);
    samp__attention_scratch_release(scratch);
    samp__kv_release(kv);
}

static void test_speed(void **state)
{
    (void)state;
    samp_cpu_level level;
    samp_error error;
    assert_int_equal(samp_cpu_choose(&level, &error), SAMP_OK);
    measure(level, SAMP_KV_FP16);
    measure(level, SAMP_KV_INT8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_speed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
