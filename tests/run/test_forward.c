/* The forward pass against the model written out again, in double precision, with none of the
 * program's own arithmetic: the CPU and the reference backend both in float, so that only rounding
 * may differ. */
#include "support/tiny_session.h"

enum { LENGTH = 90 };

/* Every weight of a model in double, in the model's own order. */
typedef struct weights {
    samp_config config;
    double *of[SAMP_ROLE_COUNT][4]; /* role, layer */
} weights;

static void read_weights(weights *w, const char *folder)
{
    samp_model *model;
    OK(samp_model_open(&model, folder, e));
    w->config = *samp_model_config(model);
    for (size_t i = 0; i < samp_model_count(model); i++) {
        const samp_weight_ref *ref = samp_model_at(model, i);
        size_t n = ref->layout.rows * ref->layout.cols;
        void *scales[SAMP_PARTS_MAX] = {0};
        float *values = samp_alloc(n, sizeof *values);
        double *out = samp_alloc(n, sizeof *out);
        OK(samp_model_read_rows(model, ref, 0, ref->layout.rows, scales, values, e));
        samp_model_free_parts(scales);
        for (size_t k = 0; k < n; k++) out[k] = (double)values[k];
        samp_free(values);
        w->of[ref->role][ref->layer] = out;
    }
    samp_model_close(model);
}

static void release_weights(weights *w)
{
    for (int role = 0; role < SAMP_ROLE_COUNT; role++)
        for (int layer = 0; layer < 4; layer++) samp_free(w->of[role][layer]);
}

static void norm(double *out, const double *x, const double *gain, uint32_t dim, double eps)
{
    double squares = 0;
    for (uint32_t i = 0; i < dim; i++) squares += x[i] * x[i];
    for (uint32_t i = 0; i < dim; i++) out[i] = x[i] / sqrt(squares / dim + eps) * gain[i];
}

static void multiply(double *out, const double *w, const double *x, uint32_t rows, uint32_t cols)
{
    for (uint32_t r = 0; r < rows; r++) {
        out[r] = 0;
        for (uint32_t c = 0; c < cols; c++) out[r] += w[(size_t)r * cols + c] * x[c];
    }
}

static void rotate(const samp_config *c, double *x, uint32_t n_heads, uint32_t position)
{
    double frequency[64];
    samp_rope_frequencies(c, frequency);
    uint32_t half = c->head_dim / 2;
    for (uint32_t h = 0; h < n_heads; h++)
        for (uint32_t i = 0; i < half; i++) {
            double *a = x + h * c->head_dim + i, *b = a + half, turn = position * frequency[i];
            double a0 = *a, b0 = *b;
            *a = a0 * cos(turn) - b0 * sin(turn);
            *b = b0 * cos(turn) + a0 * sin(turn);
        }
}

/* keys and values are [LENGTH][n_kv_heads * head_dim]. */
static void attend(const samp_config *c, double *out, const double *q, const double *keys,
                   const double *values, uint32_t position)
{
    uint32_t width = c->n_kv_heads * c->head_dim;
    for (uint32_t h = 0; h < c->n_heads; h++) {
        uint32_t at = h / (c->n_heads / c->n_kv_heads) * c->head_dim;
        double p[LENGTH], sum = 0;
        for (uint32_t j = 0; j <= position; j++) {
            double dot = 0;
            for (uint32_t d = 0; d < c->head_dim; d++)
                dot += q[h * c->head_dim + d] * keys[j * width + at + d];
            sum += p[j] = exp(dot / sqrt(c->head_dim));
        }
        for (uint32_t d = 0; d < c->head_dim; d++) {
            double o = 0;
            for (uint32_t j = 0; j <= position; j++) o += p[j] / sum * values[j * width + at + d];
            out[h * c->head_dim + d] = o;
        }
    }
}

typedef struct cache {
    double keys[4][LENGTH * 64], values[4][LENGTH * 64];
} cache;

/* One token through the whole model. */
static void forward(const weights *w, cache *kv, int32_t token, uint32_t position, double *logits)
{
    const samp_config *c = &w->config;
    uint32_t q_width = c->n_heads * c->head_dim, kv_width = c->n_kv_heads * c->head_dim;
    double x[256], y[256], q[256], o[256], gate[256], up[256];
    memcpy(x, w->of[SAMP_ROLE_EMBED][0] + (size_t)token * c->dim, c->dim * sizeof *x);
    for (uint32_t l = 0; l < c->n_layers; l++) {
        double *k = kv->keys[l] + position * kv_width, *v = kv->values[l] + position * kv_width;
        norm(y, x, w->of[SAMP_ROLE_ATTN_NORM][l], c->dim, (double)c->rms_norm_eps);
        multiply(q, w->of[SAMP_ROLE_Q][l], y, q_width, c->dim);
        multiply(k, w->of[SAMP_ROLE_K][l], y, kv_width, c->dim);
        multiply(v, w->of[SAMP_ROLE_V][l], y, kv_width, c->dim);
        rotate(c, q, c->n_heads, position);
        rotate(c, k, c->n_kv_heads, position);
        attend(c, o, q, kv->keys[l], kv->values[l], position);
        multiply(y, w->of[SAMP_ROLE_O][l], o, c->dim, q_width);
        for (uint32_t i = 0; i < c->dim; i++) x[i] += y[i];
        norm(y, x, w->of[SAMP_ROLE_MLP_NORM][l], c->dim, (double)c->rms_norm_eps);
        multiply(gate, w->of[SAMP_ROLE_GATE][l], y, c->hidden_dim, c->dim);
        multiply(up, w->of[SAMP_ROLE_UP][l], y, c->hidden_dim, c->dim);
        for (uint32_t i = 0; i < c->hidden_dim; i++)
            gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
        multiply(y, w->of[SAMP_ROLE_DOWN][l], gate, c->dim, c->hidden_dim);
        for (uint32_t i = 0; i < c->dim; i++) x[i] += y[i];
    }
    norm(y, x, w->of[SAMP_ROLE_FINAL_NORM][0], c->dim, (double)c->rms_norm_eps);
    multiply(logits, w->of[c->tied_embeddings ? SAMP_ROLE_EMBED : SAMP_ROLE_HEAD][0], y,
             c->vocab_size, c->dim);
}

