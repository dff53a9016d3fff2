/* TLS with certificates made here: handshake, versions, ALPN, streams, disconnects, new files while
 * the server runs, and what is said when they do not fit. */
#include "http_support.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

typedef struct files {
    char certificate[96], key[96];
} files;

static files name_files(const char *which)
{
    files f;
    snprintf(f.certificate, sizeof f.certificate, "/tmp/samp-tls-%d-%s.pem", (int)getpid(), which);
    snprintf(f.key, sizeof f.key, "/tmp/samp-tls-%d-%s.key", (int)getpid(), which);
    return f;
}

/* A key and a certificate for it, named `name`, signed by itself. */
static void make_certificate(const files *f, const char *name, const char *pass_phrase)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, subject);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    FILE *out = fopen(f->certificate, "w");
    assert_int_equal(PEM_write_X509(out, certificate), 1);
    fclose(out);
    out = fopen(f->key, "w");
    assert_int_equal(PEM_write_PrivateKey(out, key, pass_phrase ? EVP_aes_256_cbc() : NULL,
                                          (const unsigned char *)pass_phrase,
                                          pass_phrase ? (int)strlen(pass_phrase) : 0, NULL, NULL),
                     1);
    fclose(out);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void remove_files(const files *f)
{
    unlink(f->certificate);
    unlink(f->key);
}

/* ---- a client ---- */

typedef struct secure {
    int fd;
    SSL_CTX *context;
    SSL *ssl;
} secure;

/* protocols: for ALPN, or NULL. false when the handshake failed. */
static bool secure_open(secure *s, const host *h, int version, const char *protocols)
{
    s->fd = client_open(h);
    s->context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(s->context, 0);
    SSL_CTX_set_min_proto_version(s->context, version);
    SSL_CTX_set_max_proto_version(s->context, version);
    s->ssl = SSL_new(s->context);
    if (protocols)
        SSL_set_alpn_protos(s->ssl, (const unsigned char *)protocols, (unsigned)strlen(protocols));
    SSL_set_fd(s->ssl, s->fd);
    return SSL_connect(s->ssl) == 1;
}

static void secure_close(secure *s)
{
    SSL_free(s->ssl);
    SSL_CTX_free(s->context);
    close(s->fd);
    ERR_clear_error();
}

static void secure_text(secure *s, const char *text)
{
    assert_int_equal(SSL_write(s->ssl, text, (int)strlen(text)), (int)strlen(text));
}

static bool secure_more(secure *s, samp_buffer *text)
{
    char bytes[16384];
    int n = SSL_read(s->ssl, bytes, sizeof bytes);
    if (n > 0) samp_buffer_append(text, bytes, (size_t)n);
    return n > 0;
}

static void secure_until(secure *s, samp_buffer *text, const char *mark)
{
    while (!text->data || !strstr(text->data, mark)) assert_true(secure_more(s, text));
}

/* The name in the server's certificate. */
static void check_name(const secure *s, const char *expected)
{
    char name[64] = "";
    X509 *certificate = SSL_get1_peer_certificate(s->ssl);
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                              sizeof name);
    X509_free(certificate);
    assert_string_equal(name, expected);
}

/* ---- the server ---- */

static atomic_uint closed;
static _Atomic(samp_http_exchange *) kept;

static void on_close(void *context, const samp_http_outcome *outcome)
{
    (void)context, (void)outcome;
    atomic_fetch_add(&closed, 1);
}

static void serve(void *context, samp_http_exchange *exchange, const samp_http_request *request)
{
    (void)context;
    if (strcmp(request->path, "/later") == 0) {
        samp_http_on_close(exchange, on_close, NULL);
        atomic_store(&kept, samp_http_exchange_retain(exchange));
    } else if (strcmp(request->path, "/much") == 0) {
        char *much = calloc(1, 4 << 20);
        samp_http_respond(exchange, 200, "text/plain", much, 4 << 20);
        free(much);
    } else {
        samp_http_respond(exchange, 200, "text/plain", request->body, request->body_length);
    }
}

static host start(const files *f, samp_http_options *options, double head_seconds)
{
    *options = host_options();
    options->tls_certificate = f->certificate;
    options->tls_key = f->key;
    options->head_seconds = head_seconds;
    atomic_store(&closed, 0);
    return host_start(options, serve, NULL);
}

