/* Groups: the weights that get one format together, because they share an input or because engines
 * need it (q, k and v; gate and up). The unit of measurement and of planning. */
#ifndef SAMP_PLAN_GROUP_H
#define SAMP_PLAN_GROUP_H

#include "model/model.h"

/* id, name, roles */
#define SAMP_GROUP_LIST(X)                                                                         \
    X(QKV, "qkv", SAMP_ROLE_Q, SAMP_ROLE_K, SAMP_ROLE_V)                                           \
    X(O, "o", SAMP_ROLE_O, SAMP_ROLE_COUNT, SAMP_ROLE_COUNT)                                       \
    X(GATE_UP, "gate_up", SAMP_ROLE_GATE, SAMP_ROLE_UP, SAMP_ROLE_COUNT)                           \
    X(DOWN, "down", SAMP_ROLE_DOWN, SAMP_ROLE_COUNT, SAMP_ROLE_COUNT)                              \
    X(EMBED, "embedding", SAMP_ROLE_EMBED, SAMP_ROLE_COUNT, SAMP_ROLE_COUNT)                       \
    X(HEAD, "head", SAMP_ROLE_HEAD, SAMP_ROLE_COUNT, SAMP_ROLE_COUNT)

typedef enum samp_group_kind {
#define X(id, name, a, b, c) SAMP_GROUP_##id,
    SAMP_GROUP_LIST(X)
#undef X
        SAMP_GROUP_KINDS
} samp_group_kind;

enum { SAMP_GROUP_WEIGHTS_MAX = 3 };

typedef struct samp_group {
    samp_group_kind kind;
    uint32_t layer; /* of layer groups */
    char name[40];  /* "layers.3.gate_up", "embedding", "head"; "head.first", "head.rest" */
    uint32_t n_weights;
    const samp_weight_ref *weights[SAMP_GROUP_WEIGHTS_MAX];
} samp_group;

const char *samp_group_kind_name(samp_group_kind kind);
/* The group a tap's input is of: the role it names is the group's first (Q, O, GATE, DOWN, HEAD). */
samp_group_kind samp_group_kind_of(samp_role role);
/* Columns of that input; 0 for the embedding, which multiplies nothing. */
uint64_t samp_group_kind_cols(samp_group_kind kind, const samp_config *config);
/* All groups of a model, layer by layer (qkv, o, gate_up, down), then embedding and head; a tied
 * model has only "head", which is the embedding too (its products are what is sensitive). A head
 * that is two weights (samp_model_cut_head) is two groups of that kind. *out is released with
 * samp_free and points into the model. */
samp_status samp_groups_of(const samp_model *model, samp_group **out, size_t *n, samp_error *error);
/* The name under which what is known of a group's input is kept: its own, but "head" for both
 * parts of a head. */
const char *samp_group_input(const samp_group *group);
/* Columns of a group's input, rows of all its weights. */
uint64_t samp_group_cols(const samp_group *group);
uint64_t samp_group_rows(const samp_group *group);
/* Bytes in the file when all its weights have this format; SAMP_LIMIT when a size overflows. */
samp_status samp_group_bytes(const samp_group *group, const samp_format *format, uint64_t *out,
                             samp_error *error);

#endif
