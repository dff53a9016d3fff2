/* The meaning of a request's head: request line, target, the fields that frame a message.
 *
 * Stricter than RFC 9112 has to be where a client never needs the freedom: no absolute targets, no
 * leading zeros in Content-Length, no lists where one value is meant, no dot segments. */
#include "http/head.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "http/syntax.h"

#include <string.h>
#include <strings.h>

enum { LENGTH_DIGITS_MAX = 18 }; /* of Content-Length: fits 63 bits */

/* Fields that may come once only; those before AUTHORIZATION have a meaning here. */
enum known {
    KNOWN_HOST,
    KNOWN_LENGTH,
    KNOWN_CODING,
    KNOWN_EXPECT,
    KNOWN_AUTHORIZATION,
    KNOWN_TYPE,
    KNOWN_ENCODING,
    KNOWN_ORIGIN,
    KNOWN_FIELDS
};

static const char *const known_names[KNOWN_FIELDS] = {
    [KNOWN_HOST] = "Host",
    [KNOWN_LENGTH] = "Content-Length",
    [KNOWN_CODING] = "Transfer-Encoding",
    [KNOWN_EXPECT] = "Expect",
    [KNOWN_AUTHORIZATION] = "Authorization",
    [KNOWN_TYPE] = "Content-Type",
    [KNOWN_ENCODING] = "Content-Encoding",
    [KNOWN_ORIGIN] = "Origin",
};

static bool has(const samp_http_parser *parser, enum known field)
{
    return parser->seen & 1u << field;
}

/* Decodes %XX of path in place. */
static bool decode_path(samp_http_parser *parser, char *path)
{
    char *out = path;
    for (const char *in = path; *in; in++) {
        char c = *in;
        if (c == '%') {
            int high = samp__hex(in[1]), low = high < 0 ? -1 : samp__hex(in[2]);
            if (low < 0)
                return samp__http_refuse(parser, 400, "the path has a '%' without two digits");
            c = (char)(high * 16 + low);
            if ((unsigned char)c < 0x20 || c == 0x7f)
                return samp__http_refuse(parser, 400, "the path has an encoded control byte");
            in += 2;
        }
        *out++ = c;
    }
    *out = '\0';
    if (!samp_utf8_valid(path, (size_t)(out - path)))
        return samp__http_refuse(parser, 400, "the path is not UTF-8");
    for (const char *segment = path; segment; segment = strchr(segment, '/')) {
        if (*segment == '/') segment++;
        size_t n = strcspn(segment, "/");
        if ((n == 1 || n == 2) && memcmp(segment, "..", n) == 0)
            return samp__http_refuse(parser, 400, "the path has a segment \".\" or \"..\"");
    }
    return true;
}

static bool query_is_encoded(const char *query)
{
    for (; *query; query++)
        if (*query == '%' && (samp__hex(query[1]) < 0 || samp__hex(query[2]) < 0)) return false;
    return true;
}

static bool take_method(samp_http_parser *parser, const char *method)
{
    if (!samp__is_token_text(method))
        return samp__http_refuse(parser, 400, "the request line does not begin with a method");
    for (int i = 0; i < SAMP_HTTP_METHODS; i++)
        if (strcmp(method, samp_http_method_name((samp_http_method)i)) == 0) {
            parser->request->method = (samp_http_method)i;
            return true;
        }
    return samp__http_refuse(parser, 501, "the method is not one this server knows");
}

static bool take_version(samp_http_parser *parser, const char *version)
{
    if (strncmp(version, "HTTP/", 5) != 0 || !samp__is_digit(version[5]) || version[6] != '.' ||
        !samp__is_digit(version[7]) || version[8] != '\0')
        return samp__http_refuse(parser, 400, "the request line does not end in \" HTTP/1.1\"");
    if (version[5] != '1' || version[7] > '1')
        return samp__http_refuse(parser, 505, "the version of HTTP is neither 1.0 nor 1.1");
    parser->request->minor = (unsigned)(version[7] - '0');
    return true;
}

