/* Redaction: one walk over the text; at each byte the forms that can begin there are tried. A form
 * answers how many bytes it spans and which part of them is secret. */
#include "plan/redact.h"

#include <math.h>
#include <string.h>
#include <strings.h>

/* What a form found: text[0..keep) stays, text[keep..end) becomes the placeholder; end 0 = nothing.
 * */
typedef struct match {
    size_t keep, end;
    samp_redaction kind;
} match;

const char *samp_redaction_name(samp_redaction kind)
{
    static const char *const names[] = {"email",   "phone",        "card",        "private_key",
                                        "aws_key", "github_token", "slack_token", "api_key",
                                        "bearer",  "secret"};
    _Static_assert(sizeof names / sizeof *names == SAMP_REDACTION_COUNT, "a name a kind");
    return names[kind];
}

const char *samp_redaction_text(samp_redaction kind)
{
    static const char *const texts[] = {
#define X(name, placeholder, what) what,
        SAMP_REDACTION_LIST(X)
#undef X
    };
    return texts[kind];
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }
static bool is_alnum(char c) { return is_digit(c) || is_letter(c); }
static bool is_word(char c) { return is_alnum(c) || c == '_'; }
static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static bool one_of(char c, const char *set) { return c && strchr(set, c) != NULL; }

/* Length of the run of alphanumerics and bytes of `more` at text. */
static size_t run(const char *text, size_t n, const char *more)
{
    size_t length = 0;
    while (length < n && (is_alnum(text[length]) || one_of(text[length], more))) length++;
    return length;
}

static bool starts(const char *text, size_t n, const char *with)
{
    size_t length = strlen(with);
    return n >= length && strncasecmp(text, with, length) == 0;
}

/* Keys that a provider marks by a prefix. */
static match prefixed_key(const char *text, size_t n)
{
    enum { LOOK = 512 }; /* bytes that decide: "sk-sk-sk-…" must not be walked from each "sk-" */
    static const struct {
        const char *prefix, *more; /* bytes besides letters and digits that may follow */
        size_t min;                /* bytes after the prefix */
        samp_redaction kind;
    } forms[] = {
        {"AKIA", "", 16, SAMP_REDACTION_AWS_KEY},
        {"ASIA", "", 16, SAMP_REDACTION_AWS_KEY},
        {"ghp_", "", 30, SAMP_REDACTION_GITHUB_TOKEN},
        {"gho_", "", 30, SAMP_REDACTION_GITHUB_TOKEN},
        {"ghu_", "", 30, SAMP_REDACTION_GITHUB_TOKEN},
        {"ghs_", "", 30, SAMP_REDACTION_GITHUB_TOKEN},
        {"ghr_", "", 30, SAMP_REDACTION_GITHUB_TOKEN},
        {"github_pat_", "_", 22, SAMP_REDACTION_GITHUB_TOKEN},
        {"xoxb-", "-", 10, SAMP_REDACTION_SLACK_TOKEN},
        {"xoxp-", "-", 10, SAMP_REDACTION_SLACK_TOKEN},
        {"xoxa-", "-", 10, SAMP_REDACTION_SLACK_TOKEN},
        {"xoxr-", "-", 10, SAMP_REDACTION_SLACK_TOKEN},
        {"xoxs-", "-", 10, SAMP_REDACTION_SLACK_TOKEN},
        {"xapp-", "-", 10, SAMP_REDACTION_SLACK_TOKEN},
        {"sk-", "-_", 20, SAMP_REDACTION_API_KEY},
        {"sk_live_", "", 16, SAMP_REDACTION_API_KEY},
        {"sk_test_", "", 16, SAMP_REDACTION_API_KEY},
        {"rk_live_", "", 16, SAMP_REDACTION_API_KEY},
        {"AIza", "-_", 35, SAMP_REDACTION_API_KEY},
        {"glpat-", "-_", 20, SAMP_REDACTION_API_KEY},
        {"npm_", "", 36, SAMP_REDACTION_API_KEY},
        {"hf_", "", 30, SAMP_REDACTION_API_KEY},
        {"eyJ", "-_.", 40, SAMP_REDACTION_BEARER}, /* a JSON web token */
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        size_t prefix = strlen(forms[i].prefix);
        if (n < prefix || memcmp(text, forms[i].prefix, prefix) != 0) continue;
        size_t left = n - prefix,
               length = run(text + prefix, left < LOOK ? left : LOOK, forms[i].more);
        bool digit = false;
        for (size_t j = 0; j < length; j++) digit |= is_digit(text[prefix + j]);
        if (length < forms[i].min || !digit) continue;
        length += run(text + prefix + length, left - length, forms[i].more);
        return (match){0, prefix + length, forms[i].kind};
    }
    return (match){0};
}

