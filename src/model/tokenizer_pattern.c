/* Regular expressions of tokenizer.json, which are in Oniguruma's syntax, in PCRE2's.
 *
 * The two agree on what these patterns use, but for the few things handled here:
 *   \s     Unicode's White_Space; PCRE2's also takes U+180E
 *   \w     takes marks, connecting punctuation, letters in circles and squares, and the fractions
 *          and powers of Latin-1; PCRE2's takes letters, digits and the underscore (10.42)
 *   \h     a hexadecimal digit; PCRE2's is horizontal space
 *   [a[b]] and [a&&b] are set union and intersection; PCRE2 10.42 reads them as characters
 * The last line is refused by name, since no tokenizer of the supported families needs it. */
#include "model/tokenizer_internal.h"

#include <string.h>

#define SPACE "\\p{Z}\\t-\\r\\x{85}"
#define WORD                                                                                       \
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}\\x{24b6}-\\x{24e9}"     \
    "\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"
#define HEX "0-9A-Fa-f"

/* Writes the set of an escape ("s", "w", "h", upper case for its complement); false: not one of
 * them. */
static bool translate_set(samp_buffer *out, char letter, bool in_class)
{
    const char *set = letter == 's' || letter == 'S'   ? SPACE
                      : letter == 'w' || letter == 'W' ? WORD
                      : letter == 'h' || letter == 'H' ? HEX
                                                       : NULL;
    bool complement = letter < 'a';
    if (!set || (in_class && complement)) return false;
    if (in_class)
        samp_buffer_text(out, set);
    else
        samp_buffer_printf(out, complement ? "[^%s]" : "[%s]", set);
    return true;
}

static samp_status refuse(const char *what, const char *where, samp_error *error)
{
    return samp_fail(error, SAMP_UNSUPPORTED, "%s: a pattern uses %s, which is not supported",
                     where, what);
}

/* Copies a class from its "[" on; *at is left behind its "]". */
static samp_status translate_class(samp_buffer *out, const char *pattern, size_t n, size_t *at,
                                   const char *where, samp_error *error)
{
    size_t i = *at, first = i + 1 + (i + 1 < n && pattern[i + 1] == '^');
    samp_buffer_append(out, pattern + i, first - i);
    for (i = first; i < n; i++) {
        const char *p = pattern + i;
        size_t left = n - i;
        if (*p == ']' && i > first) {
            samp_buffer_append(out, "]", 1);
            *at = i + 1;
            return SAMP_OK;
        }
        if (left >= 2 && memcmp(p, "&&", 2) == 0) return refuse("\"&&\" in a class", where, error);
        if (*p == '[') {
            const char *end = left >= 2 && p[1] == ':' ? memmem(p, left, ":]", 2) : NULL;
            if (!end) return refuse("a class in a class", where, error);
            samp_buffer_append(out, p, (size_t)(end + 2 - p));
            i += (size_t)(end + 1 - p);
        } else if (*p == '\\' && left >= 2) {
            if (strchr("SWH", p[1]) && p[1]) return refuse("a complement in a class", where, error);
            if (!translate_set(out, p[1], true)) samp_buffer_append(out, p, 2);
            i++;
        } else {
            samp_buffer_append(out, p, 1);
        }
    }
    return samp_fail(error, SAMP_CORRUPT, "%s: a pattern has a class without \"]\"", where);
}

samp_status samp__pattern_translate(samp_buffer *out, const char *pattern, size_t n,
                                    const char *where, samp_error *error)
{
    for (size_t i = 0; i < n;) {
        if (pattern[i] == '[') {
            SAMP_TRY(translate_class(out, pattern, n, &i, where, error));
        } else if (pattern[i] == '\\' && i + 1 < n) {
            if (!translate_set(out, pattern[i + 1], false)) samp_buffer_append(out, pattern + i, 2);
            i += 2;
        } else {
            samp_buffer_append(out, pattern + i++, 1);
        }
    }
    return samp_buffer_ok(out, error);
}
