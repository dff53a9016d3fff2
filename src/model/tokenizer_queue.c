/* The queue of pairs that may merge, lowest rank first, leftmost of equal ranks first.
 *
 * A word of a text has a few pairs: they sit in a heap with four children a node. A word of
 * megabytes (a text without pre-tokenizer, or a hostile one) would spend its time moving through
 * such a heap, each step a cache miss. There, pairs wait in one list a rank, unsorted; a rank's
 * list is sorted when its turn comes, which the order of merging allows: nothing but pairs of the
 * current rank or below, which are rare, ever comes in between, and those go to the heap.
 * 5 MB of random letters, Llama 3: 3.6 s of CPU in the heap alone, 1.45 s so (Zen 1 shared with
 * other work, 2026-11). The queue owns its arrays and keeps them from word to word. */
#include "model/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

enum { LONG_WORD = 8192 }; /* symbols from which lists are worth their n_ranks heads */

/* Positions of one rank, in a chain whose first block is filled last; one cache line, since
 * following a chain is what costs. */
enum { BLOCK_POSITIONS = 15 };
struct samp__merge_queue_block {
    uint32_t next; /* SAMP__NONE: the last */
    uint32_t positions[BLOCK_POSITIONS];
};

void samp__merge_queue_release(samp__queue *q)
{
    samp_free(q->heap);
    samp_free(q->lists);
    samp_free(q->blocks);
    samp_free(q->batch);
}

/* Room for count items; the array, moved or not, or NULL when out of memory. */
static void *reserve(void *array, size_t *capacity, size_t count, size_t size)
{
    if (count <= *capacity) return array;
    size_t room = count < 64 ? 64 : count + count / 2;
    void *grown = samp_realloc(array, room, size);
    if (grown) *capacity = room;
    return grown;
}

bool samp__merge_queue_begin(samp__queue *q, size_t n_symbols, uint32_t n_ranks)
{
    q->heap_count = q->n_blocks = q->batch_at = q->batch_count = 0;
    q->n_lists = 0;
    q->limit = UINT32_MAX;
    if (n_symbols < LONG_WORD || n_symbols < n_ranks / 8 || n_ranks == 0) return true;
    samp__merge_queue_list *lists = reserve(q->lists, &q->lists_capacity, n_ranks, sizeof *lists);
    if (!lists) return false;
    for (uint32_t rank = 0; rank < n_ranks; rank++)
        lists[rank] = (samp__merge_queue_list){SAMP__NONE, 0};
    q->lists = lists;
    q->n_lists = n_ranks;
    q->limit = 0;
    q->free = SAMP__NONE;
    return true;
}

static bool heap_push(samp__queue *q, uint64_t entry)
{
    uint64_t *heap = reserve(q->heap, &q->heap_capacity, q->heap_count + 1, sizeof *heap);
    if (!heap) return false;
    q->heap = heap;
    size_t at = q->heap_count++;
    for (size_t parent; at > 0 && heap[parent = (at - 1) / 4] > entry; at = parent)
        heap[at] = heap[parent];
    heap[at] = entry;
    return true;
}

static uint64_t heap_pop(samp__queue *q)
{
    uint64_t *heap = q->heap, top = heap[0], entry = heap[--q->heap_count];
    size_t count = q->heap_count, at = 0;
    for (;;) {
        size_t first = 4 * at + 1, least = first;
        if (first >= count) break;
        size_t end = first + 4 < count ? first + 4 : count;
        for (size_t i = first + 1; i < end; i++)
            if (heap[i] < heap[least]) least = i;
        if (heap[least] >= entry) break;
        heap[at] = heap[least];
        at = least;
    }
    heap[at] = entry;
    return top;
}

static bool list_push(samp__queue *q, samp__merge_queue_list *list, uint32_t position)
{
    uint32_t used = list->count % BLOCK_POSITIONS;
    if (used == 0) {
        uint32_t block = q->free;
        if (block == SAMP__NONE) {
            samp__merge_queue_block *blocks =
                reserve(q->blocks, &q->blocks_capacity, q->n_blocks + 1, sizeof *blocks);
            if (!blocks) return false;
            q->blocks = blocks;
            block = (uint32_t)q->n_blocks++;
        } else {
            q->free = q->blocks[block].next;
        }
        q->blocks[block].next = list->first;
        list->first = block;
    }
    q->blocks[list->first].positions[used] = position;
    list->count++;
    return true;
}

bool samp__merge_queue_push(samp__queue *q, uint32_t rank, uint32_t position)
{
    if (rank < q->limit) return heap_push(q, (uint64_t)rank << 32 | position);
    return list_push(q, &q->lists[rank], position);
}

static int by_position(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Puts the positions of the next list that has any into the batch, sorted, and frees its blocks. */
static bool next_batch(samp__queue *q)
{
    q->batch_at = q->batch_count = 0;
    while (q->limit < q->n_lists && !q->lists[q->limit].count) q->limit++;
    if (q->limit >= q->n_lists) return true;
    const samp__merge_queue_list *list = &q->lists[q->limit++];
    uint32_t *batch = reserve(q->batch, &q->batch_capacity, list->count, sizeof *batch);
    if (!batch) return false;
    q->batch = batch;
    q->batch_count = list->count;
    size_t at = list->count;
    bool sorted = true;
    uint32_t used = (list->count - 1) % BLOCK_POSITIONS + 1;
    /* the last pushed come first, so that filling from the end mostly gives ascending positions */
    for (uint32_t index = list->first, next; index != SAMP__NONE; index = next) {
        samp__merge_queue_block *block = &q->blocks[index];
        while (used-- > 0) {
            batch[--at] = block->positions[used];
            if (at + 1 < q->batch_count && batch[at] > batch[at + 1]) sorted = false;
        }
        used = BLOCK_POSITIONS;
        next = block->next;
        block->next = q->free;
        q->free = index;
    }
    if (!sorted) qsort(batch, q->batch_count, sizeof *batch, by_position);
    return true;
}

samp__merge_queue_result samp__merge_queue_pop(samp__queue *q, uint32_t *rank, uint32_t *position)
{
    if (!q->heap_count && q->batch_at == q->batch_count && !next_batch(q))
        return SAMP__QUEUE_FAILED;
    bool has_batch = q->batch_at < q->batch_count;
    if (!q->heap_count && !has_batch) return SAMP__QUEUE_EMPTY;
    uint64_t entry =
        has_batch ? (uint64_t)(q->limit - 1) << 32 | q->batch[q->batch_at] : UINT64_MAX;
    if (q->heap_count && q->heap[0] < entry)
        entry = heap_pop(q);
    else
        q->batch_at++;
    *rank = (uint32_t)(entry >> 32);
    *position = (uint32_t)entry;
    return SAMP__QUEUE_ENTRY;
}
