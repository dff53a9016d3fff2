/* Answers of the whole server: text, streams, log-probabilities, choices, constraints, and what
 * happens when clients leave or the server is told to stop. */
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

static const char *text_of(const json_t *answer, size_t i)
{
    const json_t *choice = json_array_get(json_object_get(answer, "choices"), i);
    const json_t *message = json_object_get(choice, "message");
    return json_string_value(message ? json_object_get(message, "content")
                                     : json_object_get(choice, "text"));
}

static const char *finish_of(const json_t *answer, size_t i)
{
    const json_t *choice = json_array_get(json_object_get(answer, "choices"), i);
    return json_string_value(json_object_get(choice, "finish_reason"));
}

/* The text of a stream, its last finish_reason; checks its form. */
static void read_stream(const char *body, bool chat, samp_buffer *text, char *finish)
{
    samp_buffer raw = {0};
    bool done = false;
    assert_int_equal(
        ask(&server, "POST", chat ? "/v1/chat/completions" : "/v1/completions", NULL, body, &raw),
        200);
    assert_non_null(strstr(raw.data, "text/event-stream"));
    for (char *line = strstr(raw.data, "data: "); line; line = strstr(line + 1, "data: ")) {
        assert_false(done);
        if (strncmp(line, "data: [DONE]", 12) == 0) {
            done = true;
            continue;
        }
        json_t *chunk = json_loads(line + 6, JSON_DISABLE_EOF_CHECK, NULL);
        assert_non_null(chunk);
        const json_t *choice = json_array_get(json_object_get(chunk, "choices"), 0);
        const json_t *piece = chat ? json_object_get(json_object_get(choice, "delta"), "content")
                                   : json_object_get(choice, "text");
        if (piece) samp_buffer_text(text, json_string_value(piece));
        const char *reason = json_string_value(json_object_get(choice, "finish_reason"));
        if (reason) snprintf(finish, 32, "%s", reason);
        json_decref(chunk);
    }
    assert_true(done);
    samp_buffer_release(&raw);
}

#define SAY(more) "{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]" more "}"

static void streams_say_what_answers_say(void **state)
{
    static const char *const bodies[][2] = {
        {SAY(", \"max_tokens\": 40, \"seed\": 3, \"ignore_eos\": true"),
         SAY(", \"max_tokens\": 40, \"seed\": 3, \"ignore_eos\": true, \"stream\": true")},
        {SAY(", \"max_tokens\": 60, \"temperature\": 0, \"stop\": [\"e\", \"xyz\"]"),
         SAY(", \"max_tokens\": 60, \"temperature\": 0, \"stop\": [\"e\", \"xyz\"], \"stream\": "
             "true")},
    };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        samp_buffer text = {0};
        char finish[32] = "";
        json_t *whole = post(&server, "/v1/chat/completions", bodies[i][0], 200);
        samp_buffer_text(&text, "");
        read_stream(bodies[i][1], true, &text, finish);
        assert_string_equal(text.data, text_of(whole, 0));
        assert_string_equal(finish, finish_of(whole, 0));
        json_decref(whole);
        samp_buffer_release(&text);
    }
}

static void a_stop_string_ends_the_text_before_it(void **state)
{
    (void)state;
    json_t *whole = post(&server, "/v1/completions",
                         "{\"prompt\": \"abc\", \"max_tokens\": 30, \"seed\": 9, \"ignore_eos\": "
                         "true}",
                         200);
    const char *text = text_of(whole, 0);
    size_t middle = 0; /* two plain characters in a row */
    while (text[middle] &&
           !(text[middle] > ' ' && text[middle] < 'z' && text[middle] != '\\' &&
             text[middle] != '"' && text[middle + 1] > ' ' && text[middle + 1] < 'z' &&
             text[middle + 1] != '\\' && text[middle + 1] != '"'))
        middle++;
    if (!text[middle]) {
        json_decref(whole);
        return; /* noise without two such characters: nothing to stop at */
    }
    char stop_string[3] = {text[middle], text[middle + 1], '\0'}, body[200];
    snprintf(body, sizeof body,
             "{\"prompt\": \"abc\", \"max_tokens\": 30, \"seed\": 9, \"ignore_eos\": true, "
             "\"stop\": \"%s\"}",
             stop_string);
    json_t *cut = post(&server, "/v1/completions", body, 200);
    size_t before = (size_t)(strstr(text, stop_string) - text);
    assert_int_equal(strlen(text_of(cut, 0)), before);
    assert_memory_equal(text_of(cut, 0), text, before);
    assert_string_equal(finish_of(cut, 0), "stop");
    json_decref(cut);
    json_decref(whole);
}

