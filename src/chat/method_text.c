/* The methods of texts, as Python's str has them. Positions are counted in characters; cases are
 * mapped character by character. Pieces keep the marks of where they came from. */
#include "chat/jinja.h"

#include "base/utf8.h"

#include <utf8proc.h>

static samp_status give(samp__value *out, samp__text text)
{
    text.safe = false;
    *out = samp__of_text(text);
    return SAMP_OK;
}

/* ---- stripping and splitting ----------------------------------------------------------------- */

static samp_status strip_sides(samp__render *r, const samp__call *call, samp__sides sides,
                               samp__value *out)
{
    samp__text set = {0};
    SAMP_TRY(samp__argument_text(r, call, 0, &set));
    SAMP_TRY(samp__charge(r, (uint64_t)call->self.text.n * (set.n + 1) / 16));
    return give(out, samp__strip(call->self.text, sides, set.bytes ? &set : NULL));
}

static samp_status strip(samp__render *r, const samp__call *call, samp__value *out)
{
    return strip_sides(r, call, SAMP__BOTH, out);
}

static samp_status lstrip(samp__render *r, const samp__call *call, samp__value *out)
{
    return strip_sides(r, call, SAMP__LEFT, out);
}

static samp_status rstrip(samp__render *r, const samp__call *call, samp__value *out)
{
    return strip_sides(r, call, SAMP__RIGHT, out);
}

/* Between runs of white space, at most `limit` times. */
static samp_status split_words(samp__render *r, samp__text text, int64_t limit, samp__list *list)
{
    for (;;) {
        text = samp__strip(text, SAMP__LEFT, NULL);
        if (text.n == 0) return SAMP_OK;
        if (limit-- == 0) return samp__list_add(r, list, samp__of_text(text));
        size_t end = 0;
        while (end < text.n && !samp__is_space(samp__code_at(text, end)))
            end += samp__character_bytes(text.bytes[end]);
        SAMP_TRY(samp__list_add(r, list, samp__of_text(samp__text_part(text, 0, end))));
        text = samp__text_part(text, end, text.n);
    }
}

static samp_status split(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__text text = call->self.text, by = {0};
    int64_t limit = -1;
    samp__list *list;
    SAMP_TRY(samp__argument_text(r, call, 0, &by));
    SAMP_TRY(samp__argument_int(r, call, 1, &limit));
    SAMP_TRY(samp__charge(r, text.n / 16));
    SAMP_TRY(samp__allocate(r, 1, sizeof *list, &list));
    *out = samp__of_list(list);
    if (!by.bytes) return split_words(r, text, limit, list);
    if (by.n == 0) return samp__fail(r, SAMP_INVALID, "'split' by an empty text");
    size_t from = 0;
    for (int64_t at; limit-- != 0 && (at = samp__text_find(text, by, from)) >= 0;) {
        SAMP_TRY(samp__list_add(r, list, samp__of_text(samp__text_part(text, from, (size_t)at))));
        from = (size_t)at + by.n;
    }
    return samp__list_add(r, list, samp__of_text(samp__text_part(text, from, text.n)));
}

/* The work of find_last through a whole text. */
static samp_status charge_search(samp__render *r, samp__text text, samp__text needle)
{
    return samp__charge(r, (uint64_t)text.n * (needle.n + 8) / 64);
}

/* Byte offset of the last occurrence that ends at or before `end`, -1 none. */
static int64_t find_last(samp__text text, samp__text needle, size_t end)
{
    for (int64_t at = (int64_t)end - needle.n; at >= 0; at--)
        if (memcmp(text.bytes + at, needle.bytes, needle.n) == 0) return at;
    return -1;
}

