/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The portal and its targets. */
#include "iser/iscsi/address.h"
#include "iser/iscsi/portal_impl.h"

#define LOGIN_TIMEOUT_MS 15000
#define LOGINS_MAX       128

#define DISCOVERY "discovery-"

const char *const iscsi_portal_keys[] = {
    "login-timeout",
    "max-logins",
    DISCOVERY "chap-user",
    DISCOVERY "chap-mutual-user",
    DISCOVERY "chap-algorithms",
    NULL,
};

static bool parse_range(const char *key, const char *value, uint32_t low, uint32_t high,
                        uint32_t *out, GError **error)
{
    if (keys_parse_number(value, out) && *out >= low && *out <= high)
        return true;
    g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                "%s=%s: must be a number from %u to %u", key, value, low, high);
    return false;
}

bool iscsi_portal_set(IscsiPortalConfig *config, const char *key, const char *value, GError **error)
{
    IscsiPortalConfig scratch;
    uint32_t number;
    if (!config)
        config = &scratch;
    if (!strcmp(key, "login-timeout")) {
        if (!parse_range(key, value, 1, 3600, &number, error))
            return false;
        config->login_timeout_ms = number * 1000;
        return true;
    }
    if (!strcmp(key, "max-logins")) {
        if (!parse_range(key, value, 1, 65536, &number, error))
            return false;
        config->max_logins = number;
        return true;
    }
    if (g_str_has_prefix(key, DISCOVERY) && g_strv_contains(iscsi_portal_keys, key))
        return auth_check_key(key, value, error);
    g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_KEY_NOT_FOUND, "%s: no such key", key);
    return false;
}

/* --- the portal --------------------------------------------------------------------------------*/

static AuthPolicy *new_discovery_auth(const TransportHost *host, GError **error)
{
    const char *culprit;
    AuthPolicy *policy;
    if (!auth_policy_new(&policy, DISCOVERY, host->keys, host->values, host->n_keys, host->secrets,
                         &culprit, error))
        g_prefix_error(error, "%s=: ", culprit);
    return policy;
}

IscsiPortal *iscsi_portal_new(const TransportHost *host, const IscsiPortalConfig *config,
                              GError **error)
{
    g_autoptr(GError) failure = NULL;
    AuthPolicy *discovery_auth = new_discovery_auth(host, &failure);
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    IscsiPortal *portal = g_new0(IscsiPortal, 1);
    portal->host = host;
    portal->discovery_auth = discovery_auth;
    portal->config = *config;
    for (unsigned i = 0; i < host->n_keys; i++)
        iscsi_portal_set(&portal->config, host->keys[i], host->values[i], NULL);
    if (!portal->config.login_timeout_ms)
        portal->config.login_timeout_ms = LOGIN_TIMEOUT_MS;
    if (!portal->config.max_logins)
        portal->config.max_logins = LOGINS_MAX;
    portal->targets = g_hash_table_new(g_str_hash, g_str_equal);
    portal->addresses = g_array_new(FALSE, FALSE, sizeof(PortalAddress));
    g_queue_init(&portal->links);
    return portal;
}

void iscsi_portal_free(IscsiPortal *portal)
{
    if (!portal)
        return;
    g_assert(g_hash_table_size(portal->targets) == 0);
    portal->stopping = true;
    for (GList *l = portal->links.head; l; l = l->next)
        portal_link_drop(l->data);
    while (__atomic_load_n(&portal->attached, __ATOMIC_ACQUIRE))
        g_main_context_iteration(loop_context(portal->host->main), TRUE);
    g_hash_table_unref(portal->targets);
    g_array_unref(portal->addresses);
    auth_policy_free(portal->discovery_auth);
    g_free(portal);
}

unsigned portal_login_timeout_ms(const IscsiPortal *portal)
{
    return portal->config.login_timeout_ms;
}

char *iscsi_portal_listen_on(const IscsiPortal *portal, const char *text, uint16_t *group_tag,
                             GError **error)
{
    *group_tag = portal->config.group_tag;
    return settings_split_tag(text, group_tag, error);
}

