/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections as loop 0 sees them: how many may be without a session, which target they get, who
 * replaces whom. */
#include "iser/iscsi/address.h"
#include "iser/iscsi/portal_impl.h"

static void answer(PortalLink *link)
{
    loop_call(link->home, link->answered, link->owner);
}

static void ask(PortalLink *link, LoopFn question)
{
    loop_call(link->portal->host->main, question, link);
}

void portal_link_drop(PortalLink *link)
{
    link->dropped = true;
    loop_call(link->home, link->drop, link->owner);
}

/* --- attach ------------------------------------------------------------------------------------*/

/* The oldest of those without a session makes room: a peer that opens connections and stays silent
 * must not keep others out. */
static void drop_oldest_pending(IscsiPortal *portal)
{
    for (GList *l = portal->links.head; l; l = l->next) {
        PortalLink *link = l->data;
        if (!link->dropped && (link->state == LINK_PENDING || link->state == LINK_DISCOVERY)) {
            portal_link_drop(link);
            return;
        }
    }
}

static void attach(void *arg)
{
    PortalLink *link = arg;
    IscsiPortal *portal = link->portal;
    link->node.data = link;
    g_queue_push_tail_link(&portal->links, &link->node);
    if (portal->stopping)
        portal_link_drop(link);
    else if (__atomic_load_n(&portal->pending, __ATOMIC_RELAXED) > portal->config.max_logins)
        drop_oldest_pending(portal);
}

/* Twice the limit is refused at once, so that what waits to be dropped is bounded too. */
bool portal_attach(PortalLink *link)
{
    IscsiPortal *portal = link->portal;
    unsigned before = __atomic_fetch_add(&portal->pending, 1, __ATOMIC_RELAXED);
    if (before >= 2 * portal->config.max_logins) {
        __atomic_sub_fetch(&portal->pending, 1, __ATOMIC_RELAXED);
        return false;
    }
    __atomic_add_fetch(&portal->attached, 1, __ATOMIC_RELAXED);
    ask(link, attach);
    return true;
}

/* --- resolve -----------------------------------------------------------------------------------*/

/* Whether a connection with this address of ours came in by the listener. */
static bool came_by(const struct sockaddr_storage *local, const PortalAddress *listener)
{
    const struct sockaddr_storage *address = &listener->address;
    if (address_is_wildcard(address))
        return address->ss_family == local->ss_family &&
               address_port(address) == address_port(local);
    g_autofree char *ours = address_print(local), *theirs = address_print(address);
    return !strcmp(ours, theirs);
}

/* The portal group that the connection came in by. */
static uint16_t find_group(const PortalLink *link)
{
    const GArray *listeners = link->portal->addresses;
    for (guint i = 0; i < listeners->len; i++) {
        const PortalAddress *listener = &g_array_index(listeners, PortalAddress, i);
        if (came_by(&link->local, listener))
            return listener->group_tag;
    }
    return link->portal->config.group_tag;
}

static bool same_port(const PortalLink *a, const PortalLink *b)
{
    return a->target == b->target && a->group_tag == b->group_tag &&
           !memcmp(a->isid, b->isid, sizeof a->isid) && !strcmp(a->initiator, b->initiator);
}

static PortalLink *find_session(const PortalLink *link)
{
    for (GList *l = link->portal->links.head; l; l = l->next) {
        PortalLink *other = l->data;
        if (other != link && other->state == LINK_SESSION && !other->given_up &&
            same_port(link, other))
            return other;
    }
    return NULL;
}

/* A login with a TSIH wants to add a connection to a session, of which there is one per session
 * (13.2); with the CID of that one it takes its place (6.3.4). */
static LoginStatus check_tsih(const PortalLink *link)
{
    if (!link->asked_tsih)
        return LOGIN_SUCCESS;
    const PortalLink *session = find_session(link);
    if (!session || session->tsih != link->asked_tsih)
        return LOGIN_NO_SESSION;
    return session->cid == link->cid ? LOGIN_SUCCESS : LOGIN_TOO_MANY_CONNECTIONS;
}

