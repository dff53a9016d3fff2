/* Lexer of the Jinja subset: text outside tags, and the tokens inside them.
 *
 * White space follows Jinja2 with trim_blocks and lstrip_blocks: a newline right after a block or
 * comment goes; so do the blanks before one that begins its line; "-" takes all white space on its
 * side, "+" keeps it. Line ends become \n, and one at the very end of the template is dropped.
 * Texts are copied into the template's arena; the list of lexemes is the caller's to free. */
#include "chat/jinja.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdlib.h>

typedef struct lexer {
    samp__lexemes *out;
    samp_arena *arena;
    const char *source;
    size_t n, at;
    size_t counted, line_start; /* lines are counted up to here; where the last one begins */
    uint32_t line;
    bool line_starting; /* what was read last ended with a newline */
    const char *where;
    samp_error *error;
} lexer;

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static void count_lines(lexer *l, size_t to)
{
    for (; l->counted < to; l->counted++)
        if (l->source[l->counted] == '\n') {
            l->line++;
            l->line_start = l->counted + 1;
        }
}

static samp_status fail_at(lexer *l, size_t at, const char *what)
{
    count_lines(l, at);
    return samp_fail(l->error, SAMP_CORRUPT, "%s, line %u, column %zu: %s", l->where, l->line,
                     at - l->line_start + 1, what);
}

static samp_status push(lexer *l, samp__lexeme_kind kind, size_t at, samp__lexeme **lexeme)
{
    samp__lexemes *list = l->out;
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 256;
        samp__lexeme *items = samp_realloc(list->items, capacity, sizeof *items);
        if (!items) return samp_fail(l->error, SAMP_NOMEM, "%s: out of memory", l->where);
        list->items = items;
        list->capacity = capacity;
    }
    count_lines(l, at);
    samp__lexeme *new = &list->items[list->n++];
    *new =
        (samp__lexeme){.kind = kind, .line = l->line, .column = (uint32_t)(at - l->line_start + 1)};
    if (lexeme) *lexeme = new;
    return SAMP_OK;
}

static samp_status push_text(lexer *l, samp__lexeme_kind kind, size_t from, size_t to)
{
    samp__lexeme *lexeme;
    SAMP_TRY(push(l, kind, from, &lexeme));
    lexeme->n = (uint32_t)(to - from);
    lexeme->text = samp_arena_strndup(l->arena, l->source + from, to - from);
    return lexeme->text ? SAMP_OK : samp_fail(l->error, SAMP_NOMEM, "%s: out of memory", l->where);
}

/* ---- outside of tags ------------------------------------------------------------------------- */

static size_t skip_space(const lexer *l, size_t at)
{
    samp__text rest = {.bytes = l->source + at, .n = (uint32_t)(l->n - at)};
    return l->n - samp__strip(rest, SAMP__LEFT, NULL).n;
}

/* Data before a tag whose sign (0, '-', '+') is known. */
static samp_status push_data(lexer *l, size_t from, size_t to, char sign, bool is_output)
{
    samp__text text = {.bytes = l->source + from, .n = (uint32_t)(to - from)};
    if (sign == '-') {
        to = from + samp__strip(text, SAMP__RIGHT, NULL).n;
    } else if (sign != '+' && !is_output) {
        size_t start = to;
        while (start > from && l->source[start - 1] != '\n') start--;
        text = (samp__text){.bytes = l->source + start, .n = (uint32_t)(to - start)};
        bool begins = start > from || l->line_starting;
        if (begins && samp__strip(text, SAMP__LEFT, NULL).n == 0) to = start;
    }
    return to > from ? push_text(l, SAMP__LEX_DATA, from, to) : SAMP_OK;
}

/* The end of a tag at `at`, "-%}", "+%}" or "%}" for close '%': where what follows begins, 0 when
 * it is none. */
static size_t tag_end(const lexer *l, size_t at, char close, bool trims)
{
    char sign =
        at < l->n && (l->source[at] == '-' || (l->source[at] == '+' && trims)) ? l->source[at] : 0;
    size_t end = at + (sign != 0);
    if (end + 2 > l->n || l->source[end] != close || l->source[end + 1] != '}') return 0;
    end += 2;
    if (sign == '-') return skip_space(l, end);
    return trims && sign != '+' && end < l->n && l->source[end] == '\n' ? end + 1 : end;
}

