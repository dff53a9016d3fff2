/* samp sample: a calibration sample of production logs with the traffic's own mix.
 *
 * One pass over the logs keeps, for each stratum, the candidates a seed chooses among the different
 * texts (sample_reservoir.h); then the strata get their shares of the sample by largest remainder,
 * a stratum's lengths their quarters (sample_draw.h). Secrets and personal data become placeholders
 * (redact.h). The same logs, options and seed give the same bytes.
 *
 * Written, both whole or not at all: JSON lines {"text", "stratum", "language", "source",
 * "source_line"} in random order, and beside them NAME.fingerprint.json: what came by, what was
 * drawn, and the sample's SHA-256; it follows the sample into sensitivity file and artifact.
 *
 * Two logs or samples are compared by the shares of their strata: calibrating on one mix and
 * serving another is what cost a production team 4.2 % on code. */
#ifndef SAMP_PLAN_SAMPLE_H
#define SAMP_PLAN_SAMPLE_H

#include "base/hash.h"
#include "plan/redact.h"
#include "plan/sample_logs.h"

enum { SAMP_SAMPLE_RECORDS_MAX = 10000 };

typedef struct samp_sample_options {
    samp_log_options logs;
    const char *out_path;
    uint32_t n_records;       /* 1 … SAMP_SAMPLE_RECORDS_MAX */
    uint64_t max_bytes;       /* of text: as many of n_records as fit; 0 = no limit */
    uint32_t min_per_stratum; /* as far as there are different texts */
    uint64_t seed;
    bool redact;
} samp_sample_options;

typedef struct samp_sample_share {
    uint64_t distinct;       /* different texts in the traffic */
    uint64_t records, bytes; /* drawn, redacted */
    uint64_t asked;          /* its share of the records; more than `records` when texts ran out */
} samp_sample_share;

typedef struct samp_sample_report {
    samp_traffic traffic;
    samp_sample_share shares[SAMP_STRATA_MAX]; /* as traffic.strata */
    uint64_t records, bytes;                   /* of the sample; bytes of text */
    uint64_t duplicates;                       /* records whose text had come by before */
    bool duplicates_exact;                     /* false: at least so many */
    uint64_t near_duplicates;                  /* candidates passed over */
    uint64_t redactions[SAMP_REDACTION_COUNT];
    char sha256[SAMP_SHA256_HEX];
} samp_sample_report;

/* SAMP_CORRUPT: no line is a record; SAMP_INVALID: nothing fits. Nothing is left behind on an
 * error. report is large: not on a small stack. */
samp_status samp_sample(const samp_sample_options *options, samp_sample_report *report,
                        samp_error *error);
/* The fingerprint, as written; NULL when out of memory. */
json_t *samp_sample_fingerprint(const samp_sample_options *options,
                                const samp_sample_report *report);

/* ---- comparison ---- */

typedef struct samp_sample_comparison {
    char strata[2 * SAMP_STRATA_MAX][SAMP_STRATUM_NAME];     /* [n] of either, largest in B first */
    uint64_t a[2 * SAMP_STRATA_MAX], b[2 * SAMP_STRATA_MAX]; /* records */
    uint32_t n;
    uint64_t n_a, n_b;
    double distance;   /* total variation: half the sum of differences of shares, 0 … 1 */
    double chi_square; /* of two samples, n-1 degrees of freedom */
    double p_value;    /* chance of a chi-square as large if both came from one traffic */
    uint32_t worst;    /* stratum with the largest difference of shares */
} samp_sample_comparison;

void samp_sample_compare(const samp_traffic *a, const samp_traffic *b, samp_sample_comparison *out);

#endif
