/* Constrainers: the machine's states by number, transitions and masks remembered. */
#include "constrain/constrain.h"

#include "constrain/machine.h"
#include "constrain/vocabulary.h"

#include <stdatomic.h>
#include <string.h>

enum { UNKNOWN = UINT32_MAX, DEAD = 0, MASKS_MAX = 256, ROWS_MAX = 200000 };

typedef struct mask {
    uint32_t state; /* 0 = free */
    uint64_t *bits; /* [n_words] */
} mask;

struct samp_constrainer {
    samp_constrainer *shared; /* whose machine and memory it uses: its own unless it is a fork */
    _Atomic uint32_t n_users; /* forks that use this one's, and itself */
    const samp_constrain_vocabulary *vocabulary;
    samp__machine machine;
    samp__intern states; /* sets of tops */
    uint32_t **rows;     /* [rows_capacity] transitions of state i, 256 each; NULL = none yet */
    uint32_t rows_capacity, n_rows;
    uint32_t state;    /* now; DEAD never */
    uint32_t *scratch; /* [2 * SAMP__TOPS_MAX] */
    mask masks[MASKS_MAX];
    uint32_t next_mask;
    uint32_t *stack; /* [longest token + 1] states along a token, of the walk */
};

/* ---- states ---------------------------------------------------------------------------------- */

static uint32_t *row_of(samp_constrainer *c, uint32_t state)
{
    if (state >= c->rows_capacity) {
        uint32_t capacity = 2 * state + 64;
        uint32_t **rows = samp_realloc(c->rows, capacity, sizeof *rows);
        if (!rows) return NULL;
        memset(rows + c->rows_capacity, 0, (capacity - c->rows_capacity) * sizeof *rows);
        c->rows = rows;
        c->rows_capacity = capacity;
    }
    if (!c->rows[state]) {
        if (++c->n_rows > ROWS_MAX) return NULL;
        c->rows[state] = samp_alloc(256, sizeof(uint32_t));
        if (c->rows[state]) memset(c->rows[state], 0xff, 256 * sizeof(uint32_t));
    }
    return c->rows[state];
}

/* The state after one more byte, DEAD when it does not fit (or memory ran out: machine.failed). */
static uint32_t step(samp_constrainer *c, uint32_t state, uint8_t byte)
{
    uint32_t *row = row_of(c, state);
    if (!row) {
        c->machine.failed = true;
        return DEAD;
    }
    if (row[byte] != UNKNOWN) return row[byte];
    size_t bytes;
    const void *tops = samp__intern_get(&c->states, state, &bytes);
    memcpy(c->scratch, tops, bytes);
    uint32_t *out = c->scratch + SAMP__TOPS_MAX;
    uint32_t n =
        samp__machine_step(&c->machine, c->scratch, (uint32_t)(bytes / sizeof *out), byte, out);
    uint32_t next = n ? samp__intern_add(&c->states, out, n * sizeof *out) : DEAD;
    if (n && next == 0) c->machine.failed = true;
    if (!c->machine.failed) row[byte] = next;
    return next;
}

static bool is_complete(samp_constrainer *c, uint32_t state)
{
    size_t bytes;
    const uint32_t *tops = samp__intern_get(&c->states, state, &bytes);
    return samp__machine_complete(&c->machine, tops, (uint32_t)(bytes / sizeof *tops));
}

/* ---- masks ----------------------------------------------------------------------------------- */

/* Walks the tokens in order of their bytes: what a token shares with the one before it was walked
 * already, and what begins with bytes that do not fit is skipped. */
static void walk(samp_constrainer *c, uint32_t state, uint64_t *bits)
{
    const samp_constrain_vocabulary *v = c->vocabulary;
    uint32_t *stack = c->stack;
    stack[0] = state;
    for (uint32_t i = 0; i < v->n && !c->machine.failed;) {
        const samp__vocabulary_token *token = &v->tokens[i];
        uint32_t depth = token->shared;
        while (depth < token->length && stack[depth]) {
            stack[depth + 1] = step(c, stack[depth], (uint8_t)token->bytes[depth]);
            depth++;
        }
        if (stack[depth]) {
            bits[token->id / 64] |= (uint64_t)1 << token->id % 64;
            i++;
            continue;
        }
        for (i++; i < v->n && v->tokens[i].shared >= depth;) i++; /* all that begin so */
    }
    if (!is_complete(c, state)) return;
    for (uint32_t i = 0; i < v->n_ends; i++)
        bits[v->ends[i] / 64] |= (uint64_t)1 << v->ends[i] % 64;
}

