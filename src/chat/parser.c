/* Parser of the Jinja subset: statements. Expressions are in parser_expression.c, the tokens come
 * from lexer.c; the tree lies in the template's arena.
 *
 * Known: for (with if, else, tuples), if / elif / else, set (values and blocks), macro, filter
 * blocks, with, generation, break, continue. Statements that load other templates, call blocks and
 * recursive loops are refused by name: no model's template has them. */
#include "chat/jinja.h"

#include <stdio.h>

static samp_status parse_body(samp__parser *p, const char *const *ends, samp__node **out);

/* ---- helpers of both files ------------------------------------------------------------------- */

samp_status samp__node_new(samp__parser *p, samp__node_kind kind, samp__node **out)
{
    samp__node *node = *out = samp_arena_alloc(&p->template->arena, 1, sizeof *node);
    if (!node) return samp_fail(p->error, SAMP_NOMEM, "%s: out of memory", p->template->where);
    node->kind = kind;
    node->line = p->at->line;
    node->column = p->at->column;
    return SAMP_OK;
}

static samp_status fail_here(samp__parser *p, samp_status status, const char *what,
                             const char *more)
{
    return samp_fail(p->error, status, "%s, line %u, column %u: %s%s", p->template->where,
                     p->at->line, p->at->column, what, more);
}

samp_status samp__parse_fail(samp__parser *p, const char *expected)
{
    const samp__lexeme *at = p->at;
    char found[64] = "the end of the template";
    switch (at->kind) {
    case SAMP__LEX_NAME: snprintf(found, sizeof found, "'%.40s'", at->text); break;
    case SAMP__LEX_OPERATOR:
        snprintf(found, sizeof found, "'%c%c'", at->op & 0xff, at->op >> 8 ? at->op >> 8 : '\'');
        if (!(at->op >> 8)) found[3] = '\0';
        break;
    case SAMP__LEX_STRING: snprintf(found, sizeof found, "a text"); break;
    case SAMP__LEX_INTEGER:
    case SAMP__LEX_FLOAT: snprintf(found, sizeof found, "a number"); break;
    case SAMP__LEX_OUTPUT_END: snprintf(found, sizeof found, "}}"); break;
    case SAMP__LEX_BLOCK_END: snprintf(found, sizeof found, "%%}"); break;
    default: break;
    }
    return samp_fail(p->error, SAMP_CORRUPT, "%s, line %u, column %u: %s, expected %s",
                     p->template->where, at->line, at->column, found, expected);
}

bool samp__at_word(const samp__parser *p, const char *word)
{
    return p->at->kind == SAMP__LEX_NAME && strcmp(p->at->text, word) == 0;
}

bool samp__at_op(const samp__parser *p, int op)
{
    return p->at->kind == SAMP__LEX_OPERATOR && p->at->op == op;
}

bool samp__skip_word(samp__parser *p, const char *word)
{
    bool found = samp__at_word(p, word);
    p->at += found;
    return found;
}

bool samp__skip_op(samp__parser *p, int op)
{
    bool found = samp__at_op(p, op);
    p->at += found;
    return found;
}

samp_status samp__expect_op(samp__parser *p, int op, const char *expected)
{
    return samp__skip_op(p, op) ? SAMP_OK : samp__parse_fail(p, expected);
}

samp_status samp__intern(samp__parser *p, const char *name, uint32_t *out)
{
    samp__names *names = &p->template->names;
    for (uint32_t i = 0; i < names->n; i++)
        if (strcmp(names->items[i], name) == 0) {
            *out = i;
            return SAMP_OK;
        }
    if (names->n == names->capacity) {
        uint32_t capacity = names->capacity ? 2 * names->capacity : 32;
        const char **items = samp_arena_alloc(&p->template->arena, capacity, sizeof *names->items);
        if (!items) return samp_fail(p->error, SAMP_NOMEM, "%s: out of memory", p->template->where);
        if (names->n) memcpy(items, names->items, names->n * sizeof *items);
        names->items = items;
        names->capacity = capacity;
    }
    *out = names->n;
    names->items[names->n++] = name;
    return SAMP_OK;
}

samp_status samp__parse_name(samp__parser *p, uint32_t *out)
{
    if (p->at->kind != SAMP__LEX_NAME) return samp__parse_fail(p, "a name");
    return samp__intern(p, p->at++->text, out);
}

/* ---- statements ------------------------------------------------------------------------------ */

static samp_status expect_block_end(samp__parser *p)
{
    if (p->at->kind != SAMP__LEX_BLOCK_END) return samp__parse_fail(p, "%}");
    p->at++;
    return SAMP_OK;
}

