/* samp doctor: this machine, what is wrong with it, what it can run; --profile measures it. */
#include "base/memory.h"
#include "bench/profile.h"
#include "command/command.h"
#include "command/terminal.h"
#include "doctor/doctor.h"
#include "file/file.h"

#include <string.h>

typedef struct doctor_options {
    const char *profile, *folder, *backend;
    int64_t threads, model_bytes;
    bool json;
} doctor_options;

enum { MODELS_MAX = 8 };

static const samp_option options[] = {
    SAMP_OPTION(doctor_options, TEXT, profile, "profile", 'p', "FILE",
                .help = "measure bandwidth and matrix products and write a profile of hardware for "
                        "samp plan --hardware, instead of the checks"),
    SAMP_OPTION(doctor_options, TEXT, folder, "folder", 0, "DIR", .initial = ".",
                .help = "folder whose disk is looked at"),
    SAMP_OPTION(doctor_options, INTEGER, threads, "threads", 't', "N", .max = 256, .initial = "0",
                .help = "threads of --profile; 0 = what affinity and cgroup allow"),
    SAMP_OPTION(doctor_options, BYTES, model_bytes, "model-bytes", 0, "BYTES", .max = 4e9,
                .help = "bytes of weights --profile goes through: those of the model, when a cache "
                        "holds it; 0 = more than most caches do"),
    SAMP_OPTION(doctor_options, TEXT, backend, "backend", 0, "NAME", .initial = "cpu",
                .help = "backend of --profile: cpu, or the NAME of a samp-backend-NAME.so"),
    SAMP_OPTION(doctor_options, FLAG, json, "json", 0, NULL, .help = "print JSON"),
};

/* ---- checks ---- */

static void print_check(const samp_doctor *doctor, size_t index, bool colour)
{
    static const char *const colours[] = {SAMP_GREEN, SAMP_YELLOW, SAMP_RED};
    const samp_check *c = &doctor->checks[index];
    bool first = index == 0 || doctor->checks[index - 1].group != c->group;
    printf("%s%6s%s  %-10s  %s", colour ? colours[c->verdict] : "", samp_verdict_name(c->verdict),
           colour ? SAMP_RESET : "", first ? samp_doctor_group_name(c->group) : "", c->found);
    if (c->command[0])
        printf(": %s%s%s", colour ? SAMP_BOLD : "", c->command, colour ? SAMP_RESET : "");
    putchar('\n');
}

static void fit_cell(char *out, size_t n, const samp_doctor_fit *fit, size_t f)
{
    char bytes[32];
    samp_show_bytes(bytes, fit->in[f].bytes);
    if (!fit->in[f].fits)
        snprintf(out, n, "%s, does not fit", bytes);
    else if (fit->in[f].tokens_per_second > 0)
        snprintf(out, n, "%s, %.1f tok/s", bytes, fit->in[f].tokens_per_second);
    else
        snprintf(out, n, "%s", bytes);
}

static void print_fits(const samp_doctor *doctor)
{
    char headers[SAMP_DOCTOR_FORMATS_MAX][32];
    const char *titles[SAMP_DOCTOR_FORMATS_MAX + 1] = {"model"};
    const samp_doctor_fit *known = &doctor->fits[0];
    for (size_t f = 0; f < known->n; f++) {
        snprintf(headers[f], sizeof headers[f], "%s", known->in[f].format);
        titles[f + 1] = headers[f];
    }
    samp_table table;
    samp_table_begin(&table, "lrrrr", known->n + 1, titles);
    for (size_t i = 0; i < doctor->n_fits; i++) {
        const samp_doctor_fit *fit = &doctor->fits[i];
        if (!fit->in[0].format) continue; /* a model of the user's has its own line above */
        char cells[SAMP_DOCTOR_FORMATS_MAX][64];
        const char *row[SAMP_DOCTOR_FORMATS_MAX + 1] = {fit->name};
        for (size_t f = 0; f < fit->n; f++) {
            fit_cell(cells[f], sizeof cells[f], fit, f);
            row[f + 1] = cells[f];
        }
        samp_table_row(&table, fit->n + 1, row);
    }
    puts("\nBytes of weights, and the most tokens a second that reading them allows:");
    samp_table_print(&table, stdout);
    samp_table_release(&table);
}

