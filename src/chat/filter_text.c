/* Filters that make a text or a number of their value, and those that any value has. */
#include "chat/jinja.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* upper, lower, capitalize, trim and replace are the text methods, on str(value). */
static samp_status as_method(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__text text;
    const char *name = strcmp(call->row->name, "trim") == 0 ? "strip" : call->row->name;
    SAMP_TRY(samp__self_text(r, call, &text));
    samp__text key = {.bytes = name, .n = (uint32_t)strlen(name)};
    samp__call inner = *call;
    inner.self = samp__of_text(text);
    return samp__method_find(SAMP__TEXT, key)->run(r, &inner, out);
}

static samp_status string(samp__render *r, const samp__call *call, samp__value *out)
{
    out->kind = SAMP__TEXT;
    return samp__self_text(r, call, &out->text);
}

static samp_status safe(samp__render *r, const samp__call *call, samp__value *out)
{
    SAMP_TRY(string(r, call, out));
    out->text.safe = true;
    return SAMP_OK;
}

/* Capitals after spaces and opening brackets, small letters elsewhere. */
static samp_status title(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__text text;
    samp__builder b = {0};
    SAMP_TRY(samp__self_text(r, call, &text));
    SAMP_TRY(samp__charge(r, text.n / 4));
    const samp__builtin *upper = samp__method_find(SAMP__TEXT, SAMP__LITERAL("upper"));
    const samp__builtin *lower = samp__method_find(SAMP__TEXT, SAMP__LITERAL("lower"));
    bool start = true;
    for (size_t at = 0; at < text.n;) {
        uint32_t code = samp__code_at(text, at);
        size_t next = at + samp__character_bytes(text.bytes[at]);
        samp__call one = {.row = start ? upper : lower,
                          .self = samp__of_text(samp__text_part(text, at, next))};
        samp__value changed;
        SAMP_TRY(one.row->run(r, &one, &changed));
        SAMP_TRY(samp__build(r, &b, changed.text));
        start = samp__is_space(code) || (code < 0x80 && code && strchr("-({[<", (int)code));
        at = next;
    }
    *out = samp__of_text(samp__built(&b));
    return SAMP_OK;
}