static samp_status rsplit(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__text text = call->self.text, by = {0};
    int64_t limit = -1;
    samp__list found = {0}, *list;
    SAMP_TRY(samp__argument_text(r, call, 0, &by));
    SAMP_TRY(samp__argument_int(r, call, 1, &limit));
    SAMP_TRY(charge_search(r, text, by));
    if (limit < 0) return split(r, call, out);
    if (by.n == 0)
        return samp__fail(r, SAMP_UNSUPPORTED,
                          "'rsplit' by white space, a limited number of times");
    size_t end = text.n;
    for (int64_t at; limit-- > 0 && (at = find_last(text, by, end)) >= 0; end = (size_t)at)
        SAMP_TRY(samp__list_add(r, &found,
                                samp__of_text(samp__text_part(text, (size_t)at + by.n, end))));
    SAMP_TRY(samp__list_add(r, &found, samp__of_text(samp__text_part(text, 0, end))));
    SAMP_TRY(samp__allocate(r, 1, sizeof *list, &list));
    for (uint32_t i = found.n; i-- > 0;) SAMP_TRY(samp__list_add(r, list, found.items[i]));
    *out = samp__of_list(list);
    return SAMP_OK;
}

static samp_status partition(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__text text = call->self.text, by = SAMP__LITERAL("");
    samp__list *list;
    SAMP_TRY(samp__argument_text(r, call, 0, &by));
    if (by.n == 0) return samp__fail(r, SAMP_INVALID, "'partition' by an empty text");
    SAMP_TRY(charge_search(r, text, by));
    bool from_right = call->row->name[0] == 'r';
    int64_t at = from_right ? find_last(text, by, text.n) : samp__text_find(text, by, 0);
    size_t begin = at >= 0 ? (size_t)at : from_right ? 0 : text.n;
    size_t end = at >= 0 ? begin + by.n : begin;
    SAMP_TRY(samp__allocate(r, 1, sizeof *list, &list));
    SAMP_TRY(samp__list_add(r, list, samp__of_text(samp__text_part(text, 0, begin))));
    SAMP_TRY(samp__list_add(r, list, samp__of_text(samp__text_part(text, begin, end))));
    SAMP_TRY(samp__list_add(r, list, samp__of_text(samp__text_part(text, end, text.n))));
    *out = (samp__value){.kind = SAMP__TUPLE, .list = list};
    return SAMP_OK;
}

static bool ends_line(uint32_t code)
{
    return (code >= 10 && code <= 13) || (code >= 28 && code <= 30) || code == 0x85 ||
           code == 0x2028 || code == 0x2029;
}

static samp_status splitlines(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__text text = call->self.text;
    bool keep = samp__argument_truth(call, 0);
    samp__list *list;
    SAMP_TRY(samp__charge(r, text.n / 8));
    SAMP_TRY(samp__allocate(r, 1, sizeof *list, &list));
    size_t from = 0;
    for (size_t at = 0; at < text.n;) {
        uint32_t code = samp__code_at(text, at);
        size_t next = at + samp__character_bytes(text.bytes[at]);
        if (ends_line(code)) {
            if (code == '\r' && next < text.n && text.bytes[next] == '\n') next++;
            samp__text line = samp__text_part(text, from, keep ? next : at);
            SAMP_TRY(samp__list_add(r, list, samp__of_text(line)));
            from = next;
        }
        at = next;
    }
    if (from < text.n)
        SAMP_TRY(samp__list_add(r, list, samp__of_text(samp__text_part(text, from, text.n))));
    *out = samp__of_list(list);
    return SAMP_OK;
}

/* ---- searching ------------------------------------------------------------------------------- */

static bool begins_or_ends(samp__text text, samp__text with, bool ends)
{
    return with.n <= text.n &&
           memcmp(text.bytes + (ends ? text.n - with.n : 0), with.bytes, with.n) == 0;
}

static samp_status begins(samp__render *r, const samp__call *call, samp__value *out)
{
    const samp__value *with = &call->args[0];
    bool ends = call->row->name[0] == 'e', found = false;
    samp__value one = *with;
    samp__list single = {.items = &one, .n = 1}, *all = &single;
    if (with->kind == SAMP__TUPLE) *all = *with->list;
    for (uint32_t i = 0; i < all->n; i++) {
        if (all->items[i].kind != SAMP__TEXT)
            return samp__fail(r, SAMP_INVALID, "'%s' takes a text or a tuple of texts, found %s",
                              call->row->name, samp__kind_name(all->items[i].kind));
        found |= begins_or_ends(call->self.text, all->items[i].text, ends);
    }
    *out = samp__bool(found);
    return samp__charge(r, all->n);
}

