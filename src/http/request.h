/* One HTTP request as the parser (parser.h) leaves it: all text checked, NUL-terminated and owned
 * by the request. What it holds is what was sent, but for the path, which is percent-decoded.
 *
 * Promises of the parser: method is one of the seven below; path starts with '/' (or is "*" with
 * OPTIONS), is valid UTF-8 without control bytes and has no segment "." or ".."; header values
 * have no control byte but tabs; fields that must be one (Host, Authorization, Content-Type, …)
 * are there at most once. */
#ifndef SAMP_HTTP_REQUEST_H
#define SAMP_HTTP_REQUEST_H

#include "base/buffer.h"

#include <stdint.h>

typedef enum samp_http_method {
    SAMP_HTTP_GET,
    SAMP_HTTP_HEAD,
    SAMP_HTTP_POST,
    SAMP_HTTP_PUT,
    SAMP_HTTP_PATCH,
    SAMP_HTTP_DELETE,
    SAMP_HTTP_OPTIONS,
    SAMP_HTTP_METHODS
} samp_http_method;

typedef struct samp_http_header {
    const char *name, *value; /* as sent, without the space around the value */
} samp_http_header;

typedef struct samp_http_request {
    samp_http_method method;
    const char *path;          /* percent-decoded */
    const char *query;         /* what follows '?', not decoded; "" when there is none */
    unsigned minor;            /* HTTP/1.minor: 0 or 1 */
    bool keep_alive;           /* the client will send more on this connection */
    samp_http_header *headers; /* [n_headers], in the order sent */
    unsigned n_headers;
    const char *body; /* [body_length], a NUL behind; "" when there is none */
    size_t body_length;
    samp_buffer head_bytes, body_bytes; /* what the pointers above point into */
} samp_http_request;

const char *samp_http_method_name(samp_http_method method);
/* Value of the first field of that name, whatever its case; NULL when there is none. */
const char *samp_http_request_header(const samp_http_request *request, const char *name);
void samp_http_request_release(samp_http_request *request);

#endif