static void go_on(lexer *l, size_t at)
{
    l->line_starting = l->source[at - 1] == '\n';
    l->at = at;
}

/* "{% word %}" with any signs at `at`: where what follows begins, 0 when it is something else. */
static size_t tag_of_word(const lexer *l, size_t at, const char *word, bool trims, char *sign)
{
    size_t length = strlen(word);
    if (at + 2 > l->n || memcmp(l->source + at, "{%", 2) != 0) return 0;
    at += 2;
    *sign = at < l->n && (l->source[at] == '-' || l->source[at] == '+') ? l->source[at] : 0;
    at = skip_space(l, at + (*sign != 0));
    if (at + length > l->n || memcmp(l->source + at, word, length) != 0) return 0;
    return tag_end(l, skip_space(l, at + length), '%', trims);
}

static samp_status lex_raw(lexer *l, size_t begin)
{
    for (size_t at = begin; at < l->n; at++) {
        char sign;
        size_t end = l->source[at] == '{' ? tag_of_word(l, at, "endraw", true, &sign) : 0;
        if (end == 0) continue;
        l->line_starting = l->source[begin - 1] == '\n';
        SAMP_TRY(push_data(l, begin, at, sign, false));
        go_on(l, end);
        return SAMP_OK;
    }
    return fail_at(l, begin, "{% raw %} without its {% endraw %}");
}

static samp_status lex_comment(lexer *l, size_t begin)
{
    for (size_t at = begin; at < l->n; at++) {
        size_t end = strchr("-+#", l->source[at]) ? tag_end(l, at, '#', true) : 0;
        if (end == 0) continue;
        go_on(l, end);
        return SAMP_OK;
    }
    return fail_at(l, begin, "a comment without its #}");
}

/* ---- inside tags ----------------------------------------------------------------------------- */

static int hex_value(const char *digits, int n)
{
    int value = 0;
    for (int i = 0; i < n; i++) {
        const char *all = "0123456789abcdef";
        char c = (char)(digits[i] | (is_digit(digits[i]) ? 0 : 0x20));
        const char *found = digits[i] ? strchr(all, c) : NULL;
        if (!found) return -1;
        value = value * 16 + (int)(found - all);
    }
    return value;
}

/* Python's "unicode-escape" of what follows a backslash at source[at]: appends the character and
 * returns how many bytes were read; 0 when malformed. An unknown escape keeps its backslash. */
static size_t unescape(const char *at, const char *end, samp_buffer *out)
{
    static const char from[] = "abfnrtv\\'\"", to[] = "\a\b\f\n\r\t\v\\'\"";
    const char *simple = strchr(from, *at);
    if (*at == '\n') return 1;
    if (simple && *at) {
        samp_buffer_append(out, &to[simple - from], 1);
        return 1;
    }
    int digits = *at == 'x' ? 2 : *at == 'u' ? 4 : *at == 'U' ? 8 : 0, code = 0;
    size_t used = (size_t)digits + 1;
    if (digits) {
        if (end - at <= digits) return 0;
        code = digits == 8 && hex_value(at + 1, 2) != 0 ? -1 : hex_value(at + 1, digits);
        if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) code = -1;
    } else if (*at >= '0' && *at <= '7') {
        for (used = 0; used < 3 && at + used < end && at[used] >= '0' && at[used] <= '7'; used++)
            code = code * 8 + at[used] - '0';
    } else if (*at == 'N') {
        return 0;
    } else {
        samp_buffer_text(out, "\\");
        samp_buffer_append(out, at, 1);
        return 1;
    }
    char utf8[4];
    if (code < 0) return 0;
    samp_buffer_append(out, utf8, samp_utf8_encode((uint32_t)code, utf8));
    return used;
}

