/* Where every tensor of an artifact goes: shards, offsets, headers.
 *
 * All parts of a weight lie in one shard, as readers of NF4 expect. Within a shard, tensors are
 * ordered by the size of their elements, largest first, so that each starts at a multiple of it
 * (the header is padded to 64 bytes): readers that map the file can use every tensor in place. */
#include "quantize/artifact_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One tensor of a shard, before its offset is known. */
typedef struct slot {
    size_t weight;
    int part;
    unsigned bits;
    char name[SAMP_TENSOR_NAME_MAX];
} slot;

static int compare_slots(const void *a, const void *b)
{
    const slot *x = a, *y = b;
    if (x->bits != y->bits) return x->bits > y->bits ? -1 : 1;
    if (x->weight != y->weight) return x->weight < y->weight ? -1 : 1;
    return (x->part > y->part) - (x->part < y->part);
}

/* Gives every weight its shard, in order; returns the number of shards. */
static size_t assign_shards(samp_artifact *artifact)
{
    uint64_t filled = 0;
    size_t shard = 0;
    for (size_t i = 0; i < artifact->n_weights; i++) {
        samp_artifact_weight *weight = &artifact->weights[i];
        uint64_t bytes = weight->layout.bytes;
        if (filled && (filled > artifact->shard_bytes || bytes > artifact->shard_bytes - filled)) {
            shard++;
            filled = 0;
        }
        filled += bytes;
        weight->shard = (uint32_t)shard;
        artifact->data_bytes += bytes;
    }
    return shard + 1;
}

static samp_status add_slots(const samp_artifact *artifact, size_t weight, slot *slots, size_t *n,
                             samp_error *error)
{
    const samp_artifact_weight *w = &artifact->weights[weight];
    for (int i = 0; i < w->layout.n_parts; i++) {
        slot *next = &slots[(*n)++];
        next->weight = weight;
        next->part = i;
        next->bits = samp_dtype_bits(w->layout.parts[i].dtype);
        SAMP_TRY(
            samp_part_name(next->name, sizeof next->name, w->name, &w->layout.parts[i], error));
    }
    return SAMP_OK;
}

static samp_tensor_spec spec_of(const samp_artifact *artifact, const slot *at)
{
    const samp_artifact_weight *weight = &artifact->weights[at->weight];
    const samp_part *part = &weight->layout.parts[at->part];
    samp_tensor_spec spec = {.name = at->name, .dtype = part->dtype, .rank = part->rank};
    for (int i = 0; i < part->rank; i++) spec.shape[i] = part->shape[i];
    if (weight->is_vector) {
        spec.rank = 1;
        spec.shape[0] = weight->layout.cols;
    }
    return spec;
}

/* Sorts the shard's n tensors, makes its header, and notes where everything is. */
static samp_status lay_out_shard(samp_artifact *artifact, artifact_shard *shard, slot *slots,
                                 size_t n, samp_error *error)
{
    samp_tensor_spec *specs = samp_alloc(n, sizeof *specs);
    uint64_t *offsets = samp_alloc(n, sizeof *offsets);
    samp_status status = SAMP_OK;
    if (!specs || !offsets)
        status = samp_fail(error, SAMP_NOMEM, "out of memory for the layout of %zu tensors", n);
    if (status == SAMP_OK) {
        qsort(slots, n, sizeof *slots, compare_slots);
        for (size_t i = 0; i < n; i++) specs[i] = spec_of(artifact, &slots[i]);
        static const char *const metadata[1][2] = {{"format", "pt"}};
        status = samp_safetensors_header(specs, n, metadata, 1, &shard->header, offsets,
                                         &shard->bytes, error);
    }
    for (size_t i = 0; status == SAMP_OK && i < n; i++) {
        artifact->weights[slots[i].weight].offset[slots[i].part] = offsets[i];
        if (!samp_json_set(artifact->weight_map, slots[i].name, json_string(shard->name)))
            status = samp_fail(error, SAMP_NOMEM, "out of memory for the index");
    }
    samp_free(offsets);
    samp_free(specs);
    return status;
}

static samp_status lay_out_all(samp_artifact *artifact, slot *slots, samp_error *error)
{
    size_t weight = 0;
    for (size_t s = 0; s < artifact->n_shards; s++) {
        artifact_shard *shard = &artifact->shards[s];
        if (artifact->n_shards == 1)
            snprintf(shard->name, sizeof shard->name, "model.safetensors");
        else
            snprintf(shard->name, sizeof shard->name, "model-%05zu-of-%05zu.safetensors", s + 1,
                     artifact->n_shards);
        size_t n = 0;
        for (; weight < artifact->n_weights && artifact->weights[weight].shard == s; weight++)
            SAMP_TRY(add_slots(artifact, weight, slots, &n, error));
        SAMP_TRY(lay_out_shard(artifact, shard, slots, n, error));
    }
    return SAMP_OK;
}

samp_status samp__artifact_layout(samp_artifact *artifact, samp_error *error)
{
    if (artifact->shard_bytes == 0) artifact->shard_bytes = 5000000000u;
    artifact->n_shards = assign_shards(artifact);
    if (artifact->n_shards > ARTIFACT_SHARDS_MAX)
        return samp_fail(error, SAMP_LIMIT,
                         "%s would have %zu shards, at most %d are written: choose larger shards",
                         artifact->folder, artifact->n_shards, ARTIFACT_SHARDS_MAX);
    artifact->shards = samp_alloc(artifact->n_shards, sizeof *artifact->shards);
    artifact->weight_map = json_object();
    slot *slots = samp_alloc(artifact->n_weights * SAMP_PARTS_MAX, sizeof *slots);
    samp_status status = SAMP_OK;
    if (!artifact->shards || !artifact->weight_map || !slots)
        status = samp_fail(error, SAMP_NOMEM, "%s: out of memory for the layout", artifact->folder);
    for (size_t s = 0; artifact->shards && s < artifact->n_shards; s++) artifact->shards[s].fd = -1;
    if (status == SAMP_OK) status = lay_out_all(artifact, slots, error);
    samp_free(slots);
    return status;
}
