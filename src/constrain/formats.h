/* Formats of strings as patterns. */
#ifndef SAMP_CONSTRAIN_FORMATS_H
#define SAMP_CONSTRAIN_FORMATS_H

/* The pattern of a format of JSON Schema ("date-time"), anchored; NULL = not known. */
const char *samp__format_pattern(const char *name);

#endif
