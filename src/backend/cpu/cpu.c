/* The CPU backend behind backend.h: opening a device, tensors, and the table of its functions. What
 * is enqueued is in queue.c, weights in weight.c, products in matmul.c, attention in attention.c.
 */
#include "backend/cpu/levels.h"
#include "backend/cpu/queue.h"

#include "base/cpu.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

static void cpu_close(samp_device *device)
{
    if (!device) return;
    samp__attention_scratch_release(device->attention);
    samp__huge_release(&device->scratch);
    samp_free(device->ops);
    samp_pool_release(device->pool);
    samp_free(device);
}

static samp_status open_parts(samp_device *device, const samp_device_options *options,
                              samp_error *error)
{
    samp_cpu_level level;
    SAMP_TRY(samp_cpu_choose(&level, error));
    SAMP_TRY(samp_pool_create(&device->pool, options->n_threads, error));
    unsigned n_threads = samp_pool_threads(device->pool);
    SAMP_TRY(samp__attention_scratch_create(n_threads, level, &device->attention, error));
    device->matmul = samp__levels[level].matmul;
    device->vector = samp__levels[level].vector;
    device->exact = options->exact;
    char model[96];
    samp_cpu_model(model, sizeof model);
    snprintf(device->description, sizeof device->description, "%s, %s, %u thread%s%s", model,
             samp_cpu_name(level), n_threads, n_threads == 1 ? "" : "s",
             options->exact ? ", exact" : "");
    return SAMP_OK;
}

static samp_status cpu_open(samp_device **out, const samp_device_options *options,
                            samp_error *error)
{
    *out = NULL;
    samp_device *device = samp_alloc(1, sizeof *device);
    if (!device) return samp_fail(error, SAMP_NOMEM, "out of memory for a CPU device");
    samp_status status = open_parts(device, options, error);
    if (status != SAMP_OK) {
        cpu_close(device);
        return status;
    }
    *out = device;
    return SAMP_OK;
}

static const char *cpu_describe(const samp_device *device) { return device->description; }

static samp_status cpu_tensor_create(samp_device *device, size_t n_floats, samp_tensor **out,
                                     samp_error *error)
{
    (void)device;
    samp_tensor *tensor = samp_alloc(1, sizeof *tensor);
    *out = tensor;
    if (tensor && samp__huge_alloc(&tensor->memory, n_floats, sizeof(float))) {
        tensor->data = tensor->memory.data;
        tensor->n_floats = n_floats;
        memset(tensor->data, 0, n_floats * sizeof(float));
        return SAMP_OK;
    }
    samp_free(tensor);
    *out = NULL;
    return samp_fail(error, SAMP_NOMEM, "out of memory for a tensor of %zu floats", n_floats);
}

static void cpu_tensor_release(samp_device *device, samp_tensor *tensor)
{
    (void)device;
    if (!tensor) return;
    samp__huge_release(&tensor->memory);
    samp_free(tensor);
}

static samp_status cpu_tensor_set(samp_device *device, samp_tensor *tensor, const float *values,
                                  size_t n, samp_error *error)
{
    (void)device;
    if (n > tensor->n_floats)
        return samp_fail(error, SAMP_INVALID, "%zu floats were given for a tensor of %zu", n,
                         tensor->n_floats);
    memcpy(tensor->data, values, n * sizeof(float));
    return SAMP_OK;
}

static samp_status cpu_weight_create(samp_device *device, const samp_weight_source *source,
                                     samp_weight **out, samp_error *error)
{
    return samp__weight_create(device->pool, source, device->exact, out, error);
}

static void cpu_weight_release(samp_device *device, samp_weight *weight)
{
    (void)device;
    samp__weight_release(weight);
}

static size_t cpu_weight_bytes(const samp_weight *weight)
{
    return weight->n_groups * weight->group_bytes;
}

static samp_status cpu_kv_create(samp_device *device, const samp_kv_shape *shape, samp_kv **out,
                                 samp_error *error)
{
    (void)device;
    return samp__kv_create(shape, out, error);
}

static void cpu_kv_release(samp_device *device, samp_kv *kv)
{
    (void)device;
    samp__kv_release(kv);
}

static const samp_backend cpu_backend = {.abi = SAMP_BACKEND_ABI,
                                         .name = "cpu",
                                         .open = cpu_open,
                                         .close = cpu_close,
                                         .describe = cpu_describe,
                                         .tensor_create = cpu_tensor_create,
                                         .tensor_release = cpu_tensor_release,
                                         .tensor_set = cpu_tensor_set,
                                         .weight_create = cpu_weight_create,
                                         .weight_release = cpu_weight_release,
                                         .weight_bytes = cpu_weight_bytes,
                                         .kv_create = cpu_kv_create,
                                         .kv_release = cpu_kv_release,
                                         .kv_bytes = samp__kv_bytes,
                                         .begin = samp__queue_begin,
                                         .embed = samp__queue_embed,
                                         .matmul = samp__queue_matmul,
                                         .attention = samp__queue_attention,
                                         .gather = samp__queue_gather,
                                         .read = samp__queue_read,
                                         .sync = samp__queue_sync};

const samp_backend *samp_cpu_backend(void) { return &cpu_backend; }