static samp_status expect_word(samp__parser *p, const char *word)
{
    return samp__skip_word(p, word) ? SAMP_OK : samp__parse_fail(p, word);
}

/* The body of a statement, up to {% end %} whose end is read too. */
static samp_status parse_body_to(samp__parser *p, const char *end, samp__node **out)
{
    const char *const ends[] = {end, NULL};
    SAMP_TRY(parse_body(p, ends, out));
    p->at++;
    return SAMP_OK;
}

static samp_status parse_if(samp__parser *p, samp__node *node)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    samp__node **last = &node->items;
    for (;;) {
        samp__node *branch;
        SAMP_TRY(samp__node_new(p, SAMP__N_BRANCH, &branch));
        *last = branch;
        last = &branch->next;
        SAMP_TRY(samp__parse_tuple(p, false, &branch->a));
        SAMP_TRY(parse_body(p, ends, &branch->body));
        if (samp__skip_word(p, "elif")) continue;
        if (samp__skip_word(p, "endif")) return SAMP_OK;
        SAMP_TRY(samp__node_new(p, SAMP__N_BRANCH, last));
        p->at++;
        return parse_body_to(p, "endif", &(*last)->body);
    }
}

static samp_status parse_for(samp__parser *p, samp__node *node)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    SAMP_TRY(samp__intern(p, "loop", &node->name));
    SAMP_TRY(samp__parse_target(p, &node->a));
    SAMP_TRY(expect_word(p, "in"));
    SAMP_TRY(samp__parse_tuple(p, false, &node->b));
    if (samp__skip_word(p, "if")) SAMP_TRY(samp__parse_expression(p, true, &node->c));
    if (samp__at_word(p, "recursive"))
        return fail_here(p, SAMP_UNSUPPORTED, "recursive loops are not supported", "");
    p->loops++;
    SAMP_TRY(parse_body(p, ends, &node->body));
    p->loops--;
    if (samp__skip_word(p, "endfor")) return SAMP_OK;
    p->at++;
    return parse_body_to(p, "endfor", &node->otherwise);
}

/* The expression over CAPTURED that the filters of a block are. */
static samp_status parse_block_filters(samp__parser *p, bool at_name, samp__node **out)
{
    SAMP_TRY(samp__node_new(p, SAMP__N_CAPTURED, out));
    return samp__parse_filters(p, at_name, out);
}

static samp_status parse_set(samp__parser *p, samp__node *node)
{
    SAMP_TRY(samp__parse_target(p, &node->a));
    if (samp__skip_op(p, '=')) return samp__parse_tuple(p, true, &node->b);
    node->kind = SAMP__N_SET_BLOCK;
    SAMP_TRY(parse_block_filters(p, false, &node->b));
    return parse_body_to(p, "endset", &node->body);
}

static samp_status parse_macro(samp__parser *p, samp__node *node)
{
    samp__node **last = &node->items;
    SAMP_TRY(samp__parse_name(p, &node->name));
    SAMP_TRY(samp__expect_op(p, '(', "'('"));
    for (; !samp__at_op(p, ')'); node->n_items++) {
        if (node->n_items) SAMP_TRY(samp__expect_op(p, ',', "',' or ')'"));
        if (node->n_items == SAMP__ARGUMENTS_MAX)
            return fail_here(p, SAMP_LIMIT, "a macro has at most 16 parameters", "");
        SAMP_TRY(samp__node_new(p, SAMP__N_PARAMETER, last));
        SAMP_TRY(samp__parse_name(p, &(*last)->name));
        if (samp__skip_op(p, '=')) SAMP_TRY(samp__parse_expression(p, true, &(*last)->a));
        last = &(*last)->next;
    }
    p->at++;
    unsigned loops = p->loops; /* a break inside must not leave a loop around the macro */
    p->loops = 0;
    SAMP_TRY(parse_body_to(p, "endmacro", &node->body));
    p->loops = loops;
    return SAMP_OK;
}

static samp_status parse_with(samp__parser *p, samp__node *node)
{
    samp__node **last = &node->items;
    while (p->at->kind != SAMP__LEX_BLOCK_END) {
        if (node->items) SAMP_TRY(samp__expect_op(p, ',', "',' or %}"));
        SAMP_TRY(samp__node_new(p, SAMP__N_SET, last));
        SAMP_TRY(samp__parse_target(p, &(*last)->a));
        SAMP_TRY(samp__expect_op(p, '=', "'='"));
        SAMP_TRY(samp__parse_expression(p, true, &(*last)->b));
        last = &(*last)->next;
    }
    return parse_body_to(p, "endwith", &node->body);
}

