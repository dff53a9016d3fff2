/* Groups of a model's weights. */
#include "plan/group.h"

#include "base/memory.h"

#include <stdio.h>

static const struct {
    const char *name;
    samp_role roles[SAMP_GROUP_WEIGHTS_MAX];
} kinds[] = {
#define X(id, name, a, b, c) {name, {a, b, c}},
    SAMP_GROUP_LIST(X)
#undef X
};

const char *samp_group_kind_name(samp_group_kind kind) { return kinds[kind].name; }

samp_group_kind samp_group_kind_of(samp_role role)
{
    for (int kind = 0; kind < SAMP_GROUP_EMBED; kind++)
        if (kinds[kind].roles[0] == role) return (samp_group_kind)kind;
    return SAMP_GROUP_HEAD;
}

uint64_t samp_group_kind_cols(samp_group_kind kind, const samp_config *config)
{
    switch (kind) {
    case SAMP_GROUP_O: return (uint64_t)config->n_heads * config->head_dim;
    case SAMP_GROUP_DOWN: return config->hidden_dim;
    case SAMP_GROUP_EMBED: return 0;
    default: return config->dim;
    }
}

static void fill(samp_group *group, const samp_model *model, samp_group_kind kind, uint32_t layer)
{
    *group = (samp_group){.kind = kind, .layer = layer};
    if (kind < SAMP_GROUP_EMBED)
        snprintf(group->name, sizeof group->name, "layers.%u.%s", layer, kinds[kind].name);
    else
        snprintf(group->name, sizeof group->name, "%s", kinds[kind].name);
    for (int i = 0; i < SAMP_GROUP_WEIGHTS_MAX && kinds[kind].roles[i] != SAMP_ROLE_COUNT; i++)
        group->weights[group->n_weights++] = samp_model_weight(model, kinds[kind].roles[i], layer);
}

/* The groups of a head whose second weight is `rest`. */
static void fill_head(samp_group *first, const samp_weight_ref *rest)
{
    first[1] = *first;
    first[1].weights[0] = rest;
    snprintf(first[0].name, sizeof first->name, "%s.first", kinds[SAMP_GROUP_HEAD].name);
    snprintf(first[1].name, sizeof first->name, "%s.rest", kinds[SAMP_GROUP_HEAD].name);
}

samp_status samp_groups_of(const samp_model *model, samp_group **out, size_t *n, samp_error *error)
{
    const samp_config *config = samp_model_config(model);
    samp_group *groups =
        samp_alloc((size_t)config->n_layers * SAMP_GROUP_EMBED + 3, sizeof *groups);
    *out = groups;
    *n = 0;
    if (!groups)
        return samp_fail(error, SAMP_NOMEM, "out of memory for the groups of %u layers",
                         config->n_layers);
    for (uint32_t layer = 0; layer < config->n_layers; layer++)
        for (int kind = SAMP_GROUP_QKV; kind < SAMP_GROUP_EMBED; kind++)
            fill(&groups[(*n)++], model, (samp_group_kind)kind, layer);
    if (!config->tied_embeddings) fill(&groups[(*n)++], model, SAMP_GROUP_EMBED, 0);
    fill(&groups[(*n)++], model, SAMP_GROUP_HEAD, 0);
    const samp_weight_ref *rest = samp_model_head_rest(model);
    if (rest) fill_head(&groups[(*n)++ - 1], rest);
    return SAMP_OK;
}

const char *samp_group_input(const samp_group *group)
{
    return group->kind == SAMP_GROUP_HEAD ? kinds[SAMP_GROUP_HEAD].name : group->name;
}

uint64_t samp_group_cols(const samp_group *group) { return group->weights[0]->layout.cols; }

uint64_t samp_group_rows(const samp_group *group)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < group->n_weights; i++) rows += group->weights[i]->layout.rows;
    return rows;
}

samp_status samp_group_bytes(const samp_group *group, const samp_format *format, uint64_t *out,
                             samp_error *error)
{
    *out = 0;
    for (uint32_t i = 0; i < group->n_weights; i++) {
        samp_layout layout;
        SAMP_TRY(format->layout(group->weights[i]->layout.rows, group->weights[i]->layout.cols,
                                &layout, error));
        if (!samp_add(*out, layout.bytes, out))
            return samp_fail(error, SAMP_LIMIT, "%s: its size overflows", group->name);
    }
    return SAMP_OK;
}
