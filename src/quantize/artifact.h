/* An artifact folder being written: shards of fixed layout, small files, and a swap at the end that
 * makes the whole visible at once. Used by quantize and import.
 *
 * All sizes follow from the weights' layouts, so every shard has its header and final size before
 * the first weight is computed, and data may arrive in any order from any thread. Everything goes
 * to OUT.samp-partial; its state file lists the weights that are safely on disk (fsync before the
 * line is written). A killed run is continued by the next one with the same fingerprint; any other
 * run starts over. What OUT held before stays untouched until the last step. The finished folder
 * depends on nothing but the inputs: no times, no host names, so a resumed run and an undisturbed
 * one give the same bytes. */
#ifndef SAMP_QUANTIZE_ARTIFACT_H
#define SAMP_QUANTIZE_ARTIFACT_H

#include "base/hash.h"
#include "base/json.h"
#include "base/thread.h"
#include "file/safetensors.h"
#include "format/format.h"

/* A weight as the artifact will store it. */
typedef struct samp_artifact_weight {
    char name[96];  /* with ".weight" */
    bool is_vector; /* a norm: stored with rank 1 */
    const samp_format *format;
    samp_layout layout;
    /* Filled by samp_artifact_create: where the parts are. */
    uint32_t shard;
    uint64_t offset[SAMP_PARTS_MAX];
} samp_artifact_weight;

typedef struct samp_artifact_options {
    const char *folder;    /* OUT; its parent must exist */
    bool force;            /* OUT may exist and is replaced */
    bool start_over;       /* ignore what a killed run left */
    uint64_t shard_bytes;  /* most bytes a shard, unless one weight is larger; 0 = 5 GB */
    uint64_t commit_bytes; /* a weight counts as done at the latest after so many bytes more; 0 = 64
                              MB */
    const char *fingerprint; /* SHA-256 in hexadecimal of all that the bytes depend on */
} samp_artifact_options;

typedef struct samp_artifact samp_artifact;

/* Creates or continues OUT.samp-partial. weights [n] must outlive the artifact. Errors:
 * SAMP_INVALID when OUT exists without force, or another process is writing it; SAMP_IO when the
 * disk has not the room. */
samp_status samp_artifact_create(samp_artifact **out, const samp_artifact_options *options,
                                 samp_artifact_weight *weights, size_t n, samp_error *error);
/* Keeps the partial folder for a later run; NULL allowed. */
void samp_artifact_release(samp_artifact *artifact);

/* Removes the partial folder: nothing is worth continuing. */
void samp_artifact_discard(samp_artifact *artifact);

/* Folder to put small files in (tokenizer.json, …): OUT.samp-partial. */
const char *samp_artifact_folder(const samp_artifact *artifact);
bool samp_artifact_has(const samp_artifact *artifact, size_t weight);
/* n bytes of a part of a weight, from byte `at` of it. Any thread. */
samp_status samp_artifact_write(samp_artifact *artifact, size_t weight, int part, uint64_t at,
                                const void *bytes, uint64_t n, samp_error *error);
/* The weight is complete. */
samp_status samp_artifact_done(samp_artifact *artifact, size_t weight, samp_error *error);
/* A small JSON file, indented; takes `value` (NULL = out of memory). */
samp_status samp_artifact_json(samp_artifact *artifact, const char *name, json_t *value,
                               samp_error *error);

/* Writes the index and samp.json (`about`, taken, gets the member "files": bytes and SHA-256 of
 * each file), makes all durable and moves the folder to OUT. Only after this does OUT change. */
samp_status samp_artifact_finish(samp_artifact *artifact, samp_pool *pool, json_t *about,
                                 samp_error *error);

/* ---- Sizes before anything is written (artifact_sizes.c) ---- */

typedef struct samp_artifact_file {
    char name[72];
    uint64_t bytes; /* of the whole file, header included */
} samp_artifact_file;

typedef struct samp_artifact_sizes {
    samp_artifact_file *shards; /* [n_shards] */
    size_t n_shards;
    uint64_t bytes; /* of all shards */
} samp_artifact_sizes;

/* The shards that samp_artifact_create would make of these weights, to the byte: the layout is the
 * same. Touches no disk. shard_bytes as in samp_artifact_options. */
samp_status samp_artifact_sizes_of(samp_artifact_weight *weights, size_t n, uint64_t shard_bytes,
                                   samp_artifact_sizes *out, samp_error *error);
void samp_artifact_sizes_release(samp_artifact_sizes *sizes); /* zeroed = nothing to release */
/* Bytes the disk of OUT has for an artifact: those free to this user, and those of the partial
 * folder that a killed run left, which the next one takes over or removes. */
samp_status samp_artifact_room(const char *folder, uint64_t *out, samp_error *error);

#endif
