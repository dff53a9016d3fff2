/* Finding and loading a backend that is a shared object, samp-backend-NAME.so.
 *
 * Looked for in the folders of $SAMP_BACKEND_PATH (separated by ':'), then beside the running
 * program, then in ../lib/samp from there; the first file of that name decides, so that a broken
 * object in front is an error and not silently passed over. The object stays loaded until the
 * process ends: its code may be running on threads of its own, and its table is handed out as a
 * constant. */
#include "backend/backend.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 32 };

/* Lower-case letters, digits, '-' and '_' only: a name can never leave the folders it is looked for
 * in. */
static bool name_is_valid(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_");
    return length > 0 && length <= NAME_MAX_BYTES && name[length] == '\0';
}

/* out = folder[0..n) + "/" + tail + "samp-backend-NAME.so"; whether such a file can be read. */
static bool find_in(char out[PATH_MAX], const char *folder, size_t n, const char *tail,
                    const char *name)
{
    int length = snprintf(out, PATH_MAX, "%.*s/%ssamp-backend-%s.so", (int)n, folder, tail, name);
    return length > 0 && length < PATH_MAX && access(out, R_OK) == 0;
}

static bool find_in_path(char out[PATH_MAX], const char *path, const char *name)
{
    for (const char *folder = path; *folder;) {
        size_t n = strcspn(folder, ":");
        if (n > 0 && n < PATH_MAX && find_in(out, folder, n, "", name)) return true;
        folder += n + (folder[n] == ':');
    }
    return false;
}

/* The folder of the running program, without its last '/'. */
static void program_folder(char out[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
    out[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(out, '/');
    if (slash) *slash = '\0';
}

static samp_status find_object(char out[PATH_MAX], const char *name, samp_error *error)
{
    const char *path = getenv("SAMP_BACKEND_PATH");
    if (path && find_in_path(out, path, name)) return SAMP_OK;
    char folder[PATH_MAX];
    program_folder(folder);
    if (find_in(out, folder, strlen(folder), "", name)) return SAMP_OK;
    if (find_in(out, folder, strlen(folder), "../lib/samp/", name)) return SAMP_OK;
    return samp_fail(
        error, SAMP_NOT_FOUND,
        "backend '%s': no file samp-backend-%s.so in SAMP_BACKEND_PATH (%.200s), %.200s or its "
        "../lib/samp; install that backend or set SAMP_BACKEND_PATH to its folder",
        name, name, path ? path : "not set", folder);
}

/* Checks what the object offers. The object is from outside: its table is trusted only after its
 * ABI number. */
static samp_status check_object(void *object, const char *path, const samp_backend **out,
                                samp_error *error)
{
    /* POSIX gives functions as void *; the union is the conversion that ISO C lacks. */
    union {
        void *symbol;
        samp_backend_entry_function *call;
    } entry = {.symbol = dlsym(object, "samp_backend_entry")};
    if (!entry.symbol)
        return samp_fail(error, SAMP_MISMATCH,
                         "%.300s: has no symbol samp_backend_entry, so it is not a samp backend",
                         path);
    const samp_backend *backend = entry.call();
    if (!backend)
        return samp_fail(error, SAMP_MISMATCH,
                         "%.300s: samp_backend_entry gave no table of functions", path);
    if (backend->abi != SAMP_BACKEND_ABI)
        return samp_fail(
            error, SAMP_MISMATCH,
            "%.300s: made for backend ABI %u, this program has %d; rebuild the backend with this "
            "program's sources",
            path, backend->abi, SAMP_BACKEND_ABI);
    *out = backend;
    return SAMP_OK;
}

samp_status samp_backend_load(const char *name, const samp_backend **out, samp_error *error)
{
    *out = NULL;
    if (!name_is_valid(name))
        return samp_fail(error, SAMP_INVALID,
                         "backend name '%.64s': expected 1 to %d lower-case letters, digits, '-' "
                         "or '_', such as "
                         "cuda",
                         name, NAME_MAX_BYTES);
    char path[PATH_MAX];
    SAMP_TRY(find_object(path, name, error));
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!object)
        return samp_fail(error, SAMP_UNSUPPORTED, "backend '%s' can't be loaded: %s", name,
                         dlerror());
    samp_status status = check_object(object, path, out, error);
    if (status != SAMP_OK) dlclose(object);
    return status;
}
