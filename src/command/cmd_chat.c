/* samp chat: a conversation on the terminal, or one question a line through a pipe. */
#include "command/conversation.h"
#include "command/line_editor.h"
#include "file/file.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct chat_options {
    samp_run_options run;
    samp_sampling_options sampling;
    const char *system, *template, *thinking;
    bool history, json;
} chat_options;

static const samp_option options[] = {
    SAMP_OPTION(chat_options, TEXT, system, "system", 0, "TEXT", .help = "the system prompt"),
    SAMP_OPTION(chat_options, TEXT, template, "template", 0, "FILE",
                .help = "a chat template (Jinja) instead of the model's own"),
    SAMP_OPTION(chat_options, CHOICE, thinking, "thinking", 0, "HOW", .initial = "default",
                .choices = "default|on|off", .help = "enable_thinking of templates that have it"),
    SAMP_SAMPLING_OPTIONS(chat_options, sampling, "0", "0.7", "0.95"),
    SAMP_RUN_OPTIONS(chat_options, run),
    SAMP_OPTION(chat_options, FLAG, history, "history", 0, NULL, .initial = "",
                .help = "keep typed lines in ~/.local/state/samp/chat_history"),
    SAMP_OPTION(chat_options, FLAG, json, "json", 0, NULL,
                .help = "print one JSON object an answer instead of streaming"),
};

typedef struct talk {
    const chat_options *options;
    samp_loaded model;
    samp_chat *chat;
    samp_conversation *conversation;
    samp_line_editor *editor;
    json_t *variables;
    samp_buffer line; /* the question, of several lines perhaps */
    samp_buffer text; /* the answer, for --json */
    samp_turn last, sum;
    unsigned answers;
    bool terminal, colour, quit;
} talk;

/* ---- Ctrl-C ---------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* Without SA_RESTART: a pipe that is waited for is left, too. */
static void catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

/* ---- an answer ------------------------------------------------------------------------------- */

/* A model must not move the cursor or set the title: control characters are not shown. */
static void print_visible(const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)text[i];
        unsigned char next = i + 1 < n ? (unsigned char)text[i + 1] : 0;
        bool c1 = c == 0xc2 && next >= 0x80 && next < 0xa0;
        if (!c1 && (c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7f))) putchar(c);
        i += c1 ? 2 : 1;
    }
}

static bool take_piece(void *context, const char *text, size_t n)
{
    talk *t = context;
    if (t->options->json) {
        samp_buffer_append(&t->text, text, n);
        return !t->text.failed && !interrupted;
    }
    if (t->terminal)
        print_visible(text, n);
    else
        fwrite(text, 1, n, stdout);
    return fflush(stdout) == 0 && !interrupted;
}

static bool is_stopped(void *context)
{
    (void)context;
    return interrupted;
}

static samp_status print_answer_json(talk *t, samp_error *error)
{
    const samp_turn *turn = &t->last;
    json_t *json =
        json_pack("{s:i, s:s%, s:s, s:i, s:i, s:i, s:f, s:f}", "schema_version", 1, "text",
                  t->text.data ? t->text.data : "", t->text.length, "finish_reason",
                  turn->finish_reason, "prompt_tokens", (int)turn->n_prompt, "cached_tokens",
                  (int)turn->n_cached, "completion_tokens", (int)turn->n_answer, "prefill_seconds",
                  turn->prefill_seconds, "decode_seconds", turn->decode_seconds);
    if (!json) return samp_fail(error, SAMP_NOMEM, "out of memory for an answer");
    char *line = json_dumps(json, 0);
    json_decref(json);
    if (!line) return samp_fail(error, SAMP_NOMEM, "out of memory for an answer");
    puts(line);
    fflush(stdout);
    free(line);
    return SAMP_OK;
}

static void count_turn(talk *t)
{
    t->answers++;
    t->sum.n_prompt += t->last.n_prompt;
    t->sum.n_cached += t->last.n_cached;
    t->sum.n_answer += t->last.n_answer;
    t->sum.prefill_seconds += t->last.prefill_seconds;
    t->sum.decode_seconds += t->last.decode_seconds;
}

