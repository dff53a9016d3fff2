/* A driver's library with two GPUs, one of them with memory errors: what test_doctor.c puts in a
 * made-up root. FAKE_NVML=mismatch makes it fail to start. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int nvmlInit_v2(void);
EXPORT int nvmlShutdown(void);
EXPORT const char *nvmlErrorString(int code);
EXPORT int nvmlSystemGetDriverVersion(char *out, unsigned n);
EXPORT int nvmlSystemGetCudaDriverVersion(int *out);
EXPORT int nvmlDeviceGetCount_v2(unsigned *out);
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **out);
EXPORT int nvmlDeviceGetName(void *device, char *out, unsigned n);
EXPORT int nvmlDeviceGetMemoryInfo(void *device, unsigned long long out[3]);
EXPORT int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor);
EXPORT int nvmlDeviceGetMigMode(void *device, unsigned *now, unsigned *pending);
EXPORT int nvmlDeviceGetTotalEccErrors(void *device, int kind, int since, unsigned long long *out);
EXPORT int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *out);

static int gpus[2];

int nvmlInit_v2(void)
{
    const char *fake = getenv("FAKE_NVML");
    return fake && strcmp(fake, "mismatch") == 0 ? 18 : 0;
}

int nvmlShutdown(void) { return 0; }

const char *nvmlErrorString(int code)
{
    return code == 18 ? "Driver/library version mismatch" : "Unknown";
}

int nvmlSystemGetDriverVersion(char *out, unsigned n)
{
    snprintf(out, n, "580.95.05");
    return 0;
}

int nvmlSystemGetCudaDriverVersion(int *out)
{
    *out = 13020;
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned *out)
{
    *out = 2;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **out)
{
    *out = &gpus[index];
    return 0;
}

int nvmlDeviceGetName(void *device, char *out, unsigned n)
{
    snprintf(out, n, "%s", device == &gpus[0] ? "NVIDIA H100 80GB HBM3" : "Fake\033[31m");
    return 0;
}

int nvmlDeviceGetMemoryInfo(void *device, unsigned long long out[3])
{
    out[0] = 85000000000ull;
    out[1] = device == &gpus[0] ? 84000000000ull : 1000000000ull;
    out[2] = out[0] - out[1];
    return 0;
}

int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor)
{
    (void)device;
    *major = 9, *minor = 0;
    return 0;
}

int nvmlDeviceGetMigMode(void *device, unsigned *now, unsigned *pending)
{
    *now = *pending = device == &gpus[0];
    return 0;
}

int nvmlDeviceGetTotalEccErrors(void *device, int kind, int since, unsigned long long *out)
{
    (void)kind, (void)since;
    *out = device == &gpus[1] ? 3 : 0;
    return 0;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *out)
{
    *out = device == &gpus[1] ? 0x40 : 1;
    return 0;
}
