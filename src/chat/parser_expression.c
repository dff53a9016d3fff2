/* Parser of the Jinja subset: expressions, from loosest to tightest:
 * a if b else c · or · and · not · comparisons, in · + - · ~ · * / // % · ** · unary, then
 * .name [item] (arguments), then |filter and is test. */
#include "chat/jinja.h"

#include <stdio.h>

static samp_status parse_or(samp__parser *p, samp__node **out);
static samp_status parse_unary(samp__parser *p, bool with_filter, samp__node **out);
static samp_status parse_arguments(samp__parser *p, samp__node *node);

/* Puts *out under a new node as its `a`. */
static samp_status wrap(samp__parser *p, samp__node_kind kind, samp__node **out)
{
    samp__node *inner = *out, *node;
    SAMP_TRY(samp__node_new(p, kind, &node));
    node->a = inner;
    *out = node;
    return SAMP_OK;
}

static samp_status nest(samp__parser *p)
{
    if (p->depth++ < SAMP__PARSE_DEPTH) return SAMP_OK;
    return samp_fail(p->error, SAMP_LIMIT, "%s, line %u, column %u: nested too deeply",
                     p->template->where, p->at->line, p->at->column);
}

/* ---- primary expressions --------------------------------------------------------------------- */

static samp_status parse_literal(samp__parser *p, samp__node **out)
{
    samp__node *node;
    SAMP_TRY(samp__node_new(p, SAMP__N_CONST, out));
    node = *out;
    const samp__lexeme *at = p->at++;
    if (at->kind == SAMP__LEX_INTEGER) {
        node->value = samp__int(at->integer);
    } else if (at->kind == SAMP__LEX_FLOAT) {
        node->value = samp__float(at->number);
    } else { /* texts side by side are one */
        samp_buffer text = {0};
        samp_buffer_append(&text, at->text, at->n);
        for (; p->at->kind == SAMP__LEX_STRING; p->at++)
            samp_buffer_append(&text, p->at->text, p->at->n);
        char *bytes =
            text.failed ? NULL : samp_arena_strndup(&p->template->arena, text.data, text.length);
        node->value = samp__of_text(
            (samp__text){.bytes = bytes, .n = (uint32_t)text.length, .trusted = true});
        samp_buffer_release(&text);
        if (!bytes) return samp_fail(p->error, SAMP_NOMEM, "%s: out of memory", p->template->where);
    }
    return SAMP_OK;
}

static samp_status parse_word(samp__parser *p, samp__node **out)
{
    static const struct {
        const char *word;
        samp__value value;
    } constants[] = {
        {"true", {.kind = SAMP__BOOL, .truth = true}},
        {"false", {.kind = SAMP__BOOL}},
        {"True", {.kind = SAMP__BOOL, .truth = true}},
        {"False", {.kind = SAMP__BOOL}},
        {"none", {.kind = SAMP__NONE}},
        {"None", {.kind = SAMP__NONE}},
    };
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        if (!samp__at_word(p, constants[i].word)) continue;
        SAMP_TRY(samp__node_new(p, SAMP__N_CONST, out));
        (*out)->value = constants[i].value;
        p->at++;
        return SAMP_OK;
    }
    SAMP_TRY(samp__node_new(p, SAMP__N_NAME, out));
    return samp__parse_name(p, &(*out)->name);
}

static samp_status parse_list(samp__parser *p, samp__node **out)
{
    SAMP_TRY(samp__node_new(p, SAMP__N_LIST, out));
    samp__node **last = &(*out)->items;
    p->at++;
    for (; !samp__at_op(p, ']'); (*out)->n_items++) {
        if ((*out)->n_items) SAMP_TRY(samp__expect_op(p, ',', "',' or ']'"));
        if (samp__at_op(p, ']')) break;
        SAMP_TRY(samp__parse_expression(p, true, last));
        last = &(*last)->next;
    }
    p->at++;
    return SAMP_OK;
}

