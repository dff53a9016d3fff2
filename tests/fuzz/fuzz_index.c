/* model.safetensors.index.json: any text either fails with one sentence or gives pairs of a
 * possible tensor name and the name of a file that lies in the folder itself. */
#include "file/checkpoint.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition) abort();
}

static samp_status check_entry(void *context, const char *tensor, const char *shard,
                               samp_error *error)
{
    size_t *n = context, length = strlen(shard);
    (void)error;
    require(tensor[0] && strlen(tensor) <= SAMP_TENSOR_NAME_MAX);
    require(length > 12 && length < 256 && strcmp(shard + length - 12, ".safetensors") == 0);
    require(shard[0] != '.' && !strpbrk(shard, "/\\:\n\t\r"));
    ++*n;
    return SAMP_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    samp_error error = {0};
    size_t n = 0;
    samp_status status =
        samp_checkpoint_index((const char *)data, size, "fuzz", check_entry, &n, &error);
    require(status == SAMP_OK ? n > 0 : error.status == status && error.message[0] && n == 0);
    return 0;
}