/* Largest difference of any logit of `folder` on `backend` from the double forward, over the
 * largest logit. */
static double distance(const char *folder, const char *backend, bool exact)
{
    weights w = {0};
    read_weights(&w, folder);
    uint32_t vocab = w.config.vocab_size;
    int32_t tokens[LENGTH];
    random_tokens(tokens, LENGTH, vocab, 3);
    samp_session *session =
        session_on(folder, (samp_session_options){.backend = backend, .exact = exact});
    float *logits = logits_of(session, tokens, LENGTH);
    samp_session_close(session);

    cache *kv = samp_alloc(1, sizeof *kv);
    double *want = samp_alloc(vocab, sizeof *want), wrong = 0, all = 0;
    for (uint32_t t = 0; t < LENGTH; t++) {
        forward(&w, kv, tokens[t], t, want);
        for (uint32_t i = 0; i < vocab; i++) {
            double difference = (double)logits[t * vocab + i] - want[i];
            wrong += difference * difference;
            all += want[i] * want[i];
        }
    }
    samp_free(want);
    samp_free(kv);
    samp_free(logits);
    release_weights(&w);
    return sqrt(wrong / all);
}

/* Exact sessions keep everything in float; the others round keys and values to 16 bits. */
static void expect_close(const samp_config *config)
{
    static const char *const backends[] = {"cpu", "reference"};
    char *folder = tiny_folder();
    tiny_write(folder, config, 21);
    for (int i = 0; i < 4; i++) {
        bool exact = i % 2;
        double d = distance(folder, backends[i / 2], exact), limit = exact ? 1e-5 : 3e-3;
        if (!(d < limit))
            fail_msg("%s, exact %d: logits differ by %g of their size, expected less than %g",
                     backends[i / 2], exact, d, limit);
    }
    tiny_remove(folder);
}

static void test_tied_and_odd(void **state)
{
    (void)state;
    samp_config config = tiny_config();
    expect_close(&config);
}

static void test_untied_and_even(void **state)
{
    (void)state;
    samp_config config = tiny_config_even();
    expect_close(&config);
}

/* Scaled rotations, one head a KV head, one layer more. */
static void test_llama3_rope(void **state)
{
    (void)state;
    samp_config config = tiny_config();
    config.n_layers = 3;
    config.n_heads = config.n_kv_heads = 4;
    config.rope_scaling = SAMP_ROPE_LLAMA3;
    config.rope_theta = 500000;
    config.rope_factor = 8;
    config.rope_low_freq_factor = 1;
    config.rope_high_freq_factor = 4;
    config.rope_original_positions = 64;
    expect_close(&config);
}

/* Exact mode computes the quantized model in float: as close to the double forward of its decoded
 * weights; the integer path is not, but stays near. */
static void test_exact_mode(void **state)
{
    (void)state;
    static const samp_format_id formats[] = {SAMP_FORMAT_INT8, SAMP_FORMAT_NF4, SAMP_FORMAT_NF4A,
                                             SAMP_FORMAT_FP8};
    samp_config config = tiny_config_even();
    char *plain = tiny_folder();
    tiny_write(plain, &config, 22);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        char *folder = tiny_folder();
        tiny_quantize(plain, folder, formats[i], 16);
        double exact = distance(folder, "cpu", true), integers = distance(folder, "cpu", false);
        if (!(exact < 1e-5))
            fail_msg("%s: exact mode differs by %g", samp_format_get(formats[i])->name, exact);
        if (!(integers < 0.1))
            fail_msg("%s: integers differ by %g", samp_format_get(formats[i])->name, integers);
        tiny_remove(folder);
    }
    tiny_remove(plain);
}

int main(void)
{
    setenv("SAMP_BACKEND_PATH", SAMP_BUILD, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tied_and_odd),
        cmocka_unit_test(test_untied_and_even),
        cmocka_unit_test(test_llama3_rope),
        cmocka_unit_test(test_exact_mode),
    };
    return cmocka_run_group_tests_name("run/forward", tests, NULL, NULL);
}