static samp_status lex_string(lexer *l)
{
    size_t begin = l->at, at = begin + 1;
    char quote = l->source[begin];
    while (at < l->n && l->source[at] != quote) at += l->source[at] == '\\' ? 2 : 1;
    if (at >= l->n) return fail_at(l, begin, "a text without its closing quote");
    samp_buffer text = {0};
    const char *end = l->source + at;
    for (const char *c = l->source + begin + 1; c < end;) {
        size_t plain = 0;
        while (c + plain < end && c[plain] != '\\') plain++;
        samp_buffer_append(&text, c, plain);
        c += plain;
        if (c == end) break;
        size_t used = unescape(c + 1, end, &text);
        if (used == 0) {
            samp_buffer_release(&text);
            return fail_at(l, (size_t)(c - l->source), "an escape that stands for no character");
        }
        c += used + 1;
    }
    samp__lexeme *lexeme;
    samp_status status = samp_buffer_ok(&text, l->error);
    if (status == SAMP_OK) status = push(l, SAMP__LEX_STRING, begin, &lexeme);
    if (status == SAMP_OK) {
        lexeme->n = (uint32_t)text.length;
        lexeme->text = samp_arena_strndup(l->arena, text.data ? text.data : "", text.length);
        if (!lexeme->text) status = samp_fail(l->error, SAMP_NOMEM, "%s: out of memory", l->where);
    }
    samp_buffer_release(&text);
    l->at = at + 1;
    return status;
}

/* Digits with single underscores between them. */
static size_t digits_end(const lexer *l, size_t at)
{
    while (at < l->n && (is_digit(l->source[at]) ||
                         (l->source[at] == '_' && at + 1 < l->n && is_digit(l->source[at + 1]))))
        at++;
    return at;
}

/* Whether a float begins at l->at, and where it ends: digits, then a fraction, an exponent or both.
 */
static bool float_end(const lexer *l, size_t *end)
{
    size_t at = *end = digits_end(l, l->at);
    bool is_float = false;
    if (at + 1 < l->n && l->source[at] == '.' && is_digit(l->source[at + 1])) {
        at = digits_end(l, at + 1);
        is_float = true;
    }
    if (at < l->n && (l->source[at] == 'e' || l->source[at] == 'E')) {
        size_t digits = at + 1;
        if (digits < l->n && (l->source[digits] == '+' || l->source[digits] == '-')) digits++;
        if (digits < l->n && is_digit(l->source[digits])) {
            at = digits_end(l, digits);
            is_float = true;
        }
    }
    if (is_float && l->at > 0 && l->source[l->at - 1] == '.') is_float = false;
    if (is_float) *end = at;
    return is_float;
}

static samp_status lex_number(lexer *l)
{
    char text[64], *stop;
    size_t begin = l->at, end, n = 0;
    bool is_float = float_end(l, &end);
    int base = 10;
    if (!is_float && l->source[begin] == '0' && begin + 1 < l->n) {
        char letter = (char)(l->source[begin + 1] | 0x20);
        base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
        if (base != 10)
            for (end = begin + 2;
                 end < l->n && (is_name_start(l->source[end]) || is_digit(l->source[end]));)
                end++;
    }
    for (size_t i = begin + (base != 10 ? 2 : 0); i < end; i++) {
        if (l->source[i] == '_') continue;
        if (n + 1 >= sizeof text) return fail_at(l, begin, "a number of too many digits");
        text[n++] = l->source[i];
    }
    text[n] = '\0';
    samp__lexeme *lexeme;
    SAMP_TRY(push(l, is_float ? SAMP__LEX_FLOAT : SAMP__LEX_INTEGER, begin, &lexeme));
    errno = 0;
    if (is_float)
        lexeme->number = strtod(text, &stop);
    else
        lexeme->integer = strtoll(text, &stop, base);
    if (n == 0 || *stop || (errno && !is_float))
        return fail_at(l, begin, "a number that is malformed or does not fit 64 bits");
    l->at = end;
    return SAMP_OK;
}

static samp_status lex_operator(lexer *l, samp_buffer *open)
{
    static const char doubles[][3] = {"//", "**", "==", "!=", ">=", "<="};
    char c = l->source[l->at], next = l->at + 1 < l->n ? l->source[l->at + 1] : 0;
    int op = 0;
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++)
        if (doubles[i][0] == c && doubles[i][1] == next) op = SAMP__OP2(c, next);
    if (!op && c && strchr("+-/*%~[](){}><=.:|,;", c)) op = c;
    if (!op) return fail_at(l, l->at, "a character that is no part of an expression");
    if (c == '(' || c == '[' || c == '{')
        samp_buffer_append(open, c == '(' ? ")" : c == '[' ? "]" : "}", 1);
    if (c == ')' || c == ']' || c == '}') {
        if (open->length == 0 || open->data[open->length - 1] != c)
            return fail_at(l, l->at, "a bracket that closes none");
        open->length--;
    }
    SAMP_TRY(samp_buffer_ok(open, l->error));
    samp__lexeme *lexeme;
    SAMP_TRY(push(l, SAMP__LEX_OPERATOR, l->at, &lexeme));
    lexeme->op = op;
    l->at += op > 0xff ? 2 : 1;
    return SAMP_OK;
}

