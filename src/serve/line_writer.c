/* Waiting lines, the thread that writes them, and what becomes of those it cannot write. */
#include "serve/line_writer.h"

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAITING_MAX = 4 << 20, KEPT_MAX = 1 << 20, POLL_MS = 50 };
static const double ending_seconds = 2, warning_seconds = 60;
static const int open_flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK;

struct samp_line_writer {
    char *path; /* NULL = standard output */
    pthread_t thread;
    bool has_thread;
    _Atomic uint64_t lost;
    _Atomic bool ending;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    samp_buffer waiting; /* whole lines; under the lock, as is the next */
    bool reopen;
    /* The thread's. */
    samp_buffer batch, line;
    int file;
    bool regular;   /* a file on a disk; others may not have room now */
    bool torn;      /* what was written last is a part of a line */
    int why;        /* errno of the last write that failed; 0 = the last one did not */
    uint64_t told;  /* of the lost ones */
    double warned;  /* when, 0 = never */
    double end_due; /* once it ends */
};

/* ---- the file -------------------------------------------------------------------------------- */

/* As a process that was killed while it wrote leaves a file. */
static bool ends_within_line(const char *path)
{
    char last = '\n';
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    off_t size = file < 0 ? 0 : lseek(file, 0, SEEK_END);
    if (size > 0 && pread(file, &last, 1, size - 1) != 1) last = '\n';
    if (file >= 0) close(file);
    return last != '\n';
}

static void take_file(samp_line_writer *writer, int file)
{
    struct stat about;
    writer->file = file;
    writer->regular = fstat(file, &about) == 0 && S_ISREG(about.st_mode);
    writer->torn = writer->path && writer->regular && ends_within_line(writer->path);
}

/* Where a pipe cannot be opened once more, poll alone must do. */
static int open_standard_output(void)
{
    int file = samp_descriptor_reopen_pipe(STDOUT_FILENO);
    return file < 0 ? STDOUT_FILENO : file;
}

static void close_file(samp_line_writer *writer)
{
    if (writer->file > STDERR_FILENO) close(writer->file);
}

static void open_again(samp_line_writer *writer)
{
    int file = open(writer->path, open_flags, 0640);
    if (file < 0) {
        samp_log(SAMP_LOG_ERROR, "the log %s cannot be opened again, the old file goes on: %s",
                 writer->path, strerror(errno));
        return;
    }
    close_file(writer);
    take_file(writer, file);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void warn_of_loss(samp_line_writer *writer)
{
    uint64_t lost = atomic_load(&writer->lost);
    double now = samp_clock();
    if (lost == writer->told) return;
    if (writer->warned > 0 && now < writer->warned + warning_seconds) return;
    writer->warned = now;
    samp_log(SAMP_LOG_WARN,
             "the log %s loses lines, %llu so far (samp_log_lines_lost_total counts them): %s",
             writer->path ? writer->path : "on standard output", (unsigned long long)lost,
             writer->why ? strerror(writer->why) : "it takes them too slowly");
}

/* False: there is no room, and the writer has to end. */
static bool wait_for_room(samp_line_writer *writer)
{
    struct pollfd look = {.fd = writer->file, .events = POLLOUT};
    while (!writer->regular && poll(&look, 1, POLL_MS) <= 0) {
        warn_of_loss(writer);
        if (!atomic_load(&writer->ending)) continue;
        if (writer->end_due == 0) writer->end_due = samp_clock() + ending_seconds;
        errno = EAGAIN;
        if (samp_clock() > writer->end_due) return false;
    }
    return true;
}

/* False when not all was written, *done bytes were: the disk is full, say, or the reader gone. */
static bool write_all(samp_line_writer *writer, const char *data, size_t n, size_t *done)
{
    for (*done = 0; *done < n;) {
        size_t piece = n - *done; /* a pipe with any room takes PIPE_BUF at once */
        if (!writer->regular && piece > PIPE_BUF) piece = PIPE_BUF;
        if (!wait_for_room(writer)) return false;
        ssize_t written = write(writer->file, data + *done, piece);
        if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (written <= 0) return false;
        *done += (size_t)written;
    }
    return true;
}

/* Takes a part of a line off the file's end again. False: it stays, and is a line of its own. */
static bool cut_part(samp_line_writer *writer, off_t size, size_t done)
{
    struct stat about;
    return writer->path && writer->regular && fstat(writer->file, &about) == 0 &&
           about.st_size == size + (off_t)done && ftruncate(writer->file, size) == 0;
}

/* An object of n bytes, and in it how many were lost before it. */
static void write_object(samp_line_writer *writer, const char *object, size_t n)
{
    samp_buffer *line = &writer->line;
    uint64_t lost = atomic_load(&writer->lost), untold = lost - writer->told;
    struct stat about = {0};
    size_t done = 0;
    warn_of_loss(writer);
    samp_buffer_clear(line);
    if (writer->torn) samp_buffer_text(line, "\n"); /* no line begins within another */
    samp_buffer_append(line, object, n - 1);
    if (untold)
        samp_buffer_printf(line, ",\"lines_lost\":%llu}\n", (unsigned long long)untold);
    else
        samp_buffer_text(line, "}\n");
    if (writer->regular) fstat(writer->file, &about);
    if (!line->failed && write_all(writer, line->data, line->length, &done)) {
        writer->told = lost;
        writer->torn = false;
        writer->why = 0;
        return;
    }
    writer->why = line->failed ? ENOMEM : errno;
    if (done) writer->torn = !cut_part(writer, about.st_size, done) || writer->torn;
    atomic_fetch_add(&writer->lost, 1);
    warn_of_loss(writer);
}

static void write_batch(samp_line_writer *writer)
{
    const char *at = writer->batch.data, *end = at + writer->batch.length;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        write_object(writer, at, (size_t)(newline - at));
        at = newline + 1;
    }
    if (writer->batch.capacity > KEPT_MAX) samp_buffer_release(&writer->batch);
    samp_buffer_clear(&writer->batch);
    if (writer->line.capacity > KEPT_MAX) samp_buffer_release(&writer->line);
}

