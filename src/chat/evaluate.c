/* Evaluating expressions: names, literals, logic, comparisons, and calls. Arithmetic is in
 * operators.c, a.b and a[b] in access.c, filters and methods in the tables that builtin.c joins. */
#include "chat/jinja.h"

static samp_status evaluate_name(samp__render *r, const samp__node *node, samp__value *out)
{
    const char *name = r->template->names.items[node->name];
    for (const samp__frame *frame = r->frame; frame; frame = frame->parent) {
        SAMP_TRY(samp__charge(r, frame->n / 16));
        for (uint32_t i = frame->n; i-- > 0;)
            if (frame->bindings[i].name == node->name) {
                *out = frame->bindings[i].value;
                return SAMP_OK;
            }
    }
    const samp__builtin *function = samp__function_find(name);
    *out = function ? (samp__value){.kind = SAMP__FUNCTION, .function = function}
                    : (samp__value){.kind = SAMP__UNDEFINED, .missing = name};
    return SAMP_OK;
}

static samp_status evaluate_list(samp__render *r, const samp__node *node, samp__value *out)
{
    samp__list *list;
    SAMP_TRY(samp__allocate(r, 1, sizeof *list, &list));
    for (const samp__node *item = node->items; item; item = item->next) {
        samp__value value;
        SAMP_TRY(samp__evaluate(r, item, &value));
        SAMP_TRY(samp__list_add(r, list, value));
    }
    *out =
        (samp__value){.kind = node->kind == SAMP__N_LIST ? SAMP__LIST : SAMP__TUPLE, .list = list};
    return SAMP_OK;
}

static samp_status evaluate_dict(samp__render *r, const samp__node *node, samp__value *out)
{
    samp__dict *dict;
    SAMP_TRY(samp__allocate(r, 1, sizeof *dict, &dict));
    for (const samp__node *pair = node->items; pair; pair = pair->next) {
        samp__value key, value;
        SAMP_TRY(samp__evaluate(r, pair->a, &key));
        SAMP_TRY(samp__evaluate(r, pair->b, &value));
        SAMP_TRY(samp__dict_set(r, dict, key, value));
    }
    *out = (samp__value){.kind = SAMP__DICT, .dict = dict};
    return SAMP_OK;
}

static samp_status evaluate_conditional(samp__render *r, const samp__node *node, samp__value *out)
{
    samp__value test;
    SAMP_TRY(samp__evaluate(r, node->a, &test));
    if (samp__truth(&test)) return samp__evaluate(r, node->b, out);
    if (node->c) return samp__evaluate(r, node->c, out);
    *out = (samp__value){.kind = SAMP__UNDEFINED, .missing = "an if without else"};
    return SAMP_OK;
}

/* and, or: the operand that decided, as in Python. */
static samp_status evaluate_logic(samp__render *r, const samp__node *node, samp__value *out)
{
    SAMP_TRY(samp__evaluate(r, node->a, out));
    if (samp__truth(out) == (node->kind == SAMP__N_OR)) return SAMP_OK;
    return samp__evaluate(r, node->b, out);
}

/* a < b < c is a < b and b < c. */
static samp_status evaluate_compare(samp__render *r, const samp__node *node, samp__value *out)
{
    samp__value left, right;
    bool holds = true;
    SAMP_TRY(samp__evaluate(r, node->a, &left));
    for (const samp__node *operand = node->items; holds && operand; operand = operand->next) {
        SAMP_TRY(samp__evaluate(r, operand->a, &right));
        SAMP_TRY(samp__compare(r, operand->op, &left, &right, &holds));
        left = right;
    }
    *out = samp__bool(holds);
    return SAMP_OK;
}

static samp_status evaluate_binary(samp__render *r, const samp__node *node, samp__value *out)
{
    samp__value a, b;
    SAMP_TRY(samp__evaluate(r, node->a, &a));
    SAMP_TRY(samp__evaluate(r, node->b, &b));
    return samp__binary(r, node->op, &a, &b, out);
}

static samp_status evaluate_sign(samp__render *r, const samp__node *node, samp__value *out)
{
    samp__value zero = samp__int(0), a;
    SAMP_TRY(samp__evaluate(r, node->a, &a));
    if (a.kind == SAMP__TEXT || a.kind == SAMP__LIST)
        return samp__fail(r, SAMP_INVALID, "%s has no sign", samp__kind_name(a.kind));
    if (node->kind == SAMP__N_NEGATE && a.kind == SAMP__FLOAT) {
        *out = samp__float(-a.number);
        return SAMP_OK;
    }
    return samp__binary(r, node->kind == SAMP__N_NEGATE ? '-' : '+', &zero, &a, out);
}

static samp_status evaluate_concat(samp__render *r, const samp__node *node, samp__value *out)
{
    samp__builder b = {0};
    for (const samp__node *item = node->items; item; item = item->next) {
        samp__value value;
        SAMP_TRY(samp__evaluate(r, item, &value));
        SAMP_TRY(samp__build_value(r, &b, &value));
    }
    *out = samp__of_text(samp__built(&b));
    return SAMP_OK;
}

