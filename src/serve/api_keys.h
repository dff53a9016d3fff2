/* API keys: from a file, never from the command line. Only their SHA-256 is kept, so that comparing
 * takes the same time whatever was sent. */
#ifndef SAMP_SERVE_API_KEYS_H
#define SAMP_SERVE_API_KEYS_H

#include "base/error.h"

typedef struct samp_api_keys samp_api_keys;

/* A key a line, 8 to 512 printable characters; empty lines and lines with '#' first are left out. */
samp_status samp_api_keys_load(samp_api_keys **out, const char *path, samp_error *error);
void samp_api_keys_release(samp_api_keys *keys); /* NULL allowed */
/* The value of an Authorization field, "Bearer KEY"; NULL = none was sent. */
bool samp_api_keys_accept(const samp_api_keys *keys, const char *authorization);

#endif
