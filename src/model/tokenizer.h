/* Tokenizers: byte-level BPE (GPT-2 byte alphabet, PCRE2 pre-tokenizer) and SentencePiece-style BPE with
 * byte fallback; from tokenizer.json, from SentencePiece's tokenizer.model, from GGUF metadata and from
 * llama2.c's tokenizer.bin.
 *
 * Text is bytes: any bytes are accepted and round-trip (byte-level BPE: as far as the vocabulary has the
 * byte; SmolLM2 lacks 21 rare ones, which become the unknown token or are dropped as Hugging Face does;
 * SentencePiece: but for U+2581, which is its spelling of a space and comes back as one).
 * Special tokens are made only when parse_special is set, never from user text otherwise. */
#ifndef SAMP_MODEL_TOKENIZER_H
#define SAMP_MODEL_TOKENIZER_H

#include "base/error.h"
#include "file/gguf.h"

#include <stdint.h>

typedef struct samp_tokenizer samp_tokenizer;

/* A growable list of token ids; zeroed = empty. */
typedef struct samp_tokens {
    int32_t *ids;
    size_t count, capacity;
} samp_tokens;
samp_status samp_tokens_push(samp_tokens *tokens, int32_t id, samp_error *error);
void samp_tokens_release(samp_tokens *tokens);

/* folder/tokenizer.json, or tokenizer.model where there is none (at most 128 MB), with what
 * tokenizer_config.json, special_tokens_map.json, added_tokens.json, generation_config.json,
 * chat_template.jinja and additional_chat_templates/ say of it, as in Hugging Face's transformers. */
samp_status samp_tokenizer_load(samp_tokenizer **out, const char *folder, samp_error *error);
/* tokenizer.json text; `config` is tokenizer_config.json's text or NULL. For fuzzing too. */
samp_status samp_tokenizer_parse(samp_tokenizer **out, const char *json, size_t n,
                                 const char *config, size_t n_config, const char *where,
                                 samp_error *error);
/* tokenizer.model, SentencePiece's protocol buffer: BPE with the identity normalizer. */
samp_status samp_tokenizer_from_sentencepiece(samp_tokenizer **out, const void *bytes, size_t n,
                                              const char *where, samp_error *error);
samp_status samp_tokenizer_from_gguf(samp_tokenizer **out, const samp_gguf *gguf,
                                     samp_error *error);
/* llama2.c tokenizer.bin (int32 max length, then {float score, int32 length, bytes} each) with n_vocab tokens;
 * ids 0 <unk>, 1 <s>, 2 </s>, 3… bytes. */
samp_status samp_tokenizer_from_llama2c(samp_tokenizer **out, const char *path, uint32_t n_vocab,
                                        samp_error *error);
void samp_tokenizer_release(samp_tokenizer *tokenizer);
/* Writes tokenizer.json and tokenizer_config.json that Hugging Face's `tokenizers` reads to the same ids. */
samp_status samp_tokenizer_write(const samp_tokenizer *tokenizer, const char *folder,
                                 samp_error *error);

typedef struct samp_encode_text {
    bool parse_special; /* "<|im_end|>" in the text becomes the special token */
    bool add_bos;       /* put the bos token first when the tokenizer says so */
    bool add_eos; /* and the eos token last: for whole texts, not for prompts to be continued */
    /* [n] NULL, or with parse_special: only text whose bytes are all marked 1 becomes a special
     * token. What stands between special tokens is encoded as one text, whatever its marks. */
    const uint8_t *marks;
} samp_encode_text;
/* Appends the ids of text[0..n); nothing on failure. */
samp_status samp_tokenizer_encode(const samp_tokenizer *tokenizer, const char *text, size_t n,
                                  samp_encode_text options, samp_tokens *out, samp_error *error);

uint32_t samp_tokenizer_vocab(const samp_tokenizer *tokenizer); /* ids are 0 … vocab-1 */
int32_t samp_tokenizer_bos(const samp_tokenizer *tokenizer);    /* -1 none */
int32_t samp_tokenizer_eos(const samp_tokenizer *tokenizer);    /* -1 none */
bool samp_tokenizer_is_special(const samp_tokenizer *tokenizer, int32_t id);
/* id of a token by its exact text (special tokens too), -1 when there is none. */
int32_t samp_tokenizer_find(const samp_tokenizer *tokenizer, const char *text);
const char *samp_tokenizer_chat_template(const samp_tokenizer *tokenizer); /* NULL none */
/* The template named "tool_use", for requests with tools; NULL none: the other one serves both. */
const char *samp_tokenizer_tool_template(const samp_tokenizer *tokenizer);
/* Bytes a token stands for; a special token gives its text only when with_special. Length may be 0. */
void samp_tokenizer_bytes(const samp_tokenizer *tokenizer, int32_t id, bool with_special,
                          const char **bytes, size_t *length);

/* Ids to text, whole. SentencePiece's leading space of the first token is dropped. */
samp_status samp_tokenizer_decode(const samp_tokenizer *tokenizer, const int32_t *ids, size_t n,
                                  bool with_special, samp_buffer *out, samp_error *error);

/* Ids to text, one at a time, never splitting a UTF-8 sequence; bytes that are none become U+FFFD, so that
 * the output is always valid and equals the whole decode where that is valid. Zeroed = ready. */
typedef struct samp_detokenizer {
    char pending[4];
    size_t n_pending;
    bool started;
} samp_detokenizer;
/* Appends the whole characters that id completes. */
void samp_detokenize(const samp_tokenizer *tokenizer, samp_detokenizer *state, int32_t id,
                     bool with_special, samp_buffer *out);
/* Appends what is left, as U+FFFD. */
void samp_detokenize_end(samp_detokenizer *state, samp_buffer *out);

#endif
