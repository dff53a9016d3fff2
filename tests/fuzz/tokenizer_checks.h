/* What every tokenizer that was accepted must do with a text: encode it (or say why not), make no
 * special token of it, decode its own ids, stream valid UTF-8, and be written and read again with the
 * same ids. Shared by the fuzz targets that make tokenizers. */
#ifndef SAMP_TESTS_FUZZ_TOKENIZER_CHECKS_H
#define SAMP_TESTS_FUZZ_TOKENIZER_CHECKS_H

#include "base/json.h"
#include "file/file.h"
#include "model/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char SAID[] =
    " Once upon a time<s>\n\n  é日🙂 \xff\xe2\x82 12345 <|im_end|>a--b aaaa";

static char folder_path[64];

static void remove_folder(void)
{
    samp_error error;
    samp_remove_folder(folder_path, &error);
}

/* In memory where the system has such a folder: the writer waits for the disk. */
static const char *folder(void)
{
    if (!*folder_path) {
        strcpy(folder_path, access("/dev/shm", W_OK) == 0 ? "/dev/shm/samp-fuzz-XXXXXX"
                                                          : "/tmp/samp-fuzz-XXXXXX");
        if (!mkdtemp(folder_path)) abort();
        atexit(remove_folder);
    }
    return folder_path;
}

static void check_stream(const samp_tokenizer *t, const samp_tokens *tokens)
{
    samp_detokenizer state = {0};
    samp_buffer text = {0};
    for (size_t i = 0; i < tokens->count; i++)
        samp_detokenize(t, &state, tokens->ids[i], true, &text);
    samp_detokenize_end(&state, &text);
    json_t *valid = json_stringn(text.data ? text.data : "", text.length);
    if (!valid) abort();
    json_decref(valid);
    samp_buffer_release(&text);
}

static void check_special(const samp_tokenizer *t, const samp_tokens *tokens)
{
    /* the unknown token, which may be marked special, is made of text and cannot be told apart here */
    int32_t unknown = -1;
    for (size_t i = 0; i < tokens->count; i++) {
        if (!samp_tokenizer_is_special(t, tokens->ids[i])) continue;
        if (unknown >= 0 && tokens->ids[i] != unknown) abort();
        unknown = tokens->ids[i];
    }
}

static void check_rewritten(const samp_tokenizer *t, const char *text, size_t n, bool exact,
                            const samp_tokens *first)
{
    samp_error error = {0};
    samp_tokenizer *again = NULL;
    samp_tokens second = {0};
    if (samp_tokenizer_write(t, folder(), &error) != SAMP_OK) {
        if (error.status != SAMP_UNSUPPORTED) abort();
        return;
    }
    if (samp_tokenizer_load(&again, folder(), &error) != SAMP_OK) abort();
    if (samp_tokenizer_encode(again, text, n,
                              (samp_encode_text){.parse_special = true, .add_bos = true}, &second,
                              &error) != SAMP_OK)
        abort();
    if (exact && second.count != first->count) abort();
    for (size_t i = 0; exact && i < first->count; i++)
        if (second.ids[i] != first->ids[i]) abort();
    samp_tokens_release(&second);
    samp_tokenizer_release(again);
}

/* `exact`: written merges are the same; scores, which may be equal, become an order. */
static inline void check_text(const samp_tokenizer *t, const char *text, size_t n, bool exact)
{
    samp_error error = {0};
    samp_tokens plain = {0}, parsed = {0};
    samp_buffer decoded = {0};
    samp_status status = samp_tokenizer_encode(t, text, n, (samp_encode_text){0}, &plain, &error);
    if (status == SAMP_OK) {
        check_special(t, &plain);
        if (samp_tokenizer_decode(t, plain.ids, plain.count, false, &decoded, &error) != SAMP_OK)
            abort();
        check_stream(t, &plain);
    } else if (status != SAMP_LIMIT) {
        abort();
    }
    if (samp_tokenizer_encode(t, text, n,
                              (samp_encode_text){.parse_special = true, .add_bos = true}, &parsed,
                              &error) == SAMP_OK) {
        check_stream(t, &parsed);
        check_rewritten(t, text, n, exact, &parsed);
    }
    samp_buffer_release(&decoded);
    samp_tokens_release(&plain);
    samp_tokens_release(&parsed);
}

#endif
