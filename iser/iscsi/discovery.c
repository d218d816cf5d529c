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

static GPtrArray *addresses_for(const PortalLink *link)
{
    const GArray *listeners = link->portal->addresses;
    GPtrArray *addresses = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < listeners->len; i++) {
        char *text = reachable(link, &g_array_index(listeners, struct sockaddr_storage, i));
        if (text && !g_ptr_array_find_with_equal_func(addresses, text, g_str_equal, NULL))
            g_ptr_array_add(addresses, text);
        else
            g_free(text);
    }
    if (!addresses->len)
        g_ptr_array_add(addresses, address_print(&link->local));
    return addresses;
}

static void write_target(TextWriter *writer, const TransportTarget *target,
                         const GPtrArray *addresses)
{
    text_write(writer, "TargetName", target->name);
    for (guint i = 0; i < addresses->len; i++) {
        g_autofree char *value =
            g_strdup_printf("%s,%u", (const char *)g_ptr_array_index(addresses, i),
                            target->portal->config.group_tag);
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
    g_autoptr(GPtrArray) addresses = addresses_for(link);
    g_autoptr(GList) targets = g_hash_table_get_values(link->portal->targets);
    targets = g_list_sort(targets, compare_targets);
    for (GList *l = targets; l; l = l->next) {
        const TransportTarget *target = l->data;
        if (is_wanted(link, target, name) && acl_admits(target->acl, link->initiator, &link->peer))
            write_target(&writer, target, addresses);
    }
    return writer.bytes;
}
