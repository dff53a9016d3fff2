/* What the lines of a request's head mean. The parser calls these line by line; the text is in
 * request->head_bytes, NUL-terminated, and is compacted there into a row of strings:
 * path, query, then name and value of each field.
 *
 * Each returns true, or false after samp__http_refuse. Internal to this room. */
#ifndef SAMP_HTTP_HEAD_H
#define SAMP_HTTP_HEAD_H

#include "http/parser.h"

/* Marks the request as refused; returns false. */
bool samp__http_refuse(samp_http_parser *parser, int status, const char *reason);
/* "POST /v1/models?x=1 HTTP/1.1" */
bool samp__http_request_line(samp_http_parser *parser, size_t at);
/* "Name: value" */
bool samp__http_field_line(samp_http_parser *parser, size_t at);
/* A trailer: its syntax is looked at, its content is not. */
bool samp__http_trailer_line(samp_http_parser *parser, const char *line);
/* What only the whole head can tell: Host, framing, persistence. Sets all of *request but the body.
 */
bool samp__http_head_end(samp_http_parser *parser);

#endif
