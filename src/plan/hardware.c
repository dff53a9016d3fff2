/* Profiles of hardware. A figure is measured (on which machine, when) or published (the maker's data sheet, dense rates). */
#include "plan/hardware.h"

#include <math.h>
#include <string.h>

static const struct samp_hardware profiles[] = {
    {"h100", "NVIDIA H100 SXM 80 GB", 80e9, 3.0e12, 756e12, 1400e12, 1400e12,
     "measured 2026-11-23: copy 3.00 TB/s, cuBLAS bf16 756 TFLOP/s, FP8 rows 1,300-1,446; INT8 "
     "taken as FP8 (published: both 1,979)"},
    {"h200", "NVIDIA H200 141 GB", 141e9, 4.54e12, 785e12, 1296e12, 1450e12,
     "measured 2026-11-23: read kernel 4.54 TB/s, cuBLAS bf16 775-795 TFLOP/s, FP8 rows "
     "1,303-1,450, INT8 mma.sync 1,296 TOPS"},
    {"a100", "NVIDIA A100 SXM 80 GB", 80e9, 2.04e12, 312e12, 624e12, 0,
     "published: 2,039 GB/s, BF16 312 TFLOP/s, INT8 624 TOPS; no FP8"},
    {"l40s", "NVIDIA L40S 48 GB", 48e9, 0.864e12, 362e12, 733e12, 733e12,
     "published: 864 GB/s, BF16 362 TFLOP/s, INT8 733 TOPS, FP8 733 TFLOP/s"},
    {"rtx4090", "NVIDIA GeForce RTX 4090 24 GB", 24e9, 1.008e12, 165e12, 660e12, 330e12,
     "published: 1,008 GB/s, BF16 165 TFLOP/s (FP32 accumulation), INT8 660 TOPS, FP8 330 TFLOP/s"},
    {"cpu", "CPU of two cores with AVX-512 VNNI", 0, 15e9, 0.3e12, 1.4e12, 0,
     "measured 2026-11 on a 2-vCPU Emerald Rapids: DRAM read 13.5-15.8 GB/s, vpdpbusd 0.7 TOPS a "
     "core, FP32 FMA 148 GFLOP/s a core"},
};

enum { N_PROFILES = sizeof profiles / sizeof *profiles };

const samp_hardware *samp_hardware_find(const char *name)
{
    for (size_t i = 0; i < N_PROFILES; i++)
        if (strcmp(profiles[i].name, name) == 0) return &profiles[i];
    return NULL;
}

bool samp_hardware_multiplies(const samp_hardware *hardware, const samp_format *format,
                              samp_multiply *how)
{
    if (format->native & SAMP_NATIVE_TENSOR_FP8 && format->code_bits == 8 &&
        !(format->native & SAMP_NATIVE_TENSOR_INT8)) {
        *how = SAMP_MULTIPLY_FP8;
        return hardware->fp8_ops > 0;
    }
    bool integers = format->native & (SAMP_NATIVE_CPU_INT8 | SAMP_NATIVE_TENSOR_INT8);
    *how = integers && hardware->int8_ops > 0 ? SAMP_MULTIPLY_INT8 : SAMP_MULTIPLY_FLOAT16;
    return true;
}

double samp_hardware_seconds(const samp_hardware *hardware, const samp_format *format,
                             uint64_t bytes, double n_weights, double batch)
{
    samp_multiply how;
    samp_hardware_multiplies(hardware, format, &how);
    double rate = how == SAMP_MULTIPLY_INT8  ? hardware->int8_ops
                  : how == SAMP_MULTIPLY_FP8 ? hardware->fp8_ops
                                             : hardware->float16_ops;
    if (!(rate > 0)) rate = hardware->float16_ops;
    return fmax((double)bytes / hardware->bandwidth, 2 * n_weights * batch / rate);
}
