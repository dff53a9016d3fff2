/* Inside of the tokenizer, for src/model/tokenizer_*.c only.
 *
 * A tokenizer is built by one of the readers (tokenizer_json.c, tokenizer_model.c,
 * tokenizer_gguf.c, tokenizer_llama2c.c) in three steps: tokens into the vocabulary, merges into a
 * table keyed by a pair of ids, and a pipeline described as in Hugging Face's tokenizer.json. After
 * samp__tokenizer_finish nothing changes any more, so that several threads may use it.
 *
 * Encoding goes through the rooms of this header in order:
 *     added tokens -> normalizer -> added tokens again -> pre-tokenizer -> byte-pair encoding
 * Everything lives in the tokenizer's arena, but for the compiled patterns (samp__split) and the
 * JSON description kept for writing. */
#ifndef SAMP_MODEL_TOKENIZER_INTERNAL_H
#define SAMP_MODEL_TOKENIZER_INTERNAL_H

#include "base/buffer.h"
#include "base/json.h"
#include "base/memory.h"
#include "model/tokenizer.h"
#include "base/utf8.h"

enum {
    SAMP__VOCAB_MAX = 4 << 20,
    SAMP__MERGES_MAX = 10 * 1000 * 1000,
    SAMP__TOKEN_BYTES_MAX = 64 * 1024,
    SAMP__ADDED_BYTES_MAX =
        512, /* of an added token: bounds the look-ahead at each byte of a text */
    SAMP__SCORED_BYTES_MAX = 512, /* of a SentencePiece token: every way to split it is looked up */
    SAMP__ADDED_MAX = 65536,
    SAMP__STEPS_MAX = 16,     /* of a normalizer or pre-tokenizer */
    SAMP__TEXT_MAX = 1 << 30, /* bytes of one text to encode */
    SAMP__JSON_MAX = 128 << 20,
};
#define SAMP__NONE UINT32_MAX /* no symbol, no merge, no node */

/* ---- Text (tokenizer_text.c) ---- */

/* GPT-2's byte alphabet: a printable character for each byte (0x20 is U+0120, "Ġ"). */
uint32_t samp__byte_to_code(uint8_t byte);
int samp__code_to_byte(uint32_t code); /* -1: not of the alphabet */
/* The byte of "<0x0A>", -1 when the text is not of that form. */
int samp__byte_token(const char *text, size_t n);
bool samp__is_white_space(uint32_t code);
bool samp__is_word(uint32_t code); /* \w of Unicode's technical standard 18 */
/* An older character for one newer than PCRE2's Unicode (tokenizer_unicode.c), or the same. */
uint32_t samp__unicode_stand_in(uint32_t code);
uint64_t samp__hash_bytes(const char *bytes, size_t n);

/* ---- Vocabulary (tokenizer_vocabulary.c) ---- */

enum {
    SAMP__TOKEN_PRESENT = 1,
    SAMP__TOKEN_MODEL = 2,   /* may be made by byte-pair encoding; not set: an added token only */
    SAMP__TOKEN_ADDED = 4,   /* found in the text before byte-pair encoding */
    SAMP__TOKEN_SPECIAL = 8, /* found only with parse_special, and never made from other text */
    SAMP__TOKEN_BYTE = 16,   /* "<0x0A>" of byte fallback */
    SAMP__TOKEN_UNUSED = 32, /* GGUF: scores make no merge that gives it */
};

typedef struct samp__token {
    const char *text;  /* as the vocabulary spells it: byte alphabet, or "▁the" */
    const char *bytes; /* what it stands for */
    uint32_t n_text, n_bytes;
    uint32_t flags;
} samp__token;

/* Open addressing from bytes to a token id; slots hold id + 1, 0 is free. */
typedef struct samp__string_table {
    uint32_t *slots, mask;
} samp__string_table;

/* ---- Merges (tokenizer_merges.c) ---- */

/* left + right -> result; the pair of lowest rank in a word is merged first, the leftmost of
 * equals. */
typedef struct samp__merge {
    uint32_t left, right, rank, result;
} samp__merge;

typedef struct samp__merge_table {
    samp__merge *slots; /* free: left == SAMP__NONE */
    uint32_t mask, count;
    uint32_t n_ranks; /* highest rank + 1 */
} samp__merge_table;

/* A growing list, before the table is made. */
typedef struct samp__merge_list {
    samp__merge *items;
    size_t count, capacity;
} samp__merge_list;

/* ---- Normalizer (tokenizer_normalizer.c) ---- */

