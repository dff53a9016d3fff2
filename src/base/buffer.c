/* A growable byte buffer. */
#include "base/buffer.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

char *samp_buffer_reserve(samp_buffer *buffer, size_t length)
{
    size_t needed;
    if (__builtin_add_overflow(buffer->length, length, &needed) ||
        __builtin_add_overflow(needed, (size_t)1, &needed)) {
        buffer->failed = true;
        return NULL;
    }
    if (needed > buffer->capacity) {
        size_t capacity = buffer->capacity ? buffer->capacity : 64;
        while (capacity < needed)
            if (__builtin_mul_overflow(capacity, (size_t)2, &capacity)) capacity = needed;
        char *data = samp_realloc(buffer->data, capacity, 1);
        if (!data) {
            buffer->failed = true;
            return NULL;
        }
        buffer->data = data;
        buffer->capacity = capacity;
    }
    buffer->data[buffer->length] = '\0';
    return buffer->data + buffer->length;
}

void samp_buffer_append(samp_buffer *buffer, const void *bytes, size_t length)
{
    char *at = samp_buffer_reserve(buffer, length);
    if (!at) return;
    if (length) memcpy(at, bytes, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
}

void samp_buffer_text(samp_buffer *buffer, const char *text)
{
    samp_buffer_append(buffer, text, strlen(text));
}

void samp_buffer_printf(samp_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *at = n < 0 ? NULL : samp_buffer_reserve(buffer, (size_t)n);
    if (!at) {
        buffer->failed = true;
        return;
    }
    va_start(arguments, format);
    vsnprintf(at, (size_t)n + 1, format, arguments);
    va_end(arguments);
    buffer->length += (size_t)n;
}

void samp_buffer_clear(samp_buffer *buffer)
{
    buffer->length = 0;
    buffer->failed = false;
    if (buffer->data) buffer->data[0] = '\0';
}

void samp_buffer_release(samp_buffer *buffer)
{
    samp_free(buffer->data);
    *buffer = (samp_buffer){0};
}

samp_status samp_buffer_ok(const samp_buffer *buffer, samp_error *error)
{
    return buffer->failed ? samp_fail(error, SAMP_NOMEM, "out of memory while building a text")
                          : SAMP_OK;
}
