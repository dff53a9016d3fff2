/* Inside the chat room: what lexer, parser and evaluator of the Jinja subset share.
 *
 * A template is compiled once: source -> lexemes -> nodes, all in the template's arena and never
 * changed afterwards. A rendering has an arena of its own for every value it makes; nothing is
 * freed before it ends, and its size is one of the limits. Every function of a rendering returns
 * SAMP_OK or fills the rendering's error with a sentence that begins with line and column.
 *
 * Values follow Python, since templates are written for Jinja2: None prints as "None", dicts keep
 * their order, strings are counted in characters. Lists and dicts never change once made (Hugging
 * Face renders in Jinja2's immutable sandbox), so slices share memory. */
#ifndef SAMP_CHAT_JINJA_H
#define SAMP_CHAT_JINJA_H

#include "base/memory.h"
#include "chat/template.h"

#include <string.h>

enum {
    SAMP__SOURCE_MAX = 1 << 20, /* bytes of a template */
    SAMP__PARSE_DEPTH = 200,    /* nesting of expressions and statements */
    SAMP__ARGUMENTS_MAX = 16,   /* of one call */
    SAMP__RANGE_MAX = 100000,   /* as Jinja2's sandbox */
};

typedef struct samp__render samp__render;
typedef struct samp__node samp__node;
typedef struct samp__frame samp__frame;
typedef struct samp__value samp__value;

/* ---- Values (value.c, text.c) ---- */

typedef enum samp__kind {
    SAMP__ABSENT, /* an argument that was not given; never seen by a template */
    SAMP__UNDEFINED,
    SAMP__NONE,
    SAMP__BOOL,
    SAMP__INT,
    SAMP__FLOAT,
    SAMP__TEXT,
    SAMP__LIST,
    SAMP__TUPLE,
    SAMP__DICT,
    SAMP__NAMESPACE,
    SAMP__MACRO,
    SAMP__FUNCTION,
    SAMP__METHOD,
    SAMP__LOOP,
} samp__kind;

/* A text, valid UTF-8, and where its bytes come from: marks[i] is 1 when byte i was written by the
 * template and 0 when it came with the messages; NULL: all bytes are as `trusted` says. */
typedef struct samp__text {
    const char *bytes;
    const uint8_t *marks;
    uint32_t n;
    bool trusted;
    bool safe; /* passed through |safe: "+" then escapes what is not, as markupsafe does */
} samp__text;

typedef struct samp__list {
    samp__value *items;
    uint32_t n, capacity;
} samp__list;

typedef struct samp__dict {
    samp__list keys, values; /* of one length */
} samp__dict;

typedef struct samp__macro {
    const samp__node *node;
    samp__frame *frame; /* where it was defined */
} samp__macro;

typedef struct samp__builtin samp__builtin;
typedef struct samp__method samp__method; /* a builtin and the value it is called on */
typedef struct samp__loop samp__loop;

struct samp__value {
    samp__kind kind;
    union {
        bool truth;
        int64_t integer;
        double number;
        samp__text text;
        const samp__list *list; /* LIST, TUPLE */
        samp__dict *dict;       /* DICT, NAMESPACE: only a namespace changes */
        const samp__macro *macro;
        const samp__builtin *function;
        const samp__method *method;
        samp__loop *loop;
        const char *missing; /* UNDEFINED: the name that was looked for */
    };
};

struct samp__method {
    const samp__builtin *row;
    samp__value self;
};

struct samp__loop {
    const samp__list *items;
    uint32_t index; /* from 0 */
    samp__value changed;
};

#define SAMP__LITERAL(chars) ((samp__text){.bytes = chars, .n = sizeof chars - 1, .trusted = true})

static inline samp__value samp__bool(bool truth)
{
    return (samp__value){.kind = SAMP__BOOL, .truth = truth};
}
static inline samp__value samp__int(int64_t integer)
{
    return (samp__value){.kind = SAMP__INT, .integer = integer};
}
static inline samp__value samp__float(double number)
{
    return (samp__value){.kind = SAMP__FLOAT, .number = number};
}
static inline samp__value samp__of_text(samp__text text)
{
    return (samp__value){.kind = SAMP__TEXT, .text = text};
}
static inline samp__value samp__of_list(const samp__list *list)
{
    return (samp__value){.kind = SAMP__LIST, .list = list};
}
static inline bool samp__text_is(samp__text text, const char *word)
{
    return text.n == strlen(word) && memcmp(text.bytes, word, text.n) == 0;
}

