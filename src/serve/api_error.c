/* Errors of the API: statuses, types, and the JSON of them. */
#include "serve/api_error.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const struct {
    int http_status;
    const char *type;
} types[] = {
    {401, "authentication_error"}, {403, "permission_error"}, {404, "not_found_error"},
    {429, "rate_limit_error"},     {500, "server_error"},     {503, "service_unavailable_error"},
};

const char *samp_api_error_type(int http_status)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].http_status == http_status) return types[i].type;
    return http_status >= 500 ? "server_error" : "invalid_request_error";
}

samp_status samp_api_fail(samp_api_error *error, int http_status, const char *param,
                          const char *code, const char *format, ...)
{
    *error = (samp_api_error){.http_status = http_status, .code = code};
    snprintf(error->param, sizeof error->param, "%s", param ? param : "");
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return SAMP_INVALID;
}

samp_status samp_api_error_from(samp_api_error *error, const char *param, const samp_error *from)
{
    int http_status = 500;
    switch (from->status) {
    case SAMP_INVALID:
    case SAMP_CORRUPT:
    case SAMP_UNSUPPORTED:
    case SAMP_MISMATCH: http_status = 400; break;
    case SAMP_LIMIT:
    case SAMP_NOMEM: http_status = 503; break;
    default: break;
    }
    samp_api_fail(error, http_status, param, NULL, "%s", from->message);
    if (http_status == 503) error->retry_after_s = 1;
    return from->status;
}

/* Bytes of the well-formed UTF-8 character at text, 0 when there is none. */
static size_t utf8_length(const unsigned char *text, size_t n)
{
    static const struct {
        unsigned char first_low, first_high, second_low, second_high, length;
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (text[0] < 0x80) return 1;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (text[0] < forms[i].first_low || text[0] > forms[i].first_high) continue;
        if (n < forms[i].length) return 0;
        if (text[1] < forms[i].second_low || text[1] > forms[i].second_high) return 0;
        for (size_t k = 2; k < forms[i].length; k++)
            if ((text[k] & 0xc0) != 0x80) return 0;
        return forms[i].length;
    }
    return 0;
}

static void write_escaped(samp_buffer *out, unsigned char c)
{
    static const char *const short_forms[] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f",
        ['\r'] = "\\r", ['"'] = "\\\"", ['\\'] = "\\\\"};
    const char *form = c < sizeof short_forms / sizeof *short_forms ? short_forms[c] : NULL;
    if (form)
        samp_buffer_text(out, form);
    else
        samp_buffer_printf(out, "\\u%04x", c);
}

void samp_json_write_string(samp_buffer *out, const char *text, size_t n)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t plain = 0; /* bytes before i that are copied as they are */
    samp_buffer_append(out, "\"", 1);
    for (size_t i = 0; i < n;) {
        bool escape = bytes[i] < 0x20 || bytes[i] == '"' || bytes[i] == '\\' || bytes[i] == 0x7f;
        size_t length = escape ? 0 : utf8_length(bytes + i, n - i);
        if (length) {
            i += length;
            continue;
        }
        samp_buffer_append(out, text + plain, i - plain);
        if (escape)
            write_escaped(out, bytes[i]);
        else
            samp_buffer_text(out, "\xef\xbf\xbd");
        plain = ++i;
    }
    samp_buffer_append(out, text + plain, n - plain);
    samp_buffer_append(out, "\"", 1);
}

void samp_api_error_write(const samp_api_error *error, samp_buffer *out)
{
    samp_buffer_text(out, "{\"error\":{\"message\":");
    samp_json_write_string(out, error->message, strlen(error->message));
    samp_buffer_printf(out, ",\"type\":\"%s\",\"param\":", samp_api_error_type(error->http_status));
    if (error->param[0])
        samp_json_write_string(out, error->param, strlen(error->param));
    else
        samp_buffer_text(out, "null");
    if (error->code)
        samp_buffer_printf(out, ",\"code\":\"%s\"}}", error->code);
    else
        samp_buffer_text(out, ",\"code\":null}}");
}
