/* The report's style sheet. */
#ifndef SAMP_REPORT_STYLE_H
#define SAMP_REPORT_STYLE_H

extern const char samp__report_css[];

#endif
