/* A llama2.c checkpoint (the headerless "version 0" *.bin) as an import source: seven int32, then
 * float32 arrays in a fixed order. Little-endian, no names, no checksum: its size must fit exactly.
 */
#include "base/memory.h"
#include "file/cursor.h"
#include "file/rope_rows.h"
#include "quantize/import_source.h"

#include <stdio.h>
#include <string.h>

enum { HEADER_BYTES = 7 * 4 };

typedef struct llama2c_state {
    samp_file *file;
    uint64_t offset[SAMP_ROLE_COUNT]; /* bytes; of layer 0 */
} llama2c_state;

/* Arrays in the order of the file; each holds its role's weights of all layers. */
static const samp_role ORDER[] = {SAMP_ROLE_EMBED,    SAMP_ROLE_ATTN_NORM, SAMP_ROLE_Q,
                                  SAMP_ROLE_K,        SAMP_ROLE_V,         SAMP_ROLE_O,
                                  SAMP_ROLE_MLP_NORM, SAMP_ROLE_GATE,      SAMP_ROLE_DOWN,
                                  SAMP_ROLE_UP,       SAMP_ROLE_FINAL_NORM};

static samp_status read_header(samp_import_source *source, samp_file *file, samp_error *error)
{
    unsigned char bytes[HEADER_BYTES];
    SAMP_TRY(samp_file_read(file, 0, bytes, sizeof bytes, error));
    samp_cursor cursor;
    samp_cursor_init(&cursor, bytes, sizeof bytes, source->path, error);
    int32_t fields[7];
    for (int i = 0; i < 7; i++) fields[i] = (int32_t)samp_cursor_u32(&cursor, "a size");
    samp_config *config = &source->config;
    config->tied_embeddings = fields[5] > 0; /* a negative vocabulary means a head of its own */
    for (int i = 0; i < 7; i++) {
        if (i == 5 && fields[i] < 0 && fields[i] != INT32_MIN) fields[i] = -fields[i];
        if (fields[i] < 1)
            return samp_fail(error, SAMP_CORRUPT,
                             "%s: number %d of its header is %d, so this is no llama2.c checkpoint",
                             source->path, i, fields[i]);
    }
    snprintf(config->architecture, sizeof config->architecture, "LlamaForCausalLM");
    config->dim = (uint32_t)fields[0];
    config->hidden_dim = (uint32_t)fields[1];
    config->n_layers = (uint32_t)fields[2];
    config->n_heads = (uint32_t)fields[3];
    config->n_kv_heads = (uint32_t)fields[4];
    config->vocab_size = (uint32_t)fields[5];
    config->max_positions = (uint32_t)fields[6];
    config->head_dim = config->dim / config->n_heads;
    config->rms_norm_eps = 1e-5f;
    config->rope_theta = 10000;
    config->bos_token = 1;
    config->eos_tokens[0] = 2;
    config->n_eos_tokens = 1;
    json_t *json = samp_config_json(config, "float32");
    samp_config checked;
    samp_status status = json ? samp_config_parse(&checked, json, source->path, error)
                              : samp_fail(error, SAMP_NOMEM, "%s: out of memory", source->path);
    json_decref(json);
    return status;
}

/* The config's caps keep every product here far below 2^64. */
static samp_status locate(const samp_import_source *source, llama2c_state *state, samp_error *error)
{
    const samp_config *config = &source->config;
    uint64_t at = HEADER_BYTES, rows, cols;
    for (size_t i = 0; i < sizeof ORDER / sizeof *ORDER; i++) {
        samp_role_shape(ORDER[i], config, &rows, &cols);
        state->offset[ORDER[i]] = at;
        at +=
            rows * cols * sizeof(float) * (samp_role_is_per_layer(ORDER[i]) ? config->n_layers : 1);
    }
    at += (uint64_t)config->max_positions * config->head_dim * sizeof(float); /* cos, sin tables */
    if (!config->tied_embeddings) {
        state->offset[SAMP_ROLE_HEAD] = at;
        at += (uint64_t)config->vocab_size * config->dim * sizeof(float);
    }
    if (samp_file_size(state->file) == at) return SAMP_OK;
    return samp_fail(error, SAMP_CORRUPT,
                     "%s is %llu bytes, a llama2.c checkpoint of its sizes (%u layers of %u, "
                     "vocabulary %u) has %llu",
                     source->path, (unsigned long long)samp_file_size(state->file),
                     config->n_layers, config->dim, config->vocab_size, (unsigned long long)at);
}

static samp_status llama2c_rows(const samp_import_source *source, samp_role role, uint32_t layer,
                                uint64_t row0, uint64_t n_rows, float *out, samp_error *error)
{
    const llama2c_state *state = source->state;
    uint64_t rows, cols;
    samp_role_shape(role, &source->config, &rows, &cols);
    uint64_t first = samp_role_is_per_layer(role) ? layer * rows : 0;
    uint64_t row_bytes = cols * sizeof(float), base = state->offset[role] + first * row_bytes;
    if (role != SAMP_ROLE_Q && role != SAMP_ROLE_K)
        return samp_file_read(state->file, base + row0 * row_bytes, out, n_rows * row_bytes, error);
    uint32_t n_heads = role == SAMP_ROLE_Q ? source->config.n_heads : source->config.n_kv_heads;
    for (uint64_t i = 0; i < n_rows; i++) {
        uint64_t row = samp_unpermute_row(n_heads, source->config.head_dim, row0 + i);
        SAMP_TRY(
            samp_file_read(state->file, base + row * row_bytes, out + i * cols, row_bytes, error));
    }
    return SAMP_OK;
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
    llama2c_state *state = source->state;
    if (!state) return;
    samp_file_close(state->file);
    samp_free(state);
    source->state = NULL;
}

samp_status samp__import_llama2c(samp_import_source *out, const char *path, samp_error *error)
{
    llama2c_state *state = samp_alloc(1, sizeof *state);
    *out = (samp_import_source){.kind = "llama2.c",
                                .path = path,
                                .rows = llama2c_rows,
                                .tokenizer = llama2c_tokenizer,
                                .close = llama2c_close,
                                .state = state};
    if (!state) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", path);
    samp_status status = samp_file_open(&state->file, path, error);
    if (status == SAMP_OK) status = read_header(out, state->file, error);
    if (status == SAMP_OK) status = locate(out, state, error);
    if (status != SAMP_OK) llama2c_close(out);
    return status;
}
