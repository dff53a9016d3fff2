/* llama2.c checkpoints: order of tensors, names, the order of q and k rows, sizes that do not fit.
 */
#include "file/scratch.h"

#include "file/llama2c.h"
#include "file/rope_rows.h"

/* Every row of the half-split order comes once, and the two values that turn together in it (i and
 * i + head_dim/2 of a head) are neighbours in the interleaved order. */
static void test_permutation(void **state)
{
    enum { HEADS = 3, HEAD_DIM = 10 };
    int seen[HEADS * HEAD_DIM] = {0};
    (void)state;
    for (uint32_t head = 0; head < HEADS; head++)
        for (uint32_t i = 0; i < HEAD_DIM / 2; i++) {
            uint64_t row = head * HEAD_DIM + i;
            uint64_t first = samp_unpermute_row(HEADS, HEAD_DIM, row);
            uint64_t second = samp_unpermute_row(HEADS, HEAD_DIM, row + HEAD_DIM / 2);
            assert_true(first == head * HEAD_DIM + 2 * i && second == first + 1);
            seen[first]++;
            seen[second]++;
        }
    for (int i = 0; i < HEADS * HEAD_DIM; i++) assert_int_equal(seen[i], 1);
}

/* dim 8, hidden 12, 2 layers, 2 heads of 4, 1 key-value head, 5 tokens, 3 positions; float i of the
 * file is i. */
enum {
    DIM = 8,
    HIDDEN = 12,
    LAYERS = 2,
    HEADS = 2,
    KV_HEADS = 1,
    VOCABULARY = 5,
    POSITIONS = 3,
    HEAD_DIM = 4
};
enum {
    KV_DIM = KV_HEADS * HEAD_DIM,
    EMBED_FLOATS = VOCABULARY * DIM,
    LAYER_FLOATS = 2 * DIM + 2 * DIM * DIM + 2 * KV_DIM * DIM + 3 * DIM * HIDDEN,
    TIED_FLOATS = EMBED_FLOATS + LAYERS * LAYER_FLOATS + DIM + POSITIONS * HEAD_DIM
};

static void put_checkpoint(const char *name, const int32_t sizes[7], size_t n_floats)
{
    size_t n = 7 * 4 + n_floats * 4;
    unsigned char *bytes = malloc(n);
    assert_non_null(bytes);
    memcpy(bytes, sizes, 28);
    for (size_t i = 0; i < n_floats; i++) memcpy(bytes + 28 + 4 * i, &(float){(float)i}, 4);
    put_file(name, bytes, n);
    free(bytes);
}

static const int32_t good_sizes[7] = {DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCABULARY, POSITIONS};

/* First float of a row. */
static float first_of(samp_llama2c *checkpoint, const char *name, uint64_t row, uint64_t cols)
{
    float values[HIDDEN];
    samp_error error = {0};
    const samp_llama2c_tensor *tensor = samp_llama2c_find(checkpoint, name);
    if (!tensor) fail_msg("no tensor %s", name);
    assert_int_equal(tensor->cols, cols);
    assert_ok(samp_llama2c_rows(checkpoint, tensor, row, 1, values, &error), &error);
    for (uint64_t i = 1; i < cols; i++) assert_true(values[i] == values[0] + (float)i);
    return values[0];
}

static void test_order(void **state)
{
    samp_error error = {0};
    samp_llama2c *checkpoint;
    float rows[2 * DIM];
    (void)state;
    put_checkpoint("tied.bin", good_sizes, TIED_FLOATS);
    assert_ok(samp_llama2c_open(&checkpoint, scratch_path("tied.bin"), &error), &error);
    const samp_llama2c_sizes *sizes = samp_llama2c_sizes_of(checkpoint);
    assert_true(sizes->tied_embeddings && sizes->head_dim == HEAD_DIM &&
                sizes->max_positions == POSITIONS);
    assert_int_equal(samp_llama2c_count(checkpoint), 2 + 9 * LAYERS);
    assert_string_equal(samp_llama2c_at(checkpoint, 1)->name,
                        "model.layers.0.input_layernorm.weight");
    assert_null(samp_llama2c_find(checkpoint, "lm_head.weight"));
    /* Where each tensor starts, counted in the order of llama2.c's memory_map_weights. */
    const int norms = EMBED_FLOATS, q = norms + LAYERS * DIM, k = q + LAYERS * DIM * DIM;
    const int v = k + LAYERS * KV_DIM * DIM, o = v + LAYERS * KV_DIM * DIM,
              mlp_norms = o + LAYERS * DIM * DIM;
    const int gate = mlp_norms + LAYERS * DIM, down = gate + LAYERS * HIDDEN * DIM,
              up = down + LAYERS * HIDDEN * DIM;
    const int final_norm = up + LAYERS * HIDDEN * DIM;
    assert_true(first_of(checkpoint, "model.embed_tokens.weight", 4, DIM) == 4 * DIM);
    assert_true(first_of(checkpoint, "model.layers.1.input_layernorm.weight", 0, DIM) ==
                norms + DIM);
    assert_true(first_of(checkpoint, "model.layers.1.self_attn.v_proj.weight", 1, DIM) ==
                v + (KV_DIM + 1) * DIM);
    assert_true(first_of(checkpoint, "model.layers.1.self_attn.o_proj.weight", 1, DIM) ==
                o + (DIM + 1) * DIM);
    assert_true(first_of(checkpoint, "model.layers.0.post_attention_layernorm.weight", 0, DIM) ==
                mlp_norms);
    assert_true(first_of(checkpoint, "model.layers.1.mlp.gate_proj.weight", 2, DIM) ==
                gate + (HIDDEN + 2) * DIM);
    assert_true(first_of(checkpoint, "model.layers.1.mlp.down_proj.weight", 2, HIDDEN) ==
                down + (DIM + 2) * HIDDEN);
    assert_true(first_of(checkpoint, "model.layers.0.mlp.up_proj.weight", 0, DIM) == up);
    assert_true(first_of(checkpoint, "model.norm.weight", 0, DIM) == final_norm);
    /* Rows of q and k: half-split row 1 of a head is its interleaved row 2, row 2 its row 1. */
    assert_true(first_of(checkpoint, "model.layers.1.self_attn.q_proj.weight", 4 + 1, DIM) ==
                q + (DIM + 4 + 2) * DIM);
    assert_true(first_of(checkpoint, "model.layers.0.self_attn.k_proj.weight", 2, DIM) ==
                k + 1 * DIM);
    const samp_llama2c_tensor *tensor =
        samp_llama2c_find(checkpoint, "model.layers.0.self_attn.k_proj.weight");
    assert_ok(samp_llama2c_rows(checkpoint, tensor, 1, 2, rows, &error), &error);
    assert_true(rows[0] == (float)(k + 2 * DIM) && rows[DIM] == (float)(k + DIM));
    assert_fails(samp_llama2c_rows(checkpoint, tensor, 3, 2, rows, &error), &error, SAMP_INVALID,
                 "2 rows from row 3 lie outside");
    samp_llama2c_close(checkpoint);
    samp_llama2c_close(NULL);
}

