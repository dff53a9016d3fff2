/* Stop strings in a text that grows: where one is, and how much of the end might yet become one and
 * must not be shown. */
#ifndef SAMP_SERVE_STOP_H
#define SAMP_SERVE_STOP_H

#include <stdbool.h>
#include <stddef.h>

enum { SAMP_STOPS_MAX = 20 };

typedef struct samp_stops {
    const char *strings[SAMP_STOPS_MAX]; /* none empty */
    size_t lengths[SAMP_STOPS_MAX];
    size_t n, longest;
} samp_stops;

/* Adds a string that must live as long; more than SAMP_STOPS_MAX are a mistake of the caller. */
void samp_stops_add(samp_stops *stops, const char *string);
/* The stop string that begins first in text[0..n), looking only at places that bytes from `from` on
 * take part in: *at its place, the answer its number; -1 = none. */
int samp_stops_find(const samp_stops *stops, const char *text, size_t n, size_t from, size_t *at);
/* Bytes at the end of text[0..n) that are the beginning of a stop string. */
size_t samp_stops_held(const samp_stops *stops, const char *text, size_t n);

#endif