/* "int", "str", … as Python names types. */
const char *samp__kind_name(samp__kind kind);
bool samp__truth(const samp__value *v);
/* Python's ==; never fails. */
samp_status samp__equal(samp__render *r, const samp__value *a, const samp__value *b, bool *out);
/* *out < 0, 0, > 0; fails for values that Python does not order. */
samp_status samp__order(samp__render *r, const samp__value *a, const samp__value *b, int *out);
samp_status samp__contains(samp__render *r, const samp__value *item, const samp__value *in,
                           bool *out);
/* Number of items or characters; false when the value has none. */
bool samp__length(const samp__value *v, uint32_t *n);
/* What `for` goes through: items, keys, characters. */
samp_status samp__items(samp__render *r, const samp__value *v, const samp__list **out);
samp_status samp__list_add(samp__render *r, samp__list *list, samp__value item);
/* NULL when there is no such key. */
const samp__value *samp__dict_get(samp__render *r, const samp__dict *dict, const samp__value *key);
const samp__value *samp__dict_find(const samp__dict *dict, const char *key);
samp_status samp__dict_set(samp__render *r, samp__dict *dict, samp__value key, samp__value value);
/* A JSON document as a value; its strings are marked as `trusted` says. */
samp_status samp__from_json(samp__render *r, const json_t *json, bool trusted, samp__value *out);

/* Text under construction, in the rendering's arena. Zeroed = empty. */
typedef struct samp__builder {
    char *bytes;
    uint8_t *marks;
    size_t n, capacity;
} samp__builder;
samp_status samp__build(samp__render *r, samp__builder *b, samp__text text);
samp_status samp__build_literal(samp__render *r, samp__builder *b, const char *text);
/* str(value) and repr(value). */
samp_status samp__build_value(samp__render *r, samp__builder *b, const samp__value *v);
samp_status samp__build_repr(samp__render *r, samp__builder *b, const samp__value *v);
samp__text samp__built(const samp__builder *b);
/* str(value) without a copy where it is a text already. */
samp_status samp__to_text(samp__render *r, const samp__value *v, samp__text *out);

/* text[from..to) in bytes. */
samp__text samp__text_part(samp__text text, size_t from, size_t to);
bool samp__text_equal(samp__text a, samp__text b);
/* Byte offset of `needle` at or after `from`, -1 none. */
int64_t samp__text_find(samp__text text, samp__text needle, size_t from);
uint32_t samp__characters(samp__text text);
/* Bytes of the character at p. */
size_t samp__character_bytes(char first);
uint32_t samp__code_at(samp__text text, size_t at);
bool samp__is_space(uint32_t code); /* as Python's str.isspace */
typedef enum { SAMP__LEFT = 1, SAMP__RIGHT = 2, SAMP__BOTH = 3 } samp__sides;
/* Without white space, or without the characters of `set` when it is not NULL. */
samp__text samp__strip(samp__text text, samp__sides sides, const samp__text *set);
/* Python's repr of a float; returns out. */
const char *samp__float_repr(double number, char out[32]);

/* json.dumps(value, …) as Hugging Face's tojson filter calls it. */
typedef struct samp__json_style {
    bool ascii, sort_keys, indented;
    samp__text indent, item_separator, key_separator;
} samp__json_style;
samp_status samp__build_json(samp__render *r, samp__builder *b, const samp__value *v,
                             const samp__json_style *style);

/* ---- Lexer (lexer.c) ---- */

typedef enum samp__lexeme_kind {
    SAMP__LEX_DATA,
    SAMP__LEX_OUTPUT, /* {{ */
    SAMP__LEX_OUTPUT_END,
    SAMP__LEX_BLOCK, /* {% */
    SAMP__LEX_BLOCK_END,
    SAMP__LEX_NAME,
    SAMP__LEX_STRING,
    SAMP__LEX_INTEGER,
    SAMP__LEX_FLOAT,
    SAMP__LEX_OPERATOR,
    SAMP__LEX_END,
} samp__lexeme_kind;

#define SAMP__OP2(a, b) ((a) | (b) << 8)

typedef struct samp__lexeme {
    samp__lexeme_kind kind;
    uint32_t line, column;
    int op;           /* OPERATOR: '+', SAMP__OP2('=', '=') … */
    const char *text; /* DATA, NAME, STRING (unescaped) */
    uint32_t n;
    int64_t integer;
    double number;
} samp__lexeme;

typedef struct samp__lexemes {
    samp__lexeme *items;
    size_t n, capacity;
} samp__lexemes;

/* Cuts a source into lexemes, the last of which is END; the caller frees items. Texts lie in the
 * arena. trim_blocks and lstrip_blocks are on, as Hugging Face sets them. */
samp_status samp__lex(samp__lexemes *out, samp_arena *arena, const char *source, size_t n,
                      const char *where, samp_error *error);

/* ---- Nodes (parser.c, parser_expression.c) ---- */

