/* samp inspect: what a model is made of: sizes by class and format, every tensor, or the way of one
 * tensor from its file to the kernels. */
#include "command/command.h"
#include "command/terminal.h"
#include "model/model.h"
#include "run/follow.h"

#include <math.h>
#include <string.h>

typedef struct inspect_options {
    const char *follow, *against;
    bool tensors, json;
} inspect_options;

static const samp_option options[] = {
    SAMP_OPTION(inspect_options, FLAG, tensors, "tensors", 0, NULL, .help = "list every weight"),
    SAMP_OPTION(inspect_options, TEXT, follow, "follow", 'f', "TENSOR",
                .help = "follow one weight from the bytes of its file to what a kernel multiplies"),
    SAMP_OPTION(inspect_options, TEXT, against, "against", 'a', "DIR",
                .help = "with --follow: the model it was made from, for the error at each station"),
    SAMP_OPTION(inspect_options, FLAG, json, "json", 0, NULL, .help = "print JSON"),
};

/* Weights of one class in one format. */
typedef struct sum_row {
    const char *class_name;
    const samp_format *format;
    uint64_t n_weights, parameters, bytes;
} sum_row;

enum { ROWS_MAX = 6 * SAMP_FORMAT_COUNT };

static size_t sum_up(const samp_model *model, sum_row *rows)
{
    size_t n = 0;
    for (size_t i = 0; i < samp_model_count(model); i++) {
        const samp_weight_ref *weight = samp_model_at(model, i);
        const char *class_name = samp_role_class(weight->role);
        size_t r = 0;
        while (r < n &&
               (strcmp(rows[r].class_name, class_name) != 0 || rows[r].format != weight->format))
            r++;
        if (r == n) rows[n++] = (sum_row){.class_name = class_name, .format = weight->format};
        rows[r].n_weights++;
        rows[r].parameters += weight->layout.rows * weight->layout.cols;
        rows[r].bytes += weight->layout.bytes;
    }
    return n;
}

/* What not all layers have; nothing for a model of like layers. */
static void print_layers(const samp_config *c)
{
    uint32_t windows = 0, no_rope = 0;
    for (uint32_t i = 0; i < c->n_layers; i++) {
        windows += samp_layer_window(c, i) > 0;
        no_rope += !samp_layer_has_rope(c, i);
    }
    if (windows) printf("a window of %u positions on %u of the layers\n", c->window, windows);
    if (no_rope) printf("no rope on %u of the layers\n", no_rope);
}

static void print_config(const samp_model *model)
{
    const samp_config *c = samp_model_config(model);
    printf("%s: %s\n", samp_model_folder(model), c->architecture);
    printf("%u layers, dim %u, hidden %u, %u heads of %u, %u kv heads, vocabulary %u, %u "
           "positions%s\n",
           c->n_layers, c->dim, c->hidden_dim, c->n_heads, c->head_dim, c->n_kv_heads,
           c->vocab_size, c->max_positions,
           c->tied_embeddings ? ", head tied to the embedding" : "");
    print_layers(c);
    putchar('\n');
}

static void print_sums(const samp_model *model)
{
    static const char *const headers[] = {"class", "format", "weights", "parameters",
                                          "bits",  "size",   "share"};
    sum_row rows[ROWS_MAX], all = {0};
    size_t n = sum_up(model, rows);
    for (size_t r = 0; r < n; r++) {
        all.n_weights += rows[r].n_weights;
        all.parameters += rows[r].parameters;
        all.bytes += rows[r].bytes;
    }
    samp_table table;
    samp_table_begin(&table, "llrrrrr", 7, headers);
    for (size_t r = 0; r <= n; r++) {
        const sum_row *row = r < n ? &rows[r] : &all;
        if (r == n) samp_table_line(&table);
        char weights[32], parameters[32], bits[32], size[32], share[32];
        snprintf(bits, sizeof bits, "%.3f", 8.0 * (double)row->bytes / (double)row->parameters);
        snprintf(share, sizeof share, "%.1f %%", 100.0 * (double)row->bytes / (double)all.bytes);
        const char *cells[] = {r < n ? row->class_name : "all",
                               r < n ? row->format->name : "",
                               samp_show_count(weights, row->n_weights),
                               samp_show_count(parameters, row->parameters),
                               bits,
                               samp_show_bytes(size, (double)row->bytes),
                               share};
        samp_table_row(&table, 7, cells);
    }
    samp_table_print(&table, stdout);
    samp_table_release(&table);
}

