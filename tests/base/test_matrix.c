/* Outer products against sums in double; the factor multiplied back; bits that do not depend on the number of threads. */
#include "base/matrix.h"
#include "base/memory.h"
#include "base/prng.h"

#include "support/cmocka_all.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static float *noise(size_t n, uint64_t seed)
{
    float *x = samp_alloc(n, sizeof *x);
    samp_prng prng = {seed};
    for (size_t i = 0; i < n; i++) x[i] = (float)(samp_prng_uniform(&prng) * 2 - 1);
    return x;
}

static void test_outer(void **state)
{
    (void)state;
    enum { T = 37, M = 23, N = 53, LD = 61 };
    float *p = noise(T * LD, 1), *q = noise(T * LD, 2), *c = noise(M * LD, 3),
          *c0 = noise(M * LD, 3);
    samp_outer_add(c, LD, p, LD, q, LD, T, M, N);
    for (size_t i = 0; i < M; i++)
        for (size_t k = 0; k < LD; k++) {
            double sum = c0[i * LD + k];
            for (size_t t = 0; t < T && k < N; t++) sum += (double)p[t * LD + i] * q[t * LD + k];
            assert_true(fabs(sum - c[i * LD + k]) < 1e-5);
        }
    samp_free(p), samp_free(q), samp_free(c), samp_free(c0);
}

/* Every level adds the same products in the same order. */
static void test_levels(void **state)
{
    (void)state;
    enum { T = 300, M = 70, N = 53 };
    float *p = noise(T * M, 1), *q = noise(T * N, 2), *c[2] = {noise(M * N, 3), noise(M * N, 3)};
    samp_outer_add(c[0], N, p, M, q, N, T, M, N);
    setenv("SAMP_CPU", "scalar", 1);
    samp_outer_add(c[1], N, p, M, q, N, T, M, N);
    unsetenv("SAMP_CPU");
    assert_memory_equal(c[0], c[1], M * N * sizeof(float));
    samp_free(p), samp_free(q), samp_free(c[0]), samp_free(c[1]);
}

/* A rim of 6 rows and columns, 44 terms beside 256. */
static void test_gram_levels(void **state)
{
    (void)state;
    enum { T = 300, N = 150 };
    samp_pool *pool;
    assert_int_equal(samp_pool_create(&pool, 2, NULL), SAMP_OK);
    float *x = noise(T * N, 1),
          *h[2] = {samp_alloc(N * N, sizeof(float)), samp_alloc(N * N, sizeof(float))};
    assert_int_equal(samp_gram_add(pool, h[0], x, T, N, NULL), SAMP_OK);
    setenv("SAMP_CPU", "scalar", 1);
    assert_int_equal(samp_gram_add(pool, h[1], x, T, N, NULL), SAMP_OK);
    unsetenv("SAMP_CPU");
    for (size_t i = 0; i < N; i++) {
        assert_memory_equal(h[0] + i * N, h[1] + i * N, (i + 1) * sizeof(float));
        for (size_t k = 0; k <= i; k++) {
            double sum = 0;
            for (size_t t = 0; t < T; t++) sum += (double)x[t * N + i] * x[t * N + k];
            assert_true(fabs(sum - h[0][i * N + k]) < 1e-4);
        }
    }
    samp_free(x), samp_free(h[0]), samp_free(h[1]);
    samp_pool_release(pool);
}

static void factor_with(unsigned n_threads, size_t n, float *h, float *d)
{
    samp_pool *pool;
    assert_int_equal(samp_pool_create(&pool, n_threads, NULL), SAMP_OK);
    float *x = noise(2 * n * n, 4);
    memset(h, 0, n * n * sizeof *h);
    assert_int_equal(samp_gram_add(pool, h, x, 2 * n, n, NULL), SAMP_OK);
    for (size_t i = 0; i < n; i++) h[i * n + i] += 1;
    assert_int_equal(samp_factor(pool, h, n, d, NULL), SAMP_OK);
    samp_free(x);
    samp_pool_release(pool);
}

static void test_factor(void **state)
{
    (void)state;
    enum { N = 150 };
    float *h = samp_alloc(N * N, sizeof *h), *h3 = samp_alloc(N * N, sizeof *h), d[N], d3[N];
    factor_with(1, N, h, d);
    factor_with(3, N, h3, d3);
    assert_memory_equal(d, d3, sizeof d);
    float *x = noise(2 * N * N, 4);
    for (size_t i = 0; i < N; i++) {
        assert_memory_equal(h + i * N, h3 + i * N, i * sizeof *h);
        for (size_t k = 0; k <= i; k++) {
            double wanted = i == k, got = 0;
            for (size_t t = 0; t < 2 * N; t++) wanted += (double)x[t * N + i] * x[t * N + k];
            for (size_t j = 0; j <= k; j++)
                got += (double)(i == j ? 1 : h[i * N + j]) * d[j] *
                       (double)(k == j ? 1 : h[k * N + j]);
            assert_true(fabs(wanted - got) < 1e-3);
        }
    }
    samp_free(x), samp_free(h), samp_free(h3);
}

static void test_not_positive(void **state)
{
    (void)state;
    float h[4] = {1, 0, 2, 1}, d[2];
    samp_pool *pool;
    samp_error error;
    assert_int_equal(samp_pool_create(&pool, 1, NULL), SAMP_OK);
    assert_int_equal(samp_factor(pool, h, 2, d, &error), SAMP_NUMERIC);
    samp_pool_release(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_outer), cmocka_unit_test(test_levels),
                                       cmocka_unit_test(test_gram_levels),
                                       cmocka_unit_test(test_factor),
                                       cmocka_unit_test(test_not_positive)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
