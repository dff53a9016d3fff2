/* The form of answers: status line, fields, chunks, server-sent events. */
#include "http/internal.h"

#include <string.h>
#include <time.h>

const char samp__http_continue[] = "HTTP/1.1 100 Continue\r\n\r\n";
/* To a connection above the limits, before anything was read from it. */
const char samp__http_busy[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
                               "Connection: close\r\nContent-Length: 0\r\n\r\n";

static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } rows[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].status == status) return rows[i].text;
    return "Other"; /* the text has no meaning (RFC 9112 §4) */
}

/* "Date: Sun, 06 Nov 1994 08:49:37 GMT", whatever the locale. */
static void write_date(samp_buffer *out)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = time(NULL);
    struct tm t;
    gmtime_r(&now, &t);
    samp_buffer_printf(out, "Date: %.3s, %02d %.3s %d %02d:%02d:%02d GMT\r\n", days + 3 * t.tm_wday,
                       t.tm_mday, months + 3 * t.tm_mon, t.tm_year + 1900, t.tm_hour, t.tm_min,
                       t.tm_sec);
}

static void count_status(samp_http_server *server, int status)
{
    static const enum samp__http_counter classes[] = {
        SAMP__COUNT_answers_1xx, SAMP__COUNT_answers_2xx, SAMP__COUNT_answers_3xx,
        SAMP__COUNT_answers_4xx, SAMP__COUNT_answers_5xx};
    samp__http_count(server, classes[status / 100 - 1], 1);
}

/* length: of a fixed answer, NULL for a stream. */
void samp__http_write_head(samp_http_exchange *exchange, int status, const char *content_type,
                           const size_t *length)
{
    samp_buffer *out = &exchange->outbox;
    const samp_http_request *request = &exchange->request;
    exchange->status = status;
    exchange->close_after |= !request->keep_alive || !exchange->body_read ||
                             atomic_load(&exchange->server->draining) ||
                             (!length && request->minor == 0);
    samp_buffer_printf(out, "HTTP/1.1 %d %s\r\n", status, status_text(status));
    write_date(out);
    if (content_type && *content_type)
        samp_buffer_printf(out, "Content-Type: %s\r\n", content_type);
    if (!length) {
        /* A proxy must not collect events before it passes them on. */
        samp_buffer_text(out, "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n");
        if (request->minor) samp_buffer_text(out, "Transfer-Encoding: chunked\r\n");
    } else if (status != 204 && status != 304) {
        samp_buffer_printf(out, "Content-Length: %zu\r\n", *length);
    }
    if (exchange->close_after)
        samp_buffer_text(out, "Connection: close\r\n");
    else if (request->minor == 0)
        samp_buffer_text(out, "Connection: keep-alive\r\n");
    samp_buffer_append(out, exchange->fields.data, exchange->fields.length);
    samp_buffer_text(out, "\r\n");
    count_status(exchange->server, status);
}

/* Length of the line that begins at data, and of the line end behind it: CR, LF or CR LF. */
static size_t line_length(const char *data, size_t n, size_t *end)
{
    size_t i = 0;
    while (i < n && data[i] != '\n' && data[i] != '\r') i++;
    *end = i == n ? 0 : data[i] == '\r' && i + 1 < n && data[i + 1] == '\n' ? 2 : 1;
    return i;
}

void samp__http_write_event(samp_buffer *out, const char *data, size_t n, bool chunked)
{
    size_t size = 1, end = 1; /* the empty line that ends an event */
    for (size_t at = 0; end; at += end) {
        size_t length = line_length(data + at, n - at, &end);
        size += strlen("data: \n") + length;
        at += length;
    }
    if (chunked) samp_buffer_printf(out, "%zx\r\n", size);
    end = 1;
    for (size_t at = 0; end; at += end) {
        size_t length = line_length(data + at, n - at, &end);
        samp_buffer_text(out, "data: ");
        samp_buffer_append(out, data + at, length);
        samp_buffer_text(out, "\n");
        at += length;
    }
    samp_buffer_text(out, chunked ? "\n\r\n" : "\n");
}