static LoginStatus resolve_target(PortalLink *link)
{
    TransportTarget *target = g_hash_table_lookup(link->portal->targets, link->target_name);
    if (!target)
        return LOGIN_NOT_FOUND;
    if (!settings_have_group(&target->settings, link->group_tag))
        return LOGIN_NOT_FOUND;
    if (!acl_admits(target->acl, link->initiator, &link->peer))
        return LOGIN_AUTHORIZATION_FAILURE;
    target->users++;
    link->target = target;
    link->scsi = target->scsi;
    link->resolved.offer = target->offer;
    link->resolved.alias = target->alias;
    link->resolved.portal_group_tag = link->group_tag;
    link->resolved.auth = target->settings.auth;
    link->resolved.moved_to = target->settings.redirect;
    return target->settings.redirect ? target->settings.redirect_status : check_tsih(link);
}

static LoginStatus resolve_discovery(PortalLink *link)
{
    keys_ours(&link->resolved.offer);
    link->resolved.auth = link->portal->discovery_auth;
    return link->asked_tsih ? LOGIN_NO_SESSION : LOGIN_SUCCESS;
}

static void resolve(void *arg)
{
    PortalLink *link = arg;
    link->group_tag = find_group(link);
    if (link->portal->stopping)
        link->resolved.status = LOGIN_SERVICE_UNAVAILABLE;
    else if (!link->discovery)
        link->resolved.status = resolve_target(link);
    else
        link->resolved.status = resolve_discovery(link);
    answer(link);
}

void portal_resolve(PortalLink *link)
{
    ask(link, resolve);
}

/* --- register ----------------------------------------------------------------------------------*/

/* SessionRecord.drop comes from any thread; what it holds on to is looked up again on loop 0. */
typedef struct {
    IscsiPortal *portal;
    uint64_t id;
} DropRequest;

static void drop_by_id(void *arg)
{
    g_autofree DropRequest *request = arg;
    for (GList *l = request->portal->links.head; l; l = l->next) {
        PortalLink *link = l->data;
        if (link->state == LINK_SESSION && link->record.id == request->id)
            loop_call(link->home, link->log_out, link->owner);
    }
}

static PortalLink *link_of(SessionRecord *record)
{
    return (PortalLink *)((char *)record - offsetof(PortalLink, record));
}

static void record_drop(SessionRecord *record)
{
    DropRequest *request = g_new(DropRequest, 1);
    request->portal = link_of(record)->portal;
    request->id = record->id;
    loop_call(request->portal->host->main, drop_by_id, request);
}

static void add_record(PortalLink *link)
{
    static uint64_t last_id; /* of all portals; loop 0 only */
    const TransportHost *host = link->portal->host;
    link->record = (SessionRecord){
        .id = ++last_id,
        .transport = link->portal->config.transport,
        .target = link->target->name,
        .initiator = link->initiator,
        .local_address = address_print(&link->local),
        .peer_address = address_print(&link->peer),
        .loop = loop_index(link->home),
        .negotiated = g_variant_ref_sink(g_steal_pointer(&link->negotiated)),
        .auth_method = link->auth_method,
        .auth_algorithm = link->auth_algorithm,
        .auth_user = link->auth_user,
        .drop = record_drop,
    };
    host->session_added(host->arg, &link->record);
}

static void remove_record(PortalLink *link)
{
    const TransportHost *host = link->portal->host;
    host->session_removed(host->arg, &link->record);
    g_free(link->record.local_address);
    g_free(link->record.peer_address);
    g_variant_unref(link->record.negotiated);
}

static bool tsih_is_used(const IscsiPortal *portal, uint16_t tsih)
{
    for (GList *l = portal->links.head; l; l = l->next) {
        const PortalLink *link = l->data;
        if (link->tsih == tsih)
            return true;
    }
    return false;
}

static uint16_t new_tsih(IscsiPortal *portal)
{
    do
        portal->last_tsih++;
    while (!portal->last_tsih || tsih_is_used(portal, portal->last_tsih));
    return portal->last_tsih;
}

