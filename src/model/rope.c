/* Rotary embedding: its parameters in config.json, and the frequencies they mean.
 *
 * Parameters live in "rope_parameters" (transformers 5, rope_theta inside) or in "rope_scaling" and
 * "rope_theta" (before); the kind is "rope_type" or, older, "type". Kinds: default, linear, llama3,
 * yarn (arXiv 2309.00071); formulas as transformers' modeling_rope_utils has them. */
#include "model/config_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double TWO_PI = 6.283185307179586;

/* ---- reading --------------------------------------------------------------------------------- */

static samp_status read_original_positions(samp_config *config, const json_t *rope,
                                           const char *where, samp_error *error)
{
    int64_t positions = config->max_positions;
    SAMP_TRY(samp_json_integer(rope, "original_max_position_embeddings", false, 1,
                               SAMP__POSITIONS_MAX, &positions, where, error));
    config->rope_original_positions = (uint32_t)positions;
    return SAMP_OK;
}

static samp_status parse_llama3(samp_config *config, const json_t *rope, const char *where,
                                samp_error *error)
{
    SAMP_TRY(samp__config_positive(rope, "low_freq_factor", true, 1e6,
                                   &config->rope_low_freq_factor, where, error));
    SAMP_TRY(samp__config_positive(rope, "high_freq_factor", true, 1e6,
                                   &config->rope_high_freq_factor, where, error));
    if (config->rope_low_freq_factor >= config->rope_high_freq_factor)
        return samp_fail(
            error, SAMP_CORRUPT,
            "%s: \"low_freq_factor\" is %g, expected less than \"high_freq_factor\" %g", where,
            config->rope_low_freq_factor, config->rope_high_freq_factor);
    return read_original_positions(config, rope, where, error);
}

/* A context that yarn has stretched is as long as its factor makes it, whether or not
 * "max_position_embeddings" was changed with it (Qwen's model cards leave it). */
static samp_status parse_yarn(samp_config *config, const json_t *rope, const char *where,
                              samp_error *error)
{
    static const char *const others[] = {"mscale", "mscale_all_dim"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const json_t *value = json_object_get(rope, others[i]);
        if (value && !json_is_null(value))
            return samp_fail(error, SAMP_UNSUPPORTED,
                             "%s has \"%s\", which is not supported; give \"attention_factor\"",
                             where, others[i]);
    }
    double factor = config->rope_factor;
    config->rope_beta_fast = 32;
    config->rope_beta_slow = 1;
    config->rope_magnitude = factor > 1 ? 0.1 * log(factor) + 1 : 1;
    config->rope_truncate = true;
    SAMP_TRY(samp__config_positive(rope, "beta_fast", false, 1e6, &config->rope_beta_fast, where,
                                   error));
    SAMP_TRY(samp__config_positive(rope, "beta_slow", false, 1e6, &config->rope_beta_slow, where,
                                   error));
    SAMP_TRY(samp__config_positive(rope, "attention_factor", false, 1e3, &config->rope_magnitude,
                                   where, error));
    SAMP_TRY(samp_json_bool(rope, "truncate", false, &config->rope_truncate, where, error));
    SAMP_TRY(read_original_positions(config, rope, where, error));
    double stretched = floor(factor * config->rope_original_positions);
    if (stretched > config->max_positions)
        config->max_positions =
            stretched < SAMP__POSITIONS_MAX ? (uint32_t)stretched : SAMP__POSITIONS_MAX;
    return SAMP_OK;
}

/* What would change the arithmetic if it were passed over. */
static samp_status refuse_variants(const json_t *rope, const char *where, samp_error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)rope, key, value) if (json_is_object(value)) return samp_fail(
        error, SAMP_UNSUPPORTED,
        "%s has parameters of their own for \"%.50s\", only one set for all "
        "layers is supported",
        where, key);
    double rotary = 1;
    SAMP_TRY(samp_json_number(rope, "partial_rotary_factor", false, &rotary, where, error));
    if (rotary != 1)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: \"partial_rotary_factor\" is %g, only 1 is supported", where, rotary);
    return SAMP_OK;
}

static samp_status parse_kind(samp_config *config, const json_t *rope, const char *where,
                              samp_error *error)
{
    const char *kind = "default", *old_kind = NULL;
    SAMP_TRY(samp_json_string(rope, "type", false, &old_kind, where, error));
    if (old_kind) kind = old_kind;
    SAMP_TRY(samp_json_string(rope, "rope_type", false, &kind, where, error));
    if (strcmp(kind, "default") == 0) return SAMP_OK;
    if (strcmp(kind, "linear") == 0)
        config->rope_scaling = SAMP_ROPE_LINEAR;
    else if (strcmp(kind, "llama3") == 0)
        config->rope_scaling = SAMP_ROPE_LLAMA3;
    else if (strcmp(kind, "yarn") == 0)
        config->rope_scaling = SAMP_ROPE_YARN;
    else
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s asks for scaling of type \"%.50s\", supported are \"default\", "
                         "\"linear\", \"llama3\" and \"yarn\"",
                         where, kind);
    SAMP_TRY(samp__config_positive(rope, "factor", true, 1e6, &config->rope_factor, where, error));
    if (config->rope_scaling == SAMP_ROPE_LLAMA3) return parse_llama3(config, rope, where, error);
    if (config->rope_scaling == SAMP_ROPE_YARN) return parse_yarn(config, rope, where, error);
    return SAMP_OK;
}

