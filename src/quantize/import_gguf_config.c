/* The metadata of a GGUF file -> samp_config. Keys begin with the architecture's name:
 * "qwen2.block_count". */
#include "base/memory.h"
#include "quantize/import_gguf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char samp__gguf_rope_divisors[] = "rope_freqs.weight";

/* What is being read: one architecture's keys in the first file. */
typedef struct metadata {
    const samp_gguf_set *set;
    const samp_gguf *gguf;
    const char *path;
    const samp_family *family;
} metadata;

typedef struct metadata_key {
    char text[80];
} metadata_key;

static metadata_key key_of(const metadata *m, const char *name)
{
    metadata_key key;
    snprintf(key.text, sizeof key.text, "%s.%s", m->family->gguf, name);
    return key;
}

static bool has_integer(const metadata *m, const char *name, int64_t *out)
{
    return samp_gguf_integer(m->gguf, key_of(m, name).text, out);
}

static bool has_number(const metadata *m, const char *name, double *out)
{
    return samp_gguf_number(m->gguf, key_of(m, name).text, out);
}

/* A size that must be there: 1 … 2^31-1 here, and in its own range once config.json's reader sees it. */
static samp_status size(const metadata *m, const char *name, uint32_t *out, samp_error *error)
{
    int64_t value;
    if (!has_integer(m, name, &value))
        return samp_fail(error, SAMP_CORRUPT, "%s: metadata \"%s\" is missing or not an integer",
                         m->path, key_of(m, name).text);
    if (value < 1 || value > INT32_MAX)
        return samp_fail(error, SAMP_CORRUPT, "%s: metadata \"%s\" is %lld, expected 1 to %d",
                         m->path, key_of(m, name).text, (long long)value, INT32_MAX);
    *out = (uint32_t)value;
    return SAMP_OK;
}

static bool text_is(samp_gguf_string text, const char *word)
{
    return text.length == strlen(word) && memcmp(text.data, word, text.length) == 0;
}

static samp_status find_family(metadata *m, samp_error *error)
{
    samp_gguf_string name = {"", 0};
    samp_gguf_text(m->gguf, "general.architecture", &name);
    m->family = samp_family_of_gguf(name.data, name.length);
    if (!m->family) {
        char names[128];
        samp_family_names(true, names, sizeof names);
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: architecture \"%.*s\" is not supported, supported are %s", m->path,
                         (int)(name.length < 60 ? name.length : 60), name.data, names);
    }
    int64_t experts = 0;
    if (has_integer(m, "expert_count", &experts) && experts > 0)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s is a mixture of %lld experts, which is not supported", m->path,
                         (long long)experts);
    return SAMP_OK;
}

static samp_status read_heads(const metadata *m, samp_config *config, samp_error *error)
{
    int64_t unused;
    SAMP_TRY(size(m, "attention.head_count", &config->n_heads, error));
    config->n_kv_heads = config->n_heads;
    if (has_integer(m, "attention.head_count_kv", &unused))
        SAMP_TRY(size(m, "attention.head_count_kv", &config->n_kv_heads, error));
    config->head_dim = config->dim / config->n_heads;
    static const char *const same[] = {"attention.key_length", "attention.value_length",
                                       "rope.dimension_count"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        uint32_t length = 0;
        if (!has_integer(m, same[i], &unused)) continue;
        SAMP_TRY(size(m, same[i], &length, error));
        if (i == 0) config->head_dim = length;
        if (length != config->head_dim)
            return samp_fail(error, SAMP_UNSUPPORTED,
                             "%s: metadata \"%s\" is %u, heads have %u dimensions; only equal "
                             "lengths are supported",
                             m->path, key_of(m, same[i]).text, length, config->head_dim);
    }
    return SAMP_OK;
}

static samp_status read_sizes(const metadata *m, samp_config *config, samp_error *error)
{
    samp_gguf *file;
    SAMP_TRY(size(m, "block_count", &config->n_layers, error));
    SAMP_TRY(size(m, "embedding_length", &config->dim, error));
    SAMP_TRY(size(m, "feed_forward_length", &config->hidden_dim, error));
    SAMP_TRY(size(m, "context_length", &config->max_positions, error));
    SAMP_TRY(read_heads(m, config, error));
    const samp_gguf_tensor *embedding = samp_gguf_set_find(m->set, "token_embd.weight", &file);
    if (!embedding || embedding->rank != 2 || embedding->shape[1] > INT32_MAX)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: tensor token_embd.weight is missing or no matrix", m->path);
    config->vocab_size = (uint32_t)embedding->shape[1];
    config->tied_embeddings = samp_gguf_set_find(m->set, "output.weight", &file) == NULL;
    return SAMP_OK;
}