/* A connection that is reinstated keeps the session's handle, which nobody else has got since. */
static void grant(PortalLink *link)
{
    link->tsih = link->asked_tsih && !tsih_is_used(link->portal, link->asked_tsih)
                     ? link->asked_tsih
                     : new_tsih(link->portal);
    link->status = LOGIN_SUCCESS;
    if (link->discovery) {
        link->state = LINK_DISCOVERY;
    } else {
        link->state = LINK_SESSION;
        __atomic_sub_fetch(&link->portal->pending, 1, __ATOMIC_RELAXED);
        add_record(link);
    }
    answer(link);
}

static void refuse(PortalLink *link, LoginStatus status)
{
    link->state = LINK_PENDING;
    link->status = status;
    answer(link);
}

/* Whether one session more is more than the target takes. */
static bool is_full(const PortalLink *link)
{
    if (!link->target)
        return false;
    const IscsiParams *offer = &link->target->offer;
    unsigned all = 0, own = 0;
    for (GList *l = link->portal->links.head; l; l = l->next) {
        const PortalLink *other = l->data;
        if (other->state != LINK_SESSION || other->given_up || other->target != link->target)
            continue;
        all++;
        own += !strcmp(other->initiator, link->initiator);
    }
    return (offer->max_sessions && all >= offer->max_sessions) ||
           (offer->max_sessions_per_initiator && own >= offer->max_sessions_per_initiator);
}

/* Session reinstatement (6.3.5): the old session of this initiator port ends first. */
static void try_register(PortalLink *link)
{
    PortalLink *old = link->discovery ? NULL : find_session(link);
    if (link->portal->stopping) {
        refuse(link, LOGIN_SERVICE_UNAVAILABLE);
    } else if (link->target && link->target->removing) {
        refuse(link, LOGIN_TARGET_REMOVED);
    } else if (old) {
        link->state = LINK_WAITING;
        if (!old->dropped)
            portal_link_drop(old);
    } else if (is_full(link)) {
        refuse(link, LOGIN_OUT_OF_RESOURCES);
    } else {
        grant(link);
    }
}

static void register_session(void *arg)
{
    try_register(arg);
}

void portal_register(PortalLink *link)
{
    ask(link, register_session);
}

/* Those that waited for one that is gone; in the order they came, so that the newest wins. */
static void wake_waiting(IscsiPortal *portal)
{
    for (GList *l = portal->links.head; l; l = l->next) {
        PortalLink *link = l->data;
        if (link->state == LINK_WAITING)
            try_register(link);
    }
}

static void give_up(void *arg)
{
    PortalLink *link = arg;
    link->given_up = true;
    wake_waiting(link->portal);
}

void portal_give_up(PortalLink *link)
{
    ask(link, give_up);
}

/* --- the rest ----------------------------------------------------------------------------------*/

static void find_targets(void *arg)
{
    PortalLink *link = arg;
    link->targets = portal_list_targets(link);
    answer(link);
}

void portal_find_targets(PortalLink *link)
{
    ask(link, find_targets);
}

static void drop_all(void *arg)
{
    TransportTarget *target = ((PortalLink *)arg)->target;
    for (GList *l = target->portal->links.head; l; l = l->next) {
        PortalLink *link = l->data;
        if (link->target == target && link->state == LINK_SESSION && !link->dropped)
            portal_link_drop(link);
    }
}

void portal_drop_all(PortalLink *link)
{
    ask(link, drop_all);
}

static void detach(void *arg)
{
    PortalLink *link = arg;
    IscsiPortal *portal = link->portal;
    g_queue_unlink(&portal->links, &link->node);
    if (link->state == LINK_SESSION)
        remove_record(link);
    else
        __atomic_sub_fetch(&portal->pending, 1, __ATOMIC_RELAXED);
    if (link->negotiated)
        g_variant_unref(g_variant_ref_sink(link->negotiated));
    if (link->target)
        portal_target_leave(g_steal_pointer(&link->target));
    wake_waiting(portal);
    loop_call(link->home, link->detached, link->owner);
    __atomic_sub_fetch(&portal->attached, 1, __ATOMIC_RELEASE);
}

void portal_detach(PortalLink *link)
{
    ask(link, detach);
}
