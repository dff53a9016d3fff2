/* Diagnostics on standard error, by level; SAMP_LOG=debug|info|warn|error|off (default warn).
 * A library room logs only what is not an error but a user may want to know; errors are returned.
 */
#ifndef SAMP_BASE_LOG_H
#define SAMP_BASE_LOG_H

typedef enum samp_log_level {
    SAMP_LOG_DEBUG,
    SAMP_LOG_INFO,
    SAMP_LOG_WARN,
    SAMP_LOG_ERROR,
    SAMP_LOG_OFF
} samp_log_level;

/* One line, with time and level; control bytes are made visible. Never waits: where standard error
 * has no room the line is lost. */
void samp_log(samp_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