static void clients_speak_tls(void **state)
{
    (void)state;
    files f = name_files("one");
    make_certificate(&f, "one.test", NULL);
    samp_http_options options;
    host h = start(&f, &options, 10);
    samp_buffer text = {0};
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (int i = 0; i < 2; i++) {
        secure s;
        assert_true(secure_open(&s, &h, versions[i], i ? "\x02h2\x08http/1.1" : NULL));
        check_name(&s, "one.test");
        const unsigned char *protocol;
        unsigned n;
        SSL_get0_alpn_selected(s.ssl, &protocol, &n);
        assert_int_equal(n, i ? 8 : 0);
        for (int again = 0; again < 2; again++) { /* keep-alive */
            secure_text(&s, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
            samp_buffer_clear(&text);
            secure_until(&s, &text, "\r\n\r\nhello");
        }
        secure_text(&s, "GET /much HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
        samp_buffer_clear(&text);
        while (secure_more(&s, &text)) {}
        assert_true(text.length > 4 << 20);
        /* Closed in order: nobody has cut the answer. */
        assert_int_equal(SSL_get_shutdown(s.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
        secure_close(&s);
    }
    samp_buffer_release(&text);
    host_stop(&h);
    remove_files(&f);
}

static void what_is_not_tls_12_is_refused_58(void **state)
{
    (void)state;
    files f = name_files("one");
    make_certificate(&f, "one.test", NULL);
    samp_http_options options;
    host h = start(&f, &options, 0.5);
    secure s;
    assert_false(secure_open(&s, &h, TLS1_1_VERSION, NULL));
    secure_close(&s);
    assert_false(secure_open(&s, &h, TLS1_3_VERSION, "\x02h2"));
    secure_close(&s);
    samp_buffer text = {0};
    int fd = client_open(&h); /* plain HTTP */
    client_text(fd, GET("/"));
    client_to_end(fd, &text);
    assert_true(text.length < 10); /* an alert at most */
    close(fd);
    double began = samp_clock();
    fd = client_open(&h); /* no hello at all: the handshake has a time limit */
    client_to_end(fd, &text);
    assert_true(samp_clock() - began >= 0.49 && samp_clock() - began < 10);
    close(fd);
    UNTIL(host_counters(&h).connections_open == 0);
    samp_buffer_release(&text);
    host_stop(&h);
    remove_files(&f);
}

static void streams_and_disconnects_work_over_tls(void **state)
{
    (void)state;
    files f = name_files("one");
    make_certificate(&f, "one.test", NULL);
    samp_http_options options;
    host h = start(&f, &options, 10);
    samp_buffer text = {0};
    for (unsigned how = 0; how < 3; how++) {
        secure s;
        atomic_store(&kept, NULL);
        assert_true(secure_open(&s, &h, TLS1_3_VERSION, NULL));
        secure_text(&s, GET("/later"));
        UNTIL(atomic_load(&kept));
        samp_http_exchange *exchange = atomic_load(&kept);
        assert_int_equal(samp_http_sse_begin(exchange), SAMP_OK);
        assert_int_equal(samp_http_sse_send(exchange, "one", 3), SAMP_OK);
        samp_buffer_clear(&text);
        secure_until(&s, &text, "data: one\n\n");
        if (how == 0) samp_http_sse_end(exchange);
        if (how == 0) secure_until(&s, &text, "\r\n0\r\n\r\n");
        if (how == 1) SSL_shutdown(s.ssl);
        secure_close(&s);
        UNTIL(atomic_load(&closed) == how + 1);
        assert_int_equal(samp_http_sse_send(exchange, "two", 3), SAMP_CANCELLED);
        samp_http_exchange_release(exchange);
    }
    assert_int_equal(host_counters(&h).clients_gone, 2);
    samp_buffer_release(&text);
    host_stop(&h);
    remove_files(&f);
}

static void certificates_are_reloaded_66(void **state)
{
    (void)state;
    files f = name_files("one");
    make_certificate(&f, "one.test", NULL);
    samp_http_options options;
    host h = start(&f, &options, 10);
    samp_error error = {0};
    secure before, after;
    assert_true(secure_open(&before, &h, TLS1_3_VERSION, NULL));
    make_certificate(&f, "two.test", NULL);
    assert_int_equal(samp_http_server_reload_tls(h.server, &error), SAMP_OK);
    assert_true(secure_open(&after, &h, TLS1_3_VERSION, NULL));
    check_name(&before, "one.test");
    check_name(&after, "two.test");
    samp_buffer text = {0};
    secure_text(&before, GET("/")); /* goes on with the old one */
    secure_until(&before, &text, "\r\n\r\n");
    secure_close(&after);
    /* A file that is not ready yet changes nothing. */
    FILE *broken = fopen(f.certificate, "w");
    fputs("-----BEGIN CERTIFICATE-----\n", broken);
    fclose(broken);
    assert_int_equal(samp_http_server_reload_tls(h.server, &error), SAMP_CORRUPT);
    assert_non_null(strstr(error.message, f.certificate));
    assert_true(secure_open(&after, &h, TLS1_3_VERSION, NULL));
    check_name(&after, "two.test");
    secure_close(&after);
    secure_close(&before);
    samp_buffer_release(&text);
    host_stop(&h);
    remove_files(&f);
}

static void files_that_do_not_fit_are_named(void **state)
{
    (void)state;
    files one = name_files("one"), two = name_files("two"), secret = name_files("secret");
    make_certificate(&one, "one.test", NULL);
    make_certificate(&two, "two.test", NULL);
    make_certificate(&secret, "secret.test", "pass");
    const struct {
        const char *certificate, *key, *in_message;
    } rows[] = {{one.certificate, two.key, two.key},
                {secret.certificate, secret.key, secret.key},
                {one.key, one.key, one.key},
                {one.certificate, "/nowhere.key", "/nowhere.key"},
                {"/nowhere.pem", one.key, "/nowhere.pem"},
                {one.certificate, NULL, "certificate"},
                {NULL, one.key, "key"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        samp_http_options options = host_options();
        options.tls_certificate = rows[i].certificate;
        options.tls_key = rows[i].key;
        samp_http_server *server;
        samp_error error = {0};
        assert_int_not_equal(samp_http_server_open(&server, &options, serve, NULL, &error),
                             SAMP_OK);
        assert_null(server);
        if (!strstr(error.message, rows[i].in_message)) fail_msg("%s", error.message);
    }
    remove_files(&one);
    remove_files(&two);
    remove_files(&secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_speak_tls),
        cmocka_unit_test(what_is_not_tls_12_is_refused_58),
        cmocka_unit_test(streams_and_disconnects_work_over_tls),
        cmocka_unit_test(certificates_are_reloaded_66),
        cmocka_unit_test(files_that_do_not_fit_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
