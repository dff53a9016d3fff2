/* samp import: a foreign model file -> a Hugging Face folder, weight by weight. */
#include "quantize/import.h"
#include "base/memory.h"
#include "file/manifest.h"
#include "quantize/import_source.h"
#include "quantize/writer.h"

#include <stdio.h>
#include <string.h>

/* The float types an import can write: our format's name and config.json's word for it. */
static const struct dtype_row {
    const char *name, *hugging_face;
    samp_format_id format;
    unsigned bytes;
} DTYPES[] = {{"fp16", "float16", SAMP_FORMAT_FP16, 2},
              {"bf16", "bfloat16", SAMP_FORMAT_BF16, 2},
              {"fp32", "float32", SAMP_FORMAT_FP32, 4}};

static samp_status find_dtype(const char *name, const struct dtype_row **out, samp_error *error)
{
    for (size_t i = 0; i < sizeof DTYPES / sizeof *DTYPES; i++)
        if (strcmp(DTYPES[i].name, name) == 0) {
            *out = &DTYPES[i];
            return SAMP_OK;
        }
    return samp_fail(error, SAMP_INVALID, "dtype \"%.40s\" is unknown, expected fp16, bf16 or fp32",
                     name);
}

static samp_status open_source(samp_import_source *source, const char *path, samp_error *error)
{
    samp_file *file;
    SAMP_TRY(samp_file_open(&file, path, error));
    char magic[4] = {0};
    samp_status status = samp_file_size(file) < sizeof magic
                             ? samp_fail(error, SAMP_CORRUPT, "%s is too short to be a model", path)
                             : samp_file_read(file, 0, magic, sizeof magic, error);
    samp_file_close(file);
    SAMP_TRY(status);
    if (memcmp(magic, "GGUF", sizeof magic) == 0) return samp__import_gguf(source, path, error);
    size_t n = strlen(path);
    if (n > 4 && strcmp(path + n - 4, ".bin") == 0)
        return samp__import_llama2c(source, path, error);
    return samp_fail(error, SAMP_UNSUPPORTED,
                     "%s is neither a GGUF file (it does not begin with \"GGUF\") nor a llama2.c "
                     "checkpoint (*.bin)",
                     path);
}

samp_status samp__import_check(const samp_import_source *source, samp_error *error)
{
    samp_config checked;
    json_t *json = samp_config_json(&source->config, "float16");
    samp_status status = json ? samp_config_parse(&checked, json, source->path, error)
                              : samp_fail(error, SAMP_NOMEM, "%s: out of memory", source->path);
    json_decref(json);
    return status;
}

static samp_status plan_weights(const samp_import_source *source, const samp_format *format,
                                samp_artifact_weight *weights, samp_error *error)
{
    size_t count = samp_weight_count(&source->config);
    for (size_t i = 0; i < count; i++) {
        samp_role role;
        uint32_t layer;
        uint64_t rows, cols;
        char name[SAMP_TENSOR_NAME_MAX];
        samp_weight_at(&source->config, i, &role, &layer);
        samp_role_name(role, layer, name);
        samp_role_shape(role, &source->config, &rows, &cols);
        snprintf(weights[i].name, sizeof weights[i].name, "%.95s", name);
        weights[i].is_vector = !samp_role_is_matrix(role);
        weights[i].format = format;
        SAMP_TRY(format->layout(rows, cols, &weights[i].layout, error));
    }
    return SAMP_OK;
}

static samp_status rows_of(void *context, size_t weight, uint64_t row0, uint64_t n_rows,
                           samp_row_panel *out, samp_error *error)
{
    const samp_import_source *source = context;
    samp_role role;
    uint32_t layer;
    samp_weight_at(&source->config, weight, &role, &layer);
    out->dtype = SAMP_F32;
    return source->rows(source, role, layer, row0, n_rows, out->values, error);
}

static samp_status write_tokenizer(const samp_import_source *source, const char *tokenizer_path,
                                   const char *folder, samp_error *error)
{
    samp_tokenizer *tokenizer;
    SAMP_TRY(source->tokenizer(source, tokenizer_path, &tokenizer, error));
    samp_status status = SAMP_OK;
    uint32_t vocabulary = samp_tokenizer_vocab(tokenizer);
    if (vocabulary > source->config.vocab_size)
        status = samp_fail(error, SAMP_MISMATCH,
                           "%s: the tokenizer has %u tokens, the embedding only %u rows",
                           source->path, vocabulary, source->config.vocab_size);
    if (status == SAMP_OK) status = samp_tokenizer_write(tokenizer, folder, error);
    samp_tokenizer_release(tokenizer);
    return status;
}

