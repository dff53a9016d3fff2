/* Inputs of LLM.int8 (backend/numerics.h, outliers): columns at or above a threshold leave the
 * quantized input and are added to the finished product as they are. */
#ifndef SAMP_CPU_OUTLIERS_H
#define SAMP_CPU_OUTLIERS_H

#include "backend/cpu/matmul.h"

/* inliers [cols] = x with 0 for every outlier; returns the bits of the largest |x| that stays. */
uint32_t samp__outliers_split(const float *x, size_t cols, float threshold, float *inliers);
/* Adds the outliers of product->x [n_tokens][cols] to product->out, where the product lies. */
void samp__outliers_add(const samp__product *product, float threshold);

#endif
