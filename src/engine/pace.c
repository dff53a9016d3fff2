/* The cost of a step, fitted. */
#include "engine/pace.h"

#define KEPT .98 /* of a step's weight after the next one */

void samp__pace_add(samp__pace *pace, uint32_t n_tokens, double seconds)
{
    double n = n_tokens;
    pace->weight = pace->weight * KEPT + 1;
    pace->n = pace->n * KEPT + n;
    pace->t = pace->t * KEPT + seconds;
    pace->nn = pace->nn * KEPT + n * n;
    pace->nt = pace->nt * KEPT + n * seconds;
}

/* Steps of one size, or times that fall with the size by chance, say nothing about the base: then
 * half of their time is taken to be base. */
void samp__pace_fit(const samp__pace *pace, double *base, double *each)
{
    *base = *each = 0;
    if (pace->weight <= 0) return;
    double mean_n = pace->n / pace->weight, mean_t = pace->t / pace->weight;
    double spread = pace->nn / pace->weight - mean_n * mean_n;
    if (spread > .01 * mean_n * mean_n)
        *each = (pace->nt / pace->weight - mean_n * mean_t) / spread;
    if (*each <= 0) *each = mean_t / mean_n / 2;
    *base = mean_t - *each * mean_n;
    if (*base >= 0) return;
    *base = 0;
    *each = mean_t / mean_n;
}

uint32_t samp__pace_room(const samp__pace *pace, uint32_t n_tokens, double seconds)
{
    double base, each;
    samp__pace_fit(pace, &base, &each);
    double room = seconds - base - each * n_tokens;
    if (each <= 0 || room >= each * UINT32_MAX) return UINT32_MAX;
    return room > 0 ? (uint32_t)(room / each) : 0;
}

double samp__pace_guess_cost(const samp__pace *pace, uint32_t n_tokens)
{
    double base, each;
    samp__pace_fit(pace, &base, &each);
    double whole = base + each * n_tokens;
    return whole > 0 ? each * n_tokens / whole : .5;
}