static samp_status parse_dict(samp__parser *p, samp__node **out)
{
    SAMP_TRY(samp__node_new(p, SAMP__N_DICT, out));
    samp__node **last = &(*out)->items;
    p->at++;
    for (; !samp__at_op(p, '}'); (*out)->n_items++) {
        if ((*out)->n_items) SAMP_TRY(samp__expect_op(p, ',', "',' or '}'"));
        if (samp__at_op(p, '}')) break;
        SAMP_TRY(samp__node_new(p, SAMP__N_PAIR, last));
        SAMP_TRY(samp__parse_expression(p, true, &(*last)->a));
        SAMP_TRY(samp__expect_op(p, ':', "':'"));
        SAMP_TRY(samp__parse_expression(p, true, &(*last)->b));
        last = &(*last)->next;
    }
    p->at++;
    return SAMP_OK;
}

static bool at_tuple_end(const samp__parser *p)
{
    return p->at->kind == SAMP__LEX_OUTPUT_END || p->at->kind == SAMP__LEX_BLOCK_END ||
           samp__at_op(p, ')') || samp__at_word(p, "in") || samp__at_word(p, "recursive");
}

static samp_status parse_primary(samp__parser *p, samp__node **out);

/* Expressions with commas between them become a tuple; a single one stays itself. */
static samp_status parse_commas(samp__parser *p, samp__node **out, bool is_target,
                                bool with_conditional, bool may_be_empty)
{
    samp__node *tuple, *first = NULL, **last = &first;
    bool is_tuple = false;
    SAMP_TRY(samp__node_new(p, SAMP__N_TUPLE, &tuple));
    for (; !at_tuple_end(p); tuple->n_items++) {
        if (is_target)
            SAMP_TRY(parse_primary(p, last));
        else
            SAMP_TRY(samp__parse_expression(p, with_conditional, last));
        if (is_target && (*last)->kind == SAMP__N_NAME && samp__at_op(p, '.')) {
            SAMP_TRY(wrap(p, SAMP__N_ATTRIBUTE, last));
            p->at++;
            if (p->at->kind != SAMP__LEX_NAME) return samp__parse_fail(p, "a name");
            (*last)->text = (samp__text){.bytes = p->at->text, .n = p->at->n, .trusted = true};
            p->at++;
        }
        last = &(*last)->next;
        if (!samp__skip_op(p, ',')) {
            tuple->n_items++;
            break;
        }
        is_tuple = true;
    }
    if (!is_tuple && !first && !may_be_empty) return samp__parse_fail(p, "an expression");
    tuple->items = first;
    *out = is_tuple || !first ? tuple : first;
    return SAMP_OK;
}

samp_status samp__parse_tuple(samp__parser *p, bool with_conditional, samp__node **out)
{
    return parse_commas(p, out, false, with_conditional, false);
}

static bool is_assignable(const samp__node *node)
{
    if (node->kind == SAMP__N_TUPLE) {
        for (const samp__node *item = node->items; item; item = item->next)
            if (!is_assignable(item)) return false;
        return node->items != NULL;
    }
    return node->kind == SAMP__N_NAME || node->kind == SAMP__N_ATTRIBUTE;
}

samp_status samp__parse_target(samp__parser *p, samp__node **out)
{
    const samp__lexeme *start = p->at;
    SAMP_TRY(parse_commas(p, out, true, false, false));
    if (is_assignable(*out)) return SAMP_OK;
    p->at = start;
    return samp__parse_fail(p, "a name to assign to");
}

static samp_status parse_primary(samp__parser *p, samp__node **out)
{
    SAMP_TRY(nest(p));
    samp_status status;
    if (p->at->kind == SAMP__LEX_NAME) {
        status = parse_word(p, out);
    } else if (p->at->kind == SAMP__LEX_STRING || p->at->kind == SAMP__LEX_INTEGER ||
               p->at->kind == SAMP__LEX_FLOAT) {
        status = parse_literal(p, out);
    } else if (samp__at_op(p, '[')) {
        status = parse_list(p, out);
    } else if (samp__at_op(p, '{')) {
        status = parse_dict(p, out);
    } else if (samp__skip_op(p, '(')) {
        status = parse_commas(p, out, false, true, true);
        if (status == SAMP_OK) status = samp__expect_op(p, ')', "')'");
    } else {
        status = samp__parse_fail(p, "an expression");
    }
    p->depth--;
    return status;
}

/* ---- what follows a primary expression ------------------------------------------------------- */

