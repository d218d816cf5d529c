/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The answer to SendTargets (RFC 7143 appendix C): targets that this initiator may use, with the
 * addresses by which it reaches them. */
#include "iser/iscsi/address.h"
#include "iser/iscsi/portal_impl.h"

/* The address of a listener as this initiator is told: a wildcard stands for the address that it
 * came in on, where that is of the same family. NULL: of no use to it. */
static char *reachable(const PortalLink *link, const struct sockaddr_storage *listener)
{
    if (!address_is_wildcard(listener))
        return address_print(listener);
    if (listener->ss_family != link->local.ss_family)
        return NULL;
    struct sockaddr_storage address = link->local;
    address_set_port(&address, address_port(listener));
    return address_print(&address);
}

typedef struct {
    char *text;
    uint16_t group_tag;
} Reachable;

static void clear_reachable(void *row)
{
    g_free(((Reachable *)row)->text);
}

static bool is_listed(const GArray *addresses, const char *text)
{
    for (guint i = 0; i < addresses->len; i++)
        if (!strcmp(g_array_index(addresses, Reachable, i).text, text))
            return true;
    return false;
}

static GArray *addresses_for(const PortalLink *link)
{
    const GArray *listeners = link->portal->addresses;
    GArray *addresses = g_array_new(FALSE, FALSE, sizeof(Reachable));
    g_array_set_clear_func(addresses, clear_reachable);
    for (guint i = 0; i < listeners->len; i++) {
        const PortalAddress *listener = &g_array_index(listeners, PortalAddress, i);
        Reachable row = {reachable(link, &listener->address), listener->group_tag};
        if (row.text && !is_listed(addresses, row.text))
            g_array_append_val(addresses, row);
        else
            g_free(row.text);
    }
    if (!addresses->len) {
        Reachable row = {address_print(&link->local), link->group_tag};
        g_array_append_val(addresses, row);
    }
    return addresses;
}

/* A target that has no portal group here is not there. */
static void write_target(TextWriter *writer, const TransportTarget *target, const GArray *addresses)
{
    bool named = false;
    for (guint i = 0; i < addresses->len; i++) {
        const Reachable *row = &g_array_index(addresses, Reachable, i);
        if (!settings_have_group(&target->settings, row->group_tag))
            continue;
        if (!named)
            text_write(writer, "TargetName", target->name);
        named = true;
        g_autofree char *value = g_strdup_printf("%s,%u", row->text, row->group_tag);
        text_write(writer, "TargetAddress", value);
    }
}

static gint compare_targets(gconstpointer a, gconstpointer b)
{
    return strcmp(((const TransportTarget *)a)->name, ((const TransportTarget *)b)->name);
}

/* Is this target asked for? In a normal session only its own can be. */
static bool is_wanted(const PortalLink *link, const TransportTarget *target, const char *name)
{
    if (link->target)
        return target == link->target && (!*link->which || !g_strcmp0(name, target->name));
    return !strcmp(link->which, "All") || !g_strcmp0(name, target->name);
}

GByteArray *portal_list_targets(const PortalLink *link)
{
    TextWriter writer = text_writer(TEXT_MAX);
    g_autofree char *name = iscsi_name_normalize(link->which);
    g_autoptr(GArray) addresses = addresses_for(link);
    g_autoptr(GList) targets = g_hash_table_get_values(link->portal->targets);
    targets = g_list_sort(targets, compare_targets);
    for (GList *l = targets; l; l = l->next) {
        const TransportTarget *target = l->data;
        if (is_wanted(link, target, name) && acl_admits(target->acl, link->initiator, &link->peer))
            write_target(&writer, target, addresses);
    }
    return writer.bytes;
}
