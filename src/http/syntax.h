/* The character classes of HTTP (RFC 9110 §5.6) and URIs (RFC 3986 §2), as predicates. */
#ifndef SAMP_HTTP_SYNTAX_H
#define SAMP_HTTP_SYNTAX_H

#include <stdbool.h>
#include <string.h>

static inline bool samp__is_digit(char c) { return c >= '0' && c <= '9'; }

static inline bool samp__is_alnum(char c)
{
    return samp__is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool samp__is_one_of(char c, const char *set) { return c && strchr(set, c); }

/* tchar: of method and field names */
static inline bool samp__is_token(char c)
{
    return samp__is_alnum(c) || samp__is_one_of(c, "!#$%&'*+-.^_`|~");
}

/* pchar, '/' and '?': of a path and a query; '%' is looked at where it is decoded */
static inline bool samp__is_target(char c)
{
    return samp__is_alnum(c) || samp__is_one_of(c, "-._~!$&'()*+,;=:@/?%");
}

/* What may stand in a line of the head at all: no control byte but the tab. Bytes above 0x7f are
 * opaque (obs-text). */
static inline bool samp__is_text(char c)
{
    unsigned char u = (unsigned char)c;
    return (u >= 0x20 && u != 0x7f) || u == '\t';
}

static inline bool samp__is_token_text(const char *text)
{
    const char *p = text;
    while (samp__is_token(*p)) p++;
    return p != text && *p == '\0';
}

static inline int samp__hex(char c) /* -1: not a hexadecimal digit */
{
    if (samp__is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

#endif
