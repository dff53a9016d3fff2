/* samp quantize, from a model folder to an artifact folder. artifact.h says how files are written,
 * writer.h how weights stream. */
#include "quantize/quantize.h"
#include "base/memory.h"
#include "format/feedback.h"
#include "quantize/companions.h"
#include "quantize/input_fingerprint.h"
#include "quantize/input_moments.h"
#include "quantize/writer.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct quantize_job {
    samp_model *model;
    const samp_quantize_options *options;
    const char *folder;
    const char *quant_type;
    samp_weight_plan *plan;        /* [count] */
    samp_artifact_weight *weights; /* [count] */
    size_t count;
    bool forget;      /* the source is large: keep it out of the page cache */
    uint16_t *factor; /* of the weight being written, read from factor_of */
    const samp_feedback_tensor *factor_of;
    float *pivots;          /* the same */
    samp_feedback feedback; /* the same */
    const char *digest_of;  /* what source_sha256 was taken of */
    char source_sha256[SAMP_SHA256_HEX];
} quantize_job;

/* ---- what to do ------------------------------------------------------------------------------ */

static samp_status make_plan(quantize_job *job, samp_error *error)
{
    const samp_quantize_options *options = job->options;
    if ((options->recipe != NULL) + (options->plan != NULL) + (options->weights != NULL) != 1)
        return samp_fail(error, SAMP_INVALID, "give a recipe or a plan, and not both");
    job->quant_type = options->quant_type ? options->quant_type
                      : options->recipe   ? options->recipe
                                          : "plan";
    if (options->recipe) return samp_recipe_plan(options->recipe, job->model, job->plan, error);
    if (options->plan) return samp_plan_parse(options->plan, "plan", job->model, job->plan, error);
    memcpy(job->plan, options->weights, job->count * sizeof *job->plan);
    return SAMP_OK;
}

static samp_status plan_weight(quantize_job *job, size_t index, samp_error *error)
{
    const samp_weight_ref *source = samp_model_at(job->model, index);
    samp_artifact_weight *weight = &job->weights[index];
    if (source->format->group != 0)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s is quantized already (%s is %s): start from its 16-bit original",
                         samp_model_folder(job->model), source->name, source->format->name);
    memcpy(weight->name, source->name, sizeof weight->name);
    weight->is_vector = !samp_role_is_matrix(source->role);
    weight->format = job->plan[index].format ? job->plan[index].format : source->format;
    samp_status status =
        weight->format->layout(source->layout.rows, source->layout.cols, &weight->layout, error);
    return status == SAMP_OK ? status : samp_error_prefix(error, "%s", source->name);
}

/* ---- identity of the source ------------------------------------------------------------------ */

/* Names, types, shapes and places of all tensors, as text. */
static void describe_tensors(const samp_model *model, samp_buffer *text)
{
    const samp_checkpoint *checkpoint = samp_model_checkpoint((samp_model *)model);
    for (size_t i = 0; i < samp_checkpoint_count(checkpoint); i++) {
        const samp_tensor_info *tensor = samp_checkpoint_at(checkpoint, i);
        samp_buffer_printf(text, "%s %s", tensor->name, samp_dtype_name(tensor->dtype));
        for (int d = 0; d < tensor->rank; d++)
            samp_buffer_printf(text, " %llu", (unsigned long long)tensor->shape[d]);
        samp_buffer_printf(text, " %d %llu\n", tensor->shard, (unsigned long long)tensor->offset);
    }
}

/* For samp.json. A source with a samp.json of its own is named by that file's digest, which covers
 * all its bytes; otherwise by its config and tensor list: hashing hundreds of gigabytes would halve
 * the speed. */
static samp_status identify_source(quantize_job *job, samp_error *error)
{
    const char *folder = samp_model_folder(job->model);
    char path[4096];
    samp_buffer text = {0};
    SAMP_TRY(samp_path_join(path, sizeof path, folder, "samp.json", error));
    samp_status status;
    if (samp_is_file(path)) {
        job->digest_of = "samp.json";
        status = samp_file_slurp(path, 64 << 20, &text, error);
    } else {
        job->digest_of = "config and tensor list";
        char *config =
            json_dumps(samp_model_config_json(job->model), JSON_SORT_KEYS | JSON_COMPACT);
        if (config) samp_buffer_text(&text, config);
        text.failed |= !config;
        samp_free(config);
        describe_tensors(job->model, &text);
        status = samp_buffer_ok(&text, error);
    }
    if (status == SAMP_OK)
        status = samp_sha256_bytes(text.data, text.length, job->source_sha256, error);
    samp_buffer_release(&text);
    return status;
}

