/* TLS by OpenSSL: version 1.2 or later, no compression, no renegotiation, HTTP/1.1 by ALPN. */
#include "http/internal.h"

#include "base/error.h"

#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

/* The first thing OpenSSL has to say about the last failure. */
static const char *openssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    return reason ? reason : "no reason given";
}

/* A server has nobody to ask for a pass phrase. */
static int no_pass_phrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

/* Clients that offer protocols must offer ours. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                           const unsigned char *offered, unsigned n, void *context)
{
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl, (void)context;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_size, ours, sizeof ours - 1, offered, n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

void *samp__http_tls_load(const char *certificate, const char *key, samp_error *error)
{
    ERR_clear_error();
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    if (!tls) {
        samp_fail(error, SAMP_NOMEM, "OpenSSL cannot make a TLS context: %s", openssl_reason());
        return NULL;
    }
    SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
    SSL_CTX_set_options(tls, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS); /* idle connections need none */
    SSL_CTX_set_default_passwd_cb(tls, no_pass_phrase);
    SSL_CTX_set_alpn_select_cb(tls, choose_protocol, NULL);
    if (SSL_CTX_use_certificate_chain_file(tls, certificate) != 1)
        samp_fail(error, SAMP_CORRUPT, "%s is no certificate in PEM form that OpenSSL can use: %s",
                  certificate, openssl_reason());
    else if (SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1)
        samp_fail(error, SAMP_CORRUPT,
                  "%s is no private key (PEM, without pass phrase) of the certificate %s: %s", key,
                  certificate, openssl_reason());
    else
        return tls;
    SSL_CTX_free(tls);
    return NULL;
}

void samp__http_tls_free(void *tls) { SSL_CTX_free(tls); }

struct bufferevent *samp__http_tls_accept(struct event_base *base, void *tls, int fd)
{
    SSL *ssl = SSL_new(tls);
    if (!ssl) return NULL;
    struct bufferevent *stream = bufferevent_openssl_socket_new(
        base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (!stream) {
        SSL_free(ssl);
        return NULL;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(stream, 1);
    return stream;
}

void samp__http_tls_shutdown(struct bufferevent *stream)
{
    ERR_clear_error();
    SSL_shutdown(bufferevent_openssl_get_ssl(stream));
}