typedef enum samp__node_kind {
    /* expressions */
    SAMP__N_CONST,       /* value */
    SAMP__N_NAME,        /* name */
    SAMP__N_LIST,        /* items */
    SAMP__N_TUPLE,       /* items */
    SAMP__N_DICT,        /* items: pairs a: b */
    SAMP__N_PAIR,        /* a: b */
    SAMP__N_CONDITIONAL, /* b if a else c (c may be NULL) */
    SAMP__N_OR,          /* a or b */
    SAMP__N_AND,
    SAMP__N_NOT,       /* not a */
    SAMP__N_COMPARE,   /* a, then items: operands op a */
    SAMP__N_OPERAND,   /* op a */
    SAMP__N_BINARY,    /* a op b */
    SAMP__N_NEGATE,    /* -a */
    SAMP__N_POSITIVE,  /* +a */
    SAMP__N_CONCAT,    /* items ~ … */
    SAMP__N_ATTRIBUTE, /* a.text */
    SAMP__N_ITEM,      /* a[b] */
    SAMP__N_SLICE,     /* a:b:c inside an ITEM, each may be NULL */
    SAMP__N_CALL,      /* a(items, keywords) */
    SAMP__N_FILTER,    /* a | text(items, keywords) */
    SAMP__N_TEST,      /* a is text(items, keywords) */
    SAMP__N_KEYWORD,   /* text = a */
    SAMP__N_CAPTURED,  /* the text of the block a filter is applied to */
    /* statements */
    SAMP__N_DATA,      /* value */
    SAMP__N_OUTPUT,    /* {{ a }} */
    SAMP__N_IF,        /* items: branches; */
    SAMP__N_BRANCH,    /* if a: body; a NULL: else */
    SAMP__N_FOR,       /* for a in b if c: body, else otherwise */
    SAMP__N_SET,       /* a = b */
    SAMP__N_SET_BLOCK, /* a = b, an expression over CAPTURED, of body */
    SAMP__N_FILTERED,  /* b, an expression over CAPTURED, of body */
    SAMP__N_MACRO,     /* name(items: parameters): body */
    SAMP__N_PARAMETER, /* name = a (NULL: no default) */
    SAMP__N_WITH,      /* items: SETs; body */
    SAMP__N_BREAK,
    SAMP__N_CONTINUE,
} samp__node_kind;

struct samp__node {
    samp__node_kind kind;
    uint32_t line, column;
    uint32_t name; /* index of a variable's name in the template */
    int op;
    uint32_t n_items, n_keywords;
    samp__text text;
    samp__value value;
    const samp__builtin *row; /* FILTER, TEST: NULL when unknown, an error once it is reached */
    samp__node *a, *b, *c;
    samp__node *items, *keywords, *body, *otherwise;
    samp__node *next; /* in the list this node is in */
};

typedef struct samp__names {
    const char **items;
    uint32_t n, capacity;
} samp__names;

struct samp_chat_template {
    samp_arena arena;
    samp__names names;
    samp__node *body;
    char *where;
};

/* A text in the making of a tree. */
typedef struct samp__parser {
    samp_chat_template *template;
    const samp__lexeme *at;
    samp_error *error;
    unsigned depth, loops;
} samp__parser;

samp_status samp__parse(samp_chat_template *template, const samp__lexeme *lexemes,
                        samp_error *error);
/* For the two files of the parser. */
samp_status samp__parse_expression(samp__parser *p, bool with_conditional, samp__node **out);
samp_status samp__parse_tuple(samp__parser *p, bool with_conditional, samp__node **out);
samp_status samp__parse_target(samp__parser *p, samp__node **out);
samp_status samp__parse_filters(samp__parser *p, bool at_name, samp__node **node);
samp_status samp__parse_name(samp__parser *p, uint32_t *out);
samp_status samp__intern(samp__parser *p, const char *name, uint32_t *out);
samp_status samp__parse_fail(samp__parser *p, const char *expected);
samp_status samp__node_new(samp__parser *p, samp__node_kind kind, samp__node **out);
bool samp__at_word(const samp__parser *p, const char *word);
bool samp__at_op(const samp__parser *p, int op);
bool samp__skip_word(samp__parser *p, const char *word);
bool samp__skip_op(samp__parser *p, int op);
samp_status samp__expect_op(samp__parser *p, int op, const char *expected);

/* ---- Rendering ---- */

typedef struct samp__binding {
    uint32_t name;
    samp__value value;
} samp__binding;

struct samp__frame {
    samp__frame *parent;
    samp__binding *bindings;
    uint32_t n, capacity;
};

typedef enum { SAMP__FLOW_ON, SAMP__FLOW_BREAK, SAMP__FLOW_CONTINUE } samp__flow;

