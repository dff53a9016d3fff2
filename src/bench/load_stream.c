/* Answers, byte by byte where they have structure, in pieces where they have none. */
#include "bench/load_stream.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LINE_MAX_BYTES = 1 << 20, BODY_MAX_BYTES = 16 << 20 };

static void finish_event(samp__stream *s)
{
    if (!s->event.length) return;
    s->event.length--; /* the newline behind the last data line */
    s->event.data[s->event.length] = '\0';
    s->on_event(s->context, s->event.data, s->event.length);
    samp_buffer_clear(&s->event);
}

/* A whole line of an event stream. */
static void event_line(samp__stream *s, const char *line, size_t n)
{
    if (n == 0) {
        finish_event(s);
        return;
    }
    if (n < 5 || memcmp(line, "data:", 5) != 0) return; /* comments, other fields */
    size_t skip = n > 5 && line[5] == ' ' ? 6 : 5;
    samp_buffer_append(&s->event, line + skip, n - skip);
    samp_buffer_append(&s->event, "\n", 1);
    if (s->event.length > LINE_MAX_BYTES) s->state = SAMP__STREAM_BROKEN; /* an event without end */
}

/* Lines end with LF, CRLF or CR. */
static void take_events(samp__stream *s, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool lf_of_crlf = s->skip_lf && bytes[i] == '\n';
        s->skip_lf = bytes[i] == '\r';
        if (lf_of_crlf) continue;
        if (bytes[i] == '\n' || bytes[i] == '\r') {
            event_line(s, s->line.data ? s->line.data : "", s->line.length);
            samp_buffer_clear(&s->line);
        } else {
            size_t end = i;
            while (end < n && bytes[end] != '\n' && bytes[end] != '\r') end++;
            samp_buffer_append(&s->line, bytes + i, end - i);
            i = end - 1;
            if (s->line.length > LINE_MAX_BYTES) s->state = SAMP__STREAM_BROKEN;
        }
    }
}

static void take_content(samp__stream *s, const char *bytes, size_t n)
{
    if (s->events)
        take_events(s, bytes, n);
    else if (s->body.length + n <= BODY_MAX_BYTES)
        samp_buffer_append(&s->body, bytes, n);
    else
        s->state = SAMP__STREAM_BROKEN;
}

/* ---- head ------------------------------------------------------------------------------------ */

/* The value of a field on this line, or NULL. */
static const char *field(const char *line, const char *name)
{
    size_t n = strlen(name);
    if (strncasecmp(line, name, n) != 0 || line[n] != ':') return NULL;
    line += n + 1;
    while (*line == ' ' || *line == '\t') line++;
    return line;
}

static void head_line(samp__stream *s, const char *line)
{
    const char *value;
    if (s->status == 0) {
        bool good =
            strncmp(line, "HTTP/1.", 7) == 0 && isdigit((unsigned char)line[7]) && line[8] == ' ';
        s->status = good ? atoi(line + 9) : 0;
        if (s->status < 100 || s->status > 599) s->state = SAMP__STREAM_BROKEN;
        s->keep_alive = good && line[7] != '0';
        s->to_end = true;
    } else if ((value = field(line, "content-type")))
        s->events = strncasecmp(value, "text/event-stream", 17) == 0;
    else if ((value = field(line, "transfer-encoding"))) {
        s->chunked = strcasecmp(value, "chunked") == 0;
        s->to_end = false;
    } else if ((value = field(line, "content-length"))) {
        s->left = strtoull(value, NULL, 10);
        s->to_end = false;
    } else if ((value = field(line, "connection")))
        s->keep_alive = strcasecmp(value, "close") != 0;
}

static void head_end(samp__stream *s)
{
    if (s->status < 200) { /* 100 Continue: the head of the answer follows */
        s->status = 0;
        return;
    }
    if (s->chunked)
        s->state = SAMP__STREAM_CHUNK_SIZE;
    else
        s->state = s->to_end || s->left ? SAMP__STREAM_BODY : SAMP__STREAM_COMPLETE;
    if (s->to_end) s->keep_alive = false;
}