/* Leaves path and query in target, two strings. */
static bool take_target(samp_http_parser *parser, char *target)
{
    samp_buffer *head = &parser->request->head_bytes;
    bool asterisk = strcmp(target, "*") == 0 && parser->request->method == SAMP_HTTP_OPTIONS;
    if (*target != '/' && !asterisk)
        return samp__http_refuse(parser, 400, "the request target is not a path");
    for (const char *p = target; *p; p++)
        if (!samp__is_target(*p))
            return samp__http_refuse(parser, 400,
                                     "the request target has a byte that must be encoded");
    size_t length = strlen(target), path_length = strcspn(target, "?");
    char *query = target + path_length;
    size_t query_length = length - path_length;
    if (query_length) *query++ = '\0', query_length--;
    if (!query_is_encoded(query))
        return samp__http_refuse(parser, 400, "the query has a '%' without two digits");
    if (!decode_path(parser, target)) return false;
    char *after = target + strlen(target) + 1;
    memmove(after, query, query_length + 1);
    head->length = (size_t)(after - head->data) + query_length + 1;
    return true;
}

bool samp__http_request_line(samp_http_parser *parser, size_t at)
{
    samp_buffer *head = &parser->request->head_bytes;
    char *line = head->data + at;
    char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;
    if (!version || strpbrk(line, "\t"))
        return samp__http_refuse(parser, 400,
                                 "the request line is not a method, a path and a version");
    *target++ = '\0';
    *version++ = '\0';
    if (!take_version(parser, version) || !take_method(parser, line)) return false;
    /* The method is known by number: the target takes its place. */
    size_t length = (size_t)(version - target); /* its NUL too */
    memmove(line, target, length);
    return take_target(parser, line);
}

static bool take_host(samp_http_parser *parser, const char *value)
{
    const char *p = value;
    if (*p == '[') {
        for (p++; samp__hex(*p) >= 0 || samp__is_one_of(*p, ":."); p++) {}
        if (*p != ']' || p == value + 1)
            p = value;
        else
            p++;
    } else {
        while (samp__is_alnum(*p) || samp__is_one_of(*p, "-._~")) p++;
    }
    bool named = p != value;
    if (*p == ':')
        for (p++; samp__is_digit(*p); p++) {}
    if (!named || *p) return samp__http_refuse(parser, 400, "Host is not a name and a port");
    return true;
}

static bool take_length(samp_http_parser *parser, const char *value)
{
    size_t n = strspn(value, "0123456789");
    if (n == 0 || value[n] || (value[0] == '0' && n > 1))
        return samp__http_refuse(parser, 400, "Content-Length is not a plain number");
    uint64_t length = 0;
    for (size_t i = 0; i < n && n <= LENGTH_DIGITS_MAX; i++)
        length = length * 10 + (uint64_t)(value[i] - '0');
    if (n > LENGTH_DIGITS_MAX || length > parser->limits.body_bytes_max)
        return samp__http_refuse(parser, 413, "the body is larger than this server takes");
    parser->content_length = length;
    return true;
}

static bool take_coding(samp_http_parser *parser, const char *value)
{
    if (!*value) return samp__http_refuse(parser, 400, "Transfer-Encoding is empty");
    if (strcasecmp(value, "chunked") != 0)
        return samp__http_refuse(parser, 501, "Transfer-Encoding is not \"chunked\"");
    parser->chunked = true;
    return true;
}

/* Options of Connection, a list of tokens; it may come in several fields. */
static bool take_connection(samp_http_parser *parser, const char *value)
{
    for (const char *p = value;;) {
        p += strspn(p, " \t,");
        if (!*p) return true;
        size_t n = 0;
        while (samp__is_token(p[n])) n++;
        if (n == 5 && strncasecmp(p, "close", n) == 0) parser->close = true;
        if (n == 10 && strncasecmp(p, "keep-alive", n) == 0) parser->keep_alive = true;
        p += n;
        p += strspn(p, " \t");
        if (*p && *p != ',')
            return samp__http_refuse(parser, 400, "Connection is not a list of options");
    }
}

