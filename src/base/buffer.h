/* A growable byte buffer, always NUL-terminated past its length. A zeroed samp_buffer is ready.
 * A failed append sets `failed` and leaves the content; check once at the end (samp_buffer_ok). */
#ifndef SAMP_BASE_BUFFER_H
#define SAMP_BASE_BUFFER_H

#include "base/error.h"

typedef struct samp_buffer {
    char *data; /* NULL until the first append */
    size_t length, capacity;
    bool failed;
} samp_buffer;

void samp_buffer_append(samp_buffer *buffer, const void *bytes, size_t length);
void samp_buffer_text(samp_buffer *buffer, const char *text);
void samp_buffer_printf(samp_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Room for `length` more bytes; returns where they start, NULL when out of memory. Length is
 * unchanged. */
char *samp_buffer_reserve(samp_buffer *buffer, size_t length);
void samp_buffer_clear(samp_buffer *buffer); /* length 0, memory kept */
void samp_buffer_release(samp_buffer *buffer);
/* SAMP_NOMEM when any append failed. */
samp_status samp_buffer_ok(const samp_buffer *buffer, samp_error *error);

#endif
