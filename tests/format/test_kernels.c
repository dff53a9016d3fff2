/* Every SIMD table of inner loops against the scalar one, byte for byte, on random and adversarial
 * input and at every length and offset; conversions over every bit pattern; and how fast the
 * encoders are (printed). */
#include "encoded.h"

#include "base/half.h"
#include "format/convert.h"
#include "format/kernels.h"
#include "format/nf4.h"
#include "format/nf4_block.h"

#include <float.h>
#include <time.h>

enum { N = 4096 };

/* Finite floats: normals, values around each midpoint of a 16-entry table and each half, extremes.
 */
static void fill(float *x, const samp__codebook *book, samp_prng *prng)
{
    static const float special[] = {0,       -0.0f,    FLT_MIN,  -FLT_MIN,   0x1p-149f, 1,
                                    -1,      FLT_MAX,  -FLT_MAX, 448,        464,       0x1p-6f,
                                    0x1p-9f, 0x1p-10f, 65504,    65520,      65519.99f, 0x1p-24f,
                                    1e10f,   -1e10f,   126.5f,   127.49999f, -128.5f};
    for (int i = 0; i < N; i++) {
        uint64_t r = samp_prng_next(prng);
        float m = book->midpoint[r >> 8 & 15 ? (r >> 8 & 15) - 1 : 0];
        switch (r & 7) {
        case 0: x[i] = special[(r >> 16) % (sizeof special / sizeof *special)]; break;
        case 1: x[i] = m; break;
        case 2: x[i] = nextafterf(m, 1e9f); break;
        case 3: x[i] = nextafterf(m, -1e9f); break;
        case 4: x[i] = (float)((int)(r >> 16 & 511) - 256) * 0.5f; break;
        case 5: { /* any finite float */
            uint32_t bits = (uint32_t)(r >> 32);
            x[i] = (bits & 0x7f800000) == 0x7f800000 ? 3 : samp_bits_float(bits);
            break;
        }
        case 6: /* within two grid positions of a midpoint */
            x[i] = m + (float)(4 * samp_prng_uniform(prng) - 2) / book->grid;
            break;
        default: x[i] = (float)samp_prng_normal(prng) * (r >> 20 & 1 ? 1 : 40); break;
        }
    }
}

static const float nf4a_midpoint[15] = {-84,   -64, -50, -38, -27, -17, -7, 2.5f,
                                        11.5f, 21,  31,  42,  54,  70,  92};
static const float nf4a_value[16] = {-96, -72, -56, -44, -32, -22, -12, -2,
                                     7,   16,  26,  36,  48,  60,  80,  104};

/* A factor that keeps x, or one that moves values off the midpoints, out of range or together. */
static float factor_of(size_t n)
{
    static const float factors[] = {1, 1, 0.731f, -1, 3e20f, 1e-30f};
    return factors[n % (sizeof factors / sizeof *factors)];
}

static void compare_lengths(const samp__kernels *simd, const float *x, const samp__codebook *book,
                            const float value[16], const samp__lut *lut)
{
    const samp__kernels *scalar = &samp__kernels_scalar;
    static uint8_t a[4 * N], b[4 * N];
    float *fa = (float *)a, *fb = (float *)b;
    for (size_t n = 0; n <= 131; n++) {
        size_t at = n * 29 % 1000;
        const float *w = x + at;
        float ma = scalar->extreme(w, n), mb = simd->extreme(w, n);
        assert_memory_equal(&ma, &mb, sizeof ma);
        memset(a, 1, sizeof a), memset(b, 1, sizeof b);
        for (size_t group = 1; group <= 160; group += group < 5 ? 1 : 31) {
            scalar->magnitudes(w, n, group, (uint32_t *)a);
            simd->magnitudes(w, n, group, (uint32_t *)b);
            assert_memory_equal(a, b, (n + group - 1) / group * 4 + 8);
        }
        for (size_t group = 32; group <= 160; group += 32) { /* the last has all */
            const float inv[] = {factor_of(n), 1, factor_of(n + 1), -0.9f, 2};
            scalar->codebook_pack(w, n, group, inv, book, 7, a);
            simd->codebook_pack(w, n, group, inv, book, 7, b);
            assert_memory_equal(a, b, n + 8);
        }
        scalar->round_integers(w, n, 0.5f, -127, 127, (int8_t *)a);
        simd->round_integers(w, n, 0.5f, -127, 127, (int8_t *)b);
        assert_memory_equal(a, b, n + 8);
        scalar->round_integers(w, n, 1, -16, 15, (int8_t *)a);
        simd->round_integers(w, n, 1, -16, 15, (int8_t *)b);
        assert_memory_equal(a, b, n + 8);
        scalar->round_to_levels(lut, w, n, 0.5f, (int8_t *)a);
        simd->round_to_levels(lut, w, n, 0.5f, (int8_t *)b);
        assert_memory_equal(a, b, n + 8);
        scalar->float_to_e4m3(w, n, 1, a), simd->float_to_e4m3(w, n, 1, b);
        assert_memory_equal(a, b, n + 8);
        scalar->float_to_bf16(w, n, a), simd->float_to_bf16(w, n, b);
        assert_memory_equal(a, b, 2 * n + 8);
        scalar->float_to_fp16(w, n, a), simd->float_to_fp16(w, n, b);
        assert_memory_equal(a, b, 2 * n + 8);
        const uint8_t *bytes = (const uint8_t *)x + at + 1; /* odd addresses */
        scalar->codebook_unpack(bytes, n, -0.37f, value, fa);
        simd->codebook_unpack(bytes, n, -0.37f, value, fb);
        assert_memory_equal(a, b, 4 * n + 8);
        scalar->scale_integers((const int8_t *)bytes, n, 1.7f, fa);
        simd->scale_integers((const int8_t *)bytes, n, 1.7f, fb);
        assert_memory_equal(a, b, 4 * n + 8);
        scalar->e4m3_to_float(bytes, n, 0.3f, fa), simd->e4m3_to_float(bytes, n, 0.3f, fb);
        assert_memory_equal(a, b, 4 * n + 8);
        scalar->bf16_to_float(bytes, n, fa), simd->bf16_to_float(bytes, n, fb);
        assert_memory_equal(a, b, 4 * n + 8);
        scalar->fp16_to_float(bytes, n, fa), simd->fp16_to_float(bytes, n, fb);
        assert_memory_equal(a, b, 4 * n + 8);
    }
}

