/* A cursor over untrusted bytes. Reads past the end fail once, with the file and the byte; the
 * cursor then answers zeros, so a parser checks cursor->status after a group of reads. The bytes
 * belong to the caller. */
#include "file/cursor.h"

#include "base/half.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void samp_cursor_init(samp_cursor *cursor, const void *data, uint64_t size, const char *where,
                      samp_error *error)
{
    *cursor = (samp_cursor){.data = data, .size = size, .where = where, .error = error};
}

samp_status samp_cursor_fail(samp_cursor *cursor, samp_status status, const char *format, ...)
{
    if (cursor->status != SAMP_OK) return cursor->status;
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    cursor->status = status;
    return samp_fail(cursor->error, status, "%s: byte %" PRIu64 ": %s", cursor->where,
                     cursor->base + cursor->at, text);
}

const void *samp_cursor_bytes(samp_cursor *cursor, uint64_t n, const char *what)
{
    if (cursor->status != SAMP_OK) return NULL;
    uint64_t left = cursor->size - cursor->at;
    if (n > left) {
        samp_cursor_fail(cursor, SAMP_CORRUPT,
                         "%s needs %" PRIu64 " bytes, but only %" PRIu64 " are left", what, n,
                         left);
        return NULL;
    }
    const void *bytes = cursor->data + cursor->at;
    cursor->at += n;
    return bytes;
}

static uint64_t read_integer(samp_cursor *cursor, unsigned n_bytes, const char *what)
{
    const unsigned char *bytes = samp_cursor_bytes(cursor, n_bytes, what);
    uint64_t value = 0;
    for (unsigned i = 0; bytes && i < n_bytes; i++) value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

uint8_t samp_cursor_u8(samp_cursor *cursor, const char *what)
{
    return (uint8_t)read_integer(cursor, 1, what);
}

uint16_t samp_cursor_u16(samp_cursor *cursor, const char *what)
{
    return (uint16_t)read_integer(cursor, 2, what);
}

uint32_t samp_cursor_u32(samp_cursor *cursor, const char *what)
{
    return (uint32_t)read_integer(cursor, 4, what);
}

uint64_t samp_cursor_u64(samp_cursor *cursor, const char *what)
{
    return read_integer(cursor, 8, what);
}

float samp_cursor_f32(samp_cursor *cursor, const char *what)
{
    return samp_bits_float(samp_cursor_u32(cursor, what));
}

double samp_cursor_f64(samp_cursor *cursor, const char *what)
{
    uint64_t bits = samp_cursor_u64(cursor, what);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
