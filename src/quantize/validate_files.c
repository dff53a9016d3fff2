/* The folder's listing, config.json, the tokenizer, and samp.json. */
#include "model/quantization.h"
#include "model/tokenizer.h"
#include "quantize/validate_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static bool ends_with(const char *name, const char *ending)
{
    size_t n = strlen(name), m = strlen(ending);
    return n >= m && strcmp(name + n - m, ending) == 0;
}

/* Formats that run code when they are loaded. */
static bool is_pickle(const char *name)
{
    static const char *const endings[] = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_with(name, endings[i])) return true;
    return false;
}

/* pytorch_model.bin, pytorch_model-00001-of-00003.bin, consolidated.00.pth */
static void count_legacy(samp_validation *v, const char *name)
{
    unsigned number, total = 0;
    int end = 0;
    bool numbered = sscanf(name, "pytorch_model-%5u-of-%5u.bin%n", &number, &total, &end) == 2 &&
                    end > 0 && !name[end];
    if (!numbered && strcmp(name, "pytorch_model.bin") != 0 &&
        !(strncmp(name, "consolidated.", 13) == 0 && ends_with(name, ".pth")))
        return;
    v->legacy++;
    if (numbered && total > v->legacy_total) v->legacy_total = total;
}

bool samp__is_pointer(int folder, const char *name)
{
    static const char magic[] = "version https://git-lfs";
    char found[sizeof magic - 1];
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang */
    if (fd < 0) return false;
    bool is = samp_pread(fd, found, sizeof found, 0) == sizeof found &&
              memcmp(found, magic, sizeof found) == 0;
    close(fd);
    return is;
}

static void look_at_entry(samp_validation *v, int folder, const char *name)
{
    struct stat info;
    if (fstatat(folder, name, &info, 0) != 0) {
        samp_findings_add(v->findings, SAMP_FINDING_UNREADABLE, name, NULL,
                          "it is a link that leads nowhere, or may not be examined");
        return;
    }
    if (S_ISDIR(info.st_mode)) return;
    if (!S_ISREG(info.st_mode)) {
        samp_findings_add(v->findings, SAMP_FINDING_UNREADABLE, name, NULL,
                          "it is a device, pipe or socket");
        return;
    }
    v->findings->n_files++;
    count_legacy(v, name);
    if (ends_with(name, ".gguf")) snprintf(v->gguf, sizeof v->gguf, "%s", name);
    if (is_pickle(name))
        samp_findings_add(v->findings, SAMP_FINDING_UNSAFE_FILE, name, NULL,
                          "its name ends as those of pickles do");
    if (ends_with(name, ".py"))
        samp_findings_add(v->findings, SAMP_FINDING_CODE_FILE, name, NULL,
                          "other programs may run it");
    if (!ends_with(name, ".safetensors") && info.st_size < 1024 && samp__is_pointer(folder, name))
        samp_findings_add(v->findings, SAMP_FINDING_POINTER, name, NULL,
                          "it is %lld bytes of text that stand for the real file",
                          (long long)info.st_size);
    if (strcmp(name, ".samp-state") == 0 || strstr(name, ".tmp-"))
        samp_findings_add(v->findings, SAMP_FINDING_LEFTOVER, name, NULL,
                          "a run that writes this folder did not finish");
}

