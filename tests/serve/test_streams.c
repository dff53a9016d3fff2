/* The shapes of streams, as OpenAI's and vLLM's clients expect them: roles, indexes, usage, null
 * where nothing is known yet; and where stop strings and offsets stand in the text. */
#include "serve_support.h"

static served server;

static int start(void **state)
{
    (void)state;
    served_init(&server);
    served_start(&server);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    served_stop(&server);
    return 0;
}

/* The chunks of a stream; [DONE] must be the last event and is left out. */
static json_t *chunks_of(const char *path, const char *body)
{
    samp_buffer raw = {0};
    json_t *chunks = json_array();
    bool done = false;
    assert_int_equal(ask(&server, "POST", path, NULL, body, &raw), 200);
    for (char *line = strstr(raw.data, "data: "); line; line = strstr(line + 1, "\ndata: ")) {
        if (*line == '\n') line++;
        assert_false(done);
        done = strncmp(line, "data: [DONE]", 12) == 0;
        if (done) continue;
        json_t *chunk = json_loads(line + 6, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL);
        if (!chunk) fail_msg("no JSON: %.300s", line);
        json_array_append_new(chunks, chunk);
    }
    assert_true(done);
    samp_buffer_release(&raw);
    return chunks;
}

static const json_t *choice_of(const json_t *chunk)
{
    return json_array_get(json_object_get(chunk, "choices"), 0);
}

#define HELLO "\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]"

static void chats_begin_with_roles_and_end_with_usage(void **state)
{
    (void)state;
    json_t *chunks = chunks_of("/v1/chat/completions",
                               "{" HELLO ", \"n\": 2, \"max_tokens\": 9, \"ignore_eos\": true, "
                               "\"stream\": true, \"stream_options\": {\"include_usage\": true}}");
    size_t n = json_array_size(chunks), i, n_roles = 0, n_ends = 0;
    json_t *chunk = NULL;
    const char *id = json_string_value(json_object_get(json_array_get(chunks, 0), "id"));
    json_array_foreach(chunks, i, chunk)
    {
        const json_t *choice = choice_of(chunk), *delta = json_object_get(choice, "delta");
        const json_t *finish = json_object_get(choice, "finish_reason");
        assert_string_equal(json_string_value(json_object_get(chunk, "id")), id);
        assert_string_equal(json_string_value(json_object_get(chunk, "object")),
                            "chat.completion.chunk");
        assert_non_null(json_object_get(chunk, "usage")); /* null in all but the last */
        if (i == n - 1) break;
        assert_true(json_is_null(json_object_get(chunk, "usage")));
        assert_true(json_object_get(delta, "role") ? i < 2 : i >= 2);
        n_roles += json_object_get(delta, "role") != NULL;
        assert_true(json_is_null(finish) || json_is_string(finish));
        n_ends += json_is_string(finish);
    }
    const json_t *usage = json_object_get(chunk, "usage");
    assert_int_equal(json_array_size(json_object_get(chunk, "choices")), 0);
    assert_int_equal(json_integer_value(json_object_get(usage, "completion_tokens")), 18);
    assert_true(n_roles == 2 && n_ends == 2);
    json_decref(chunks);
}

static void streamed_tool_calls_have_indexes(void **state)
{
    (void)state;
    json_t *chunks = chunks_of(
        "/v1/chat/completions",
        "{" HELLO ", \"max_tokens\": 200, \"seed\": 4, \"stream\": true, \"tool_choice\": "
        "\"required\", \"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"add\", "
        "\"parameters\": {\"type\": \"object\", \"properties\": {\"n\": {\"enum\": [1, 2]}}, "
        "\"required\": [\"n\"], \"additionalProperties\": false}}}]}");
    const json_t *choice = choice_of(json_array_get(chunks, json_array_size(chunks) - 1));
    const json_t *calls = json_object_get(json_object_get(choice, "delta"), "tool_calls");
    const json_t *call = json_array_get(calls, 0), *function = json_object_get(call, "function");
    assert_int_equal(json_array_size(calls), 1);
    assert_true(json_is_integer(json_object_get(call, "index")));
    assert_string_equal(json_string_value(json_object_get(call, "type")), "function");
    assert_int_equal(strncmp(json_string_value(json_object_get(call, "id")), "call_", 5), 0);
    assert_string_equal(json_string_value(json_object_get(function, "name")), "add");
    assert_true(json_is_string(json_object_get(function, "arguments")));
    assert_string_equal(json_string_value(json_object_get(choice, "finish_reason")), "tool_calls");
    json_decref(chunks);
}

