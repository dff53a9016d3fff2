/* A cursor over bytes from outside: every number is checked against the bytes left. The first
 * failure is kept (file, byte offset, what was expected) and makes all later reads return zero, so
 * that a parser can read straight through and look once. Integers are little-endian. */
#ifndef SAMP_FILE_CURSOR_H
#define SAMP_FILE_CURSOR_H

#include "base/error.h"

#include <stdint.h>

typedef struct samp_cursor {
    const unsigned char *data;
    uint64_t size, at;
    uint64_t base; /* byte of the source at which data starts, 0 unless data is a window into it */
    const char *where;  /* names the source in messages */
    samp_status status; /* first failure */
    samp_error *error;  /* filled by it */
} samp_cursor;

void samp_cursor_init(samp_cursor *cursor, const void *data, uint64_t size, const char *where,
                      samp_error *error);
uint8_t samp_cursor_u8(samp_cursor *cursor, const char *what);
uint16_t samp_cursor_u16(samp_cursor *cursor, const char *what);
uint32_t samp_cursor_u32(samp_cursor *cursor, const char *what);
uint64_t samp_cursor_u64(samp_cursor *cursor, const char *what);
float samp_cursor_f32(samp_cursor *cursor, const char *what);
double samp_cursor_f64(samp_cursor *cursor, const char *what);
/* n bytes in place; NULL when they are not there. */
const void *samp_cursor_bytes(samp_cursor *cursor, uint64_t n, const char *what);
/* Marks a failure at the current byte: "WHERE: byte N: <text>". */
samp_status samp_cursor_fail(samp_cursor *cursor, samp_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