/* "Bearer TOKEN", "Basic TOKEN": the scheme stays. */
static match bearer(const char *text, size_t n)
{
    size_t scheme = starts(text, n, "bearer ") ? 7 : starts(text, n, "basic ") ? 6 : 0;
    if (scheme == 0) return (match){0};
    size_t length = run(text + scheme, n - scheme, "-._~+/=");
    bool digit = false, letter = false;
    for (size_t i = scheme; i < scheme + length; i++)
        digit |= is_digit(text[i]), letter |= is_letter(text[i]);
    if (length < 16 || !digit || !letter) return (match){0};
    return (match){scheme, scheme + length, SAMP_REDACTION_BEARER};
}

static match private_key(const char *text, size_t n)
{
    static const char begin[] = "-----BEGIN ", kind[] = "PRIVATE KEY", end[] = "-----END ";
    if (n < sizeof begin || memcmp(text, begin, sizeof begin - 1) != 0) return (match){0};
    size_t head = n < 80 ? n : 80;
    if (!memmem(text, head, kind, sizeof kind - 1)) return (match){0};
    const char *last = memmem(text + head, n - head, end, sizeof end - 1);
    if (!last) last = memmem(text + 1, n - 1, end, sizeof end - 1);
    if (!last) return (match){0, n, SAMP_REDACTION_PRIVATE_KEY}; /* cut off: all of it is key */
    const char *close =
        memmem(last + sizeof end - 1, n - (size_t)(last - text) - sizeof end + 1, "-----", 5);
    return (match){0, close ? (size_t)(close - text) + 5 : n, SAMP_REDACTION_PRIVATE_KEY};
}

/* Bits of Shannon entropy per byte. */
static double entropy(const char *text, size_t n)
{
    unsigned counts[256] = {0};
    double bits = 0;
    for (size_t i = 0; i < n; i++) counts[(unsigned char)text[i]]++;
    for (int c = 0; c < 256; c++)
        if (counts[c]) bits -= counts[c] * log2((double)counts[c] / (double)n);
    return n ? bits / (double)n : 0;
}

/* The name at text[0..n) ends in a word that says its value is secret. password: whatever the value
 * looks like. */
static bool secret_name(const char *text, size_t n, bool *password)
{
    static const char *const passwords[] = {"password", "passwd", "passphrase", "pwd"};
    static const char *const keys[] = {"secret",     "api_key",      "apikey",    "api-key",
                                       "token",      "access_key",   "accesskey", "private_key",
                                       "secret_key", "secretkey",    "auth_key",  "account_key",
                                       "accountkey", "client_secret"};
    *password = true;
    for (size_t i = 0; i < sizeof passwords / sizeof *passwords; i++) {
        size_t length = strlen(passwords[i]);
        if (n >= length && strncasecmp(text + n - length, passwords[i], length) == 0) return true;
    }
    *password = false;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        size_t length = strlen(keys[i]);
        if (n >= length && strncasecmp(text + n - length, keys[i], length) == 0) return true;
    }
    return false;
}

