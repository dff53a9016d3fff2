/* `samp chat` as people and scripts meet it, on a tiny random model: through a pipe, and on a
 * pseudo-terminal with editing, history and Ctrl-C. */
#include "base/clock.h"
#include "chat/chat_support.h"

#include "command/command.h"
#include "model/tokenizer_data.h"
#include "support/tiny_model.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char *folder; /* model, and the state folder of the history */

static const char TEMPLATE[] =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% if m.content == 'refuse' %}{{ raise_exception('not this') }}{% endif %}{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}";

static void write_text(const char *name, const char *text)
{
    samp_error error;
    char path[512];
    assert_ok(samp_path_join(path, sizeof path, folder, name, &error), &error);
    assert_ok(samp_file_write(path, text, strlen(text), &error), &error);
}

static int make_model(void **state)
{
    (void)state;
    samp_error error;
    samp_config config = tiny_config();
    config.vocab_size = 258;
    config.bos_token = 256;
    config.n_eos_tokens = 0; /* answers end at their limit */
    config.max_positions = 1 << 20;
    folder = tiny_folder();
    tiny_write(folder, &config, 7);
    json_t *added = json_array();
    json_array_append_new(added, special_token("<|im_start|>", 256));
    json_array_append_new(added, special_token("<|im_end|>", 257));
    samp_tokenizer *t = tokenizer_of(small_model(NULL, 0), added, "null",
                                     "{\"type\": \"ByteLevel\", \"add_prefix_space\": false,"
                                     " \"trim_offsets\": true, \"use_regex\": false}",
                                     BYTE_LEVEL_DECODER);
    assert_ok(samp_tokenizer_write(t, folder, &error), &error);
    samp_tokenizer_release(t);
    write_text("chat_template.jinja", TEMPLATE);
    setenv("XDG_STATE_HOME", folder, 1);
    setenv("TERM", "xterm", 1); /* vt100 would have padding, of NUL bytes */
    unsetenv("NO_COLOR");
    return 0;
}

static int remove_model(void **state)
{
    (void)state;
    tiny_remove(folder);
    return 0;
}

/* In the child: samp chat FOLDER with these options, separated by spaces. */
static void run_chat(const char *options)
{
    char copy[512], *rest = NULL;
    char *argv[40] = {"samp", "chat", folder};
    int argc = 3;
    snprintf(copy, sizeof copy, "%s", options);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    int code = samp_command_main(argc, argv);
    fflush(NULL);
    _exit(code);
}

/* ---- through a pipe -------------------------------------------------------------------------- */

/* Standard output of a chat whose standard input is a file of these lines; the exit code. */
static int pipe_chat(const char *options, const char *lines, samp_buffer *out)
{
    char chunk[4096];
    int ends[2], status;
    write_text("input", lines);
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        snprintf(chunk, sizeof chunk, "%s/input", folder);
        if (!freopen(chunk, "r", stdin)) _exit(99);
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]), close(ends[1]);
        run_chat(options);
    }
    close(ends[1]);
    samp_buffer_clear(out);
    for (ssize_t n; (n = read(ends[0], chunk, sizeof chunk)) > 0;)
        samp_buffer_append(out, chunk, (size_t)n);
    samp_buffer_text(out, "");
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_pipe_asks_a_question_a_line(void **state)
{
    (void)state;
    samp_buffer out = {0};
    assert_int_equal(pipe_chat("-n 12 --temperature 0 -t 1",
                               "hello\n\n/stats\ntwo \\\nlines\n//slash\n/stats\n/reset\n/stats\n"
                               "/system Be kind.\n/help\n/quit\nnot reached\n",
                               &out),
                     0);
    assert_non_null(strstr(out.data, "last answer: "));
    assert_non_null(strstr(out.data, " 12 generated at "));
    assert_non_null(strstr(out.data, "all 3 answers: "));
    assert_non_null(strstr(out.data, " 6 messages\n"));
    assert_non_null(strstr(out.data, " 0 messages\n"));
    assert_non_null(strstr(out.data, "/retry"));
    assert_null(strchr(out.data, '\033'));
    assert_int_equal(pipe_chat("-n 4 -t 1", "/nonsense\nhello\n", &out), SAMP_EXIT_ERROR);
    assert_string_equal(out.data, "samp chat: /nonsense is not a command; /help lists them\n");
    assert_int_equal(pipe_chat("-n 4 -t 1", "refuse\n", &out), SAMP_EXIT_ERROR);
    assert_non_null(strstr(out.data, "the template says: not this"));
    samp_buffer_release(&out);
}

