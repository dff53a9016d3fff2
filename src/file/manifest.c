/* Writing and verifying samp.json. The document is jansson's; nothing of it outlives a call. */
#include "file/manifest.h"

#include "base/memory.h"
#include "file/file.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096, MANIFEST_BYTES_MAX = 64 << 20, PIECE_BYTES = 1 << 20 };

typedef enum finding {
#define X(id, name, severity) FINDING_##id,
    SAMP_MANIFEST_FINDING_LIST(X)
#undef X
} finding;

static void report(const samp_manifest_check *check, finding kind, const char *file,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));

static void report(const samp_manifest_check *check, finding kind, const char *file,
                   const char *format, ...)
{
    static const struct {
        const char *id;
        samp_severity severity;
    } kinds[] = {
#define X(id, name, severity) {name, SAMP_SEVERITY_##severity},
        SAMP_MANIFEST_FINDING_LIST(X)
#undef X
    };
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    check->report(check->context, kinds[kind].id, kinds[kind].severity, file, message);
}

static samp_status hash_pieces(samp_file *file, samp_sha256 *hash, samp_hash_progress *progress,
                               void *context, uint64_t *done, uint64_t total, samp_error *error)
{
    uint64_t size = samp_file_size(file);
    char *piece = samp_realloc(NULL, PIECE_BYTES, 1);
    if (!piece)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for its digest",
                         samp_file_path(file));
    samp_status status = SAMP_OK;
    for (uint64_t at = 0; status == SAMP_OK && at < size; at += PIECE_BYTES) {
        uint64_t n = size - at < PIECE_BYTES ? size - at : PIECE_BYTES;
        status = samp_file_read(file, at, piece, n, error);
        if (status != SAMP_OK) break;
        samp_sha256_update(hash, piece, n);
        *done += n;
        if (progress && !progress(context, *done, total))
            status = samp_fail(error, SAMP_CANCELLED, "%s: computing its digest was stopped",
                               samp_file_path(file));
    }
    samp_free(piece);
    return status;
}

samp_status samp_hash_file(const char *path, uint64_t *bytes, char sha256[SAMP_SHA256_HEX],
                           samp_hash_progress *progress, void *context, uint64_t *done,
                           uint64_t total, samp_error *error)
{
    samp_file *file;
    samp_sha256 *hash = NULL;
    SAMP_TRY(samp_file_open(&file, path, error));
    *bytes = samp_file_size(file);
    samp_status status = samp_sha256_begin(&hash, error);
    if (status == SAMP_OK) {
        status = hash_pieces(file, hash, progress, context, done, total, error);
        samp_sha256_end(hash, sha256);
    }
    samp_file_close(file);
    return status;
}