static void chunk_size(samp__stream *s, const char *line)
{
    char *end;
    s->left = strtoull(line, &end, 16);
    if (end == line || s->left > (uint64_t)1 << 40)
        s->state = SAMP__STREAM_BROKEN;
    else
        s->state = s->left ? SAMP__STREAM_CHUNK : SAMP__STREAM_TRAILER;
}

static void structure_line(samp__stream *s)
{
    const char *line = s->line.data ? s->line.data : "";
    if (s->line.length && line[s->line.length - 1] == '\r') s->line.data[--s->line.length] = '\0';
    if (s->state == SAMP__STREAM_HEAD && s->line.length == 0)
        head_end(s);
    else if (s->state == SAMP__STREAM_HEAD)
        head_line(s, line);
    else if (s->state == SAMP__STREAM_CHUNK_SIZE)
        chunk_size(s, line);
    else if (s->state == SAMP__STREAM_CHUNK_END)
        s->state = s->line.length ? SAMP__STREAM_BROKEN : SAMP__STREAM_CHUNK_SIZE;
    else if (s->line.length == 0) /* the empty line behind trailers */
        s->state = SAMP__STREAM_COMPLETE;
    samp_buffer_clear(&s->line);
}

/* Up to the end of a line of head, sizes or trailers; returns how many bytes were taken. */
static size_t take_line(samp__stream *s, const char *bytes, size_t n)
{
    const char *end = memchr(bytes, '\n', n);
    size_t length = end ? (size_t)(end - bytes) : n;
    samp_buffer_append(&s->line, bytes, length);
    if (s->line.length > LINE_MAX_BYTES || s->line.failed) s->state = SAMP__STREAM_BROKEN;
    if (!end) return n;
    if (s->state != SAMP__STREAM_BROKEN) structure_line(s);
    return length + 1;
}

/* Both kinds of lines are kept in `line` while they are read. */
static void swap_lines(samp__stream *s)
{
    samp_buffer other = s->line;
    s->line = s->held;
    s->held = other;
}

static size_t take_piece(samp__stream *s, const char *bytes, size_t n)
{
    if (!s->to_end && n > s->left) n = (size_t)s->left;
    swap_lines(s);
    take_content(s, bytes, n);
    swap_lines(s);
    if (s->to_end || s->state == SAMP__STREAM_BROKEN) return n;
    s->left -= n;
    if (s->left == 0)
        s->state = s->state == SAMP__STREAM_CHUNK ? SAMP__STREAM_CHUNK_END : SAMP__STREAM_COMPLETE;
    return n;
}

void samp__stream_take(samp__stream *s, const char *bytes, size_t n)
{
    while (n && s->state != SAMP__STREAM_BROKEN) {
        size_t taken = 0;
        if (s->state == SAMP__STREAM_COMPLETE)
            s->state = SAMP__STREAM_BROKEN;
        else if (s->state == SAMP__STREAM_BODY || s->state == SAMP__STREAM_CHUNK)
            taken = take_piece(s, bytes, n);
        else
            taken = take_line(s, bytes, n);
        bytes += taken;
        n -= taken;
    }
}

void samp__stream_end(samp__stream *s)
{
    if (s->state == SAMP__STREAM_BODY && s->to_end)
        s->state = SAMP__STREAM_COMPLETE;
    else if (s->state != SAMP__STREAM_COMPLETE)
        s->state = SAMP__STREAM_BROKEN;
}

void samp__stream_reset(samp__stream *s)
{
    samp__stream fresh = {.line = s->line,
                          .held = s->held,
                          .event = s->event,
                          .body = s->body,
                          .on_event = s->on_event,
                          .context = s->context};
    samp_buffer_clear(&fresh.line);
    samp_buffer_clear(&fresh.held);
    samp_buffer_clear(&fresh.event);
    samp_buffer_clear(&fresh.body);
    *s = fresh;
}

void samp__stream_release(samp__stream *s)
{
    samp_buffer_release(&s->line);
    samp_buffer_release(&s->held);
    samp_buffer_release(&s->event);
    samp_buffer_release(&s->body);
}