/* find, rfind and index. */
static samp_status find(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__text text = call->self.text, needle = SAMP__LITERAL("");
    const char *name = call->row->name;
    SAMP_TRY(samp__argument_text(r, call, 0, &needle));
    SAMP_TRY(charge_search(r, text, needle));
    int64_t at =
        name[0] == 'r' ? find_last(text, needle, text.n) : samp__text_find(text, needle, 0);
    if (at < 0 && name[0] == 'i') return samp__fail(r, SAMP_INVALID, "'index' found no such text");
    if (at > 0) at = samp__characters(samp__text_part(text, 0, (size_t)at));
    *out = samp__int(at);
    return SAMP_OK;
}

static samp_status count(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__text text = call->self.text, needle = SAMP__LITERAL("");
    int64_t n = 0;
    SAMP_TRY(samp__argument_text(r, call, 0, &needle));
    SAMP_TRY(samp__charge(r, text.n / 16));
    if (needle.n == 0) n = (int64_t)samp__characters(text) + 1;
    for (int64_t at = 0; needle.n && (at = samp__text_find(text, needle, (size_t)at)) >= 0; n++)
        at += needle.n;
    *out = samp__int(n);
    return SAMP_OK;
}

static samp_status replace(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__text text = call->self.text, old = SAMP__LITERAL(""), new = SAMP__LITERAL("");
    int64_t limit = -1;
    samp__builder b = {0};
    SAMP_TRY(samp__argument_text(r, call, 0, &old));
    SAMP_TRY(samp__argument_text(r, call, 1, &new));
    SAMP_TRY(samp__argument_int(r, call, 2, &limit));
    SAMP_TRY(samp__charge(r, text.n / 16));
    size_t from = 0;
    while (limit-- != 0) {
        int64_t at = old.n ? samp__text_find(text, old, from) : (int64_t)from;
        if (at < 0) break;
        SAMP_TRY(samp__charge(r, 1));
        SAMP_TRY(samp__build(r, &b, samp__text_part(text, from, (size_t)at)));
        SAMP_TRY(samp__build(r, &b, new));
        from = (size_t)at + old.n;
        if (old.n) continue;
        if (from == text.n)
            break; /* an empty text is found before every character and at the end */
        size_t next = from + samp__character_bytes(text.bytes[from]);
        SAMP_TRY(samp__build(r, &b, samp__text_part(text, from, next)));
        from = next;
    }
    SAMP_TRY(samp__build(r, &b, samp__text_part(text, from, text.n)));
    return give(out, samp__built(&b));
}

static samp_status remove_affix(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__text text = call->self.text, affix = SAMP__LITERAL("");
    bool ends = strcmp(call->row->name, "removesuffix") == 0;
    SAMP_TRY(samp__argument_text(r, call, 0, &affix));
    if (begins_or_ends(text, affix, ends))
        text = samp__text_part(text, ends ? 0 : affix.n, ends ? text.n - affix.n : text.n);
    return give(out, text);
}

static samp_status join(samp__render *r, const samp__call *call, samp__value *out)
{
    const samp__list *items;
    samp__builder b = {0};
    SAMP_TRY(samp__items(r, &call->args[0], &items));
    for (uint32_t i = 0; i < items->n; i++) {
        if (items->items[i].kind != SAMP__TEXT)
            return samp__fail(r, SAMP_INVALID, "'join' takes texts, item %u is %s", i,
                              samp__kind_name(items->items[i].kind));
        if (i) SAMP_TRY(samp__build(r, &b, call->self.text));
        SAMP_TRY(samp__build(r, &b, items->items[i].text));
    }
    return give(out, samp__built(&b));
}

