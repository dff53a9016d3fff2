/* Reading an HTTP/1.1 answer as it comes: head, chunks or length, and server-sent events in any
 * cutting of the bytes, with LF, CRLF or CR line ends. Private to the load generator. */
#ifndef SAMP_BENCH_LOAD_STREAM_H
#define SAMP_BENCH_LOAD_STREAM_H

#include "base/buffer.h"

#include <stdint.h>

typedef enum samp__stream_state {
    SAMP__STREAM_HEAD,
    SAMP__STREAM_BODY,       /* by length, or to the end of the connection */
    SAMP__STREAM_CHUNK_SIZE, /* chunked: the line with the size */
    SAMP__STREAM_CHUNK,
    SAMP__STREAM_CHUNK_END, /* the line end behind a chunk */
    SAMP__STREAM_TRAILER,
    SAMP__STREAM_COMPLETE,
    SAMP__STREAM_BROKEN
} samp__stream_state;

typedef struct samp__stream {
    samp__stream_state state;
    samp_buffer line;  /* of head, chunk sizes or trailers, not complete yet */
    samp_buffer held;  /* of events, not complete yet: a chunk may end anywhere */
    samp_buffer event; /* data lines of the event under way */
    samp_buffer body;  /* of an answer that is no stream of events, at most 16 MiB */
    int status;
    bool events, chunked, keep_alive, skip_lf, to_end;
    uint64_t left; /* bytes of the body or chunk */
    /* Called for each event's data; the text is NUL-terminated. */
    void (*on_event)(void *context, const char *data, size_t n);
    void *context;
} samp__stream; /* zeroed but for the callback = ready */

/* Takes n bytes; what comes after the answer is a break. */
void samp__stream_take(samp__stream *stream, const char *bytes, size_t n);
/* The connection ended: complete when the answer ends with it. */
void samp__stream_end(samp__stream *stream);
/* Ready for the next answer; memory is kept. */
void samp__stream_reset(samp__stream *stream);
void samp__stream_release(samp__stream *stream);

#endif
