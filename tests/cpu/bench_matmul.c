/* Speed of the CPU backend's products, beside the memory bandwidth of the same run (not a test).
 *
 *     bench_matmul [FORMAT [BITS [THREADS]]]        default: nf4 16, 1 and 2 threads
 *
 * Decode (one token) reads copies of a weight, together larger than any cache, one after the
 * other, as a model's layers do: GB/s of packed weights. Prefill (64 tokens): G multiply-adds a
 * second. */
#include "cpu/oracle.h"

#include "base/clock.h"
#include "base/thread.h"

#include <stdio.h>

enum { WORKING_SET = 96 << 20, ROUNDS = 5 };

typedef struct sweep {
    const uint64_t *data;
    size_t n;
    uint64_t sums[256];
} sweep;

static void read_all(void *context, unsigned thread, unsigned n_threads)
{
    sweep *s = context;
    size_t begin, end;
    samp_split(s->n, 512, thread, n_threads, &begin, &end);
    uint64_t sum[8] = {0};
    for (size_t i = begin; i + 8 <= end; i += 8)
        for (size_t j = 0; j < 8; j++) sum[j] += s->data[i + j];
    for (size_t j = 0; j < 8; j++) s->sums[thread] += sum[j];
}

/* The best of some sweeps over a block that no cache holds, GB/s. */
static double bandwidth(unsigned n_threads)
{
    samp_pool *pool;
    if (samp_pool_create(&pool, n_threads, NULL) != SAMP_OK) return 0;
    size_t bytes = (size_t)256 << 20;
    uint64_t *data = samp_alloc(bytes, 1);
    sweep s = {.data = data, .n = bytes / sizeof *data};
    double best = 1e9;
    for (int i = 0; data && i < ROUNDS; i++) {
        double start = samp_clock();
        samp_pool_run(pool, read_all, &s);
        double seconds = samp_clock() - start;
        best = seconds < best ? seconds : best;
    }
    samp_free(data);
    samp_pool_release(pool);
    return (double)bytes / best * 1e-9;
}

/* Best seconds of a step in which the copies are multiplied one after the other. */
static double seconds_of(samp_device *device, samp_weight **copies, size_t n_copies, size_t cols,
                         size_t rows, uint32_t n)
{
    const samp_backend *cpu = samp_cpu_backend();
    float *x = samp_alloc(n * cols, sizeof *x);
    fill(x, n * cols, GAUSS, 3);
    samp_tensor *in = device_tensor(device, x, n * cols),
                *out = device_tensor(device, NULL, n * rows);
    samp_batch batch = {.n_tokens = n};
    samp_input input = {.kind = SAMP_INPUT_PLAIN, .x = in};
    double best = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        cpu->begin(device, &batch);
        for (size_t c = 0; c < n_copies; c++)
            cpu->matmul(device, n, &input, 1, (const samp_weight *const[]){copies[c]},
                        (samp_tensor *const[]){out}, false);
        double start = samp_clock();
        if (cpu->sync(device, NULL) != SAMP_OK) exit(1);
        double seconds = samp_clock() - start;
        best = seconds < best ? seconds : best;
    }
    cpu->tensor_release(device, out);
    cpu->tensor_release(device, in);
    samp_free(x);
    return best;
}

static void bench_shape(samp_device *device, samp_format_id id, int bits, size_t rows, size_t cols,
                        double limit)
{
    const samp_backend *cpu = samp_cpu_backend();
    float *w = samp_alloc(rows * cols, sizeof *w);
    fill(w, rows * cols, GAUSS, 5);
    encoded e = encode(id, rows, cols, w, bits);
    samp_free(w);
    samp_weight *copies[512];
    copies[0] = device_weight(device, &e, false);
    size_t bytes = cpu->weight_bytes(copies[0]), n = WORKING_SET / bytes + 1;
    n = n > 512 ? 512 : n;
    for (size_t i = 1; i < n; i++) copies[i] = device_weight(device, &e, false);
    double one = seconds_of(device, copies, n, cols, rows, 1) / (double)n;
    double few = seconds_of(device, copies, n, cols, rows, 4) / (double)n;
    size_t once = n < 4 ? n : 4;
    double many = seconds_of(device, copies, once, cols, rows, 64) / (double)once;
    double macs = (double)rows * (double)cols;
    printf("%6zu x %-5zu %5.2f bits: 1 token %7.2f us %6.2f GB/s (%3.0f%%) %6.2f GMAC/s, 4 tokens "
           "%6.2f, 64 tokens %6.2f GMAC/s\n",
           rows, cols, 8.0 * (double)bytes / macs, one * 1e6, (double)bytes / one * 1e-9,
           100 * (double)bytes / one * 1e-9 / limit, macs / one * 1e-9, 4 * macs / few * 1e-9,
           64 * macs / many * 1e-9);
    for (size_t i = 0; i < n; i++) cpu->weight_release(device, copies[i]);
    encoded_release(&e);
}

int main(int argc, char **argv)
{
    static const size_t shapes[][2] = {
        {576, 576}, {1536, 576}, {576, 1536}, {49152, 576}, {4096, 4096}};
    const samp_format *format = samp_format_find(argc > 1 ? argv[1] : "nf4");
    int bits = argc > 2 ? atoi(argv[2]) : 16;
    if (!format || (bits != 8 && bits != 16)) return 2;
    unsigned first = argc > 3 ? (unsigned)atoi(argv[3]) : 1, last = argc > 3 ? first : 2;
    samp_cpu_level level;
    if (samp_cpu_choose(&level, NULL) != SAMP_OK) return 2;
    for (unsigned n_threads = first; n_threads <= last; n_threads++) {
        samp_device *device = device_open(level, n_threads, false);
        double limit = bandwidth(n_threads);
        printf("%s; %s, %d-bit activations; reads %.2f GB/s\n",
               samp_cpu_backend()->describe(device), format->name, bits, limit);
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            bench_shape(device, format->id, bits, shapes[i][0], shapes[i][1], limit);
        samp_cpu_backend()->close(device);
    }
    return 0;
}
