/* A trained model end to end: stories260K, from llama2.c's files through a Hugging Face folder, must
 * tell the story its authors printed, token by token, on both backends; and generation must stop
 * where it should. Expected text: greedy_expected.txt beside the model (llama2.c's
 * doc/stories260K.md). */
#include "file/llama2c.h"
#include "run/generate.h"
#include "support/tiny_session.h"

#include <stdlib.h>

#define STORIES SAMP_DATA "/stories260K/"

static char *folder;
static samp_tokenizer *tokenizer;
static samp_buffer expected;

enum { BOS = 1 };

static void add_tensor(tiny_file *file, samp_llama2c *checkpoint, const samp_llama2c_tensor *tensor)
{
    uint64_t shape[2] = {tensor->rows, tensor->cols}, n = tensor->rows * tensor->cols;
    bool norm = tensor->rows == 1;
    float *values = samp_alloc(n, sizeof *values);
    OK(samp_llama2c_rows(checkpoint, tensor, 0, tensor->rows, values, e));
    tiny_add(file, tensor->name, SAMP_F32, norm ? 1 : 2, norm ? &shape[1] : shape, values,
             n * sizeof *values);
    samp_free(values);
}

/* The checkpoint as an fp32 folder. */
static void convert(void)
{
    samp_llama2c *checkpoint;
    tiny_file file = {0};
    OK(samp_llama2c_open(&checkpoint, STORIES "stories260K.bin", e));
    for (size_t i = 0; i < samp_llama2c_count(checkpoint); i++)
        add_tensor(&file, checkpoint, samp_llama2c_at(checkpoint, i));
    tiny_commit(&file, folder);
    const samp_llama2c_sizes *s = samp_llama2c_sizes_of(checkpoint);
    samp_config config = {.architecture = "LlamaForCausalLM",
                          .n_layers = s->n_layers,
                          .dim = s->dim,
                          .hidden_dim = s->hidden_dim,
                          .n_heads = s->n_heads,
                          .n_kv_heads = s->n_kv_heads,
                          .head_dim = s->head_dim,
                          .vocab_size = s->vocab_size,
                          .max_positions = s->max_positions,
                          .rms_norm_eps = 1e-5f,
                          .rope_theta = 10000,
                          .tied_embeddings = s->tied_embeddings,
                          .bos_token = BOS,
                          .eos_tokens = {BOS, 2},
                          .n_eos_tokens = 2};
    tiny_write_json(folder, samp_config_json(&config, "float32"));
    samp_llama2c_close(checkpoint);
}

typedef struct story {
    samp_buffer text;
    samp_generated result;
    size_t stop_after; /* bytes; 0 = never */
    bool ignore_eos;
} story;

static bool on_piece(void *context, const char *text, size_t n)
{
    story *s = context;
    samp_buffer_append(&s->text, text, n);
    return !s->stop_after || s->text.length < s->stop_after;
}

static samp_sampler *greedy(const samp_session *session)
{
    samp_sampler_options options = samp_sampler_defaults();
    samp_sampler *sampler;
    OK(samp_sampler_create(&sampler, &options, (uint32_t)vocab_of(session), e));
    return sampler;
}

/* Greedy text after the prompt, in a new sequence. */
static void tell(story *s, samp_session *session, const int32_t *prompt, uint32_t n_prompt,
                 uint32_t max_new)
{
    samp_sequence *sequence = sequence_on(session);
    samp_sampler *sampler = greedy(session);
    samp_generate_options options = {.prompt = prompt,
                                     .n_prompt = n_prompt,
                                     .max_new = max_new,
                                     .ignore_eos = s->ignore_eos,
                                     .piece = on_piece,
                                     .context = s};
    OK(samp_generate(session, sequence, tokenizer, sampler, &options, &s->result, e));
    assert_int_equal(samp_sequence_length(sequence),
                     n_prompt + s->result.n_generated - (s->result.stop_token < 0));
    samp_sampler_release(sampler);
    samp_sequence_release(session, sequence);
}

static void expect_story(samp_session_options options)
{
    static const int32_t prompt[] = {BOS};
    samp_session *session = session_on(folder, options);
    story s = {0};
    tell(&s, session, prompt, 1, 256);
    if (s.text.length < expected.length || memcmp(s.text.data, expected.data, expected.length) != 0)
        fail_msg("%s: told \"%s\"", samp_session_describe(session), s.text.data);
    assert_int_equal(s.result.n_prompt, 1);
    assert_int_equal(s.result.n_generated, 256);
    assert_string_equal(s.result.finish_reason, "length");
    assert_true(s.result.prefill_seconds > 0 && s.result.decode_seconds > 0);
    samp_buffer_release(&s.text);
    samp_session_close(session);
}

