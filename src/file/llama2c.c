/* llama2.c checkpoints. The tensor list is made from the seven sizes; the checkpoint owns it and
 * the file. */
#include "file/llama2c.h"

#include "base/memory.h"
#include "file/cursor.h"
#include "file/names.h"
#include "file/rope_rows.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "floats are read as they lie in the file");

enum { N_SIZES = 7, HEADER_BYTES = 4 * N_SIZES };

struct samp_llama2c {
    samp_file *file;
    samp_llama2c_sizes sizes;
    samp_llama2c_tensor *tensors;
    size_t n_tensors;
    samp_names by_name;
};

/* A group of tensors as they lie in the file: one for the model, or one for each layer. */
typedef struct tensor_group {
    const char *name; /* %u = layer */
    bool per_layer;
    uint64_t rows, cols;
    uint32_t heads;
} tensor_group;

static samp_status read_sizes(samp_llama2c *checkpoint, samp_error *error)
{
    static const struct {
        const char *name;
        int32_t max;
    } fields[N_SIZES] = {{"dim", 1 << 20},     {"hidden_dim", 1 << 20}, {"n_layers", 1024},
                         {"n_heads", 1 << 16}, {"n_kv_heads", 1 << 16}, {"vocab_size", 1 << 22},
                         {"seq_len", 1 << 24}};
    enum { VOCABULARY = 5 };
    unsigned char bytes[HEADER_BYTES];
    const char *path = samp_file_path(checkpoint->file);
    SAMP_TRY(samp_file_read(checkpoint->file, 0, bytes, sizeof bytes, error));
    samp_cursor cursor;
    samp_cursor_init(&cursor, bytes, sizeof bytes, path, error);
    uint32_t values[N_SIZES];
    samp_llama2c_sizes *sizes = &checkpoint->sizes;
    for (int i = 0; i < N_SIZES; i++) {
        int64_t value = (int32_t)samp_cursor_u32(&cursor, fields[i].name);
        if (i == VOCABULARY) sizes->tied_embeddings = value > 0;
        if (i == VOCABULARY && value < 0) value = -value;
        if (value < 1 || value > fields[i].max)
            return samp_fail(error, SAMP_CORRUPT,
                             "%s: %s is %" PRId64
                             ", expected 1 to %d; this is not a llama2.c checkpoint",
                             path, fields[i].name, value, fields[i].max);
        values[i] = (uint32_t)value;
    }
    sizes->dim = values[0];
    sizes->hidden_dim = values[1];
    sizes->n_layers = values[2];
    sizes->n_heads = values[3];
    sizes->n_kv_heads = values[4];
    sizes->vocab_size = values[5];
    sizes->max_positions = values[6];
    sizes->head_dim = sizes->dim / sizes->n_heads;
    if (sizes->dim % sizes->n_heads || sizes->head_dim % 2 || sizes->n_heads % sizes->n_kv_heads)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: dim %u, %u heads and %u key-value heads do not divide evenly; this "
                         "is not a llama2.c "
                         "checkpoint",
                         path, sizes->dim, sizes->n_heads, sizes->n_kv_heads);
    return SAMP_OK;
}

/* The group's tensors; *at moves past them. The caps keep all sums below 2^63. */
static samp_status add_group(samp_llama2c *checkpoint, const tensor_group *group, uint64_t *at,
                             samp_error *error)
{
    uint32_t n = group->per_layer ? checkpoint->sizes.n_layers : 1;
    for (uint32_t layer = 0; layer < n; layer++) {
        samp_llama2c_tensor *tensor = &checkpoint->tensors[checkpoint->n_tensors];
        *tensor = (samp_llama2c_tensor){
            .rows = group->rows, .cols = group->cols, .offset = *at, .heads = group->heads};
        int length = group->per_layer
                         ? snprintf(tensor->name, sizeof tensor->name, "model.layers.%u.%s.weight",
                                    layer, group->name)
                         : snprintf(tensor->name, sizeof tensor->name, "%s.weight", group->name);
        if (length < 0 || (size_t)length >= sizeof tensor->name)
            return samp_fail(error, SAMP_LIMIT, "the tensor name %s is too long", group->name);
        SAMP_TRY(samp_names_add(&checkpoint->by_name, tensor->name, (uint32_t)checkpoint->n_tensors,
                                error));
        checkpoint->n_tensors++;
        *at += group->rows * group->cols * sizeof(float);
    }
    return SAMP_OK;
}