/* Says the line, or tries the last question again when it is NULL. */
static samp_status answer(talk *t, const char *text, size_t n, samp_error *error)
{
    samp_reader reader = {take_piece, is_stopped, t};
    interrupted = 0;
    samp_buffer_clear(&t->text);
    samp_status status =
        text ? samp_conversation_say(t->conversation, text, n, &reader, &t->last, error)
             : samp_conversation_retry(t->conversation, &reader, &t->last, error);
    if (status == SAMP_OK) count_turn(t);
    if (t->options->json) return status == SAMP_OK ? print_answer_json(t, error) : status;
    if (t->last.n_answer || status == SAMP_OK) putchar('\n');
    if (status == SAMP_OK && t->last.cut && t->terminal)
        puts(t->last.n_answer ? "(stopped)"
                              : "(stopped before the answer; the question is dropped)");
    if (status == SAMP_OK && t->last.forgotten)
        fprintf(stderr, "(the context is full: the oldest %u messages were forgotten)\n",
                t->last.forgotten);
    if (t->terminal) putchar('\n');
    fflush(stdout);
    return status;
}

/* ---- commands -------------------------------------------------------------------------------- */

static double rate(double n, double seconds) { return seconds > 0 ? n / seconds : 0; }

static void print_turn(const char *what, const samp_turn *turn, unsigned answers)
{
    char seconds[32];
    /* The first token of an answer comes out of the prompt. */
    uint32_t steps = turn->n_answer > answers ? turn->n_answer - answers : turn->n_answer;
    uint32_t fed = turn->n_prompt - turn->n_cached;
    printf("%s: %u prompt tokens, %u of them cached, %u read at %.1f tok/s in %s; "
           "%u generated at %.1f tok/s\n",
           what, turn->n_prompt, turn->n_cached, fed, rate(fed, turn->prefill_seconds),
           samp_show_seconds(seconds, turn->prefill_seconds), turn->n_answer,
           rate(steps, turn->decode_seconds));
}

static samp_status do_stats(talk *t, const char *rest, samp_error *error)
{
    (void)rest, (void)error;
    char bytes[32];
    if (t->answers) print_turn("last answer", &t->last, 1);
    if (t->answers > 1) {
        char what[48];
        snprintf(what, sizeof what, "all %u answers", t->answers);
        print_turn(what, &t->sum, t->answers);
    }
    printf("context: %u of %u positions used, %u messages\n",
           samp_conversation_length(t->conversation), samp_session_max_positions(t->model.session),
           samp_conversation_messages(t->conversation));
    printf("model: %s, %s of weights a token\n", samp_session_describe(t->model.session),
           samp_show_bytes(bytes, (double)samp_session_weight_bytes(t->model.session)));
    return SAMP_OK;
}

static samp_status do_system(talk *t, const char *rest, samp_error *error)
{
    SAMP_TRY(samp_conversation_system(t->conversation, rest, strlen(rest), error));
    if (t->terminal)
        puts(*rest ? "(the system prompt is set)" : "(no system prompt but the template's own)");
    return SAMP_OK;
}

static samp_status do_reset(talk *t, const char *rest, samp_error *error)
{
    (void)rest, (void)error;
    samp_conversation_reset(t->conversation);
    if (t->terminal) puts("(a new conversation; the system prompt stays)");
    return SAMP_OK;
}

static samp_status do_retry(talk *t, const char *rest, samp_error *error)
{
    (void)rest;
    return answer(t, NULL, 0, error);
}

static samp_status do_quit(talk *t, const char *rest, samp_error *error)
{
    (void)rest, (void)error;
    t->quit = true;
    return SAMP_OK;
}

static samp_status do_help(talk *t, const char *rest, samp_error *error);

