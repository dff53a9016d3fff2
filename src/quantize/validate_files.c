/* The folder's listing, config.json, the tokenizer, and samp.json. */
#include "model/quantization.h"
#include "model/tokenizer.h"
#include "quantize/validate_internal.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4096 };

static bool ends_with(const char *name, const char *ending)
{
    size_t n = strlen(name), m = strlen(ending);
    return n >= m && strcmp(name + n - m, ending) == 0;
}

/* Formats that run code when they are loaded. */
static bool is_unsafe(const char *name)
{
    static const char *const endings[] = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_with(name, endings[i])) return true;
    return false;
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
    if (is_unsafe(name))
        samp_findings_add(v->findings, SAMP_FINDING_UNSAFE_FILE, name, NULL,
                          "other programs run what such files contain");
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

static void validate_quantization(samp_validation *v)
{
    samp_error failure;
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

samp_status samp__validate_tokenizer(samp_validation *v, samp_error *error)
{
    char path[PATH_BYTES];
    SAMP_TRY(samp_path_join(path, sizeof path, v->folder, "tokenizer.json", error));
    struct stat info;
    if (stat(path, &info) != 0) {
        samp_findings_add(v->findings, SAMP_FINDING_TOKENIZER_MISSING, "", NULL,
                          "there is no tokenizer.json");
        return SAMP_OK;
    }
    samp_tokenizer *tokenizer;
    samp_error failure;
    samp_status status = samp_tokenizer_load(&tokenizer, v->folder, &failure);
    if (status == SAMP_NOMEM) return samp_fail(error, status, "%s", failure.message);
    if (status != SAMP_OK) {
        samp_findings_add(v->findings, SAMP_FINDING_TOKENIZER_BAD, "tokenizer.json", NULL, "%s",
                          failure.message);
        return SAMP_OK;
    }
    uint32_t count = samp_tokenizer_vocab(tokenizer);
    samp_tokenizer_release(tokenizer);
    if (v->has_config && count > v->config.vocab_size)
        samp_findings_add(v->findings, SAMP_FINDING_TOKENIZER_SIZE, "tokenizer.json", NULL,
                          "it has %u tokens, the embedding %u rows", count, v->config.vocab_size);
    return SAMP_OK;
}

/* ---- samp.json ------------------------------------------------------------------------------- */

/* The manifest's checker reports by id; all its ids are rows of our table. */
static void take_report(void *context, const char *id, samp_severity severity, const char *file,
                        const char *message)
{
    samp_validation *v = context;
    (void)severity;
    for (int i = 0; i < SAMP_FINDING_COUNT; i++)
        if (strcmp(samp_finding_rule_get((samp_finding_id)i)->code, id) == 0)
            samp_findings_add(v->findings, (samp_finding_id)i, file, NULL, "%s", message);
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
