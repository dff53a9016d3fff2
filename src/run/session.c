/* Sessions: a network on a device, the KV store, and steps over batches of sequences.
 *
 * A step is all or nothing: everything that can be refused is refused before KV blocks are taken,
 * and blocks taken for a step that then fails are given back. Positions past a sequence's length
 * may hold anything.
 *
 * Memory: a session owns its device and all on it. A sequence owns its list of blocks; the lists
 * have room for the longest sequence from the start, and the host arrays of a step for max_batch
 * tokens, so that a step allocates nothing but what samp__network_reserve grows to sizes not seen
 * before. */
#include "run/session.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "run/kv_pool.h"
#include "run/network.h"

#include <assert.h>
#include <string.h>

enum {
    DEFAULT_CONTEXT = 4096,
    DEFAULT_BATCH = 512,
    MAX_BATCH = 65536,
    MAX_CONTEXT = 1 << 30 /* positions; keeps every product with a position in 64 bits */
};

struct samp_sequence {
    uint32_t length;
    uint32_t n_blocks;
    uint32_t *blocks; /* [session's max_blocks] */
    uint64_t step;    /* the last step it took part in: no sequence twice in one */
};

struct samp_session {
    const samp_backend *backend;
    samp_device *device;
    samp__network network;
    samp_kv *kv;
    samp_kv_pool pool;
    unsigned n_threads;
    uint32_t max_batch, max_positions, max_blocks; /* of a step; of a sequence, twice */
    uint64_t step;
    int32_t *tokens; /* [max_batch], as the three below */
    uint32_t *rows;
    samp_batch_seq *seqs;
};

static uint32_t blocks_of(uint32_t positions)
{
    return (uint32_t)samp_ceil_div(positions, SAMP_KV_BLOCK);
}

/* ---- opening and closing ---- */

static samp_status check_options(const samp_session_options *options, samp_error *error)
{
    if (options->context > MAX_CONTEXT)
        return samp_fail(error, SAMP_INVALID, "context of %u positions: expected at most %d",
                         options->context, MAX_CONTEXT);
    if (options->max_batch > MAX_BATCH)
        return samp_fail(error, SAMP_INVALID, "batch of %u tokens: expected at most %d",
                         options->max_batch, MAX_BATCH);
    return SAMP_OK;
}

static samp_status open_device(samp_session *session, const samp_session_options *options,
                               samp_error *error)
{
    if (!options->backend || strcmp(options->backend, "cpu") == 0)
        session->backend = samp_cpu_backend();
    else
        SAMP_TRY(samp_backend_load(options->backend, &session->backend, error));
    session->n_threads = options->n_threads ? options->n_threads : samp_threads_available();
    samp_device_options device = {.n_threads = session->n_threads, .exact = options->exact};
    return session->backend->open(&session->device, &device, error);
}

static samp_status open_kv(samp_session *session, const samp_config *config, samp_kv_type type,
                           uint32_t n_blocks, samp_error *error)
{
    samp_kv_shape shape = {.n_layers = config->n_layers,
                           .n_blocks = n_blocks,
                           .n_kv_heads = config->n_kv_heads,
                           .head_dim = config->head_dim,
                           .type = type};
    SAMP_TRY(samp_kv_pool_init(&session->pool, n_blocks, error));
    return session->backend->kv_create(session->device, &shape, &session->kv, error);
}

static samp_status open_parts(samp_session *session, samp_model *model,
                              const samp_session_options *options, samp_error *error)
{
    const samp_config *config = samp_model_config(model);
    uint32_t context = options->context;
    if (!context)
        context = config->max_positions < DEFAULT_CONTEXT ? config->max_positions : DEFAULT_CONTEXT;
    uint32_t n_blocks = blocks_of(context), held = n_blocks * SAMP_KV_BLOCK;
    session->max_batch = options->max_batch ? options->max_batch : DEFAULT_BATCH;
    session->max_positions = config->max_positions < held ? config->max_positions : held;
    session->max_blocks = blocks_of(session->max_positions);
    session->tokens = samp_alloc(session->max_batch, sizeof *session->tokens);
    session->rows = samp_alloc(session->max_batch, sizeof *session->rows);
    session->seqs = samp_alloc(session->max_batch, sizeof *session->seqs);
    if (!session->tokens || !session->rows || !session->seqs)
        return samp_fail(error, SAMP_NOMEM, "out of memory for a batch of %u tokens",
                         session->max_batch);
    SAMP_TRY(open_device(session, options, error));
    session->network.backend = session->backend;
    session->network.device = session->device;
    session->network.tap = options->tap;
    SAMP_TRY(samp__network_load(&session->network, model, session->max_positions,
                                &options->progress, error));
    return open_kv(session, config, samp__kv_type(options), n_blocks, error);
}

