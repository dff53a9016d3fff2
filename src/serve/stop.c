/* Stop strings: plain searches; there are few of them, and they are short. */
#include "serve/stop.h"

#include <assert.h>
#include <string.h>

void samp_stops_add(samp_stops *stops, const char *string)
{
    size_t length = strlen(string);
    assert(stops->n < SAMP_STOPS_MAX && length > 0);
    stops->strings[stops->n] = string;
    stops->lengths[stops->n++] = length;
    if (length > stops->longest) stops->longest = length;
}

int samp_stops_find(const samp_stops *stops, const char *text, size_t n, size_t from, size_t *at)
{
    int found = -1;
    for (size_t i = 0; i < stops->n; i++) {
        size_t length = stops->lengths[i];
        size_t begin = from >= length ? from - length + 1 : 0;
        if (begin >= n) continue;
        const char *place = memmem(text + begin, n - begin, stops->strings[i], length);
        if (!place || (found >= 0 && (size_t)(place - text) >= *at)) continue;
        *at = (size_t)(place - text);
        found = (int)i;
    }
    return found;
}

size_t samp_stops_held(const samp_stops *stops, const char *text, size_t n)
{
    size_t most = 0;
    for (size_t i = 0; i < stops->n; i++) {
        size_t length = stops->lengths[i] - 1;
        if (length > n) length = n;
        while (length > most && memcmp(text + n - length, stops->strings[i], length) != 0) length--;
        if (length > most) most = length;
    }
    return most;
}
