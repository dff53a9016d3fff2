/* Bytes of a JSON string as characters: UTF-8 in its shortest form, escapes, pairs of surrogates. A
 * character that is not complete can only become one of a range. */
#include "constrain/machine.h"

enum place {
    PLAIN,
    UTF8_LAST,     /* one more byte; `half` holds the bits so far */
    UTF8_TWO,      /* two more, of three or four */
    UTF8_TWO_OF_3, /* the second of three: overlong forms and surrogates show here */
    UTF8_THREE,    /* the second of four */
    ESCAPE,        /* after a backslash */
    HEX_1,         /* \u: digits still to come 4 … 1 */
    HEX_2,
    HEX_3,
    HEX_4,
    LOW_ESCAPE, /* after a high surrogate: its backslash, its u, its digits */
    LOW_U,
    LOW_1,
    LOW_2,
    LOW_3,
    LOW_4
};

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') return byte - '0';
    uint8_t lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static samp__character_result part(uint16_t *place, uint32_t *half, uint16_t next, uint32_t bits,
                                   unsigned missing, uint32_t *low, uint32_t *high)
{
    *place = next;
    *half = bits;
    *low = bits << missing;
    *high = *low | ((1u << missing) - 1);
    return SAMP__CHARACTER_PART;
}

static samp__character_result first_byte(uint16_t *place, uint32_t *half, uint8_t byte,
                                         uint32_t *character, uint32_t *low, uint32_t *high)
{
    if (byte == '"') return SAMP__CHARACTER_END;
    if (byte == '\\') {
        *place = ESCAPE;
        *low = 0;
        *high = 0x10ffff;
        return SAMP__CHARACTER_PART;
    }
    if (byte < 0x20) return SAMP__CHARACTER_NO;
    if (byte < 0x80) {
        *character = byte;
        return SAMP__CHARACTER_DONE;
    }
    if (byte >= 0xc2 && byte < 0xe0) return part(place, half, UTF8_LAST, byte & 0x1f, 6, low, high);
    if (byte >= 0xe0 && byte < 0xf0) {
        part(place, half, UTF8_TWO_OF_3, byte & 0x0f, 12, low, high);
        if (*low < 0x800) *low = 0x800;   /* no overlong forms */
        if (byte == 0xed) *high = 0xd7ff; /* no surrogates */
        return SAMP__CHARACTER_PART;
    }
    if (byte >= 0xf0 && byte < 0xf5) {
        part(place, half, UTF8_THREE, byte & 0x07, 18, low, high);
        if (*low < 0x10000) *low = 0x10000;
        if (*high > 0x10ffff) *high = 0x10ffff;
        return SAMP__CHARACTER_PART;
    }
    return SAMP__CHARACTER_NO;
}

static samp__character_result next_byte(uint16_t *place, uint32_t *half, uint8_t byte,
                                        uint32_t *character, uint32_t *low, uint32_t *high)
{
    uint32_t bits = *half << 6 | (byte & 0x3f);
    if ((byte & 0xc0) != 0x80) return SAMP__CHARACTER_NO;
    switch (*place) {
    case UTF8_THREE:
        if (bits < 0x10 || bits > 0x10f) return SAMP__CHARACTER_NO;
        return part(place, half, UTF8_TWO, bits, 12, low, high);
    case UTF8_TWO_OF_3:
        if (bits < 0x20 || (bits >= 0x360 && bits < 0x380)) return SAMP__CHARACTER_NO;
        return part(place, half, UTF8_LAST, bits, 6, low, high);
    case UTF8_TWO: return part(place, half, UTF8_LAST, bits, 6, low, high);
    default:
        *place = PLAIN;
        *half = 0;
        *character = bits;
        return SAMP__CHARACTER_DONE;
    }
}

static samp__character_result escape(uint16_t *place, uint8_t byte, uint32_t *character,
                                     uint32_t *low, uint32_t *high)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (byte == 'u') {
        *place = HEX_1;
        *low = 0;
        *high = 0x10ffff;
        return SAMP__CHARACTER_PART;
    }
    for (unsigned i = 0; i < sizeof names - 1; i++) {
        if ((uint8_t)names[i] != byte) continue;
        *place = PLAIN;
        *character = (uint8_t)values[i];
        return SAMP__CHARACTER_DONE;
    }
    return SAMP__CHARACTER_NO;
}