/* A value that stands for a secret without being one: a placeholder, or a piece of program. */
static bool is_stand_in(const char *value, size_t n, bool quoted)
{
    static const char *const words[] = {
        "your",     "my",      "<",        "$",        "{",    "[",    "*",
        "xxx",      "example", "changeme", "none",     "null", "true", "false",
        "password", "secret",  "string",   "process.", "os.",  "env",  "%"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (starts(value, n, words[i])) return true;
    if (quoted) return false;
    bool digit = false;
    for (size_t i = 0; i < n; i++) {
        if (one_of(value[i], "()[]{}<>")) return true;
        digit |= is_digit(value[i]);
    }
    return !digit; /* the name of a variable, or an ordinary word */
}

/* name = value, "name": "value", name => 'value'. The name begins at text[0]. */
static match assignment(const char *text, size_t n)
{
    size_t name = run(text, n < 64 ? n : 64, "_-");
    bool password;
    if (name == 0 || !secret_name(text, name, &password)) return (match){0};
    size_t at = name;
    if (at < n && text[at] == '\\') at++;
    if (at < n && one_of(text[at], "\"'`")) at++;
    while (at < n && one_of(text[at], " \t")) at++;
    if (at < n && text[at] == ':' && at + 1 < n && text[at + 1] == '=') at++;
    if (at >= n || !one_of(text[at], "=:")) return (match){0};
    at++;
    if (at < n && text[at] == '>') at++;
    while (at < n && one_of(text[at], " \t")) at++;
    if (at < n && text[at] == '\\') at++;
    bool quoted = at < n && one_of(text[at], "\"'`");
    char quote = quoted ? text[at++] : 0;
    size_t value = at;
    while (at < n && at - value < 512 &&
           (quoted ? text[at] != quote && text[at] != '\n' && text[at] != '\\'
                   : !is_space(text[at]) && !one_of(text[at], "\"'`,;&|\\")))
        at++;
    while (at < n && (text[at] & 0xC0) == 0x80) at++; /* never half a character */
    size_t length = at - value;
    if (length < (password ? quoted ? 4 : 6 : 12) || is_stand_in(text + value, length, quoted))
        return (match){0};
    if (!password && (entropy(text + value, length) < 3.0 || memchr(text + value, ' ', length)))
        return (match){0};
    return (match){value, at, SAMP_REDACTION_SECRET};
}

/* The check digit of Luhn. */
static bool luhn(const char *digits, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned d = (unsigned)(digits[n - 1 - i] - '0') << (i & 1);
        sum += d > 9 ? d - 9 : d;
    }
    return sum % 10 == 0;
}

/* Thirteen to nineteen digits, in groups by single blanks or dashes. */
static match card(const char *text, size_t n)
{
    char digits[20];
    size_t count = 0, at = 0;
    if (text[0] < '2' || text[0] > '6') return (match){0};
    while (at < n && count < sizeof digits) {
        if (is_digit(text[at]))
            digits[count++] = text[at++];
        else if (one_of(text[at], " -") && at + 1 < n && is_digit(text[at + 1]))
            at++;
        else
            break;
    }
    if (count < 13 || count > 19 || (at < n && (is_word(text[at]) || text[at] == '.')))
        return (match){0};
    return luhn(digits, count) ? (match){0, at, SAMP_REDACTION_CARD} : (match){0};
}

/* +CC and at least ten digits with single separators; or (ddd) ddd-dddd, ddd-ddd-dddd,
 * ddd.ddd.dddd. */