static samp_status evaluate_item(samp__render *r, const samp__node *node, samp__value *out)
{
    samp__value object, key, bounds[3] = {{SAMP__ABSENT}, {SAMP__ABSENT}, {SAMP__ABSENT}};
    const samp__node *b = node->b;
    SAMP_TRY(samp__evaluate(r, node->a, &object));
    if (b->kind != SAMP__N_SLICE) {
        SAMP_TRY(samp__evaluate(r, b, &key));
        return samp__item(r, &object, &key, out);
    }
    const samp__node *const parts[3] = {b->a, b->b, b->c};
    for (int i = 0; i < 3; i++)
        if (parts[i]) SAMP_TRY(samp__evaluate(r, parts[i], &bounds[i]));
    return samp__slice(r, &object, bounds, out);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static samp_status evaluate_arguments(samp__render *r, const samp__node *node,
                                      samp__arguments *given)
{
    given->n = given->n_keywords = 0;
    for (const samp__node *item = node->items; item; item = item->next)
        SAMP_TRY(samp__evaluate(r, item, &given->items[given->n++]));
    for (const samp__node *item = node->keywords; item; item = item->next) {
        given->keywords[given->n_keywords].name = item->text;
        SAMP_TRY(samp__evaluate(r, item->a, &given->keywords[given->n_keywords++].value));
    }
    return SAMP_OK;
}

static samp_status evaluate_call(samp__render *r, const samp__node *node, samp__value *out)
{
    samp__value callee;
    samp__arguments *given; /* not on the stack: calls nest */
    SAMP_TRY(samp__evaluate(r, node->a, &callee));
    SAMP_TRY(samp__allocate(r, 1, sizeof *given, &given));
    SAMP_TRY(evaluate_arguments(r, node, given));
    return samp__call_value(r, &callee, given, out);
}

static samp_status evaluate_filter(samp__render *r, const samp__node *node, samp__value *out)
{
    samp__value self;
    samp__arguments *given;
    if (!node->row)
        return samp__fail(r, SAMP_UNSUPPORTED, "the %s '%.*s' is not supported",
                          node->kind == SAMP__N_TEST ? "test" : "filter",
                          (int)(node->text.n < 60 ? node->text.n : 60), node->text.bytes);
    SAMP_TRY(samp__evaluate(r, node->a, &self));
    SAMP_TRY(samp__allocate(r, 1, sizeof *given, &given));
    SAMP_TRY(evaluate_arguments(r, node, given));
    return samp__call_builtin(r, node->row, &self, given, out);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static samp_status evaluate_kind(samp__render *r, const samp__node *node, samp__value *out)
{
    samp__value a;
    switch (node->kind) {
    case SAMP__N_CONST: *out = node->value; return SAMP_OK;
    case SAMP__N_CAPTURED: *out = samp__of_text(r->captured); return SAMP_OK;
    case SAMP__N_NAME: return evaluate_name(r, node, out);
    case SAMP__N_LIST:
    case SAMP__N_TUPLE: return evaluate_list(r, node, out);
    case SAMP__N_DICT: return evaluate_dict(r, node, out);
    case SAMP__N_CONDITIONAL: return evaluate_conditional(r, node, out);
    case SAMP__N_OR:
    case SAMP__N_AND: return evaluate_logic(r, node, out);
    case SAMP__N_NOT:
        SAMP_TRY(samp__evaluate(r, node->a, &a));
        *out = samp__bool(!samp__truth(&a));
        return SAMP_OK;
    case SAMP__N_COMPARE: return evaluate_compare(r, node, out);
    case SAMP__N_BINARY: return evaluate_binary(r, node, out);
    case SAMP__N_NEGATE:
    case SAMP__N_POSITIVE: return evaluate_sign(r, node, out);
    case SAMP__N_CONCAT: return evaluate_concat(r, node, out);
    case SAMP__N_ATTRIBUTE:
        SAMP_TRY(samp__evaluate(r, node->a, &a));
        return samp__attribute(r, &a, node->text, out);
    case SAMP__N_ITEM: return evaluate_item(r, node, out);
    case SAMP__N_CALL: return evaluate_call(r, node, out);
    case SAMP__N_FILTER:
    case SAMP__N_TEST: return evaluate_filter(r, node, out);
    default: return samp__fail(r, SAMP_UNSUPPORTED, "this is not an expression");
    }
}

samp_status samp__evaluate(samp__render *r, const samp__node *node, samp__value *out)
{
    const samp__node *outer = r->at;
    SAMP_TRY(samp__enter(r));
    r->at = node;
    SAMP_TRY(samp__charge(r, 1));
    SAMP_TRY(evaluate_kind(r, node, out));
    r->at = outer;
    samp__leave(r);
    return SAMP_OK;
}
