/* What this machine is, what is wrong with it, and what it can run: the checks of samp doctor, in
 * ten groups. A check that is not fine carries the command that helps. Nothing is written and no
 * network is used; measuring bandwidth takes a second or two. */
#ifndef SAMP_DOCTOR_DOCTOR_H
#define SAMP_DOCTOR_DOCTOR_H

#include "base/json.h"

/* id, name */
#define SAMP_DOCTOR_GROUP_LIST(X)                                                                  \
    X(VERSIONS, "versions")                                                                        \
    X(PROCESSOR, "processor")                                                                      \
    X(LIMITS, "limits")                                                                            \
    X(MEMORY, "memory")                                                                            \
    X(BANDWIDTH, "bandwidth")                                                                      \
    X(HUGE_PAGES, "huge pages")                                                                    \
    X(DISK, "disk")                                                                                \
    X(GPU, "gpu")                                                                                  \
    X(SELF_TEST, "self-test")                                                                      \
    X(MODELS, "models")

typedef enum samp_doctor_group {
#define X(id, name) SAMP_DOCTOR_##id,
    SAMP_DOCTOR_GROUP_LIST(X)
#undef X
        SAMP_DOCTOR_GROUPS
} samp_doctor_group;

typedef enum samp_verdict { SAMP_VERDICT_OK, SAMP_VERDICT_WARN, SAMP_VERDICT_BROKEN } samp_verdict;

typedef struct samp_check {
    samp_doctor_group group;
    samp_verdict verdict;
    char found[512];
    char command[256]; /* what to run; "" only when the verdict is OK */
} samp_check;

/* Read bandwidth with so many threads. */
typedef struct samp_doctor_bandwidth {
    unsigned n_threads;
    double bytes_per_second;
} samp_doctor_bandwidth;

enum {
    SAMP_DOCTOR_CHECKS_MAX = 128,
    SAMP_DOCTOR_BANDWIDTHS_MAX = 12,
    SAMP_DOCTOR_FITS_MAX = 16,
    SAMP_DOCTOR_FORMATS_MAX = 4
};

/* A model in some formats: bytes of its weights, whether they and 4,096 positions of keys and
 * values fit, and the most tokens a second that reading them allows. */
typedef struct samp_doctor_fit {
    char name[64];
    struct {
        const char *format; /* NULL: a model as it is stored */
        double bytes, tokens_per_second;
        bool fits;
    } in[SAMP_DOCTOR_FORMATS_MAX];
    size_t n;
} samp_doctor_fit;

typedef struct samp_doctor {
    samp_check checks[SAMP_DOCTOR_CHECKS_MAX]; /* by group */
    size_t n_checks;
    samp_doctor_bandwidth bandwidths[SAMP_DOCTOR_BANDWIDTHS_MAX];
    size_t n_bandwidths;
    samp_doctor_fit fits[SAMP_DOCTOR_FITS_MAX];
    size_t n_fits;
    double memory_available; /* bytes this process may still take */
} samp_doctor;

typedef struct samp_doctor_options {
    const char *root;   /* "" for this machine; tests give a made-up tree of /proc and /sys */
    const char *folder; /* whose disk is looked at; models are written there */
    const char *const *models; /* [n_models] folders whose fit is wanted too */
    size_t n_models;
    bool measure; /* bandwidth; else what needs it says so */
} samp_doctor_options;

const char *samp_doctor_group_name(samp_doctor_group group);
const char *samp_verdict_name(samp_verdict verdict);

/* Errors: only SAMP_NOMEM and models that cannot be opened; everything else is a check. */
samp_status samp_doctor_run(samp_doctor *out, const samp_doctor_options *options,
                            samp_error *error);
/* The worst verdict of all checks. */
samp_verdict samp_doctor_verdict(const samp_doctor *doctor);
json_t *samp_doctor_json(const samp_doctor *doctor);

#endif
