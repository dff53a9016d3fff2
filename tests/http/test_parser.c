/* The parser, by table: what each input is, or with which status it is refused. Every input is fed
 * whole, byte by byte, and cut in two at every place: the result must be the same each time.
 * Numbers in names are the items of the project's list of bad inputs (HTTP: 55 to 60). */
#include "http/parser.h"
#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define H "Host: a\r\n" /* the field without which nothing goes */

static const samp_http_limits small = {
    .request_line_bytes_max = 100, .head_bytes_max = 300, .body_bytes_max = 1000, .headers_max = 8};

/* Everything about a result that a caller can see. */
typedef struct result {
    samp_http_event event;
    int status;
    char text[2048]; /* method, path, query, fields, body */
    size_t used;     /* of the input; 0 when refused */
} result;

static void describe(result *r, const samp_http_parser *parser)
{
    const samp_http_request *request = parser->request;
    char *p = r->text;
    size_t left = sizeof r->text;
    int n = snprintf(p, left, "%s %s ?%s 1.%u%s%s\n", samp_http_method_name(request->method),
                     request->path, request->query, request->minor,
                     request->keep_alive ? " keep" : "", parser->expects_continue ? " 100" : "");
    for (unsigned i = 0; i < request->n_headers; i++)
        n += snprintf(p + n, left - (size_t)n, "%s=%s\n", request->headers[i].name,
                      request->headers[i].value);
    assert_int_equal(strlen(request->body), request->body_length); /* the table's have no NUL */
    n += snprintf(p + n, left - (size_t)n, "[%s]", request->body);
    assert_true(n >= 0 && (size_t)n < left);
}

/* Feeds bytes in two pieces cut at `cut`, or each byte alone when cut > n. */
static result parse(const char *bytes, size_t n, size_t cut)
{
    samp_http_request request = {0};
    samp_http_parser parser;
    samp_http_parser_init(&parser, &small, &request);
    result r = {.event = SAMP_HTTP_MORE};
    size_t at = 0, head_seen = 0;
    while (r.event == SAMP_HTTP_MORE && at < n) {
        size_t end = cut > n ? at + 1 : at < cut ? cut : n, used;
        /* Its own block, so that a sanitizer sees a read past the piece. */
        char *piece = malloc(end - at ? end - at : 1);
        memcpy(piece, bytes + at, end - at);
        r.event = samp_http_parser_feed(&parser, piece, end - at, &used);
        at += used;
        free(piece);
        if (r.event == SAMP_HTTP_HAVE_HEAD) {
            head_seen++;
            r.event = samp_http_parser_feed(&parser, "", 0, &used);
            assert_int_equal(used, 0);
        }
    }
    if (r.event == SAMP_HTTP_HAVE_ALL) {
        assert_int_equal(head_seen, 1);
        describe(&r, &parser);
        r.used = at;
    }
    if (r.event == SAMP_HTTP_REFUSED) {
        r.status = parser.status;
        snprintf(r.text, sizeof r.text, "%s", parser.reason);
    }
    samp_http_request_release(&request);
    return r;
}

static result parse_every_way(const char *bytes, size_t n)
{
    result whole = parse(bytes, n, n);
    for (size_t cut = 1; cut <= n + 1; cut++) {
        if (cut == n) continue;
        result again = parse(bytes, n, cut);
        if (memcmp(&again, &whole, sizeof whole) != 0)
            fail_msg("cut at %zu of %zu it is %d %d %s, whole %d %d %s:\n%s", cut, n, again.event,
                     again.status, again.text, whole.event, whole.status, whole.text, bytes);
    }
    return whole;
}

