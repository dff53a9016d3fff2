/* The incremental half of the parser: lines, and the body's framing. What a line means is head.c's.
 *
 * Each state takes the bytes it understands and never looks ahead: what it does with a byte depends
 * on the bytes before it only, so the cutting of the input cannot matter. */
#include "http/parser.h"

#include "http/head.h"
#include "http/syntax.h"

#include <string.h>

enum { CHUNK_DIGITS_MAX = 16 };

enum state {
    STATE_START,      /* before the first byte; one empty line is passed over (RFC 9112 §2.2) */
    STATE_START_LF,   /* after CR of that empty line */
    STATE_FIRST,      /* after that empty line */
    STATE_REQUEST,    /* in the request line */
    STATE_FIELD,      /* in a line of the head */
    STATE_TRAILER,    /* in a line of the trailers */
    STATE_REQUEST_LF, /* after the CR of such a line; so for the next two */
    STATE_FIELD_LF,
    STATE_TRAILER_LF,
    STATE_BODY,      /* head is complete and was told */
    STATE_FIXED,     /* a body of known length */
    STATE_SIZE,      /* digits of a chunk's size */
    STATE_EXTENSION, /* between ';' and CR */
    STATE_SIZE_LF,
    STATE_CHUNK, /* a chunk's bytes */
    STATE_CHUNK_CR,
    STATE_CHUNK_LF,
    STATE_DONE,
    STATE_BAD
};

void samp_http_parser_init(samp_http_parser *parser, const samp_http_limits *limits,
                           samp_http_request *request)
{
    *parser = (samp_http_parser){.limits = *limits, .request = request, .reason = ""};
}

bool samp_http_parser_started(const samp_http_parser *parser)
{
    return parser->state > STATE_FIRST;
}

bool samp__http_refuse(samp_http_parser *parser, int status, const char *reason)
{
    parser->state = STATE_BAD;
    parser->status = status;
    parser->reason = reason;
    return false;
}

/* Appends, and refuses when there is no memory. */
static bool keep(samp_http_parser *parser, samp_buffer *buffer, const char *bytes, size_t n)
{
    samp_buffer_append(buffer, bytes, n);
    return !buffer->failed || samp__http_refuse(parser, 503, "out of memory for the request");
}

/* Counts bytes against the head's budget. */
static bool spend(samp_http_parser *parser, size_t n)
{
    parser->head_bytes += n;
    return parser->head_bytes <= parser->limits.head_bytes_max ||
           samp__http_refuse(parser, 431, "the head of the request is too large");
}

/* Lines are kept until they end: of the head in head_bytes, where they stay; a trailer behind the
 * body, where it is dropped again. */
static samp_buffer *line_buffer(const samp_http_parser *parser)
{
    bool trailer = parser->state == STATE_TRAILER || parser->state == STATE_TRAILER_LF;
    return trailer ? &parser->request->body_bytes : &parser->request->head_bytes;
}

static void begin_line(samp_http_parser *parser, enum state state)
{
    parser->state = state;
    parser->line_at = line_buffer(parser)->length;
}

static bool bad_byte(samp_http_parser *parser, char c)
{
    if (parser->request->head_bytes.length == 0 && c == 0x16)
        return samp__http_refuse(parser, 400, "the client speaks TLS, and this port does not");
    return samp__http_refuse(parser, 400,
                             c == '\n' ? "a line ends in LF without CR"
                                       : "a control byte is in the head of the request");
}