static match phone(const char *text, size_t n)
{
    static const char *const national[] = {"(ddd) ddd-dddd", "(ddd)ddd-dddd", "ddd-ddd-dddd",
                                           "ddd.ddd.dddd"};
    for (size_t i = 0; i < sizeof national / sizeof *national; i++) {
        size_t at = 0, length = strlen(national[i]);
        while (at < length && at < n &&
               (national[i][at] == 'd' ? is_digit(text[at]) : text[at] == national[i][at]))
            at++;
        if (at == length && (at == n || (!is_word(text[at]) && text[at] != '-')))
            return (match){0, at, SAMP_REDACTION_PHONE};
    }
    if (text[0] != '+' || n < 2 || !is_digit(text[1]) || text[1] == '0') return (match){0};
    size_t count = 0, at = 1;
    while (at < n && count < 16) {
        if (is_digit(text[at]))
            count++;
        else if (!one_of(text[at], " -.()") || at + 1 >= n ||
                 !(is_digit(text[at + 1]) || one_of(text[at + 1], "( ")))
            break;
        at++;
    }
    if (count < 10 || count > 15 || (at < n && is_word(text[at]))) return (match){0};
    return (match){0, at, SAMP_REDACTION_PHONE};
}

/* Bytes of the domain after an '@': labels of letters, digits and dashes, the last of letters. */
static size_t domain_length(const char *text, size_t n)
{
    size_t length = 0;
    while (length < n && length < 254 && (is_alnum(text[length]) || one_of(text[length], "-.")) &&
           !(text[length] == '.' && (length == 0 || text[length - 1] == '.')))
        length++;
    while (length > 0 && one_of(text[length - 1], "-.")) length--;
    size_t last = length; /* where the last label begins */
    while (last > 0 && text[last - 1] != '.') last--;
    size_t top = last ? length - last : 0;
    for (size_t i = 0; i < top; i++)
        if (!is_letter(text[last + i])) return 0;
    return top >= 2 ? length : 0;
}

/* Bytes of a local part that end where `end` stands; never past `first`. */
static size_t local_length(const char *first, const char *end)
{
    size_t length = 0;
    while (end - length > first && length < 64 &&
           (is_word(end[-1 - (ptrdiff_t)length]) || one_of(end[-1 - (ptrdiff_t)length], ".+-%")))
        length++;
    while (length > 0 && end[-(ptrdiff_t)length] == '.') length--;
    return length;
}

static match find(const char *text, size_t at, size_t n)
{
    const char *here = text + at;
    char before = at ? text[at - 1] : ' ';
    size_t left = n - at;
    match found = {0};
    if (*here == '-') return private_key(here, left);
    if (is_word(before)) return found;
    if (is_digit(*here) && before != '.' && before != '-') found = card(here, left);
    if (found.end == 0 && (is_digit(*here) || one_of(*here, "+(")) && !one_of(before, "-.+/="))
        found = phone(here, left);
    if (is_letter(*here) || *here == '_') {
        found = prefixed_key(here, left);
        if (found.end == 0) found = bearer(here, left);
        if (found.end == 0 && before != '-') found = assignment(here, left);
    }
    return found;
}

void samp_redact(const char *text, size_t n, samp_buffer *out,
                 uint64_t counts[SAMP_REDACTION_COUNT])
{
    static const char *const placeholders[] = {
#define X(name, placeholder, what) placeholder,
        SAMP_REDACTION_LIST(X)
#undef X
    };
    size_t copied = 0; /* text[0..copied) is in out, or replaced */
    for (size_t at = 0; at < n;) {
        match found = {0};
        size_t begin = at;
        if (text[at] == '@') {
            size_t domain = domain_length(text + at + 1, n - at - 1);
            size_t local = domain ? local_length(text + copied, text + at) : 0;
            if (local) {
                begin = at - local;
                found = (match){0, local + 1 + domain, SAMP_REDACTION_EMAIL};
            }
        } else {
            found = find(text, at, n);
        }
        if (found.end == 0) {
            at++;
            continue;
        }
        samp_buffer_append(out, text + copied, begin + found.keep - copied);
        samp_buffer_text(out, placeholders[found.kind]);
        counts[found.kind]++;
        at = copied = begin + found.end;
    }
    samp_buffer_append(out, text + copied, n - copied);
}
