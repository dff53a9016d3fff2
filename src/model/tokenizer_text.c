/* Text for the tokenizer: UTF-8 by hand (any bytes may come), GPT-2's byte alphabet, character
 * classes. Pure functions, no memory. */
#include "model/tokenizer_internal.h"

#include <string.h>
#include <utf8proc.h>

/* Bytes 0x21–0x7e, 0xa1–0xac and 0xae–0xff are themselves as code points; the other 68, in order,
 * are U+0100 … U+0143. */
uint32_t samp__byte_to_code(uint8_t byte)
{
    if (byte <= 0x20) return 0x100u + byte;
    if (byte >= 0x7f && byte <= 0xa0) return 0x100u + 33 + (byte - 0x7f);
    return byte == 0xad ? 0x100u + 67 : byte;
}

int samp__code_to_byte(uint32_t code)
{
    if (code < 0x100) return samp__byte_to_code((uint8_t)code) == code ? (int)code : -1;
    uint32_t k = code - 0x100;
    if (k <= 32) return (int)k;
    if (k <= 66) return (int)(0x7f + (k - 33));
    return k == 67 ? 0xad : -1;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int samp__byte_token(const char *text, size_t n)
{
    if (n != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
    int high = hex_digit(text[3]), low = hex_digit(text[4]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Unicode's White_Space. */
bool samp__is_white_space(uint32_t code)
{
    if (code < 0x80) return code == ' ' || (code >= '\t' && code <= '\r');
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    return code == 0x85 || category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
           category == UTF8PROC_CATEGORY_ZP;
}

/* Letters that Unicode files under symbols: in circles, squares and parentheses. */
static bool is_letter_symbol(uint32_t code)
{
    return (code >= 0x24b6 && code <= 0x24e9) || (code >= 0x1f130 && code <= 0x1f149) ||
           (code >= 0x1f150 && code <= 0x1f169) || (code >= 0x1f170 && code <= 0x1f189);
}

bool samp__is_word(uint32_t code)
{
    switch (utf8proc_category((utf8proc_int32_t)samp__unicode_stand_in(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return true;
    default:
        return is_letter_symbol(code) || code == 0x200c || code == 0x200d; /* joiners of letters */
    }
}

/* Eight bytes a step, multiply and fold: fast on short words, which is all it is for. */
uint64_t samp__hash_bytes(const char *bytes, size_t n)
{
    uint64_t hash = 0x9e3779b97f4a7c15u ^ n;
    for (; n >= 8; bytes += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        hash = (hash ^ word) * 0xd6e8feb86659fd93u;
        hash ^= hash >> 32;
    }
    uint64_t last = 0;
    memcpy(&last, bytes, n);
    hash = (hash ^ last) * 0xd6e8feb86659fd93u;
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    return hash ^ hash >> 32;
}