/* ---- case and classes ------------------------------------------------------------------------ */

static bool is_letter(uint32_t code)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

/* upper, lower, capitalize (first character, the others lower) and title (first of each word). */
static samp_status change_case(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__text text = call->self.text;
    samp__builder b = {0};
    char how = call->row->name[0];
    bool start = true;
    SAMP_TRY(samp__charge(r, text.n / 4));
    for (size_t at = 0; at < text.n;) {
        size_t n = samp__character_bytes(text.bytes[at]);
        utf8proc_int32_t code = (utf8proc_int32_t)samp__code_at(text, at);
        bool upper = how == 'u' || (how != 'l' && start);
        utf8proc_int32_t changed = upper ? utf8proc_toupper(code) : utf8proc_tolower(code);
        char utf8[4];
        samp__text part = {.bytes = utf8, .trusted = text.marks ? text.marks[at] : text.trusted};
        part.n = (uint32_t)samp_utf8_encode((uint32_t)changed, utf8);
        if (upper && code == 0xdf) { /* the one letter of modern text with two capitals */
            part.bytes = how == 'u' ? "SS" : "Ss";
            part.n = 2;
        }
        SAMP_TRY(samp__build(r, &b, part));
        start = how == 't' && !is_letter((uint32_t)code);
        at += n;
    }
    return give(out, samp__built(&b));
}

/* isdigit, isalpha, isalnum, isspace, isupper, islower: all characters, and at least one. */
static samp_status all_of(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__text text = call->self.text;
    const char *what = call->row->name + 2;
    bool cased = strcmp(what, "upper") == 0 || strcmp(what, "lower") == 0, holds = !cased;
    bool seen = false;
    SAMP_TRY(samp__charge(r, text.n / 4));
    for (size_t at = 0; at < text.n; at += samp__character_bytes(text.bytes[at])) {
        uint32_t code = samp__code_at(text, at);
        utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
        bool digit = category == UTF8PROC_CATEGORY_ND, letter = is_letter(code);
        if (cased) {
            utf8proc_category_t wrong =
                what[0] == 'u' ? UTF8PROC_CATEGORY_LL : UTF8PROC_CATEGORY_LU;
            if (category == wrong || category == UTF8PROC_CATEGORY_LT) {
                *out = samp__bool(false);
                return SAMP_OK;
            }
            holds |= category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL;
        } else {
            holds &= strcmp(what, "space") == 0 ? samp__is_space(code)
                     : what[0] == 'd'           ? digit
                     : what[2] == 'p'           ? letter
                                                : letter || digit;
        }
        seen = true;
    }
    *out = samp__bool(holds && seen);
    return SAMP_OK;
}

const samp__builtin samp__text_methods[] = {
    {"strip", "chars", 0, strip},
    {"lstrip", "chars", 0, lstrip},
    {"rstrip", "chars", 0, rstrip},
    {"split", "sep maxsplit", 0, split},
    {"rsplit", "sep maxsplit", 0, rsplit},
    {"partition", "sep", 1, partition},
    {"rpartition", "sep", 1, partition},
    {"splitlines", "keepends", 0, splitlines},
    {"startswith", "prefix", 1, begins},
    {"endswith", "suffix", 1, begins},
    {"find", "sub", 1, find},
    {"rfind", "sub", 1, find},
    {"index", "sub", 1, find},
    {"count", "sub", 1, count},
    {"replace", "old new count", 2, replace},
    {"removeprefix", "prefix", 1, remove_affix},
    {"removesuffix", "suffix", 1, remove_affix},
    {"join", "iterable", 1, join},
    {"upper", "", 0, change_case},
    {"lower", "", 0, change_case},
    {"capitalize", "", 0, change_case},
    {"title", "", 0, change_case},
    {"isdigit", "", 0, all_of},
    {"isalpha", "", 0, all_of},
    {"isalnum", "", 0, all_of},
    {"isspace", "", 0, all_of},
    {"isupper", "", 0, all_of},
    {"islower", "", 0, all_of},
    {0},
};