samp_status samp__config_rope(samp_config *config, const json_t *root, const samp_family *family,
                              const char *where, samp_error *error)
{
    config->rope_theta = family->rope_theta;
    SAMP_TRY(
        samp__config_positive(root, "rope_theta", false, 1e15, &config->rope_theta, where, error));
    const char *key = "rope_parameters";
    const json_t *rope = json_object_get(root, key);
    if (!rope || json_is_null(rope)) rope = json_object_get(root, key = "rope_scaling");
    if (!rope || json_is_null(rope)) return SAMP_OK;

    char inside[256];
    snprintf(inside, sizeof inside, "%s: \"%s\"", where, key);
    if (!json_is_object(rope))
        return samp_fail(error, SAMP_CORRUPT, "%s is neither an object nor null", inside);
    SAMP_TRY(
        samp__config_positive(rope, "rope_theta", false, 1e15, &config->rope_theta, inside, error));
    SAMP_TRY(refuse_variants(rope, inside, error));
    return parse_kind(config, rope, inside, error);
}

json_t *samp__config_rope_json(const samp_config *config)
{
    json_int_t original = (json_int_t)config->rope_original_positions;
    switch (config->rope_scaling) {
    case SAMP_ROPE_LINEAR:
        return json_pack("{s:s, s:f}", "rope_type", "linear", "factor", config->rope_factor);
    case SAMP_ROPE_LLAMA3:
        return json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor",
                         config->rope_factor, "low_freq_factor", config->rope_low_freq_factor,
                         "high_freq_factor", config->rope_high_freq_factor,
                         "original_max_position_embeddings", original);
    case SAMP_ROPE_YARN:
        return json_pack("{s:s, s:f, s:f, s:f, s:f, s:b, s:I}", "rope_type", "yarn", "factor",
                         config->rope_factor, "beta_fast", config->rope_beta_fast, "beta_slow",
                         config->rope_beta_slow, "attention_factor", config->rope_magnitude,
                         "truncate", config->rope_truncate, "original_max_position_embeddings",
                         original);
    case SAMP_ROPE_NONE: break;
    }
    return json_null();
}

/* ---- frequencies ----------------------------------------------------------------------------- */

/* llama3: long wavelengths are slowed down by `factor`, short ones kept, and those between are
 * blended by how often they turn in the original context. */
static double llama3_frequency(const samp_config *config, double frequency)
{
    double turns = (double)config->rope_original_positions * frequency / TWO_PI;
    if (turns > config->rope_high_freq_factor) return frequency;
    if (turns < config->rope_low_freq_factor) return frequency / config->rope_factor;
    double smooth = (turns - config->rope_low_freq_factor) /
                    (config->rope_high_freq_factor - config->rope_low_freq_factor);
    return (1 - smooth) * frequency / config->rope_factor + smooth * frequency;
}

/* The index i of the frequency that turns `turns` times in the original context. */
static double yarn_index(const samp_config *config, double turns)
{
    return config->head_dim * log(config->rope_original_positions / (turns * TWO_PI)) /
           (2 * log(config->rope_theta));
}

/* yarn: frequencies up to index `low` are kept, from `high` on slowed down by `factor`, and between
 * them blended along a line. */
static double yarn_frequency(const samp_config *config, double frequency, uint32_t i)
{
    double low = yarn_index(config, config->rope_beta_fast);
    double high = yarn_index(config, config->rope_beta_slow);
    if (config->rope_truncate) low = floor(low), high = ceil(high);
    low = fmax(low, 0);
    high = fmin(high, config->head_dim - 1.0);
    if (low == high) high += 0.001;
    double slowed = fmin(fmax((i - low) / (high - low), 0), 1);
    return slowed * frequency / config->rope_factor + (1 - slowed) * frequency;
}

void samp_rope_frequencies(const samp_config *config, double *out)
{
    for (uint32_t i = 0; i < config->head_dim / 2; i++) {
        double frequency = pow(config->rope_theta, -2.0 * i / config->head_dim);
        if (config->rope_scaling == SAMP_ROPE_LINEAR)
            frequency /= config->rope_factor;
        else if (config->rope_scaling == SAMP_ROPE_LLAMA3)
            frequency = llama3_frequency(config, frequency);
        else if (config->rope_scaling == SAMP_ROPE_YARN)
            frequency = yarn_frequency(config, frequency, i);
        out[i] = frequency;
    }
}

double samp_rope_magnitude(const samp_config *config)
{
    return config->rope_scaling == SAMP_ROPE_YARN ? config->rope_magnitude : 1;
}
