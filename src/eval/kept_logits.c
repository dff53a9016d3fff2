/* The file of a baseline's logits (kept_logits.h). */
#include "eval/kept_logits.h"

#include "base/memory.h"
#include "file/file.h"

#include <stdio.h>
#include <string.h>

enum { HEAD = SAMP_SHA256_HEX - 1 };

struct samp_kept_logits {
    samp_file *file;     /* known */
    samp_output *output; /* being written */
    uint64_t row_bytes, n_positions, done;
};

static samp_status open_known(samp_kept_logits *kept, const char *path, const char *digest,
                              samp_error *error)
{
    char head[HEAD];
    SAMP_TRY(samp_file_open(&kept->file, path, error));
    uint64_t size = samp_file_size(kept->file), wanted = HEAD + kept->n_positions * kept->row_bytes;
    if (size != wanted)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s has %llu bytes, expected %llu; remove it, and it is made again", path,
                         (unsigned long long)size, (unsigned long long)wanted);
    SAMP_TRY(samp_file_read(kept->file, 0, head, HEAD, error));
    if (memcmp(head, digest, HEAD) == 0) return SAMP_OK;
    return samp_fail(error, SAMP_CORRUPT,
                     "%s does not hold what its name says; remove it, and it is made again", path);
}

samp_status samp_kept_logits_open(samp_kept_logits **out, const char *folder,
                                  const char digest[SAMP_SHA256_HEX], uint64_t n_positions,
                                  uint64_t vocab, samp_error *error)
{
    char path[4096], name[HEAD + 8];
    samp_kept_logits *kept = *out = samp_alloc(1, sizeof *kept);
    if (!kept) return samp_fail(error, SAMP_NOMEM, "out of memory");
    kept->row_bytes = vocab * sizeof(float);
    kept->n_positions = n_positions;
    snprintf(name, sizeof name, "%s.logits", digest);
    samp_status status = samp_make_folder(folder, error);
    if (status == SAMP_OK) status = samp_path_join(path, sizeof path, folder, name, error);
    if (status == SAMP_OK && samp_is_file(path)) {
        status = open_known(kept, path, digest, error);
    } else if (status == SAMP_OK) {
        status = samp_output_create(&kept->output, path, error);
        if (status == SAMP_OK) status = samp_output_write(kept->output, digest, HEAD, error);
    }
    if (status == SAMP_OK) return SAMP_OK;
    samp_kept_logits_close(kept, NULL);
    *out = NULL;
    return status;
}

bool samp_kept_logits_known(const samp_kept_logits *kept) { return kept->file != NULL; }

samp_status samp_kept_logits_rows(samp_kept_logits *kept, float *rows, uint64_t n,
                                  samp_error *error)
{
    uint64_t at = HEAD + kept->done * kept->row_bytes;
    kept->done += n;
    if (kept->file) return samp_file_read(kept->file, at, rows, n * kept->row_bytes, error);
    return samp_output_write(kept->output, rows, n * kept->row_bytes, error);
}

samp_status samp_kept_logits_close(samp_kept_logits *kept, samp_error *error)
{
    samp_status status = SAMP_OK;
    if (!kept) return status;
    samp_file_close(kept->file);
    if (kept->output && kept->done == kept->n_positions)
        status = samp_output_commit(kept->output, error);
    else
        samp_output_abandon(kept->output);
    samp_free(kept);
    return status;
}