samp_status samp_session_open(samp_session **out, samp_model *model,
                              const samp_session_options *options, samp_error *error)
{
    *out = NULL;
    SAMP_TRY(check_options(options, error));
    samp_session *session = samp_alloc(1, sizeof *session);
    if (!session) return samp_fail(error, SAMP_NOMEM, "out of memory for a session");
    samp_status status = open_parts(session, model, options, error);
    if (status == SAMP_OK)
        *out = session;
    else
        samp_session_close(session);
    return status;
}

void samp_session_close(samp_session *session)
{
    if (!session) return;
    if (session->device) {
        if (session->kv) session->backend->kv_release(session->device, session->kv);
        samp__network_release(&session->network);
        session->backend->close(session->device);
    }
    samp_kv_pool_release(&session->pool);
    samp_free(session->seqs);
    samp_free(session->rows);
    samp_free(session->tokens);
    samp_free(session);
}

const samp_config *samp_session_config(const samp_session *session)
{
    return &session->network.config;
}
const samp_backend *samp_session_backend(const samp_session *session) { return session->backend; }
uint64_t samp_session_weight_bytes(const samp_session *session)
{
    return session->network.weight_bytes;
}
uint64_t samp_session_kv_bytes(const samp_session *session)
{
    return session->backend->kv_bytes(session->kv);
}
uint32_t samp_session_max_batch(const samp_session *session) { return session->max_batch; }
uint32_t samp_session_max_positions(const samp_session *session) { return session->max_positions; }
float samp_session_outlier_threshold(const samp_session *session)
{
    return session->network.outlier_threshold;
}
unsigned samp_session_threads(const samp_session *session) { return session->n_threads; }
uint32_t samp_session_context(const samp_session *session)
{
    return session->pool.n_blocks * SAMP_KV_BLOCK;
}
uint32_t samp_session_kv_free(const samp_session *session) { return session->pool.n_free; }

const char *samp_session_describe(const samp_session *session)
{
    return session->backend->describe(session->device);
}

/* ---- sequences ---- */

samp_status samp_sequence_create(samp_session *session, samp_sequence **out, samp_error *error)
{
    samp_sequence *sequence = samp_alloc(1, sizeof *sequence);
    if (sequence) sequence->blocks = samp_alloc(session->max_blocks, sizeof *sequence->blocks);
    if (!sequence || !sequence->blocks) {
        samp_free(sequence);
        return samp_fail(error, SAMP_NOMEM, "out of memory for a sequence of %u KV blocks",
                         session->max_blocks);
    }
    *out = sequence;
    return SAMP_OK;
}

void samp_sequence_release(samp_session *session, samp_sequence *sequence)
{
    if (!sequence) return;
    samp_sequence_truncate(session, sequence, 0);
    samp_free(sequence->blocks);
    samp_free(sequence);
}

uint32_t samp_sequence_length(const samp_sequence *sequence) { return sequence->length; }

void samp_sequence_truncate(samp_session *session, samp_sequence *sequence, uint32_t length)
{
    if (length < sequence->length) sequence->length = length;
    while (sequence->n_blocks > blocks_of(sequence->length))
        samp_kv_pool_drop(&session->pool, sequence->blocks[--sequence->n_blocks]);
}

uint32_t samp_sequence_kv_needed(const samp_sequence *sequence, uint32_t n_tokens)
{
    return blocks_of(sequence->length + n_tokens) - sequence->n_blocks;
}

uint32_t samp_sequence_block(const samp_sequence *sequence, uint32_t i)
{
    assert(i < sequence->n_blocks);
    return sequence->blocks[i];
}

void samp_sequence_adopt(samp_session *session, samp_sequence *sequence, uint32_t block)
{
    assert(sequence->length == sequence->n_blocks * SAMP_KV_BLOCK);
    assert(sequence->n_blocks < session->max_blocks);
    samp_kv_pool_share(&session->pool, block);
    sequence->blocks[sequence->n_blocks++] = block;
    sequence->length += SAMP_KV_BLOCK;
}

void samp_sequence_replace(samp_session *session, samp_sequence *sequence, uint32_t i,
                           uint32_t block)
{
    assert((i + 1) * SAMP_KV_BLOCK <= sequence->length);
    samp_kv_pool_share(&session->pool, block);
    samp_kv_pool_drop(&session->pool, sequence->blocks[i]);
    sequence->blocks[i] = block;
}