/* SmolLM3's files do not say which layers have no rope: it is every fourth, as in llama.cpp. A Llama
 * with a window is what Hugging Face calls Mistral (llama.cpp's converter leaves the window out). */
static samp_status read_layers(const metadata *m, samp_config *config, samp_error *error)
{
    int64_t window = 0;
    has_integer(m, "attention.sliding_window", &window);
    if (config->n_layers > SAMP_LAYERS_MAX)
        return samp_fail(error, SAMP_LIMIT, "%s has %u layers, at most %d are supported", m->path,
                         config->n_layers, SAMP_LAYERS_MAX);
    if (window < 0 || window > INT32_MAX || (window > 0 && strcmp(m->family->gguf, "llama") != 0))
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: metadata \"%s\" is %lld; windows are read of \"llama\" only", m->path,
                         key_of(m, "attention.sliding_window").text, (long long)window);
    if (window > 0)
        snprintf(config->architecture, sizeof config->architecture, "MistralForCausalLM");
    config->window = (uint32_t)window;
    for (uint32_t i = 0; i < config->n_layers; i++) {
        if (window > 0) config->layers[i] |= SAMP_LAYER_WINDOW;
        if (m->family->no_rope_layers && i % 4 == 3) config->layers[i] |= SAMP_LAYER_NO_ROPE;
    }
    return SAMP_OK;
}

static void read_tokens(const samp_gguf *gguf, samp_config *config)
{
    int64_t id;
    config->bos_token = -1;
    if (samp_gguf_integer(gguf, "tokenizer.ggml.bos_token_id", &id) && id >= 0 && id <= INT32_MAX)
        config->bos_token = (int32_t)id;
    static const char *const ends[] = {"tokenizer.ggml.eos_token_id",
                                       "tokenizer.ggml.eot_token_id"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (!samp_gguf_integer(gguf, ends[i], &id) || id < 0 || id > INT32_MAX) continue;
        if (config->n_eos_tokens && config->eos_tokens[0] == id) continue;
        config->eos_tokens[config->n_eos_tokens++] = (int32_t)id;
    }
}

/* ---- rope scaling ---------------------------------------------------------------------------- */

/* Llama 3.1 and later: the file holds, for each frequency, what it is divided by. All published
 * models use the same blend (factors 1 and 4, 8,192 positions) and differ in the largest divisor;
 * other tables are refused, because config.json could not express them. */
static samp_status read_rope_table(const metadata *m, samp_gguf *file,
                                   const samp_gguf_tensor *tensor, samp_config *config,
                                   samp_error *error)
{
    uint32_t half = config->head_dim / 2;
    if (tensor->rank != 1 || tensor->shape[0] != half || half == 0)
        return samp_fail(error, SAMP_CORRUPT, "%s: tensor %s has not the %u values of half a head",
                         m->path, tensor->name, half);
    float *divisors = samp_alloc(half, sizeof *divisors);
    double *plain = samp_alloc(half, sizeof *plain), *scaled = samp_alloc(half, sizeof *scaled);
    samp_status status = divisors && plain && scaled
                             ? samp_gguf_rows(file, tensor, 0, 1, divisors, error)
                             : samp_fail(error, SAMP_NOMEM, "%s: out of memory", m->path);
    bool known = status == SAMP_OK;
    if (known) {
        samp_rope_frequencies(config, plain);
        config->rope_scaling = SAMP_ROPE_LLAMA3;
        config->rope_factor = (double)divisors[half - 1];
        config->rope_low_freq_factor = 1;
        config->rope_high_freq_factor = 4;
        config->rope_original_positions = 8192;
        samp_rope_frequencies(config, scaled);
    }
    for (uint32_t i = 0; known && i < half; i++)
        known = fabs(plain[i] / scaled[i] - (double)divisors[i]) <= 1e-3 * (double)divisors[i];
    if (status == SAMP_OK && !known)
        status = samp_fail(error, SAMP_UNSUPPORTED,
                           "%s: tensor %s is not the rope scaling of Llama 3 (low factor 1, high "
                           "factor 4, 8192 original positions)",
                           m->path, tensor->name);
    samp_free(divisors);
    samp_free(plain);
    samp_free(scaled);
    return status;
}

