/* safetensors headers: any bytes either fail with one sentence or give tensors that keep every
 * promise of file/safetensors.h. The file is as long as the input, plus, for headers that promise
 * data, up to 16 MiB that are never read. */
#include "file/safetensors.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition) abort();
}

/* Tensors lie one after the other, from the end of the header to the end of the file. */
static void check_file(const samp_safetensors *file, uint64_t file_size)
{
    uint64_t at = 0;
    for (size_t i = 0; i < samp_safetensors_count(file); i++) {
        const samp_tensor_info *tensor = samp_safetensors_at(file, i);
        size_t length = strlen(tensor->name);
        require(length >= 1 && length <= SAMP_TENSOR_NAME_MAX);
        require(tensor->rank >= 0 && tensor->rank <= SAMP_RANK_MAX);
        require((unsigned)tensor->dtype < SAMP_DTYPE_COUNT);
        require(i == 0 ? tensor->offset >= 8 : tensor->offset == at);
        require(samp_safetensors_find(file, tensor->name) == tensor);
        at = tensor->offset + tensor->bytes;
        require(at >= tensor->offset && at <= file_size);
    }
    require(samp_safetensors_count(file) == 0 || at == file_size);
    samp_safetensors_metadata(file, "format");
}

static int parse(const uint8_t *data, size_t size, uint64_t file_size)
{
    samp_error error = {0};
    samp_safetensors *file;
    samp_status status = samp_safetensors_parse(&file, data, size, file_size, "fuzz", &error);
    if (status == SAMP_OK) {
        check_file(file, file_size);
        samp_safetensors_close(file);
    } else {
        require(!file && error.status == status && error.message[0]);
    }
    return status == SAMP_OK;
}

/* The largest number in the text: the end of the data, in a header that is right. */
static uint64_t largest_number(const uint8_t *data, size_t size)
{
    uint64_t largest = 0, number = 0;
    for (size_t i = 8; i < size; i++) {
        number = data[i] >= '0' && data[i] <= '9' ? (number * 10 + data[i] - '0') % (1u << 24) : 0;
        if (number > largest) largest = number;
    }
    return largest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parse(data, size, size);
    /* The same text behind a right length field, before as much data as it seems to describe. */
    uint8_t *copy = malloc(size + 8);
    if (!copy) return 0;
    size_t text = size < 8 ? 0 : size - 8;
    uint64_t length = text;
    for (int i = 0; i < 8; i++) copy[i] = (uint8_t)(length >> 8 * i);
    if (text) memcpy(copy + 8, data + 8, text);
    parse(copy, text + 8, text + 8 + largest_number(data, size));
    free(copy);
    return 0;
}
