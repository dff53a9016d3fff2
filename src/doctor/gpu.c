/* NVIDIA GPUs and their driver, asked of the driver's own library (NVML), which is opened at run
 * time: the program starts where there is none. The few functions are declared here as NVIDIA's
 * reference manual documents them.
 *
 * With a made-up root the library is ROOT/lib/libnvidia-ml.so.1, so that tests bring their own. */
#include "doctor/check.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

typedef struct nvml_memory {
    unsigned long long total, free, used;
} nvml_memory;

/* name, result and parameters */
#define NVML_LIST(X)                                                                               \
    X(nvmlInit_v2, int, (void))                                                                    \
    X(nvmlShutdown, int, (void))                                                                   \
    X(nvmlErrorString, const char *, (int))                                                        \
    X(nvmlSystemGetDriverVersion, int, (char *, unsigned))                                         \
    X(nvmlSystemGetCudaDriverVersion, int, (int *))                                                \
    X(nvmlDeviceGetCount_v2, int, (unsigned *))                                                    \
    X(nvmlDeviceGetHandleByIndex_v2, int, (unsigned, void **))                                     \
    X(nvmlDeviceGetName, int, (void *, char *, unsigned))                                          \
    X(nvmlDeviceGetMemoryInfo, int, (void *, nvml_memory *))                                       \
    X(nvmlDeviceGetCudaComputeCapability, int, (void *, int *, int *))                             \
    X(nvmlDeviceGetMigMode, int, (void *, unsigned *, unsigned *))                                 \
    X(nvmlDeviceGetTotalEccErrors, int, (void *, int, int, unsigned long long *))                  \
    X(nvmlDeviceGetCurrentClocksThrottleReasons, int, (void *, unsigned long long *))

typedef struct nvml {
    void *library;
#define X(name, result, parameters) result(*name) parameters;
    NVML_LIST(X)
#undef X
} nvml;

enum {
    NVML_UNCORRECTED = 1,
    NVML_SINCE_BOOT = 0,
    NVML_SLOWED = 0x8 | 0x20 | 0x40 | 0x80, /* by heat or a lack of power */
    NVML_NO_DRIVER = 9,
    NVML_MISMATCH = 18,
    GPUS_MAX = 32
};

/* False when the library, or one of the functions, is not there. */
static bool nvml_open(nvml *n, const char *root)
{
    char path[512];
    snprintf(path, sizeof path, "%s%slibnvidia-ml.so.1", root, *root ? "/lib/" : "");
    n->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!n->library) return false;
#define X(name, result, parameters)                                                                \
    *(void **)&n->name = dlsym(n->library, #name);                                                 \
    if (!n->name) return false;
    NVML_LIST(X)
#undef X
    return true;
}

/* "580.95.05" of "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue …"; false when the
 * kernel has no such module. */
static bool module_version(const char *root, char out[32])
{
    char text[512];
    if (!samp_sysfs_read(root, "/proc/driver/nvidia/version", text, sizeof text)) return false;
    snprintf(out, 32, "(unknown version)");
    for (const char *at = text; *at && *at != '\n'; at++) {
        size_t n = strspn(at, "0123456789.");
        if (n >= 5 && memchr(at, '.', n)) {
            snprintf(out, 32, "%.*s", (int)(n < 31 ? n : 31), at);
            return true;
        }
        at += n ? n - 1 : 0;
    }
    return true;
}

static void check_health(samp_doctor *doctor, const nvml *n, unsigned index, void *device)
{
    unsigned mig = 0, pending = 0;
    unsigned long long errors = 0, reasons = 0;
    char command[96];
    snprintf(command, sizeof command, "nvidia-smi -q -i %u -d ECC,PERFORMANCE,TEMPERATURE", index);
    if (n->nvmlDeviceGetTotalEccErrors(device, NVML_UNCORRECTED, NVML_SINCE_BOOT, &errors) == 0 &&
        errors)
        samp__check_bad(doctor, SAMP_DOCTOR_GPU, SAMP_VERDICT_BROKEN, command,
                        "GPU %u: %llu memory errors could not be corrected since boot", index,
                        errors);
    if (n->nvmlDeviceGetCurrentClocksThrottleReasons(device, &reasons) == 0 &&
        reasons & NVML_SLOWED)
        samp__check_bad(doctor, SAMP_DOCTOR_GPU, SAMP_VERDICT_WARN, command,
                        "GPU %u is slowed down by heat or a lack of power", index);
    if (n->nvmlDeviceGetMigMode(device, &mig, &pending) == 0 && mig)
        samp__check_ok(doctor, SAMP_DOCTOR_GPU, "GPU %u is divided into instances (MIG)", index);
}

