/* Second moments of what linear layers multiply, collected while the model runs: for each input channel the mean of
 * x^2, the mean squared error that one INT8 part (a8, groups of 64) makes in it, and, where error feedback is wanted,
 * all products of two channels. */
#ifndef SAMP_PLAN_MOMENTS_H
#define SAMP_PLAN_MOMENTS_H

#include "base/thread.h"
#include "plan/group.h"
#include "run/session.h"

typedef struct samp_moments {
    double *square;   /* [cols] sum of x^2 */
    double *a8_error; /* [cols] sum of (x - quantized x)^2 */
    float *gram;      /* [cols][cols] sum of x x^T, its lower triangle; NULL = not wanted */
    uint64_t cols, n_tokens;
} samp_moments;

samp_status samp_moments_init(samp_moments *moments, uint64_t cols, bool gram, samp_error *error);
void samp_moments_release(samp_moments *moments);
/* moment [cols] = mean of x^2. */
void samp_moments_mean(const samp_moments *moments, float *moment);

/* What the products multiply, of one token's tensors as a tap reads them: x [cols] becomes its gated product with y, or
 * is normalized with gain [cols]; plain inputs stay. y and gain may be NULL where they do not matter. */
void samp_input_finish(samp_input_kind kind, float *x, const float *y, const float *gain,
                       size_t cols, float eps);

/* Collects the four inputs of a layer (kinds QKV, O, GATE_UP, DOWN) and the head's. */
typedef struct samp_collector samp_collector;
/* window: most tokens a run. */
samp_status samp_collector_create(samp_collector **out, const samp_config *config, uint32_t window,
                                  samp_pool *pool, samp_error *error);
void samp_collector_release(samp_collector *collector);
/* Gains of the norms in front of the layer's products ([dim] each), or of the head's norm as attn_gain. */
void samp_collector_set_gains(samp_collector *collector, const float *attn_gain,
                              const float *mlp_gain);
/* The tap to give to samp_layered_run or samp_layered_logits. */
samp_tap samp_collector_tap(samp_collector *collector);
/* As if the tap had seen the head's input: n rows x [n][dim] that left the last layer (the norm is applied here). */
void samp_collector_see_head(samp_collector *collector, const float *x, uint32_t n, float eps);
/* After the run: adds what was seen. moments [SAMP_GROUP_KINDS], NULL where not wanted. SAMP_NUMERIC when an
 * activation is not finite. */
samp_status samp_collector_add(samp_collector *collector,
                               samp_moments *const moments[SAMP_GROUP_KINDS], samp_error *error);

#endif
