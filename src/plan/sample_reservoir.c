/* Bottom-k sampling with the texts in an unnamed temporary file. */
#include "plan/sample_reservoir.h"

#include "base/memory.h"
#include "file/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A file that no name leads to: gone with the process, however it ends. */
static samp_status open_spool(const char *folder, int *out, samp_error *error)
{
    char name[sizeof((samp_reservoir *)0)->folder + 32];
    *out = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*out >= 0) return SAMP_OK;
    snprintf(name, sizeof name, "%s/.samp-sample-XXXXXX", folder); /* no O_TMPFILE there */
    *out = mkostemp(name, O_CLOEXEC);
    if (*out < 0) return samp_fail_errno(error, "no temporary file can be made in %s", folder);
    unlink(name);
    return SAMP_OK;
}

static samp_status write_at(int fd, uint64_t offset, const char *bytes, size_t n,
                            const char *folder, samp_error *error)
{
    if (samp_pwrite(fd, bytes, n, offset) < n)
        return samp_fail_errno(error, "writing candidates to a temporary file in %s failed",
                               folder);
    return SAMP_OK;
}

static samp_status read_at(int fd, uint64_t offset, char *bytes, size_t n, samp_error *error)
{
    if (samp_pread(fd, bytes, n, offset) < n)
        return samp_fail(error, SAMP_IO, "reading candidates from a temporary file failed: %s",
                         errno ? strerror(errno) : "it ends too early");
    return SAMP_OK;
}

samp_status samp_reservoir_init(samp_reservoir *reservoir, const char *folder, uint32_t keep,
                                uint64_t seed, uint64_t n_expected, samp_error *error)
{
    memset(reservoir, 0, sizeof *reservoir);
    reservoir->spool = -1, reservoir->keep = keep, reservoir->seed = seed;
    reservoir->slack = (uint64_t)64 << 20;
    if ((size_t)snprintf(reservoir->folder, sizeof reservoir->folder, "%s", folder) >=
        sizeof reservoir->folder)
        return samp_fail(error, SAMP_LIMIT, "the path %.64s… is too long", folder);
    SAMP_TRY(open_spool(folder, &reservoir->spool, error));
    samp_status status = samp_seen_init(&reservoir->seen, n_expected, error);
    if (status != SAMP_OK) samp_reservoir_release(reservoir);
    return status;
}

void samp_reservoir_release(samp_reservoir *reservoir)
{
    for (uint32_t s = 0; s < SAMP_STRATA_MAX; s++) samp_free(reservoir->strata[s].heap);
    samp_seen_release(&reservoir->seen);
    if (reservoir->spool >= 0 && reservoir->keep > 0) close(reservoir->spool);
    memset(reservoir, 0, sizeof *reservoir);
    reservoir->spool = -1;
}

samp_status samp_reservoir_text(const samp_reservoir *reservoir, const samp_candidate *candidate,
                                samp_buffer *out, samp_error *error)
{
    samp_buffer_clear(out);
    char *at = samp_buffer_reserve(out, candidate->length);
    if (!at) return samp_fail(error, SAMP_NOMEM, "out of memory for a record's text");
    SAMP_TRY(read_at(reservoir->spool, candidate->offset, at, candidate->length, error));
    out->length = candidate->length;
    out->data[out->length] = '\0';
    return SAMP_OK;
}

/* Copies what is alive into a new spool. */
static samp_status compact(samp_reservoir *reservoir, samp_error *error)
{
    int fresh;
    uint64_t end = 0;
    samp_buffer text = {0};
    SAMP_TRY(open_spool(reservoir->folder, &fresh, error));
    samp_status status = SAMP_OK;
    for (uint32_t s = 0; s < SAMP_STRATA_MAX && status == SAMP_OK; s++) {
        samp_reservoir_stratum *stratum = &reservoir->strata[s];
        for (uint32_t i = 0; i < stratum->count && status == SAMP_OK; i++) {
            samp_candidate *candidate = &stratum->heap[i];
            status = samp_reservoir_text(reservoir, candidate, &text, error);
            if (status == SAMP_OK)
                status = write_at(fresh, end, text.data, text.length, reservoir->folder, error);
            candidate->offset = end;
            end += candidate->length;
        }
    }
    samp_buffer_release(&text);
    close(reservoir->spool);
    reservoir->spool = fresh;
    reservoir->spool_end = end;
    return status;
}

