/* samp generate: text that continues a prompt, streamed to standard output. */
#include "command/loaded.h"
#include "file/file.h"
#include "run/generate.h"

#include <string.h>

typedef struct generate_options {
    samp_run_options run;
    samp_sampling_options sampling;
    const char *prompt, *file;
    bool special, ignore_eos, echo, json;
} generate_options;

static const samp_option options[] = {
    SAMP_OPTION(generate_options, TEXT, prompt, "prompt", 'p', "TEXT",
                .help = "the prompt; may be empty when the model has a bos token"),
    SAMP_OPTION(generate_options, TEXT, file, "file", 0, "FILE",
                .help = "read the prompt from a file"),
    SAMP_SAMPLING_OPTIONS(generate_options, sampling, "128", "0", "1"),
    SAMP_OPTION(generate_options, FLAG, special, "special", 0, NULL,
                .help = "read special tokens such as <|im_start|> in the prompt"),
    SAMP_OPTION(generate_options, FLAG, echo, "echo", 0, NULL, .help = "print the prompt first"),
    SAMP_OPTION(generate_options, FLAG, ignore_eos, "ignore-eos", 0, NULL,
                .help = "go on after an end-of-sequence token"),
    SAMP_RUN_OPTIONS(generate_options, run),
    SAMP_OPTION(generate_options, FLAG, json, "json", 0, NULL,
                .help = "print one JSON object at the end instead of streaming"),
};

typedef struct piece_sink {
    samp_buffer text; /* the answer, for --json */
    bool stream;
} piece_sink;

static bool take_piece(void *context, const char *text, size_t n)
{
    piece_sink *sink = context;
    if (!sink->stream) {
        samp_buffer_append(&sink->text, text, n);
        return !sink->text.failed;
    }
    return fwrite(text, 1, n, stdout) == n && fflush(stdout) == 0;
}

static samp_status prompt_tokens(const generate_options *o, const samp_loaded *loaded,
                                 samp_tokens *tokens, samp_error *error)
{
    samp_buffer text = {0};
    samp_status status = SAMP_OK;
    if (o->file)
        status = samp_file_slurp(o->file, 64 << 20, &text, error);
    else
        samp_buffer_text(&text, o->prompt ? o->prompt : "");
    if (status == SAMP_OK) status = samp_buffer_ok(&text, error);
    if (status == SAMP_OK)
        status = samp_tokenizer_encode(
            loaded->tokenizer, text.data, text.length,
            (samp_encode_text){.parse_special = o->special, .add_bos = true}, tokens, error);
    if (status == SAMP_OK && tokens->count == 0) {
        int32_t bos = samp_tokenizer_bos(loaded->tokenizer);
        status = bos >= 0 ? samp_tokens_push(tokens, bos, error)
                          : samp_fail(error, SAMP_INVALID,
                                      "the prompt is empty; give --prompt TEXT or --file FILE");
    }
    if (status == SAMP_OK && o->echo && !o->json) fwrite(text.data, 1, text.length, stdout);
    samp_buffer_release(&text);
    return status;
}

static void print_timing(const samp_generated *g, const samp_session *session)
{
    if (g->n_generated == 0) return;
    double steps =
        g->n_generated > 1 ? g->n_generated - 1 : 1; /* the first comes out of the prefill */
    fprintf(stderr, "\n%u prompt tokens at %.1f tok/s, %u generated at %.1f tok/s (%s); %s\n",
            g->n_prompt, g->n_prompt / g->prefill_seconds, g->n_generated,
            g->decode_seconds > 0 ? steps / g->decode_seconds : 0, g->finish_reason,
            samp_session_describe(session));
}

static samp_status generate(const generate_options *o, samp_loaded *loaded, samp_error *error)
{
    samp_sampler_options how = samp_sampling(&o->sampling);
    samp_tokens tokens = {0};
    samp_sequence *sequence = NULL;
    samp_sampler *sampler = NULL;
    piece_sink sink = {.stream = !o->json};
    samp_generated g = {0};
    samp_status status = samp_sampler_create(
        &sampler, &how, samp_session_config(loaded->session)->vocab_size, error);
    if (status == SAMP_OK) status = samp_sequence_create(loaded->session, &sequence, error);
    if (status == SAMP_OK) status = prompt_tokens(o, loaded, &tokens, error);
    if (status == SAMP_OK) {
        samp_generate_options options_ = {.prompt = tokens.ids,
                                          .n_prompt = (uint32_t)tokens.count,
                                          .max_new = (uint32_t)o->sampling.max_new,
                                          .ignore_eos = o->ignore_eos,
                                          .piece = take_piece,
                                          .context = &sink};
        status = samp_generate(loaded->session, sequence, loaded->tokenizer, sampler, &options_, &g,
                               error);
    }
    if (status == SAMP_OK && o->json) {
        status = samp_print_json(json_pack("{s:i,s:s%,s:s,s:i,s:i,s:f,s:f}", "schema_version", 1,
                                           "text", sink.text.data ? sink.text.data : "",
                                           sink.text.length, "finish_reason", g.finish_reason,
                                           "prompt_tokens", (int)g.n_prompt, "completion_tokens",
                                           (int)g.n_generated, "prefill_seconds", g.prefill_seconds,
                                           "decode_seconds", g.decode_seconds),
                                 error);
    } else if (status == SAMP_OK) {
        putchar('\n');
        print_timing(&g, loaded->session);
    }
    samp_buffer_release(&sink.text);
    samp_tokens_release(&tokens);
    samp_sampler_release(sampler);
    if (sequence) samp_sequence_release(loaded->session, sequence);
    return status;
}

static int run(const void *given, const char *const *arguments, size_t n, samp_error *error)
{
    (void)n;
    const generate_options *o = given;
    samp_loaded loaded;
    samp_status status = samp_loaded_open(&loaded, arguments[0], &o->run,
                                          (uint32_t)o->sampling.context, true, error);
    if (status != SAMP_OK) return SAMP_EXIT_ERROR;
    status = generate(o, &loaded, error);
    samp_loaded_close(&loaded);
    return status == SAMP_OK ? SAMP_EXIT_DONE : SAMP_EXIT_ERROR;
}

const samp_command samp__cmd_generate = {
    .name = "generate",
    .summary = "continue a prompt",
    .arguments = "MODEL",
    .min_arguments = 1,
    .max_arguments = 1,
    .description = "Generates text from the model in folder MODEL and streams it to standard "
                   "output; speed goes\n"
                   "to standard error. The same seed gives the same text on every machine, with "
                   "any number of\n"
                   "threads.",
    .examples = "  $ samp generate demo/artifact -p 'The capital of France is' -n 20\n"
                "  $ samp generate demo/artifact --special -p "
                "$'<|im_start|>user\\nHi!<|im_end|>\\n<|im_start|>assistant\\n'\n"
                "  $ samp generate demo/artifact --file prompt.txt --temperature 0.7 --top-p 0.9 "
                "--seed 1\n",
    SAMP_OPTIONS(options),
    .options_size = sizeof(generate_options),
    .run = run,
};
