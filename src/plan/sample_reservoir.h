/* Candidates for a sample from a stream of unknown length, in one pass.
 *
 * Every different text has a priority: its hash, scattered by the seed. Of each stratum the texts
 * of lowest priority are kept. That is a uniform sample of the different texts, the same whatever
 * the order of the log; a repeated text has the priority it had before and cannot come in twice.
 * Texts lie in a temporary file without a name (the spool), rewritten when most of it is dead;
 * memory holds 56 bytes a candidate.
 *
 * Also the lengths of all different texts of a stratum, as a histogram of eight bins an octave. */
#ifndef SAMP_PLAN_SAMPLE_RESERVOIR_H
#define SAMP_PLAN_SAMPLE_RESERVOIR_H

#include "plan/sample_content.h"
#include "plan/sample_logs.h"

enum { SAMP_LENGTH_BINS = 160 }; /* up to 2^20 bytes */

typedef struct samp_candidate {
    uint64_t priority;
    uint64_t signature;
    uint64_t offset, line; /* in the spool; in its log */
    uint32_t length, log;  /* bytes of text */
    uint16_t stratum;
    uint8_t language;
    bool near_duplicate, drawn; /* set by sample_draw.h, and so is the signature */
} samp_candidate;

typedef struct samp_reservoir_stratum {
    samp_candidate *heap; /* the highest priority first, as a binary heap */
    uint32_t count, capacity;
    uint64_t distinct;                  /* different texts that came by */
    uint64_t lengths[SAMP_LENGTH_BINS]; /* of them */
} samp_reservoir_stratum;

typedef struct samp_reservoir {
    samp_reservoir_stratum strata[SAMP_STRATA_MAX];
    samp_seen seen;
    uint64_t seed, duplicates;
    uint32_t keep;            /* candidates a stratum */
    int spool;                /* -1 = none */
    uint64_t spool_end, live; /* bytes in it; of candidates */
    uint64_t slack;           /* below this size the spool is never rewritten */
    char folder[4096];        /* of the spool */
} samp_reservoir;

/* folder: where the spool may lie (no other user can read it). */
samp_status samp_reservoir_init(samp_reservoir *reservoir, const char *folder, uint32_t keep,
                                uint64_t seed, uint64_t n_expected, samp_error *error);
void samp_reservoir_release(samp_reservoir *reservoir); /* a zeroed or released one is fine */
samp_status samp_reservoir_offer(samp_reservoir *reservoir, const samp_log_record *record,
                                 samp_error *error);
/* Text of a candidate, in place of what out held. */
samp_status samp_reservoir_text(const samp_reservoir *reservoir, const samp_candidate *candidate,
                                samp_buffer *out, samp_error *error);
/* The bin of a length, monotone. */
unsigned samp_length_bin(uint32_t length);

#endif
