/* The list of companions, walked once for copying and once for weighing. */
#include "quantize/companions.h"

#include "file/file.h"
#include "file/manifest.h"

#include <dirent.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4096, TEMPLATES_MAX = 32 };

static const char *const NAMES[] = {"tokenizer.json",
                                    "tokenizer_config.json",
                                    "tokenizer.model",
                                    "vocab.json",
                                    "merges.txt",
                                    "special_tokens_map.json",
                                    "added_tokens.json",
                                    "generation_config.json",
                                    "chat_template.jinja",
                                    "chat_template.json",
                                    "LICENSE",
                                    "LICENSE.txt",
                                    "LICENSE.md",
                                    "NOTICE",
                                    "USE_POLICY.md"};

typedef struct walk {
    const char *from, *to; /* to: NULL = weigh only */
    uint64_t bytes;
} walk;

static samp_status take(walk *w, const char *name, samp_error *error)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    struct stat info;
    SAMP_TRY(samp_path_join(from, sizeof from, w->from, name, error));
    if (!samp_is_file(from) || stat(from, &info) != 0) return SAMP_OK;
    w->bytes += (uint64_t)info.st_size;
    if (!w->to) return SAMP_OK;
    SAMP_TRY(samp_path_join(to, sizeof to, w->to, name, error));
    return samp_file_copy(from, to, error);
}

/* additional_chat_templates/NAME.jinja: what transformers calls NAME ("tool_use", "rag"). */
static samp_status take_templates(walk *w, samp_error *error)
{
    char path[PATH_BYTES];
    SAMP_TRY(samp_path_join(path, sizeof path, w->from, SAMP_TEMPLATES_FOLDER, error));
    if (!samp_is_folder(path)) return SAMP_OK;
    DIR *folder = opendir(path);
    if (!folder) return samp_fail_errno(error, "%s cannot be listed", path);
    samp_status status = SAMP_OK;
    if (w->to) {
        char to[PATH_BYTES];
        status = samp_path_join(to, sizeof to, w->to, SAMP_TEMPLATES_FOLDER, error);
        if (status == SAMP_OK) status = samp_make_folder(to, error);
    }
    const struct dirent *entry;
    int n = 0;
    while (status == SAMP_OK && (entry = readdir(folder))) {
        char name[PATH_BYTES];
        if (!samp_path_has_ending(entry->d_name, ".jinja")) continue;
        if (++n > TEMPLATES_MAX)
            status = samp_fail(error, SAMP_LIMIT, "%s has more than %d chat templates", path,
                               TEMPLATES_MAX);
        if (status == SAMP_OK)
            status = samp_path_join(name, sizeof name, SAMP_TEMPLATES_FOLDER, entry->d_name, error);
        if (status == SAMP_OK) status = take(w, name, error);
    }
    closedir(folder);
    return status;
}

static samp_status walk_all(walk *w, samp_error *error)
{
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) SAMP_TRY(take(w, NAMES[i], error));
    return take_templates(w, error);
}

samp_status samp_companions_copy(const char *from, const char *to, samp_error *error)
{
    return walk_all(&(walk){.from = from, .to = to}, error);
}

samp_status samp_companions_weigh(const char *from, uint64_t *out, samp_error *error)
{
    walk w = {.from = from};
    SAMP_TRY(walk_all(&w, error));
    *out = w.bytes;
    return SAMP_OK;
}