void samp_session_kv_hold(samp_session *session, uint32_t block)
{
    samp_kv_pool_share(&session->pool, block);
}

void samp_session_kv_drop(samp_session *session, uint32_t block)
{
    samp_kv_pool_drop(&session->pool, block);
}

/* ---- a step ---- */

static samp_status check_blocks(const samp_session *session, uint64_t needed, samp_error *error)
{
    if (needed <= session->pool.n_free) return SAMP_OK;
    return samp_fail(error, SAMP_LIMIT,
                     "KV store: %llu blocks of %d positions are needed, %u of %u are free; end "
                     "other sequences or open "
                     "the session with a larger context",
                     (unsigned long long)needed, SAMP_KV_BLOCK, session->pool.n_free,
                     session->pool.n_blocks);
}

static samp_status check_length(const samp_session *session, const samp_sequence *sequence,
                                uint32_t n_tokens, samp_error *error)
{
    if (n_tokens == 0) return samp_fail(error, SAMP_INVALID, "a sequence was given no tokens");
    if (n_tokens <= session->max_positions - sequence->length) return SAMP_OK;
    return samp_fail(error, SAMP_LIMIT,
                     "sequence: %u more tokens after %u do not fit the %u positions of the model "
                     "and the context",
                     n_tokens, sequence->length, session->max_positions);
}

static samp_status check_tokens(const samp_session *session, const samp_feed *feed,
                                samp_error *error)
{
    uint32_t vocab = session->network.config.vocab_size;
    for (uint32_t i = 0; i < feed->n_tokens; i++)
        if (feed->tokens[i] < 0 || (uint32_t)feed->tokens[i] >= vocab)
            return samp_fail(error, SAMP_INVALID, "position %u: token %d, expected 0 to %u",
                             feed->sequence->length + i, feed->tokens[i], vocab - 1);
    return SAMP_OK;
}

/* Everything a step can be refused for, before anything is changed. */
static samp_status check_feeds(samp_session *session, const samp_feed *feeds, uint32_t n_feeds,
                               samp_error *error)
{
    uint64_t n_tokens = 0, blocks = 0;
    session->step++;
    if (n_feeds == 0) return samp_fail(error, SAMP_INVALID, "a step was given no sequences");
    for (uint32_t f = 0; f < n_feeds; f++) {
        const samp_feed *feed = &feeds[f];
        SAMP_TRY(check_length(session, feed->sequence, feed->n_tokens, error));
        SAMP_TRY(check_tokens(session, feed, error));
        if (feed->sequence->step == session->step)
            return samp_fail(error, SAMP_INVALID, "a step was given the same sequence twice");
        feed->sequence->step = session->step;
        n_tokens += feed->n_tokens;
        blocks += samp_sequence_kv_needed(feed->sequence, feed->n_tokens);
    }
    if (n_tokens > session->max_batch)
        return samp_fail(error, SAMP_LIMIT, "a step was given %llu tokens, expected at most %u",
                         (unsigned long long)n_tokens, session->max_batch);
    return check_blocks(session, blocks, error);
}

/* Takes the KV blocks, lays the feeds out as a batch, and lists the rows that want logits. */
static samp_batch make_batch(samp_session *session, const samp_feed *feeds, uint32_t n_feeds,
                             uint32_t *n_rows)
{
    uint32_t n = 0;
    *n_rows = 0;
    for (uint32_t f = 0; f < n_feeds; f++) {
        const samp_feed *feed = &feeds[f];
        samp_sequence *sequence = feed->sequence;
        assert(sequence->length % SAMP_KV_BLOCK == 0 || /* a begun block has no other holder */
               session->pool.references[sequence->blocks[sequence->n_blocks - 1]] == 1);
        for (uint32_t i = samp_sequence_kv_needed(sequence, feed->n_tokens); i; i--)
            sequence->blocks[sequence->n_blocks++] = samp_kv_pool_take(&session->pool);
        session->seqs[f] = (samp_batch_seq){n, feed->n_tokens, sequence->length, sequence->blocks};
        memcpy(session->tokens + n, feed->tokens, feed->n_tokens * sizeof *feed->tokens);
        if (feed->logits)
            for (uint32_t i = feed->all_logits ? 0 : feed->n_tokens - 1; i < feed->n_tokens; i++)
                session->rows[(*n_rows)++] = n + i;
        n += feed->n_tokens;
    }
    return (samp_batch){n, n_feeds, session->tokens, session->seqs};
}

static uint32_t logit_rows(const samp_feed *feed)
{
    return !feed->logits ? 0 : feed->all_logits ? feed->n_tokens : 1;
}