static const struct chat_command {
    const char *name, *help;
    samp_status (*run)(talk *t, const char *rest, samp_error *error);
} COMMANDS[] = {
    {"/help", "this list", do_help},
    {"/stats", "tokens, speed and context of the last answer", do_stats},
    {"/system", "/system TEXT: another system prompt; without text, none", do_system},
    {"/retry", "another answer to the last question", do_retry},
    {"/reset", "forget the conversation", do_reset},
    {"/quit", "leave; so does Ctrl-D", do_quit},
};
enum { N_COMMANDS = sizeof COMMANDS / sizeof *COMMANDS };

static samp_status do_help(talk *t, const char *rest, samp_error *error)
{
    (void)t, (void)rest, (void)error;
    for (int i = 0; i < N_COMMANDS; i++) printf("  %-8s %s\n", COMMANDS[i].name, COMMANDS[i].help);
    puts("  Ctrl-C stops an answer. A \\ at the end of a line goes on in the next one.\n"
         "  // at the start of a line says a text that begins with /.");
    return SAMP_OK;
}

static samp_status run_command(talk *t, const char *line, samp_error *error)
{
    size_t n = strcspn(line, " \t");
    const char *rest = line + n + strspn(line + n, " \t");
    for (int i = 0; i < N_COMMANDS; i++)
        if (strlen(COMMANDS[i].name) == n && strncmp(COMMANDS[i].name, line, n) == 0)
            return COMMANDS[i].run(t, rest, error);
    return samp_fail(error, SAMP_INVALID, "%.40s is not a command; /help lists them", line);
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* A question into t->line, with the lines that a \ at the end asks for. */
static samp_line_result read_question(talk *t)
{
    const char *first = t->colour ? "\1" SAMP_BOLD SAMP_GREEN "\1> \1" SAMP_RESET "\1" : "> ";
    const char *text;
    size_t n;
    samp_buffer_clear(&t->line);
    for (const char *prompt = first;; prompt = ". ") {
        samp_line_result result = samp_line_editor_read(t->editor, prompt, &text, &n);
        if (result == SAMP_LINE_END && t->line.length) return SAMP_LINE_READ;
        if (result != SAMP_LINE_READ) return result;
        bool more = n && text[n - 1] == '\\';
        samp_buffer_append(&t->line, text, n - more);
        if (!more) break;
        samp_buffer_text(&t->line, "\n");
    }
    samp_buffer_text(&t->line, "");
    if (!t->line.failed && !strchr(t->line.data, '\n'))
        samp_line_editor_remember(t->editor, t->line.data);
    return SAMP_LINE_READ;
}

/* A failure of one question is said and the conversation goes on, on a terminal. */
static samp_status converse(talk *t, samp_error *error)
{
    while (!t->quit) {
        samp_line_result result = read_question(t);
        if (result == SAMP_LINE_END) break;
        if (result == SAMP_LINE_DROPPED) continue;
        SAMP_TRY(samp_buffer_ok(&t->line, error));
        const char *line = t->line.data;
        size_t n = t->line.length;
        if (n == 0) continue;
        bool command = line[0] == '/' && line[1] != '/';
        samp_status status = command
                                 ? run_command(t, line, error)
                                 : answer(t, line + (line[0] == '/'), n - (line[0] == '/'), error);
        if (status == SAMP_OK) continue;
        if (!t->terminal) return status;
        fprintf(stderr, "%s\n", error->message);
    }
    if (t->terminal && !t->quit) putchar('\n');
    return SAMP_OK;
}

/* ~/.local/state/samp/chat_history, its folders made; false when there is no home. */
static bool history_path(char path[4096])
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = state && *state ? snprintf(path, 4096, "%s/samp/chat_history", state)
            : home && *home ? snprintf(path, 4096, "%s/.local/state/samp/chat_history", home)
                            : 0;
    if (n <= 0 || n >= 4096) return false;
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool there = mkdir(path, 0700) == 0 || errno == EEXIST;
        *slash = '/';
        if (!there) return false;
    }
    return true;
}

