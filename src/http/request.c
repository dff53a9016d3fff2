/* Names of the methods, and looking up a field. */
#include "http/request.h"

#include "base/memory.h"

#include <strings.h>

const char *samp_http_method_name(samp_http_method method)
{
    static const char *const names[SAMP_HTTP_METHODS] = {
        [SAMP_HTTP_GET] = "GET",        [SAMP_HTTP_HEAD] = "HEAD",   [SAMP_HTTP_POST] = "POST",
        [SAMP_HTTP_PUT] = "PUT",        [SAMP_HTTP_PATCH] = "PATCH", [SAMP_HTTP_DELETE] = "DELETE",
        [SAMP_HTTP_OPTIONS] = "OPTIONS"};
    return names[method];
}

const char *samp_http_request_header(const samp_http_request *request, const char *name)
{
    for (unsigned i = 0; i < request->n_headers; i++)
        if (strcasecmp(request->headers[i].name, name) == 0) return request->headers[i].value;
    return NULL;
}

void samp_http_request_release(samp_http_request *request)
{
    samp_free(request->headers);
    samp_buffer_release(&request->head_bytes);
    samp_buffer_release(&request->body_bytes);
    *request = (samp_http_request){0};
}
