/* What the halves of samp_measure share. Private to the plan room. */
#ifndef SAMP_PLAN_MEASURE_INTERNAL_H
#define SAMP_PLAN_MEASURE_INTERNAL_H

#include "plan/candidate.h"
#include "plan/measure.h"
#include "plan/moments.h"
#include "plan/streams.h"

enum { SAMP__CANDIDATES_MAX = 16 };
/* The base format of probes; one of the candidates. */
static const samp_format_id samp__probe_format = SAMP_FORMAT_NF4A;

typedef struct samp__measure {
    samp_model *model;
    const samp_config *config;
    const samp_measure_options *options;
    samp_sensitivity *out;
    samp_group *groups; /* n_groups, four a layer, then [embedding,] head */
    size_t n_groups;
    size_t head; /* the head's group, or its first: the last one then shares its inputs */
    samp_pool *pool;
    samp_layered *layered;
    samp_collector *collector;
    samp_streams streams;
    uint32_t window, n_windows, n_probe_windows, score_every;
    uint64_t reference_floats, probe_floats; /* of one stream */
    uint32_t layers_done;
    uint64_t *moment_at;            /* [n_groups] where a group's moments start in `moment` */
    float *moment;                  /* means of x^2, all groups */
    double *probe_kl;               /* [n_groups + 1], the last of the whole */
    uint64_t work_done, work_total; /* tokens x layers */
    double head_error[2]; /* of the probes of the head's groups, whose weights a tied model needed
                             before moments were known */
    samp_measure_speed speed; /* tokens x layers, until the end */
    char key[65];             /* digest of all that the result depends on */
    int feedback_fd;          /* feedback.bin: factors of all groups, one after the other */
    uint64_t *feedback_at;    /* [n_groups] where a group's begins, in values */
    uint64_t feedback_total;  /* values of all groups */
} samp__measure;

/* What a group's inputs are like, while its layer is measured. */
typedef struct samp__inputs {
    samp_moments moments;
    samp_feedback feedback; /* of the two that follow; cols 0: none */
    uint16_t *factor;
    float *d;
} samp__inputs;

/* Streams: the reference, then one a group, then the whole. */
static inline float *samp__reference_stream(const samp__measure *m, float *generation)
{
    (void)m;
    return generation;
}
static inline float *samp__probe_stream(const samp__measure *m, float *generation, size_t probe)
{
    return generation + m->reference_floats + probe * m->probe_floats;
}
/* The reference's window that is a probe's w-th: spread over the text, whose kinds may follow each other. */
static inline uint32_t samp__probe_window(const samp__measure *m, uint32_t w)
{
    return (uint32_t)((uint64_t)w * m->n_windows / m->n_probe_windows);
}
/* Probes that begin at the embedding: its own, or those of the head it is tied to. */
static inline size_t samp__early_probes(const samp__measure *m)
{
    return m->config->tied_embeddings ? m->n_groups - m->head : 1;
}
static inline bool samp__is_early(const samp__measure *m, size_t g)
{
    return m->config->tied_embeddings ? g >= m->head : m->groups[g].kind == SAMP_GROUP_EMBED;
}
/* n tokens have passed one layer; SAMP_CANCELLED when the user wants to stop. */
samp_status samp__measure_report(samp__measure *m, uint64_t n_tokens, samp_error *error);

/* measure_state.c: state on disk. begin fills *layers_done from what a killed run left. */
samp_status samp__measure_begin(samp__measure *m, samp_error *error);
samp_status samp__measure_save(samp__measure *m, samp_error *error);
samp_status samp__measure_moments(const samp__measure *m, samp_error *error);

/* measure_feedback.c: opens feedback.bin; factors the group's products of channels, keeps the factor there and in
 * inputs, and frees the products. */
samp_status samp__measure_open_feedback(samp__measure *m, samp_error *error);
samp_status samp__measure_factor(samp__measure *m, size_t g, samp__inputs *inputs,
                                 samp_error *error);
void samp__inputs_release(samp__inputs *inputs);
/* NULL when there is none. */
static inline const samp_feedback *samp__inputs_feedback(const samp__inputs *inputs)
{
    return inputs->feedback.cols ? &inputs->feedback : NULL;
}

/* measure_group.c: candidates and errors of group g, whose inputs are known (NULL: an embedding). */
samp_status samp__measure_errors(samp__measure *m, size_t g, const samp__inputs *inputs,
                                 samp_error *error);
/* measure_probe.c: KL of all probes and the whole, from the streams that left the last layer; then alpha and bias. */
samp_status samp__measure_probes(samp__measure *m, samp_error *error);

#endif