static samp_status read_yarn(const metadata *m, samp_config *config, samp_error *error)
{
    static const char *const others[] = {"rope.scaling.yarn_ext_factor",
                                         "rope.scaling.yarn_attn_factor",
                                         "rope.scaling.yarn_log_multiplier"};
    double value;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (has_number(m, others[i], &value))
            return samp_fail(error, SAMP_UNSUPPORTED, "%s: metadata \"%s\" is not supported",
                             m->path, key_of(m, others[i]).text);
    SAMP_TRY(
        size(m, "rope.scaling.original_context_length", &config->rope_original_positions, error));
    config->rope_beta_fast = 32;
    config->rope_beta_slow = 1;
    config->rope_truncate = true;
    has_number(m, "rope.scaling.yarn_beta_fast", &config->rope_beta_fast);
    has_number(m, "rope.scaling.yarn_beta_slow", &config->rope_beta_slow);
    double factor = config->rope_factor;
    config->rope_magnitude = factor > 1 ? 0.1 * log(factor) + 1 : 1;
    return SAMP_OK;
}

static samp_status read_scaling(const metadata *m, samp_config *config, samp_error *error)
{
    samp_gguf_string type = {"none", 4};
    config->rope_factor = 1;
    has_number(m, "rope.scale_linear", &config->rope_factor); /* how old files say linear */
    samp_gguf_text(m->gguf, key_of(m, "rope.scaling.type").text, &type);
    if (!text_is(type, "none")) has_number(m, "rope.scaling.factor", &config->rope_factor);
    if (text_is(type, "yarn")) {
        config->rope_scaling = SAMP_ROPE_YARN;
        return read_yarn(m, config, error);
    }
    if (!text_is(type, "none") && !text_is(type, "linear"))
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: rope scaling \"%.*s\" is not supported, supported are none, linear, "
                         "yarn and Llama 3's",
                         m->path, (int)(type.length < 60 ? type.length : 60), type.data);
    if (config->rope_factor != 1)
        config->rope_scaling = SAMP_ROPE_LINEAR;
    else
        config->rope_factor = 0;
    return SAMP_OK;
}

static samp_status read_rope(const metadata *m, samp_config *config, samp_error *error)
{
    samp_gguf *file;
    SAMP_TRY(read_scaling(m, config, error));
    const samp_gguf_tensor *table = samp_gguf_set_find(m->set, samp__gguf_rope_divisors, &file);
    if (!table) return SAMP_OK;
    if (config->rope_scaling != SAMP_ROPE_NONE)
        return samp_fail(error, SAMP_UNSUPPORTED, "%s has both rope scaling and %s", m->path,
                         table->name);
    return read_rope_table(m, file, table, config, error);
}

samp_status samp__import_gguf_config(samp_import_source *source, const samp_gguf_set *set,
                                     const samp_family **family, samp_error *error)
{
    samp_config *config = &source->config;
    metadata m = {.set = set, .gguf = set->files[0], .path = source->path};
    SAMP_TRY(find_family(&m, error));
    *family = m.family;
    snprintf(config->architecture, sizeof config->architecture, "%s", m.family->architecture);
    config->qkv_bias = m.family->qkv_bias;
    config->qk_norm = m.family->qk_norm;
    SAMP_TRY(read_sizes(&m, config, error));
    SAMP_TRY(read_layers(&m, config, error));
    double eps = 1e-5;
    has_number(&m, "attention.layer_norm_rms_epsilon", &eps);
    config->rms_norm_eps = (float)eps;
    config->rope_theta = 10000;
    has_number(&m, "rope.freq_base", &config->rope_theta);
    read_tokens(m.gguf, config);
    SAMP_TRY(samp__import_check(source, error));
    SAMP_TRY(read_rope(&m, config, error));
    return samp__import_check(source, error);
}
