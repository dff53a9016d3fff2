/* The load generator against a server whose every delay is known: figures within a millisecond or a
 * percent (of a mean; single values on a busy machine may be late), failures counted as failures,
 * a stall seen in full by an open loop. What the server does is named by the model asked for. */
#include "bench/load.h"
#include "bench/load_stream.h"
#include "bench/mock_server.h"
#include "support/cmocka_all.h"

#include <math.h>

enum { TTFT_MS = 100, TOKEN_MS = 20 };

static mock_server mock;

static int start(void **state)
{
    (void)state;
    return mock_start(&mock, TTFT_MS, TOKEN_MS) ? 0 : 1;
}

/* ---- the load -------------------------------------------------------------------------------- */

static char url[64];

static samp_load_options load_of(const char *model, uint32_t requests)
{
    snprintf(url, sizeof url, "http://127.0.0.1:%d/v1", mock.port);
    return (samp_load_options){.urls = {url},
                               .model = model,
                               .concurrency = 10,
                               .n_requests = requests,
                               .input_words = 5,
                               .output_tokens = 6,
                               .chat = true,
                               .timeout_s = 10,
                               .seed = 1};
}

static void run(const samp_load_options *options, samp_load_result *result,
                samp_load_summary *summary)
{
    samp_error error;
    atomic_store(&mock.n_requests, 0);
    if (samp_load_run(options, result, &error) != SAMP_OK) fail_msg("%s", error.message);
    samp_load_summarize(options, result, 0, summary);
}

/* Within a millisecond or a percent, and what a busy machine adds. */
static void near(double seconds, double wanted, double lag)
{
    double error = fmax(0.001, 0.01 * wanted) + 2 * lag + 0.004;
    if (fabs(seconds - wanted) > error) fail_msg("%f s instead of %f", seconds, wanted);
}

static void known_delays_are_measured(void **state)
{
    static const char *const models[] = {"plain", "crlf", "split", "coalesced"};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        bool coalesced = i == 3;
        samp_load_options options = load_of(models[i], 40);
        samp_load_result result;
        samp_load_summary s;
        run(&options, &result, &s);
        assert_int_equal(s.n_success, 40);
        assert_int_equal(s.output_tokens, 240);
        assert_int_equal(s.input_tokens, 280);
        double first = 1e-3 * (TTFT_MS + (coalesced ? TOKEN_MS : 0));
        near(s.figures[SAMP_LOAD_TTFT].p50, first, result.lag_p99);
        near(s.figures[SAMP_LOAD_TPOT].p50, 1e-3 * TOKEN_MS * (coalesced ? 4.0 / 5 : 1),
             result.lag_p99);
        near(s.figures[SAMP_LOAD_ITL].p50, 1e-3 * TOKEN_MS * (coalesced ? 2 : 1), result.lag_p99);
        near(s.figures[SAMP_LOAD_E2E].p50, 1e-3 * (TTFT_MS + 5 * TOKEN_MS), result.lag_p99);
        assert_int_equal(s.figures[SAMP_LOAD_ITL].n, coalesced ? 80 : 200);
        assert_true(isnan(s.figures[SAMP_LOAD_TTFT].p99)); /* 40 requests say nothing of it */
        samp_load_result_release(&result);
    }
}

static void failures_are_failures(void **state)
{
    static const struct {
        const char *model;
        samp_load_outcome outcome;
        uint32_t n;
    } rows[] = {{"faulty", SAMP_LOAD_ERROR_EVENT, 2}, {"nofinish", SAMP_LOAD_NO_FINISH, 20},
                {"nodone", SAMP_LOAD_NO_DONE, 20},    {"cut", SAMP_LOAD_CUT, 20},
                {"refuse", SAMP_LOAD_STATUS, 20},     {"page", SAMP_LOAD_MALFORMED, 20}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        samp_load_options options = load_of(rows[i].model, 20);
        samp_load_result result;
        samp_load_summary s;
        run(&options, &result, &s);
        if (s.n_failed[rows[i].outcome] != rows[i].n)
            fail_msg("%s: %u failed so", rows[i].model, s.n_failed[rows[i].outcome]);
        assert_int_equal(s.n_success, 20 - rows[i].n);
        samp_load_result_release(&result);
    }
    samp_load_options options = load_of("plain", 2);
    samp_load_result result;
    samp_load_summary s;
    options.timeout_s = 0.15;
    run(&options, &result, &s);
    assert_int_equal(s.n_failed[SAMP_LOAD_TIMEOUT], 2);
    samp_load_result_release(&result);
}

/* The server stands still for a second: whoever was due then waits, and is counted so. */
static void a_stall_is_seen_in_full(void **state)
{
    (void)state;
    samp_load_options options = load_of("stall", 60);
    samp_load_result result;
    samp_load_summary s;
    options.arrivals = SAMP_LOAD_CONSTANT;
    options.rate = 40;
    atomic_store(&mock.stall_until, samp_clock() + 1.1);
    run(&options, &result, &s);
    assert_int_equal(s.n_success, 60);
    double longest = 0;
    for (uint32_t i = 0; i < 60; i++) {
        const samp_load_record *record = &result.records[0][i];
        if (record->first_token - record->due > longest)
            longest = record->first_token - record->due;
    }
    assert_true(longest > 0.95);
    assert_true(s.figures[SAMP_LOAD_TTFT].p90 > 0.8);
    samp_load_result_release(&result);
}