struct samp__render {
    samp_arena arena;
    const samp_chat_template *template;
    samp_chat_limits limits;
    samp_error *error;
    samp__frame *frame;
    samp__builder *output;
    const samp__node *at; /* for messages */
    samp__text captured;  /* what CAPTURED stands for */
    samp__flow flow;
    uint64_t steps;
    unsigned depth;
    int64_t now; /* seconds since 1970, for strftime_now */
};

samp_status samp__fail(samp__render *r, samp_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Counts work; fails past the limit. */
samp_status samp__charge(samp__render *r, uint64_t steps);
/* One level deeper in the recursion, until samp__leave; the caller counts its step so too. */
samp_status samp__enter(samp__render *r);
static inline void samp__leave(samp__render *r) { r->depth--; }
/* From the rendering's arena, zeroed; *(void **)out is set. */
samp_status samp__allocate(samp__render *r, size_t count, size_t size, void *out);

samp_status samp__frame_push(samp__render *r, samp__frame *parent, samp__frame **saved);
samp_status samp__bind(samp__render *r, samp__frame *frame, uint32_t name, samp__value value);
samp_status samp__evaluate(samp__render *r, const samp__node *node, samp__value *out);
samp_status samp__execute(samp__render *r, const samp__node *first);
/* Executes a body in a frame of its own and gives what it wrote. */
samp_status samp__capture(samp__render *r, const samp__node *body, samp__text *out);
samp_status samp__assign(samp__render *r, const samp__node *target, const samp__value *value);

samp_status samp__binary(samp__render *r, int op, const samp__value *a, const samp__value *b,
                         samp__value *out);
samp_status samp__compare(samp__render *r, int op, const samp__value *a, const samp__value *b,
                          bool *out);
/* a.name, a[key], a[from:to:step] (NONE or ABSENT: left out). */
samp_status samp__attribute(samp__render *r, const samp__value *a, samp__text name,
                            samp__value *out);
samp_status samp__item(samp__render *r, const samp__value *a, const samp__value *key,
                       samp__value *out);
samp_status samp__slice(samp__render *r, const samp__value *a, const samp__value bounds[3],
                        samp__value *out);
/* text[from:to:step] in characters, the bounds clipped already; step is not 0. */
samp_status samp__text_slice(samp__render *r, samp__text text, int64_t from, int64_t to,
                             int64_t step, samp__value *out);

/* ---- Builtins: filters, tests, methods, functions (builtin.c and the files of the tables) ---- */

typedef struct samp__keyword {
    samp__text name;
    samp__value value;
} samp__keyword;

typedef struct samp__arguments {
    samp__value items[SAMP__ARGUMENTS_MAX];
    uint32_t n;
    samp__keyword keywords[SAMP__ARGUMENTS_MAX];
    uint32_t n_keywords;
} samp__arguments;

enum { SAMP__PARAMETERS_MAX = 4 };

/* What a builtin is called with: args[] in the order of its parameters, ABSENT where not given. */
typedef struct samp__call {
    const samp__builtin *row;
    samp__value self;
    samp__value args[SAMP__PARAMETERS_MAX];
    const samp__arguments *given; /* for those that take any arguments */
} samp__call;

struct samp__builtin {
    const char *name;
    const char *parameters; /* "old new count", NULL: any arguments */
    unsigned required;
    samp_status (*run)(samp__render *r, const samp__call *call, samp__value *out);
};

const samp__builtin *samp__filter_find(samp__text name);
const samp__builtin *samp__test_find(samp__text name);
const samp__builtin *samp__function_find(const char *name);
/* NULL when values of this kind have no such method. */
const samp__builtin *samp__method_find(samp__kind kind, samp__text name);
/* The parts of the tables, ended by a row without a name. */
extern const samp__builtin samp__text_filters[], samp__list_filters[], samp__text_methods[];

samp_status samp__call_builtin(samp__render *r, const samp__builtin *row, const samp__value *self,
                               const samp__arguments *given, samp__value *out);
samp_status samp__call_value(samp__render *r, const samp__value *callee,
                             const samp__arguments *given, samp__value *out);
/* Typed arguments: *out keeps its value when the argument is absent (or None, for texts and
 * integers); another type is an error. */
samp_status samp__argument_text(samp__render *r, const samp__call *call, int index,
                                samp__text *out);
samp_status samp__argument_int(samp__render *r, const samp__call *call, int index, int64_t *out);
bool samp__argument_truth(const samp__call *call, int index);
/* The value itself as a text; an error that names the builtin otherwise. */
samp_status samp__self_text(samp__render *r, const samp__call *call, samp__text *out);

#endif
