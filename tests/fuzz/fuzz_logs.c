/* A log from anywhere: each line read as a record; what is accepted must be valid UTF-8 without
 * NUL, must survive being written as a sample and read again, and redaction must not damage it. */
#include "file/json_cursor.h"
#include "plan/classify.h"
#include "plan/redact.h"
#include "plan/sample_content.h"
#include "plan/sample_record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t n)
{
    if (!samp_utf8_valid(text, n) || memchr(text, '\0', n)) abort();
}

/* As a line of a sample: the text comes back unchanged. */
static void check_round_trip(const char *text, size_t n)
{
    samp_error error;
    samp_record again = {0};
    json_t *line = json_pack("{s:s%}", "text", text, n);
    char *dumped = line ? json_dumps(line, JSON_COMPACT) : NULL;
    if (!dumped) abort();
    if (samp_record_read(&again, dumped, strlen(dumped), NULL, NULL, &error) != SAMP_OK) abort();
    if (again.repaired || again.text.length != n || memcmp(again.text.data, text, n) != 0) abort();
    free(dumped);
    json_decref(line);
    samp_record_release(&again);
}

static void check_record(const samp_record *record)
{
    const char *text = record->text.data;
    size_t n = record->text.length;
    samp_class class_id;
    samp_language language;
    samp_buffer redacted = {0};
    uint64_t counts[SAMP_REDACTION_COUNT] = {0};
    if (n == 0 || n > SAMP_RECORD_TEXT_MAX || record->body > n) abort();
    check_text(text, n);
    check_round_trip(text, n);
    samp_classify(text + record->body, n - record->body, &class_id, &language);
    if ((unsigned)class_id >= SAMP_CLASS_COUNT || (unsigned)language >= SAMP_LANGUAGE_COUNT)
        abort();
    samp_content_hash(text, n);
    samp_content_signature(text, n);
    samp_redact(text, n, &redacted, counts);
    if (!redacted.failed) check_text(redacted.data, redacted.length);
    samp_buffer_release(&redacted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const fields[] = {NULL, "request", "a.0.b"};
    samp_record record = {0};
    for (size_t at = 0; at < size;) {
        const uint8_t *feed = memchr(data + at, '\n', size - at);
        size_t n = feed ? (size_t)(feed - data) - at : size - at;
        for (int f = 0; f < 3; f++) {
            samp_error error;
            samp_status status = samp_record_read(&record, (const char *)data + at, n, fields[f],
                                                  "meta.team", &error);
            if (status == SAMP_OK) check_record(&record);
            if (strlen(record.stratum) >= sizeof record.stratum) abort();
        }
        at += n + 1;
    }
    samp_record_release(&record);
    return 0;
}