void iscsi_portal_add_address(IscsiPortal *portal, const struct sockaddr_storage *address,
                              uint16_t group_tag)
{
    PortalAddress row = {.address = *address, .group_tag = group_tag};
    g_array_append_val(portal->addresses, row);
}

void iscsi_portal_remove_address(IscsiPortal *portal, const struct sockaddr_storage *address)
{
    g_autofree char *name = address_print(address);
    for (guint i = 0; i < portal->addresses->len; i++) {
        g_autofree char *other =
            address_print(&g_array_index(portal->addresses, PortalAddress, i).address);
        if (!strcmp(name, other)) {
            g_array_remove_index(portal->addresses, i);
            return;
        }
    }
}

/* --- targets -----------------------------------------------------------------------------------*/

static bool take_key(TransportTarget *target, const char *key, const char *value, GError **error)
{
    if (!keys_set(&target->offer, key, value, error))
        return false;
    if (!strcmp(key, "TargetAlias")) {
        g_free(target->alias);
        target->alias = g_strdup(value);
    }
    return true;
}

bool iscsi_portal_check_key(const char *key, const char *value, bool in_target, GError **error)
{
    return in_target ? keys_set(NULL, key, value, error)
                     : iscsi_portal_set(NULL, key, value, error);
}

bool iscsi_portal_check_keys(const char *const *keys, const char *const *values, bool in_target,
                             const Secrets *secrets, const char **culprit, GError **error)
{
    unsigned n = g_strv_length((char **)keys);
    TargetSettings settings = {0};
    bool ok = in_target ? settings_init(&settings, keys, values, n, secrets, culprit, error)
                        : auth_policy_new(&settings.auth, DISCOVERY, keys, values, n, secrets,
                                          culprit, error);
    settings_clear(&settings);
    return ok;
}

static void target_free(TransportTarget *target)
{
    acl_free(target->acl);
    settings_clear(&target->settings);
    g_free(target->name);
    g_free(target->alias);
    g_free(target);
}

static bool target_init(TransportTarget *target, const TransportTargetSpec *spec, GError **error)
{
    keys_ours(&target->offer);
    for (unsigned i = 0; i < spec->n_keys; i++)
        if (!take_key(target, spec->keys[i], spec->values[i], error))
            return false;
    target->offer.first_burst_length =
        MIN(target->offer.first_burst_length, target->offer.max_burst_length);
    const char *culprit;
    if (!settings_init(&target->settings, spec->keys, spec->values, spec->n_keys, spec->secrets,
                       &culprit, error)) {
        g_prefix_error(error, "%s=: ", culprit);
        return false;
    }
    target->acl = acl_new(spec->allow_all, spec->allow, spec->n_allow, error);
    return target->acl != NULL;
}

TransportTarget *iscsi_portal_add_target(IscsiPortal *portal, const TransportTargetSpec *spec,
                                         GError **error)
{
    g_autofree char *name = iscsi_name_normalize(spec->name);
    if (!name || g_hash_table_contains(portal->targets, name)) {
        g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE, "target %s: %s",
                    spec->name, name ? "is there already" : "no iSCSI name");
        return NULL;
    }
    TransportTarget *target = g_new0(TransportTarget, 1);
    target->portal = portal;
    target->scsi = spec->scsi;
    if (!target_init(target, spec, error)) {
        target_free(target);
        return NULL;
    }
    target->name = g_steal_pointer(&name);
    g_hash_table_insert(portal->targets, target->name, target);
    return target;
}

static void target_removed(TransportTarget *target)
{
    loop_call(target->portal->host->main, target->done, target->done_arg);
    target_free(target);
}

void iscsi_portal_remove_target(TransportTarget *target, LoopFn done, void *arg)
{
    IscsiPortal *portal = target->portal;
    g_hash_table_remove(portal->targets, target->name);
    target->removing = true;
    target->done = done;
    target->done_arg = arg;
    for (GList *l = portal->links.head; l; l = l->next) {
        PortalLink *link = l->data;
        if (link->target == target)
            loop_call(link->home, link->state == LINK_SESSION ? link->log_out : link->drop,
                      link->owner);
    }
    if (target->users == 0)
        target_removed(target);
}

void portal_target_leave(TransportTarget *target)
{
    if (--target->users == 0 && target->removing)
        target_removed(target);
}