static void test_story(void **state)
{
    (void)state;
    expect_story((samp_session_options){0});
    expect_story((samp_session_options){.exact = true, .n_threads = 2});
    expect_story((samp_session_options){.backend = "reference"});
}

/* The second half told from the first gives the same words, with the leading space kept. */
static void test_continues_a_prompt(void **state)
{
    (void)state;
    samp_tokens prompt = {0};
    samp_session *session = session_on(folder, (samp_session_options){0});
    static const char half[] =
        "Once upon a time, there was a little girl named Lily. She loved to play outside in the";
    OK(samp_tokenizer_encode(tokenizer, half, sizeof half - 1, (samp_encode_text){.add_bos = true},
                             &prompt, e));
    assert_int_equal(prompt.ids[0], BOS);
    story s = {0};
    tell(&s, session, prompt.ids, (uint32_t)prompt.count, 20);
    assert_memory_equal(s.text.data, expected.data + sizeof half - 1, s.text.length);
    assert_int_equal(s.text.data[0], ' ');
    samp_buffer_release(&s.text);
    samp_tokens_release(&prompt);
    samp_session_close(session);
}

static void test_stops(void **state)
{
    (void)state;
    static const int32_t prompt[] = {BOS};
    samp_session *session = session_on(folder, (samp_session_options){.context = 64});

    story s = {.stop_after = 40}; /* the receiver has enough */
    tell(&s, session, prompt, 1, 0);
    assert_string_equal(s.result.finish_reason, "stop");
    assert_int_equal(s.result.stop_token, -1);
    assert_true(s.text.length >= 40 && s.text.length < 60);
    samp_buffer_release(&s.text);

    s = (story){0}; /* the context is full: 64 positions fed, one more token chosen */
    tell(&s, session, prompt, 1, 0);
    assert_string_equal(s.result.finish_reason, "length");
    assert_int_equal(s.result.n_generated, 64);
    samp_buffer_release(&s.text);
    samp_session_close(session);

    session =
        session_on(folder, (samp_session_options){.context = 2048}); /* the story ends by itself */
    s = (story){0};
    tell(&s, session, prompt, 1, 0);
    assert_string_equal(s.result.finish_reason, "stop");
    assert_int_equal(s.result.stop_token, BOS);
    assert_true(s.result.n_generated > 256 && s.result.n_generated < 512);
    samp_buffer_release(&s.text);

    s = (story){.ignore_eos = true}; /* … or at the model's last position, if it may not */
    tell(&s, session, prompt, 1, 0);
    assert_string_equal(s.result.finish_reason, "length");
    assert_int_equal(s.result.n_generated, 512);
    samp_buffer_release(&s.text);
    samp_session_close(session);
}

static void test_refusals(void **state)
{
    (void)state;
    samp_error error;
    samp_session *session = session_on(folder, (samp_session_options){0});
    samp_sequence *sequence = sequence_on(session);
    samp_sampler *sampler = greedy(session);
    samp_generate_options options = {0};
    samp_generated out;
    assert_int_equal(samp_generate(session, sequence, tokenizer, sampler, &options, &out, &error),
                     SAMP_INVALID);
    assert_non_null(strstr(error.message, "the prompt has no tokens"));
    const int32_t wrong[] = {BOS, 512};
    options = (samp_generate_options){.prompt = wrong, .n_prompt = 2};
    assert_int_equal(samp_generate(session, sequence, NULL, sampler, &options, &out, &error),
                     SAMP_INVALID);
    assert_non_null(strstr(error.message, "token 512, expected 0 to 511"));
    assert_int_equal(samp_sequence_length(sequence), 0);
    samp_sampler_release(sampler);
    samp_sequence_release(session, sequence);
    samp_session_close(session);
}

static int make_model(void **state)
{
    (void)state;
    samp_error error;
    setenv("SAMP_BACKEND_PATH", SAMP_BUILD, 1);
    folder = tiny_folder();
    convert();
    OK(samp_file_slurp(STORIES "greedy_expected.txt", 1 << 20, &expected, e));
    return samp_tokenizer_from_llama2c(&tokenizer, STORIES "tok512.bin", 512, &error) == SAMP_OK
               ? 0
               : -1;
}

static int remove_model(void **state)
{
    (void)state;
    samp_tokenizer_release(tokenizer);
    samp_buffer_release(&expected);
    tiny_remove(folder);
    return 0;
}

int main(void)
{
    if (!samp_is_file(STORIES "stories260K.bin")) {
        printf("skipped: no %sstories260K.bin\n", STORIES);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_story),
        cmocka_unit_test(test_continues_a_prompt),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("run/stories", tests, make_model, remove_model);
}
