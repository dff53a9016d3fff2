/* API keys: digests, compared in constant time. */
#include "serve/api_keys.h"

#include "base/hash.h"
#include "base/memory.h"
#include "file/file.h"

#include <string.h>
#include <strings.h>

enum { KEYS_MAX = 10000, KEY_MIN = 8, KEY_MAX = 512, FILE_MAX = 8 << 20 };

struct samp_api_keys {
    size_t n;
    char (*digests)[SAMP_SHA256_HEX]; /* [n] */
};

static bool is_printable(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] <= ' ' || text[i] >= 0x7f) return false;
    return true;
}

static samp_status add_line(samp_api_keys *keys, const char *path, size_t number, const char *line,
                            size_t n, samp_error *error)
{
    while (n && (line[n - 1] == '\r' || line[n - 1] == ' ' || line[n - 1] == '\t')) n--;
    if (n == 0 || line[0] == '#') return SAMP_OK;
    if (n < KEY_MIN || n > KEY_MAX || !is_printable(line, n))
        return samp_fail(error, SAMP_CORRUPT,
                         "line %zu of %s is no API key: expected %d to %d printable characters "
                         "without spaces",
                         number, path, KEY_MIN, KEY_MAX);
    if (keys->n == KEYS_MAX)
        return samp_fail(error, SAMP_LIMIT, "%s has more than %d API keys", path, KEYS_MAX);
    void *larger = samp_realloc(keys->digests, keys->n + 1, sizeof *keys->digests);
    if (!larger) return samp_fail(error, SAMP_NOMEM, "out of memory for API keys");
    keys->digests = larger;
    return samp_sha256_bytes(line, n, keys->digests[keys->n++], error);
}

static samp_status read_lines(samp_api_keys *keys, const char *path, const samp_buffer *text,
                              samp_error *error)
{
    const char *line = text->data, *end = text->data + text->length;
    for (size_t number = 1; line && line < end; number++) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t n = (size_t)((stop ? stop : end) - line);
        SAMP_TRY(add_line(keys, path, number, line, n, error));
        line += n + 1;
    }
    if (keys->n == 0) return samp_fail(error, SAMP_CORRUPT, "%s has no API key", path);
    return SAMP_OK;
}

samp_status samp_api_keys_load(samp_api_keys **out, const char *path, samp_error *error)
{
    samp_buffer text = {0};
    samp_api_keys *keys = samp_alloc(1, sizeof *keys);
    if (!keys) return samp_fail(error, SAMP_NOMEM, "out of memory for API keys");
    samp_status status = samp_file_slurp(path, FILE_MAX, &text, error);
    if (status == SAMP_OK) status = read_lines(keys, path, &text, error);
    if (text.data) explicit_bzero(text.data, text.length);
    samp_buffer_release(&text);
    if (status == SAMP_OK)
        *out = keys;
    else
        samp_api_keys_release(keys);
    return status;
}

void samp_api_keys_release(samp_api_keys *keys)
{
    if (!keys) return;
    samp_free(keys->digests);
    samp_free(keys);
}

bool samp_api_keys_accept(const samp_api_keys *keys, const char *authorization)
{
    char digest[SAMP_SHA256_HEX];
    if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0) return false;
    const char *key = authorization + 7;
    while (*key == ' ') key++;
    if (samp_sha256_bytes(key, strlen(key), digest, NULL) != SAMP_OK) return false;
    bool accepted = false;
    for (size_t i = 0; i < keys->n; i++) {
        unsigned char difference = 0;
        for (size_t k = 0; k < SAMP_SHA256_HEX - 1; k++)
            difference |= (unsigned char)(keys->digests[i][k] ^ digest[k]);
        accepted |= difference == 0;
    }
    return accepted;
}
