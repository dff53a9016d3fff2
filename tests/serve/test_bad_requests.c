/* Requests that must be refused: items 61 to 65 of the project's list of bad inputs. Each gets the
 * right status and an error object that names the field; the server goes on. */
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

/* Posts and compares status and param; NULL = null. */
static void refused(const char *path, const char *body, int status, const char *param)
{
    json_t *json = post(&server, path, body, status);
    const json_t *error = json_object_get(json, "error");
    const char *got = json_string_value(json_object_get(error, "param"));
    assert_int_equal(json_object_size(error), 4);
    assert_true(json_string_length(json_object_get(error, "message")) > 8);
    assert_non_null(json_object_get(error, "type"));
    if (param ? !got || strcmp(got, param) != 0 : got != NULL)
        fail_msg("param %s instead of %s for %s", got ? got : "null", param ? param : "null", body);
    json_decref(json);
}

#define CHAT     "/v1/chat/completions"
#define HI(more) "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], " more "}"

static void numbers_out_of_range_61(void **state)
{
    static const struct {
        const char *body, *param;
    } rows[] = {
        {HI("\"n\": 0"), "n"},
        {HI("\"n\": -1"), "n"},
        {HI("\"n\": 2147483648"), "n"},
        {HI("\"n\": 1.5"), "n"},
        {HI("\"n\": \"3\""), "n"},
        {HI("\"max_tokens\": -1"), "max_tokens"},
        {HI("\"max_tokens\": 0"), "max_tokens"},
        {HI("\"max_tokens\": 9223372036854775807"), "max_tokens"},
        {HI("\"logprobs\": true, \"top_logprobs\": 1000000"), "top_logprobs"},
        {HI("\"top_logprobs\": 3"), "top_logprobs"},
        {HI("\"stop\": \"\""), "stop"},
        {HI("\"stop\": [\"a\", 1]"), "stop"},
        {HI("\"logit_bias\": {\"99999999999\": 1}"), "logit_bias"},
        {HI("\"logit_bias\": {\"-1\": 1}"), "logit_bias"},
        {HI("\"logit_bias\": {\"3\": 101}"), "logit_bias"},
        {HI("\"logit_bias\": {\"3\": \"NaN\"}"), "logit_bias"},
        {HI("\"temperature\": -1"), "temperature"},
        {HI("\"temperature\": 1e308"), "temperature"},
        {HI("\"temperature\": \"nan\""), "temperature"},
        {HI("\"top_p\": 1.01"), "top_p"},
        {HI("\"seed\": \"x\""), "seed"},
        {HI("\"stream\": 1"), "stream"},
        {HI("\"min_tokens\": 9, \"max_tokens\": 8"), "min_tokens"},
        {HI("\"stop_token_ids\": [304]"), "stop_token_ids"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refused(CHAT, rows[i].body, 400, rows[i].param);
    refused(CHAT, HI("\"seed\": 9223372036854775808"), 400, "seed");
}

static void many_of_everything_61(void **state)
{
    samp_buffer body = {0};
    (void)state;
    samp_buffer_text(&body,
                     "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"stop\": [");
    for (int i = 0; i < 100000; i++) samp_buffer_printf(&body, "%s\"s%d\"", i ? "," : "", i);
    samp_buffer_text(&body, "]}");
    refused(CHAT, body.data, 400, "stop");
    samp_buffer_clear(&body);
    samp_buffer_text(
        &body, "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"logit_bias\": {");
    for (int i = 0; i < 100000; i++) samp_buffer_printf(&body, "%s\"%d\": 1", i ? "," : "", i);
    samp_buffer_text(&body, "}}");
    refused(CHAT, body.data, 400, "logit_bias");
    samp_buffer_clear(&body);
    samp_buffer_text(&body, "{\"messages\": [");
    for (int i = 0; i < 100000; i++)
        samp_buffer_printf(&body, "%s{\"role\":\"user\",\"content\":\"x\"}", i ? "," : "");
    samp_buffer_text(&body, "]}");
    refused(CHAT, body.data, 400, "messages");
    samp_buffer_release(&body);
}

static void prompts_and_messages_61(void **state)
{
    static const struct {
        const char *path, *body, *param;
    } rows[] = {
        {"/v1/completions", "{\"prompt\": [-1]}", "prompt"},
        {"/v1/completions", "{\"prompt\": [304]}", "prompt"},
        {"/v1/completions", "{\"prompt\": []}", "prompt"},
        {"/v1/completions", "{\"prompt\": [[]]}", "prompt"},
        {"/v1/completions", "{\"prompt\": [\"a\", [1]]}", "prompt"},
        {"/v1/completions", "{\"prompt\": 3}", "prompt"},
        {"/v1/completions", "{}", "prompt"},
        {CHAT, "{\"messages\": []}", "messages"},
        {CHAT, "{}", "messages"},
        {CHAT, "{\"messages\": [1]}", "messages[0]"},
        {CHAT, "{\"messages\": [{\"role\": \"cat\", \"content\": \"x\"}]}", "messages[0]"},
        {CHAT, "{\"messages\": [{\"content\": \"x\"}]}", "messages[0]"},
        {CHAT, "{\"messages\": [{\"role\": \"user\"}]}", "messages[0]"},
        {CHAT, "{\"messages\": [{\"role\": \"user\", \"content\": null}]}", "messages[0]"},
        {CHAT, "{\"messages\": [{\"role\": \"user\", \"content\": 5}]}", "messages[0]"},
        {CHAT, "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]}",
         "messages[0]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refused(rows[i].path, rows[i].body, 400, rows[i].param);
    refused(CHAT, HI("\"model\": \"other\""), 404, "model");
    refused(CHAT, HI("\"temprature\": 1"), 400, "temprature");
    refused(CHAT, HI("\"web_search_options\": {}"), 400, "web_search_options");
}

/* Text that reads like a special token is text: it costs as many tokens as it has bytes. */
static void special_tokens_of_users_are_text_61(void **state)
{
    (void)state;
    json_t *a = post(&server, CHAT,
                     "{\"messages\": [{\"role\": \"user\", \"content\": \"<end>\"}], "
                     "\"max_tokens\": 1}",
                     200);
    json_t *b = post(&server, CHAT,
                     "{\"messages\": [{\"role\": \"user\", \"content\": \"abcde\"}], "
                     "\"max_tokens\": 1}",
                     200);
    json_int_t n =
        json_integer_value(json_object_get(json_object_get(a, "usage"), "prompt_tokens"));
    assert_int_equal(
        n, json_integer_value(json_object_get(json_object_get(b, "usage"), "prompt_tokens")));
    json_decref(a);
    json_decref(b);
}

static void long_words_are_too_long_at_once_61(void **state)
{
    samp_buffer body = {0};
    (void)state;
    samp_buffer_text(&body, "{\"prompt\": \"");
    char *room = samp_buffer_reserve(&body, 5 << 20);
    memset(room, 'a', 5 << 20);
    body.length += 5 << 20;
    samp_buffer_text(&body, "\"}");
    refused("/v1/completions", body.data, 400, "prompt");
    samp_buffer_release(&body);
}

static void bodies_that_are_no_json_62(void **state)
{
    static const char *const bodies[] = {
        "",
        "{",
        "[]",
        "{\"messages\": [{\"role\": \"user\", \"content\": \"\\ud800\"}]}",
        "{\"messages\": [], \"messages\": []}",
        "{\"n\": NaN}",
        HI("\"n\": 1") "x",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) refused(CHAT, bodies[i], 400, NULL);
    samp_buffer deep = {0};
    samp_buffer_text(&deep, "{\"messages\": ");
    for (int i = 0; i < 1000000; i++) samp_buffer_append(&deep, "[", 1);
    refused(CHAT, deep.data, 400, NULL);
    samp_buffer_clear(&deep);
    samp_buffer_text(&deep, "{\"n\": 1");
    for (int i = 0; i < 1000000; i++) samp_buffer_append(&deep, "0", 1);
    samp_buffer_text(&deep, "}");
    refused(CHAT, deep.data, 400, NULL);
    samp_buffer_release(&deep);
}

static void compressed_bodies_are_refused_62(void **state)
{
    samp_buffer text = {0};
    (void)state;
    int status = ask(&server, "POST", CHAT, "Content-Encoding: gzip\r\n", "\x1f\x8b", &text);
    assert_int_equal(status, 415);
    samp_buffer_release(&text);
}

#define SCHEMA(schema)                                                                             \
    HI("\"response_format\": {\"type\": \"json_schema\", \"json_schema\": {\"name\": \"x\", "      \
       "\"schema\": " schema "}}")

static void hostile_schemas_63(void **state)
{
    samp_buffer body = {0};
    (void)state;
    refused(CHAT, SCHEMA("{\"$ref\": \"#\"}"), 400, "response_format");
    refused(CHAT, SCHEMA("{\"allOf\": [{\"$ref\": \"#\"}]}"), 400, "response_format");
    refused(CHAT, SCHEMA("{\"uniqueItems\": true}"), 400, "response_format");
    refused(CHAT, SCHEMA("{\"type\": \"array\", \"minItems\": 3, \"maxItems\": 2}"), 400,
            "response_format");
    refused(CHAT, SCHEMA("{\"pattern\": \"(a{9999}){9999}\"}"), 400, "response_format");
    refused(CHAT, SCHEMA("3"), 400, "response_format.json_schema.schema");
    refused(CHAT, HI("\"response_format\": {\"type\": \"grammar\"}"), 400, "response_format.type");
    /* patterns that ruin backtracking engines, and long lists, are only work */
    json_t *a =
        post(&server, CHAT,
             SCHEMA("{\"type\": \"string\", \"pattern\": \"^(a+)+$\", \"maxLength\": 4}"), 200);
    json_decref(a);
    samp_buffer_text(&body, "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], "
                            "\"max_tokens\": 3, \"response_format\": {\"type\": \"json_schema\", "
                            "\"json_schema\": {\"name\": \"x\", \"schema\": {\"enum\": [");
    for (int i = 0; i < 20000; i++) samp_buffer_printf(&body, "%s\"v%d\"", i ? "," : "", i);
    samp_buffer_text(&body, "]}}}}");
    a = post(&server, CHAT, body.data, 200);
    json_decref(a);
    samp_buffer_release(&body);
}

static void headers_64(void **state)
{
    samp_buffer text = {0};
    (void)state;
    ask(&server, "POST", CHAT, "X-Request-Id: mine-1\r\n", HI("\"max_tokens\": 1"), &text);
    assert_non_null(strstr(text.data, "X-Request-Id: mine-1\r\n"));
    ask(&server, "POST", CHAT, "X-Request-Id: <bad id>\r\n", HI("\"max_tokens\": 1"), &text);
    assert_null(strstr(text.data, "<bad id>"));
    ask(&server, "POST", CHAT,
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
        HI("\"max_tokens\": 1"), &text);
    assert_non_null(strstr(text.data, "traceparent: 00-0af7651916cd43dd8448eb211c80319c-"));
    assert_int_equal(ask(&server, "GET", "/v1/chat/completions", NULL, NULL, &text), 405);
    assert_int_equal(ask(&server, "GET", "/v2", NULL, NULL, &text), 404);
    samp_buffer_release(&text);
}

static void template_variables_stay_the_servers_65(void **state)
{
    (void)state;
    refused(CHAT, HI("\"chat_template_kwargs\": {\"messages\": []}"), 400, "chat_template_kwargs");
    refused(CHAT, HI("\"chat_template_kwargs\": 1"), 400, "chat_template_kwargs");
}

static void keys_64(void **state)
{
    served s;
    samp_buffer text = {0};
    char path[300];
    (void)state;
    served_init(&s);
    write_text(s.folder, "keys.txt", "# two keys\nsecret-number-1\n\nsecret-number-2\n");
    snprintf(path, sizeof path, "%s/keys.txt", s.folder);
    s.options.api_keys = path;
    served_start(&s);
    static const struct {
        const char *header;
        int status;
    } rows[] = {{NULL, 401},
                {"Authorization: Bearer wrong\r\n", 401},
                {"Authorization: Bearer secret-number-\r\n", 401},
                {"Authorization: Basic secret-number-1\r\n", 401},
                {"Authorization: Bearer secret-number-1\r\n", 200},
                {"Authorization: bearer secret-number-2\r\n", 200}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int status = ask(&s, "GET", "/v1/models", rows[i].header, NULL, &text);
        assert_int_equal(status, rows[i].status);
        if (status == 401) assert_non_null(strstr(text.data, "WWW-Authenticate: Bearer\r\n"));
    }
    assert_int_equal(ask(&s, "GET", "/health", NULL, NULL, &text), 200);
    assert_int_equal(ask(&s, "GET", "/v1/models?key=secret-number-1", NULL, NULL, &text), 401);
    served_stop(&s);
    samp_buffer_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_out_of_range_61),
        cmocka_unit_test(many_of_everything_61),
        cmocka_unit_test(prompts_and_messages_61),
        cmocka_unit_test(special_tokens_of_users_are_text_61),
        cmocka_unit_test(long_words_are_too_long_at_once_61),
        cmocka_unit_test(bodies_that_are_no_json_62),
        cmocka_unit_test(compressed_bodies_are_refused_62),
        cmocka_unit_test(hostile_schemas_63),
        cmocka_unit_test(headers_64),
        cmocka_unit_test(template_variables_stay_the_servers_65),
    };
    const struct CMUnitTest alone[] = {cmocka_unit_test(keys_64)};
    int failed = cmocka_run_group_tests(tests, start, stop);
    return failed + cmocka_run_group_tests(alone, NULL, NULL);
}
