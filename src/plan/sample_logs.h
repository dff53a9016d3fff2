/* Logs of any size as a stream of records: each line read once, never more than one in memory.
 *
 * Files, pipes and standard input ("-") alike. Lines that are no records are counted, the first few
 * remembered; only when none of a run's lines is one is that an error. */
#ifndef SAMP_PLAN_SAMPLE_LOGS_H
#define SAMP_PLAN_SAMPLE_LOGS_H

#include "base/clock.h"
#include "plan/classify.h"
#include "plan/sample_record.h"

enum {
    SAMP_LOG_LINE_MAX = 16 << 20, /* bytes; longer lines are counted and skipped */
    SAMP_LOG_PROBLEMS = 3,        /* remembered */
    SAMP_STRATA_MAX = 64
};

typedef struct samp_log_problem {
    uint32_t log; /* index in the list of logs */
    uint64_t line;
    char text[160];
} samp_log_problem;

typedef struct samp_log_counts {
    uint64_t bytes, lines, blank;
    uint64_t records, malformed, too_long; /* lines = blank + records + malformed + too_long */
    uint64_t repaired, truncated;          /* of the records */
    samp_log_problem problems[SAMP_LOG_PROBLEMS];
    uint32_t n_problems;
} samp_log_counts;

typedef struct samp_log_record {
    const char *text; /* valid during the call */
    size_t n;
    uint32_t log, stratum; /* index in the list of logs; in samp_traffic */
    uint64_t line;         /* from 1 */
    samp_language language;
} samp_log_record;

typedef struct samp_stratum {
    char name[SAMP_STRATUM_NAME];
    uint64_t records, bytes; /* of text */
} samp_stratum;

/* What came by. A stratum is a value of the stratum field, or a class of the classifier, with
 * "-other" for texts that are not English ("chat-other"). */
typedef struct samp_traffic {
    samp_stratum strata[SAMP_STRATA_MAX];
    uint32_t n_strata;
    samp_log_counts counts;
} samp_traffic;

typedef struct samp_log_options {
    const char *const *logs;
    size_t n_logs;
    const char *field, *stratum_field; /* dotted paths, NULL = found out, classified */
    bool sample; /* lines that samp sample wrote are known as such: their "stratum" counts */
    samp_progress progress; /* "read", bytes */
} samp_log_options;

/* Calls each(context, record) for every record. Fills *traffic (any content before). */
samp_status samp_logs_read(const samp_log_options *options,
                           samp_status (*each)(void *context, const samp_log_record *record,
                                               samp_error *error),
                           void *context, samp_traffic *traffic, samp_error *error);

#endif
