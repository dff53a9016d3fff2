/* Regular expressions of JSON Schema (a subset of ECMA-262) as automata over code points.
 *
 * A pattern becomes a program of nodes; a *set* is the sorted list of nodes that wait for a
 * character. Nodes from which no match can be reached are never in a set, so that an empty set
 * means: no continuation matches. Not there: look-around, back-references, \b, \p. */
#ifndef SAMP_CONSTRAIN_REGEX_H
#define SAMP_CONSTRAIN_REGEX_H

#include "base/error.h"

#include <stdint.h>

enum { SAMP__REGEX_NODES_MAX = 200000, SAMP__REGEX_FOREVER = 1 << 30 };

typedef struct samp__regex samp__regex;

/* Matches anywhere in a text unless anchored, as JSON Schema has it. SAMP_UNSUPPORTED, SAMP_INVALID
 * with the place; SAMP_LIMIT when repetitions make it too large. */
samp_status samp__regex_compile(samp__regex **out, const char *pattern, size_t n,
                                samp_error *error);
/* Exactly one of the strings (UTF-8). */
samp_status samp__regex_literals(samp__regex **out, const char *const *strings,
                                 const size_t *lengths, size_t n, samp_error *error);
void samp__regex_release(samp__regex *regex); /* NULL allowed */

uint32_t samp__regex_size(const samp__regex *regex); /* nodes: room that a set may need */
/* set [size]: at the start of a text; returns how many. */
uint32_t samp__regex_start(samp__regex *regex, uint32_t *set);
/* out [size]: after one more character. */
uint32_t samp__regex_step(samp__regex *regex, const uint32_t *set, uint32_t n, uint32_t character,
                          uint32_t *out);
/* Whether some character low … high leads on. */
bool samp__regex_can_step(const samp__regex *regex, const uint32_t *set, uint32_t n, uint32_t low,
                          uint32_t high);
/* Whether the text may end here. */
bool samp__regex_accepts(const samp__regex *regex, const uint32_t *set, uint32_t n);
/* Fewest and most characters until it may end (SAMP__REGEX_FOREVER: no bound). */
void samp__regex_distance(const samp__regex *regex, const uint32_t *set, uint32_t n,
                          uint32_t *least, uint32_t *most);
bool samp__regex_matches(samp__regex *regex, const char *text, size_t n);

/* The next character of UTF-8 text that is known to be well-formed; *at moves on. */
uint32_t samp__next_character(const char *text, size_t *at);

#endif