/* Echo and logprobs in pieces are what they are in one. */
static void pieces_of_log_probabilities_are_the_whole(void **state)
{
#define ECHOED                                                                                     \
    "{\"prompt\": \"caf\xc3\xa9 <end>\", \"max_tokens\": 12, \"seed\": 5, \"echo\": true, "        \
    "\"logprobs\": 0, \"ignore_eos\": true"
    (void)state;
    json_t *whole = post(&server, "/v1/completions", ECHOED "}", 200);
    json_t *chunks = chunks_of("/v1/completions", ECHOED ", \"stream\": true}");
    json_t *offsets = json_array(), *values = json_array(), *chunk;
    samp_buffer text = {0};
    size_t i;
    json_array_foreach(chunks, i, chunk)
    {
        const json_t *choice = choice_of(chunk), *logprobs = json_object_get(choice, "logprobs");
        json_array_extend(offsets, json_object_get(logprobs, "text_offset"));
        json_array_extend(values, json_object_get(logprobs, "token_logprobs"));
        const json_t *piece = json_object_get(choice, "text");
        samp_buffer_append(&text, json_string_value(piece), json_string_length(piece));
    }
    const json_t *choice = choice_of(whole), *logprobs = json_object_get(choice, "logprobs");
    const json_t *all = json_object_get(choice, "text");
    assert_true(json_equal(offsets, json_object_get(logprobs, "text_offset")));
    assert_true(json_equal(values, json_object_get(logprobs, "token_logprobs")));
    assert_int_equal(text.length, json_string_length(all));
    assert_memory_equal(text.data, json_string_value(all), text.length);
    /* c a f, two bytes of one character, a space, a special token that is no text */
    static const int expected[] = {0, 1, 2, 3, 3, 4, 5, 5};
    for (i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(json_integer_value(json_array_get(offsets, i)), expected[i]);
    samp_buffer_release(&text);
    json_decref(offsets);
    json_decref(values);
    json_decref(chunks);
    json_decref(whole);
}

/* A stop string that begins within the prompt is none, and hides none. */
static void stop_strings_are_looked_for_behind_the_prompt(void **state)
{
#define BIASED                                                                                     \
    "\"max_tokens\": 20, \"temperature\": 0, \"ignore_eos\": true, \"echo\": true, "               \
    "\"logit_bias\": {\"98\": 100}, \"stop\": "
    (void)state; /* 98 is b: the answer is nothing else */
    json_t *a = post(&server, "/v1/completions", "{\"prompt\": \"ab\", " BIASED "\"abb\"}", 200);
    json_t *b = post(&server, "/v1/completions", "{\"prompt\": \"ab\", " BIASED "\"bbb\"}", 200);
    const json_t *reason = json_object_get(choice_of(a), "finish_reason");
    assert_string_equal(json_string_value(reason), "length");
    assert_int_equal(json_string_length(json_object_get(choice_of(a), "text")), 22);
    reason = json_object_get(choice_of(b), "finish_reason");
    assert_string_equal(json_string_value(reason), "stop");
    assert_string_equal(json_string_value(json_object_get(choice_of(b), "text")), "ab");
    json_decref(a);
    json_decref(b);
}

static void texts_and_tokens_go_both_ways(void **state)
{
    (void)state;
    json_t *a = post(&server, "/tokenize",
                     "{\"prompt\": \"caf\xc3\xa9\", \"return_token_strs\": true}", 200);
    assert_int_equal(json_integer_value(json_object_get(a, "count")), 5);
    assert_int_equal(json_array_size(json_object_get(a, "token_strs")), 5);
    json_t *body = json_pack("{s:O}", "tokens", json_object_get(a, "tokens"));
    char *dumped = json_dumps(body, 0);
    json_t *b = post(&server, "/detokenize", dumped, 200);
    assert_string_equal(json_string_value(json_object_get(b, "prompt")), "caf\xc3\xa9");
    json_decref(post(&server, "/detokenize", "{\"tokens\": [304]}", 400));
    json_decref(post(&server, "/tokenize", "{\"prompt\": 1}", 400));
    json_decref(a);
    json_decref(b);
    json_decref(body);
    free(dumped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chats_begin_with_roles_and_end_with_usage),
        cmocka_unit_test(streamed_tool_calls_have_indexes),
        cmocka_unit_test(pieces_of_log_probabilities_are_the_whole),
        cmocka_unit_test(stop_strings_are_looked_for_behind_the_prompt),
        cmocka_unit_test(texts_and_tokens_go_both_ways),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