static samp_status open_chat(talk *t, const char *folder, samp_error *error)
{
    const chat_options *o = t->options;
    samp_buffer source = {0};
    samp_status status = SAMP_OK;
    if (o->template) {
        status = samp_file_slurp(o->template, 1 << 20, &source, error);
        samp_buffer_text(&source, "");
    }
    if (status == SAMP_OK) status = samp_buffer_ok(&source, error);
    if (status == SAMP_OK)
        status = samp_chat_open(&t->chat, t->model.tokenizer, o->template ? source.data : NULL,
                                o->template ? o->template : folder, error);
    samp_buffer_release(&source);
    if (status != SAMP_OK || strcmp(o->thinking, "default") == 0) return status;
    t->variables = json_pack("{s:b}", "enable_thinking", strcmp(o->thinking, "on") == 0);
    return t->variables ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "out of memory for a variable");
}

static samp_status open_talk(talk *t, const char *folder, samp_error *error)
{
    static const char *words[N_COMMANDS + 1];
    const chat_options *o = t->options;
    char path[4096];
    SAMP_TRY(
        samp_loaded_open(&t->model, folder, &o->run, (uint32_t)o->sampling.context, true, error));
    SAMP_TRY(open_chat(t, folder, error));
    samp_conversation_options how = {.sampling = samp_sampling(&o->sampling),
                                     .max_new = (uint32_t)o->sampling.max_new,
                                     .variables = t->variables};
    SAMP_TRY(samp_sampler_check(&how.sampling, error));
    SAMP_TRY(samp_conversation_open(&t->conversation, &t->model, t->chat, &how, error));
    if (o->system)
        SAMP_TRY(samp_conversation_system(t->conversation, o->system, strlen(o->system), error));
    SAMP_TRY(
        samp_line_editor_open(&t->editor, o->history && history_path(path) ? path : NULL, error));
    for (int i = 0; i < N_COMMANDS; i++) words[i] = COMMANDS[i].name;
    samp_line_editor_complete(t->editor, words);
    t->terminal = samp_line_editor_is_terminal(t->editor) && !o->json;
    t->colour = t->terminal && samp_terminal_colour(stdout);
    return SAMP_OK;
}

static int run(const void *given, const char *const *arguments, size_t n, samp_error *error)
{
    (void)n;
    talk t = {.options = given};
    samp_status status = open_talk(&t, arguments[0], error);
    if (status == SAMP_OK) {
        catch_interrupts();
        if (t.terminal)
            printf("%s: %s. /help lists commands, Ctrl-C stops an answer, Ctrl-D leaves.\n\n",
                   arguments[0], samp_session_describe(t.model.session));
        status = converse(&t, error);
    }
    samp_line_editor_close(t.editor);
    samp_conversation_close(t.conversation);
    samp_chat_close(t.chat);
    samp_loaded_close(&t.model);
    json_decref(t.variables);
    samp_buffer_release(&t.line);
    samp_buffer_release(&t.text);
    return status == SAMP_OK ? SAMP_EXIT_DONE : SAMP_EXIT_ERROR;
}

const samp_command samp__cmd_chat = {
    .name = "chat",
    .summary = "talk with a model",
    .arguments = "MODEL",
    .min_arguments = 1,
    .max_arguments = 1,
    .description =
        "A conversation with the model in folder MODEL, rendered by the chat template that came\n"
        "with it. Answers are streamed; Ctrl-C stops an answer, not the program; the cache is\n"
        "kept from turn to turn. Through a pipe every line is a question. What is typed is never\n"
        "read as special tokens, whatever it looks like.",
    .examples = "  $ samp chat demo/artifact\n"
                "  $ samp chat demo/artifact --system 'Answer in one sentence.' --temperature 0\n"
                "  $ printf 'Hi!\\n/stats\\n' | samp chat demo/artifact\n",
    SAMP_OPTIONS(options),
    .options_size = sizeof(chat_options),
    .run = run,
};