static samp_status parse_bound(samp__parser *p, samp__node **out)
{
    if (samp__at_op(p, ':') || samp__at_op(p, ']') || samp__at_op(p, ',')) return SAMP_OK;
    return samp__parse_expression(p, true, out);
}

/* What is between [ and ]: an expression or a slice. */
static samp_status parse_subscript(samp__parser *p, samp__node **out)
{
    samp__node *from = NULL;
    if (samp__at_op(p, ']')) return samp__parse_fail(p, "an index");
    SAMP_TRY(parse_bound(p, &from));
    if (from && !samp__at_op(p, ':')) {
        *out = from;
    } else {
        SAMP_TRY(samp__node_new(p, SAMP__N_SLICE, out));
        (*out)->a = from;
        SAMP_TRY(samp__expect_op(p, ':', "':'"));
        SAMP_TRY(parse_bound(p, &(*out)->b));
        if (samp__skip_op(p, ':')) SAMP_TRY(parse_bound(p, &(*out)->c));
    }
    return samp__expect_op(p, ']', "']'");
}

static samp_status parse_attribute(samp__parser *p, samp__node **out)
{
    if (p->at->kind == SAMP__LEX_INTEGER) {
        SAMP_TRY(wrap(p, SAMP__N_ITEM, out));
        return parse_literal(p, &(*out)->b);
    }
    if (p->at->kind != SAMP__LEX_NAME) return samp__parse_fail(p, "a name or a number");
    SAMP_TRY(wrap(p, SAMP__N_ATTRIBUTE, out));
    (*out)->text = (samp__text){.bytes = p->at->text, .n = p->at->n, .trusted = true};
    p->at++;
    return SAMP_OK;
}

static samp_status parse_postfix(samp__parser *p, samp__node **out)
{
    for (;;) {
        if (samp__skip_op(p, '.')) {
            SAMP_TRY(parse_attribute(p, out));
        } else if (samp__at_op(p, '[')) {
            SAMP_TRY(wrap(p, SAMP__N_ITEM, out));
            p->at++;
            SAMP_TRY(parse_subscript(p, &(*out)->b));
        } else if (samp__at_op(p, '(')) {
            SAMP_TRY(wrap(p, SAMP__N_CALL, out));
            SAMP_TRY(parse_arguments(p, *out));
        } else {
            return SAMP_OK;
        }
    }
}

static samp_status parse_argument(samp__parser *p, samp__node *node, samp__node ***last,
                                  samp__node ***last_keyword)
{
    if (samp__at_op(p, '*') || samp__at_op(p, SAMP__OP2('*', '*')))
        return samp_fail(p->error, SAMP_UNSUPPORTED,
                         "%s, line %u, column %u: * and ** arguments are not supported",
                         p->template->where, p->at->line, p->at->column);
    if (node->n_items == SAMP__ARGUMENTS_MAX || node->n_keywords == SAMP__ARGUMENTS_MAX)
        return samp_fail(p->error, SAMP_LIMIT,
                         "%s, line %u, column %u: a call has at most %d arguments",
                         p->template->where, p->at->line, p->at->column, SAMP__ARGUMENTS_MAX);
    bool is_keyword =
        p->at->kind == SAMP__LEX_NAME && p->at[1].kind == SAMP__LEX_OPERATOR && p->at[1].op == '=';
    if (!is_keyword && node->n_keywords)
        return samp__parse_fail(p, "a named argument after the first named one");
    if (!is_keyword) {
        node->n_items++;
        SAMP_TRY(samp__parse_expression(p, true, *last));
        *last = &(**last)->next;
        return SAMP_OK;
    }
    samp__node *keyword;
    SAMP_TRY(samp__node_new(p, SAMP__N_KEYWORD, &keyword));
    keyword->text = (samp__text){.bytes = p->at->text, .n = p->at->n, .trusted = true};
    p->at += 2;
    node->n_keywords++;
    **last_keyword = keyword;
    *last_keyword = &keyword->next;
    return samp__parse_expression(p, true, &keyword->a);
}

/* "(…)", into items and keywords. */
static samp_status parse_arguments(samp__parser *p, samp__node *node)
{
    samp__node **last = &node->items, **last_keyword = &node->keywords;
    p->at++;
    for (bool first = true; !samp__at_op(p, ')'); first = false) {
        if (!first) SAMP_TRY(samp__expect_op(p, ',', "',' or ')'"));
        if (samp__at_op(p, ')')) break;
        SAMP_TRY(parse_argument(p, node, &last, &last_keyword));
    }
    p->at++;
    return SAMP_OK;
}