/* Bytes of a line up to its CR. Returns how many were used. */
static size_t take_line(samp_http_parser *parser, const char *bytes, size_t n)
{
    samp_buffer *buffer = line_buffer(parser);
    bool first = parser->state == STATE_REQUEST;
    size_t room = parser->limits.head_bytes_max - parser->head_bytes;
    if (first && room > parser->limits.request_line_bytes_max - buffer->length)
        room = parser->limits.request_line_bytes_max - buffer->length;
    size_t i = 0;
    while (i < n && i < room && samp__is_text(bytes[i])) i++;
    if (!keep(parser, buffer, bytes, i) || !spend(parser, i) || i == n) return i;
    if (bytes[i] == '\r') {
        parser->state = first                            ? STATE_REQUEST_LF
                        : parser->state == STATE_TRAILER ? STATE_TRAILER_LF
                                                         : STATE_FIELD_LF;
        return i + 1;
    }
    if (!samp__is_text(bytes[i]))
        bad_byte(parser, bytes[i]);
    else if (first)
        samp__http_refuse(parser, 414, "the request line is too long");
    else
        samp__http_refuse(parser, 431, "the head of the request is too large");
    return i;
}

static void end_field(samp_http_parser *parser)
{
    samp_buffer *head = &parser->request->head_bytes;
    if (head->length == parser->line_at) {
        if (samp__http_head_end(parser)) parser->state = STATE_BODY;
    } else if (parser->request->n_headers >= parser->limits.headers_max) {
        samp__http_refuse(parser, 431, "the request has too many header fields");
    } else if (samp__http_field_line(parser, parser->line_at)) {
        begin_line(parser, STATE_FIELD);
    }
}

static void end_trailer(samp_http_parser *parser)
{
    samp_buffer *body = &parser->request->body_bytes;
    if (body->length == parser->line_at) {
        parser->state = STATE_DONE;
    } else if (parser->request->n_headers + ++parser->n_trailers > parser->limits.headers_max) {
        samp__http_refuse(parser, 431, "the request has too many trailer fields");
    } else if (samp__http_trailer_line(parser, body->data + parser->line_at)) {
        body->length = parser->line_at;
        body->data[body->length] = '\0';
        begin_line(parser, STATE_TRAILER);
    }
}

/* The byte after a CR. */
static void take_line_end(samp_http_parser *parser, char c)
{
    if (c != '\n')
        samp__http_refuse(parser, 400, "a CR is not followed by LF");
    else if (!spend(parser, 2))
        return;
    else if (parser->state == STATE_FIELD_LF)
        end_field(parser);
    else if (parser->state == STATE_TRAILER_LF)
        end_trailer(parser);
    else if (samp__http_request_line(parser, parser->line_at))
        begin_line(parser, STATE_FIELD);
}

/* The empty line before a request, and its first byte, which is left for take_line. */
static size_t take_start(samp_http_parser *parser, char c)
{
    if (parser->state == STATE_START_LF) {
        if (c != '\n')
            samp__http_refuse(parser, 400, "a CR is not followed by LF");
        else
            parser->state = STATE_FIRST;
        return 1;
    }
    if (c == '\r' && parser->state == STATE_START) {
        parser->state = STATE_START_LF;
        return 1;
    }
    begin_line(parser, STATE_REQUEST);
    return 0;
}

/* A chunk's size: "1f", then CR or ';'. More than the body may have is refused digit by digit, so
 * that no size overflows. */
static void take_size(samp_http_parser *parser, char c)
{
    int digit = samp__hex(c);
    uint64_t room = parser->limits.body_bytes_max - parser->request->body_bytes.length;
    if (digit >= 0) {
        parser->body_left = parser->body_left * 16 + (unsigned)digit;
        if (++parser->chunk_digits > CHUNK_DIGITS_MAX)
            samp__http_refuse(parser, 400, "the size of a chunk has too many digits");
        else if (parser->body_left > room)
            samp__http_refuse(parser, 413, "the body is larger than this server takes");
    } else if (parser->chunk_digits == 0) {
        samp__http_refuse(parser, 400, "a chunk does not begin with its size");
    } else if (c == ';' || c == '\r') {
        parser->state = c == ';' ? STATE_EXTENSION : STATE_SIZE_LF;
    } else {
        samp__http_refuse(parser, 400, "the size of a chunk is followed by neither CR nor ';'");
    }
}

