/* The weights of a Llama-family model: their names, classes and shapes, all from SAMP_ROLE_LIST. */
#include "model/model.h"

#include <stdio.h>
#include <string.h>

typedef struct role_row {
    const char *pattern;
    bool matrix, per_layer;
} role_row;

static const role_row ROLES[SAMP_ROLE_COUNT] = {
#define X(id, name, matrix, per_layer) {name, matrix, per_layer},
    SAMP_ROLE_LIST(X)
#undef X
};

bool samp_role_is_matrix(samp_role role) { return ROLES[role].matrix; }

bool samp_role_is_per_layer(samp_role role) { return ROLES[role].per_layer; }

bool samp_role_present(samp_role role, const samp_config *config)
{
    switch (role) {
    case SAMP_ROLE_Q_BIAS:
    case SAMP_ROLE_K_BIAS:
    case SAMP_ROLE_V_BIAS: return config->qkv_bias;
    case SAMP_ROLE_Q_NORM:
    case SAMP_ROLE_K_NORM: return config->qk_norm;
    case SAMP_ROLE_HEAD: return !config->tied_embeddings;
    default: return true;
    }
}

void samp_role_name(samp_role role, uint32_t layer, char *out)
{
    /* The patterns are this file's constants: copying them by hand keeps -Wformat-nonliteral on. */
    char *at = out, *end = out + SAMP_TENSOR_NAME_MAX - 1;
    for (const char *p = ROLES[role].pattern; *p && at < end; p++) {
        if (p[0] == '%' && p[1] == 'u') {
            int n = snprintf(at, (size_t)(end - at), "%u", layer);
            at += n;
            p++;
        } else {
            *at++ = *p;
        }
    }
    *at = '\0';
}

void samp_role_shape(samp_role role, const samp_config *config, uint64_t *rows, uint64_t *cols)
{
    uint64_t dim = config->dim, q_dim = (uint64_t)config->n_heads * config->head_dim;
    uint64_t kv_dim = (uint64_t)config->n_kv_heads * config->head_dim;
    uint64_t shape[2] = {1, dim}; /* norms of the residual stream */
    switch (role) {
    case SAMP_ROLE_EMBED:
    case SAMP_ROLE_HEAD: shape[0] = config->vocab_size; break;
    case SAMP_ROLE_Q: shape[0] = q_dim; break;
    case SAMP_ROLE_K:
    case SAMP_ROLE_V: shape[0] = kv_dim; break;
    case SAMP_ROLE_O: shape[0] = dim, shape[1] = q_dim; break;
    case SAMP_ROLE_GATE:
    case SAMP_ROLE_UP: shape[0] = config->hidden_dim; break;
    case SAMP_ROLE_DOWN: shape[0] = dim, shape[1] = config->hidden_dim; break;
    case SAMP_ROLE_Q_BIAS: shape[1] = q_dim; break;
    case SAMP_ROLE_K_BIAS:
    case SAMP_ROLE_V_BIAS: shape[1] = kv_dim; break;
    case SAMP_ROLE_Q_NORM:
    case SAMP_ROLE_K_NORM: shape[1] = config->head_dim; break;
    case SAMP_ROLE_ATTN_NORM:
    case SAMP_ROLE_MLP_NORM:
    case SAMP_ROLE_FINAL_NORM:
    case SAMP_ROLE_COUNT: break;
    }
    *rows = shape[0];
    *cols = shape[1];
}

void samp_shape_text(char *out, size_t n, int rank, const uint64_t *shape)
{
    size_t at = (size_t)snprintf(out, n, "[");
    for (int i = 0; i < rank && at < n; i++)
        at += (size_t)snprintf(out + at, n - at, "%s%llu", i ? ", " : "",
                               (unsigned long long)shape[i]);
    if (at < n) snprintf(out + at, n - at, "]");
}

const samp_format *samp_float_format(samp_dtype dtype)
{
    switch (dtype) {
    case SAMP_F32: return samp_format_get(SAMP_FORMAT_FP32);
    case SAMP_BF16: return samp_format_get(SAMP_FORMAT_BF16);
    case SAMP_F16: return samp_format_get(SAMP_FORMAT_FP16);
    default: return NULL;
    }
}

