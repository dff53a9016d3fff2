/* Writing HTML and SVG: elements that close in the right order, text and attributes that are always
 * escaped. Names of elements and attributes are literals of this program; everything else may come
 * from anywhere (a model called «<script>», a name that is no UTF-8).
 *
 * The text is well-formed XML and HTML5 alike. A zeroed samp_markup with `out` set is ready; memory
 * is the buffer's, and samp_buffer_ok at the end says whether it sufficed. */
#ifndef SAMP_REPORT_MARKUP_H
#define SAMP_REPORT_MARKUP_H

#include "base/buffer.h"

enum { SAMP_MARKUP_DEPTH = 32 };

typedef struct samp_markup {
    samp_buffer *out;
    const char *open[SAMP_MARKUP_DEPTH];
    size_t depth;
    bool in_tag; /* attributes may follow */
} samp_markup;

void samp_markup_open(samp_markup *m, const char *element);
void samp_markup_close(samp_markup *m);
/* After samp_markup_open, before any content. */
void samp_markup_attribute(samp_markup *m, const char *name, const char *value);
void samp_markup_attributef(samp_markup *m, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A coordinate or length, two decimals at most; what is not finite or absurdly large becomes 0. */
void samp_markup_number(samp_markup *m, const char *name, double value);
void samp_markup_text(samp_markup *m, const char *text);
void samp_markup_textf(samp_markup *m, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Open, text, close. class NULL = none. */
void samp_markup_element(samp_markup *m, const char *element, const char *class_, const char *text);
/* A style sheet of this program, written as it is. */
void samp_markup_style(samp_markup *m, const char *css);

#endif
