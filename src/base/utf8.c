/* UTF-8 by hand: pure functions, no memory. */
#include "base/utf8.h"

/* Ranges of the second byte exclude overlong forms, surrogates and what is above U+10FFFF (Unicode
 * 15, table 3-7). */
int samp_utf8_length(const char *p, size_t n)
{
    const unsigned char *b = (const unsigned char *)p;
    if (b[0] < 0x80) return 1;
    if (b[0] < 0xc2 || b[0] > 0xf4) return 0;
    int length = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    unsigned char low = b[0] == 0xe0 ? 0xa0 : b[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = b[0] == 0xed ? 0x9f : b[0] == 0xf4 ? 0x8f : 0xbf;
    for (int i = 1; i < length; i++, low = 0x80, high = 0xbf) {
        if ((size_t)i == n) return -1;
        if (b[i] < low || b[i] > high) return 0;
    }
    return length;
}

uint32_t samp_utf8_decode(const char *p, int length)
{
    static const unsigned char lead[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = (unsigned char)p[0] & lead[length];
    for (int i = 1; i < length; i++) code = code << 6 | ((unsigned char)p[i] & 0x3f);
    return code;
}

size_t samp_utf8_encode(uint32_t code, char out[4])
{
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length; i-- > 1; code >>= 6) out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(lead[length] | code);
    return length;
}

bool samp_utf8_valid(const char *text, size_t n)
{
    for (size_t at = 0; at < n;) {
        int length = samp_utf8_length(text + at, n - at);
        if (length <= 0) return false;
        at += (size_t)length;
    }
    return true;
}

size_t samp_utf8_count(const char *text, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}