static samp_status describe_plan(const quantize_job *job, samp_buffer *text, samp_error *error)
{
    for (size_t i = 0; i < job->count; i++) {
        const samp_weight_plan *plan = &job->plan[i];
        char moment[SAMP_SHA256_HEX] = "";
        if (plan->input_moment)
            SAMP_TRY(samp_sha256_bytes(plan->input_moment,
                                       job->weights[i].layout.cols * sizeof(float), moment, error));
        samp_buffer_printf(text, "%s %s %d %d %s\n", job->weights[i].name,
                           job->weights[i].format->name, plan->activation_bits, (int)plan->rounding,
                           moment);
    }
    return SAMP_OK;
}

/* SHA-256 of all that the artifact's bytes depend on. */
static samp_status fingerprint(quantize_job *job, char hex[SAMP_SHA256_HEX], samp_error *error)
{
    samp_buffer text = {0};
    uint64_t bytes = 0;
    samp_buffer_printf(&text, "quantize %s %s %s %llu\n", SAMP_VERSION, job->source_sha256,
                       job->quant_type, (unsigned long long)job->options->shard_bytes);
    char *provenance = json_dumps(job->options->provenance, JSON_SORT_KEYS | JSON_COMPACT);
    if (provenance) samp_buffer_text(&text, provenance);
    samp_free(provenance);
    describe_tensors(job->model, &text);
    /* a resumed run must read the very same files */
    samp_status status = samp_model_describe_files(job->model, &text, &bytes, error);
    if (status == SAMP_OK) status = describe_plan(job, &text, error);
    if (status == SAMP_OK) status = samp_buffer_ok(&text, error);
    if (status == SAMP_OK) status = samp_sha256_bytes(text.data, text.length, hex, error);
    samp_buffer_release(&text);
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    /* A model that fits easily will be wanted again, as the baseline of an evaluation. */
    job->forget = pages > 0 && page > 0 && bytes / (uint64_t)page > (uint64_t)pages / 4;
    return status;
}

/* ---- weights --------------------------------------------------------------------------------- */

/* The source's formats have one part (plan_weight). */
static samp_status rows_of(void *context, size_t index, uint64_t row0, uint64_t n_rows,
                           samp_row_panel *out, samp_error *error)
{
    const quantize_job *job = context;
    const samp_weight_ref *source = samp_model_at(job->model, index);
    samp_checkpoint *checkpoint = samp_model_checkpoint(job->model);
    uint64_t at, bytes;
    SAMP_TRY(samp_panel_range(source->format, &source->layout, row0, n_rows, &at, &bytes, error));
    at += samp_weight_start(source);
    SAMP_TRY(samp_checkpoint_read(checkpoint, source->parts[0], at, out->values, bytes, error));
    if (job->forget) samp_checkpoint_forget(checkpoint, source->parts[0], at, bytes);
    out->dtype = source->layout.parts[0].dtype;
    return SAMP_OK;
}

/* For the sweeps that follow error feedback. */
static samp_status find_pivots(quantize_job *job, size_t index, samp_error *error)
{
    const samp_weight_plan *plan = &job->plan[index];
    uint64_t cols = plan->feedback->cols;
    float *pivots = samp_realloc(job->pivots, cols, sizeof *pivots);
    if (!pivots)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for error feedback",
                         job->weights[index].name);
    job->pivots = pivots;
    samp_feedback_pivots(job->factor, plan->input_moment, cols, pivots);
    return SAMP_OK;
}

static samp_status options_of(void *context, size_t index, samp_encode_options *out,
                              samp_error *error)
{
    quantize_job *job = context;
    const samp_weight_plan *plan = &job->plan[index];
    out->search = plan->rounding != SAMP_ROUNDING_ABSMAX;
    out->input_moment = plan->input_moment;
    if (plan->rounding != SAMP_ROUNDING_GPTQ || !plan->format->feedback) return SAMP_OK;
    if (!plan->feedback || !plan->input_moment)
        return samp_fail(error, SAMP_INVALID,
                         "the plan rounds %s by gptq, which needs the factors that samp measure "
                         "writes beside its result; give them with --moments FILE",
                         job->weights[index].name);
    if (job->factor_of != plan->feedback) { /* weights of a group follow each other and share one */
        job->factor_of = NULL;
        SAMP_TRY(samp_feedback_read(plan->feedback, &job->factor, error));
        SAMP_TRY(find_pivots(job, index, error));
        job->factor_of = plan->feedback;
    }
    job->feedback =
        (samp_feedback){.cols = plan->feedback->cols, .factor = job->factor, .d = job->pivots};
    out->feedback = &job->feedback;
    out->sweep = true;
    return SAMP_OK;
}

