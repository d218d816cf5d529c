/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A connection to rtgtd over D-Bus, and its objects as they were when it was made. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Client Client;

typedef enum {
    CLIENT_ERROR_NO_DAEMON,   /* no bus, or nobody of the name on it */
    CLIENT_ERROR_NOT_FOUND,   /* no such target, LUN or session */
    CLIENT_ERROR_REFUSED,     /* by the daemon or the bus's policy */
    CLIENT_ERROR_INTERRUPTED, /* by a signal */
} ClientError;
#define CLIENT_ERROR client_error_quark()
GQuark client_error_quark(void);

/* bus: system, session or an address. Blocks. */
Client *client_new(const char *bus, GError **error);
void client_free(Client *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Client, client_free)

/* How long an answer may take, in milliseconds; otherwise it may take forever. */
void client_set_patience(Client *client, int ms);
/* Asks for the objects as they are now; those that were told before are gone. */
bool client_refresh(Client *client, GError **error);

/* One object, by its one interface; the variants live as long as the client. */
typedef struct {
    const char *path;
    GVariant *properties; /* a{sv} */
} ClientObject;

/* The objects that have org.rtgt.INTERFACE, in the order of their keys: targets by name, LUNs by
 * target and number, sessions by id. Array of ClientObject, g_array_unref(). */
GArray *client_objects(Client *client, const char *interface);
bool client_find_target(Client *client, const char *name, ClientObject *out, GError **error);
bool client_find_lun(Client *client, const char *target, const char *number, ClientObject *out,
                     GError **error);
bool client_find_session(Client *client, const char *id, ClientObject *out, GError **error);

/* Calls a method of org.rtgt.INTERFACE; a floating `arguments` is taken. The result is the whole
 * tuple. Blocks until the daemon has answered. */
GVariant *client_call(Client *client, const char *path, const char *interface, const char *method,
                      GVariant *arguments, GError **error);
/* GetStatistics of an object: a{sv}, or NULL with error. */
GVariant *client_statistics(Client *client, const char *path, const char *interface,
                            GError **error);
/* The properties of the object as they are now: a{sv}, or NULL with error. */
GVariant *client_properties(Client *client, const char *path, const char *interface,
                            GError **error);

/* Values of properties; "" and 0 where there is none. */
const char *object_string(const ClientObject *object, const char *property);
uint64_t object_number(const ClientObject *object, const char *property);
bool object_bool(const ClientObject *object, const char *property);
/* Items with ", " between them; g_free(). */
char *object_list(const ClientObject *object, const char *property);
uint64_t dict_number(GVariant *dict, const char *key);