static bool take_expect(samp_http_parser *parser, const char *value)
{
    if (strcasecmp(value, "100-continue") != 0)
        return samp__http_refuse(parser, 417, "Expect is not \"100-continue\"");
    parser->expects_continue = true;
    return true;
}

static bool take_field(samp_http_parser *parser, const char *name, const char *value)
{
    if (strcasecmp(name, "Connection") == 0) return take_connection(parser, value);
    unsigned known = 0;
    while (known < KNOWN_FIELDS && strcasecmp(name, known_names[known]) != 0) known++;
    if (known == KNOWN_FIELDS) return true;
    if (has(parser, known))
        return samp__http_refuse(parser, 400, "a field that must be there once is there twice");
    parser->seen |= 1u << known;
    switch (known) {
    case KNOWN_HOST: return take_host(parser, value);
    case KNOWN_LENGTH: return take_length(parser, value);
    case KNOWN_CODING: return take_coding(parser, value);
    case KNOWN_EXPECT: return take_expect(parser, value);
    default: return true;
    }
}

/* The colon after the field's name; NULL after refusing the line. */
static const char *field_colon(samp_http_parser *parser, const char *line)
{
    const char *colon = line;
    while (samp__is_token(*colon)) colon++;
    if (*colon == ':' && colon != line) return colon;
    samp__http_refuse(parser, 400,
                      samp__is_one_of(*line, " \t")
                          ? "a line begins with a space: folded fields are not accepted"
                          : "a header field does not begin with a name and a colon");
    return NULL;
}

bool samp__http_field_line(samp_http_parser *parser, size_t at)
{
    samp_buffer *head = &parser->request->head_bytes;
    char *line = head->data + at;
    const char *colon = field_colon(parser, line);
    if (!colon) return false;
    char *value = head->data + (colon - head->data);
    *value++ = '\0';
    size_t skipped = strspn(value, " \t"), n = strlen(value + skipped);
    while (n && samp__is_one_of(value[skipped + n - 1], " \t")) n--;
    memmove(value, value + skipped, n);
    value[n] = '\0';
    head->length = (size_t)(value - head->data) + n + 1;
    parser->request->n_headers++;
    return take_field(parser, line, value);
}

bool samp__http_trailer_line(samp_http_parser *parser, const char *line)
{
    return field_colon(parser, line) != NULL;
}

/* Pointers to the strings the lines have left in head_bytes, which no longer moves. */
static bool index_head(samp_http_parser *parser)
{
    samp_http_request *request = parser->request;
    char *p = request->head_bytes.data;
    request->path = p;
    p += strlen(p) + 1;
    request->query = p;
    if (request->n_headers == 0) return true;
    request->headers = samp_alloc(request->n_headers, sizeof *request->headers);
    if (!request->headers) return samp__http_refuse(parser, 503, "out of memory for the request");
    for (unsigned i = 0; i < request->n_headers; i++) {
        p += strlen(p) + 1;
        request->headers[i].name = p;
        p += strlen(p) + 1;
        request->headers[i].value = p;
    }
    return true;
}

bool samp__http_head_end(samp_http_parser *parser)
{
    samp_http_request *request = parser->request;
    if (request->minor == 1 && !has(parser, KNOWN_HOST))
        return samp__http_refuse(parser, 400, "a request of HTTP/1.1 has no Host");
    if (parser->chunked && has(parser, KNOWN_LENGTH))
        return samp__http_refuse(parser, 400,
                                 "the request has both Content-Length and Transfer-Encoding");
    if (parser->chunked && request->minor == 0)
        return samp__http_refuse(parser, 400, "a request of HTTP/1.0 has Transfer-Encoding");
    request->keep_alive = !parser->close && (request->minor == 1 || parser->keep_alive);
    parser->expects_continue &= request->minor == 1 && (parser->chunked || parser->content_length);
    request->body = "";
    return index_head(parser);
}