static samp_status write_small_files(const samp_import_source *source, samp_artifact *artifact,
                                     const struct dtype_row *dtype, const char *tokenizer_path,
                                     samp_error *error)
{
    SAMP_TRY(write_tokenizer(source, tokenizer_path, samp_artifact_folder(artifact), error));
    json_t *config = samp_config_json(&source->config, dtype->hugging_face);
    json_t *generation = json_object();
    static const char *const keys[] = {"bos_token_id", "eos_token_id"};
    for (size_t i = 0; config && generation && i < 2; i++)
        json_object_set(generation, keys[i], json_object_get(config, keys[i]));
    samp_status status = samp_artifact_json(artifact, "config.json", config, error);
    if (status != SAMP_OK) {
        json_decref(generation);
        return status;
    }
    return samp_artifact_json(artifact, "generation_config.json", generation, error);
}

typedef struct import_job {
    samp_import_source *source;
    const samp_import_options *options;
    const struct dtype_row *dtype;
    const char *folder;
    uint64_t source_bytes;
    char sha256[SAMP_SHA256_HEX];
} import_job;

static samp_status fingerprint(const import_job *job, char hex[SAMP_SHA256_HEX], samp_error *error)
{
    samp_buffer text = {0};
    samp_buffer_printf(&text, "import %s %s %s", SAMP_VERSION, job->sha256, job->dtype->name);
    samp_status status = samp_buffer_ok(&text, error);
    if (status == SAMP_OK) status = samp_sha256_bytes(text.data, text.length, hex, error);
    samp_buffer_release(&text);
    return status;
}

static json_t *about(const import_job *job)
{
    return json_pack("{s:s, s:s, s:{s:s, s:s, s:I, s:s}}", "made_by", "import", "dtype",
                     job->dtype->name, "source", "kind", job->source->kind, "name",
                     samp_path_name(job->source->path), "bytes", (json_int_t)job->source_bytes,
                     "sha256", job->sha256);
}

static samp_status write_all(const import_job *job, samp_artifact_weight *weights, samp_pool *pool,
                             const samp_progress *progress, samp_error *error)
{
    char hex[SAMP_SHA256_HEX];
    SAMP_TRY(fingerprint(job, hex, error));
    samp_artifact_options options = {
        .folder = job->folder, .force = job->options->force, .fingerprint = hex};
    size_t count = samp_weight_count(&job->source->config);
    samp_artifact *artifact;
    SAMP_TRY(samp_artifact_create(&artifact, &options, weights, count, error));
    samp_row_source rows = {.rows = rows_of, .context = job->source};
    samp_status status =
        write_small_files(job->source, artifact, job->dtype, job->options->tokenizer, error);
    if (status == SAMP_OK)
        status = samp_write_weights(artifact, weights, count, &rows, pool, "import",
                                    job->dtype->bytes, progress, error);
    if (status == SAMP_OK) status = samp_artifact_finish(artifact, pool, about(job), error);
    if (status == SAMP_NUMERIC)
        samp_artifact_discard(artifact); /* the same weight would stop the next run too */
    else
        samp_artifact_release(artifact);
    return status;
}

/* Bytes and digest of the source: of a model in several files the digest of their digests, a line
 * each. */
static samp_status identify(import_job *job, samp_error *error)
{
    samp_buffer lines = {0};
    samp_status status = SAMP_OK;
    for (uint32_t i = 0; i < job->source->n_files && status == SAMP_OK; i++) {
        uint64_t bytes = 0, done = 0;
        status =
            samp_hash_file(job->source->files[i], &bytes, job->sha256, NULL, NULL, &done, 0, error);
        job->source_bytes += bytes;
        samp_buffer_printf(&lines, "%s\n", job->sha256);
    }
    if (status == SAMP_OK) status = samp_buffer_ok(&lines, error);
    if (status == SAMP_OK && job->source->n_files > 1)
        status = samp_sha256_bytes(lines.data, lines.length, job->sha256, error);
    samp_buffer_release(&lines);
    return status;
}

static samp_status import(import_job *job, const samp_progress *progress, samp_error *error)
{
    const char *path = job->source->path;
    SAMP_TRY(identify(job, error));
    samp_pool *pool = NULL;
    samp_artifact_weight *weights =
        samp_alloc(samp_weight_count(&job->source->config), sizeof *weights);
    samp_status status =
        weights ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "%s: out of memory", path);
    if (status == SAMP_OK)
        status = plan_weights(job->source, samp_format_get(job->dtype->format), weights, error);
    if (status == SAMP_OK) status = samp_pool_create(&pool, job->options->n_threads, error);
    if (status == SAMP_OK) {
        status = write_all(job, weights, pool, progress, error);
        if (status == SAMP_NUMERIC) samp_error_prefix(error, "%s", path);
    }
    samp_pool_release(pool);
    samp_free(weights);
    return status;
}

samp_status samp_import(const char *path, const char *folder, const samp_import_options *options,
                        const samp_progress *progress, samp_error *error)
{
    samp_import_source source;
    import_job job = {.source = &source, .options = options, .folder = folder};
    SAMP_TRY(find_dtype(options->dtype ? options->dtype : "fp16", &job.dtype, error));
    SAMP_TRY(open_source(&source, path, error));
    samp_status status = import(&job, progress, error);
    source.close(&source);
    return status;
}