static samp_status run_batch(samp_session *session, const samp_feed *feeds, const samp_batch *batch,
                             uint32_t n_rows, samp_error *error)
{
    size_t row = 0;
    SAMP_TRY(samp__network_reserve(&session->network, batch->n_tokens, n_rows, error));
    samp__forward(&session->network, session->kv, batch, session->rows, n_rows);
    for (uint32_t f = 0; f < batch->n_seqs; f++) {
        size_t n = logit_rows(&feeds[f]);
        samp__network_read_logits(&session->network, row, n, feeds[f].logits);
        row += n;
    }
    return session->backend->sync(session->device, error);
}

static bool all_finite(const float *x, size_t n)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) bad |= (samp_float_bits(x[i]) & 0x7f800000) == 0x7f800000;
    return !bad;
}

static samp_status check_logits(const samp_session *session, const samp_feed *feed,
                                samp_error *error)
{
    size_t vocab = session->network.config.vocab_size;
    uint32_t n = logit_rows(feed), first = feed->sequence->length + feed->n_tokens - n;
    for (uint32_t i = 0; i < n; i++)
        if (!all_finite(feed->logits + i * vocab, vocab))
            return samp_fail(error, SAMP_NUMERIC,
                             "position %u (token %d): the model gave a logit that is not finite; "
                             "its weights are damaged or "
                             "its activations overflow this precision",
                             first + i, feed->tokens[feed->n_tokens - n + i]);
    return SAMP_OK;
}

static samp_status run_checked(samp_session *session, const samp_feed *feeds,
                               const samp_batch *batch, uint32_t n_rows, samp_error *error)
{
    SAMP_TRY(run_batch(session, feeds, batch, n_rows, error));
    for (uint32_t f = 0; f < batch->n_seqs; f++) SAMP_TRY(check_logits(session, &feeds[f], error));
    return SAMP_OK;
}

/* The guard of session.h; false where it has nothing to raise. */
static bool raise_outlier_threshold(samp_session *session)
{
    float *threshold = &session->network.outlier_threshold;
    if (*threshold <= 0 || *threshold >= SAMP_OUTLIER_THRESHOLD_SAFE) return false;
    samp_log(SAMP_LOG_WARN,
             "a logit is not finite: the threshold of LLM.int8's outliers goes from %g to %g, and "
             "the step runs once more",
             (double)*threshold, (double)SAMP_OUTLIER_THRESHOLD_SAFE);
    *threshold = SAMP_OUTLIER_THRESHOLD_SAFE;
    return true;
}

samp_status samp_session_step(samp_session *session, const samp_feed *feeds, uint32_t n_feeds,
                              samp_error *error)
{
    SAMP_TRY(check_feeds(session, feeds, n_feeds, error));
    uint32_t n_rows;
    samp_batch batch = make_batch(session, feeds, n_feeds, &n_rows);
    samp_status status = run_checked(session, feeds, &batch, n_rows, error);
    if (status == SAMP_NUMERIC && raise_outlier_threshold(session))
        status = run_checked(session, feeds, &batch, n_rows, error);
    if (status == SAMP_OK)
        for (uint32_t f = 0; f < n_feeds; f++) feeds[f].sequence->length += feeds[f].n_tokens;
    else /* last taken first, so that the pool is as it was */
        for (uint32_t f = n_feeds; f-- > 0;)
            samp_sequence_truncate(session, feeds[f].sequence, feeds[f].sequence->length);
    return status;
}

samp_status samp_session_prefill(samp_session *session, samp_sequence *sequence,
                                 const int32_t *tokens, uint32_t n_tokens, bool all_logits,
                                 float *logits, samp_error *error)
{
    SAMP_TRY(check_length(session, sequence, n_tokens, error));
    SAMP_TRY(check_blocks(session, samp_sequence_kv_needed(sequence, n_tokens), error));
    uint32_t start = sequence->length;
    size_t vocab = session->network.config.vocab_size;
    for (uint32_t done = 0, n; done < n_tokens; done += n) {
        n = n_tokens - done < session->max_batch ? n_tokens - done : session->max_batch;
        samp_feed feed = {
            .sequence = sequence, .tokens = tokens + done, .n_tokens = n, .all_logits = all_logits};
        if (logits && all_logits)
            feed.logits = logits + done * vocab;
        else if (done + n == n_tokens)
            feed.logits = logits;
        samp_status status = samp_session_step(session, &feed, 1, error);
        if (status != SAMP_OK) {
            samp_sequence_truncate(session, sequence, start);
            return status;
        }
    }
    return SAMP_OK;
}
