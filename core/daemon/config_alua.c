/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The [port-group NAME/NUMBER] groups: which paths to a target are good ones. */
#include "core/daemon/config_groups.h"
#include "core/daemon/config_text.h"

#include <string.h>

#define PORTS_MAX 240 /* the target port count is a byte; those that no group names are added */

static const char *const own_keys[] = {"ports", "state", "preferred", NULL};

const char *const config_alua[] = {"none", "implicit", "explicit", "both", NULL};

static const struct {
    const char *name;
    AluaState state;
} states[] = {
    {"active/optimized", ALUA_OPTIMIZED},
    {"active/non-optimized", ALUA_NON_OPTIMIZED},
    {"standby", ALUA_STANDBY},
    {"unavailable", ALUA_UNAVAILABLE},
    {"offline", ALUA_OFFLINE},
    {"transitioning", ALUA_TRANSITIONING},
};

const char *config_alua_state_name(AluaState state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
        if (states[i].state == state)
            return states[i].name;
    return NULL;
}

bool config_alua_state(const char *name, AluaState *state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
        if (strcmp(states[i].name, name) == 0) {
            *state = states[i].state;
            return true;
        }
    return false;
}

static void read_ports(const ConfigReader *reader, ConfigPortGroup *out)
{
    g_auto(GStrv) items = config_reader_list(reader, out->group, "ports");
    guint n = items ? g_strv_length(items) : 0;
    g_autofree uint16_t *ports = g_new0(uint16_t, n + 1);
    if (!items)
        config_reader_complain(reader, out->group, NULL,
                               "there is no ports=: list the tags of its portal groups");
    if (n > PORTS_MAX)
        config_reader_complain(reader, out->group, "ports", "at most %d", PORTS_MAX);
    for (guint i = 0; i < n; i++) {
        uint64_t port;
        if (!text_to_number(items[i], &port) || port < 1 || port > UINT16_MAX)
            config_reader_complain(reader, out->group, "ports",
                                   "%s: a port is a number from 1 to 65535", items[i]);
        else
            ports[i] = (uint16_t)port;
    }
    out->spec.n_ports = MIN(n, PORTS_MAX);
    out->spec.ports = g_steal_pointer(&ports);
}

static void read_state(const ConfigReader *reader, ConfigPortGroup *out)
{
    const char *names[G_N_ELEMENTS(states) + 1] = {NULL};
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
        names[i] = states[i].name;
    out->spec.state = states[config_reader_choice(reader, out->group, "state", names, 0)].state;
}

ConfigPortGroup *config_port_group_read(const ConfigReader *reader, const char *group)
{
    ConfigPortGroup *out = g_new0(ConfigPortGroup, 1);
    uint64_t id;
    out->group = g_strdup(group);
    if (!config_split_name(group, &out->target_name, &id) || id < 1 || id > UINT16_MAX) {
        config_reader_complain(reader, group, NULL,
                               "the name of a port group is that of its target, / and a number "
                               "from 1 to 65535, as in "
                               "[port-group iqn.2026-01.org.example:disk/1]");
        config_port_group_free(out);
        return NULL;
    }
    config_check_keys(reader, group, (const char *const *const[]){own_keys, NULL});
    out->spec.id = (uint16_t)id;
    out->spec.preferred = config_reader_bool(reader, group, "preferred", false);
    read_ports(reader, out);
    read_state(reader, out);
    return out;
}

void config_port_group_free(ConfigPortGroup *port_group)
{
    if (!port_group)
        return;
    g_free(port_group->group);
    g_free(port_group->target_name);
    g_free((uint16_t *)port_group->spec.ports);
    g_free(port_group);
}
