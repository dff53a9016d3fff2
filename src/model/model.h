/* A model on disk: its config, its checkpoint, and for every weight the format it is stored in.
 * Reads by whole parts (for a backend) or by decoded rows (for quantize, validate, eval --exact).
 */
#ifndef SAMP_MODEL_MODEL_H
#define SAMP_MODEL_MODEL_H

#include "file/checkpoint.h"
#include "format/format.h"
#include "model/config.h"

/* role, Hugging Face name (%u = layer), is a matrix, is per layer */
#define SAMP_ROLE_LIST(X)                                                                          \
    X(EMBED, "model.embed_tokens.weight", true, false)                                             \
    X(ATTN_NORM, "model.layers.%u.input_layernorm.weight", false, true)                            \
    X(Q, "model.layers.%u.self_attn.q_proj.weight", true, true)                                    \
    X(K, "model.layers.%u.self_attn.k_proj.weight", true, true)                                    \
    X(V, "model.layers.%u.self_attn.v_proj.weight", true, true)                                    \
    X(Q_BIAS, "model.layers.%u.self_attn.q_proj.bias", false, true)                                \
    X(K_BIAS, "model.layers.%u.self_attn.k_proj.bias", false, true)                                \
    X(V_BIAS, "model.layers.%u.self_attn.v_proj.bias", false, true)                                \
    X(Q_NORM, "model.layers.%u.self_attn.q_norm.weight", false, true)                              \
    X(K_NORM, "model.layers.%u.self_attn.k_norm.weight", false, true)                              \
    X(O, "model.layers.%u.self_attn.o_proj.weight", true, true)                                    \
    X(MLP_NORM, "model.layers.%u.post_attention_layernorm.weight", false, true)                    \
    X(GATE, "model.layers.%u.mlp.gate_proj.weight", true, true)                                    \
    X(UP, "model.layers.%u.mlp.up_proj.weight", true, true)                                        \
    X(DOWN, "model.layers.%u.mlp.down_proj.weight", true, true)                                    \
    X(FINAL_NORM, "model.norm.weight", false, false)                                               \
    X(HEAD, "lm_head.weight", true, false)

typedef enum samp_role {
#define X(id, name, matrix, per_layer) SAMP_ROLE_##id,
    SAMP_ROLE_LIST(X)
#undef X
        SAMP_ROLE_COUNT
} samp_role;

bool samp_role_is_matrix(samp_role role);
bool samp_role_is_per_layer(samp_role role);
/* Whether the model has such weights: biases and head norms are some families' only, and HEAD is
 * not a weight of its own when tied. */
bool samp_role_present(samp_role role, const samp_config *config);
/* "model.layers.3.mlp.up_proj.weight" into out[SAMP_TENSOR_NAME_MAX]. */
void samp_role_name(samp_role role, uint32_t layer, char *out);
/* Shape the config demands: rows x cols (vectors: 1 x cols). */
void samp_role_shape(samp_role role, const samp_config *config, uint64_t *rows, uint64_t *cols);
/* "[576, 1536]" for messages. */
void samp_shape_text(char *out, size_t n, int rank, const uint64_t *shape);
/* fp32, bf16 or fp16 for the element type of a plain float tensor; NULL for other types. */
const samp_format *samp_float_format(samp_dtype dtype);
/* Classes for tables: "mlp", "attention", "embedding", "head", "norm", "bias". */
const char *samp_role_class(samp_role role);

/* The weights of a model in model order: embedding, the layers' nine or more each, final norm,
 * head (none when tied). `index` counts from 0; layer is ignored for roles that are not per layer; HEAD is
 * EMBED when tied. */
size_t samp_weight_count(const samp_config *config);
void samp_weight_at(const samp_config *config, size_t index, samp_role *role, uint32_t *layer);
size_t samp_weight_index(const samp_config *config, samp_role role, uint32_t layer);

typedef struct samp_weight_ref {
    samp_role role;
    uint32_t layer;
    char name[96];      /* with ".weight", or ".bias" */
    uint64_t first_row; /* where its rows start in its tensors: 0, but for the rest of a head that
                           samp_model_cut_head made two */
    const samp_format *format;
    int activation_bits; /* 8 or 16: precision of the input in integer products; a property of the
                            artifact */
    samp_layout layout;
    const samp_tensor_info *parts[SAMP_PARTS_MAX];
} samp_weight_ref;

/* The weights as files hold them. A head (with tied embeddings the embedding) may be two by rows:
 * "lm_head.first.weight" of the ids 0 … first_rows-1, which a BPE vocabulary gives to the tokens
 * that are most frequent, and "lm_head.rest.weight", the last of the list. first_rows 0: it is one,
 * and the list that of samp_weight_at. Fills role, layer and name of *out, and the shape. */
