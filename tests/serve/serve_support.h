/* A whole server on a tiny random model, and a plain client. The model's tokens are bytes, so its
 * answers are noise; what matters is what becomes of them. */
#ifndef SAMP_TESTS_SERVE_SUPPORT_H
#define SAMP_TESTS_SERVE_SUPPORT_H

#include "base/clock.h"
#include "serve/server.h"
#include "support/byte_tokenizer.h"
#include "support/cmocka_all.h"
#include "support/tiny_model.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>

typedef struct served {
    char *folder;
    samp_server_options options;
    pthread_t thread;
    _Atomic int port;
    _Atomic bool ready, over;
    samp_status status;
    samp_error error;
} served;

static inline void write_text(const char *folder, const char *name, const char *text)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

/* Turns end with <end>; tools are read and written the Hermes way. */
#define TEMPLATE                                                                                   \
    "{%- for m in messages %}{{ m.role }}: {{ m.content }}<end>{% endfor %}"                       \
    "{%- if tools %}tools <tool_call>{{ tools | length }}{% endif %}"                              \
    "{%- if add_generation_prompt %}assistant: {% endif %}"

static inline char *served_folder(void)
{
    samp_config config = tiny_config();
    char *folder = tiny_folder(), *text = byte_tokenizer_text();
    config.vocab_size = BYTE_TOKENIZER_VOCABULARY;
    config.eos_tokens[0] = BYTE_TOKENIZER_END;
    tiny_write(folder, &config, 5);
    write_text(folder, "tokenizer.json", text);
    free(text);
    json_t *about = json_pack("{s:s, s:s}", "eos_token", "<end>", "chat_template", TEMPLATE);
    text = json_dumps(about, 0);
    write_text(folder, "tokenizer_config.json", text);
    free(text);
    json_decref(about);
    return folder;
}

static inline void served_bound(void *context, const samp_server *server)
{
    served *s = context;
    const char *colon = strrchr(samp_server_address(server, 0), ':');
    atomic_store(&s->port, atoi(colon + 1));
}

static inline void served_ready(void *context, const samp_server *server, double seconds)
{
    served *s = context;
    assert_non_null(strstr(samp_server_about(server), "fp32"));
    assert_true(seconds >= 0);
    atomic_store(&s->ready, true);
}

static inline void *served_main(void *context)
{
    served *s = context;
    s->status = samp_server_run(&s->options, &s->error);
    atomic_store(&s->over, true);
    return NULL;
}

/* Options may be changed between this and served_start. */
static inline void served_init(served *s)
{
    static const char *const addresses[] = {"127.0.0.1:0"};
    *s = (served){.folder = served_folder()};
    s->options = (samp_server_options){.folder = s->folder,
                                       .model_name = "tiny",
                                       .http = samp_http_options_default(),
                                       .drain_s = 20,
                                       .default_temperature = 1,
                                       .default_top_p = 1,
                                       .bound = served_bound,
                                       .ready = served_ready,
                                       .context = s};
    s->options.http.addresses = addresses;
    s->options.http.n_addresses = 1;
    s->options.engine.session.n_threads = 1;
    s->options.engine.session.context = 4096;
}

static inline void served_start(served *s)
{
    assert_int_equal(pthread_create(&s->thread, NULL, served_main, s), 0);
    double end = samp_clock() + 60;
    while (!atomic_load(&s->ready) && !atomic_load(&s->over) && samp_clock() < end) usleep(2000);
    if (atomic_load(&s->over)) fail_msg("%s", s->error.message);
    assert_true(atomic_load(&s->ready));
}

static inline void served_stop(served *s)
{
    if (!atomic_load(&s->over)) kill(getpid(), SIGTERM);
    pthread_join(s->thread, NULL);
    assert_int_equal(s->status, SAMP_OK);
    tiny_remove(s->folder);
}

/* ---- the client ---- */

static inline int client_connect(const served *s)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port)};
    struct timeval patience = {.tv_sec = 60};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline void client_send(int fd, const char *method, const char *path, const char *headers,
                               const char *body)
{
    samp_buffer text = {0};
    samp_buffer_printf(&text, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s", method, path,
                       headers ? headers : "");
    if (body) samp_buffer_printf(&text, "Content-Length: %zu\r\n", strlen(body));
    samp_buffer_printf(&text, "\r\n%s", body ? body : "");
    for (size_t at = 0; at < text.length;) {
        ssize_t n = send(fd, text.data + at, text.length - at, MSG_NOSIGNAL);
        assert_true(n > 0);
        at += (size_t)n;
    }
    samp_buffer_release(&text);
}

/* All that comes until the server closes: status, and the whole text with its head. */
static inline int client_receive(int fd, samp_buffer *text)
{
    char piece[4096];
    ssize_t n;
    while ((n = recv(fd, piece, sizeof piece, 0)) > 0) samp_buffer_append(text, piece, (size_t)n);
    close(fd);
    assert_true(n == 0 && text->length > 12);
    return atoi(text->data + 9);
}

static inline int ask(const served *s, const char *method, const char *path, const char *headers,
                      const char *body, samp_buffer *text)
{
    samp_buffer_clear(text);
    int fd = client_connect(s);
    client_send(fd, method, path, headers, body);
    return client_receive(fd, text);
}

/* The JSON behind an answer's head. */
static inline json_t *body_json(const samp_buffer *text)
{
    const char *body = strstr(text->data, "\r\n\r\n");
    assert_non_null(body);
    json_t *json = json_loads(body + 4, JSON_ALLOW_NUL, NULL);
    if (!json) fail_msg("not JSON: %s", text->data);
    return json;
}

static inline json_t *post(const served *s, const char *path, const char *body, int status)
{
    samp_buffer text = {0};
    int got = ask(s, "POST", path, NULL, body, &text);
    if (got != status) fail_msg("%d instead of %d for %.200s: %s", got, status, body, text.data);
    json_t *json = body_json(&text);
    samp_buffer_release(&text);
    return json;
}

/* The first value of that name in /metrics. */
static inline double metric(const served *s, const char *name)
{
    samp_buffer text = {0};
    char key[100];
    assert_int_equal(ask(s, "GET", "/metrics", NULL, NULL, &text), 200);
    snprintf(key, sizeof key, "\n%s{", name);
    const char *line = strstr(text.data, key);
    if (!line) fail_msg("no %s in /metrics", name);
    double value = atof(strchr(line, '}') + 1);
    samp_buffer_release(&text);
    return value;
}

#endif
