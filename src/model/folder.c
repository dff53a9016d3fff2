/* What people give where the folder of a model is wanted. */
#include "model/folder.h"

#include "file/file.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4096 };

static bool is_gguf_file(const char *path)
{
    char magic[4] = {0};
    samp_file *file;
    samp_error ignored;
    if (samp_file_open(&file, path, &ignored) != SAMP_OK)
        return samp_path_has_ending(path, ".gguf");
    bool is = samp_file_size(file) >= sizeof magic &&
              samp_file_read(file, 0, magic, sizeof magic, &ignored) == SAMP_OK &&
              memcmp(magic, "GGUF", sizeof magic) == 0;
    samp_file_close(file);
    return is;
}

static samp_status refuse_gguf(const char *path, samp_error *error)
{
    return samp_fail(error, SAMP_UNSUPPORTED,
                     "%s is a GGUF file; samp import %s --out DIR makes a model folder of it", path,
                     path);
}

/* A folder without config.json may be a download of GGUF files: its first by name. */
static samp_status look_for_gguf(const char *path, samp_error *error)
{
    char name[256] = "", config[PATH_BYTES], file[PATH_BYTES];
    SAMP_TRY(samp_path_join(config, sizeof config, path, "config.json", error));
    DIR *folder = samp_is_file(config) ? NULL : opendir(path);
    const struct dirent *entry;
    while (folder && (entry = readdir(folder)))
        if (samp_path_has_ending(entry->d_name, ".gguf") &&
            (!*name || strcmp(entry->d_name, name) < 0))
            strcpy(name, entry->d_name); /* d_name has 256 bytes too */
    if (folder) closedir(folder);
    if (!*name) return SAMP_OK;
    SAMP_TRY(samp_path_join(file, sizeof file, path, name, error));
    return refuse_gguf(file, error);
}

samp_status samp__model_folder_check(const char *path, samp_error *error)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            return samp_fail_errno(error, "%s cannot be examined", path);
        return samp_fail(error, SAMP_NOT_FOUND,
                         "%s does not exist: expected the folder of a model (config.json, "
                         "tokenizer.json, *.safetensors) on this machine",
                         path);
    }
    if (S_ISDIR(info.st_mode)) return look_for_gguf(path, error);
    if (is_gguf_file(path)) return refuse_gguf(path, error);
    return samp_fail(error, SAMP_INVALID, "%s is a file: give the folder of the model it is in",
                     path);
}