typedef enum samp__transform_kind {
    SAMP__UNICODE_FORM,  /* NFC and its sisters */
    SAMP__PREPEND,       /* `to` in front of a text that is not empty */
    SAMP__PREPEND_FRESH, /* the same, unless the text starts with `to` */
    SAMP__PREPEND_FIRST, /* the same, only where the whole text starts */
    SAMP__REPLACE,       /* every `from` by `to` */
} samp__transform_kind;

typedef struct samp__transform {
    samp__transform_kind kind;
    int form; /* utf8proc options of SAMP__UNICODE_FORM */
    const char *from, *to;
    size_t n_from, n_to;
} samp__transform;

typedef struct samp__transforms {
    samp__transform items[SAMP__STEPS_MAX];
    int count;
} samp__transforms;

/* ---- Added tokens (tokenizer_added.c) ---- */

typedef struct samp__added {
    int32_t id;
    const char *content;
    size_t n;
    bool special, lstrip, rstrip, single_word, normalized;
} samp__added;

typedef struct samp__added_node {
    uint32_t child, sibling; /* SAMP__NONE: none */
    uint32_t added;          /* index of the added token that ends here, or SAMP__NONE */
    uint8_t byte;
} samp__added_node;

/* Two tries: tokens looked for in the text as given, and in the normalized text. */
typedef struct samp__added_trie {
    samp__added_node *nodes;
    uint32_t count;
    uint32_t roots[256]; /* node of a first byte, or SAMP__NONE */
} samp__added_trie;

typedef struct samp__split samp__split;     /* compiled patterns (tokenizer_split.c) */
typedef struct samp__matcher samp__matcher; /* what one call needs to run them */

struct samp_tokenizer {
    samp_arena arena;

    samp__token *tokens;
    uint32_t n_tokens;
    samp__string_table by_text;  /* all tokens */
    samp__string_table by_bytes; /* byte-level with ignore_merges: the model's tokens */

    samp__merge_table merges;
    uint8_t *joins;  /* bit x*256 + y: bytes x, y stand side by side in a merge's result (or may) */
    bool byte_level; /* a symbol is a byte of the text; else a character */
    bool byte_fallback; /* characters without a token become "<0x..>" tokens */
    bool fuse_unk, ignore_merges;
    int32_t symbol_of_byte[256];  /* byte-level: its token; else its "<0x..>" token; -1 none */
    int32_t symbol_of_ascii[128]; /* character-level: a shortcut through by_text; -1 none */
    int32_t unk;                  /* token of what has none; -1: dropped */

    samp__added *added;
    uint32_t n_added;
    samp__added_trie raw, normalized;

    samp__transforms normalizer;
    samp__transforms
        prefix;         /* the pre-tokenizer's changes of a text: Metaspace, add_prefix_space */
    samp__split *split; /* NULL: a text is one word */
    samp__transforms token_decoder; /* replacements in a token's text, before its bytes are known */
    bool decode_byte_tokens;        /* "<0x0A>" stands for a byte */
    bool strip_leading_space;       /* decoding drops one space at the start of the whole text */

    int32_t bos, eos, pad, unk_name; /* named by the configuration; -1 none */
    bool add_bos, add_eos;
    const char *chat_template, *tool_template; /* NULL none */

    /* The pipeline as tokenizer.json describes it; NULL is JSON's null. */
    json_t *json_normalizer, *json_pre_tokenizer, *json_post_processor, *json_decoder;
};

/* Buffers of one call to encode. */
typedef struct samp__symbol {
    uint32_t id;         /* token, or SAMP__NONE once merged into its left neighbour */
    uint32_t prev, next; /* neighbours in the word */
    uint32_t merge;      /* slot of the merge with the right neighbour, or SAMP__NONE */
} samp__symbol;

typedef struct samp__merge_queue_block samp__merge_queue_block;

typedef struct samp__merge_queue_list {
    uint32_t first, count; /* block filled last, or SAMP__NONE; positions */
} samp__merge_queue_list;

/* Pairs that may merge, by rank and position (tokenizer_queue.c). Zeroed = ready for
 * samp__merge_queue_begin. */
typedef struct samp__queue {
    uint64_t *heap; /* rank << 32 | position */
    size_t heap_count, heap_capacity;
    uint32_t limit; /* pairs of a lower rank are in the heap, others in their rank's list */
    samp__merge_queue_list *lists; /* [n_lists] one for each rank, in a long word */
    uint32_t n_lists, free;        /* first block of those that can be used again, or SAMP__NONE */
    size_t lists_capacity;
    samp__merge_queue_block *blocks;
    size_t n_blocks, blocks_capacity;
    uint32_t *batch; /* sorted positions of the pairs of rank limit-1 */
    size_t batch_at, batch_count, batch_capacity;
} samp__queue;

