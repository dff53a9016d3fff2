/* samp validate: everything about a model folder or GGUF file that can be checked without running
 * it. */
#ifndef SAMP_QUANTIZE_VALIDATE_H
#define SAMP_QUANTIZE_VALIDATE_H

#include "base/clock.h"
#include "quantize/findings.h"

typedef enum samp_validate_depth {
    SAMP_VALIDATE_HEADERS, /* no tensor data: seconds for any model */
    SAMP_VALIDATE_SCALES,  /* scale tensors too: a few percent of the data */
    SAMP_VALIDATE_DEEP     /* every value and every digest */
} samp_validate_depth;

typedef struct samp_validate_options {
    samp_validate_depth depth;
    const char
        *target; /* who must be able to load it: "samp", "transformers", "vllm"; NULL = any */
    unsigned n_threads; /* for digests and values; 0 = what this process may use */
} samp_validate_options;

/* folder: a model folder (samp's artifact, plain floats, or what bitsandbytes or compressed-tensors
 * wrote), or a GGUF file. Appends what it finds. Fails only when it could not look: no such folder
 * (SAMP_NOT_FOUND), unknown target (SAMP_INVALID), out of memory, cancelled. Memory is bounded by
 * headers, one panel a thread, and the scales of one weight. Progress: "validate", bytes. */
samp_status samp_validate(const char *folder, const samp_validate_options *options,
                          const samp_progress *progress, samp_findings *findings,
                          samp_error *error);

#endif