/* The tokens of one tag, its end included; `open` holds the closing brackets that are due. */
static samp_status lex_tag(lexer *l, char close, samp_buffer *open)
{
    size_t begin = l->at;
    bool is_block = close == '%';
    while (l->at < l->n) {
        char c = l->source[l->at];
        size_t end = open->length == 0 ? tag_end(l, l->at, close, is_block) : 0, name = l->at;
        if (end) {
            SAMP_TRY(push(l, is_block ? SAMP__LEX_BLOCK_END : SAMP__LEX_OUTPUT_END, l->at, NULL));
            go_on(l, end);
            return SAMP_OK;
        }
        end = skip_space(l, l->at);
        if (end != l->at) {
            l->at = end;
            continue;
        }
        while (name < l->n && (is_name_start(l->source[name]) || is_digit(l->source[name]))) name++;
        if (is_digit(c)) {
            SAMP_TRY(lex_number(l));
        } else if (name > l->at) {
            SAMP_TRY(push_text(l, SAMP__LEX_NAME, l->at, name));
            l->at = name;
        } else if (c == '"' || c == '\'') {
            SAMP_TRY(lex_string(l));
        } else {
            SAMP_TRY(lex_operator(l, open));
        }
    }
    return fail_at(l, begin, is_block ? "a block without its %}" : "an output without its }}");
}

/* ---- the whole ------------------------------------------------------------------------------- */

static samp_status lex_from_brace(lexer *l, size_t brace)
{
    char kind = l->source[brace + 1], sign;
    size_t raw = tag_of_word(l, brace, "raw", false, &sign);
    if (!raw)
        sign = brace + 2 < l->n && (l->source[brace + 2] == '-' || l->source[brace + 2] == '+')
                   ? l->source[brace + 2]
                   : 0;
    SAMP_TRY(push_data(l, l->at, brace, sign, kind == '{'));
    if (raw) return lex_raw(l, raw);
    size_t inside = brace + 2 + (sign != 0);
    if (kind == '#') return lex_comment(l, inside);
    SAMP_TRY(push(l, kind == '%' ? SAMP__LEX_BLOCK : SAMP__LEX_OUTPUT, brace, NULL));
    l->at = inside;
    samp_buffer open = {0};
    samp_status status = lex_tag(l, kind == '%' ? '%' : '}', &open);
    samp_buffer_release(&open);
    return status;
}

static samp_status lex_all(lexer *l)
{
    size_t scan = 0;
    l->line_starting = true;
    while (scan < l->n) {
        const char *brace = memchr(l->source + scan, '{', l->n - scan);
        if (!brace) break;
        scan = (size_t)(brace - l->source);
        if (scan + 1 < l->n && memchr("%{#", l->source[scan + 1], 3)) {
            SAMP_TRY(lex_from_brace(l, scan));
            scan = l->at;
        } else {
            scan++;
        }
    }
    if (l->at < l->n) SAMP_TRY(push_text(l, SAMP__LEX_DATA, l->at, l->n));
    return push(l, SAMP__LEX_END, l->n, NULL);
}

samp_status samp__lex(samp__lexemes *out, samp_arena *arena, const char *source, size_t n,
                      const char *where, samp_error *error)
{
    *out = (samp__lexemes){0};
    samp_buffer clean = {0}; /* line ends are \n */
    for (size_t i = 0; i < n; i++) {
        if (source[i] == '\r' && i + 1 < n && source[i + 1] == '\n') continue;
        samp_buffer_append(&clean, source[i] == '\r' ? "\n" : source + i, 1);
    }
    samp_status status = samp_buffer_ok(&clean, error);
    size_t length = clean.length;
    if (length && clean.data[length - 1] == '\n') length--;
    lexer l = {.out = out,
               .arena = arena,
               .source = clean.data ? clean.data : "",
               .n = length,
               .line = 1,
               .where = where,
               .error = error};
    if (status == SAMP_OK) status = lex_all(&l);
    if (status != SAMP_OK) {
        samp_free(out->items);
        *out = (samp__lexemes){0};
    }
    samp_buffer_release(&clean);
    return status;
}
