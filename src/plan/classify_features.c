/* Features of a text in one pass over its bytes: counts of characters, of lines and of words by
 * group, brought to about unit size; and its language. All state is on the stack. */
#include "plan/classify.h"
#include "plan/classify_words.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum script {
    LATIN,
    GREEK,
    CYRILLIC,
    HEBREW,
    ARABIC,
    DEVANAGARI,
    THAI,
    KANA,
    HANGUL,
    HAN,
    SCRIPTS
};

typedef struct counts {
    uint32_t bytes, letters, digits, upper_words, words, numbers;
    uint32_t of[256];         /* by byte */
    uint32_t key_colons;      /* `":` */
    uint32_t money;           /* "$5", "5%" */
    uint32_t lines, indented; /* lines that hold something; those that begin with two blanks */
    uint32_t code_endings;    /* lines that end with ; { } ) : or , */
    uint32_t fenced;          /* ``` */
    uint32_t group[W_GROUPS]; /* words */
    uint32_t script[SCRIPTS]; /* characters past ASCII */
    bool in_fence, first_asks;
    uint32_t n_first, asking; /* of the first twelve words: how many ask */
} counts;

static uint64_t load_word(const char *word)
{
    uint64_t bits;
    memcpy(&bits, word, sizeof bits);
    return __builtin_bswap64(bits); /* order of the number = order of the bytes */
}