const char *samp_role_class(samp_role role)
{
    switch (role) {
    case SAMP_ROLE_EMBED: return "embedding";
    case SAMP_ROLE_HEAD: return "head";
    case SAMP_ROLE_Q:
    case SAMP_ROLE_K:
    case SAMP_ROLE_V:
    case SAMP_ROLE_O: return "attention";
    case SAMP_ROLE_GATE:
    case SAMP_ROLE_UP:
    case SAMP_ROLE_DOWN: return "mlp";
    case SAMP_ROLE_Q_BIAS:
    case SAMP_ROLE_K_BIAS:
    case SAMP_ROLE_V_BIAS: return "bias";
    case SAMP_ROLE_Q_NORM:
    case SAMP_ROLE_K_NORM:
    case SAMP_ROLE_ATTN_NORM:
    case SAMP_ROLE_MLP_NORM:
    case SAMP_ROLE_FINAL_NORM:
    case SAMP_ROLE_COUNT: break;
    }
    return "norm";
}

enum { FIRST_IN_LAYER = SAMP_ROLE_ATTN_NORM, LAST_IN_LAYER = SAMP_ROLE_DOWN };

/* How many of a layer's weights stand before `role`. */
static size_t before_in_layer(const samp_config *config, int role)
{
    size_t n = 0;
    for (int r = FIRST_IN_LAYER; r < role; r++) n += samp_role_present((samp_role)r, config);
    return n;
}

static size_t in_layers(const samp_config *config)
{
    return config->n_layers * before_in_layer(config, LAST_IN_LAYER + 1);
}

size_t samp_weight_count(const samp_config *config)
{
    return 1 + in_layers(config) + (config->tied_embeddings ? 1 : 2);
}

void samp_weight_at(const samp_config *config, size_t index, samp_role *role, uint32_t *layer)
{
    size_t all = in_layers(config), one = before_in_layer(config, LAST_IN_LAYER + 1);
    *layer = 0;
    if (index == 0) {
        *role = SAMP_ROLE_EMBED;
    } else if (index <= all) {
        int r = FIRST_IN_LAYER;
        while (!samp_role_present((samp_role)r, config) ||
               before_in_layer(config, r) < (index - 1) % one)
            r++;
        *role = (samp_role)r;
        *layer = (uint32_t)((index - 1) / one);
    } else {
        *role = (samp_role)(SAMP_ROLE_FINAL_NORM + (index - 1 - all));
    }
}

size_t samp_weight_index(const samp_config *config, samp_role role, uint32_t layer)
{
    if (role == SAMP_ROLE_EMBED || (role == SAMP_ROLE_HEAD && config->tied_embeddings)) return 0;
    if (samp_role_is_per_layer(role))
        return 1 + layer * before_in_layer(config, LAST_IN_LAYER + 1) +
               before_in_layer(config, (int)role);
    return 1 + in_layers(config) + (size_t)(role - SAMP_ROLE_FINAL_NORM);
}

size_t samp_stored_count(const samp_config *config, uint64_t first_rows)
{
    return samp_weight_count(config) + (first_rows > 0);
}

void samp_stored_at(const samp_config *config, uint64_t first_rows, size_t index,
                    samp_weight_ref *out, uint64_t *rows, uint64_t *cols)
{
    static const char suffix[] = ".weight";
    size_t whole = samp_weight_count(config), head = samp_weight_index(config, SAMP_ROLE_HEAD, 0);
    bool rest = index == whole, part = first_rows > 0 && (rest || index == head);
    char name[SAMP_TENSOR_NAME_MAX];
    samp_weight_at(config, rest ? head : index, &out->role, &out->layer);
    samp_role_name(out->role, out->layer, name);
    int stem = (int)(strlen(name) - (part ? sizeof suffix - 1 : 0));
    snprintf(out->name, sizeof out->name, "%.*s%s%s", stem, name,
             !part  ? ""
             : rest ? ".rest"
                    : ".first",
             part ? suffix : "");
    samp_role_shape(out->role, config, rows, cols);
    if (part) *rows = rest ? *rows - first_rows : first_rows;
}