/* Every line but the first; lines without text only when `blank`. */
static samp_status indent(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__text text, indention = SAMP__LITERAL("    ");
    samp__builder spaces = {0}, whole = {0}, b = {0};
    int64_t width = 4;
    bool first = samp__argument_truth(call, 1), blank = samp__argument_truth(call, 2);
    if (call->self.kind != SAMP__TEXT)
        return samp__fail(r, SAMP_INVALID, "'indent' of %s", samp__kind_name(call->self.kind));
    text = call->self.text;
    if (call->args[0].kind == SAMP__TEXT) {
        indention = call->args[0].text;
    } else {
        SAMP_TRY(samp__argument_int(r, call, 0, &width));
        for (int64_t i = 0; i < width; i++) SAMP_TRY(samp__build_literal(r, &spaces, " "));
        indention = samp__built(&spaces);
    }
    samp__call lines = {.row = samp__method_find(SAMP__TEXT, SAMP__LITERAL("splitlines"))};
    SAMP_TRY(samp__build(r, &whole, text)); /* a line end more: the last line may be empty */
    SAMP_TRY(samp__build_literal(r, &whole, "\n"));
    lines.self = samp__of_text(samp__built(&whole));
    SAMP_TRY(lines.row->run(r, &lines, out));
    const samp__list *list = out->list;
    for (uint32_t i = 0; i < list->n; i++) {
        samp__text line = list->items[i].text;
        if (i) SAMP_TRY(samp__build_literal(r, &b, "\n"));
        if (i ? line.n || blank : first) SAMP_TRY(samp__build(r, &b, indention));
        SAMP_TRY(samp__build(r, &b, line));
    }
    *out = samp__of_text(samp__built(&b));
    return SAMP_OK;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static samp_status json_indent(samp__render *r, const samp__call *call, samp__json_style *style)
{
    int64_t width = 0;
    samp__builder spaces = {0};
    const samp__value *given = &call->args[1];
    if (given->kind == SAMP__ABSENT || given->kind == SAMP__NONE) return SAMP_OK;
    style->indented = true;
    style->item_separator = SAMP__LITERAL(",");
    if (given->kind == SAMP__TEXT) {
        style->indent = given->text;
        return SAMP_OK;
    }
    SAMP_TRY(samp__argument_int(r, call, 1, &width));
    for (int64_t i = 0; i < width; i++) SAMP_TRY(samp__build_literal(r, &spaces, " "));
    style->indent = samp__built(&spaces);
    return SAMP_OK;
}

static samp_status tojson(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__builder b = {0};
    samp__json_style style = {.ascii = samp__argument_truth(call, 0),
                              .sort_keys = samp__argument_truth(call, 3),
                              .item_separator = SAMP__LITERAL(", "),
                              .key_separator = SAMP__LITERAL(": ")};
    SAMP_TRY(json_indent(r, call, &style));
    const samp__value *separators = &call->args[2];
    if (separators->kind == SAMP__LIST || separators->kind == SAMP__TUPLE) {
        const samp__value *pair = separators->list->items;
        if (separators->list->n != 2 || pair[0].kind != SAMP__TEXT || pair[1].kind != SAMP__TEXT)
            return samp__fail(r, SAMP_INVALID, "separators of 'tojson' are two texts");
        style.item_separator = pair[0].text;
        style.key_separator = pair[1].text;
    } else if (separators->kind > SAMP__NONE) {
        return samp__fail(r, SAMP_INVALID, "separators of 'tojson' are two texts, found %s",
                          samp__kind_name(separators->kind));
    }
    SAMP_TRY(samp__build_json(r, &b, &call->self, &style));
    *out = samp__of_text(samp__built(&b));
    return SAMP_OK;
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* A number in a text, white space around it allowed; false when it is none. */
static bool read_number(samp__text text, double *number, int64_t *integer, bool *whole)
{
    char copy[64], *end;
    text = samp__strip(text, SAMP__BOTH, NULL);
    if (text.n == 0 || text.n >= sizeof copy) return false;
    memcpy(copy, text.bytes, text.n);
    copy[text.n] = '\0';
    if (strpbrk(copy, "xX")) return false; /* C's hexadecimal, not Python's */
    errno = 0;
    *integer = strtoll(copy, &end, 10);
    *whole = *end == '\0' && errno == 0;
    *number = strtod(copy, &end);
    return *end == '\0';
}

static samp_status to_int(samp__render *r, const samp__call *call, samp__value *out)
{
    int64_t integer = 0, base = 10;
    double number = 0;
    bool whole = false, found = true;
    SAMP_TRY(samp__argument_int(r, call, 1, &base));
    if (base != 10) return samp__fail(r, SAMP_UNSUPPORTED, "'int' in another base than 10");
    switch (call->self.kind) {
    case SAMP__INT: integer = call->self.integer, whole = true; break;
    case SAMP__BOOL: integer = call->self.truth, whole = true; break;
    case SAMP__FLOAT: number = call->self.number; break;
    case SAMP__TEXT: found = read_number(call->self.text, &number, &integer, &whole); break;
    case SAMP__UNDEFINED:
        return samp__fail(r, SAMP_INVALID, "'%.60s' is undefined", call->self.missing);
    default: found = false;
    }
    if (found && !whole) {
        if (isfinite(number) && fabs(number) >= 9.2e18)
            return samp__fail(r, SAMP_LIMIT, "an integer that does not fit 64 bits");
        found = isfinite(number);
        if (found) integer = (int64_t)number;
    }
    *out = found                                ? samp__int(integer)
           : call->args[0].kind == SAMP__ABSENT ? samp__int(0)
                                                : call->args[0];
    return SAMP_OK;
}

static samp_status to_float(samp__render *r, const samp__call *call, samp__value *out)
{
    int64_t integer;
    double number = 0;
    bool whole, found = true;
    switch (call->self.kind) {
    case SAMP__INT: number = (double)call->self.integer; break;
    case SAMP__BOOL: number = call->self.truth; break;
    case SAMP__FLOAT: number = call->self.number; break;
    case SAMP__TEXT: found = read_number(call->self.text, &number, &integer, &whole); break;
    case SAMP__UNDEFINED:
        return samp__fail(r, SAMP_INVALID, "'%.60s' is undefined", call->self.missing);
    default: found = false;
    }
    *out = found                                ? samp__float(number)
           : call->args[0].kind == SAMP__ABSENT ? samp__float(0)
                                                : call->args[0];
    return samp__charge(r, 1);
}

static samp_status absolute(samp__render *r, const samp__call *call, samp__value *out)
{
    *out = call->self.kind == SAMP__BOOL ? samp__int(call->self.truth) : call->self;
    if (out->kind == SAMP__FLOAT) {
        out->number = fabs(out->number);
        return SAMP_OK;
    }
    if (out->kind != SAMP__INT || out->integer == INT64_MIN)
        return samp__fail(r, SAMP_INVALID, "'abs' of %s", samp__kind_name(out->kind));
    out->integer = out->integer < 0 ? -out->integer : out->integer;
    return SAMP_OK;
}

static samp_status rounded(samp__render *r, const samp__call *call, samp__value *out)
{
    int64_t precision = 0;
    samp__text method = SAMP__LITERAL("common");
    SAMP_TRY(samp__argument_int(r, call, 0, &precision));
    SAMP_TRY(samp__argument_text(r, call, 1, &method));
    samp__value self = call->self.kind == SAMP__BOOL ? samp__int(call->self.truth) : call->self;
    bool is_int = self.kind == SAMP__INT;
    if (!is_int && self.kind != SAMP__FLOAT)
        return samp__fail(r, SAMP_INVALID, "'round' of %s", samp__kind_name(self.kind));
    if (precision < 0 || precision > 15)
        return samp__fail(r, SAMP_UNSUPPORTED, "'round' to %lld digits", (long long)precision);
    double number = is_int ? (double)self.integer : self.number;
    double scale = pow(10, (double)precision);
    if (samp__text_is(method, "common")) { /* to the nearest decimal, as printf rounds */
        char text[400];
        snprintf(text, sizeof text, "%.*f", (int)precision, number);
        *out = is_int ? self : samp__float(strtod(text, NULL));
        return SAMP_OK;
    }
    bool up = samp__text_is(method, "ceil");
    if (!up && !samp__text_is(method, "floor"))
        return samp__fail(r, SAMP_INVALID, "'round' is common, ceil or floor");
    /* + 0: Python's are integers here, which have no negative zero. */
    *out = samp__float(((up ? ceil(number * scale) : floor(number * scale)) + 0.0) / scale);
    return SAMP_OK;
}

/* ---- of any value ---------------------------------------------------------------------------- */

static samp_status length(samp__render *r, const samp__call *call, samp__value *out)
{
    uint32_t n;
    if (!samp__length(&call->self, &n))
        return samp__fail(r, SAMP_INVALID, "%s has no length", samp__kind_name(call->self.kind));
    *out = samp__int(n);
    return samp__charge(r, call->self.kind == SAMP__TEXT ? call->self.text.n / 64 : 0);
}

static samp_status or_default(samp__render *r, const samp__call *call, samp__value *out)
{
    bool missing = call->self.kind == SAMP__UNDEFINED ||
                   (samp__argument_truth(call, 1) && !samp__truth(&call->self));
    *out = !missing                             ? call->self
           : call->args[0].kind == SAMP__ABSENT ? samp__of_text(SAMP__LITERAL(""))
                                                : call->args[0];
    return samp__charge(r, 1);
}

const samp__builtin samp__text_filters[] = {
    {"trim", "chars", 0, as_method},
    {"upper", "", 0, as_method},
    {"lower", "", 0, as_method},
    {"capitalize", "", 0, as_method},
    {"replace", "old new count", 2, as_method},
    {"title", "", 0, title},
    {"string", "", 0, string},
    {"safe", "", 0, safe},
    {"indent", "width first blank", 0, indent},
    {"tojson", "ensure_ascii indent separators sort_keys", 0, tojson},
    {"int", "default base", 0, to_int},
    {"float", "default", 0, to_float},
    {"abs", "", 0, absolute},
    {"round", "precision method", 0, rounded},
    {"length", "", 0, length},
    {"count", "", 0, length},
    {"default", "default_value boolean", 0, or_default},
    {"d", "default_value boolean", 0, or_default},
    {0},
};
