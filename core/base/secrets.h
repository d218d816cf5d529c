/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Secrets of initiators and targets, from a file of their own that nobody else may read. Constant
 * once loaded: any thread. Their memory is wiped before it is freed. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a secret. RFC 7143 9.2.1 forbids less than 96 bits without IPsec. */
#define SECRET_LEN_MIN 12
#define SECRET_LEN_MAX 255

/* A secret proves who one side is; the same one for both would let a target's answer be sent back
 * to it as an initiator's (RFC 1994 section 2.3). So every entry has one role, and no two entries
 * have the same secret. */
typedef enum { SECRET_OF_INITIATOR, SECRET_OF_TARGET } SecretRole;

typedef struct {
    SecretRole role;
    unsigned line; /* in the file */
    char *name;
    uint8_t *bytes;
    size_t len;
} Secret;

typedef struct Secrets Secrets;

/* Reads the groups [initiator NAME] and [target NAME], each with secret=TEXT or secret-hex=DIGITS.
 * The file must be regular, of this user or root, and closed to group and others. Blocks. The error
 * names the file and the line or the mode, and quotes nothing of what it holds. */
Secrets *secrets_load(const char *path, GError **error);
/* The same from memory, which is overwritten; `name` stands for the file in errors. */
Secrets *secrets_parse(const char *name, char *text, size_t len, GError **error);
void secrets_free(Secrets *secrets); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Secrets, secrets_free)

const Secret *secrets_find(const Secrets *secrets, SecretRole role, const char *name);

/* A copy of one, and its end; NULL is allowed. */
Secret *secret_copy(const Secret *secret);
void secret_free(Secret *secret);
