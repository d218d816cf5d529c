/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Socket addresses as text. */
#include "core/base/address.h"

#include <arpa/inet.h>
#include <glib.h>
#include <netinet/in.h>
#include <string.h>

uint16_t address_port(const struct sockaddr_storage *address)
{
    /* sin_port and sin6_port lie at the same place. */
    return ntohs(((const struct sockaddr_in *)address)->sin_port);
}

void address_set_port(struct sockaddr_storage *address, uint16_t port)
{
    ((struct sockaddr_in *)address)->sin_port = htons(port);
}

bool address_is_wildcard(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ((const struct sockaddr_in *)address)->sin_addr.s_addr == INADDR_ANY;
    return address->ss_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

char *address_print(const struct sockaddr_storage *address)
{
    char text[INET6_ADDRSTRLEN];
    const struct in6_addr *ipv6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
    if (address->ss_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, sizeof text);
    else if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(ipv6))
        inet_ntop(AF_INET, ipv6->s6_addr + 12, text, sizeof text);
    else if (address->ss_family == AF_INET6)
        inet_ntop(AF_INET6, ipv6, text, sizeof text);
    else
        return g_strdup("unknown");
    bool brackets = address->ss_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(ipv6);
    return g_strdup_printf(brackets ? "[%s]:%u" : "%s:%u", text, address_port(address));
}

bool address_parse(const char *text, struct sockaddr_storage *out)
{
    const char *colon = strrchr(text, ':');
    guint64 port;
    if (!colon || !g_ascii_string_to_unsigned(colon + 1, 10, 1, UINT16_MAX, &port, NULL))
        return false;
    bool brackets = *text == '[' && colon > text + 1 && colon[-1] == ']';
    g_autofree char *host = g_strndup(text + brackets, (gsize)(colon - text) - (brackets ? 2 : 0));
    memset(out, 0, sizeof *out);
    out->ss_family = brackets ? AF_INET6 : AF_INET;
    address_set_port(out, (uint16_t)port);
    return brackets ? inet_pton(AF_INET6, host, &((struct sockaddr_in6 *)out)->sin6_addr) == 1
                    : inet_pton(AF_INET, host, &((struct sockaddr_in *)out)->sin_addr) == 1;
}