static void two_servers_have_a_ratio(void **state)
{
    (void)state;
    samp_load_options options = load_of("plain", 20);
    samp_load_result result;
    samp_load_summary s;
    double ratio, low, high;
    options.urls[1] = url;
    run(&options, &result, &s);
    samp_load_ratio(&options, &result, SAMP_LOAD_E2E, &ratio, &low, &high);
    assert_true(low <= ratio && ratio <= high && ratio > 0.8 && ratio < 1.25);
    json_t *json = samp_load_json(&options, &result);
    assert_int_equal(json_integer_value(json_object_get(json, "completed")), 20);
    assert_true(json_is_number(json_object_get(json, "mean_ttft_ms")));
    assert_true(json_is_null(json_object_get(json, "p99_ttft_ms")));
    assert_int_equal(
        json_array_size(json_object_get(json_object_get(json, "ratio_of_medians"), "e2el")), 3);
    json_decref(json);
    samp_load_result_release(&result);
}

/* ---- objectives ------------------------------------------------------------------------------ */

static void objectives_are_checked(void **state)
{
    static const struct {
        const char *slo;
        bool met;
        samp_status status;
    } rows[] = {{"ttft_p99<250ms", true, SAMP_OK},
                {"ttft_p99<0.2s", false, SAMP_OK},
                {"ttft_p50<=100ms, success>=99.8%", true, SAMP_OK},
                {"success>99.95%", false, SAMP_OK},
                {"output_tok_s>=12", true, SAMP_OK},
                {"tpot_p99<1s", false, SAMP_OK}, /* not known */
                {"ttft<1", false, SAMP_INVALID},
                {"ttft_p99=3", false, SAMP_INVALID},
                {"ttft_p99<3 parsecs", false, SAMP_INVALID}};
    samp_load_summary s = {.success_share = 0.999, .output_tokens_per_s = 12};
    (void)state;
    for (int m = 0; m < SAMP_LOAD_MEASURES; m++)
        s.figures[m] = (samp_load_figure){.p50 = 0.1, .p99 = m == SAMP_LOAD_TTFT ? 0.22 : NAN};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        samp_buffer text = {0};
        samp_error error;
        bool met;
        samp_status status = samp_load_slo(rows[i].slo, &s, &text, &met, &error);
        assert_int_equal(status, rows[i].status);
        if (status == SAMP_OK && met != rows[i].met) fail_msg("%s: %s", rows[i].slo, text.data);
        samp_buffer_release(&text);
    }
}

/* ---- answers in any cutting ------------------------------------------------------------------ */

static void gather(void *context, const char *data, size_t n)
{
    samp_buffer_append(context, data, n);
    samp_buffer_append(context, "|", 1);
}

/* A hostile server's event of data lines without an empty one between them. */
static void an_event_without_end_is_broken(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    samp__stream s = {.on_event = gather};
    char line[2000] = "data: ";
    (void)state;
    memset(line + 6, 'x', sizeof line - 7);
    line[sizeof line - 1] = '\n';
    samp__stream_take(&s, head, sizeof head - 1);
    for (int i = 0; i < 1000; i++) samp__stream_take(&s, line, sizeof line);
    assert_int_equal(s.state, SAMP__STREAM_BROKEN);
    assert_in_range(s.event.length, 1 << 20, (1 << 20) + sizeof line);
    samp__stream_release(&s);
}

static void cutting_changes_nothing(void **state)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: "
                               "text/event-stream; x\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "8\r\ndata: a\r\n1\r\n\r\r\n9;x=y\r\n\ndata:b\r\n\r\n5\r\n: hi\n\r\n"
                               "8\r\ndata: \xc3\xa9\r\n3\r\n\n\n\n\r\n0\r\nT: 1\r\n\r\n";
    (void)state;
    for (size_t first = 1; first < sizeof text - 1; first++) {
        samp_buffer events = {0};
        samp__stream stream = {.on_event = gather, .context = &events};
        samp__stream_take(&stream, text, first);
        for (size_t at = first; at < sizeof text - 1; at++)
            samp__stream_take(&stream, text + at, 1);
        assert_int_equal(stream.state, SAMP__STREAM_COMPLETE);
        assert_int_equal(stream.status, 200);
        assert_string_equal(events.data, "a|b\n\xc3\xa9|");
        samp__stream_release(&stream);
        samp_buffer_release(&events);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_delays_are_measured),
        cmocka_unit_test(failures_are_failures),
        cmocka_unit_test(a_stall_is_seen_in_full),
        cmocka_unit_test(two_servers_have_a_ratio),
        cmocka_unit_test(objectives_are_checked),
        cmocka_unit_test(cutting_changes_nothing),
        cmocka_unit_test(an_event_without_end_is_broken),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