static void choices_and_prompts_are_told_apart(void **state)
{
    static const char body[] = "{\"prompt\": [\"One\", \"Two\"], \"n\": 2, \"max_tokens\": 5, "
                               "\"seed\": 1, \"logprobs\": 1, \"ignore_eos\": true}";
    (void)state;
    json_t *a = post(&server, "/v1/completions", body, 200);
    json_t *b = post(&server, "/v1/completions", body, 200);
    assert_int_equal(json_array_size(json_object_get(a, "choices")), 4);
    assert_true(json_equal(json_object_get(a, "choices"), json_object_get(b, "choices")));
    const json_t *usage = json_object_get(a, "usage");
    assert_int_equal(json_integer_value(json_object_get(usage, "prompt_tokens")), 6);
    assert_int_equal(json_integer_value(json_object_get(usage, "completion_tokens")), 20);
    json_decref(a);
    json_decref(b);
}

static void echo_scores_the_prompt(void **state)
{
    (void)state;
    json_t *a = post(&server, "/v1/completions",
                     "{\"prompt\": \"scored\", \"max_tokens\": 0, \"echo\": true, \"logprobs\": 2, "
                     "\"prompt_logprobs\": 1}",
                     200);
    const json_t *choice = json_array_get(json_object_get(a, "choices"), 0);
    const json_t *logprobs = json_object_get(choice, "logprobs");
    const json_t *values = json_object_get(logprobs, "token_logprobs");
    assert_string_equal(text_of(a, 0), "scored");
    assert_int_equal(json_array_size(values), 6);
    assert_true(json_is_null(json_array_get(values, 0)));
    for (size_t i = 1; i < 6; i++) assert_true(json_number_value(json_array_get(values, i)) < 0);
    assert_int_equal(json_array_size(json_object_get(choice, "prompt_logprobs")), 6);
    assert_int_equal(
        json_integer_value(json_array_get(json_object_get(logprobs, "text_offset"), 5)), 5);
    json_decref(a);
}

static void json_is_json(void **state)
{
    (void)state;
    json_t *a = post(
        &server, "/v1/chat/completions",
        SAY(", \"max_tokens\": 200, \"seed\": 4, \"response_format\": {\"type\": \"json_schema\", "
            "\"json_schema\": {\"name\": \"x\", \"strict\": true, \"schema\": {\"type\": "
            "\"object\", \"properties\": {\"a\": {\"enum\": [\"x\", \"yy\"]}, \"b\": {\"type\": "
            "\"integer\", \"minimum\": 3, \"maximum\": 17}}, \"required\": [\"a\", \"b\"], "
            "\"additionalProperties\": false}}}"),
        200);
    assert_string_equal(finish_of(a, 0), "stop");
    json_t *value = json_loads(text_of(a, 0), 0, NULL);
    assert_non_null(value);
    json_int_t b = json_integer_value(json_object_get(value, "b"));
    assert_true(b >= 3 && b <= 17 && json_object_size(value) == 2);
    json_decref(value);
    json_decref(a);
}

/* Choices share a compiled schema, and each is where it is in it. */
static void choices_share_a_schema(void **state)
{
    (void)state;
    json_t *a =
        post(&server, "/v1/chat/completions",
             SAY(", \"max_tokens\": 200, \"seed\": 4, \"n\": 12, \"response_format\": {\"type\": "
                 "\"json_schema\", \"json_schema\": {\"name\": \"x\", \"schema\": {\"type\": "
                 "\"object\", \"properties\": {\"a\": {\"enum\": [\"x\", \"yy\", 3]}}, "
                 "\"required\": [\"a\"], \"additionalProperties\": false}}}"),
             200);
    for (size_t i = 0; i < 12; i++) {
        json_t *value = json_loads(text_of(a, i), 0, NULL);
        assert_string_equal(finish_of(a, i), "stop");
        assert_true(json_object_size(value) == 1 && json_object_get(value, "a"));
        json_decref(value);
    }
    json_decref(a);
}

static void a_forced_tool_is_called(void **state)
{
    (void)state;
    json_t *a = post(
        &server, "/v1/chat/completions",
        SAY(", \"max_tokens\": 200, \"seed\": 4, \"tools\": [{\"type\": \"function\", "
            "\"function\": "
            "{\"name\": \"add\", \"parameters\": {\"type\": \"object\", \"properties\": {\"n\": "
            "{\"enum\": [1, 2]}}, \"required\": [\"n\"], \"additionalProperties\": false}}}], "
            "\"tool_choice\": \"required\""),
        200);
    const json_t *choice = json_array_get(json_object_get(a, "choices"), 0);
    const json_t *calls = json_object_get(json_object_get(choice, "message"), "tool_calls");
    const json_t *function = json_object_get(json_array_get(calls, 0), "function");
    assert_string_equal(json_string_value(json_object_get(function, "name")), "add");
    json_t *arguments =
        json_loads(json_string_value(json_object_get(function, "arguments")), 0, NULL);
    assert_true(json_integer_value(json_object_get(arguments, "n")) >= 1);
    assert_string_equal(finish_of(a, 0), "tool_calls");
    json_decref(arguments);
    json_decref(a);
}

