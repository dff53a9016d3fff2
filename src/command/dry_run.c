/* The tables of a dry run, and room on the disk. */
#include "command/dry_run.h"

#include "command/command.h"
#include "command/terminal.h"

/* config.json, the index and samp.json of the largest models: what is written and not counted. */
enum { SMALL_FILES = 1 << 20 };

static void print_files(const samp_artifact_sizes *files)
{
    static const char *const headers[] = {"file", "bytes", "size"};
    char bytes[32], size[32];
    samp_table table;
    samp_table_begin(&table, "lrr", 3, headers);
    for (size_t s = 0; s < files->n_shards; s++) {
        const char *cells[] = {files->shards[s].name,
                               samp_show_count(bytes, files->shards[s].bytes),
                               samp_show_bytes(size, (double)files->shards[s].bytes)};
        samp_table_row(&table, 3, cells);
    }
    if (files->n_shards > 1) {
        const char *cells[] = {"together", samp_show_count(bytes, files->bytes),
                               samp_show_bytes(size, (double)files->bytes)};
        samp_table_line(&table);
        samp_table_row(&table, 3, cells);
    }
    samp_table_print(&table, stdout);
    samp_table_release(&table);
}

/* One row of what takes bytes; n_weights 0 = none of them are weights. */
static void add_share(samp_table *table, const char *name, uint64_t n_weights, uint64_t bytes,
                      uint64_t all)
{
    char weights[32] = "", exact[32], share[32], bits[32] = "";
    if (n_weights) {
        samp_show_count(weights, n_weights);
        snprintf(bits, sizeof bits, "%.3f", 8 * (double)bytes / (double)n_weights);
    }
    snprintf(share, sizeof share, "%.2f %%", 100 * (double)bytes / (double)all);
    const char *cells[] = {name, weights, bits, samp_show_count(exact, bytes), share};
    samp_table_row(table, 5, cells);
}

static void print_formats(const samp_quantize_sizes *sizes)
{
    static const char *const headers[] = {"format", "weights", "bits a weight", "bytes", "share"};
    uint64_t n_weights = 0, data = 0, all = sizes->files.bytes;
    samp_table table;
    samp_table_begin(&table, "lrrrr", 5, headers);
    for (int id = 0; id < SAMP_FORMAT_COUNT; id++) {
        uint64_t n = sizes->formats[id].weights, bytes = sizes->formats[id].bytes;
        if (n) add_share(&table, samp_format_get((samp_format_id)id)->name, n, bytes, all);
        n_weights += n, data += bytes;
    }
    add_share(&table, "headers", 0, all - data, all);
    samp_table_line(&table);
    add_share(&table, "together", n_weights, all, all);
    putchar('\n');
    samp_table_print(&table, stdout);
    samp_table_release(&table);
}

int samp_dry_run_print(const samp_quantize_sizes *sizes, const char *out, samp_error *error)
{
    uint64_t room = 0, needed = sizes->files.bytes + sizes->companion_bytes + SMALL_FILES;
    if (out && samp_artifact_room(out, &room, error) != SAMP_OK) return SAMP_EXIT_ERROR;
    print_files(&sizes->files);
    print_formats(sizes);
    char a[32], b[32], c[32];
    printf("\n%s of weights would become %s, %.1f %% of it; nothing was written.\n",
           samp_show_bytes(a, (double)sizes->source_bytes),
           samp_show_bytes(b, (double)sizes->files.bytes),
           100 * (double)sizes->files.bytes / (double)sizes->source_bytes);
    if (!out) return SAMP_EXIT_DONE;
    bool fits = needed <= room;
    printf("%s: its disk has %s for it, and tokenizer and configuration included it needs %s: %s "
           "%s.\n",
           out, samp_show_bytes(a, (double)room), samp_show_bytes(b, (double)needed),
           fits ? "it fits, and leaves" : "it does not fit, and lacks",
           samp_show_bytes(c, (double)(fits ? room - needed : needed - room)));
    return fits ? SAMP_EXIT_DONE : SAMP_EXIT_NO;
}
