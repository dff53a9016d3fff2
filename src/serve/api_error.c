/* Errors of the API: statuses, types, and the JSON of them. */
#include "serve/api_error.h"

#include "base/utf8.h"

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

static const char *error_type(int http_status)
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
        int length = escape ? 0 : samp_utf8_length(text + i, n - i);
        if (length > 0) {
            i += (size_t)length;
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
    samp_buffer_printf(out, ",\"type\":\"%s\",\"param\":", error_type(error->http_status));
    if (error->param[0])
        samp_json_write_string(out, error->param, strlen(error->param));
    else
        samp_buffer_text(out, "null");
    if (error->code)
        samp_buffer_printf(out, ",\"code\":\"%s\"}}", error->code);
    else
        samp_buffer_text(out, ",\"code\":null}}");
}
