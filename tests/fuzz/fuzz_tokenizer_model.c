/* SentencePiece's tokenizer.model, and the ways its fields may lie. What is accepted must pass
 * tokenizer_checks.h. */
#include "tokenizer_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    samp_error error;
    samp_tokenizer *t;
    if (samp_tokenizer_from_sentencepiece(&t, data, size, "fuzz", &error) != SAMP_OK) return 0;
    check_text(t, SAID, sizeof SAID - 1, false);
    samp_tokenizer_release(t);
    return 0;
}