samp_status samp__validate_listing(samp_validation *v, samp_error *error)
{
    DIR *listing = opendir(v->folder);
    if (!listing) return samp_fail_errno(error, "%s cannot be listed", v->folder);
    struct dirent *entry;
    while ((entry = readdir(listing)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            look_at_entry(v, dirfd(listing), entry->d_name);
    closedir(listing);
    return SAMP_OK;
}

static bool is_ours(const json_t *object)
{
    const char *method = json_string_value(json_object_get(object, "quant_method"));
    return method && strcmp(method, "samp") == 0;
}

static void validate_quantization(samp_validation *v)
{
    samp_error failure;
    const json_t *object = samp_foreign_object(v->root);
    if (!object || json_is_null(object)) return;
    if (!is_ours(object)) {
        v->has_config &= samp_foreign_read(&v->foreign, object, v->findings);
        return;
    }
    samp_foreign_check_threshold(object, v->findings);
    if (samp_quantization_open(v->root, &v->modules, "config.json", &failure) != SAMP_OK ||
        samp_quantization_first_rows(v->root, v->config.vocab_size, &v->first_rows, "config.json",
                                     &failure) != SAMP_OK) {
        samp_findings_add(v->findings, SAMP_FINDING_QUANT_CONFIG, "config.json", NULL, "%s",
                          failure.message);
        v->has_config = false;
        return;
    }
    if (!v->modules) return;
    char why[128];
    samp_quantization_doubt doubt = samp_quantization_doubts(v->root, why, sizeof why);
    if (doubt != SAMP_QUANTIZATION_FINE)
        samp_findings_add(v->findings,
                          doubt == SAMP_QUANTIZATION_TYPE ? SAMP_FINDING_QUANT_TYPE
                                                          : SAMP_FINDING_QUANT_DETAIL,
                          "config.json", NULL, "%s", why);
}

samp_status samp__validate_config(samp_validation *v, samp_error *error)
{
    enum { CONFIG_BYTES_MAX = 10 << 20 };
    char path[PATH_BYTES];
    samp_error failure;
    SAMP_TRY(samp_path_join(path, sizeof path, v->folder, "config.json", error));
    samp_status status = samp_json_load(&v->root, path, CONFIG_BYTES_MAX, &failure);
    if (status == SAMP_NOMEM) return samp_fail(error, status, "%s", failure.message);
    if (status != SAMP_OK) {
        samp_findings_add(v->findings, SAMP_FINDING_CONFIG_MISSING, "config.json", NULL, "%s",
                          failure.message);
        return SAMP_OK;
    }
    v->has_config = samp_config_parse(&v->config, v->root, "config.json", &failure) == SAMP_OK;
    if (!v->has_config)
        samp_findings_add(v->findings, SAMP_FINDING_CONFIG_VALUE, "config.json", NULL, "%s",
                          failure.message);
    if (json_object_get(v->root, "auto_map"))
        samp_findings_add(v->findings, SAMP_FINDING_REMOTE_CODE, "config.json", NULL,
                          "it has a member auto_map");
    validate_quantization(v);
    return SAMP_OK;
}

static bool is_end(const samp_config *config, int32_t id)
{
    bool is = false;
    for (int i = 0; i < config->n_eos_tokens; i++) is |= config->eos_tokens[i] == id;
    return is;
}

void samp__validate_vocabulary(samp_validation *v, const samp_tokenizer *tokenizer,
                               const char *file)
{
    const samp_config *config = &v->config;
    uint32_t count = samp_tokenizer_vocab(tokenizer);
    int32_t bos = samp_tokenizer_bos(tokenizer), eos = samp_tokenizer_eos(tokenizer);
    if (count > config->vocab_size)
        samp_findings_add(v->findings, SAMP_FINDING_TOKENIZER_SIZE, file, NULL,
                          "it has %u tokens, the embedding %u rows", count, config->vocab_size);
    else if (count < config->vocab_size / 2)
        samp_findings_add(v->findings, SAMP_FINDING_TOKENIZER_SMALL, file, NULL,
                          "it has %u tokens, the embedding %u rows", count, config->vocab_size);
    if (bos >= 0 && config->bos_token >= 0 && bos != config->bos_token)
        samp_findings_add(v->findings, SAMP_FINDING_TOKENIZER_IDS, file, NULL,
                          "its first token is %d, config.json's %d", (int)bos,
                          (int)config->bos_token);
    if (eos >= 0 && config->n_eos_tokens && !is_end(config, eos))
        samp_findings_add(v->findings, SAMP_FINDING_TOKENIZER_IDS, file, NULL,
                          "its end token is %d, config.json's %d", (int)eos,
                          (int)config->eos_tokens[0]);
}

/* The file that samp_tokenizer_load would take, NULL when there is none. */
static samp_status find_tokenizer(const samp_validation *v, const char **name, samp_error *error)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model"};
    *name = NULL;
    for (int i = 0; i < 2 && !*name; i++) {
        char path[PATH_BYTES];
        struct stat info;
        SAMP_TRY(samp_path_join(path, sizeof path, v->folder, names[i], error));
        if (stat(path, &info) == 0) *name = names[i];
    }
    return SAMP_OK;
}

samp_status samp__validate_tokenizer(samp_validation *v, samp_error *error)
{
    const char *name;
    SAMP_TRY(find_tokenizer(v, &name, error));
    if (!name) {
        samp_findings_add(v->findings, SAMP_FINDING_TOKENIZER_MISSING, "", NULL,
                          "there is no tokenizer.json");
        return SAMP_OK;
    }
    samp_tokenizer *tokenizer;
    samp_error failure;
    samp_status status = samp_tokenizer_load(&tokenizer, v->folder, &failure);
    if (status == SAMP_NOMEM) return samp_fail(error, status, "%s", failure.message);
    if (status != SAMP_OK) {
        samp_findings_add(v->findings, SAMP_FINDING_TOKENIZER_BAD, name, NULL, "%s",
                          failure.message);
        return SAMP_OK;
    }
    if (v->has_config) samp__validate_vocabulary(v, tokenizer, name);
    samp_tokenizer_release(tokenizer);
    return SAMP_OK;
}

/* ---- samp.json ------------------------------------------------------------------------------- */

/* The manifest's checker reports by id; all its ids are rows of our table. */
static void take_report(void *context, const char *id, samp_severity severity, const char *file,
                        const char *message)
{
    samp_validation *v = context;
    samp_finding_id found;
    (void)severity;
    if (samp_finding_find(id, &found))
        samp_findings_add(v->findings, found, file, NULL, "%s", message);
}

/* Digests are the second half of a deep validation's bytes. */
static bool take_progress(void *context, uint64_t done, uint64_t total)
{
    samp_validation *v = context;
    double share = total ? (double)done / (double)total : 1;
    uint64_t half = v->bytes_total / 2;
    return samp_progress_report(v->progress, "validate", half + (uint64_t)(share * (double)half),
                                v->bytes_total);
}

samp_status samp__validate_manifest(samp_validation *v, samp_error *error)
{
    samp_manifest_check check = {.digests = v->options->depth == SAMP_VALIDATE_DEEP,
                                 .report = take_report,
                                 .progress = take_progress,
                                 .context = v};
    samp_error failure = {0};
    samp_status status = samp_manifest_verify(v->folder, &check, &failure);
    if (status == SAMP_OK) return SAMP_OK;
    if (status != SAMP_NOT_FOUND) return samp_fail(error, status, "%s", failure.message);
    if (v->modules) /* a model of another origin has none, and need not */
        samp_findings_add(
            v->findings, SAMP_FINDING_MANIFEST_MISSING, "", NULL,
            "config.json says that samp made this artifact, but there is no samp.json");
    return SAMP_OK;
}
