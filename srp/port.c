/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Targets, the routing of logins, and the records of sessions. */
#include "srp/port.h"

#include "core/base/bytes.h"
#include "core/daemon/acl.h"

#include <inttypes.h>
#include <netinet/in.h>

#define DEPTH        128
#define DEPTH_MAX    4096
#define CHANNELS     32
#define CHANNELS_MAX 1024
#define CHAP_USER    "chap-user" /* of iSCSI: known here to be refused */
#define IDLE_S       30
#define IU_LEN       73728 /* 64 KiB of immediate data, or 512 descriptors, and some */
#define IU_LEN_MAX   262144
#define IU_LEN_MIN   1024
#define IU_LEN_LEAST 64 /* below that a login makes no sense (SRP 6.2) */

struct SrpPort {
    const TransportHost *host;
    GHashTable *targets; /* TransportTarget by name */
    GList *sessions;     /* SrpSession */
    GQueue nexuses;      /* SrpNexus that management knows */
    unsigned next_loop;
    uint64_t ioc_guid;
    unsigned max_channels, idle_s, iu_len;
};

struct TransportTarget {
    SrpPort *port;
    char *name;
    ScsiTarget *scsi;
    Acl *acl;
    uint64_t id_ext;
    unsigned depth;
    unsigned sessions; /* SrpSession that name it */
    bool removing;
    LoopFn done;
    void *done_arg;
};

/* --- keys ---------------------------------------------------------------------------------------
 */

const char *const srp_port_keys[] = {"ioc-guid", "max-channels", "max-iu-length", "idle-timeout",
                                     NULL};
const char *const srp_target_keys[] = {"srp-id-ext", "queue-depth", CHAP_USER, NULL};

static bool parse_number(const char *key, const char *value, guint64 low, guint64 high,
                         unsigned *out, GError **error)
{
    guint64 number;
    if (!g_ascii_string_to_unsigned(value, 10, low, high, &number, NULL)) {
        g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                    "%s=%s: must be a number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, key,
                    value, low, high);
        return false;
    }
    *out = (unsigned)number;
    return true;
}

static bool parse_guid(const char *key, const char *value, uint64_t *out, GError **error)
{
    guint64 number = 0;
    const char *digits = g_str_has_prefix(value, "0x") ? value + 2 : value;
    if (strlen(digits) != 16 ||
        !g_ascii_string_to_unsigned(digits, 16, 1, UINT64_MAX, &number, NULL)) {
        g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                    "%s=%s: must be 16 hexadecimal digits, not all zero", key, value);
        return false;
    }
    *out = number;
    return true;
}

static bool set_key(SrpPort *port, const char *key, const char *value, GError **error)
{
    if (!strcmp(key, "ioc-guid"))
        return parse_guid(key, value, &port->ioc_guid, error);
    if (!strcmp(key, "max-channels"))
        return parse_number(key, value, 1, CHANNELS_MAX, &port->max_channels, error);
    if (!strcmp(key, "max-iu-length"))
        return parse_number(key, value, IU_LEN_MIN, IU_LEN_MAX, &port->iu_len, error);
    return parse_number(key, value, 1, 3600, &port->idle_s, error);
}

static bool set_target_key(TransportTarget *target, const char *key, const char *value,
                           GError **error)
{
    if (!strcmp(key, CHAP_USER))
        return true; /* srp_port_check_keys() says more */
    if (!strcmp(key, "srp-id-ext"))
        return parse_guid(key, value, &target->id_ext, error);
    return parse_number(key, value, SRP_LEAST_WINDOW, DEPTH_MAX, &target->depth, error);
}

bool srp_port_check_key(const char *key, const char *value, bool in_target, GError **error)
{
    SrpPort port;
    TransportTarget target;
    return in_target ? set_target_key(&target, key, value, error)
                     : set_key(&port, key, value, error);
}