static void test_own_head(void **state)
{
    int32_t sizes[7];
    samp_error error = {0};
    samp_llama2c *checkpoint;
    (void)state;
    memcpy(sizes, good_sizes, sizeof sizes);
    sizes[5] = -VOCABULARY;
    put_checkpoint("untied.bin", sizes, TIED_FLOATS + EMBED_FLOATS);
    assert_ok(samp_llama2c_open(&checkpoint, scratch_path("untied.bin"), &error), &error);
    assert_false(samp_llama2c_sizes_of(checkpoint)->tied_embeddings);
    assert_true(first_of(checkpoint, "lm_head.weight", 0, DIM) ==
                TIED_FLOATS); /* behind the rotation tables */
    samp_llama2c_close(checkpoint);
}

static void test_bad_files(void **state)
{
    static const struct {
        int field;
        int32_t value;
        const char *says;
    } cases[] = {
        {0, 0, "dim is 0, expected 1 to 1048576"},
        {0, -8, "dim is -8"},
        {1, INT32_MAX, "hidden_dim is 2147483647"},
        {2, 2000, "n_layers is 2000, expected 1 to 1024"},
        {3, 3, "do not divide evenly"},
        {3, 8, "do not divide evenly"}, /* heads of 1: no pairs to turn */
        {4, 3, "do not divide evenly"},
        {5, INT32_MIN, "vocab_size is 2147483648, expected"},
        {5, 0, "vocab_size is 0"},
        {5, -VOCABULARY, "a llama2.c checkpoint of its sizes (2 layers of 8, vocabulary 5) has"},
        {6, POSITIONS + 1, "a llama2.c checkpoint of its sizes"},
    };
    samp_error error = {0};
    samp_llama2c *checkpoint;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t sizes[7];
        memcpy(sizes, good_sizes, sizeof sizes);
        sizes[cases[i].field] = cases[i].value;
        put_checkpoint("bad.bin", sizes, TIED_FLOATS);
        assert_fails(samp_llama2c_open(&checkpoint, scratch_path("bad.bin"), &error), &error,
                     SAMP_CORRUPT, cases[i].says);
        assert_null(checkpoint);
    }
    put_checkpoint("bad.bin", good_sizes, TIED_FLOATS + 1);
    assert_fails(samp_llama2c_open(&checkpoint, scratch_path("bad.bin"), &error), &error,
                 SAMP_CORRUPT, "of its sizes");
    put_file("bad.bin", "short", 5);
    assert_fails(samp_llama2c_open(&checkpoint, scratch_path("bad.bin"), &error), &error,
                 SAMP_CORRUPT, "lie past its end");
}

static void test_real_file(void **state)
{
    static const char path[] = SAMP_DATA "/stories260K/stories260K.bin";
    samp_error error = {0};
    samp_llama2c *checkpoint;
    (void)state;
    if (!samp_is_file(path)) {
        print_message("%s is not there: skipped\n", path);
        skip();
    }
    assert_ok(samp_llama2c_open(&checkpoint, path, &error), &error);
    assert_int_equal(samp_llama2c_sizes_of(checkpoint)->vocab_size, 512);
    assert_int_equal(samp_llama2c_count(checkpoint), 2 + 9 * 5);
    samp_llama2c_close(checkpoint);
}

static void test_out_of_memory(void **state)
{
    samp_error error = {0};
    samp_llama2c *checkpoint;
    samp_status status = SAMP_NOMEM;
    int n = 0;
    (void)state;
    put_checkpoint("memory.bin", good_sizes, TIED_FLOATS);
    for (; status != SAMP_OK && n < 100; n++) {
        samp_alloc_fail_at((uint64_t)n + 1);
        status = samp_llama2c_open(&checkpoint, scratch_path("memory.bin"), &error);
        samp_alloc_fail_at(0);
        if (status != SAMP_OK) assert_fails(status, &error, SAMP_NOMEM, "out of memory");
    }
    assert_ok(status, &error);
    assert_true(n > 3);
    samp_llama2c_close(checkpoint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_permutation), cmocka_unit_test(test_order),
        cmocka_unit_test(test_own_head),    cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_real_file),   cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