static void what_is_right_is_taken(void **state)
{
    static const struct {
        const char *bytes, *expected;
    } rows[] = {
        {"GET / HTTP/1.1\r\n" H "\r\n", "GET / ? 1.1 keep\nHost=a\n[]"},
        {"\r\nGET / HTTP/1.1\r\n" H "\r\n", "GET / ? 1.1 keep\nHost=a\n[]"},
        {"GET / HTTP/1.0\r\n\r\n", "GET / ? 1.0\n[]"},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
         "GET / ? 1.0 keep\nConnection=Keep-Alive\n[]"},
        {"GET / HTTP/1.1\r\n" H "Connection: x , CLOSE\r\n\r\n",
         "GET / ? 1.1\nHost=a\nConnection=x , CLOSE\n[]"},
        {"GET / HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
         "GET / ? 1.1 keep\nHost=a\nConnection=upgrade\nUpgrade=h2c\n[]"},
        {"GET / HTTP/1.1\r\n" H "Connection: keep-alive\r\nConnection: close\r\n\r\n",
         "GET / ? 1.1\nHost=a\nConnection=keep-alive\nConnection=close\n[]"},
        {"OPTIONS * HTTP/1.1\r\nhOST:[::1]:80\r\n\r\n", "OPTIONS * ? 1.1 keep\nhOST=[::1]:80\n[]"},
        {"GET /v1/models/a%2Fb%C3%A9?q=%41&x=1?/ HTTP/1.1\r\n" H "\r\n",
         "GET /v1/models/a/b\xc3\xa9 ?q=%41&x=1?/ 1.1 keep\nHost=a\n[]"},
        {"GET /...a/.b?../ HTTP/1.1\r\n" H "\r\n", "GET /...a/.b ?../ 1.1 keep\nHost=a\n[]"},
        {"GET /? HTTP/1.1\r\n" H "X:\t \r\nY: a \t b \r\n\r\n",
         "GET / ? 1.1 keep\nHost=a\nX=\nY=a \t b\n[]"},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello",
         "POST / ? 1.1 keep\nHost=a\nContent-Length=5\n[hello]"},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n",
         "POST / ? 1.1 keep\nHost=a\nContent-Length=0\n[]"},
        {"GET / HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi", /* 59 */
         "GET / ? 1.1 keep\nHost=a\nContent-Length=2\n[hi]"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n"
         "5\r\nhello\r\n06;a=\"b;c\"\r\n world\r\n0;x\r\nT: 1\r\n\r\n",
         "POST / ? 1.1 keep\nHost=a\nTransfer-Encoding=Chunked\n[hello world]"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "POST / ? 1.1 keep\nHost=a\nTransfer-Encoding=chunked\n[]"},
        /* 56: a trailer never becomes a field */
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
         "1\r\nx\r\n0\r\nAuthorization: Bearer k\r\nContent-Length: 9\r\n\r\n",
         "POST / ? 1.1 keep\nHost=a\nTransfer-Encoding=chunked\n[x]"},
        {"POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
         "POST / ? 1.1 keep 100\nHost=a\nExpect=100-Continue\nContent-Length=1\n[x]"},
        {"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
         "POST / ? 1.0\nExpect=100-continue\nContent-Length=1\n[x]"},
        {"GET / HTTP/1.1\r\n" H "Expect: 100-continue\r\n\r\n",
         "GET / ? 1.1 keep\nHost=a\nExpect=100-continue\n[]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = strlen(rows[i].bytes);
        result r = parse_every_way(rows[i].bytes, n);
        if (r.event != SAMP_HTTP_HAVE_ALL) fail_msg("%d %s: %s", r.status, r.text, rows[i].bytes);
        assert_string_equal(r.text, rows[i].expected);
        assert_int_equal(r.used, n);
    }
}

typedef struct refusal {
    int status;
    const char *bytes;
} refusal;

static void check_refusals(const refusal *rows, size_t n_rows)
{
    for (size_t i = 0; i < n_rows; i++) {
        result r = parse_every_way(rows[i].bytes, strlen(rows[i].bytes));
        if (r.event != SAMP_HTTP_REFUSED || r.status != rows[i].status)
            fail_msg("event %d, status %d (%s) instead of %d:\n%s", r.event, r.status, r.text,
                     rows[i].status, rows[i].bytes);
        assert_true(r.text[0] && r.text[strlen(r.text) - 1] != '.');
    }
}

