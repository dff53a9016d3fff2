/* samp.json, the manifest of an artifact: what made it, and size and SHA-256 of each of its files.
 *
 *     {"schema_version": 1, "tool": "samp", "version": "0.1.0", … (source, recipe or plan, errors),
 *      "files": {"config.json": {"bytes": 711, "sha256": "…"}, …}, "manifest_sha256": "…"}
 *
 * The last member is the SHA-256 of the text without it, so that a change of samp.json itself is
 * found too.
 *
 * Verification reports what is wrong through a callback and goes on; its status says only whether
 * it could be done. File names are names in the folder itself, or in its folder of named chat
 * templates: any other '/' is a finding, not a path. */
#ifndef SAMP_FILE_MANIFEST_H
#define SAMP_FILE_MANIFEST_H

#include "base/hash.h"
#include "base/json.h"

enum { SAMP_MANIFEST_VERSION = 1 };
#define SAMP_MANIFEST_NAME    "samp.json"
#define SAMP_TEMPLATES_FOLDER "additional_chat_templates" /* of Hugging Face models */

typedef enum samp_severity {
    SAMP_SEVERITY_NOTE,
    SAMP_SEVERITY_WARNING,
    SAMP_SEVERITY_ERROR
} samp_severity;

/* id, stable name in reports, severity */
#define SAMP_MANIFEST_FINDING_LIST(X)                                                              \
    X(MALFORMED, "SAMP-MAN-001", ERROR)        /* not JSON, or members of other types */           \
    X(VERSION, "SAMP-MAN-002", ERROR)          /* schema_version of a newer samp */                \
    X(NAME, "SAMP-MAN-003", ERROR)             /* a name that is no file of this folder */         \
    X(MISSING, "SAMP-MAN-004", ERROR)          /* a listed file is not there */                    \
    X(UNREADABLE, "SAMP-MAN-005", ERROR)       /* … is no regular file, or reading it failed */  \
    X(SIZE, "SAMP-MAN-006", ERROR)             /* … has another size */                          \
    X(DIGEST, "SAMP-MAN-007", ERROR)           /* … has other bytes */                           \
    X(UNLISTED_WEIGHTS, "SAMP-MAN-008", ERROR) /* weights that are not listed */                   \
    X(UNLISTED_CODE, "SAMP-MAN-009", WARNING)  /* pickles or Python: could run code elsewhere */   \
    X(SEAL, "SAMP-MAN-010", ERROR)             /* samp.json itself was changed */

/* file: its name in the folder. message: one sentence. Both live until the callback returns. */
typedef void samp_manifest_report(void *context, const char *id, samp_severity severity,
                                  const char *file, const char *message);
/* Bytes hashed so far of all that will be; false stops with SAMP_CANCELLED. */
typedef bool samp_hash_progress(void *context, uint64_t done_bytes, uint64_t total_bytes);

typedef struct samp_manifest_check {
    bool digests; /* read every file; otherwise presence and sizes only */
    samp_manifest_report *report;
    samp_hash_progress *progress; /* NULL allowed */
    void *context;                /* for both */
} samp_manifest_check;

/* Checks a folder against its manifest. SAMP_NOT_FOUND when there is none. */
samp_status samp_manifest_verify(const char *folder, const samp_manifest_check *check,
                                 samp_error *error);

/* SHA-256 of a file in pieces of 1 MiB. progress may be NULL; it is called with *done, which is
 * advanced, and total. */
samp_status samp_hash_file(const char *path, uint64_t *bytes, char sha256[SAMP_SHA256_HEX],
                           samp_hash_progress *progress, void *context, uint64_t *done,
                           uint64_t total, samp_error *error);

typedef struct samp_manifest_file {
    const char *name;
    uint64_t bytes;
    char sha256[SAMP_SHA256_HEX];
} samp_manifest_file;

/* Writes folder/samp.json: schema_version, tool, version, the members of `about` (may be NULL; not
 * taken), and files [n]. The text depends on nothing else. */
samp_status samp_manifest_write(const char *folder, const samp_manifest_file *files, size_t n,
                                json_t *about, samp_error *error);
/* Sets one more member of folder/samp.json (an evaluation that came after the artifact) and seals it
 * again; value is not taken. SAMP_NOT_FOUND when there is none; SAMP_CORRUPT when it is no manifest. */
samp_status samp_manifest_amend(const char *folder, const char *key, json_t *value,
                                samp_error *error);

#endif
