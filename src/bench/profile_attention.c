/* Times of attention: a new token of one or more sequences, to the positions before it, FP16 keys
 * and values. Layers of a KV store are read one after the other, as a model reads them. */
#include "base/memory.h"
#include "bench/profile_internal.h"

enum {
    HEAD_DIM = 64,
    POSITIONS_MAX = 1024,
    SEQUENCES_MAX = 16,
    BLOCKS_A_SEQUENCE = POSITIONS_MAX / SAMP_KV_BLOCK,
    BLOCKS_MAX = SEQUENCES_MAX * BLOCKS_A_SEQUENCE,
    LAYERS_MAX = 16,
    FILL = 16 /* blocks filled in a step */
};

static const uint32_t heads[][2] = {{9, 3}, {32, 8}}; /* of queries, of keys and values */
static const uint32_t positions[] = {64, POSITIONS_MAX};
static const uint32_t sequences[] = {1, SEQUENCES_MAX};
enum { N_HEADS = 2, N_POSITIONS = 2, N_SEQUENCES = 2 };

struct samp__attention_room {
    samp_kv *kv;
    uint32_t n_layers, n_heads, n_kv_heads;
    samp_tensor *rope, *q, *k, *v, *out;
    uint32_t blocks[BLOCKS_MAX];
    samp_batch_seq seqs[SEQUENCES_MAX];
};

static samp_status make_tensor(const samp__profiler *p, size_t n, samp_tensor **out,
                               samp_error *error)
{
    SAMP_TRY(p->backend->tensor_create(p->device, n, out, error));
    return p->backend->tensor_set(p->device, *out, p->values, n, error);
}

/* Room for the widest case; the values are random, the rotations too: their time is the same. */
static samp_status make_room(samp__profiler *p, samp_error *error)
{
    struct samp__attention_room *room = p->attention = samp_alloc(1, sizeof *room);
    if (!room) return samp_fail(error, SAMP_NOMEM, "out of memory for a profile");
    size_t tokens = FILL * SAMP_KV_BLOCK, width = (size_t)heads[N_HEADS - 1][0] * HEAD_DIM,
           kv_width = (size_t)heads[N_HEADS - 1][1] * HEAD_DIM;
    for (uint32_t b = 0; b < BLOCKS_MAX; b++) room->blocks[b] = b;
    SAMP_TRY(make_tensor(p, (size_t)POSITIONS_MAX * HEAD_DIM, &room->rope, error));
    SAMP_TRY(make_tensor(p, tokens * width, &room->q, error));
    SAMP_TRY(make_tensor(p, tokens * kv_width, &room->k, error));
    SAMP_TRY(make_tensor(p, tokens * kv_width, &room->v, error));
    return make_tensor(p, tokens * width, &room->out, error);
}

static void release_room(samp__profiler *p)
{
    struct samp__attention_room *room = p->attention;
    if (!room) return;
    samp_tensor *tensors[] = {room->rope, room->q, room->k, room->v, room->out};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        if (tensors[i]) p->backend->tensor_release(p->device, tensors[i]);
    samp_free(room);
    p->attention = NULL;
}

static void enqueue_layer(samp__profiler *p, const samp_batch *batch, size_t layer)
{
    (void)batch; /* begin had it */
    struct samp__attention_room *room = p->attention;
    samp_attention attention = {.layer = (uint32_t)layer,
                                .n_heads = room->n_heads,
                                .n_kv_heads = room->n_kv_heads,
                                .head_dim = HEAD_DIM,
                                .scale = 0.125f,
                                .rope = room->rope,
                                .q = room->q,
                                .k = room->k,
                                .v = room->v,
                                .out = room->out};
    p->backend->attention(p->device, room->kv, &attention);
}

/* Writes every block of every layer, each as a sequence of its own: what is not written may be one
 * page of zeros that a cache holds. */
static samp_status fill(samp__profiler *p, uint32_t n_blocks, samp_error *error)
{
    struct samp__attention_room *room = p->attention;
    for (uint32_t first = 0; first < n_blocks; first += FILL) {
        samp_batch_seq seqs[FILL];
        uint32_t n = n_blocks - first < FILL ? n_blocks - first : FILL;
        for (uint32_t i = 0; i < n; i++)
            seqs[i] =
                (samp_batch_seq){i * SAMP_KV_BLOCK, SAMP_KV_BLOCK, 0, &room->blocks[first + i]};
        samp_batch batch = {.n_tokens = n * SAMP_KV_BLOCK, .n_seqs = n, .seqs = seqs};
        p->backend->begin(p->device, &batch);
        for (uint32_t l = 0; l < room->n_layers; l++) enqueue_layer(p, &batch, l);
        SAMP_TRY(p->backend->sync(p->device, error));
    }
    return SAMP_OK;
}

static samp_status measure_case(samp__profiler *p, uint32_t n_positions, uint32_t n_sequences,
                                double *seconds, samp_error *error)
{
    struct samp__attention_room *room = p->attention;
    uint32_t each = n_positions / SAMP_KV_BLOCK, n_blocks = each * n_sequences;
    size_t layer_bytes = (size_t)n_blocks * SAMP_KV_BLOCK * room->n_kv_heads * HEAD_DIM * 2 * 2;
    size_t n_layers = p->working_set / 4 / layer_bytes + 1;
    room->n_layers = (uint32_t)(n_layers < LAYERS_MAX ? n_layers : LAYERS_MAX);
    samp_kv_shape shape = {room->n_layers, n_blocks, room->n_kv_heads, HEAD_DIM, SAMP_KV_FP16};
    SAMP_TRY(p->backend->kv_create(p->device, &shape, &room->kv, error));
    for (uint32_t s = 0; s < n_sequences; s++)
        room->seqs[s] = (samp_batch_seq){s, 1, n_positions - 1, &room->blocks[s * each]};
    samp_batch batch = {.n_tokens = n_sequences, .n_seqs = n_sequences, .seqs = room->seqs};
    samp_status status = fill(p, n_blocks, error);
    if (status == SAMP_OK)
        status = samp__profile_passes(p, &batch, room->n_layers, enqueue_layer, seconds, error);
    p->backend->kv_release(p->device, room->kv);
    return status;
}

static samp_status measure_all(samp__profiler *p, samp_error *error)
{
    samp_kernel *out = &p->out->attention;
    for (int h = 0; h < N_HEADS; h++)
        for (int c = 0; c < N_POSITIONS; c++)
            for (int s = 0; s < N_SEQUENCES; s++) {
                samp_kernel_time *time = &out->times[out->n_times];
                p->attention->n_heads = heads[h][0];
                p->attention->n_kv_heads = heads[h][1];
                *time = (samp_kernel_time){(uint64_t)heads[h][0] * HEAD_DIM, positions[c],
                                           sequences[s], 0};
                SAMP_TRY(measure_case(p, positions[c], sequences[s], &time->seconds, error));
                out->n_times++;
            }
    samp_kernel_law_fit(out->times, out->n_times, &out->law);
    return SAMP_OK;
}

samp_status samp__profile_attention(samp__profiler *p, samp_error *error)
{
    samp_kernel *out = &p->out->attention;
    out->source = p->source;
    out->times =
        samp_arena_alloc(&p->out->arena, N_HEADS * N_POSITIONS * N_SEQUENCES, sizeof *out->times);
    samp_status status = out->times ? make_room(p, error)
                                    : samp_fail(error, SAMP_NOMEM, "out of memory for a profile");
    if (status == SAMP_OK) status = measure_all(p, error);
    release_room(p);
    return status;
}