bool srp_port_check_keys(const char *const *keys, const char *const *values, bool in_target,
                         const Secrets *secrets, const char **culprit, GError **error)
{
    (void)values, (void)secrets;
    if (!in_target || !g_strv_contains(keys, CHAP_USER))
        return true;
    *culprit = CHAP_USER;
    g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                "over SRP nobody can prove who he is: leave srp out of transports=");
    return false;
}

/* --- port ---------------------------------------------------------------------------------------
 */

char *srp_port_id_print(const uint8_t id[SRP_PORT_ID_LEN])
{
    GString *text = g_string_new("0x");
    for (unsigned i = 0; i < SRP_PORT_ID_LEN; i++)
        g_string_append_printf(text, "%02x", id[i]);
    return g_string_free(text, FALSE);
}

SrpPort *srp_port_new(const TransportHost *host, const Fabric *fabric)
{
    SrpPort *port = g_new0(SrpPort, 1);
    port->host = host;
    port->targets = g_hash_table_new(g_str_hash, g_str_equal);
    port->ioc_guid = fabric_node_guid(fabric);
    port->max_channels = CHANNELS;
    port->idle_s = IDLE_S;
    port->iu_len = IU_LEN;
    for (unsigned i = 0; i < host->n_keys; i++)
        set_key(port, host->keys[i], host->values[i], NULL);
    g_message("SRP: ioc_guid=%016" PRIx64, port->ioc_guid);
    return port;
}

void srp_port_free(SrpPort *port)
{
    if (!port)
        return;
    g_assert(g_hash_table_size(port->targets) == 0);
    while (port->sessions)
        g_main_context_iteration(loop_context(port->host->main), TRUE);
    g_hash_table_unref(port->targets);
    g_free(port);
}

/* --- targets ------------------------------------------------------------------------------------
 */

static uint64_t hash_name(const char *name)
{
    uint8_t digest[32];
    gsize len = sizeof digest;
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(sum, (const guchar *)name, -1);
    g_checksum_get_digest(sum, digest, &len);
    return get_be64(digest);
}

static TransportTarget *find_target(const SrpPort *port, uint64_t id_ext)
{
    GHashTableIter iter;
    void *value;
    g_hash_table_iter_init(&iter, port->targets);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (((TransportTarget *)value)->id_ext == id_ext)
            return value;
    return NULL;
}

static void target_free(TransportTarget *target)
{
    acl_free(target->acl);
    g_free(target->name);
    g_free(target);
}

static bool target_init(TransportTarget *target, const TransportTargetSpec *spec, GError **error)
{
    const char *culprit;
    if (!srp_port_check_keys(spec->keys, spec->values, true, spec->secrets, &culprit, error))
        return false;
    for (unsigned i = 0; i < spec->n_keys; i++)
        if (!set_target_key(target, spec->keys[i], spec->values[i], error))
            return false;
    const TransportTarget *other = find_target(target->port, target->id_ext);
    if (other) {
        g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                    "srp-id-ext=%016" PRIx64 " is that of target %s already", target->id_ext,
                    other->name);
        return false;
    }
    target->acl = acl_new(spec->allow_all, spec->allow, spec->n_allow, error);
    return target->acl != NULL;
}

TransportTarget *srp_port_add_target(SrpPort *port, const TransportTargetSpec *spec, GError **error)
{
    TransportTarget *target = g_new0(TransportTarget, 1);
    *target = (TransportTarget){.port = port,
                                .name = g_strdup(spec->name),
                                .scsi = spec->scsi,
                                .id_ext = hash_name(spec->name),
                                .depth = DEPTH};
    if (!target_init(target, spec, error)) {
        target_free(target);
        return NULL;
    }
    g_hash_table_insert(port->targets, target->name, target);
    g_message("target %s over SRP: id_ext=%016" PRIx64 ",ioc_guid=%016" PRIx64, target->name,
              target->id_ext, port->ioc_guid);
    return target;
}

