/* Helpers of the files that read keywords. Private to keywords*.c. */
#ifndef SAMP_CONSTRAIN_KEYWORDS_H
#define SAMP_CONSTRAIN_KEYWORDS_H

#include "constrain/shape.h"

samp_status samp__keyword_no_memory(samp_error *error);
/* "'minItems' at '/items' of the schema must be a whole number from 0 on". */
samp_status samp__keyword_wrong(samp__shapes *shapes, const json_t *schema, const char *keyword,
                                const char *expected, samp_error *error);
/* A count: a whole number from 0 on; *out stays when the keyword is not there. */
samp_status samp__keyword_count(samp__shapes *shapes, const json_t *schema, const char *keyword,
                                uint32_t *out, samp_error *error);
/* What a schema says of objects (keywords_object.c). */
samp_status samp__keywords_object(samp__shapes *shapes, const json_t *schema,
                                  samp__object_shape *out, samp_error *error);

#endif
