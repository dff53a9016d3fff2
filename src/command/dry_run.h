/* What `samp quantize --dry-run` prints: every shard to the byte, bytes by format, and whether the
 * disk has room. */
#ifndef SAMP_COMMAND_DRY_RUN_H
#define SAMP_COMMAND_DRY_RUN_H

#include "quantize/quantize.h"

/* out: the folder that would be written, NULL = not given. Returns an exit code: SAMP_EXIT_NO when
 * it does not fit on out's disk. */
int samp_dry_run_print(const samp_quantize_sizes *sizes, const char *out, samp_error *error);

#endif
