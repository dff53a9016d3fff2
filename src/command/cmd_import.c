/* samp import: a GGUF file or a llama2.c checkpoint becomes a Hugging Face folder. */
#include "command/command.h"
#include "command/terminal.h"
#include "quantize/import.h"

typedef struct import_options {
    const char *out, *dtype, *tokenizer;
    int64_t threads;
    bool force;
} import_options;

static const samp_option options[] = {
    SAMP_OPTION(import_options, TEXT, out, "out", 'o', "DIR", .required = true,
                .help = "folder to write"),
    SAMP_OPTION(import_options, CHOICE, dtype, "dtype", 0, "TYPE", .choices = "fp16|bf16|fp32",
                .initial = "fp16", .help = "float type of the weights"),
    SAMP_OPTION(import_options, TEXT, tokenizer, "tokenizer", 0, "FILE",
                .help = "llama2.c only: its tokenizer.bin, when not beside the model"),
    SAMP_OPTION(import_options, INTEGER, threads, "threads", 't', "N", .max = 256, .initial = "0",
                .help = "threads; 0 = what affinity and cgroup allow"),
    SAMP_OPTION(import_options, FLAG, force, "force", 'f', NULL,
                .help = "replace an existing folder"),
};

static int run(const void *given, const char *const *arguments, size_t n, samp_error *error)
{
    (void)n;
    const import_options *o = given;
    samp_import_options how = {.dtype = o->dtype,
                               .tokenizer = o->tokenizer,
                               .n_threads = (unsigned)o->threads,
                               .force = o->force};
    samp_meter meter;
    samp_progress progress = samp_meter_start(&meter, "B");
    double start = samp_clock();
    samp_status status = samp_import(arguments[0], o->out, &how, &progress, error);
    samp_meter_stop(&meter);
    if (status != SAMP_OK) return SAMP_EXIT_ERROR;
    char seconds[32];
    printf("%s imported to %s as %s in %s\n", arguments[0], o->out, o->dtype,
           samp_show_seconds(seconds, samp_clock() - start));
    return SAMP_EXIT_DONE;
}

const samp_command samp__cmd_import = {
    .name = "import",
    .summary = "turn a GGUF file into a Hugging Face folder",
    .arguments = "MODEL.gguf",
    .min_arguments = 1,
    .max_arguments = 1,
    .description =
        "Writes config.json, tokenizer.json, safetensors shards and samp.json from a GGUF file of\n"
        "architecture llama, qwen2, qwen3 or smollm3 (F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0,\n"
        "Q5_1, Q4_K, Q5_K, Q6_K, IQ4_NL; of a file in parts give the first), or from a llama2.c\n"
        "checkpoint. Quantized weights are expanded: a Q4 file does not become more accurate by\n"
        "this. A killed run is continued by the next.",
    .examples =
        "  $ samp import SmolLM2-135M-Instruct.Q4_1.gguf --out smollm2\n"
        "  $ samp import stories260K.bin --tokenizer tok512.bin --dtype fp32 --out stories\n",
    SAMP_OPTIONS(options),
    .options_size = sizeof(import_options),
    .run = run,
};