static void print_tensors(const samp_model *model)
{
    static const char *const headers[] = {"weight", "shape", "format", "input", "bits", "size"};
    samp_table table;
    samp_table_begin(&table, "lrlrrr", 6, headers);
    for (size_t i = 0; i < samp_model_count(model); i++) {
        const samp_weight_ref *w = samp_model_at(model, i);
        char shape[48], input[16] = "", bits[32], size[32];
        if (samp_role_is_matrix(w->role)) {
            snprintf(shape, sizeof shape, "%llu x %llu", (unsigned long long)w->layout.rows,
                     (unsigned long long)w->layout.cols);
            if (samp_integer_group(&w->layout, w->format->id))
                snprintf(input, sizeof input, "a%d", w->activation_bits);
        } else {
            snprintf(shape, sizeof shape, "%llu", (unsigned long long)w->layout.cols);
        }
        snprintf(bits, sizeof bits, "%.3f",
                 samp_format_bits(w->format, w->layout.rows, w->layout.cols));
        const char *cells[] = {w->name, shape, w->format->name,
                               input,   bits,  samp_show_bytes(size, (double)w->layout.bytes)};
        samp_table_row(&table, 6, cells);
    }
    samp_table_print(&table, stdout);
    samp_table_release(&table);
}

static json_t *inspect_json(const samp_model *model)
{
    json_t *weights = json_array();
    for (size_t i = 0; i < samp_model_count(model); i++) {
        const samp_weight_ref *w = samp_model_at(model, i);
        json_array_append_new(
            weights,
            json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:i}", "name", w->name, "class",
                      samp_role_class(w->role), "format", w->format->name, "rows",
                      (json_int_t)w->layout.rows, "cols", (json_int_t)w->layout.cols, "bytes",
                      (json_int_t)w->layout.bytes, "activation_bits", w->activation_bits));
    }
    return json_pack("{s:i,s:s,s:O,s:o}", "schema_version", 1, "model", samp_model_folder(model),
                     "config", samp_model_config_json(model), "weights", weights);
}

/* ---- --follow ---- */

static samp_status find_weight(const samp_model *model, const char *name,
                               const samp_weight_ref **out, samp_error *error)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < samp_model_count(model); i++) {
        *out = samp_model_at(model, i);
        const char *end = (*out)->name + n;
        if (strncmp((*out)->name, name, n) == 0 && (!*end || strcmp(end, ".weight") == 0))
            return SAMP_OK;
    }
    return samp_fail(error, SAMP_NOT_FOUND,
                     "%s has no weight %.100s; samp inspect --tensors lists them, the first is %s",
                     samp_model_folder(model), name, samp_model_at(model, 0)->name);
}

static const char *show_error(char *out, double error)
{
    if (isnan(error)) return "";
    snprintf(out, 32, error > 0 ? "%.3g %%" : "0", 100 * error);
    return out;
}

static void print_stations(const samp_weight_ref *weight, const samp_stations *s, bool against)
{
    static const char *const headers[] = {"station",       "what",         "size",          "bits",
                                          "first numbers", "off the file", "off its source"};
    double n_weights = (double)s->rows * (double)s->cols;
    samp_table table;
    printf("%s: %llu x %llu, %s\n\n", weight->name, (unsigned long long)s->rows,
           (unsigned long long)s->cols, weight->format->name);
    samp_table_begin(&table, "llrrlrr", against ? 7 : 6, headers);
    for (size_t i = 0; i < s->n; i++) {
        const samp_station *station = &s->items[i];
        char size[32] = "", bits[32] = "", file[32], source[32];
        if (station->bytes) {
            samp_show_bytes(size, (double)station->bytes);
            snprintf(bits, sizeof bits, "%.3f", 8 * (double)station->bytes / n_weights);
        }
        const char *cells[] = {station->name,
                               station->what,
                               size,
                               bits,
                               station->first,
                               show_error(file, station->from_file),
                               show_error(source, station->from_source)};
        samp_table_row(&table, against ? 7 : 6, cells);
    }
    samp_table_print(&table, stdout);
    samp_table_release(&table);
    puts("bits: of one weight. Errors are relative: the root of the squares' sum, over that of the "
         "values.");
}

