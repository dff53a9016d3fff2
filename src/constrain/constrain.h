/* Constrained decoding: which tokens may come next, so that the whole text is JSON that a schema
 * accepts.
 *
 * A schema (JSON Schema, draft 2020-12, the subset below) is compiled into shapes: for each kind of
 * value what it may be, with allOf, anyOf and $ref already worked in. A machine of stacks reads
 * bytes; its sets of configurations are numbered, and transitions between the numbers remembered,
 * so that after a while a byte is one look into a table. The tokens that are allowed in a state are
 * found by walking the vocabulary in order of its bytes, and remembered too.
 *
 * What the subset has: type, enum, const, properties, required, additionalProperties,
 * patternProperties, propertyNames, minProperties, maxProperties, dependentRequired, items,
 * prefixItems, minItems, maxItems, minLength, maxLength, pattern, format (date, time, date-time,
 * duration, email, hostname, ipv4, ipv6, uuid, uri …), minimum, maximum, exclusiveMinimum,
 * exclusiveMaximum, multipleOf, allOf, anyOf, oneOf whose branches exclude each other, not in simple
 * cases, $ref within the document, $defs. Annotations are ignored; anything else is
 * SAMP_UNSUPPORTED and named, never ignored.
 *
 * Beyond what a schema says, the text is narrowed to what people write and every parser reads: at
 * most 64 bytes of white space in a row; numbers of at most 40 characters, 18 before the point,
 * with exponents of at most two digits, and none where a number has bounds; no fraction for an
 * integer (1.0); no \u escapes of printable ASCII characters.
 *
 * A token is allowed when the text can go on after it. That is exact but for several patterns on
 * one string, or a pattern beside a maxLength: such a text can, rarely, get stuck. */
#ifndef SAMP_CONSTRAIN_CONSTRAIN_H
#define SAMP_CONSTRAIN_CONSTRAIN_H

#include "base/json.h"
#include "model/tokenizer.h"

/* The tokens of a tokenizer in order of their bytes; made once, shared by all constrainers. */
typedef struct samp_constrain_vocabulary samp_constrain_vocabulary;
/* end_tokens [n_end]: allowed exactly when the text is complete. vocab_size: rows of the logits. */
samp_status samp_constrain_vocabulary_create(samp_constrain_vocabulary **out,
                                             const samp_tokenizer *tokenizer, uint32_t vocab_size,
                                             const int32_t *end_tokens, size_t n_end,
                                             samp_error *error);
void samp_constrain_vocabulary_release(samp_constrain_vocabulary *vocabulary); /* NULL allowed */

typedef struct samp_constrain_options {
    const json_t *schema;       /* NULL = any JSON object; must live during the call only */
    const char *before, *after; /* text around the value, NULL = none; copied */
    bool ordered; /* properties come in the order of the schema, as OpenAI promises for "strict" */
} samp_constrain_options;

/* One text under a constraint. Used by one thread at a time. */
typedef struct samp_constrainer samp_constrainer;
/* SAMP_UNSUPPORTED names the keyword and where it is ("/properties/age/not"); SAMP_INVALID: the
 * schema is wrong, or nothing satisfies it; SAMP_LIMIT: it is too large. vocabulary may be NULL for
 * a constrainer that reads bytes only. */
samp_status samp_constrainer_create(samp_constrainer **out,
                                    const samp_constrain_vocabulary *vocabulary,
                                    const samp_constrain_options *options, samp_error *error);
/* Another text under the same constraint, as far as that one is. They share the compiled schema and
 * what is remembered of it, so all of them belong to one thread at a time; NULL when out of
 * memory. */
samp_constrainer *samp_constrainer_fork(const samp_constrainer *constrainer);
/* Any thread that is the text's last; NULL allowed. */
void samp_constrainer_release(samp_constrainer *constrainer);

/* Sets the bits of the tokens that may come next, in a zeroed mask (samp_constraint's form); false
 * when memory ran out. */
bool samp_constrainer_allowed(samp_constrainer *constrainer, uint64_t *mask);
/* The text goes on with this token; false when that was not allowed (the text stays as it was). */
bool samp_constrainer_accept(samp_constrainer *constrainer, int32_t token);
/* The same for bytes. */
bool samp_constrainer_accept_bytes(samp_constrainer *constrainer, const char *bytes, size_t n);
/* Whether the text is complete as it is. */
bool samp_constrainer_complete(const samp_constrainer *constrainer);

#endif
