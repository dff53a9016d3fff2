/* Files: positioned reads that name what went wrong, and output that appears whole or not at all.
 * Nothing is memory-mapped: a file that shrinks while it is read gives an error, not a SIGBUS. */
#ifndef SAMP_FILE_FILE_H
#define SAMP_FILE_FILE_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdint.h>

typedef struct samp_file samp_file; /* an open regular file; reads from several threads are fine */

/* Opens a regular file for reading (a device, FIFO or directory is an error). */
samp_status samp_file_open(samp_file **out, const char *path, samp_error *error);
void samp_file_close(samp_file *file); /* NULL allowed */
uint64_t samp_file_size(const samp_file *file);
const char *samp_file_path(const samp_file *file);
/* Exactly n bytes at offset. */
samp_status samp_file_read(samp_file *file, uint64_t offset, void *out, uint64_t n,
                           samp_error *error);
/* Tells the kernel that these bytes will not be needed again (keeps a streaming run out of the page
 * cache). */
void samp_file_forget(samp_file *file, uint64_t offset, uint64_t n);
/* The whole of a small file, at most max_bytes. */
samp_status samp_file_slurp(const char *path, uint64_t max_bytes, samp_buffer *out,
                            samp_error *error);

/* A file being written: bytes go to `path` + ".tmp-<pid>"; commit makes it durable and visible in
 * one step. What is at `path` is replaced, a link itself and not what it points to; folders,
 * devices, pipes and sockets are refused. */
typedef struct samp_output samp_output;
samp_status samp_output_create(samp_output **out, const char *path, samp_error *error);
samp_status samp_output_write(samp_output *output, const void *bytes, uint64_t n,
                              samp_error *error); /* append */
samp_status samp_output_write_at(samp_output *output, uint64_t offset, const void *bytes,
                                 uint64_t n, samp_error *error);
/* fsync, rename, fsync of the folder; releases output also on failure. */
samp_status samp_output_commit(samp_output *output, samp_error *error);
/* Removes what was written; NULL allowed. */
void samp_output_abandon(samp_output *output);
/* A whole small file through the same steps. */
samp_status samp_file_write(const char *path, const void *bytes, uint64_t n, samp_error *error);
samp_status samp_file_copy(const char *from, const char *to, samp_error *error);

/* out = folder + "/" + name; SAMP_LIMIT when longer than n. */
samp_status samp_path_join(char *out, size_t n, const char *folder, const char *name,
                           samp_error *error);
/* The last part of a path: "b" of "a/b", "" of "a/". */
const char *samp_path_name(const char *path);
/* out = what comes before it: "a" of "a/b", "." of "b", "/" of "/b"; SAMP_LIMIT when longer than n. */
samp_status samp_path_folder(char *out, size_t n, const char *path, samp_error *error);
/* Whether a path ends so, with something before the ending: "a.json" has ".json", ".json" has not. */
bool samp_path_has_ending(const char *path, const char *ending);
/* pread and pwrite that go on until all n bytes are done, after signals and short turns too. They
 * return the bytes done; fewer than n: errno says why, and is 0 where a file ended. */
uint64_t samp_pread(int fd, void *out, uint64_t n, uint64_t offset);
uint64_t samp_pwrite(int fd, const void *bytes, uint64_t n, uint64_t offset);
samp_status samp_make_folder(const char *path, samp_error *error); /* existing is fine */
samp_status samp_sync_folder(const char *path, samp_error *error);
/* Removes a folder and what is in it (never follows a link). */
samp_status samp_remove_folder(const char *path, samp_error *error);
bool samp_is_folder(const char *path);
bool samp_is_file(const char *path);

#endif
