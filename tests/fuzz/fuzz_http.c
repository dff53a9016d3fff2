/* HTTP requests: whatever the bytes are, cutting them anywhere gives the same events in the same
 * order, and a request that was taken keeps the promises of http/request.h. The first byte of the
 * input says how the second reader's pieces are cut. */
#include "http/parser.h"

#include "file/json_cursor.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const samp_http_limits limits = {.request_line_bytes_max = 200,
                                        .head_bytes_max = 1000,
                                        .body_bytes_max = 2000,
                                        .headers_max = 12};

static void require(int condition)
{
    if (!condition) abort();
}

/* What one reader saw, as text: equal texts are equal histories. */
typedef struct reader {
    samp_buffer seen;
    unsigned cut; /* 0: all at once; else state of the generator of pieces */
} reader;

static void check_request(const samp_http_request *request)
{
    require(request->method < SAMP_HTTP_METHODS && request->minor <= 1);
    require(request->path[0] == '/' ||
            (request->method == SAMP_HTTP_OPTIONS && strcmp(request->path, "*") == 0));
    require(samp_utf8_valid(request->path, strlen(request->path)));
    require(!strstr(request->path, "/../") && !strstr(request->path, "/./"));
    for (const char *p = request->path; *p; p++) require((unsigned char)*p >= 0x20 && *p != 0x7f);
    require(request->n_headers <= limits.headers_max);
    require(request->minor == 0 || samp_http_request_header(request, "Host"));
    require(!samp_http_request_header(request, "Content-Length") ||
            !samp_http_request_header(request, "Transfer-Encoding"));
    for (unsigned i = 0; i < request->n_headers; i++) {
        const char *name = request->headers[i].name, *value = request->headers[i].value;
        require(name[0] && !strpbrk(name, " \t\r\n:") && !strpbrk(value, "\r\n"));
        size_t n = strlen(value);
        require(n == 0 || (!strchr(" \t", value[0]) && !strchr(" \t", value[n - 1])));
    }
    require(request->body_length <= limits.body_bytes_max);
    require(request->body[request->body_length] == '\0');
}

static void note_request(reader *r, const samp_http_request *request, bool whole)
{
    samp_buffer_printf(&r->seen, "%d %s?%s %u %d\n", (int)request->method, request->path,
                       request->query, request->minor, request->keep_alive);
    for (unsigned i = 0; i < request->n_headers; i++)
        samp_buffer_printf(&r->seen, "%s:%s\n", request->headers[i].name,
                           request->headers[i].value);
    if (whole) samp_buffer_append(&r->seen, request->body, request->body_length);
}

static size_t piece(reader *r, size_t left)
{
    if (r->cut == 0) return left;
    r->cut = r->cut * 1664525u + 1013904223u;
    size_t n = 1 + (r->cut >> 24) % (r->cut & 0x800000 ? 3 : 40);
    return n < left ? n : left;
}

/* One request; false when the connection would be closed or the bytes are used up. */
static bool read_request(reader *r, const char **bytes, size_t *left)
{
    samp_http_request request = {0};
    samp_http_parser parser;
    samp_http_parser_init(&parser, &limits, &request);
    samp_http_event event = SAMP_HTTP_MORE;
    while ((event == SAMP_HTTP_MORE && *left) || event == SAMP_HTTP_HAVE_HEAD) {
        size_t n = *left ? piece(r, *left) : 0, used;
        event = samp_http_parser_feed(&parser, *bytes, n, &used);
        require(used <= n && (event != SAMP_HTTP_MORE || used == n));
        *bytes += used;
        *left -= used;
        if (event == SAMP_HTTP_HAVE_HEAD) note_request(r, &request, false);
    }
    if (event == SAMP_HTTP_HAVE_ALL) {
        check_request(&request);
        note_request(r, &request, true);
    }
    if (event == SAMP_HTTP_REFUSED)
        samp_buffer_printf(&r->seen, "%d %s", parser.status, parser.reason);
    if (event == SAMP_HTTP_MORE)
        samp_buffer_printf(&r->seen, "more %d", samp_http_parser_started(&parser));
    samp_http_request_release(&request);
    return event == SAMP_HTTP_HAVE_ALL;
}

static void read_all(reader *r, const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    while (size && read_request(r, &bytes, &size)) {}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    reader whole = {0}, cut = {.cut = data[0] + 1u};
    read_all(&whole, data + 1, size - 1);
    read_all(&cut, data + 1, size - 1);
    require(whole.seen.length == cut.seen.length);
    require(whole.seen.length == 0 ||
            memcmp(whole.seen.data, cut.seen.data, whole.seen.length) == 0);
    samp_buffer_release(&whole.seen);
    samp_buffer_release(&cut.seen);
    return 0;
}
