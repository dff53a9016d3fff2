/* GGUF metadata and tensor lists: any bytes either fail with one sentence or give tensors inside
 * the file and values that can be read to their last byte. The data that tensors would point to is
 * imagined: the file is 16 MiB longer than the input. */
#include "file/gguf.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink; /* keeps the reads below from being optimized away */

static void require(int condition)
{
    if (!condition) abort();
}

static void touch(const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) sum += at[i];
    sink += sum;
}

static void read_key(const samp_gguf *gguf, const char *key)
{
    int64_t integer;
    double number;
    bool truth;
    samp_gguf_string text;
    const samp_gguf_string *strings;
    const int32_t *integers;
    const float *floats;
    if (samp_gguf_integer(gguf, key, &integer)) touch(&integer, sizeof integer);
    if (samp_gguf_number(gguf, key, &number)) touch(&number, sizeof number);
    if (samp_gguf_bool(gguf, key, &truth)) touch(&truth, sizeof truth);
    if (samp_gguf_text(gguf, key, &text)) touch(text.data, text.length);
    uint64_t n = samp_gguf_strings(gguf, key, &strings);
    for (uint64_t i = 0; i < n; i++) touch(strings[i].data, strings[i].length);
    n = samp_gguf_integers(gguf, key, &integers);
    if (n) touch(integers, n * sizeof *integers);
    n = samp_gguf_floats(gguf, key, &floats);
    if (n) touch(floats, n * sizeof *floats);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {
        "general.architecture",  "general.alignment",        "a", "b", "c",
        "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"};
    samp_error error = {0};
    samp_gguf *gguf;
    uint64_t file_size = size + (1u << 24);
    samp_status status = samp_gguf_parse(&gguf, data, size, file_size, "fuzz", &error);
    if (status != SAMP_OK) {
        require(!gguf && error.status == status && error.message[0]);
        return 0;
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) read_key(gguf, keys[i]);
    for (size_t i = 0; i < samp_gguf_count(gguf); i++) {
        const samp_gguf_tensor *tensor = samp_gguf_at(gguf, i);
        float value;
        require(tensor->bytes > 0 && tensor->bytes <= file_size &&
                tensor->offset <= file_size - tensor->bytes);
        require(tensor->rank >= 1 && tensor->rank <= 4 && tensor->name[0] && tensor->type_name[0]);
        require(samp_gguf_find(gguf, tensor->name) == tensor);
        require(samp_gguf_rows(gguf, tensor, 0, 1, &value, &error) !=
                SAMP_OK); /* nothing to read from */
    }
    samp_gguf_close(gguf);
    return 0;
}