static void print_doctor(const samp_doctor *doctor)
{
    bool colour = samp_terminal_colour(stdout);
    size_t warnings = 0, broken = 0;
    for (size_t i = 0; i < doctor->n_checks; i++) {
        print_check(doctor, i, colour);
        warnings += doctor->checks[i].verdict == SAMP_VERDICT_WARN;
        broken += doctor->checks[i].verdict == SAMP_VERDICT_BROKEN;
    }
    print_fits(doctor);
    if (warnings + broken)
        printf("\n%zu broken, %zu that could be better; each line ends with what to run.\n", broken,
               warnings);
    else
        puts("\nAll is fine.");
}

static int run_checks(const doctor_options *o, const char *const *models, size_t n,
                      samp_error *error)
{
    samp_doctor *doctor = samp_alloc(1, sizeof *doctor);
    if (!doctor) {
        samp_fail(error, SAMP_NOMEM, "out of memory for the checks");
        return SAMP_EXIT_ERROR;
    }
    samp_doctor_options how = {
        .root = "", .folder = o->folder, .models = models, .n_models = n, .measure = true};
    samp_status status = samp_doctor_run(doctor, &how, error);
    if (status == SAMP_OK && o->json)
        status = samp_print_json(samp_doctor_json(doctor), error);
    else if (status == SAMP_OK)
        print_doctor(doctor);
    int code = status != SAMP_OK                                    ? SAMP_EXIT_ERROR
               : samp_doctor_verdict(doctor) == SAMP_VERDICT_BROKEN ? SAMP_EXIT_NO
                                                                    : SAMP_EXIT_DONE;
    samp_free(doctor);
    return code;
}

/* ---- --profile ---- */

static void print_kernels(const samp_hardware *hardware)
{
    static const char *const headers[] = {"format", "input",     "1 token reads",    "GB/s",
                                          "GMAC/s", "a product", "error of the law", "at most"};
    samp_table table;
    samp_table_begin(&table, "llrrrrrr", 8, headers);
    for (size_t k = 0; k < hardware->n_kernels; k++) {
        const samp_kernel *kernel = &hardware->kernels[k];
        const samp_kernel_law *law = &kernel->law;
        double bits = samp_format_bits(kernel->format, 2048, 2048);
        char input[16], reads[32], bytes[32], macs[32] = "", fixed[32], error[32], most[32];
        snprintf(input, sizeof input, "a%d", kernel->activation_bits);
        snprintf(reads, sizeof reads, "%.2f Gweight/s", 1e-9 / law->weight);
        snprintf(bytes, sizeof bytes, "%.2f", bits / 8 * 1e-9 / law->weight);
        if (law->multiply > 0) snprintf(macs, sizeof macs, "%.1f", 1e-9 / law->multiply);
        snprintf(error, sizeof error, "%.1f %%", 100 * law->error_mean);
        snprintf(most, sizeof most, "%.1f %%", 100 * law->error_max);
        const char *cells[] = {kernel->format->name,
                               input,
                               reads,
                               bytes,
                               macs,
                               samp_show_seconds(fixed, law->fixed),
                               error,
                               most};
        samp_table_row(&table, 8, cells);
    }
    samp_table_print(&table, stdout);
    samp_table_release(&table);
}

