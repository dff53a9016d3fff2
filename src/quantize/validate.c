/* samp validate: the order of the checks, and what they share. Each check reports as much as it can
 * and leaves out only what would follow from an earlier finding. */
#include "quantize/validate_internal.h"

#include <string.h>

samp_status samp__validate_progress(samp_validation *v, uint64_t bytes, samp_error *error)
{
    v->bytes_done += bytes;
    if (samp_progress_report(v->progress, "validate", v->bytes_done, v->bytes_total))
        return SAMP_OK;
    return samp_fail(error, SAMP_CANCELLED, "stopped before the end");
}

samp_status samp__validate_read(samp_validation *v, const samp_tensor_info *tensor, uint64_t at,
                                void *out, uint64_t n, samp_error *error)
{
    return samp_safetensors_read(v->shards[tensor->shard].file, tensor, at, out, n, error);
}

static samp_status check_target(const samp_validate_options *options, samp_error *error)
{
    static const char *const targets[] = {"samp", "transformers", "vllm"};
    if (!options->target) return SAMP_OK;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        if (strcmp(options->target, targets[i]) == 0) return SAMP_OK;
    return samp_fail(error, SAMP_INVALID,
                     "target \"%.40s\" is unknown, expected samp, transformers or vllm",
                     options->target);
}

/* Other programs do not know our quant_method, and we do not run theirs; plain float checkpoints
 * all read. */
static void validate_target(samp_validation *v)
{
    const char *target = v->options->target;
    if (!target) return;
    bool samp = strcmp(target, "samp") == 0;
    if (samp && v->foreign.method)
        samp_findings_add(v->findings, SAMP_FINDING_TARGET, "config.json", NULL,
                          "samp runs its own artifacts and plain 16- and 32-bit models");
    if (!samp && v->modules)
        samp_findings_add(v->findings, SAMP_FINDING_TARGET, "config.json", NULL,
                          "quant_method \"samp\" is not known to %s", target);
}

/* A path that is no folder. */
static samp_status look_at_file(samp_validation *v, samp_error *error)
{
    size_t n = strlen(v->folder), ending = strlen(".safetensors");
    if (n > ending && strcmp(v->folder + n - ending, ".safetensors") == 0)
        return samp_fail(error, SAMP_INVALID, "%s is a part of a model; give its folder",
                         v->folder);
    if (samp_is_file(v->folder)) return samp__validate_gguf(v, error);
    return samp_fail(error, SAMP_NOT_FOUND, "%s is neither a folder nor a GGUF file", v->folder);
}

static samp_status run(samp_validation *v, samp_error *error)
{
    SAMP_TRY(check_target(v->options, error));
    if (!samp_is_folder(v->folder)) return look_at_file(v, error);
    SAMP_TRY(samp_pool_create(&v->pool, v->options->n_threads, error));
    SAMP_TRY(samp__validate_listing(v, error));
    SAMP_TRY(samp__validate_config(v, error));
    SAMP_TRY(samp__validate_shards(v, error));
    for (size_t i = 0; i < v->n_tensors; i++) v->bytes_total += v->tensors[i].bytes;
    if (v->options->depth == SAMP_VALIDATE_DEEP) v->bytes_total *= 2; /* values, then digests */
    SAMP_TRY(samp__validate_tensors(v, error));
    SAMP_TRY(samp__validate_tokenizer(v, error));
    SAMP_TRY(samp__validate_manifest(v, error));
    validate_target(v);
    return SAMP_OK;
}

samp_status samp_validate(const char *folder, const samp_validate_options *options,
                          const samp_progress *progress, samp_findings *findings, samp_error *error)
{
    samp_validation v = {
        .folder = folder, .options = options, .progress = progress, .findings = findings};
    samp_status status = run(&v, error);
    if (status == SAMP_OK && findings->failed)
        status = samp_fail(error, SAMP_NOMEM, "%s: out of memory for the findings", folder);
    for (size_t i = 0; i < v.n_shards; i++) samp_safetensors_close(v.shards[i].file);
    samp_names_release(&v.by_name);
    samp_free(v.shards);
    samp_free(v.tensors);
    samp_free(v.used);
    json_decref(v.root);
    samp_pool_release(v.pool);
    return status;
}
