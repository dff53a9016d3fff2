/* Opening a model for a command, with a progress line. */
#include "command/loaded.h"

#include "file/file.h"
#include "plan/sensitivity.h"

#include <string.h>

samp_sampler_options samp_sampling(const samp_sampling_options *options)
{
    samp_sampler_options how = samp_sampler_defaults();
    how.temperature = (float)options->temperature;
    how.top_p = (float)options->top_p;
    how.min_p = (float)options->min_p;
    how.top_k = (int)options->top_k;
    how.repetition_penalty = (float)options->repetition_penalty;
    how.seed = (uint64_t)options->seed;
    return how;
}

samp_status samp_loaded_open(samp_loaded *out, const char *folder, const samp_run_options *options,
                             uint32_t context, bool with_tokenizer, samp_error *error)
{
    *out = (samp_loaded){0};
    samp_status status = samp_model_open(&out->model, folder, error);
    if (status == SAMP_OK && with_tokenizer)
        status = samp_tokenizer_load(&out->tokenizer, folder, error);
    if (status == SAMP_OK) {
        samp_meter meter;
        samp_session_options session = {
            .backend = options->backend,
            .n_threads = (unsigned)options->threads,
            .exact = options->exact,
            .kv_type = strcmp(options->kv, "int8") == 0 ? SAMP_KV_INT8 : SAMP_KV_FP16,
            .context = context,
            .progress = samp_meter_start(&meter, "B"),
        };
        status = samp_session_open(&out->session, out->model, &session, error);
        samp_meter_stop(&meter);
    }
    if (status != SAMP_OK) samp_loaded_close(out);
    return status;
}

void samp_loaded_close(samp_loaded *loaded)
{
    if (loaded->session) samp_session_close(loaded->session);
    if (loaded->tokenizer) samp_tokenizer_release(loaded->tokenizer);
    if (loaded->model) samp_model_close(loaded->model);
    *loaded = (samp_loaded){0};
}

samp_status samp_loaded_digest(const samp_loaded *loaded, const samp_run_options *options,
                               char hex[SAMP_SHA256_HEX], samp_error *error)
{
    char shapes[SAMP_SHA256_HEX];
    samp_buffer text = {0};
    SAMP_TRY(samp_model_digest(loaded->model, shapes, error));
    samp_buffer_printf(&text, "%s %d %s\n", shapes, options->exact, options->kv);
    samp_status status = samp_model_describe_files(loaded->model, &text, NULL, error);
    if (status == SAMP_OK) status = samp_buffer_ok(&text, error);
    if (status == SAMP_OK) status = samp_sha256_bytes(text.data, text.length, hex, error);
    samp_buffer_release(&text);
    return status;
}

samp_status samp_loaded_eval(samp_loaded *model, samp_session *baseline, const char *path,
                             const samp_eval_options *options, samp_eval_result *result,
                             size_t *n_tokens, samp_error *error)
{
    samp_buffer text = {0};
    samp_tokens tokens = {0};
    samp_status status = samp_file_slurp(path, UINT64_C(1) << 30, &text, error);
    if (status == SAMP_OK)
        status = samp_tokenizer_encode(model->tokenizer, text.data, text.length,
                                       (samp_encode_text){.add_bos = true}, &tokens, error);
    samp_buffer_release(&text);
    if (status == SAMP_OK) {
        samp_meter meter;
        samp_eval_options how = *options;
        how.progress = samp_meter_start(&meter, "tok");
        status = samp_eval_tokens(model->session, baseline, tokens.ids, tokens.count, &how, result,
                                  error);
        samp_meter_stop(&meter);
        if (status != SAMP_OK) samp_error_prefix(error, "%s", path);
    }
    *n_tokens = tokens.count;
    samp_tokens_release(&tokens);
    return status;
}
