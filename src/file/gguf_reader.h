/* Reading GGUF's metadata piece by piece: a samp_cursor over a window that moves along a file, or
 * over bytes in memory. Memory is asked for only after the file was seen to have as many bytes. */
#ifndef SAMP_FILE_GGUF_READER_H
#define SAMP_FILE_GGUF_READER_H

#include "base/memory.h"
#include "file/cursor.h"
#include "file/file.h"

typedef struct samp_gguf_reader {
    samp_cursor window; /* its status is the reader's */
    samp_file *file;    /* NULL: the window is everything */
    uint64_t size;      /* bytes that may be metadata */
    unsigned char *buffer;
} samp_gguf_reader;

/* Over a file, or with file NULL over n bytes in memory. */
samp_status samp_gguf_reader_init(samp_gguf_reader *reader, samp_file *file, const void *bytes,
                                  uint64_t n, const char *where, samp_error *error);
void samp_gguf_reader_release(samp_gguf_reader *reader);
/* Position in the source, and bytes from there to its end. */
uint64_t samp_gguf_reader_at(const samp_gguf_reader *reader);
uint64_t samp_gguf_reader_left(const samp_gguf_reader *reader);
/* n <= 8 little-endian bytes; 0 after a failure. */
uint64_t samp_gguf_reader_integer(samp_gguf_reader *reader, unsigned n, const char *what);
bool samp_gguf_reader_copy(samp_gguf_reader *reader, void *out, uint64_t n, const char *what);
/* A string (length, bytes) of at most max bytes into the arena, NUL added; NULL on failure. */
const char *samp_gguf_reader_string(samp_gguf_reader *reader, samp_arena *arena, uint64_t max,
                                    uint64_t *length, const char *what);

#endif