static samp_status list_tensors(samp_llama2c *checkpoint, samp_error *error)
{
    const samp_llama2c_sizes *s = &checkpoint->sizes;
    const uint64_t dim = s->dim, hidden = s->hidden_dim,
                   kv_dim = (uint64_t)s->n_kv_heads * s->head_dim;
    const tensor_group groups[] = {
        {"model.embed_tokens", false, s->vocab_size, dim, 0},
        {"input_layernorm", true, 1, dim, 0},
        {"self_attn.q_proj", true, dim, dim, s->n_heads},
        {"self_attn.k_proj", true, kv_dim, dim, s->n_kv_heads},
        {"self_attn.v_proj", true, kv_dim, dim, 0},
        {"self_attn.o_proj", true, dim, dim, 0},
        {"post_attention_layernorm", true, 1, dim, 0},
        {"mlp.gate_proj", true, hidden, dim, 0},
        {"mlp.down_proj", true, dim, hidden, 0},
        {"mlp.up_proj", true, hidden, dim, 0},
        {"model.norm", false, 1, dim, 0},
    };
    const tensor_group head = {"lm_head", false, s->vocab_size, dim, 0};
    enum { N_GROUPS = sizeof groups / sizeof *groups };
    const char *path = samp_file_path(checkpoint->file);
    checkpoint->tensors =
        samp_alloc((size_t)s->n_layers * N_GROUPS + 1, sizeof *checkpoint->tensors);
    if (!checkpoint->tensors)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for its tensors", path);
    uint64_t at = HEADER_BYTES;
    for (int i = 0; i < N_GROUPS; i++) SAMP_TRY(add_group(checkpoint, &groups[i], &at, error));
    at +=
        (uint64_t)s->max_positions * s->head_dim * sizeof(float); /* tables of cosines and sines */
    if (!s->tied_embeddings) SAMP_TRY(add_group(checkpoint, &head, &at, error));
    samp_names_sort(&checkpoint->by_name);
    uint64_t size = samp_file_size(checkpoint->file);
    if (size == at) return SAMP_OK;
    return samp_fail(
        error, SAMP_CORRUPT,
        "%s is %" PRIu64
        " bytes, a llama2.c checkpoint of its sizes (%u layers of %u, vocabulary %u) has "
        "%" PRIu64,
        path, size, s->n_layers, s->dim, s->vocab_size, at);
}

samp_status samp_llama2c_open(samp_llama2c **out, const char *path, samp_error *error)
{
    *out = NULL;
    samp_llama2c *checkpoint = samp_alloc(1, sizeof *checkpoint);
    if (!checkpoint)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory while opening it", path);
    samp_status status = samp_file_open(&checkpoint->file, path, error);
    if (status == SAMP_OK) status = read_sizes(checkpoint, error);
    if (status == SAMP_OK) status = list_tensors(checkpoint, error);
    if (status == SAMP_OK)
        *out = checkpoint;
    else
        samp_llama2c_close(checkpoint);
    return status;
}

void samp_llama2c_close(samp_llama2c *checkpoint)
{
    if (!checkpoint) return;
    samp_file_close(checkpoint->file);
    samp_names_release(&checkpoint->by_name);
    samp_free(checkpoint->tensors);
    samp_free(checkpoint);
}

const samp_llama2c_sizes *samp_llama2c_sizes_of(const samp_llama2c *checkpoint)
{
    return &checkpoint->sizes;
}

size_t samp_llama2c_count(const samp_llama2c *checkpoint) { return checkpoint->n_tensors; }

const samp_llama2c_tensor *samp_llama2c_at(const samp_llama2c *checkpoint, size_t index)
{
    return &checkpoint->tensors[index];
}

const samp_llama2c_tensor *samp_llama2c_find(const samp_llama2c *checkpoint, const char *name)
{
    uint32_t item;
    return samp_names_find(&checkpoint->by_name, name, &item) ? &checkpoint->tensors[item] : NULL;
}

/* Consecutive rows of the file. */
static samp_status read_rows(samp_llama2c *checkpoint, const samp_llama2c_tensor *tensor,
                             uint64_t row, uint64_t n_rows, float *out, samp_error *error)
{
    uint64_t row_bytes = tensor->cols * sizeof(float);
    return samp_file_read(checkpoint->file, tensor->offset + row * row_bytes, out,
                          n_rows * row_bytes, error);
}

samp_status samp_llama2c_rows(samp_llama2c *checkpoint, const samp_llama2c_tensor *tensor,
                              uint64_t row0, uint64_t n_rows, float *out, samp_error *error)
{
    if (row0 > tensor->rows || n_rows > tensor->rows - row0)
        return samp_fail(
            error, SAMP_INVALID,
            "%s: %" PRIu64 " rows from row %" PRIu64 " lie outside of tensor %s (%" PRIu64 " rows)",
            samp_file_path(checkpoint->file), n_rows, row0, tensor->name, tensor->rows);
    if (tensor->heads == 0) return read_rows(checkpoint, tensor, row0, n_rows, out, error);
    uint32_t head_dim = checkpoint->sizes.head_dim;
    for (uint64_t i = 0; i < n_rows; i++)
        SAMP_TRY(read_rows(checkpoint, tensor,
                           samp_unpermute_row(tensor->heads, head_dim, row0 + i), 1,
                           out + i * tensor->cols, error));
    return SAMP_OK;
}