void srp_port_describe(TransportTarget *target,
                       void (*tell)(void *arg, const char *name, const char *value), void *arg)
{
    char text[17];
    g_snprintf(text, sizeof text, "%016" PRIx64, target->id_ext);
    tell(arg, "id_ext", text);
    g_snprintf(text, sizeof text, "%016" PRIx64, target->port->ioc_guid);
    tell(arg, "ioc_guid", text);
}

static void target_removed(TransportTarget *target)
{
    loop_call(target->port->host->main, target->done, target->done_arg);
    target_free(target);
}

void srp_port_remove_target(TransportTarget *target, LoopFn done, void *arg)
{
    SrpPort *port = target->port;
    g_hash_table_remove(port->targets, target->name);
    target->removing = true;
    target->done = done;
    target->done_arg = arg;
    for (GList *l = port->sessions; l; l = l->next) {
        SrpSession *session = l->data;
        if (session->target != target)
            continue;
        g_atomic_int_inc(&session->refs);
        loop_call(session->home, srp_session_end, session);
    }
    if (target->sessions == 0)
        target_removed(target);
}

/* --- sessions -----------------------------------------------------------------------------------
 */

static SrpSession *session_new(TransportTarget *target, const SrpLogin *login)
{
    SrpPort *port = target->port;
    SrpSession *session = g_new0(SrpSession, 1);
    session->port = port;
    session->target = target;
    session->scsi = target->scsi;
    session->host = port->host;
    session->home = port->host->io_loops[port->next_loop++ % port->host->n_io_loops];
    session->initiator = srp_port_id_print(login->initiator);
    session->target_name = g_strdup(target->name);
    memcpy(session->initiator_id, login->initiator, SRP_PORT_ID_LEN);
    memcpy(session->target_id, login->target, SRP_PORT_ID_LEN);
    session->depth = target->depth;
    session->max_channels = port->max_channels;
    session->idle_ms = port->idle_s * 1000;
    target->sessions++;
    port->sessions = g_list_prepend(port->sessions, session);
    return session;
}

static void session_free(SrpSession *session)
{
    TransportTarget *target = session->target;
    g_assert(!session->nexus && g_queue_is_empty(&session->waiting));
    session->port->sessions = g_list_remove(session->port->sessions, session);
    g_free(session->initiator);
    g_free(session->target_name);
    g_free(session);
    if (--target->sessions == 0 && target->removing)
        target_removed(target);
}

/* On loop 0, where they are looked for. */
static void unref_here(void *arg)
{
    SrpSession *session = arg;
    if (g_atomic_int_dec_and_test(&session->refs))
        session_free(session);
}

void srp_session_unref(SrpSession *session)
{
    loop_call(session->host->main, unref_here, session);
}

static SrpSession *find_session(TransportTarget *target, const SrpLogin *login)
{
    for (GList *l = target->port->sessions; l; l = l->next) {
        SrpSession *session = l->data;
        if (session->target == target &&
            !memcmp(session->initiator_id, login->initiator, SRP_PORT_ID_LEN))
            return session;
    }
    return session_new(target, login);
}

/* --- logins -------------------------------------------------------------------------------------
 */

/* An entry of the access list may name the port identifier, the GUID in it, or an address: that of
 * the RDMA connection manager or the GID. */
static bool admits(const TransportTarget *target, const ConnectRequest *request,
                   const uint8_t id[SRP_PORT_ID_LEN])
{
    g_autofree char *full = srp_port_id_print(id);
    const char *const names[] = {full, full + 2, full + 2 + SRP_PORT_ID_LEN};
    struct sockaddr_storage gid = {.ss_family = AF_INET6};
    memcpy(&((struct sockaddr_in6 *)&gid)->sin6_addr, request->peer_gid, sizeof request->peer_gid);
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        if (acl_admits(target->acl, names[i], &request->peer) ||
            acl_admits(target->acl, names[i], &gid))
            return true;
    return false;
}

