/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Socket addresses as text: "1.2.3.4:3260", "[::1]:3260". */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* The caller's; "unknown" for other families. An IPv4-mapped address is written as IPv4. */
char *address_print(const struct sockaddr_storage *address);
/* From that text, numeric, with a port above 0. False: it is none. */
bool address_parse(const char *text, struct sockaddr_storage *out);
uint16_t address_port(const struct sockaddr_storage *address);
void address_set_port(struct sockaddr_storage *address, uint16_t port);
bool address_is_wildcard(const struct sockaddr_storage *address);
