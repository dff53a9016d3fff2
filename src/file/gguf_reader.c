/* The moving window over a GGUF file's metadata. */
#include "file/gguf_reader.h"

#include <inttypes.h>
#include <string.h>

enum { WINDOW = 64 * 1024 };

samp_status samp_gguf_reader_init(samp_gguf_reader *reader, samp_file *file, const void *bytes,
                                  uint64_t n, const char *where, samp_error *error)
{
    *reader = (samp_gguf_reader){.file = file, .size = file ? samp_file_size(file) : n};
    samp_cursor_init(&reader->window, bytes, file ? 0 : n, where, error);
    if (!file) return SAMP_OK;
    reader->buffer = samp_realloc(NULL, WINDOW, 1);
    if (!reader->buffer)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for a read buffer", where);
    reader->window.data = reader->buffer;
    return SAMP_OK;
}

void samp_gguf_reader_release(samp_gguf_reader *reader)
{
    samp_free(reader->buffer);
    reader->buffer = NULL;
}

uint64_t samp_gguf_reader_at(const samp_gguf_reader *reader)
{
    return reader->window.base + reader->window.at;
}

uint64_t samp_gguf_reader_left(const samp_gguf_reader *reader)
{
    return reader->size - samp_gguf_reader_at(reader);
}

/* Makes the window start at the cursor and hold as much as fits. */
static void refill(samp_gguf_reader *reader)
{
    samp_cursor *window = &reader->window;
    window->base += window->at;
    window->at = 0;
    uint64_t left = reader->size - window->base;
    window->size = left < WINDOW ? left : WINDOW;
    samp_status status =
        samp_file_read(reader->file, window->base, reader->buffer, window->size, window->error);
    if (status != SAMP_OK) window->status = status;
}

uint64_t samp_gguf_reader_integer(samp_gguf_reader *reader, unsigned n, const char *what)
{
    samp_cursor *window = &reader->window;
    if (reader->file && window->status == SAMP_OK && window->size - window->at < n) refill(reader);
    const unsigned char *bytes = samp_cursor_bytes(window, n, what);
    uint64_t value = 0;
    for (unsigned i = 0; bytes && i < n; i++) value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

bool samp_gguf_reader_copy(samp_gguf_reader *reader, void *out, uint64_t n, const char *what)
{
    samp_cursor *window = &reader->window;
    if (window->status != SAMP_OK) return false;
    if (n > samp_gguf_reader_left(reader)) {
        samp_cursor_fail(window, SAMP_CORRUPT,
                         "%s needs %" PRIu64 " bytes, but only %" PRIu64 " are left", what, n,
                         samp_gguf_reader_left(reader));
        return false;
    }
    uint64_t held = window->size - window->at, from_window = n < held ? n : held;
    if (from_window) memcpy(out, window->data + window->at, from_window);
    window->at += from_window;
    if (n == from_window) return true;
    window->base += window->at; /* the window is used up; the rest comes from the file, past it */
    window->at = window->size = 0;
    samp_status status = samp_file_read(reader->file, window->base, (char *)out + from_window,
                                        n - from_window, window->error);
    window->base += n - from_window;
    if (status != SAMP_OK) window->status = status;
    return status == SAMP_OK;
}

const char *samp_gguf_reader_string(samp_gguf_reader *reader, samp_arena *arena, uint64_t max,
                                    uint64_t *length, const char *what)
{
    samp_cursor *window = &reader->window;
    uint64_t n = samp_gguf_reader_integer(reader, 8, what);
    if (window->status == SAMP_OK && n > samp_gguf_reader_left(reader))
        samp_cursor_fail(window, SAMP_CORRUPT,
                         "%s of %" PRIu64 " bytes, but only %" PRIu64 " are left", what, n,
                         samp_gguf_reader_left(reader));
    if (window->status == SAMP_OK && n > max)
        samp_cursor_fail(window, SAMP_LIMIT,
                         "%s of %" PRIu64 " bytes, at most %" PRIu64 " are accepted", what, n, max);
    *length = n;
    if (window->status != SAMP_OK) return NULL;
    if (n == 0) return "";
    char *text = samp_arena_alloc(arena, (size_t)n + 1, 1);
    if (!text)
        samp_cursor_fail(window, SAMP_NOMEM, "out of memory for %s of %" PRIu64 " bytes", what, n);
    return text && samp_gguf_reader_copy(reader, text, n, what) ? text : NULL;
}