samp_status samp__parse_filters(samp__parser *p, bool at_name, samp__node **node)
{
    while (at_name || samp__skip_op(p, '|')) {
        at_name = false;
        if (p->at->kind != SAMP__LEX_NAME) return samp__parse_fail(p, "the name of a filter");
        SAMP_TRY(wrap(p, SAMP__N_FILTER, node));
        (*node)->text = (samp__text){.bytes = p->at->text, .n = p->at->n, .trusted = true};
        (*node)->row = samp__filter_find((*node)->text);
        p->at++;
        if (samp__at_op(p, '(')) SAMP_TRY(parse_arguments(p, *node));
    }
    return SAMP_OK;
}

/* Whether an argument without parentheses follows the name of a test. */
static bool at_bare_argument(const samp__parser *p)
{
    if (p->at->kind == SAMP__LEX_NAME)
        return !samp__at_word(p, "else") && !samp__at_word(p, "or") && !samp__at_word(p, "and");
    return p->at->kind == SAMP__LEX_STRING || p->at->kind == SAMP__LEX_INTEGER ||
           p->at->kind == SAMP__LEX_FLOAT || samp__at_op(p, '[') || samp__at_op(p, '{');
}

static samp_status parse_test(samp__parser *p, samp__node **out)
{
    bool negated = samp__skip_word(p, "not");
    if (p->at->kind != SAMP__LEX_NAME) return samp__parse_fail(p, "the name of a test");
    SAMP_TRY(wrap(p, SAMP__N_TEST, out));
    samp__node *test = *out;
    test->text = (samp__text){.bytes = p->at->text, .n = p->at->n, .trusted = true};
    test->row = samp__test_find(test->text);
    p->at++;
    if (samp__at_op(p, '(')) {
        SAMP_TRY(parse_arguments(p, test));
    } else if (samp__at_word(p, "is")) {
        return samp__parse_fail(p, "an end: tests cannot be chained");
    } else if (at_bare_argument(p)) {
        test->n_items = 1;
        SAMP_TRY(parse_primary(p, &test->items));
        SAMP_TRY(parse_postfix(p, &test->items));
    }
    return negated ? wrap(p, SAMP__N_NOT, out) : SAMP_OK;
}

static samp_status parse_filters_and_tests(samp__parser *p, samp__node **out)
{
    for (;;) {
        if (samp__at_op(p, '|')) {
            SAMP_TRY(samp__parse_filters(p, false, out));
        } else if (samp__skip_word(p, "is")) {
            SAMP_TRY(parse_test(p, out));
        } else if (samp__at_op(p, '(')) {
            SAMP_TRY(wrap(p, SAMP__N_CALL, out));
            SAMP_TRY(parse_arguments(p, *out));
        } else {
            return SAMP_OK;
        }
    }
}

/* ---- operators ------------------------------------------------------------------------------- */

static samp_status parse_unary(samp__parser *p, bool with_filter, samp__node **out)
{
    SAMP_TRY(nest(p));
    if (samp__at_op(p, '-') || samp__at_op(p, '+')) {
        SAMP_TRY(samp__node_new(p, samp__at_op(p, '-') ? SAMP__N_NEGATE : SAMP__N_POSITIVE, out));
        p->at++;
        SAMP_TRY(parse_unary(p, false, &(*out)->a));
    } else {
        SAMP_TRY(parse_primary(p, out));
    }
    SAMP_TRY(parse_postfix(p, out));
    if (with_filter) SAMP_TRY(parse_filters_and_tests(p, out));
    p->depth--;
    return SAMP_OK;
}

/* Arithmetic by level, loosest first; level 1 is "~", which makes one node of all its operands. */
static const int OPERATORS[][5] = {
    {'+', '-'}, {'~'}, {'*', '/', SAMP__OP2('/', '/'), '%'}, {SAMP__OP2('*', '*')}};
enum { LEVELS = 4, LEVEL_CONCAT = 1 };