/* ---- small files ----------------------------------------------------------------------------- */

/* The word for the one float type of all matrices; NULL when a matrix is quantized or types differ.
 */
static const char *uniform_dtype(const quantize_job *job)
{
    const samp_format *format = job->weights[0].format;
    if (samp_model_head_rest(job->model))
        return NULL; /* quantization_config says where it is cut */
    for (size_t i = 0; i < job->count; i++)
        if (!job->weights[i].is_vector && job->weights[i].format != format) return NULL;
    switch (format->id) {
    case SAMP_FORMAT_FP16: return "float16";
    case SAMP_FORMAT_BF16: return "bfloat16";
    case SAMP_FORMAT_FP32: return "float32";
    default: return NULL;
    }
}

static json_t *quantization_config(const quantize_job *job)
{
    const samp_format **formats = samp_alloc(job->count, sizeof *formats);
    int *bits = samp_alloc(job->count, sizeof *bits);
    json_t *object = NULL;
    for (size_t i = 0; formats && bits && i < job->count; i++) {
        formats[i] = job->plan[i].format;
        bits[i] = job->plan[i].activation_bits;
    }
    if (formats && bits)
        object = samp_quantization_config(job->model, formats, bits, job->quant_type);
    samp_free(formats);
    samp_free(bits);
    return object;
}

/* The source's config.json, with quantization_config added; a plain float model gets its dtype
 * instead. */
static json_t *config_json(const quantize_job *job)
{
    json_t *config = json_deep_copy(samp_model_config_json(job->model));
    const char *dtype = uniform_dtype(job);
    bool ok = config != NULL;
    if (ok && dtype) {
        json_object_del(config, "quantization_config");
        bool new_word = json_object_get(config, "dtype") != NULL; /* transformers 5 */
        ok = samp_json_set(config, new_word ? "dtype" : "torch_dtype", json_string(dtype));
    } else if (ok) {
        ok = samp_json_set(config, "quantization_config", quantization_config(job));
    }
    if (ok) return config;
    json_decref(config);
    return NULL;
}

static void add_formats(const quantize_job *job, samp_quantize_sizes *sizes)
{
    for (size_t i = 0; i < job->count; i++) {
        const samp_artifact_weight *weight = &job->weights[i];
        sizes->formats[weight->format->id].weights += weight->layout.rows * weight->layout.cols;
        sizes->formats[weight->format->id].bytes += weight->layout.bytes;
    }
}