static json_t *stations_json(const samp_model *model, const samp_weight_ref *weight,
                             const samp_stations *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->n; i++) {
        const samp_station *station = &s->items[i];
        json_t *item =
            json_pack("{s:s,s:s,s:I,s:s}", "station", station->name, "what", station->what, "bytes",
                      (json_int_t)station->bytes, "first", station->first);
        if (item && !isnan(station->from_file))
            samp_json_set(item, "error_from_file", json_real(station->from_file));
        if (item && !isnan(station->from_source))
            samp_json_set(item, "error_from_source", json_real(station->from_source));
        json_array_append_new(list, item);
    }
    return json_pack("{s:i,s:s,s:s,s:s,s:I,s:I,s:o}", "schema_version", 1, "model",
                     samp_model_folder(model), "weight", weight->name, "format",
                     weight->format->name, "rows", (json_int_t)s->rows, "cols", (json_int_t)s->cols,
                     "stations", list);
}

static samp_status follow(const inspect_options *o, samp_model *model, samp_error *error)
{
    const samp_weight_ref *weight = NULL;
    samp_model *source = NULL;
    samp_stations stations;
    SAMP_TRY(find_weight(model, o->follow, &weight, error));
    if (o->against) SAMP_TRY(samp_model_open(&source, o->against, error));
    samp_status status = samp_follow(model, weight, source, 0, &stations, error);
    if (source) samp_model_close(source);
    if (status != SAMP_OK) return status;
    if (o->json) return samp_print_json(stations_json(model, weight, &stations), error);
    print_stations(weight, &stations, o->against != NULL);
    return SAMP_OK;
}

static int run(const void *given, const char *const *arguments, size_t n, samp_error *error)
{
    (void)n;
    const inspect_options *o = given;
    samp_model *model;
    if (o->against && !o->follow) {
        samp_fail(error, SAMP_INVALID, "--against is for --follow TENSOR");
        return SAMP_EXIT_USAGE;
    }
    if (samp_model_open(&model, arguments[0], error) != SAMP_OK) return SAMP_EXIT_ERROR;
    samp_status status = SAMP_OK;
    if (o->follow) {
        status = follow(o, model, error);
    } else if (o->json) {
        status = samp_print_json(inspect_json(model), error);
    } else {
        print_config(model);
        if (o->tensors) print_tensors(model);
        if (o->tensors) putchar('\n');
        print_sums(model);
    }
    samp_model_close(model);
    return status == SAMP_OK ? SAMP_EXIT_DONE : SAMP_EXIT_ERROR;
}

const samp_command samp__cmd_inspect = {
    .name = "inspect",
    .summary = "sizes by class and number format; one tensor's way to the kernels",
    .arguments = "MODEL",
    .min_arguments = 1,
    .max_arguments = 1,
    .description =
        "Shows the architecture of the model in folder MODEL, and parameters, bits and bytes by\n"
        "class of weights and number format, scales included. Reads headers only.\n"
        "\n"
        "With --follow, one weight's way: the bytes in its file, the floats they stand for, the\n"
        "integers that are multiplied, the kernels' layout, and what the kernels make of it; at\n"
        "each station its size, its first numbers and its error.",
    .examples = "  $ samp inspect demo/artifact\n"
                "  $ samp inspect --tensors demo/artifact | less\n"
                "  # where the precision of one weight goes\n"
                "  $ samp inspect demo/artifact --follow model.layers.0.mlp.down_proj --against "
                "demo/model\n",
    SAMP_OPTIONS(options),
    .options_size = sizeof(inspect_options),
    .run = run,
};
