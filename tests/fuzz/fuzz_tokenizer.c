/* A tokenizer from anywhere, and a text: tokenizer.json, a NUL, tokenizer_config.json and a NUL if it
 * starts with "{", the text; or "GGUF…"; or "L2C:", a byte for the number of tokens, and llama2.c's file
 * (the last two meet a fixed text). tokenizer_checks.h says what is checked. */
#include "tokenizer_checks.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The metadata of a GGUF file. */
static void check_gguf(const uint8_t *data, size_t size)
{
    samp_error error;
    samp_gguf *gguf;
    samp_tokenizer *t;
    if (samp_gguf_parse(&gguf, data, size, size, "fuzz", &error) != SAMP_OK) return;
    samp_status status = samp_tokenizer_from_gguf(&t, gguf, &error);
    samp_gguf_close(gguf);
    if (status != SAMP_OK) return;
    check_text(t, SAID, sizeof SAID - 1, false);
    samp_tokenizer_release(t);
}

/* llama2.c's tokenizer.bin behind the number of its tokens. */
static void check_llama2c(const uint8_t *data, size_t size)
{
    samp_error error;
    samp_tokenizer *t;
    char path[128];
    snprintf(path, sizeof path, "%s/tokenizer.bin", folder());
    if (samp_file_write(path, data + 1, size - 1, &error) != SAMP_OK) abort();
    if (samp_tokenizer_from_llama2c(&t, path, data[0], &error) != SAMP_OK) return;
    check_text(t, SAID, sizeof SAID - 1, false);
    samp_tokenizer_release(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    samp_error error;
    samp_tokenizer *t;
    const char *json = (const char *)data, *config = NULL;
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0) check_gguf(data, size);
    if (size >= 5 && memcmp(data, "L2C:", 4) == 0) check_llama2c(data + 4, size - 4);
    size_t n = strnlen(json, size), n_config = 0, at = n < size ? n + 1 : size;
    if (at < size && json[at] == '{') {
        config = json + at;
        n_config = strnlen(config, size - at);
        at += n_config < size - at ? n_config + 1 : n_config;
    }
    if (samp_tokenizer_parse(&t, json, n, config, n_config, "fuzz", &error) != SAMP_OK) return 0;
    if (n < size) check_text(t, json + at, size - at, true);
    samp_tokenizer_release(t);
    return 0;
}