static void check_device(samp_doctor *doctor, const nvml *n, unsigned index)
{
    void *device;
    char name[96] = "", command[64];
    nvml_memory memory = {0};
    int major = 0, minor = 0;
    snprintf(command, sizeof command, "nvidia-smi -i %u", index);
    int failed = n->nvmlDeviceGetHandleByIndex_v2(index, &device);
    if (!failed) failed = n->nvmlDeviceGetName(device, name, sizeof name);
    if (!failed) failed = n->nvmlDeviceGetMemoryInfo(device, &memory);
    if (!failed) failed = n->nvmlDeviceGetCudaComputeCapability(device, &major, &minor);
    name[sizeof name - 1] = '\0';
    if (failed) {
        samp__check_bad(doctor, SAMP_DOCTOR_GPU, SAMP_VERDICT_BROKEN, command,
                        "GPU %u does not answer: %s", index, n->nvmlErrorString(failed));
        return;
    }
    double total = (double)memory.total, left = (double)memory.free;
    if (left < 0.5 * total)
        samp__check_bad(doctor, SAMP_DOCTOR_GPU, SAMP_VERDICT_WARN, command,
                        "GPU %u: %s, compute %d.%d: %.1f of %.1f GB are taken by others", index,
                        name, major, minor, (total - left) / 1e9, total / 1e9);
    else
        samp__check_ok(doctor, SAMP_DOCTOR_GPU, "GPU %u: %s, compute %d.%d, %.1f of %.1f GB free",
                       index, name, major, minor, left / 1e9, total / 1e9);
    check_health(doctor, n, index, device);
}

static void check_devices(samp_doctor *doctor, const nvml *n)
{
    char driver[96] = "";
    int cuda = 0;
    unsigned count = 0;
    n->nvmlSystemGetDriverVersion(driver, sizeof driver);
    driver[sizeof driver - 1] = '\0';
    n->nvmlSystemGetCudaDriverVersion(&cuda);
    n->nvmlDeviceGetCount_v2(&count);
    samp__check_ok(doctor, SAMP_DOCTOR_GPU, "NVIDIA driver %s, CUDA up to %d.%d, %u GPU%s", driver,
                   cuda / 1000, cuda % 1000 / 10, count, count == 1 ? "" : "s");
    for (unsigned i = 0; i < count && i < GPUS_MAX; i++) check_device(doctor, n, i);
}

static void check_failure(samp_doctor *doctor, const nvml *n, int failed, bool module)
{
    const char *command = failed == NVML_MISMATCH    ? "sudo reboot"
                          : failed == NVML_NO_DRIVER ? "sudo modprobe nvidia"
                                                     : "nvidia-smi";
    samp__check_bad(doctor, SAMP_DOCTOR_GPU, module ? SAMP_VERDICT_BROKEN : SAMP_VERDICT_WARN,
                    command, "NVIDIA's library is there, but does not start: %s",
                    n->nvmlErrorString(failed));
}

void samp__check_gpu(samp_doctor *doctor, const samp_doctor_options *options)
{
    nvml n = {0};
    char version[32];
    bool module = module_version(options->root, version);
    bool open = nvml_open(&n, options->root);
    if (!open && module)
        samp__check_bad(doctor, SAMP_DOCTOR_GPU, SAMP_VERDICT_BROKEN,
                        "docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility IMAGE",
                        "the kernel has NVIDIA's driver %s, but libnvidia-ml.so.1 is not here",
                        version);
    else if (!open)
        samp__check_ok(doctor, SAMP_DOCTOR_GPU, "no NVIDIA GPU: models run on the processor");
    int failed = open ? n.nvmlInit_v2() : 0;
    if (failed) check_failure(doctor, &n, failed, module);
    if (open && !failed) {
        check_devices(doctor, &n);
        n.nvmlShutdown();
    }
    if (n.library) dlclose(n.library);
}
