/* What the files artifact*.c share. */
#ifndef SAMP_QUANTIZE_ARTIFACT_INTERNAL_H
#define SAMP_QUANTIZE_ARTIFACT_INTERNAL_H

#include "base/memory.h"
#include "quantize/artifact.h"

enum { ARTIFACT_SHARDS_MAX = 512, ARTIFACT_PATH_MAX = 4096 };

static const char ARTIFACT_STATE[] = ".samp-state";

typedef struct artifact_shard {
    char name[72];
    int fd;             /* -1 = not open */
    bool dirty;         /* written to since the last commit */
    uint64_t bytes;     /* of the whole file */
    samp_buffer header; /* its first bytes */
} artifact_shard;

struct samp_artifact {
    char folder[ARTIFACT_PATH_MAX];  /* OUT */
    char partial[ARTIFACT_PATH_MAX]; /* OUT.samp-partial */
    bool force, start_over;
    uint64_t shard_bytes, commit_bytes; /* shard_bytes: 0 until the layout takes its default */
    char fingerprint[SAMP_SHA256_HEX];

    samp_artifact_weight *weights; /* the caller's */
    size_t n_weights;
    artifact_shard *shards;
    size_t n_shards;
    uint64_t data_bytes; /* of all tensors, for the index */
    json_t *weight_map;  /* tensor -> shard file, for the index */

    int state_fd;
    bool *done;      /* [n_weights] */
    size_t *pending; /* [n_weights] complete, but not yet in the state file */
    size_t n_pending;
    uint64_t pending_bytes;
};

/* Sets folder and partial from OUT (artifact.c). */
samp_status samp__artifact_paths(samp_artifact *artifact, const char *folder, samp_error *error);
/* The folder that holds OUT; out [ARTIFACT_PATH_MAX] (artifact_finish.c). */
void samp__artifact_parent(const samp_artifact *artifact, char *out);
/* Decides shards and offsets, and makes the headers (artifact_layout.c). */
samp_status samp__artifact_layout(samp_artifact *artifact, samp_error *error);
/* Writes pending weights to the state file, after their bytes are durable (artifact.c). */
samp_status samp__artifact_commit(samp_artifact *artifact, samp_error *error);
/* "FOLDER/NAME" inside the partial folder, out [ARTIFACT_PATH_MAX]. */
samp_status samp__artifact_path(const samp_artifact *artifact, const char *name, char *out,
                                samp_error *error);

#endif
