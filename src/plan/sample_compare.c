/* Comparison of two mixes of strata: total variation, and Pearson's chi-square of two samples. */
#include "plan/sample.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Upper tail of the chi-square distribution with k degrees of freedom: the regularized incomplete
 * gamma function Q(k/2, x/2), by its series below the mean and by Legendre's continued fraction
 * (modified Lentz) above. Abramowitz and Stegun, 6.5.29 and 6.5.31. */
static double chi_square_tail(double x, double k)
{
    double a = k / 2, half = x / 2;
    if (!(x > 0) || !(k > 0)) return 1;
    double front = exp(a * log(half) - half - lgamma(a));
    if (half < a + 1) {
        double term = 1 / a, sum = term;
        for (double i = a + 1; i < a + 1000 && term > sum * 1e-15; i++) sum += term *= half / i;
        return fmax(0, 1 - front * sum);
    }
    double b = half + 1 - a, c = 1e300, d = 1 / b, value = d;
    for (int i = 1; i < 1000; i++) {
        double an = -i * (i - a);
        b += 2;
        d = 1 / (an * d + b);
        c = b + an / c;
        value *= d * c;
        if (fabs(d * c - 1) < 1e-15) break;
    }
    return front * value;
}

static void add_strata(samp_sample_comparison *out, const samp_traffic *traffic, bool second)
{
    for (uint32_t i = 0; i < traffic->n_strata; i++) {
        const samp_stratum *stratum = &traffic->strata[i];
        uint32_t at = 0;
        while (at < out->n && strcmp(out->strata[at], stratum->name) != 0) at++;
        if (at == out->n) snprintf(out->strata[out->n++], SAMP_STRATUM_NAME, "%s", stratum->name);
        *(second ? &out->b[at] : &out->a[at]) = stratum->records;
        *(second ? &out->n_b : &out->n_a) += stratum->records;
    }
}

/* Largest in B first; names decide between equals. */
static void sort(samp_sample_comparison *out)
{
    for (uint32_t i = 1; i < out->n; i++)
        for (uint32_t j = i; j > 0; j--) {
            char name[SAMP_STRATUM_NAME];
            uint64_t a = out->a[j], b = out->b[j];
            if (out->b[j - 1] > b ||
                (out->b[j - 1] == b && strcmp(out->strata[j - 1], out->strata[j]) < 0))
                break;
            memcpy(name, out->strata[j], sizeof name);
            memcpy(out->strata[j], out->strata[j - 1], sizeof name);
            memcpy(out->strata[j - 1], name, sizeof name);
            out->a[j] = out->a[j - 1], out->b[j] = out->b[j - 1];
            out->a[j - 1] = a, out->b[j - 1] = b;
        }
}

void samp_sample_compare(const samp_traffic *a, const samp_traffic *b, samp_sample_comparison *out)
{
    memset(out, 0, sizeof *out);
    add_strata(out, a, false);
    add_strata(out, b, true);
    sort(out);
    double n_a = (double)out->n_a, n_b = (double)out->n_b, worst = -1;
    if (n_a == 0 || n_b == 0) return;
    for (uint32_t i = 0; i < out->n; i++) {
        double in_a = (double)out->a[i], in_b = (double)out->b[i];
        double difference = fabs(in_a / n_a - in_b / n_b);
        double expected = (in_a + in_b) / (n_a + n_b); /* share if both were one traffic */
        out->distance += difference / 2;
        out->chi_square += pow(in_a - n_a * expected, 2) / (n_a * expected) +
                           pow(in_b - n_b * expected, 2) / (n_b * expected);
        if (difference > worst) worst = difference, out->worst = i;
    }
    out->p_value = chi_square_tail(out->chi_square, out->n - 1.0);
}