static void *write_lines(void *context)
{
    samp_line_writer *writer = context;
    for (;;) {
        pthread_mutex_lock(&writer->lock);
        while (!writer->waiting.length && !writer->reopen && !atomic_load(&writer->ending))
            pthread_cond_wait(&writer->changed, &writer->lock);
        bool again = writer->reopen;
        samp_buffer taken = writer->waiting;
        writer->waiting = writer->batch;
        writer->batch = taken;
        writer->reopen = false;
        pthread_mutex_unlock(&writer->lock);
        if (again) open_again(writer);
        if (!again && !writer->batch.length) return NULL; /* it ends */
        if (writer->batch.length) write_batch(writer);
    }
}

/* ---- the interface --------------------------------------------------------------------------- */

static samp_status open_file(samp_line_writer *writer, const char *path, samp_error *error)
{
    if (strcmp(path, "-") == 0) {
        take_file(writer, open_standard_output());
        return SAMP_OK;
    }
    writer->path = samp_strdup(path);
    if (!writer->path) return samp_fail(error, SAMP_NOMEM, "out of memory for the log");
    int file = open(path, open_flags, 0640);
    if (file < 0 && errno == ENXIO)
        return samp_fail(error, SAMP_IO, "the log %s is a pipe that nobody reads", path);
    if (file < 0) return samp_fail_errno(error, "the log %s cannot be opened", path);
    take_file(writer, file);
    return SAMP_OK;
}

samp_status samp_line_writer_open(samp_line_writer **out, const char *path, samp_error *error)
{
    samp_line_writer *writer = samp_alloc(1, sizeof *writer);
    if (!writer) return samp_fail(error, SAMP_NOMEM, "out of memory for the log");
    writer->file = -1;
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->changed, NULL);
    samp_status status = open_file(writer, path, error);
    if (status == SAMP_OK) {
        writer->has_thread = pthread_create(&writer->thread, NULL, write_lines, writer) == 0;
        if (!writer->has_thread)
            status = samp_fail(error, SAMP_NOMEM, "no thread for the log could be started");
    }
    if (status == SAMP_OK)
        *out = writer;
    else
        samp_line_writer_close(writer);
    return status;
}

void samp_line_writer_close(samp_line_writer *writer)
{
    if (!writer) return;
    pthread_mutex_lock(&writer->lock);
    atomic_store(&writer->ending, true);
    pthread_cond_signal(&writer->changed);
    pthread_mutex_unlock(&writer->lock);
    if (writer->has_thread) pthread_join(writer->thread, NULL);
    close_file(writer);
    pthread_cond_destroy(&writer->changed);
    pthread_mutex_destroy(&writer->lock);
    samp_buffer_release(&writer->waiting);
    samp_buffer_release(&writer->batch);
    samp_buffer_release(&writer->line);
    samp_free(writer->path);
    samp_free(writer);
}

void samp_line_writer_put(samp_line_writer *writer, const samp_buffer *object)
{
    size_t n = object->length;
    pthread_mutex_lock(&writer->lock);
    samp_buffer *waiting = &writer->waiting;
    /* A line alone may be longer than all that wait. */
    bool room = !object->failed && n && (!waiting->length || waiting->length + n < WAITING_MAX);
    char *at = room ? samp_buffer_reserve(waiting, n + 1) : NULL;
    waiting->failed = false;
    if (at) {
        memcpy(at, object->data, n);
        at[n] = '\n';
        waiting->length += n + 1;
    } else {
        atomic_fetch_add(&writer->lost, 1);
    }
    pthread_cond_signal(&writer->changed);
    pthread_mutex_unlock(&writer->lock);
}

void samp_line_writer_reopen(samp_line_writer *writer)
{
    if (!writer->path) return;
    pthread_mutex_lock(&writer->lock);
    writer->reopen = true;
    pthread_cond_signal(&writer->changed);
    pthread_mutex_unlock(&writer->lock);
}

uint64_t samp_line_writer_lost(const samp_line_writer *writer)
{
    return atomic_load(&writer->lost);
}