static samp_status parse_filter_block(samp__parser *p, samp__node *node)
{
    SAMP_TRY(parse_block_filters(p, true, &node->b));
    return parse_body_to(p, "endfilter", &node->body);
}

/* {% generation %} marks what the model wrote; nothing is different in the text. Its body has
 * variables of its own, as a macro's. */
static samp_status parse_generation(samp__parser *p, samp__node *node)
{
    return parse_body_to(p, "endgeneration", &node->body);
}

static samp_status parse_loop_control(samp__parser *p, samp__node *node)
{
    (void)node;
    return p->loops ? SAMP_OK : samp__parse_fail(p, "a loop around break or continue");
}

static const struct statement {
    const char *word;
    samp__node_kind kind;
    samp_status (*parse)(samp__parser *p, samp__node *node);
} STATEMENTS[] = {
    {"if", SAMP__N_IF, parse_if},
    {"for", SAMP__N_FOR, parse_for},
    {"set", SAMP__N_SET, parse_set},
    {"macro", SAMP__N_MACRO, parse_macro},
    {"with", SAMP__N_WITH, parse_with},
    {"filter", SAMP__N_FILTERED, parse_filter_block},
    {"generation", SAMP__N_WITH, parse_generation},
    {"break", SAMP__N_BREAK, parse_loop_control},
    {"continue", SAMP__N_CONTINUE, parse_loop_control},
};

static samp_status parse_statement(samp__parser *p, samp__node **out)
{
    if (p->at->kind != SAMP__LEX_NAME) return samp__parse_fail(p, "the name of a statement");
    for (size_t i = 0; i < sizeof STATEMENTS / sizeof *STATEMENTS; i++) {
        if (!samp__at_word(p, STATEMENTS[i].word)) continue;
        SAMP_TRY(samp__node_new(p, STATEMENTS[i].kind, out));
        p->at++;
        SAMP_TRY(STATEMENTS[i].parse(p, *out));
        return expect_block_end(p);
    }
    bool ends =
        strncmp(p->at->text, "end", 3) == 0 || samp__at_word(p, "else") || samp__at_word(p, "elif");
    if (ends) return samp__parse_fail(p, "the end of what was begun before it");
    return fail_here(p, SAMP_UNSUPPORTED, "this statement is not supported: ", p->at->text);
}

static bool is_end(const samp__parser *p, const char *const *ends)
{
    for (; *ends; ends++)
        if (samp__at_word(p, *ends)) return true;
    return false;
}

static samp_status parse_data(samp__parser *p, samp__node **out)
{
    SAMP_TRY(samp__node_new(p, SAMP__N_DATA, out));
    (*out)->text = (samp__text){.bytes = p->at->text, .n = p->at->n, .trusted = true};
    p->at++;
    return SAMP_OK;
}

static samp_status parse_output(samp__parser *p, samp__node **out)
{
    SAMP_TRY(samp__node_new(p, SAMP__N_OUTPUT, out));
    p->at++;
    SAMP_TRY(samp__parse_tuple(p, true, &(*out)->a));
    if (p->at->kind != SAMP__LEX_OUTPUT_END) return samp__parse_fail(p, "}}");
    p->at++;
    return SAMP_OK;
}

/* Nodes until a block that begins with one of `ends` (NULL: until the end), its word not read. */
static samp_status parse_nodes(samp__parser *p, const char *const *ends, samp__node **out)
{
    for (;; out = &(*out)->next) {
        switch (p->at->kind) {
        case SAMP__LEX_DATA: SAMP_TRY(parse_data(p, out)); break;
        case SAMP__LEX_OUTPUT: SAMP_TRY(parse_output(p, out)); break;
        case SAMP__LEX_BLOCK:
            p->at++;
            if (ends && is_end(p, ends)) return SAMP_OK;
            SAMP_TRY(parse_statement(p, out));
            break;
        default: return ends ? samp__parse_fail(p, *ends) : SAMP_OK;
        }
    }
}

static samp_status parse_body(samp__parser *p, const char *const *ends, samp__node **out)
{
    samp__skip_op(p, ':');
    SAMP_TRY(expect_block_end(p));
    if (p->depth == SAMP__PARSE_DEPTH)
        return fail_here(p, SAMP_LIMIT, "statements are nested too deeply", "");
    p->depth++;
    SAMP_TRY(parse_nodes(p, ends, out));
    p->depth--;
    return SAMP_OK;
}

samp_status samp__parse(samp_chat_template *template, const samp__lexeme *lexemes,
                        samp_error *error)
{
    samp__parser parser = {.template = template, .at = lexemes, .error = error};
    return parse_nodes(&parser, NULL, &template->body);
}