static void compare_fits(const samp__kernels *simd, const float *x, samp_prng *prng,
                         const samp__levels *levels)
{
    float h[64];
    for (int i = 0; i < 64; i++) h[i] = i % 9 ? (float)samp_prng_uniform(prng) : 0;
    for (int at = 0; at + 64 <= N; at += 16) {
        float scale = (float)samp_prng_normal(prng);
        size_t n = 16 * (1 + (size_t)at / 16 % 4);
        samp__fit a = samp__kernels_scalar.fit(levels, x + at, h, n, scale);
        samp__fit b = simd->fit(levels, x + at, h, n, scale);
        assert_memory_equal(&a, &b, sizeof a);
    }
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void fill_lut(samp__lut *lut, samp_format_id id)
{
    int n;
    float level[64];
    const int8_t *codebook = samp_integer_codebook(id, &n);
    for (int c = 0; c < n; c++) level[c] = codebook[c];
    qsort(level, (size_t)n, sizeof *level, ascending);
    samp__lut_fill(lut, level, n);
}

static void test_levels(void **unused)
{
    (void)unused;
    samp__codebook nf4, nf4a;
    samp__nf4_codebook(&nf4);
    samp__codebook_init(&nf4a, nf4a_midpoint);
    samp__lut lut;
    fill_lut(&lut, SAMP_FORMAT_NF6A);
    const samp__levels levels[] = {{.value = samp_nf4_code, .midpoint = nf4.midpoint},
                                   {.value = nf4a_value, .midpoint = nf4a_midpoint},
                                   {.lut = &lut},
                                   {.low = -127, .high = 127},
                                   {.low = -16, .high = 15}};
    float *x = malloc(N * sizeof *x);
    for (int level = SAMP_CPU_SCALAR + 1; level <= (int)samp_cpu_host(); level++) {
        const samp__kernels *simd = samp__kernels_at((samp_cpu_level)level);
        if (simd == samp__kernels_at((samp_cpu_level)(level - 1))) continue;
        printf("comparing %s with scalar\n", samp_cpu_name((samp_cpu_level)level));
        for (uint64_t seed = 1; seed <= 20; seed++) {
            samp_prng prng = {seed};
            fill(x, &nf4, &prng);
            compare_lengths(simd, x, &nf4, samp_nf4_code, &lut);
            fill(x, &nf4a, &prng);
            compare_lengths(simd, x, &nf4a, nf4a_value, &lut);
            for (int i = 0; i < N; i++) x[i] = (float)samp_prng_normal(&prng);
            for (size_t k = 0; k < sizeof levels / sizeof *levels; k++)
                compare_fits(simd, x, &prng, &levels[k]);
        }
    }
    free(x);
}

/* All 65,536 patterns of the 16-bit types and all 256 of FP8, NaNs too; and back. */
static void test_patterns(void **unused)
{
    (void)unused;
    enum { ALL = 65536 };
    uint16_t *in = malloc(ALL * 2), *a16 = malloc(ALL * 2), *b16 = malloc(ALL * 2);
    float *a = malloc(ALL * 4), *b = malloc(ALL * 4);
    for (int i = 0; i < ALL; i++) in[i] = (uint16_t)i;
    const samp__kernels *scalar = &samp__kernels_scalar;
    for (int level = SAMP_CPU_SCALAR + 1; level <= (int)samp_cpu_host(); level++) {
        const samp__kernels *simd = samp__kernels_at((samp_cpu_level)level);
        scalar->fp16_to_float(in, ALL, a), simd->fp16_to_float(in, ALL, b);
        assert_memory_equal(a, b, ALL * 4);
        scalar->float_to_fp16(a, ALL, a16), simd->float_to_fp16(b, ALL, b16);
        assert_memory_equal(a16, b16, ALL * 2);
        scalar->bf16_to_float(in, ALL, a), simd->bf16_to_float(in, ALL, b);
        assert_memory_equal(a, b, ALL * 4);
        scalar->float_to_bf16(a, ALL, a16), simd->float_to_bf16(b, ALL, b16);
        assert_memory_equal(a16, b16, ALL * 2);
        scalar->magnitudes(a, ALL, 99, (uint32_t *)a16),
            simd->magnitudes(b, ALL, 99, (uint32_t *)b16);
        assert_memory_equal(a16, b16, (ALL / 99 + 1) * 4);
        scalar->float_to_fp16(a, ALL, a16), simd->float_to_fp16(b, ALL, b16);
        assert_memory_equal(a16, b16, ALL * 2);
        for (int i = 0; i < ALL; i++) a[i] = samp_bits_float((uint32_t)i << 16 | 0x8000);
        scalar->float_to_bf16(a, ALL, a16), simd->float_to_bf16(a, ALL, b16);
        assert_memory_equal(a16, b16, ALL * 2);
        scalar->e4m3_to_float((uint8_t *)in, ALL, 0.25f, a);
        simd->e4m3_to_float((uint8_t *)in, ALL, 0.25f, b);
        assert_memory_equal(a, b, ALL * 4);
    }
    free(in), free(a16), free(b16), free(a), free(b);
}

/* SAMP_CPU forces a level; formats encode to the same bytes at each. */
static void test_forced(void **unused)
{
    (void)unused;
    enum { ROWS = 9, COLS = 172 };
    float *w = gaussian_matrix(ROWS, COLS, 0.02, 23);
    samp_encode_options options = {.search = true};
    for (int f = 0; f < SAMP_FORMAT_COUNT; f++) {
        setenv("SAMP_CPU", "scalar", 1);
        assert_ptr_equal(samp__kernels_get(), &samp__kernels_scalar);
        encoded want = encode_matrix((samp_format_id)f, w, ROWS, COLS, &options, 0);
        float *decoded = decode_matrix(&want);
        for (int level = SAMP_CPU_SCALAR + 1; level <= (int)samp_cpu_host(); level++) {
            setenv("SAMP_CPU", samp_cpu_name((samp_cpu_level)level), 1);
            encoded e = encode_matrix((samp_format_id)f, w, ROWS, COLS, &options, 0);
            for (int p = 0; p < e.layout.n_parts; p++)
                assert_memory_equal(e.parts[p], want.parts[p], e.layout.parts[p].bytes);
            float *back = decode_matrix(&e);
            assert_memory_equal(back, decoded, ROWS * COLS * sizeof *back);
            free(back), encoded_release(&e);
        }
        free(decoded), encoded_release(&want);
    }
    unsetenv("SAMP_CPU");
    free(w);
}

/* This thread's processor time: the machine may be shared. */
static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Printed, not asserted. bf16 GB/s = 2 bytes a weight, with the bf16 input's conversion. */
static void test_speed(void **unused)
{
    (void)unused;
    enum { ROWS = 64, COLS = 4096 };
    if (getenv("SAMP_TEST_EMULATED")) return; /* an emulator's speed tells nothing */
    float *w = gaussian_matrix(ROWS, COLS, 0.02, 29), *widened = malloc(ROWS * COLS * sizeof *w);
    uint16_t *input = malloc(ROWS * COLS * 2);
    samp_bf16_from_floats(w, ROWS * COLS, input);
    for (int f = 0; f < SAMP_FORMAT_COUNT; f++)
        for (int search = 0; search < 2; search++) {
            samp_encode_options options = {.search = search};
            encoded e = encode_matrix((samp_format_id)f, w, ROWS, COLS, &options, 0);
            int rounds = search ? 1 : 6;
            double encode_s = 1e9, decode_s = 1e9;
            for (int round = 0; round < rounds; round++) {
                double start = cpu_seconds();
                samp_bf16_to_floats(input, ROWS * COLS, widened);
                e.format->encode(&e.layout, widened, 0, ROWS, &options, e.parts, e.work);
                encode_s = fmin(encode_s, cpu_seconds() - start);
                start = cpu_seconds();
                e.format->decode(&e.layout, (const void *const *)e.parts, 0, ROWS, widened);
                decode_s = fmin(decode_s, cpu_seconds() - start);
            }
            double gigabytes = 2e-9 * ROWS * COLS;
            printf("%-14s %s %6.3f GB/s of bf16, decode %6.3f GB/s of floats\n", e.format->name,
                   search ? "search" : "encode", gigabytes / encode_s, 2 * gigabytes / decode_s);
            encoded_release(&e);
        }
    free(w), free(widened), free(input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_levels),
                                       cmocka_unit_test(test_patterns),
                                       cmocka_unit_test(test_forced), cmocka_unit_test(test_speed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