bool samp_constrainer_allowed(samp_constrainer *constrainer, uint64_t *out)
{
    samp_constrainer *c = constrainer->shared;
    uint32_t state = constrainer->state;
    size_t n_words = c->vocabulary->n_words;
    mask *slot = NULL;
    for (uint32_t i = 0; i < MASKS_MAX && !slot; i++)
        if (c->masks[i].state == state) slot = &c->masks[i];
    if (!slot) {
        slot = &c->masks[c->next_mask];
        c->next_mask = (c->next_mask + 1) % MASKS_MAX;
        if (!slot->bits) slot->bits = samp_alloc(n_words, sizeof *slot->bits);
        if (!slot->bits) return false;
        slot->state = 0;
        memset(slot->bits, 0, n_words * sizeof *slot->bits);
        walk(c, state, slot->bits);
        if (c->machine.failed) return false;
        slot->state = state;
    }
    memcpy(out, slot->bits, n_words * sizeof *out);
    return true;
}

/* ---- texts ----------------------------------------------------------------------------------- */

bool samp_constrainer_accept_bytes(samp_constrainer *c, const char *bytes, size_t n)
{
    uint32_t state = c->state;
    for (size_t i = 0; i < n && state; i++) state = step(c->shared, state, (uint8_t)bytes[i]);
    if (!state) return false;
    c->state = state;
    return true;
}

bool samp_constrainer_accept(samp_constrainer *c, int32_t token)
{
    const samp_constrain_vocabulary *v = c->vocabulary;
    const char *bytes;
    size_t n;
    for (uint32_t i = 0; i < v->n_ends; i++)
        if (v->ends[i] == (uint32_t)token) return samp_constrainer_complete(c);
    samp_tokenizer_bytes(v->tokenizer, token, false, &bytes, &n);
    return samp_constrainer_accept_bytes(c, bytes, n);
}

bool samp_constrainer_complete(const samp_constrainer *c)
{
    return is_complete(c->shared, c->state);
}

/* ---- life ------------------------------------------------------------------------------------ */

samp_status samp_constrainer_create(samp_constrainer **out,
                                    const samp_constrain_vocabulary *vocabulary,
                                    const samp_constrain_options *options, samp_error *error)
{
    uint32_t n;
    samp_constrainer *c = samp_alloc(1, sizeof *c);
    if (!c) return samp_fail(error, SAMP_NOMEM, "out of memory for a schema");
    c->vocabulary = vocabulary;
    c->shared = c;
    atomic_init(&c->n_users, 1);
    c->scratch = samp_alloc(2 * SAMP__TOPS_MAX, sizeof *c->scratch);
    c->stack = samp_alloc((vocabulary ? vocabulary->longest : 0) + 2, sizeof *c->stack);
    json_t *any_object = options->schema ? NULL : json_pack("{s:s}", "type", "object");
    const json_t *schema = options->schema ? options->schema : any_object;
    samp_status status = SAMP_OK;
    if (!c->scratch || !c->stack || !schema)
        status = samp_fail(error, SAMP_NOMEM, "out of memory for a schema");
    if (status == SAMP_OK)
        status = samp__machine_open(&c->machine, schema, options->before, options->after,
                                    options->ordered, c->scratch, &n, error);
    if (status == SAMP_OK) {
        c->state = samp__intern_add(&c->states, c->scratch, n * sizeof *c->scratch);
        if (c->state == 0) status = samp_fail(error, SAMP_NOMEM, "out of memory for a schema");
    }
    json_decref(any_object);
    if (status == SAMP_OK)
        *out = c;
    else
        samp_constrainer_release(c);
    return status;
}

samp_constrainer *samp_constrainer_fork(const samp_constrainer *constrainer)
{
    samp_constrainer *c = samp_alloc(1, sizeof *c);
    if (!c) return NULL;
    c->vocabulary = constrainer->vocabulary;
    c->shared = constrainer->shared;
    c->state = constrainer->state;
    atomic_fetch_add(&c->shared->n_users, 1);
    return c;
}

void samp_constrainer_release(samp_constrainer *c)
{
    if (!c) return;
    samp_constrainer *shared = c->shared;
    if (c != shared) samp_free(c);
    if (atomic_fetch_sub(&shared->n_users, 1) != 1) return;
    c = shared;
    for (uint32_t i = 0; i < c->rows_capacity; i++) samp_free(c->rows[i]);
    for (uint32_t i = 0; i < MASKS_MAX; i++) samp_free(c->masks[i].bits);
    samp_free(c->rows);
    samp_free(c->scratch);
    samp_free(c->stack);
    samp__intern_release(&c->states);
    samp__machine_release(&c->machine);
    samp_free(c);
}