size_t samp_stored_count(const samp_config *config, uint64_t first_rows);
void samp_stored_at(const samp_config *config, uint64_t first_rows, size_t index,
                    samp_weight_ref *out, uint64_t *rows, uint64_t *cols);

/* What quantization_config's llm_int8_threshold is where nothing else was said. */
#define SAMP_OUTLIER_THRESHOLD 6.0f

typedef struct samp_model samp_model;

/* Opens a folder: config.json, checkpoint, quantization_config; every weight the config demands
 * must be there with the right shape and type, in the format quantization_config says (16- and
 * 32-bit floats need none). With tied_embeddings HEAD is the EMBED weight and lm_head.weight is
 * ignored. */
samp_status samp_model_open(samp_model **out, const char *folder, samp_error *error);
void samp_model_close(samp_model *model);
const samp_config *samp_model_config(const samp_model *model);
const char *samp_model_folder(const samp_model *model);
samp_checkpoint *samp_model_checkpoint(samp_model *model);
const json_t *samp_model_config_json(const samp_model *model); /* whole config.json */
/* All weights, as samp_stored_at lists them; with tied embeddings there is no HEAD entry. */
size_t samp_model_count(const samp_model *model);
/* From which magnitude on inputs of formats with outliers multiply as they are; 0 = none does. */
float samp_model_outlier_threshold(const samp_model *model);
const samp_weight_ref *samp_model_at(const samp_model *model, size_t index);
/* layer is ignored for roles that are not per layer; HEAD falls back to EMBED when tied. Never
 * NULL. Of a head that is two weights it is the first. */
const samp_weight_ref *samp_model_weight(const samp_model *model, samp_role role, uint32_t layer);
/* The second of them; NULL when the head is one. */
const samp_weight_ref *samp_model_head_rest(const samp_model *model);
/* Takes a head of plain floats as two weights from now on, for who gives each a format of its own.
 * Nothing to do when it is two already, of these very rows. Weights handed out before are void.
 * Errors: SAMP_INVALID when first_rows is not 1 … rows-1, SAMP_UNSUPPORTED for other formats. */
samp_status samp_model_cut_head(samp_model *model, uint64_t first_rows, samp_error *error);

/* Reads all parts into memory: parts[i] gets layout.parts[i].bytes bytes allocated with samp_alloc.
 * The format's `check` runs on them. Release with samp_model_free_parts. */
samp_status samp_model_read_parts(samp_model *model, const samp_weight_ref *weight,
                                  void *parts[SAMP_PARTS_MAX], samp_error *error);
void samp_model_free_parts(void *parts[SAMP_PARTS_MAX]);
/* Rows decoded to float, out [n_rows][cols], reading only those rows of part 0. row0 must be a
 * multiple of SAMP_PANEL_ROWS for formats other than fp32, bf16, fp16. `scales` holds parts 1…
 * between calls: zeroed at first, released with samp_model_free_parts. */
samp_status samp_model_read_rows(samp_model *model, const samp_weight_ref *weight, uint64_t row0,
                                 uint64_t n_rows, void *scales[SAMP_PARTS_MAX], float *out,
                                 samp_error *error);
/* Rows of a panel of about 1 MB of floats: a multiple of SAMP_PANEL_ROWS, at most layout->rows. */
uint64_t samp_panel_rows(const samp_layout *layout);
/* Where rows row0 … row0+n_rows-1 lie in part 0: *at bytes from its start, *bytes long (whole
 * panels but for the last; single rows for fp32, bf16, fp16). */
samp_status samp_panel_range(const samp_format *format, const samp_layout *layout, uint64_t row0,
                             uint64_t n_rows, uint64_t *at, uint64_t *bytes, samp_error *error);
/* Appends size and time of every file of weights, a line each: what must not change between two
 * runs over the same model. *bytes gets the sum of the sizes; NULL = not wanted. */
samp_status samp_model_describe_files(samp_model *model, samp_buffer *text, uint64_t *bytes,
                                      samp_error *error);
/* Where a weight begins in part 0's tensor, in bytes. */
uint64_t samp_weight_start(const samp_weight_ref *weight);
/* A norm or bias as float, out [layout.cols]. */
samp_status samp_model_read_vector(samp_model *model, const samp_weight_ref *weight, float *out,
                                   samp_error *error);

/* The quantization_config object for config.json: format_of[i] and activation_bits[i] for weight i
 * of `model` (NULL format = stays as it is, 16 bits). quant_type is a word for people: "samp",
 * "nf4", … */
json_t *samp_quantization_config(const samp_model *model, const samp_format *const *format_of,
                                 const int *activation_bits, const char *quant_type);

#endif