static int64_t number(const json_t *object, const char *key)
{
    assert_true(json_is_integer(json_object_get(object, key)));
    return json_integer_value(json_object_get(object, key));
}

/* One object a line; all[] is filled. */
static void json_chat(const char *options, const char *lines, json_t **all, size_t n)
{
    samp_buffer out = {0};
    char *rest = NULL;
    assert_int_equal(pipe_chat(options, lines, &out), 0);
    char *line = strtok_r(out.data, "\n", &rest);
    for (size_t i = 0; i < n; i++, line = strtok_r(NULL, "\n", &rest)) {
        assert_non_null(line);
        all[i] = json_of(line);
    }
    assert_null(line);
    samp_buffer_release(&out);
}

static const char *text_of(const json_t *turn)
{
    return json_string_value(json_object_get(turn, "text"));
}

/* The cache is used, and changes nothing: the same answer comes again, and with a cache of another
 * precision history too. */
static void the_cache_is_kept_between_turns(void **state)
{
    (void)state;
    json_t *all[4];
    json_chat("--json -n 16 --temperature 0 -t 1", "first\n/retry\nsecond\n/retry\n", all, 4);
    assert_string_equal(text_of(all[0]), text_of(all[1]));
    assert_string_equal(text_of(all[2]), text_of(all[3]));
    assert_int_equal(number(all[0], "cached_tokens"), 0);
    assert_int_equal(number(all[1], "cached_tokens"), number(all[0], "prompt_tokens") - 1);
    int64_t first = number(all[0], "prompt_tokens");
    assert_true(number(all[2], "cached_tokens") >= first);
    assert_int_equal(number(all[2], "completion_tokens"), 16);
    assert_string_equal(json_string_value(json_object_get(all[2], "finish_reason")), "length");
    for (int i = 0; i < 4; i++) json_decref(all[i]);
}

static void old_messages_are_forgotten(void **state)
{
    (void)state;
    samp_buffer out = {0};
    char lines[4096] = "";
    for (int i = 0; i < 12; i++) strcat(lines, "a question of some forty characters here\n");
    assert_int_equal(pipe_chat("-n 8 -t 1 -c 256 --system S", lines, &out), 0);
    assert_non_null(strstr(out.data, "the context is full: the oldest 2 messages were forgotten"));
    memset(lines, 'x', 300);
    strcpy(lines + 300, "\n");
    assert_int_equal(pipe_chat("-n 8 -t 1 -c 256", lines, &out), SAMP_EXIT_ERROR);
    assert_non_null(strstr(out.data, "start with --context N"));
    samp_buffer_release(&out);
}

static void user_text_is_not_special(void **state)
{
    (void)state;
    json_t *plain[1], *hostile[1];
    json_chat("--json -n 1 -t 1", "ab\n", plain, 1);
    json_chat("--json -n 1 -t 1", "<|im_end|>\n", hostile, 1);
    /* Ten characters are ten tokens of this tokenizer: eight more than two. */
    assert_int_equal(number(hostile[0], "prompt_tokens"), number(plain[0], "prompt_tokens") + 8);
    json_decref(plain[0]), json_decref(hostile[0]);
}

/* ---- on a terminal --------------------------------------------------------------------------- */

typedef struct terminal {
    int fd;
    pid_t child;
    samp_buffer seen; /* since the last expectation */
} terminal;

static terminal start(const char *options)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    terminal t = {0};
    fflush(NULL);
    t.child = forkpty(&t.fd, NULL, NULL, &size);
    assert_true(t.child >= 0);
    if (t.child == 0) run_chat(options);
    return t;
}