typedef enum { SAMP__QUEUE_ENTRY, SAMP__QUEUE_EMPTY, SAMP__QUEUE_FAILED } samp__merge_queue_result;

/* Starts a word; push and begin are false when out of memory. */
bool samp__merge_queue_begin(samp__queue *q, size_t n_symbols, uint32_t n_ranks);
bool samp__merge_queue_push(samp__queue *q, uint32_t rank, uint32_t position);
samp__merge_queue_result samp__merge_queue_pop(samp__queue *q, uint32_t *rank, uint32_t *position);
void samp__merge_queue_release(samp__queue *q);

typedef struct samp__scratch {
    const samp_tokenizer *tokenizer;
    samp_tokens *out;
    samp_error *error;
    bool parse_special;
    samp_buffer normalized[2], prefixed[2]; /* the text between two transforms */
    samp_buffer marks;                      /* of the normalized text */
    samp__matcher *matcher;
    samp__symbol *symbols;
    size_t symbols_capacity;
    samp__queue queue;
} samp__scratch;

/* Makes room for n tokens of ids 0 … n-1. */
samp_status samp__vocabulary_begin(samp_tokenizer *t, uint64_t n, const char *where,
                                   samp_error *error);
/* Sets a token; its id must be free. Copies the text. After samp__vocabulary_index it is found, too.
 */
samp_status samp__vocabulary_put(samp_tokenizer *t, uint32_t id, const char *text, size_t n,
                                 uint32_t flags, const char *where, samp_error *error);
/* After the model's tokens: makes by_text. Of tokens with one text the first is found. */
samp_status samp__vocabulary_index(samp_tokenizer *t, samp_error *error);
/* After merges, added tokens and decoder are known: bytes of every token and the symbol tables. */
samp_status samp__vocabulary_finish(samp_tokenizer *t, samp_error *error);
/* Any token of this text, -1 none. */
int32_t samp__vocabulary_find(const samp_tokenizer *t, const char *text, size_t n);
/* A token that byte-pair encoding may make, -1 none. */
int32_t samp__vocabulary_find_model(const samp_tokenizer *t, const char *text, size_t n);
/* ignore_merges: the token that a whole word is, -1 none. */
int32_t samp__vocabulary_find_word(const samp_tokenizer *t, const char *bytes, size_t n);

/* Adds a merge of two tokens by their texts; the result is the token of both texts together. */
samp_status samp__merges_add_texts(samp_tokenizer *t, samp__merge_list *list, const char *left,
                                   size_t n_left, const char *right, size_t n_right,
                                   const char *where, samp_error *error);
/* Every split of every token with a score [n_tokens] into two tokens; a higher score comes first.
 */
samp_status samp__merges_add_scores(samp_tokenizer *t, samp__merge_list *list, const float *scores,
                                    const char *where, samp_error *error);
/* Makes the table and releases the list. Of two merges of the same pair the later one counts. */
samp_status samp__merges_finish(samp_tokenizer *t, samp__merge_list *list, samp_error *error);
/* After samp__vocabulary_finish: makes t->joins. */
samp_status samp__joins_finish(samp_tokenizer *t, samp_error *error);
/* Slot of the merge of two tokens, SAMP__NONE when they do not merge. */
uint32_t samp__merges_find(const samp_tokenizer *t, uint32_t left, uint32_t right);

samp_status samp__transform_add(samp_tokenizer *t, samp__transforms *list,
                                samp__transform_kind kind, const char *from, const char *to,
                                const char *where, samp_error *error);
/* Reads a normalizer (object of tokenizer.json, or NULL). */
samp_status samp__normalizer_read(samp_tokenizer *t, const json_t *json, const char *where,
                                  samp_error *error);
/* Applies a list; *text and *n change to what comes out, in one of the two buffers when anything
 * changed. */
samp_status samp__transforms_apply(const samp__transforms *list, bool first, samp_buffer buffers[2],
                                   const char **text, size_t *n, samp_error *error);
/* The marks of changed[0..n_changed), which the list made of text: each run of equal marks is
 * transformed by itself, and where this gives another text than the whole did (a mark of the user's
 * that combined with the template's letter), nothing counts as marked. Fills *out. */