static bool plain_name(const char *name)
{
    return name[0] && strlen(name) <= 255 && !strchr(name, '/') && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

static bool listed_name(const char *name)
{
    static const char templates[] = SAMP_TEMPLATES_FOLDER "/";
    size_t n = sizeof templates - 1;
    return plain_name(strncmp(name, templates, n) == 0 ? name + n : name);
}

/* What the manifest says of one file; false when it does not say it in the right form. */
static bool stated(const json_t *entry, uint64_t *bytes, const char **sha256)
{
    const json_t *size = json_object_get(entry, "bytes"),
                 *digest = json_object_get(entry, "sha256");
    if (!json_is_integer(size) || json_integer_value(size) < 0 || !json_is_string(digest))
        return false;
    *bytes = (uint64_t)json_integer_value(size);
    *sha256 = json_string_value(digest);
    return strlen(*sha256) == SAMP_SHA256_HEX - 1 &&
           strspn(*sha256, "0123456789abcdef") == SAMP_SHA256_HEX - 1;
}

/* Presence and size first: they cost nothing, and a file that fails them need not be read. */
static samp_status verify_file(const char *folder, const char *name, uint64_t bytes,
                               const char *sha256, const samp_manifest_check *check, uint64_t *done,
                               uint64_t total, samp_error *error)
{
    char path[PATH_BYTES], actual[SAMP_SHA256_HEX];
    samp_file *file;
    uint64_t size;
    SAMP_TRY(samp_path_join(path, sizeof path, folder, name, error));
    samp_error failure = {0};
    samp_status status = samp_file_open(&file, path, &failure);
    if (status == SAMP_NOMEM) return samp_fail(error, status, "%s", failure.message);
    if (status != SAMP_OK) {
        report(check, status == SAMP_NOT_FOUND ? FINDING_MISSING : FINDING_UNREADABLE, name, "%s",
               failure.message);
        return SAMP_OK;
    }
    size = samp_file_size(file);
    samp_file_close(file);
    if (size != bytes) {
        report(check, FINDING_SIZE, name, "%s is %" PRIu64 " bytes, the manifest says %" PRIu64,
               path, size, bytes);
        return SAMP_OK;
    }
    if (!check->digests) return SAMP_OK;
    status =
        samp_hash_file(path, &size, actual, check->progress, check->context, done, total, &failure);
    if (status == SAMP_NOMEM || status == SAMP_CANCELLED)
        return samp_fail(error, status, "%s", failure.message);
    if (status != SAMP_OK)
        report(check, FINDING_UNREADABLE, name, "%s", failure.message);
    else if (strcmp(actual, sha256) != 0)
        report(check, FINDING_DIGEST, name,
               "%s has SHA-256 %s, the manifest says %s: its bytes have changed", path, actual,
               sha256);
    return SAMP_OK;
}

static bool ends_with(const char *name, const char *const *endings)
{
    size_t length = strlen(name);
    for (; *endings; endings++) {
        size_t n = strlen(*endings);
        if (length >= n && strcmp(name + length - n, *endings) == 0) return true;
    }
    return false;
}

/* Files that would be loaded, here or elsewhere, though nothing vouches for them. */
static samp_status find_unlisted(const char *folder, const json_t *files,
                                 const samp_manifest_check *check, samp_error *error)
{
    static const char *const weights[] = {".safetensors", ".safetensors.index.json", ".gguf", NULL};
    static const char *const code[] = {".bin",    ".pt",   ".pth", ".pkl",
                                       ".pickle", ".ckpt", ".py",  NULL};
    DIR *listing = opendir(folder);
    if (!listing) return samp_fail_errno(error, "the folder %s cannot be listed", folder);
    const struct dirent *entry;
    while ((entry = readdir(listing)) != NULL) {
        const char *name = entry->d_name;
        if (json_object_get(files, name)) continue;
        if (ends_with(name, weights))
            report(check, FINDING_UNLISTED_WEIGHTS, name,
                   "%s/%s is not listed in %s; remove it or find out who put it there", folder,
                   name, SAMP_MANIFEST_NAME);
        else if (ends_with(name, code))
            report(check, FINDING_UNLISTED_CODE, name,
                   "%s/%s is not listed in %s, and other programs run code from such files", folder,
                   name, SAMP_MANIFEST_NAME);
    }
    closedir(listing);
    return SAMP_OK;
}

static samp_status verify_files(const char *folder, json_t *files, const samp_manifest_check *check,
                                samp_error *error)
{
    const char *name, *sha256;
    json_t *entry;
    uint64_t bytes, done = 0, total = 0;
    json_object_foreach(files, name, entry) if (stated(entry, &bytes, &sha256)) total += bytes;
    json_object_foreach(files, name, entry)
    {
        if (!listed_name(name))
            report(check, FINDING_NAME, name,
                   "%s/%s lists \"%s\", which is not the name of a file in this folder", folder,
                   SAMP_MANIFEST_NAME, name);
        else if (!stated(entry, &bytes, &sha256))
            report(check, FINDING_MALFORMED, name, "%s/%s does not state bytes and SHA-256 of %s",
                   folder, SAMP_MANIFEST_NAME, name);
        else
            SAMP_TRY(verify_file(folder, name, bytes, sha256, check, &done, total, error));
    }
    return find_unlisted(folder, files, check, error);
}

static const char seal_key[] = "manifest_sha256";

/* Appends the text of a manifest; its last member becomes the digest of what stands before it. */
static samp_status sealed_text(json_t *root, samp_buffer *out, samp_error *error)
{
    enum { FLAGS = JSON_INDENT(2) | JSON_ENSURE_ASCII };
    char sha256[SAMP_SHA256_HEX];
    json_object_del(root, seal_key);
    char *bare = json_dumps(root, FLAGS), *sealed = NULL;
    samp_status status = bare ? samp_sha256_bytes(bare, strlen(bare), sha256, error) : SAMP_NOMEM;
    if (status == SAMP_OK && samp_json_set(root, seal_key, json_string(sha256)))
        sealed = json_dumps(root, FLAGS);
    if (sealed) samp_buffer_text(out, sealed);
    samp_buffer_text(out, "\n");
    samp_free(bare);
    if (!sealed)
        return samp_fail(error, SAMP_NOMEM, "out of memory for the text of %s", SAMP_MANIFEST_NAME);
    samp_free(sealed);
    return samp_buffer_ok(out, error);
}

/* Sealing the parsed document again must give the very bytes of the file. */
static samp_status verify_seal(const char *path, json_t *root, const samp_manifest_check *check,
                               samp_error *error)
{
    samp_buffer found = {0}, expected = {0};
    samp_status status = samp_file_slurp(path, MANIFEST_BYTES_MAX, &found, error);
    if (status == SAMP_OK) status = sealed_text(root, &expected, error);
    if (status == SAMP_OK &&
        (found.length != expected.length || memcmp(found.data, expected.data, found.length) != 0))
        report(check, FINDING_SEAL, SAMP_MANIFEST_NAME,
               "%s was changed after it was written: its text does not have the digest it states",
               path);
    samp_buffer_release(&found);
    samp_buffer_release(&expected);
    return status;
}

samp_status samp_manifest_verify(const char *folder, const samp_manifest_check *check,
                                 samp_error *error)
{
    char path[PATH_BYTES];
    json_t *root;
    SAMP_TRY(samp_path_join(path, sizeof path, folder, SAMP_MANIFEST_NAME, error));
    samp_error failure = {0};
    samp_status status = samp_json_load(&root, path, MANIFEST_BYTES_MAX, &failure);
    if (status == SAMP_NOT_FOUND || status == SAMP_NOMEM)
        return samp_fail(error, status, "%s", failure.message);
    if (status != SAMP_OK) {
        report(check, FINDING_MALFORMED, SAMP_MANIFEST_NAME, "%s", failure.message);
        return SAMP_OK;
    }
    const json_t *version = json_object_get(root, "schema_version");
    json_t *files = json_object_get(root, "files");
    if (!json_is_integer(version) || !json_is_object(files))
        report(check, FINDING_MALFORMED, SAMP_MANIFEST_NAME,
               "%s: schema_version or files is missing", path);
    else if (json_integer_value(version) != SAMP_MANIFEST_VERSION)
        report(check, FINDING_VERSION, SAMP_MANIFEST_NAME,
               "%s has schema_version %" PRId64 ", this program knows %d; use a newer one", path,
               (int64_t)json_integer_value(version), SAMP_MANIFEST_VERSION);
    else
        status = verify_files(folder, files, check, error);
    if (status == SAMP_OK && json_is_object(root)) status = verify_seal(path, root, check, error);
    json_decref(root);
    return status;
}

static json_t *manifest_document(const samp_manifest_file *files, size_t n, json_t *about)
{
    json_t *root = json_pack("{s:i, s:s, s:s}", "schema_version", SAMP_MANIFEST_VERSION, "tool",
                             "samp", "version", SAMP_VERSION);
    json_t *list = json_object();
    bool done = root && list && (!about || json_object_update_missing(root, about) == 0);
    for (size_t i = 0; done && i < n; i++)
        done = samp_json_set(list, files[i].name,
                             json_pack("{s:I, s:s}", "bytes", (json_int_t)files[i].bytes, "sha256",
                                       files[i].sha256));
    done = done && json_object_set(root, "files", list) == 0;
    json_decref(list);
    if (done) return root;
    json_decref(root);
    return NULL;
}

samp_status samp_manifest_write(const char *folder, const samp_manifest_file *files, size_t n,
                                json_t *about, samp_error *error)
{
    char path[PATH_BYTES];
    SAMP_TRY(samp_path_join(path, sizeof path, folder, SAMP_MANIFEST_NAME, error));
    for (size_t i = 0; i < n; i++)
        if (!listed_name(files[i].name))
            return samp_fail(error, SAMP_INVALID,
                             "\"%s\" cannot be listed in %s: it is not a file of the folder",
                             files[i].name, path);
    json_t *root = manifest_document(files, n, about);
    samp_buffer buffer = {0};
    samp_status status = root ? sealed_text(root, &buffer, error)
                              : samp_fail(error, SAMP_NOMEM, "out of memory for %s", path);
    if (status == SAMP_OK) status = samp_file_write(path, buffer.data, buffer.length, error);
    samp_buffer_release(&buffer);
    json_decref(root);
    return status;
}

samp_status samp_manifest_amend(const char *folder, const char *key, json_t *value,
                                samp_error *error)
{
    char path[PATH_BYTES];
    json_t *root;
    SAMP_TRY(samp_path_join(path, sizeof path, folder, SAMP_MANIFEST_NAME, error));
    SAMP_TRY(samp_json_load(&root, path, MANIFEST_BYTES_MAX, error));
    samp_buffer buffer = {0};
    samp_status status = SAMP_OK;
    if (!json_is_object(json_object_get(root, "files")))
        status = samp_fail(error, SAMP_CORRUPT, "%s is no manifest: it lists no files", path);
    if (status == SAMP_OK && json_object_set(root, key, value) != 0)
        status = samp_fail(error, SAMP_NOMEM, "out of memory for %s", path);
    if (status == SAMP_OK) status = sealed_text(root, &buffer, error);
    if (status == SAMP_OK) status = samp_file_write(path, buffer.data, buffer.length, error);
    samp_buffer_release(&buffer);
    json_decref(root);
    return status;
}