/* Restores the heap below its root after the root was replaced. */
static void sift_down(samp_candidate *heap, uint32_t count)
{
    samp_candidate moving = heap[0];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count) break;
        if (child + 1 < count && heap[child + 1].priority > heap[child].priority) child++;
        if (heap[child].priority <= moving.priority) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moving;
}

static void sift_up(samp_candidate *heap, uint32_t at)
{
    samp_candidate moving = heap[at];
    while (at > 0 && heap[(at - 1) / 2].priority < moving.priority) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = moving;
}

/* Puts the candidate in, in place of the highest priority when the stratum has enough. */
static samp_status keep(samp_reservoir *reservoir, samp_reservoir_stratum *stratum,
                        const samp_candidate *candidate, samp_error *error)
{
    reservoir->live += candidate->length;
    if (stratum->count == reservoir->keep) {
        reservoir->live -= stratum->heap[0].length;
        stratum->heap[0] = *candidate;
        sift_down(stratum->heap, stratum->count);
        return SAMP_OK;
    }
    if (stratum->count == stratum->capacity) {
        uint32_t capacity = stratum->capacity ? 2 * stratum->capacity : 64;
        samp_candidate *heap = samp_realloc(stratum->heap, capacity, sizeof *heap);
        if (!heap) return samp_fail(error, SAMP_NOMEM, "out of memory for candidates");
        stratum->heap = heap, stratum->capacity = capacity;
    }
    stratum->heap[stratum->count] = *candidate;
    sift_up(stratum->heap, stratum->count++);
    return SAMP_OK;
}

static bool is_kept(const samp_reservoir_stratum *stratum, uint64_t priority)
{
    for (uint32_t i = 0; i < stratum->count; i++)
        if (stratum->heap[i].priority == priority) return true;
    return false;
}

unsigned samp_length_bin(uint32_t length)
{
    if (length == 0) return 0;
    unsigned octave = 31u - (unsigned)__builtin_clz(length);
    unsigned eighth = octave >= 3 ? length >> (octave - 3) & 7 : length << (3 - octave) & 7;
    unsigned bin = 8 * octave + eighth;
    return bin < SAMP_LENGTH_BINS ? bin : SAMP_LENGTH_BINS - 1;
}

samp_status samp_reservoir_offer(samp_reservoir *reservoir, const samp_log_record *record,
                                 samp_error *error)
{
    samp_reservoir_stratum *stratum = &reservoir->strata[record->stratum];
    uint64_t hash = samp_content_hash(record->text, record->n);
    /* The same text in two strata is two records. */
    if (samp_seen_add(&reservoir->seen, samp_mix64(hash + record->stratum))) {
        reservoir->duplicates++;
        return SAMP_OK;
    }
    stratum->distinct++;
    stratum->lengths[samp_length_bin((uint32_t)record->n)]++;
    uint64_t priority = samp_mix64(hash ^ samp_mix64(reservoir->seed + 0x9E3779B97F4A7C15u));
    if (stratum->count == reservoir->keep && priority >= stratum->heap[0].priority) return SAMP_OK;
    if (reservoir->seen.full && is_kept(stratum, priority)) {
        reservoir->duplicates++;
        stratum->distinct--;
        stratum->lengths[samp_length_bin((uint32_t)record->n)]--;
        return SAMP_OK;
    }
    samp_candidate candidate = {.priority = priority,
                                .offset = reservoir->spool_end,
                                .line = record->line,
                                .length = (uint32_t)record->n,
                                .log = record->log,
                                .stratum = (uint16_t)record->stratum,
                                .language = (uint8_t)record->language};
    SAMP_TRY(write_at(reservoir->spool, candidate.offset, record->text, record->n,
                      reservoir->folder, error));
    reservoir->spool_end += record->n;
    SAMP_TRY(keep(reservoir, stratum, &candidate, error));
    if (reservoir->spool_end > reservoir->slack && reservoir->spool_end / 4 > reservoir->live)
        return compact(reservoir, error);
    return SAMP_OK;
}
