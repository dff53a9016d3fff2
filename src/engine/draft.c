/* Guesses from the text itself, and when to make them. */
#include "engine/draft.h"

enum {
    SHORTEST = 3,     /* tokens that must agree before a guess is made */
    LONGEST = 16,     /* agreement past this says nothing more */
    WINDOW = 1 << 14, /* tokens searched, so that a step's time does not depend on the context */
    FIRST_WAIT = 64,
    LAST_WAIT = 1024
};

void samp__draft_record_init(samp__draft_record *record)
{
    *record = (samp__draft_record){.right = .6f, .wait = FIRST_WAIT};
}

uint32_t samp__draft_length(samp__draft_record *record, double cost)
{
    uint32_t n = 0;
    for (double all = (double)record->right; n < SAMP__DRAFT_MAX && all > cost; n++)
        all *= (double)record->right;
    if (n > 0) {
        record->silent = 0;
        record->wait = FIRST_WAIT;
    } else if (++record->silent >= record->wait) {
        n = 2;
        record->silent = 0;
        if (record->wait < LAST_WAIT) record->wait *= 2;
    }
    return n;
}

void samp__draft_learn(samp__draft_record *record, uint32_t n_right, uint32_t n_wrong)
{
    const float weight = .15f;
    for (uint32_t i = 0; i < n_right; i++) record->right += weight * (1 - record->right);
    for (uint32_t i = 0; i < n_wrong; i++) record->right -= weight * record->right;
}

uint32_t samp__draft_lookup(const int32_t *tokens, uint32_t n, uint32_t n_max, int32_t *draft)
{
    uint32_t best = 0, place = 0, last = n > WINDOW ? n - WINDOW : 0;
    for (uint32_t end = n - 1; end > last && best < LONGEST; end--) { /* tokens[..end) and all */
        uint32_t same = 0;
        while (same < LONGEST && same < end && tokens[end - 1 - same] == tokens[n - 1 - same])
            same++;
        if (same > best) {
            best = same;
            place = end;
        }
    }
    if (best < SHORTEST) return 0;
    uint32_t found = n - place < n_max ? n - place : n_max;
    for (uint32_t i = 0; i < found; i++) draft[i] = tokens[place + i];
    return found;
}
