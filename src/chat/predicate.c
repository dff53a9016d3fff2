/* What stands behind "is": tests of a value's kind, and comparisons by name. */
#include "chat/jinja.h"

static samp_status is_defined(samp__render *r, const samp__call *call, samp__value *out)
{
    bool defined = call->self.kind != SAMP__UNDEFINED;
    *out = samp__bool(defined == (call->row->name[0] == 'd'));
    return samp__charge(r, 1);
}

/* Kinds of values, as bits of a set. */
#define KIND(kind) (1u << SAMP__##kind)
static const struct kind_test {
    const char *name;
    unsigned kinds;
} KIND_TESTS[] = {
    {"none", KIND(NONE)},
    {"string", KIND(TEXT)},
    {"mapping", KIND(DICT)},
    {"boolean", KIND(BOOL)},
    {"integer", KIND(INT)},
    {"float", KIND(FLOAT)},
    {"number", KIND(BOOL) | KIND(INT) | KIND(FLOAT)},
    /* What has a length and items; Jinja2 counts dicts too. */
    {"sequence", KIND(TEXT) | KIND(LIST) | KIND(TUPLE) | KIND(DICT) | KIND(UNDEFINED)},
    {"iterable", KIND(TEXT) | KIND(LIST) | KIND(TUPLE) | KIND(DICT) | KIND(LOOP) | KIND(UNDEFINED)},
    {"callable", KIND(MACRO) | KIND(FUNCTION) | KIND(METHOD)},
};

static samp_status is_kind(samp__render *r, const samp__call *call, samp__value *out)
{
    for (size_t i = 0; i < sizeof KIND_TESTS / sizeof *KIND_TESTS; i++)
        if (strcmp(KIND_TESTS[i].name, call->row->name) == 0)
            *out = samp__bool(KIND_TESTS[i].kinds >> call->self.kind & 1);
    return samp__charge(r, 1);
}

static samp_status is_truth(samp__render *r, const samp__call *call, samp__value *out)
{
    *out = samp__bool(call->self.kind == SAMP__BOOL &&
                      call->self.truth == (call->row->name[0] == 't'));
    return samp__charge(r, 1);
}

static samp_status is_multiple(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__value two = samp__int(2), rest, wanted = samp__int(call->row->name[0] == 'o');
    bool holds;
    const samp__value *divisor = call->args[0].kind == SAMP__ABSENT ? &two : &call->args[0];
    SAMP_TRY(samp__binary(r, '%', &call->self, divisor, &rest));
    SAMP_TRY(samp__equal(r, &rest, &wanted, &holds));
    *out = samp__bool(holds);
    return SAMP_OK;
}

static const struct comparison {
    const char *name;
    int op;
} COMPARISONS[] = {
    {"eq", SAMP__OP2('=', '=')},
    {"equalto", SAMP__OP2('=', '=')},
    {"==", SAMP__OP2('=', '=')},
    {"ne", SAMP__OP2('!', '=')},
    {"!=", SAMP__OP2('!', '=')},
    {"lt", '<'},
    {"lessthan", '<'},
    {"<", '<'},
    {"le", SAMP__OP2('<', '=')},
    {"<=", SAMP__OP2('<', '=')},
    {"gt", '>'},
    {"greaterthan", '>'},
    {">", '>'},
    {"ge", SAMP__OP2('>', '=')},
    {">=", SAMP__OP2('>', '=')},
    {"in", 'i'},
};

static samp_status compares(samp__render *r, const samp__call *call, samp__value *out)
{
    bool holds = false;
    for (size_t i = 0; i < sizeof COMPARISONS / sizeof *COMPARISONS; i++)
        if (strcmp(COMPARISONS[i].name, call->row->name) == 0)
            SAMP_TRY(samp__compare(r, COMPARISONS[i].op, &call->self, &call->args[0], &holds));
    *out = samp__bool(holds);
    return SAMP_OK;
}

/* The same object: for what templates compare so (none, booleans, numbers), one kind and equal. */
static samp_status same_as(samp__render *r, const samp__call *call, samp__value *out)
{
    bool same;
    SAMP_TRY(samp__equal(r, &call->self, &call->args[0], &same));
    *out = samp__bool(same && call->self.kind == call->args[0].kind);
    return SAMP_OK;
}

static samp_status is_case(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__call inner = *call;
    samp__text name =
        call->row->name[0] == 'u' ? SAMP__LITERAL("isupper") : SAMP__LITERAL("islower");
    inner.row = samp__method_find(SAMP__TEXT, name);
    SAMP_TRY(samp__to_text(r, &call->self, &inner.self.text));
    inner.self.kind = SAMP__TEXT;
    return inner.row->run(r, &inner, out);
}

static const samp__builtin TESTS[] = {
    {"defined", "", 0, is_defined},
    {"undefined", "", 0, is_defined},
    {"none", "", 0, is_kind},
    {"string", "", 0, is_kind},
    {"mapping", "", 0, is_kind},
    {"boolean", "", 0, is_kind},
    {"integer", "", 0, is_kind},
    {"float", "", 0, is_kind},
    {"number", "", 0, is_kind},
    {"sequence", "", 0, is_kind},
    {"iterable", "", 0, is_kind},
    {"callable", "", 0, is_kind},
    {"true", "", 0, is_truth},
    {"false", "", 0, is_truth},
    {"odd", "", 0, is_multiple},
    {"even", "", 0, is_multiple},
    {"divisibleby", "num", 1, is_multiple},
    {"sameas", "other", 1, same_as},
    {"upper", "", 0, is_case},
    {"lower", "", 0, is_case},
    {"eq", "b", 1, compares},
    {"equalto", "b", 1, compares},
    {"==", "b", 1, compares},
    {"ne", "b", 1, compares},
    {"!=", "b", 1, compares},
    {"lt", "b", 1, compares},
    {"lessthan", "b", 1, compares},
    {"<", "b", 1, compares},
    {"le", "b", 1, compares},
    {"<=", "b", 1, compares},
    {"gt", "b", 1, compares},
    {"greaterthan", "b", 1, compares},
    {">", "b", 1, compares},
    {"ge", "b", 1, compares},
    {">=", "b", 1, compares},
    {"in", "b", 1, compares},
};

const samp__builtin *samp__test_find(samp__text name)
{
    for (size_t i = 0; i < sizeof TESTS / sizeof *TESTS; i++)
        if (samp__text_is(name, TESTS[i].name)) return &TESTS[i];
    return NULL;
}