static bool at_level(const samp__parser *p, int level)
{
    for (const int *op = OPERATORS[level]; *op; op++)
        if (samp__at_op(p, *op)) return true;
    return false;
}

static samp_status parse_arithmetic(samp__parser *p, int level, samp__node **out)
{
    if (level == LEVELS) return parse_unary(p, true, out);
    SAMP_TRY(parse_arithmetic(p, level + 1, out));
    if (level == LEVEL_CONCAT && at_level(p, level)) {
        samp__node *first = *out, **last = &first->next;
        SAMP_TRY(samp__node_new(p, SAMP__N_CONCAT, out));
        (*out)->items = first;
        for (; at_level(p, level); last = &(*last)->next) {
            p->at++;
            SAMP_TRY(parse_arithmetic(p, level + 1, last));
        }
        return SAMP_OK;
    }
    while (at_level(p, level)) {
        SAMP_TRY(wrap(p, SAMP__N_BINARY, out));
        (*out)->op = p->at++->op;
        SAMP_TRY(parse_arithmetic(p, level + 1, &(*out)->b));
    }
    return SAMP_OK;
}

/* '=' '=' …, 'i' for in, 'n' for not in; 0 when there is none. */
static int read_comparison(samp__parser *p)
{
    static const int ops[] = {SAMP__OP2('=', '='), SAMP__OP2('!', '='), '<', '>',
                              SAMP__OP2('<', '='), SAMP__OP2('>', '=')};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (samp__skip_op(p, ops[i])) return ops[i];
    if (samp__skip_word(p, "in")) return 'i';
    if (!samp__at_word(p, "not") || p->at[1].kind != SAMP__LEX_NAME ||
        strcmp(p->at[1].text, "in") != 0)
        return 0;
    p->at += 2;
    return 'n';
}

static samp_status parse_comparison(samp__parser *p, samp__node **out)
{
    SAMP_TRY(parse_arithmetic(p, 0, out));
    samp__node *compare = NULL, **last = NULL;
    for (int op; (op = read_comparison(p)) != 0;) {
        samp__node *operand;
        SAMP_TRY(samp__node_new(p, SAMP__N_OPERAND, &operand));
        operand->op = op;
        if (!compare) {
            SAMP_TRY(wrap(p, SAMP__N_COMPARE, out));
            compare = *out;
            last = &compare->items;
        }
        SAMP_TRY(parse_arithmetic(p, 0, &operand->a));
        *last = operand;
        last = &operand->next;
    }
    return SAMP_OK;
}

static samp_status parse_not(samp__parser *p, samp__node **out)
{
    if (!samp__at_word(p, "not")) return parse_comparison(p, out);
    SAMP_TRY(nest(p));
    SAMP_TRY(samp__node_new(p, SAMP__N_NOT, out));
    p->at++;
    SAMP_TRY(parse_not(p, &(*out)->a));
    p->depth--;
    return SAMP_OK;
}

static samp_status parse_and(samp__parser *p, samp__node **out)
{
    SAMP_TRY(parse_not(p, out));
    while (samp__at_word(p, "and")) {
        SAMP_TRY(wrap(p, SAMP__N_AND, out));
        p->at++;
        SAMP_TRY(parse_not(p, &(*out)->b));
    }
    return SAMP_OK;
}

static samp_status parse_or(samp__parser *p, samp__node **out)
{
    SAMP_TRY(parse_and(p, out));
    while (samp__at_word(p, "or")) {
        SAMP_TRY(wrap(p, SAMP__N_OR, out));
        p->at++;
        SAMP_TRY(parse_and(p, &(*out)->b));
    }
    return SAMP_OK;
}

samp_status samp__parse_expression(samp__parser *p, bool with_conditional, samp__node **out)
{
    SAMP_TRY(nest(p));
    SAMP_TRY(parse_or(p, out));
    while (with_conditional && samp__at_word(p, "if")) {
        samp__node *node, *value = *out;
        SAMP_TRY(samp__node_new(p, SAMP__N_CONDITIONAL, &node));
        p->at++;
        node->b = value;
        SAMP_TRY(parse_or(p, &node->a));
        if (samp__skip_word(p, "else")) SAMP_TRY(samp__parse_expression(p, true, &node->c));
        *out = node;
    }
    p->depth--;
    return SAMP_OK;
}