static SrpRejReason examine(SrpPort *port, const ConnectRequest *request, SrpTicket *ticket)
{
    SrpLogin *login = &ticket->login;
    if (!srp_login_decode(request->private_data, request->private_len, login) ||
        login->iu_len < IU_LEN_LEAST || request->peer_reads == 0)
        return SRP_REJ_CANNOT_ESTABLISH;
    if (login->iu_len > port->iu_len)
        return SRP_REJ_IU_TOO_LONG;
    if (login->formats & ~(SRP_FORMAT_DIRECT | SRP_FORMAT_INDIRECT))
        return SRP_REJ_FORMAT;
    if (login->unknown_action)
        return SRP_REJ_MULTICHANNEL;
    TransportTarget *target = find_target(port, get_be64(login->target));
    if (!target || get_be64(login->target + 8) != port->ioc_guid ||
        !admits(target, request, login->initiator))
        return SRP_REJ_CANNOT_ASSOCIATE;
    ticket->session = find_session(target, login);
    g_atomic_int_inc(&ticket->session->refs);
    return 0;
}

Loop *srp_port_route(ConnectRequest *request, void *arg)
{
    SrpPort *port = arg;
    SrpTicket *ticket = g_new0(SrpTicket, 1);
    ticket->reason = examine(port, request, ticket);
    request->routed = ticket;
    return ticket->session ? ticket->session->home : port->host->io_loops[0];
}

void srp_ticket_free(void *arg)
{
    SrpTicket *ticket = arg;
    if (ticket->session)
        srp_session_unref(ticket->session);
    g_free(ticket);
}

/* --- records ------------------------------------------------------------------------------------
 */

void srp_port_nexus_added(void *arg)
{
    SrpNexus *nexus = arg;
    SrpPort *port = nexus->session->port;
    nexus->node.data = nexus;
    g_queue_push_tail_link(&port->nexuses, &nexus->node);
    port->host->session_added(port->host->arg, &nexus->record);
}

typedef struct {
    SrpNexus *nexus;
    GVariant *negotiated;
} Change;

static void change_here(void *arg)
{
    g_autofree Change *change = arg;
    const TransportHost *host = change->nexus->session->host;
    SessionRecord *record = &change->nexus->record;
    g_variant_unref(record->negotiated);
    record->negotiated = change->negotiated;
    host->session_changed(host->arg, record);
}

void srp_port_nexus_changed(SrpNexus *nexus, GVariant *negotiated)
{
    Change *change = g_new(Change, 1);
    *change = (Change){nexus, negotiated};
    loop_call(nexus->session->host->main, change_here, change);
}

void srp_port_nexus_gone(void *arg)
{
    SrpNexus *nexus = arg;
    SrpSession *session = nexus->session;
    const TransportHost *host = session->host;
    host->session_removed(host->arg, &nexus->record);
    g_queue_unlink(&session->port->nexuses, &nexus->node);
    g_free(nexus->record.local_address);
    g_free(nexus->record.peer_address);
    g_variant_unref(nexus->record.negotiated);
    g_free(nexus);
    srp_session_unref(session);
}

/* The record may be gone when loop 0 hears of it: it is looked up again. */
typedef struct {
    SrpPort *port;
    uint64_t id;
} Drop;

static void drop_here(void *arg)
{
    g_autofree Drop *drop = arg;
    for (GList *l = drop->port->nexuses.head; l; l = l->next) {
        const SrpNexus *nexus = l->data;
        if (nexus->record.id != drop->id)
            continue;
        g_atomic_int_inc(&nexus->session->refs);
        loop_call(nexus->session->home, srp_session_log_out, nexus->session);
    }
}

void srp_port_drop(SessionRecord *record)
{
    const SrpNexus *nexus = (SrpNexus *)((char *)record - offsetof(SrpNexus, record));
    Drop *drop = g_new(Drop, 1);
    *drop = (Drop){nexus->session->port, record->id};
    loop_call(nexus->session->host->main, drop_here, drop);
}
