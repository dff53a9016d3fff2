/* Clients' addresses: as text for logs, and as a key to count connections by. */
#include "http/internal.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

bool samp__http_peer_key(const struct sockaddr_storage *address, samp__http_peer *key)
{
    *key = (samp__http_peer){0};
    if (address->ss_family == AF_INET) {
        key->bytes[10] = key->bytes[11] = 0xff; /* ::ffff:a.b.c.d */
        memcpy(key->bytes + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
        return true;
    }
    if (address->ss_family != AF_INET6) return false;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;
    memcpy(key->bytes, six, IN6_IS_ADDR_V4MAPPED(six) ? 16 : 8);
    return true;
}

unsigned samp__http_peer_bucket(const samp__http_peer *key)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < sizeof key->bytes; i++) hash = (hash ^ key->bytes[i]) * 16777619u;
    return hash % SAMP__HTTP_BUCKETS;
}

void samp__http_address_name(const struct sockaddr_storage *address, char *out, size_t size)
{
    char host[48], port[8];
    bool six = address->ss_family == AF_INET6;
    socklen_t length = six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if ((six || address->ss_family == AF_INET) &&
        getnameinfo((const struct sockaddr *)address, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(out, size, six ? "[%s]:%s" : "%s:%s", host, port);
    else
        snprintf(out, size, "unix");
}
