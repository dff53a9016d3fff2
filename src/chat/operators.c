/* Arithmetic and comparison, as Python does them on ints of 64 bits, floats, texts and lists. */
#include "chat/jinja.h"

#include <math.h>

static samp_status fail_operands(samp__render *r, int op, const samp__value *a,
                                 const samp__value *b)
{
    const samp__value *undefined = a->kind == SAMP__UNDEFINED   ? a
                                   : b->kind == SAMP__UNDEFINED ? b
                                                                : NULL;
    if (undefined) return samp__fail(r, SAMP_INVALID, "'%.60s' is undefined", undefined->missing);
    const char symbol[] = {(char)op, (char)(op >> 8), '\0'};
    return samp__fail(r, SAMP_INVALID, "%s %s %s has no meaning", samp__kind_name(a->kind), symbol,
                      samp__kind_name(b->kind));
}

static samp_status integer_power(int64_t base, int64_t exponent, int64_t *out, bool *overflow)
{
    *out = 1;
    *overflow = false;
    while (exponent > 0 && !*overflow) {
        if (exponent & 1) *overflow |= __builtin_mul_overflow(*out, base, out);
        exponent >>= 1;
        if (exponent) *overflow |= __builtin_mul_overflow(base, base, &base);
    }
    return SAMP_OK;
}

/* Division rounds down, and the remainder has the divisor's sign. */
static samp_status integers(samp__render *r, int op, int64_t a, int64_t b, samp__value *out)
{
    int64_t result = 0;
    bool overflow = false, divides = op == '/' || op == '%' || op == SAMP__OP2('/', '/');
    if (divides && b == 0) return samp__fail(r, SAMP_INVALID, "division by zero");
    if (op == '/' || (op == SAMP__OP2('*', '*') && b < 0)) {
        *out = samp__float(op == '/' ? (double)a / (double)b : pow((double)a, (double)b));
        return SAMP_OK;
    }
    switch (op) {
    case '+': overflow = __builtin_add_overflow(a, b, &result); break;
    case '-': overflow = __builtin_sub_overflow(a, b, &result); break;
    case '*': overflow = __builtin_mul_overflow(a, b, &result); break;
    case SAMP__OP2('*', '*'): integer_power(a, b, &result, &overflow); break;
    default:
        if (b == -1) { /* INT64_MIN / -1 does not fit */
            result = 0;
            if (op != '%') overflow = __builtin_sub_overflow((int64_t)0, a, &result);
            break;
        }
        result = a % b;
        if (result && (result < 0) != (b < 0)) result += b;
        if (op != '%') result = (a - result) / b;
    }
    if (overflow) return samp__fail(r, SAMP_LIMIT, "an integer that does not fit 64 bits");
    *out = samp__int(result);
    return SAMP_OK;
}

/* Of a division without remainder, but for rounding; a zero has the quotient's sign. */
static double floor_of(double division, double quotient)
{
    if (division == 0) return copysign(0, quotient);
    double below = floor(division);
    return division - below > 0.5 ? below + 1 : below;
}

static samp_status floats(samp__render *r, int op, double a, double b, samp__value *out)
{
    double result;
    if (b == 0 && (op == '/' || op == '%' || op == SAMP__OP2('/', '/')))
        return samp__fail(r, SAMP_INVALID, "division by zero");
    switch (op) {
    case '+': result = a + b; break;
    case '-': result = a - b; break;
    case '*': result = a * b; break;
    case '/': result = a / b; break;
    case SAMP__OP2('*', '*'): result = pow(a, b); break;
    default:
        result = fmod(a, b);
        if (result == 0)
            result = copysign(0, b);
        else if ((result < 0) != (b < 0))
            result += b;
        if (op != '%') result = floor_of((a - result) / b, a / b);
    }
    *out = samp__float(result);
    return SAMP_OK;
}

