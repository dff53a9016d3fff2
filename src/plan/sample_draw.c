/* The draw: quotas, length classes and preference among candidates. */
#include "plan/sample_draw.h"

#include <stdlib.h>
#include <string.h>

enum {
    LENGTH_CLASSES = 4,
    SIGNATURE_BYTES_MIN = 200 /* shorter texts have too few words for a signature to mean much */
};

/* Shares of n among the parts whose bit in `open` is set, by largest remainder. */
static void share_plainly(const uint64_t *counts, size_t n_parts, const bool *open, uint64_t n,
                          uint64_t *out)
{
    uint64_t total = 0, given = 0;
    for (size_t i = 0; i < n_parts; i++) total += open[i] ? counts[i] : 0;
    if (total == 0) return;
    for (size_t i = 0; i < n_parts; i++)
        if (open[i]) given += out[i] = n * counts[i] / total;
    bool up[SAMP_STRATA_MAX] = {false};
    for (; given < n; given++) {
        size_t best = n_parts;
        for (size_t i = 0; i < n_parts; i++)
            if (open[i] && counts[i] && !up[i] &&
                (best == n_parts || n * counts[i] % total > n * counts[best] % total))
                best = i;
        if (best == n_parts) break;
        up[best] = true;
        out[best]++;
    }
}

void samp_share_out(const uint64_t *counts, size_t n_parts, uint64_t n, uint64_t least,
                    uint64_t *out)
{
    bool open[SAMP_STRATA_MAX];
    uint64_t left = n;
    for (size_t i = 0; i < n_parts; i++) open[i] = true, out[i] = 0;
    /* A part below its least is closed with it; that lowers the others, so again until none is. */
    for (bool again = true; again;) {
        again = false;
        share_plainly(counts, n_parts, open, left, out);
        for (size_t i = 0; i < n_parts && !again; i++) {
            if (!open[i] || counts[i] == 0 || out[i] >= least) continue;
            out[i] = least < left ? least : left;
            left -= out[i];
            open[i] = false;
            again = true;
        }
    }
}

/* ---- within a stratum ---- */

static int by_preference(const void *a, const void *b)
{
    const samp_candidate *x = a, *y = b;
    if (x->near_duplicate != y->near_duplicate) return x->near_duplicate ? 1 : -1;
    return (x->priority > y->priority) - (x->priority < y->priority);
}

/* Of texts that are nearly the same the one of lowest priority is preferred. */
static void mark_near_duplicates(samp_reservoir_stratum *stratum)
{
    if (stratum->count == 0) return;
    for (uint32_t i = 0; i < stratum->count; i++) stratum->heap[i].near_duplicate = false;
    qsort(stratum->heap, stratum->count, sizeof *stratum->heap, by_preference);
    for (uint32_t i = 1; i < stratum->count; i++) {
        samp_candidate *candidate = &stratum->heap[i];
        if (candidate->length < SIGNATURE_BYTES_MIN) continue;
        for (uint32_t j = 0; j < i && !candidate->near_duplicate; j++) {
            const samp_candidate *other = &stratum->heap[j];
            candidate->near_duplicate =
                !other->near_duplicate && other->length >= SIGNATURE_BYTES_MIN &&
                __builtin_popcountll(candidate->signature ^ other->signature) <=
                    SAMP_SIGNATURE_NEAR;
        }
    }
    qsort(stratum->heap, stratum->count, sizeof *stratum->heap, by_preference);
}

/* Cuts the bins of lengths into four classes of about as many different texts; sizes of the
 * classes. */
static void length_classes(const samp_reservoir_stratum *stratum, uint8_t *class_of,
                           uint64_t *sizes)
{
    uint64_t before = 0;
    memset(sizes, 0, LENGTH_CLASSES * sizeof *sizes);
    for (unsigned b = 0; b < SAMP_LENGTH_BINS; b++) {
        uint64_t middle = before + stratum->lengths[b] / 2;
        uint64_t at = stratum->distinct ? LENGTH_CLASSES * middle / stratum->distinct : 0;
        class_of[b] = (uint8_t)(at < LENGTH_CLASSES ? at : LENGTH_CLASSES - 1);
        sizes[class_of[b]] += stratum->lengths[b];
        before += stratum->lengths[b];
    }
}

static uint64_t draw(samp_candidate *candidate)
{
    candidate->drawn = true;
    return candidate->length;
}

/* Up to n of the stratum's candidates: first each length class its share, without near duplicates;
 * then, where a class had too few, whatever is preferred of the rest. */
static uint64_t draw_stratum(samp_reservoir_stratum *stratum, uint64_t n, uint64_t *n_drawn)
{
    uint8_t class_of[SAMP_LENGTH_BINS];
    uint64_t sizes[LENGTH_CLASSES], quota[LENGTH_CLASSES], bytes = 0, drawn = 0;
    length_classes(stratum, class_of, sizes);
    samp_share_out(sizes, LENGTH_CLASSES, n, 0, quota);
    for (uint32_t i = 0; i < stratum->count; i++) {
        samp_candidate *candidate = &stratum->heap[i];
        candidate->drawn = false;
        uint64_t *left = &quota[class_of[samp_length_bin(candidate->length)]];
        if (*left == 0 || candidate->near_duplicate) continue;
        --*left;
        bytes += draw(candidate);
        drawn++;
    }
    for (uint32_t i = 0; i < stratum->count && drawn < n; i++) {
        if (stratum->heap[i].drawn) continue;
        bytes += draw(&stratum->heap[i]);
        drawn++;
    }
    *n_drawn += drawn;
    return bytes;
}

uint64_t samp_sample_choose(samp_reservoir *reservoir, const samp_traffic *traffic, uint64_t n,
                            uint64_t least, uint64_t *n_drawn)
{
    uint64_t counts[SAMP_STRATA_MAX] = {0}, quota[SAMP_STRATA_MAX], bytes = 0;
    for (uint32_t s = 0; s < traffic->n_strata; s++) counts[s] = traffic->strata[s].records;
    samp_share_out(counts, traffic->n_strata, n, least, quota);
    *n_drawn = 0;
    for (uint32_t s = 0; s < traffic->n_strata; s++)
        bytes += draw_stratum(&reservoir->strata[s], quota[s], n_drawn);
    return bytes;
}

samp_status samp_sample_prefer(samp_reservoir *reservoir, samp_error *error)
{
    samp_buffer text = {0};
    samp_status status = SAMP_OK;
    for (uint32_t s = 0; s < SAMP_STRATA_MAX; s++) {
        samp_reservoir_stratum *stratum = &reservoir->strata[s];
        for (uint32_t i = 0; i < stratum->count && status == SAMP_OK; i++) {
            samp_candidate *candidate = &stratum->heap[i];
            if (candidate->length < SIGNATURE_BYTES_MIN) continue;
            status = samp_reservoir_text(reservoir, candidate, &text, error);
            if (status == SAMP_OK)
                candidate->signature = samp_content_signature(text.data, text.length);
        }
        mark_near_duplicates(stratum);
    }
    samp_buffer_release(&text);
    return status;
}