/* ---- clients that leave ---------------------------------------------------------------------- */

static double status_number(const char *key)
{
    samp_buffer text = {0};
    assert_int_equal(ask(&server, "GET", "/status.json", NULL, NULL, &text), 200);
    json_t *json = body_json(&text);
    double value = json_number_value(json_object_get(json, key));
    json_decref(json);
    samp_buffer_release(&text);
    return value;
}

static void nothing_is_made_for_those_who_left(void **state)
{
    (void)state;
    for (int i = 0; i < 12; i++) {
        int fd = client_connect(&server);
        client_send(fd, "POST", "/v1/completions", NULL,
                    "{\"prompt\": \"on and on\", \"max_tokens\": 400, \"ignore_eos\": true, "
                    "\"stream\": true}");
        char piece[64];
        if (i % 3) assert_true(recv(fd, piece, sizeof piece, 0) > 0);
        if (i % 3 == 2) usleep(10000);
        close(fd);
    }
    double end = samp_clock() + 20;
    while (status_number("running") + status_number("waiting") + status_number("kv_usage") > 0 &&
           samp_clock() < end)
        usleep(5000);
    assert_true(status_number("running") == 0 && status_number("kv_usage") == 0);
    double made = status_number("generated_tokens");
    usleep(50000);
    assert_true(status_number("generated_tokens") == made);
}

static void metrics_tell_what_happened(void **state)
{
    samp_buffer text = {0};
    (void)state;
    assert_int_equal(ask(&server, "GET", "/metrics", NULL, NULL, &text), 200);
    static const char *const lines[] = {
        "\nvllm:num_requests_running{model_name=\"tiny\",engine=\"0\"} 0\n",
        "vllm:request_success_total{model_name=\"tiny\",engine=\"0\",finished_reason=\"length\"}",
        "vllm:e2e_request_latency_seconds_bucket{model_name=\"tiny\",engine=\"0\",le=\"0.25\"}",
        "vllm:time_to_first_token_seconds_bucket{model_name=\"tiny\",engine=\"0\",le=\"+Inf\"}",
        "samp_requests_total{model_name=\"tiny\",engine=\"0\",outcome=\"cancelled\"}",
        "samp_model_info{model_name=\"tiny\",engine=\"0\",quantization_level=\"fp32\"} 1\n",
        "\nprocess_resident_memory_bytes{",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(text.data, lines[i])) fail_msg("no line %s in %s", lines[i], text.data);
    samp_buffer_release(&text);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void sigterm_lets_the_running_end(void **state)
{
    served s;
    samp_buffer text = {0};
    (void)state;
    served_init(&s);
    served_start(&s);
    int fd = client_connect(&s);
    client_send(fd, "POST", "/v1/completions", NULL,
                "{\"prompt\": \"to the end\", \"max_tokens\": 300, \"ignore_eos\": true, "
                "\"stream\": true}");
    char piece[16];
    assert_true(recv(fd, piece, 12, 0) == 12);
    kill(getpid(), SIGTERM);
    samp_buffer_append(&text, piece, 12);
    assert_int_equal(client_receive(fd, &text), 200);
    assert_non_null(strstr(text.data, "\"finish_reason\":\"length\""));
    assert_non_null(strstr(text.data, "data: [DONE]"));
    pthread_join(s.thread, NULL);
    assert_int_equal(s.status, SAMP_OK);
    tiny_remove(s.folder);
    samp_buffer_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_say_what_answers_say),
        cmocka_unit_test(a_stop_string_ends_the_text_before_it),
        cmocka_unit_test(choices_and_prompts_are_told_apart),
        cmocka_unit_test(echo_scores_the_prompt),
        cmocka_unit_test(json_is_json),
        cmocka_unit_test(choices_share_a_schema),
        cmocka_unit_test(a_forced_tool_is_called),
        cmocka_unit_test(nothing_is_made_for_those_who_left),
        cmocka_unit_test(metrics_tell_what_happened),
    };
    const struct CMUnitTest alone[] = {cmocka_unit_test(sigterm_lets_the_running_end)};
    int failed = cmocka_run_group_tests(tests, start, stop);
    return failed + cmocka_run_group_tests(alone, NULL, NULL);
}
