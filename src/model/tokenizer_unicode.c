/* Letters, digits, marks and punctuation that Unicode added after version 14.
 *
 * Hugging Face's patterns know Unicode 16; PCRE2 10.42 of Debian 12 knows 14, in which a letter of
 * 2022 is no letter, and ends a word. So a pattern is shown the text with each such character
 * replaced by an older one of the same general category and as many bytes: its words are then those
 * of Unicode 16, whichever version PCRE2 has. Symbols are left out, since no pattern tells them
 * from what is unassigned. The list is the difference between Oniguruma's categories (in tokenizers
 * 0.23.3) and PCRE2 10.42's, over all code points. */
#include "model/tokenizer_internal.h"

/* Stand-ins of four bytes, by category; those of three bytes stand in the list. */
enum {
    LU = 0x10400,
    LL = 0x10428,
    LM = 0x16b40,
    LO = 0x20000,
    MN = 0x10a01,
    MC = 0x11000,
    ND = 0x104a0,
    NO = 0x1d2e0,
    PO = 0x10100,
};

static const struct {
    uint32_t first, last, stand_in;
} added[] = {
    {0x0897, 0x0897, 0x0898}, {0x0cf3, 0x0cf3, 0x0d02}, {0x0ece, 0x0ece, 0x0ecd},
    {0x1b4e, 0x1b4f, 0x1b5a}, {0x1b7f, 0x1b7f, 0x1b7e}, {0x1c89, 0x1c89, 0x1c90},
    {0x1c8a, 0x1c8a, 0x1c88}, {0xa7cb, 0xa7cc, 0xa7c9}, {0xa7cd, 0xa7cd, 0xa7ca},
    {0xa7da, 0xa7da, 0xa7d8}, {0xa7db, 0xa7db, 0xa7d9}, {0xa7dc, 0xa7dc, 0xa7d8},
    {0x105c0, 0x105f3, LO},   {0x10d40, 0x10d49, ND},   {0x10d4a, 0x10d4d, LO},
    {0x10d4e, 0x10d4e, LM},   {0x10d4f, 0x10d4f, LO},   {0x10d50, 0x10d65, LU},
    {0x10d69, 0x10d6d, MN},   {0x10d6e, 0x10d6e, PO},   {0x10d6f, 0x10d6f, LM},
    {0x10d70, 0x10d85, LL},   {0x10ec2, 0x10ec4, LO},   {0x10efc, 0x10eff, MN},
    {0x1123f, 0x11240, LO},   {0x11241, 0x11241, MN},   {0x11380, 0x11389, LO},
    {0x1138b, 0x1138b, LO},   {0x1138e, 0x1138e, LO},   {0x11390, 0x113b5, LO},
    {0x113b7, 0x113b7, LO},   {0x113b8, 0x113ba, MC},   {0x113bb, 0x113c0, MN},
    {0x113c2, 0x113c2, MC},   {0x113c5, 0x113c5, MC},   {0x113c7, 0x113ca, MC},
    {0x113cc, 0x113cd, MC},   {0x113ce, 0x113ce, MN},   {0x113cf, 0x113cf, MC},
    {0x113d0, 0x113d0, MN},   {0x113d1, 0x113d1, LO},   {0x113d2, 0x113d2, MN},
    {0x113d3, 0x113d3, LO},   {0x113d4, 0x113d5, PO},   {0x113d7, 0x113d8, PO},
    {0x113e1, 0x113e2, MN},   {0x116d0, 0x116e3, ND},   {0x11b00, 0x11b09, PO},
    {0x11bc0, 0x11be0, LO},   {0x11be1, 0x11be1, PO},   {0x11bf0, 0x11bf9, ND},
    {0x11f00, 0x11f01, MN},   {0x11f02, 0x11f02, LO},   {0x11f03, 0x11f03, MC},
    {0x11f04, 0x11f10, LO},   {0x11f12, 0x11f33, LO},   {0x11f34, 0x11f35, MC},
    {0x11f36, 0x11f3a, MN},   {0x11f3e, 0x11f3f, MC},   {0x11f40, 0x11f40, MN},
    {0x11f41, 0x11f41, MC},   {0x11f42, 0x11f42, MN},   {0x11f43, 0x11f4f, PO},
    {0x11f50, 0x11f59, ND},   {0x11f5a, 0x11f5a, MN},   {0x1342f, 0x1342f, LO},
    {0x13440, 0x13440, MN},   {0x13441, 0x13446, LO},   {0x13447, 0x13455, MN},
    {0x13460, 0x143fa, LO},   {0x16100, 0x1611d, LO},   {0x1611e, 0x16129, MN},
    {0x1612a, 0x1612c, MC},   {0x1612d, 0x1612f, MN},   {0x16130, 0x16139, ND},
    {0x16d40, 0x16d42, LM},   {0x16d43, 0x16d6a, LO},   {0x16d6b, 0x16d6c, LM},
    {0x16d6d, 0x16d6f, PO},   {0x16d70, 0x16d79, ND},   {0x18cff, 0x18cff, LO},
    {0x1b132, 0x1b132, LO},   {0x1b155, 0x1b155, LO},   {0x1ccf0, 0x1ccf9, ND},
    {0x1d2c0, 0x1d2d3, NO},   {0x1df25, 0x1df2a, LL},   {0x1e030, 0x1e06d, LM},
    {0x1e08f, 0x1e08f, MN},   {0x1e4d0, 0x1e4ea, LO},   {0x1e4eb, 0x1e4eb, LM},
    {0x1e4ec, 0x1e4ef, MN},   {0x1e4f0, 0x1e4f9, ND},   {0x1e5d0, 0x1e5ed, LO},
    {0x1e5ee, 0x1e5ef, MN},   {0x1e5f0, 0x1e5f0, LO},   {0x1e5f1, 0x1e5fa, ND},
    {0x1e5ff, 0x1e5ff, PO},   {0x2b739, 0x2b739, LO},   {0x2ebf0, 0x2ee5d, LO},
    {0x31350, 0x323af, LO},
};

uint32_t samp__unicode_stand_in(uint32_t code)
{
    if (code < 0x0897 || (code > 0x1c8a && code < 0xa7cb)) return code; /* most of all text */
    size_t low = 0, high = sizeof added / sizeof *added;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (code > added[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < sizeof added / sizeof *added && code >= added[low].first;
    return found ? added[low].stand_in : code;
}

bool samp__unicode_stand_ins(const char *text, size_t n, samp_buffer *out)
{
    samp_buffer_clear(out);
    for (size_t at = 0; at < n;) {
        int length = samp_utf8_length(text + at, n - at);
        uint32_t code = samp_utf8_decode(text + at, length);
        uint32_t older = samp__unicode_stand_in(code);
        if (older != code) {
            if (!out->length) samp_buffer_append(out, text, n);
            if (!out->failed) samp_utf8_encode(older, out->data + at);
        }
        at += (size_t)length;
    }
    return out->length != 0;
}