/* Weights and bytes of each format used, in the table's order. */
static json_t *formats_json(const quantize_job *job)
{
    json_t *object = json_object();
    samp_quantize_sizes sizes = {0};
    add_formats(job, &sizes);
    for (int id = 0; object && id < SAMP_FORMAT_COUNT; id++) {
        json_int_t elements = (json_int_t)sizes.formats[id].weights,
                   bytes = (json_int_t)sizes.formats[id].bytes;
        if (elements &&
            !samp_json_set(object, samp_format_get((samp_format_id)id)->name,
                           json_pack("{s:I, s:I}", "weights", elements, "bytes", bytes))) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *about(const quantize_job *job)
{
    const char *folder = samp_model_folder(job->model), *name = folder + strlen(folder);
    while (name > folder && name[-1] == '/') name--; /* "models/x/" is called x */
    const char *end = name;
    while (name > folder && name[-1] != '/') name--;
    json_t *object =
        json_pack("{s:i, s:s, s:s, s:s, s:{s:s%, s:s, s:s}, s:o}", "schema_version", 1, "tool",
                  "samp " SAMP_VERSION, "made_by", "quantize", "quant_type", job->quant_type,
                  "source", "name", name, (size_t)(end - name), "digest_of", job->digest_of,
                  "sha256", job->source_sha256, "formats", formats_json(job));
    bool ok = object != NULL;
    if (ok && job->options->plan)
        ok = samp_json_set(object, "plan", json_deep_copy(job->options->plan));
    json_t *inputs = ok ? samp_input_fingerprint(job->model, job->plan) : NULL;
    ok = ok && samp_json_set(object, "calibration_inputs", inputs);
    if (ok && json_object_size(inputs) == 0) json_object_del(object, "calibration_inputs");
    if (ok && job->options->provenance)
        ok = json_object_update_missing(object, (json_t *)job->options->provenance) == 0;
    if (!ok) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* ---- the run --------------------------------------------------------------------------------- */

static samp_status refuse_own_source(const quantize_job *job, samp_error *error)
{
    struct stat source, target;
    if (stat(samp_model_folder(job->model), &source) != 0 || stat(job->folder, &target) != 0)
        return SAMP_OK;
    if (source.st_dev != target.st_dev || source.st_ino != target.st_ino) return SAMP_OK;
    return samp_fail(error, SAMP_INVALID,
                     "%s is the model itself: the artifact needs a folder of its own", job->folder);
}

static samp_status write_artifact(quantize_job *job, samp_pool *pool, const samp_progress *progress,
                                  samp_error *error)
{
    char hex[SAMP_SHA256_HEX];
    SAMP_TRY(fingerprint(job, hex, error));
    samp_artifact_options options = {.folder = job->folder,
                                     .force = job->options->force,
                                     .start_over = job->options->start_over,
                                     .shard_bytes = job->options->shard_bytes,
                                     .commit_bytes = job->options->commit_bytes,
                                     .fingerprint = hex};
    samp_artifact *artifact;
    SAMP_TRY(samp_artifact_create(&artifact, &options, job->weights, job->count, error));
    samp_status status =
        samp_companions_copy(samp_model_folder(job->model), samp_artifact_folder(artifact), error);
    if (status == SAMP_OK)
        status = samp_artifact_json(artifact, "config.json", config_json(job), error);
    samp_row_source source = {.rows = rows_of, .options = options_of, .context = job};
    if (status == SAMP_OK)
        status = samp_write_weights(
            artifact, job->weights, job->count, &source, pool, "quantize",
            samp_dtype_bits(samp_model_at(job->model, 0)->parts[0]->dtype) / 8, progress, error);
    if (status == SAMP_OK) status = samp_artifact_finish(artifact, pool, about(job), error);
    if (status == SAMP_NUMERIC)
        samp_artifact_discard(artifact); /* the same weight would stop the next run too */
    else
        samp_artifact_release(artifact);
    return status;
}

/* A dry run: the layout of what would be written, and the files that would be copied. */
static samp_status weigh(const quantize_job *job, samp_error *error)
{
    samp_quantize_sizes *out = job->options->dry_run;
    *out = (samp_quantize_sizes){0};
    add_formats(job, out);
    for (size_t i = 0; i < job->count; i++)
        out->source_bytes += samp_model_at(job->model, i)->layout.bytes;
    SAMP_TRY(samp_companions_weigh(samp_model_folder(job->model), &out->companion_bytes, error));
    return samp_artifact_sizes_of(job->weights, job->count, job->options->shard_bytes, &out->files,
                                  error);
}

static samp_status run(quantize_job *job, const samp_progress *progress, samp_error *error)
{
    if (job->folder) SAMP_TRY(refuse_own_source(job, error));
    if (job->options->plan)
        SAMP_TRY(samp_plan_cut_head(job->options->plan, "plan", job->model, error));
    if (job->options->first_rows)
        SAMP_TRY(samp_model_cut_head(job->model, job->options->first_rows, error));
    job->count = samp_model_count(job->model);
    job->plan = samp_alloc(job->count, sizeof *job->plan);
    job->weights = samp_alloc(job->count, sizeof *job->weights);
    if (!job->plan || !job->weights)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for its plan",
                         samp_model_folder(job->model));
    SAMP_TRY(make_plan(job, error));
    for (size_t i = 0; i < job->count; i++) SAMP_TRY(plan_weight(job, i, error));
    if (job->options->dry_run) return weigh(job, error);
    SAMP_TRY(identify_source(job, error));
    samp_pool *pool;
    SAMP_TRY(samp_pool_create(&pool, job->options->n_threads, error));
    samp_status status = write_artifact(job, pool, progress, error);
    if (status == SAMP_NUMERIC) samp_error_prefix(error, "%s", samp_model_folder(job->model));
    samp_pool_release(pool);
    return status;
}

samp_status samp_quantize(const char *model_folder, const char *folder,
                          const samp_quantize_options *options, const samp_progress *progress,
                          samp_error *error)
{
    quantize_job job = {.options = options, .folder = folder};
    SAMP_TRY(samp_model_open(&job.model, model_folder, error));
    samp_status status = run(&job, progress, error);
    samp_free(job.factor);
    samp_free(job.pivots);
    samp_free(job.plan);
    samp_free(job.weights);
    samp_model_close(job.model);
    return status;
}
