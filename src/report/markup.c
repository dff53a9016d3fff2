/* The writer: a stack of open elements, and one function through which every foreign byte goes. */
#include "report/markup.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Length of the UTF-8 sequence at text when it is a character XML allows, else 0. */
static size_t character_length(const unsigned char *text)
{
    unsigned c = text[0];
    if (c < 0x80) return c >= 0x20 || c == '\t' || c == '\n' ? 1 : 0;
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    unsigned code = c & (0xffu >> (n + 1));
    if (c < 0xc2 || c > 0xf4) return 0;
    for (size_t i = 1; i < n; i++) { /* a NUL at the end is no continuation byte */
        if ((text[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool surrogate = code >= 0xd800 && code < 0xe000;
    bool control = code<0xa0, past_end = code> 0x10ffff;
    bool no_character = (code & 0xfffe) == 0xfffe || (code >= 0xfdd0 && code < 0xfdf0);
    return code < least[n] || surrogate || control || past_end || no_character ? 0 : n;
}

static void escape(samp_buffer *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        size_t n = character_length(at);
        switch (n == 1 ? *at : 0) {
        case '&': samp_buffer_text(out, "&amp;"); break;
        case '<': samp_buffer_text(out, "&lt;"); break;
        case '>': samp_buffer_text(out, "&gt;"); break;
        case '"': samp_buffer_text(out, "&quot;"); break;
        case '\'': samp_buffer_text(out, "&#39;"); break;
        default:
            if (n)
                samp_buffer_append(out, at, n);
            else
                samp_buffer_text(out, "\xEF\xBF\xBD"); /* the replacement character */
        }
        at += n ? n : 1;
    }
}

__attribute__((format(printf, 2, 0))) static void
escape_formatted(samp_buffer *out, const char *format, va_list arguments)
{
    char small[512];
    va_list again;
    va_copy(again, arguments);
    int n = vsnprintf(small, sizeof small, format, arguments);
    if (n >= 0 && (size_t)n < sizeof small) {
        escape(out, small);
    } else {
        samp_buffer whole = {0};
        char *at = n < 0 ? NULL : samp_buffer_reserve(&whole, (size_t)n);
        if (at) {
            vsnprintf(at, (size_t)n + 1, format, again);
            escape(out, at);
        }
        out->failed |= !at;
        samp_buffer_release(&whole);
    }
    va_end(again);
}

static void end_tag(samp_markup *m)
{
    if (m->in_tag) samp_buffer_text(m->out, ">");
    m->in_tag = false;
}

void samp_markup_open(samp_markup *m, const char *element)
{
    assert(m->depth < SAMP_MARKUP_DEPTH);
    end_tag(m);
    samp_buffer_text(m->out, "<");
    samp_buffer_text(m->out, element);
    m->open[m->depth++] = element;
    m->in_tag = true;
}

void samp_markup_close(samp_markup *m)
{
    assert(m->depth > 0);
    const char *element = m->open[--m->depth];
    if (m->in_tag && strcmp(element, "meta") == 0) { /* the one void element used here */
        samp_buffer_text(m->out, " />\n");
        m->in_tag = false;
        return;
    }
    end_tag(m);
    samp_buffer_text(m->out, "</");
    samp_buffer_text(m->out, element);
    samp_buffer_text(m->out, ">\n");
}

void samp_markup_attribute(samp_markup *m, const char *name, const char *value)
{
    assert(m->in_tag);
    samp_buffer_text(m->out, " ");
    samp_buffer_text(m->out, name);
    samp_buffer_text(m->out, "=\"");
    escape(m->out, value);
    samp_buffer_text(m->out, "\"");
}

void samp_markup_attributef(samp_markup *m, const char *name, const char *format, ...)
{
    assert(m->in_tag);
    samp_buffer_text(m->out, " ");
    samp_buffer_text(m->out, name);
    samp_buffer_text(m->out, "=\"");
    va_list arguments;
    va_start(arguments, format);
    escape_formatted(m->out, format, arguments);
    va_end(arguments);
    samp_buffer_text(m->out, "\"");
}

void samp_markup_number(samp_markup *m, const char *name, double value)
{
    char text[32];
    if (!isfinite(value) || fabs(value) > 1e6) value = 0;
    int n = snprintf(text, sizeof text, "%.2f", value);
    while (n > 1 && text[n - 1] == '0') text[--n] = '\0';
    if (n > 1 && text[n - 1] == '.') text[--n] = '\0';
    samp_markup_attribute(m, name, text);
}

void samp_markup_text(samp_markup *m, const char *text)
{
    end_tag(m);
    escape(m->out, text);
}

void samp_markup_textf(samp_markup *m, const char *format, ...)
{
    end_tag(m);
    va_list arguments;
    va_start(arguments, format);
    escape_formatted(m->out, format, arguments);
    va_end(arguments);
}

void samp_markup_element(samp_markup *m, const char *element, const char *class_, const char *text)
{
    samp_markup_open(m, element);
    if (class_) samp_markup_attribute(m, "class", class_);
    samp_markup_text(m, text);
    samp_markup_close(m);
}

void samp_markup_style(samp_markup *m, const char *css)
{
    samp_markup_open(m, "style");
    end_tag(m);
    samp_buffer_text(m->out, css);
    samp_markup_close(m);
}