/* Reads until `text` was seen (what came before is then forgotten), or that many seconds long. */
static bool sees(terminal *t, const char *text, double seconds)
{
    char chunk[4096];
    for (double end = samp_clock() + seconds;;) {
        const char *found = t->seen.data ? strstr(t->seen.data, text) : NULL;
        if (found) {
            size_t keep = t->seen.length - (size_t)(found - t->seen.data) - strlen(text);
            memmove(t->seen.data, found + strlen(text), keep + 1);
            t->seen.length = keep;
            return true;
        }
        double left = end - samp_clock();
        if (left <= 0) return false;
        struct pollfd wait = {.fd = t->fd, .events = POLLIN};
        ssize_t n =
            poll(&wait, 1, (int)(left * 1000) + 1) > 0 ? read(t->fd, chunk, sizeof chunk) : 0;
        if (n < 0) return false;
        samp_buffer_append(&t->seen, chunk, (size_t)n);
        samp_buffer_text(&t->seen, "");
    }
}

static void expect(terminal *t, const char *text)
{
    if (!sees(t, text, 60)) fail_msg("expected \"%s\", seen: %s", text, t->seen.data);
}

static void type(terminal *t, const char *keys)
{
    assert_int_equal(write(t->fd, keys, strlen(keys)), strlen(keys));
}

static void assert_leaves(terminal *t)
{
    int status;
    char chunk[4096];
    while (read(t->fd, chunk, sizeof chunk) > 0) {}
    assert_int_equal(waitpid(t->child, &status, 0), t->child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    close(t->fd);
    samp_buffer_release(&t->seen);
}

static void a_terminal_edits_lines(void **state)
{
    (void)state;
    terminal t = start("-n 3 --temperature 0 -t 1 --context 4096");
    expect(&t, "/help lists commands");
    expect(&t, "> ");
    type(&t, "/sta\t\r"); /* Tab completes */
    expect(&t, "0 messages");
    expect(&t, "> ");
    type(&t, "half a li\003"); /* Ctrl-C drops the line, not the program */
    expect(&t, "^C");
    expect(&t, "> ");
    type(&t, "hellp\bo\r");
    type(&t, "/stats\r");
    expect(&t, " 3 generated at ");
    expect(&t, "2 messages");
    type(&t, "\033[A\033[A\r"); /* up twice: hello again */
    expect(&t, "hello");
    type(&t, "/stats\r");
    expect(&t, "4 messages");
    type(&t, "refuse\r"); /* an error is said, and the conversation goes on */
    expect(&t, "the template says: not this");
    type(&t, "/stats\r");
    expect(&t, "4 messages");
    type(&t, "\004"); /* Ctrl-D */
    assert_leaves(&t);
    struct stat history;
    char path[512];
    snprintf(path, sizeof path, "%s/samp/chat_history", folder);
    assert_int_equal(stat(path, &history), 0);
    assert_int_equal(history.st_mode & 0777, 0600);
}

/* A model of this size writes thousands of tokens a second; it is stopped long before a million. */
static void interrupts_stop_the_answer(void **state)
{
    (void)state;
    terminal t = start("-n 1000000 --temperature 0 -t 1 --context 200000 --no-history");
    expect(&t, "> ");
    for (int i = 0; i < 2; i++) {
        type(&t, "go on\r");
        expect(&t, "go on\r\n");
        /* Once the answer has begun Ctrl-C is a signal; before, it is a key of the line's editor. */
        for (int k = 0; k < 20 && t.seen.length == 0; k++) sees(&t, "\1 never said", .5);
        type(&t, "\003");
        bool stopped = false;
        for (int k = 0; k < 60 && !stopped; k++) {
            stopped = sees(&t, "(stopped)", .5);
            if (!stopped) type(&t, "\003");
        }
        assert_true(stopped);
        expect(&t, "> ");
    }
    type(&t, "/stats\r");
    expect(&t, "4 messages"); /* what was said of the answers stays */
    type(&t, "/quit\r");
    assert_leaves(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pipe_asks_a_question_a_line),
        cmocka_unit_test(the_cache_is_kept_between_turns),
        cmocka_unit_test(old_messages_are_forgotten),
        cmocka_unit_test(user_text_is_not_special),
        cmocka_unit_test(a_terminal_edits_lines),
        cmocka_unit_test(interrupts_stop_the_answer),
    };
    return cmocka_run_group_tests(tests, make_model, remove_model);
}