/* The four digits of \u; a high surrogate needs its other half. */
static samp__character_result hex(uint16_t *place, uint32_t *half, uint8_t byte,
                                  uint32_t *character, uint32_t *low, uint32_t *high)
{
    int digit = hex_digit(byte);
    if (digit < 0) return SAMP__CHARACTER_NO;
    uint32_t bits = *half << 4 | (uint32_t)digit;
    unsigned missing = 4 * (unsigned)(HEX_4 - *place);
    uint32_t first = bits << missing, last = first | ((1u << missing) - 1);
    if (first >= 0xdc00 && last <= 0xdfff) return SAMP__CHARACTER_NO;
    if (missing) {
        part(place, half, *place + 1, bits, missing, low, high);
        if (first <= 0xdbff && last >= 0xd800) *high = 0x10ffff; /* may become a pair */
        return SAMP__CHARACTER_PART;
    }
    if (bits >= 0xd800 && bits < 0xdc00)
        return part(place, half, LOW_ESCAPE, bits - 0xd7c0, 10, low, high);
    if (bits >= 0x20 && bits < 0x7f) return SAMP__CHARACTER_NO; /* nobody writes \u0061 */
    *place = PLAIN;
    *half = 0;
    *character = bits;
    return SAMP__CHARACTER_DONE;
}

/* \uDC00 … \uDFFF; `half` holds the ten bits and the offset of the first. */
static samp__character_result low_half(uint16_t *place, uint32_t *half, uint8_t byte,
                                       uint32_t *character, uint32_t *low, uint32_t *high)
{
    int digit = hex_digit(byte);
    if (*place == LOW_ESCAPE || *place == LOW_U) {
        if (byte != (*place == LOW_ESCAPE ? '\\' : 'u')) return SAMP__CHARACTER_NO;
        return part(place, half, *place + 1, *half, 10, low, high);
    }
    if (digit < 0 || (*place == LOW_1 && digit != 13)) return SAMP__CHARACTER_NO;
    if (*place == LOW_1) return part(place, half, LOW_2, *half, 10, low, high);
    if (*place == LOW_2) {
        if (digit < 12) return SAMP__CHARACTER_NO;
        return part(place, half, LOW_3, *half << 2 | (uint32_t)(digit - 12), 8, low, high);
    }
    uint32_t bits = *half << 4 | (uint32_t)digit;
    if (*place == LOW_3) return part(place, half, LOW_4, bits, 4, low, high);
    *place = PLAIN;
    *half = 0;
    *character = bits;
    return SAMP__CHARACTER_DONE;
}

unsigned samp__character_ranges(uint16_t place, uint32_t low, uint32_t high, uint32_t ranges[6][2])
{
    static const uint32_t short_forms[] = {'"', '/', '\\'};
    unsigned n = 0;
    if (place < ESCAPE || low > 0x7e) {
        ranges[n][0] = low;
        ranges[n++][1] = high;
        return n;
    }
    if (low < 0x20) {
        ranges[n][0] = low;
        ranges[n++][1] = high < 0x1f ? high : 0x1f;
    }
    if (high >= 0x7f) {
        ranges[n][0] = 0x7f;
        ranges[n++][1] = high;
    }
    for (unsigned i = 0; place == ESCAPE && i < 3; i++) {
        ranges[n][0] = short_forms[i];
        ranges[n++][1] = short_forms[i];
    }
    return n;
}

samp__character_result samp__character_step(uint16_t *place, uint32_t *half, uint8_t byte,
                                            uint32_t *character, uint32_t *low, uint32_t *high)
{
    if (*place == PLAIN) return first_byte(place, half, byte, character, low, high);
    if (*place <= UTF8_THREE) return next_byte(place, half, byte, character, low, high);
    if (*place == ESCAPE) return escape(place, byte, character, low, high);
    if (*place <= HEX_4) return hex(place, half, byte, character, low, high);
    return low_half(place, half, byte, character, low, high);
}