static uint32_t word_groups(const char word[8])
{
    uint64_t wanted = load_word(word);
    size_t low = 0, high = sizeof classify_words / sizeof *classify_words;
    while (low < high) {
        size_t middle = (low + high) / 2;
        uint64_t at = load_word(classify_words[middle].word);
        if (at == wanted) return classify_words[middle].groups;
        if (at < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

/* Length of the UTF-8 sequence at text (1 for anything malformed), and its script. */
static size_t read_character(const unsigned char *text, size_t n, enum script *script)
{
    uint32_t c = text[0];
    size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC2 ? 2 : 1;
    *script = LATIN;
    if (length == 1 || length > n) return 1;
    c &= 0x7Fu >> length;
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80) return 1;
        c = c << 6 | (text[i] & 0x3F);
    }
    static const struct {
        uint32_t first, last;
        enum script script;
    } ranges[] = {{0x370, 0x3FF, GREEK},    {0x400, 0x52F, CYRILLIC},   {0x590, 0x5FF, HEBREW},
                  {0x600, 0x77F, ARABIC},   {0x900, 0x97F, DEVANAGARI}, {0xE00, 0xE7F, THAI},
                  {0x1100, 0x11FF, HANGUL}, {0x3040, 0x30FF, KANA},     {0x3400, 0x9FFF, HAN},
                  {0xAC00, 0xD7AF, HANGUL}, {0x20000, 0x3FFFF, HAN}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (c >= ranges[i].first && c <= ranges[i].last) *script = ranges[i].script;
    /* Punctuation, symbols and emoji (U+2000 on, outside the scripts) are no letters. */
    if (*script == LATIN && (c < 0xC0 || c >= 0x2000)) *script = SCRIPTS;
    return length;
}

static bool is_letter(unsigned char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }
static bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }

/* A word begins at text[0]: counts it and returns its length in bytes. */
static size_t take_word(counts *c, const unsigned char *text, size_t n)
{
    char word[8] = {0};
    size_t length = 0;
    bool capital = text[0] >= 'A' && text[0] <= 'Z';
    while (length < n) {
        unsigned char byte = text[length];
        enum script script = SCRIPTS;
        size_t step = 1;
        if (byte >= 0x80) {
            step = read_character(text + length, n - length, &script);
            if (step == 1 || script == SCRIPTS) break;
            c->script[script]++;
        } else if (is_letter(byte)) {
            c->letters++;
            byte |= 32;
        } else if (is_digit(byte)) {
            c->digits++;
        } else if (byte == '_') {
            c->of['_']++;
        } else {
            break;
        }
        /* Whole characters only: the table's words never end within one. */
        if (length + step <= sizeof word) {
            memcpy(word + length, text + length, step);
            if (step == 1) word[length] = (char)byte;
        }
        length += step;
    }
    if (length == 0) return 0;
    uint32_t groups = word_groups(word);
    for (uint32_t g = 0; g < W_GROUPS; g++) c->group[g] += groups >> g & 1;
    if (c->words == 0) c->first_asks = (groups & (1 << G_ASK | 1 << G_PERSON)) != 0;
    if (c->n_first < 12) c->n_first++, c->asking += groups >> G_ASK & 1;
    c->words++;
    c->upper_words += capital;
    return length;
}

static void end_line(counts *c, const unsigned char *begin, const unsigned char *end)
{
    const unsigned char *last = end;
    while (last > begin && (last[-1] == ' ' || last[-1] == '\r' || last[-1] == '\t')) last--;
    if (last == begin) return;
    c->lines++;
    c->indented += begin[0] == '\t' || (begin[0] == ' ' && last - begin > 1 && begin[1] == ' ');
    c->code_endings += last[-1] == ';' || last[-1] == '{' || last[-1] == '}' || last[-1] == ')';
    if (last - begin >= 3 && memcmp(begin, "```", 3) == 0) c->in_fence = !c->in_fence;
    c->fenced += c->in_fence;
}

/* Length of a chat marker with its role ("<|im_start|>user") at text, 0 when there is none. */
static size_t marker_length(const unsigned char *text, size_t n)
{
    if (n >= 10 && memcmp(text, "<|im_end|>", 10) == 0) return 10;
    if (n < 12 || memcmp(text, "<|im_start|>", 12) != 0) return 0;
    size_t length = 12;
    while (length < n && length < 32 && text[length] != '\n') length++;
    return length;
}

static void count_span(counts *c, const unsigned char *text, size_t n)
{
    const unsigned char *line = text;
    for (size_t i = 0; i < n;) {
        unsigned char byte = text[i];
        size_t marker = byte == '<' ? marker_length(text + i, n - i) : 0;
        if (marker > 0) {
            i += marker;
            line = text + i;
            continue;
        }
        if (is_letter(byte) || byte == '_' || byte >= 0xC2) {
            size_t length = take_word(c, text + i, n - i);
            if (length > 0) {
                i += length;
                continue;
            }
        }
        if (is_digit(byte)) {
            size_t first = i;
            while (i < n && (is_digit(text[i]) || text[i] == '.' || text[i] == ','))
                c->digits += is_digit(text[i]), i++;
            c->numbers++;
            c->money += (first > 0 && text[first - 1] == '$') || (i < n && text[i] == '%');
            continue;
        }
        c->of[byte]++;
        if (byte == '\n') {
            end_line(c, line, text + i);
            line = text + i + 1;
        }
        c->key_colons += byte == ':' && i > 0 && text[i - 1] == '"';
        i++;
    }
    end_line(c, line, text + n);
    c->bytes += (uint32_t)n;
}

/* Keys of the longest run of well-formed JSON from its first brace or bracket: 0 when the text does
 * not contain any. Checks only the alternation of keys, colons and values: enough to tell JSON from
 * code that has braces. */
static uint32_t json_prefix_keys(const unsigned char *text, size_t n)
{
    uint32_t best = 0;
    for (size_t start = 0, tries = 0; start < n && tries < 4; start++) {
        if (text[start] != '{') continue;
        tries++;
        uint32_t keys = 0;
        size_t i = start + 1;
        unsigned char before = '{';
        for (; i < n; i++) {
            unsigned char byte = text[i];
            if (byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r') continue;
            if (byte == '"') {
                size_t end = i + 1;
                while (end < n && text[end] != '"' && text[end] != '\n')
                    end += text[end] == '\\' ? 2 : 1;
                if (end >= n || text[end] != '"' || before == '"') break;
                i = end;
            } else if (byte == ':') {
                if (before != '"') break;
                keys++;
            } else if (!byte || !strchr("{}[],-+.0123456789eEtruefalsn", byte)) {
                break;
            }
            before = byte;
        }
        if (keys > best) best = keys;
        if (i > start + 1 && keys > 0) start = i < n ? i - 1 : n;
    }
    return best;
}

/* Share of the script, or stop words, decide. */
static samp_language find_language(const counts *c)
{
    static const samp_language by_script[SCRIPTS] = {
        [GREEK] = SAMP_LANGUAGE_EL,  [CYRILLIC] = SAMP_LANGUAGE_RU,   [HEBREW] = SAMP_LANGUAGE_HE,
        [ARABIC] = SAMP_LANGUAGE_AR, [DEVANAGARI] = SAMP_LANGUAGE_HI, [THAI] = SAMP_LANGUAGE_TH,
        [KANA] = SAMP_LANGUAGE_JA,   [HANGUL] = SAMP_LANGUAGE_KO,     [HAN] = SAMP_LANGUAGE_ZH};
    uint32_t latin = c->letters + c->script[LATIN], other = 0, most = 0;
    enum script script = LATIN;
    for (int s = GREEK; s < SCRIPTS; s++) {
        other += c->script[s];
        if (c->script[s] > most) most = c->script[s], script = (enum script)s;
    }
    /* An ideograph says as much as several letters. */
    uint32_t weight = script == HAN || script == KANA || script == HANGUL ? 3 : 1;
    if (other * weight * 2 > latin) {
        if (script == HAN && c->script[KANA] * 20 > c->script[HAN]) return SAMP_LANGUAGE_JA;
        return by_script[script];
    }
    uint32_t english = c->group[G_EN], best = english;
    samp_language language = SAMP_LANGUAGE_EN;
    for (uint32_t g = G_DE; g < W_GROUPS; g++)
        if (c->group[g] > best) {
            best = c->group[g];
            language = (samp_language)(SAMP_LANGUAGE_EN + (g - G_EN));
        }
    /* Two stop words of another language happen in English and in code; three, and one word in
     * twelve, do not. */
    if (language != SAMP_LANGUAGE_EN && best >= 3 && best * 12 >= c->words) return language;
    return latin > 0 && (english > 0 || c->script[LATIN] == 0) ? SAMP_LANGUAGE_EN
                                                               : SAMP_LANGUAGE_OTHER;
}

static float rate(uint32_t count, uint32_t of, float scale)
{
    return of ? sqrtf((float)count / (float)of * scale) : 0;
}

static void fill(const counts *c, uint32_t json_keys, bool json_end, float *f)
{
    const uint32_t *of = c->of;
    uint32_t n = c->bytes, words = c->words;
    f[SAMP_FEATURE_BIAS] = 1;
    f[SAMP_FEATURE_LETTERS] = n ? (float)c->letters / (float)n : 0;
    f[SAMP_FEATURE_DIGITS] = rate(c->digits, n, 20);
    f[SAMP_FEATURE_BRACES] = rate(of['{'] + of['}'], n, 50);
    f[SAMP_FEATURE_BRACKETS] = rate(of['['] + of[']'], n, 50);
    f[SAMP_FEATURE_PARENTHESES] = rate(of['('] + of[')'], n, 50);
    f[SAMP_FEATURE_SEMICOLONS] = rate(of[';'], n, 100);
    f[SAMP_FEATURE_UNDERSCORES] = rate(of['_'], n, 50);
    f[SAMP_FEATURE_EQUALS] = rate(of['='], n, 100);
    f[SAMP_FEATURE_OPERATORS] =
        rate(of['+'] + of['*'] + of['/'] + of['<'] + of['>'] + of['^'], n, 50);
    f[SAMP_FEATURE_KEY_COLONS] = rate(c->key_colons, n, 50);
    f[SAMP_FEATURE_QUOTES] = rate(of['"'], n, 30);
    f[SAMP_FEATURE_LATEX] = rate(of['\\'] + of['$'], n, 100);
    f[SAMP_FEATURE_MONEY] = rate(c->money, words, 30);
    f[SAMP_FEATURE_QUESTIONS] = rate(of['?'], n, 200);
    f[SAMP_FEATURE_LINES] = rate(c->lines, n, 30);
    f[SAMP_FEATURE_INDENTED] = rate(c->indented, c->lines, 2);
    f[SAMP_FEATURE_CODE_ENDINGS] = rate(c->code_endings, c->lines, 2);
    f[SAMP_FEATURE_FENCED] = rate(c->fenced, c->lines, 1);
    f[SAMP_FEATURE_KEYWORD] = rate(c->group[G_KEYWORD], words, 5);
    f[SAMP_FEATURE_PROGRAM] = rate(c->group[G_PROGRAM], words, 10);
    f[SAMP_FEATURE_STORY] = rate(c->group[G_STORY], words, 8);
    f[SAMP_FEATURE_FORMAL] = rate(c->group[G_FORMAL], words, 10);
    f[SAMP_FEATURE_STRUCT] = rate(c->group[G_STRUCT], words, 5);
    f[SAMP_FEATURE_PERSON] = rate(c->group[G_PERSON], words, 15);
    f[SAMP_FEATURE_ASK] = rate(c->group[G_ASK], words, 8);
    f[SAMP_FEATURE_THIRD] = rate(c->group[G_THIRD], words, 10);
    f[SAMP_FEATURE_ENGLISH] = rate(c->group[G_EN], words, 3);
    f[SAMP_FEATURE_NUMBERS] = rate(c->numbers, words + c->numbers, 8);
    f[SAMP_FEATURE_CAPITALS] = rate(c->upper_words, words, 4);
    f[SAMP_FEATURE_FIRST_ASKS] = c->first_asks;
    f[SAMP_FEATURE_NUMBERLESS] = c->numbers == 0 && c->group[G_FORMAL] == 0;
    f[SAMP_FEATURE_OPENS_ASKING] = (float)c->asking / 4;
    f[SAMP_FEATURE_LENGTH] = logf(1 + (float)n) / 6;
    f[SAMP_FEATURE_JSON_KEYS] = logf(1 + (float)json_keys) / 2;
    f[SAMP_FEATURE_JSON_END] = json_end ? 1 : 0;
}

void samp_classify_features(const char *text, size_t n, float features[SAMP_FEATURE_COUNT],
                            samp_language *language)
{
    const unsigned char *bytes = (const unsigned char *)text;
    counts c = {0};
    size_t head = n, tail = 0;
    if (n > SAMP_CLASSIFY_HEAD + SAMP_CLASSIFY_TAIL)
        head = SAMP_CLASSIFY_HEAD, tail = SAMP_CLASSIFY_TAIL;
    count_span(&c, bytes, head);
    if (tail) count_span(&c, bytes + n - tail, tail);
    size_t end = n;
    while (end > 0 && (bytes[end - 1] <= ' ' || bytes[end - 1] == '`')) end--;
    bool json_end = end > 0 && (bytes[end - 1] == '}' || bytes[end - 1] == ']') && c.key_colons > 0;
    fill(&c, json_prefix_keys(bytes, head), json_end, features);
    *language = find_language(&c);
}