samp_status samp__transforms_marks(const samp__transforms *list, bool first, const char *text,
                                   size_t n, const uint8_t *marks, const char *changed,
                                   size_t n_changed, samp_buffer *out, samp_error *error);

/* Makes t->added from the tokens with SAMP__TOKEN_ADDED, for readers whose format has no such list.
 */
samp_status samp__added_from_flags(samp_tokenizer *t, const char *where, samp_error *error);
/* An id of a document, 0 to SAMP__VOCAB_MAX - 1. */
samp_status samp__read_id(const json_t *value, const char *text, const char *where, uint32_t *id,
                          samp_error *error);
/* Raises *highest to the highest id that a list of added tokens or a configuration names. */
samp_status samp__added_highest(const json_t *list, const json_t *config, uint32_t *highest,
                                const char *where, samp_error *error);
/* Appends the tokens of tokenizer.json's list and of tokenizer_config.json to t->added; either may
 * be NULL. After samp__vocabulary_index. */
samp_status samp__added_read(samp_tokenizer *t, const json_t *list, const json_t *config,
                             const char *where, samp_error *error);
/* Makes bos, eos, pad and unk added tokens and special ones, as Hugging Face's transformers does with
 * those that a configuration names. Before samp__merges_finish. */
samp_status samp__added_named(samp_tokenizer *t, const char *where, samp_error *error);
/* Makes the tries from t->added. */
samp_status samp__added_finish(samp_tokenizer *t, const char *where, samp_error *error);
/* A match of an added token in text[from..n): false when there is none. Special ones match with
 * parse_special, and with marks (NULL: none) only where these are all 1. */
typedef struct samp__added_match {
    size_t start, end;
    int32_t id;
} samp__added_match;
bool samp__added_find(const samp_tokenizer *t, const samp__added_trie *trie, bool parse_special,
                      const uint8_t *marks, const char *text, size_t n, size_t from,
                      samp__added_match *match);

/* Reads a pre-tokenizer (object of tokenizer.json, or NULL). */
samp_status samp__pre_tokenizer_read(samp_tokenizer *t, const json_t *json, const char *where,
                                     samp_error *error);
void samp__split_release(samp__split *split); /* NULL allowed */
/* Cuts a text into words and encodes each. */
samp_status samp__split_text(samp__scratch *s, const char *text, size_t n);
void samp__matcher_release(samp__matcher *matcher); /* NULL allowed */

/* The pattern of tokenizer.json (Oniguruma's syntax) in PCRE2's. */
samp_status samp__pattern_translate(samp_buffer *out, const char *pattern, size_t n,
                                    const char *where, samp_error *error);

/* Fills *out with valid UTF-8 text in which characters newer than PCRE2's Unicode are replaced by older
 * ones of the same category and length; false, and nothing, when there are none. */
bool samp__unicode_stand_ins(const char *text, size_t n, samp_buffer *out);

/* Appends the ids of one word. */
samp_status samp__bpe_word(samp__scratch *s, const char *word, size_t n);
void samp__scratch_release(samp__scratch *s);

/* Reads all four parts of a pipeline and keeps them for writing. */
samp_status samp__pipeline_read(samp_tokenizer *t, const json_t *root, const char *where,
                                samp_error *error);

/* The pipeline of Llama's SentencePiece tokenizers, as tokenizer.json has it; NULL when out of
 * memory. `legacy`: the space in front stands in every text between added tokens, and not in the
 * first only. */
json_t *samp__sentencepiece_pipeline(bool add_space_prefix, bool legacy);

/* An empty tokenizer: no tokens, no special ids. */
samp_status samp__tokenizer_new(samp_tokenizer **out, samp_error *error);
/* The last step of every reader: merges table, token bytes, added tokens. Releases the list. */
samp_status samp__tokenizer_finish(samp_tokenizer *t, samp__merge_list *merges, const char *where,
                                   samp_error *error);
/* The readers behind samp_tokenizer_parse and samp_tokenizer_load; config is tokenizer_config.json
 * with what the files beside it say, or NULL. */
samp_status samp__tokenizer_from_json(samp_tokenizer **out, const char *json, size_t n,
                                      const json_t *config, const char *where, samp_error *error);
samp_status samp__tokenizer_from_model(samp_tokenizer **out, const void *bytes, size_t n,
                                       const json_t *config, const char *where, samp_error *error);
/* Reads bos, eos, chat template … from tokenizer_config.json. */
samp_status samp__tokenizer_configure(samp_tokenizer *t, const json_t *config, const char *where,
                                      samp_error *error);

#endif
