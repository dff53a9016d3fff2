/* Options from elsewhere than the command line, for commands that say so
 * (samp_command.environment), and what both readers share of one option (options.c). Private to the
 * room. */
#ifndef SAMP_COMMAND_SETTINGS_H
#define SAMP_COMMAND_SETTINGS_H

#include "command/command.h"

/* value: NULL turns a flag off. What it points to must outlive options. */
samp_status samp__option_store(const samp_option *option, const char *value, void *options,
                               samp_error *error);
/* The option of a long name of n bytes; NULL when there is none. */
const samp_option *samp__option_find(const samp_command *command, const char *name, size_t n);
/* Fails with what was meant, perhaps (unknown.c). given: "--nmae=x", "-n" or a bare name. */
samp_status samp__option_unknown(const samp_command *command, const char *given, samp_error *error);
/* The command that was meant by a name that is none; NULL = who knows. */
const char *samp__command_meant(const char *name);
/* Row i of what other programs call our options; returns how many rows there are. */
size_t samp__option_elsewhere(size_t i, const char **theirs, const char **ours);

/* Options whose bit is not in *seen (bit i: option i) are taken from variables, then from the file
 * that the option "config" names, and get their bits. text keeps what they point to. */
samp_status samp__settings_read(const samp_command *command, uint64_t *seen, void *options,
                                samp_buffer *text, samp_error *error);

#endif