/* Extensions are passed over (RFC 9112 §7.1.1) but paid from the head's budget. */
static void take_extension(samp_http_parser *parser, char c)
{
    if (c == '\r')
        parser->state = STATE_SIZE_LF;
    else if (!samp__is_text(c))
        samp__http_refuse(parser, 400, "a control byte is in a chunk's extension");
    else
        spend(parser, 1);
}

static void begin_chunk(samp_http_parser *parser, char c)
{
    if (c != '\n')
        samp__http_refuse(parser, 400, "a CR is not followed by LF");
    else if (parser->body_left == 0)
        begin_line(parser, STATE_TRAILER);
    else
        parser->state = STATE_CHUNK;
}

static void begin_size(samp_http_parser *parser)
{
    parser->state = STATE_SIZE;
    parser->chunk_digits = 0;
    parser->body_left = 0;
}

static size_t take_body(samp_http_parser *parser, const char *bytes, size_t n)
{
    size_t taken = parser->body_left < n ? (size_t)parser->body_left : n;
    if (!keep(parser, &parser->request->body_bytes, bytes, taken)) return 0;
    parser->body_left -= taken;
    if (parser->body_left == 0)
        parser->state = parser->state == STATE_FIXED ? STATE_DONE : STATE_CHUNK_CR;
    return taken;
}

static void take_chunk_end(samp_http_parser *parser, char c)
{
    bool cr = parser->state == STATE_CHUNK_CR;
    if (c != (cr ? '\r' : '\n'))
        samp__http_refuse(parser, 400, "a chunk does not end in CR LF");
    else if (cr)
        parser->state = STATE_CHUNK_LF;
    else
        begin_size(parser);
}

/* At least one byte; returns how many were used. */
static size_t step(samp_http_parser *parser, const char *bytes, size_t n)
{
    switch ((enum state)parser->state) {
    case STATE_START:
    case STATE_START_LF:
    case STATE_FIRST: return take_start(parser, *bytes);
    case STATE_REQUEST:
    case STATE_FIELD:
    case STATE_TRAILER: return take_line(parser, bytes, n);
    case STATE_REQUEST_LF:
    case STATE_FIELD_LF:
    case STATE_TRAILER_LF: take_line_end(parser, *bytes); return 1;
    case STATE_FIXED:
    case STATE_CHUNK: return take_body(parser, bytes, n);
    case STATE_SIZE: take_size(parser, *bytes); return 1;
    case STATE_EXTENSION: take_extension(parser, *bytes); return 1;
    case STATE_SIZE_LF: begin_chunk(parser, *bytes); return 1;
    case STATE_CHUNK_CR:
    case STATE_CHUNK_LF: take_chunk_end(parser, *bytes); return 1;
    case STATE_BODY:
    case STATE_DONE:
    case STATE_BAD: break;
    }
    return 0;
}

static void begin_body(samp_http_parser *parser)
{
    parser->body_left = parser->content_length;
    if (parser->chunked)
        begin_size(parser);
    else
        parser->state = parser->body_left ? STATE_FIXED : STATE_DONE;
}

samp_http_event samp_http_parser_feed(samp_http_parser *parser, const char *bytes, size_t n,
                                      size_t *used)
{
    size_t at = 0;
    if (parser->state == STATE_BODY) begin_body(parser);
    while (at < n && parser->state != STATE_BODY && parser->state < STATE_DONE)
        at += step(parser, bytes + at, n - at);
    *used = at;
    switch ((enum state)parser->state) {
    case STATE_BODY: return SAMP_HTTP_HAVE_HEAD;
    case STATE_BAD: return SAMP_HTTP_REFUSED;
    case STATE_DONE:
        if (parser->request->body_bytes.data)
            parser->request->body = parser->request->body_bytes.data;
        parser->request->body_length = parser->request->body_bytes.length;
        return SAMP_HTTP_HAVE_ALL;
    default: return SAMP_HTTP_MORE;
    }
}
