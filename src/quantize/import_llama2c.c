/* A llama2.c checkpoint as an import source: file/llama2c.h has the tensors under their Hugging
 * Face names and in their order already. */
#include "file/llama2c.h"
#include "quantize/import_source.h"

#include <stdio.h>
#include <string.h>

static samp_status llama2c_rows(const samp_import_source *source, samp_role role, uint32_t layer,
                                uint64_t row0, uint64_t n_rows, float *out, samp_error *error)
{
    char name[SAMP_TENSOR_NAME_MAX];
    samp_role_name(role, layer, name);
    const samp_llama2c_tensor *tensor = samp_llama2c_find(source->state, name);
    if (!tensor) return samp_fail(error, SAMP_MISMATCH, "%s has no tensor %s", source->path, name);
    return samp_llama2c_rows(source->state, tensor, row0, n_rows, out, error);
}

static samp_status llama2c_tokenizer(const samp_import_source *source, const char *tokenizer_path,
                                     samp_tokenizer **out, samp_error *error)
{
    char beside[4096];
    if (!tokenizer_path) {
        const char *slash = strrchr(source->path, '/');
        int folder = slash ? (int)(slash - source->path) + 1 : 0;
        int n = snprintf(beside, sizeof beside, "%.*stokenizer.bin", folder, source->path);
        if (n < 0 || (size_t)n >= sizeof beside)
            return samp_fail(error, SAMP_LIMIT, "%.200s: the path is too long", source->path);
        tokenizer_path = beside;
    }
    return samp_tokenizer_from_llama2c(out, tokenizer_path, source->config.vocab_size, error);
}

static void llama2c_close(samp_import_source *source)
{
    samp_llama2c_close(source->state);
    source->state = NULL;
}

/* What llama2.c fixes in its program rather than in the file: epsilon, rotation, the ids of <s> and
 * </s>. */
static void fill_config(samp_config *config, const samp_llama2c_sizes *sizes)
{
    *config = (samp_config){.n_layers = sizes->n_layers,
                            .dim = sizes->dim,
                            .hidden_dim = sizes->hidden_dim,
                            .n_heads = sizes->n_heads,
                            .n_kv_heads = sizes->n_kv_heads,
                            .head_dim = sizes->head_dim,
                            .vocab_size = sizes->vocab_size,
                            .max_positions = sizes->max_positions,
                            .rms_norm_eps = 1e-5f,
                            .rope_theta = 10000,
                            .tied_embeddings = sizes->tied_embeddings,
                            .bos_token = 1,
                            .eos_tokens = {2},
                            .n_eos_tokens = 1};
    snprintf(config->architecture, sizeof config->architecture, "LlamaForCausalLM");
}

samp_status samp__import_llama2c(samp_import_source *out, const char *path, samp_error *error)
{
    samp_llama2c *checkpoint;
    *out = (samp_import_source){.kind = "llama2.c",
                                .path = path,
                                .n_files = 1,
                                .files = &out->path,
                                .rows = llama2c_rows,
                                .tokenizer = llama2c_tokenizer,
                                .close = llama2c_close};
    SAMP_TRY(samp_llama2c_open(&checkpoint, path, error));
    out->state = checkpoint;
    fill_config(&out->config, samp_llama2c_sizes_of(checkpoint));
    samp_status status = samp__import_check(out, error);
    if (status != SAMP_OK) llama2c_close(out);
    return status;
}