static void request_lines_58(void **state)
{
    static const refusal rows[] = {
        {400, "\x16\x03\x01\x02"}, /* a TLS hello on a plain port */
        {505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
        {505, "GET / HTTP/1.2\r\n" H "\r\n"},
        {505, "GET / HTTP/0.9\r\n" H "\r\n"},
        {400, "GET /\r\n"},
        {400, "GET / HTTP/1.1 \r\n"},
        {400, "GET / HTTP/1.10\r\n"},
        {400, "GET / HTTP/1,1\r\n"},
        {400, "GET / http/1.1\r\n"},
        {400, "GET  / HTTP/1.1\r\n"},
        {400, "GET\t/ HTTP/1.1\r\n"},
        {400, " GET / HTTP/1.1\r\n"},
        {400, "\r\n\r\nGET / HTTP/1.1\r\n"},
        {400, "\rGET / HTTP/1.1\r\n"},
        {400, "\nGET / HTTP/1.1\r\n"},
        {400, "G(T / HTTP/1.1\r\n"},
        {501, "get / HTTP/1.1\r\n"},
        {501, "TRACE / HTTP/1.1\r\n"},
        {501, "CONNECT a:443 HTTP/1.1\r\n"},
        {400, "GET a:443 HTTP/1.1\r\n"},
        {400, "GET http://a/ HTTP/1.1\r\n"},
        {400, "GET * HTTP/1.1\r\n"},
        {400, "OPTIONS *?a HTTP/1.1\r\n"},
        {400, "GET /%00 HTTP/1.1\r\n"},
        {400, "GET /%0d%0aX HTTP/1.1\r\n"},
        {400, "GET /%7f HTTP/1.1\r\n"},
        {400, "GET /% HTTP/1.1\r\n"},
        {400, "GET /%2 HTTP/1.1\r\n"},
        {400, "GET /%g0 HTTP/1.1\r\n"},
        {400, "GET /?%zz HTTP/1.1\r\n"},
        {400, "GET /%ff HTTP/1.1\r\n"},    /* not UTF-8 */
        {400, "GET /%c0%af HTTP/1.1\r\n"}, /* overlong '/' */
        {400, "GET /a/%2e%2e/b HTTP/1.1\r\n"},
        {400, "GET /a/..%2fb HTTP/1.1\r\n"},
        {400, "GET /a/./b HTTP/1.1\r\n"},
        {400, "GET /.. HTTP/1.1\r\n"},
        {400, "GET /a#b HTTP/1.1\r\n"},
        {400, "GET /a\"b HTTP/1.1\r\n"},
        {400, "GET /a\\b HTTP/1.1\r\n"},
        {400, "GET /\xc3\xa9 HTTP/1.1\r\n"}, /* not encoded */
        {400, "GET / HTTP/1.1\n"},
        {400, "GET / HTTP/1.1\rX"},
    };
    (void)state;
    check_refusals(rows, sizeof rows / sizeof *rows);
}

static void fields(void **state)
{
    static const refusal rows[] = {
        {400, "GET / HTTP/1.1\r\n\r\n"}, /* no Host */
        {400, "GET / HTTP/1.1\r\n" H H "\r\n"},
        {400, "GET / HTTP/1.0\r\n" H "HOST: a\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a,b\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a b\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: u@a\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a/b\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a:80x\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: [::1\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: []\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: :80\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X : 1\r\n"},
        {400, "GET / HTTP/1.1\r\n" H " X: 1\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X: 1\r\n\tfolded\r\n"},
        {400, "GET / HTTP/1.1\r\n X: before any field\r\n"},
        {400, "GET / HTTP/1.1\r\n" H ": 1\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X(: 1\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X\xc3\xa9: 1\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X: a\x01\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X: a\x7f\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X: a\nY: b\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X: a\rY: b\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X: a\r\n\n"},
        {400, "GET / HTTP/1.1\r\n" H "\r\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "Connection: a b\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "Connection: close;x\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "Authorization: a\r\nauthorization: b\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "Content-Type: a\r\nContent-Type: a\r\n"},
        {417, "GET / HTTP/1.1\r\n" H "Expect: 200-ok\r\n"},
        {417, "GET / HTTP/1.1\r\n" H "Expect:\r\n"},
    };
    (void)state;
    check_refusals(rows, sizeof rows / sizeof *rows);
}

#define POST    "POST / HTTP/1.1\r\n" H
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static void framing_56(void **state)
{
    static const refusal rows[] = {
        {400, POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {400, POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"},
        {400, POST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {400, POST "Content-Length: 5\r\nContent-Length: 5\r\n"},
        {400, POST "Content-Length: 5\r\nContent-Length: 6\r\n"},
        {400, POST "Content-Length: 5, 5\r\n"},
        {400, POST "Content-Length: +5\r\n"},
        {400, POST "Content-Length: -5\r\n"},
        {400, POST "Content-Length: 5 5\r\n"},
        {400, POST "Content-Length: 05\r\n"},
        {400, POST "Content-Length: 0x5\r\n"},
        {400, POST "Content-Length: 5.0\r\n"},
        {400, POST "Content-Length: 1e3\r\n"},
        {400, POST "Content-Length:\r\n"},
        {400, POST "Content-Length: \"5\"\r\n"},
        {400, POST "Content-Length : 5\r\n"},
        {413, POST "Content-Length: 1001\r\n"},
        {413, POST "Content-Length: 9223372036854775808\r\n"},
        {413, POST "Content-Length: 18446744073709551621\r\n"}, /* 2^64 + 5 */
        {413, POST "Content-Length: 100000000000000000000000000000000000005\r\n"},
        {501, POST "Transfer-Encoding: identity\r\n"},
        {501, POST "Transfer-Encoding: gzip, chunked\r\n"},
        {501, POST "Transfer-Encoding: chunked, chunked\r\n"},
        {501, POST "Transfer-Encoding: chunked, identity\r\n"},
        {501, POST "Transfer-Encoding: xchunked\r\n"},
        {501, POST "Transfer-Encoding: chunked;q=1\r\n"},
        {501, POST "Transfer-Encoding: \"chunked\"\r\n"},
        {400, POST "Transfer-Encoding: \vchunked\r\n"},
        {400, POST "Transfer-Encoding:\r\n"},
        {400, POST "Transfer-Encoding : chunked\r\n"},
        {400, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"},
        {400, POST "Transfer-Encoding:\r\n chunked\r\n"},
        {400, "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"},
    };
    (void)state;
    check_refusals(rows, sizeof rows / sizeof *rows);
}

static void chunks_56(void **state)
{
    static const refusal rows[] = {
        {413, CHUNKED "ffffffffffffffff\r\n"},
        {413, CHUNKED "10000000000000005\r\n"},
        {400, CHUNKED "00000000000000005\r\n"}, /* 17 digits */
        {413, CHUNKED "3e9\r\n"},
        {400, CHUNKED "\r\n"},
        {400, CHUNKED "-1\r\n"},
        {400, CHUNKED "0x5\r\n"},
        {400, CHUNKED "5 \r\n"},
        {400, CHUNKED " 5\r\n"},
        {400, CHUNKED "5\n"},
        {400, CHUNKED "5\rhello"},
        {400, CHUNKED "5;a\nhello"},
        {400, CHUNKED "5;a\x01\r\n"},
        {400, CHUNKED "5\r\nhelloX"},
        {400, CHUNKED "5\r\nhello\n"},
        {400, CHUNKED "5\r\nhello\rX"},
        {400, CHUNKED "5\r\nhello\r\n\r\n"},
        {400, CHUNKED "0\r\n folded: 1\r\n"},
        {400, CHUNKED "0\r\nno colon\r\n"},
        {400, CHUNKED "0\r\nT: 1\n"},
        {400, CHUNKED "0\r\nT : 1\r\n"},
        {431, CHUNKED "0\r\nA:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\nG:\r\n"},
    };
    (void)state;
    check_refusals(rows, sizeof rows / sizeof *rows);
}

/* head, then `unit` over and over until something is decided. */
static samp_http_parser flood(samp_http_request *request, const char *head, const char *unit,
                              size_t *taken)
{
    const samp_http_limits real = {8192, 32768, 1 << 20, 100};
    samp_http_parser parser;
    samp_http_parser_init(&parser, &real, request);
    samp_http_event event = SAMP_HTTP_MORE;
    const char *next = head;
    for (*taken = 0; event < SAMP_HTTP_HAVE_ALL && *taken < 10 << 20;) {
        size_t used;
        event = samp_http_parser_feed(&parser, next, strlen(next), &used);
        *taken += used;
        next = next[used] ? next + used : unit;
    }
    assert_int_equal(event, SAMP_HTTP_REFUSED);
    /* What was kept is bounded by the limits, not by what was sent. */
    assert_true(request->head_bytes.length <= real.head_bytes_max);
    samp_http_request_release(request);
    return parser;
}

static void floods_57(void **state)
{
    static const struct {
        int status;
        const char *head, *unit;
        size_t most;
    } rows[] = {
        {431, "GET / HTTP/1.1\r\n", "A: b\r\n", 16 + 101 * 6},    /* 100,000 fields */
        {431, "GET / HTTP/1.1\r\nX: ", "aaaaaaaaaa", 32768 + 20}, /* a field of 1 MB */
        {431, "GET / HTTP/1.1\r\n", "aaaaaaaaaa", 32768 + 20},
        {414, "GET /", "aaaaaaaaaa", 8192 + 20}, /* a URI of 10 MB */
        {414, "", "A", 8192 + 20},
        {431, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1;", "xxxxxxxx",
         32768 + 99},
        {431, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n",
         "1;xxxxxxxxxxx\r\nb\r\n", 60000},
        {431, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\nT:", "xxxxxx",
         32768 + 99},
        {413, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", "4\r\nabcd\r\n",
         9 << 19},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        samp_http_request request = {0};
        size_t taken;
        samp_http_parser parser = flood(&request, rows[i].head, rows[i].unit, &taken);
        assert_int_equal(parser.status, rows[i].status);
        assert_true(taken <= rows[i].most);
    }
}

/* The limits themselves are still accepted. */
static void limits_are_reached(void **state)
{
    (void)state;
    char bytes[2048];
    for (int over = 0; over <= 1; over++) {
        int n = snprintf(bytes, sizeof bytes, "GET /%0*d HTTP/1.1\r\n" H "\r\n", 86 + over, 0);
        assert_int_equal(parse_every_way(bytes, (size_t)n).status, over ? 414 : 0);
        n = snprintf(bytes, sizeof bytes, "GET / HTTP/1.1\r\n" H "X: %0*d\r\n\r\n",
                     300 - 16 - 9 - 5 - 2 + over, 0);
        assert_int_equal(parse_every_way(bytes, (size_t)n).status, over ? 431 : 0);
        n = snprintf(bytes, sizeof bytes, CHUNKED "%x\r\n%0*d\r\n0\r\n\r\n", 1000 + over,
                     1000 + over, 0);
        assert_int_equal(parse_every_way(bytes, (size_t)n).status, over ? 413 : 0);
        n = snprintf(bytes, sizeof bytes,
                     "GET / HTTP/1.1\r\n" H "a:\r\nb:\r\nc:\r\nd:\r\ne:\r\n"
                     "f:\r\ng:\r\n%s\r\n",
                     over ? "h:\r\n" : "");
        assert_int_equal(parse_every_way(bytes, (size_t)n).status, over ? 431 : 0);
    }
}

static void pipelined_requests_are_told_apart(void **state)
{
    (void)state;
    const char *bytes = "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nGET"
                        "GET /2 HTTP/1.1\r\n" H "\r\n";
    result r = parse_every_way(bytes, strlen(bytes));
    assert_int_equal(r.event, SAMP_HTTP_HAVE_ALL);
    assert_string_equal(bytes + r.used, "GET /2 HTTP/1.1\r\n" H "\r\n");
}

static void unfinished_requests_wait(void **state)
{
    (void)state;
    const char *bytes = "\r\nPOST /a HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
                        "5;x\r\nhello\r\n0\r\nT: 1\r\n\r\n";
    for (size_t n = 0; n < strlen(bytes); n++) {
        samp_http_request request = {0};
        samp_http_parser parser;
        size_t used, more;
        samp_http_parser_init(&parser, &small, &request);
        samp_http_event event = samp_http_parser_feed(&parser, bytes, n, &used);
        if (event == SAMP_HTTP_HAVE_HEAD)
            event = samp_http_parser_feed(&parser, bytes + used, n - used, &more);
        assert_int_equal(event, SAMP_HTTP_MORE);
        assert_int_equal(samp_http_parser_started(&parser), n > 2);
        samp_http_request_release(&request);
    }
}

static void fields_are_found_in_any_case(void **state)
{
    (void)state;
    const char *bytes = "GET / HTTP/1.1\r\n" H "X-Id: 1\r\nx-id: 2\r\n\r\n";
    samp_http_request request = {0};
    samp_http_parser parser;
    size_t used;
    samp_http_parser_init(&parser, &small, &request);
    assert_int_equal(samp_http_parser_feed(&parser, bytes, strlen(bytes), &used),
                     SAMP_HTTP_HAVE_HEAD);
    assert_string_equal(samp_http_request_header(&request, "X-ID"), "1");
    assert_null(samp_http_request_header(&request, "X-I"));
    samp_http_request_release(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_right_is_taken),
                                       cmocka_unit_test(request_lines_58),
                                       cmocka_unit_test(fields),
                                       cmocka_unit_test(framing_56),
                                       cmocka_unit_test(chunks_56),
                                       cmocka_unit_test(floods_57),
                                       cmocka_unit_test(limits_are_reached),
                                       cmocka_unit_test(pipelined_requests_are_told_apart),
                                       cmocka_unit_test(unfinished_requests_wait),
                                       cmocka_unit_test(fields_are_found_in_any_case)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