/* markupsafe's escape, for "+" beside a text that went through |safe. */
static samp_status build_escaped(samp__render *r, samp__builder *b, samp__text text)
{
    if (text.safe) return samp__build(r, b, text);
    static const char from[] = "&<>'\"";
    static const char *const to[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    for (uint32_t i = 0; i < text.n; i++) {
        const char *special = text.bytes[i] ? strchr(from, text.bytes[i]) : NULL;
        samp__text part = samp__text_part(text, i, i + 1);
        if (special) {
            bool trusted = text.marks ? text.marks[i] : text.trusted;
            const char *escape = to[special - from];
            part = (samp__text){.bytes = escape, .n = (uint32_t)strlen(escape), .trusted = trusted};
        }
        SAMP_TRY(samp__build(r, b, part));
    }
    return SAMP_OK;
}

static samp_status add_texts(samp__render *r, samp__text a, samp__text b, samp__value *out)
{
    samp__builder text = {0};
    bool safe = a.safe || b.safe;
    if (safe) {
        SAMP_TRY(build_escaped(r, &text, a));
        SAMP_TRY(build_escaped(r, &text, b));
    } else {
        SAMP_TRY(samp__build(r, &text, a));
        SAMP_TRY(samp__build(r, &text, b));
    }
    *out = samp__of_text(samp__built(&text));
    out->text.safe = safe;
    return SAMP_OK;
}

static samp_status add_lists(samp__render *r, const samp__value *a, const samp__value *b,
                             samp__value *out)
{
    samp__list *list;
    SAMP_TRY(samp__allocate(r, 1, sizeof *list, &list));
    for (uint32_t i = 0; i < a->list->n; i++) SAMP_TRY(samp__list_add(r, list, a->list->items[i]));
    for (uint32_t i = 0; i < b->list->n; i++) SAMP_TRY(samp__list_add(r, list, b->list->items[i]));
    *out = (samp__value){.kind = a->kind, .list = list};
    return SAMP_OK;
}

static samp_status repeat(samp__render *r, const samp__value *what, int64_t times, samp__value *out)
{
    samp__builder text = {0};
    samp__list *list;
    SAMP_TRY(samp__allocate(r, 1, sizeof *list, &list));
    for (int64_t i = 0; i < times; i++) {
        SAMP_TRY(samp__charge(r, 1));
        if (what->kind == SAMP__TEXT) {
            SAMP_TRY(samp__build(r, &text, what->text));
            continue;
        }
        for (uint32_t j = 0; j < what->list->n; j++)
            SAMP_TRY(samp__list_add(r, list, what->list->items[j]));
    }
    *out = what->kind == SAMP__TEXT ? samp__of_text(samp__built(&text))
                                    : (samp__value){.kind = what->kind, .list = list};
    return SAMP_OK;
}

static bool is_sequence(const samp__value *v)
{
    return v->kind == SAMP__TEXT || v->kind == SAMP__LIST || v->kind == SAMP__TUPLE;
}

static bool is_number(const samp__value *v)
{
    return v->kind == SAMP__INT || v->kind == SAMP__BOOL || v->kind == SAMP__FLOAT;
}

static int64_t as_integer(const samp__value *v)
{
    return v->kind == SAMP__BOOL ? v->truth : v->integer;
}

static double as_float(const samp__value *v)
{
    return v->kind == SAMP__FLOAT ? v->number : (double)as_integer(v);
}

samp_status samp__binary(samp__render *r, int op, const samp__value *a, const samp__value *b,
                         samp__value *out)
{
    if (is_number(a) && is_number(b)) {
        if (a->kind == SAMP__FLOAT || b->kind == SAMP__FLOAT)
            return floats(r, op, as_float(a), as_float(b), out);
        return integers(r, op, as_integer(a), as_integer(b), out);
    }
    if (op == '+' && a->kind == b->kind) {
        if (a->kind == SAMP__TEXT) return add_texts(r, a->text, b->text, out);
        if (a->kind == SAMP__LIST || a->kind == SAMP__TUPLE) return add_lists(r, a, b, out);
    }
    bool whole_a = a->kind == SAMP__INT || a->kind == SAMP__BOOL;
    bool whole_b = b->kind == SAMP__INT || b->kind == SAMP__BOOL;
    if (op == '*' && is_sequence(a) && whole_b) return repeat(r, a, as_integer(b), out);
    if (op == '*' && is_sequence(b) && whole_a) return repeat(r, b, as_integer(a), out);
    if (op == '%' && a->kind == SAMP__TEXT)
        return samp__fail(r, SAMP_UNSUPPORTED, "formatting a text with %% is not supported");
    return fail_operands(r, op, a, b);
}

samp_status samp__compare(samp__render *r, int op, const samp__value *a, const samp__value *b,
                          bool *out)
{
    int order;
    switch (op) {
    case SAMP__OP2('=', '='): return samp__equal(r, a, b, out);
    case SAMP__OP2('!', '='):
        SAMP_TRY(samp__equal(r, a, b, out));
        *out = !*out;
        return SAMP_OK;
    case 'i': return samp__contains(r, a, b, out);
    case 'n':
        SAMP_TRY(samp__contains(r, a, b, out));
        *out = !*out;
        return SAMP_OK;
    default: break;
    }
    if (a->kind == SAMP__UNDEFINED || b->kind == SAMP__UNDEFINED) return fail_operands(r, op, a, b);
    SAMP_TRY(samp__order(r, a, b, &order));
    *out = op == '<'                   ? order < 0
           : op == '>'                 ? order > 0
           : op == SAMP__OP2('<', '=') ? order <= 0
                                       : order >= 0;
    return SAMP_OK;
}
