/* HTTP/1.1 requests from bytes, strictly (RFC 9112): whatever two readers could take for different
 * requests is refused, because that is how requests are smuggled past a proxy.
 *
 * The parser is fed whatever bytes have come and keeps its place: the result does not depend on
 * how the bytes were cut (tests/fuzz/fuzz_http.c). It does no input or output and asks for no
 * time. After SAMP_HTTP_REFUSED the connection has no known place to go on from: answer
 * parser->status and close. */
#ifndef SAMP_HTTP_PARSER_H
#define SAMP_HTTP_PARSER_H

#include "http/request.h"

typedef struct samp_http_limits {
    size_t request_line_bytes_max;
    size_t head_bytes_max; /* request line, fields, line ends; chunk extensions, trailers too */
    size_t body_bytes_max;
    unsigned headers_max; /* trailers count as well */
} samp_http_limits;

typedef enum samp_http_event {
    SAMP_HTTP_MORE,      /* all bytes were used, the request is not complete */
    SAMP_HTTP_HAVE_HEAD, /* all but the body is there: feed again, perhaps with no bytes */
    SAMP_HTTP_HAVE_ALL,  /* complete; bytes that were not used belong to the next request */
    SAMP_HTTP_REFUSED    /* status and reason say why */
} samp_http_event;

typedef struct samp_http_parser {
    samp_http_limits limits;
    samp_http_request *request; /* filled; the caller's */
    int status;                 /* REFUSED: 400, 413, 414, 417, 431, 501, 503 or 505 */
    const char *reason;         /* REFUSED: one sentence, without a full stop */
    bool expects_continue;      /* HAVE_HEAD: the client waits for "100 Continue" */
    /* The parser's own. */
    unsigned state, seen;       /* seen: a bit for each known field that came */
    size_t head_bytes, line_at; /* used of the head's budget; where the line began in head_bytes */
    uint64_t body_left, content_length;
    unsigned chunk_digits, n_trailers;
    bool chunked, close, keep_alive;
} samp_http_parser;

/* request must be zeroed. Nothing of the parser needs release, only the request. */
void samp_http_parser_init(samp_http_parser *parser, const samp_http_limits *limits,
                           samp_http_request *request);
/* Takes bytes[0..n) up to the next event; *used is how many. */
samp_http_event samp_http_parser_feed(samp_http_parser *parser, const char *bytes, size_t n,
                                      size_t *used);
/* A byte of the request has come (an empty line before it is none). */
bool samp_http_parser_started(const samp_http_parser *parser);

#endif