static void print_profile(const doctor_options *o, const samp_hardware *hardware, double seconds)
{
    char bandwidth[32], took[32];
    printf("%s\nreads %s a second\n\n", hardware->bandwidth.source,
           samp_show_bytes(bandwidth, hardware->bandwidth.value));
    print_kernels(hardware);
    const samp_kernel_law *attention = &hardware->attention.law;
    char short_text[32], long_text[32];
    printf(
        "\nAttention of a layer 576 wide, one sequence: %s to 64 positions, %s to 1,024; error of "
        "the law %.1f %%, at most %.1f %%.\n",
        samp_show_seconds(short_text, samp_kernel_law_seconds(attention, 576, 64, 1)),
        samp_show_seconds(long_text, samp_kernel_law_seconds(attention, 576, 1024, 1)),
        100 * attention->error_mean, 100 * attention->error_max);
    printf("A whole model's products take %.2f times the sum of their single times.\n",
           hardware->step_ratio.value);
    printf("The law: seconds = a product + input*cols*batch + ((weight*w)^p + "
           "(multiply*w*batch)^p)^(1/p), w = rows*cols.\n"
           "Measured in %s, written to %s: samp plan --hardware %s\n",
           samp_show_seconds(took, seconds), o->profile, o->profile);
}

/* "here" of "profiles/here.json". */
static void name_of(const char *path, char out[64])
{
    const char *name = samp_path_name(path);
    size_t n = strlen(name);
    if (samp_path_has_ending(name, ".json")) n -= strlen(".json");
    snprintf(out, 64, "%.*s", (int)(n < 63 ? n : 63), n ? name : "machine");
}

static int run_profile(const doctor_options *o, samp_error *error)
{
    char name[64];
    name_of(o->profile, name);
    /* A minute of measuring must not be lost to a folder that is not there. */
    samp_output *place;
    if (samp_output_create(&place, o->profile, error) != SAMP_OK) return SAMP_EXIT_ERROR;
    samp_output_abandon(place);
    samp_meter meter;
    samp_profile_options how = {.name = name,
                                .backend = o->backend,
                                .n_threads = (unsigned)o->threads,
                                .working_set = (size_t)o->model_bytes,
                                .progress = samp_meter_start(&meter, "products")};
    samp_hardware hardware;
    double start = samp_clock();
    samp_status status = samp_profile_measure(&hardware, &how, error);
    samp_meter_stop(&meter);
    if (status != SAMP_OK) return SAMP_EXIT_ERROR;
    status = samp_hardware_save(&hardware, o->profile, error);
    if (status == SAMP_OK && o->json)
        status = samp_print_json(samp_hardware_json(&hardware), error);
    else if (status == SAMP_OK)
        print_profile(o, &hardware, samp_clock() - start);
    samp_hardware_release(&hardware);
    return status == SAMP_OK ? SAMP_EXIT_DONE : SAMP_EXIT_ERROR;
}

static int run(const void *given, const char *const *arguments, size_t n, samp_error *error)
{
    const doctor_options *o = given;
    if (!o->profile) return run_checks(o, arguments, n, error);
    if (n == 0) return run_profile(o, error);
    samp_fail(error, SAMP_INVALID, "--profile takes no models: it measures matrices of its own");
    return SAMP_EXIT_USAGE;
}

const samp_command samp__cmd_doctor = {
    .name = "doctor",
    .summary = "this machine: what is wrong with it, what it can run",
    .arguments = "[MODEL…]",
    .max_arguments = MODELS_MAX,
    .description =
        "Looks at versions, processor, limits, memory and its measured bandwidth, huge pages, disk "
        "and\n"
        "GPU, tests every kernel against plain C, and says which models fit and how fast they can "
        "be.\n"
        "Lines that are not fine end with the command to run. Exit code 1 when something is "
        "broken.\n\n"
        "With --profile it measures matrix products in every number format instead (under a "
        "minute on\n"
        "two cores) and writes a profile that samp plan --hardware takes: plans for this machine "
        "then\n"
        "follow measured times.",
    .examples = "  $ samp doctor\n  $ samp doctor demo/artifact\n"
                "  $ samp doctor --profile here.json\n",
    SAMP_OPTIONS(options),
    .options_size = sizeof(doctor_options),
    .run = run,
};
