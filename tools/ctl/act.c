/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands that change something. */
#include "tools/ctl/commands.h"

#include <string.h>

/* --mode and --option as SetEngine takes them: a{sv}, floating; NULL with error. */
static GVariant *engine_options(const Request *request, GError **error)
{
    g_auto(GVariantBuilder) builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    const LineOptions *given = request->options;
    if (given->mode)
        g_variant_builder_add(&builder, "{sv}", "mode", g_variant_new_string(given->mode));
    for (char **option = given->engine_options; option && *option; option++) {
        const char *equals = strchr(*option, '=');
        if (!equals) {
            g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                        "--option %s: an option is written name=value", *option);
            return NULL;
        }
        g_autofree char *key = g_strndup(*option, (gsize)(equals - *option));
        g_variant_builder_add(&builder, "{sv}", key, g_variant_new_string(equals + 1));
    }
    return g_variant_builder_end(&builder);
}

bool command_lun_set_engine(const Request *request, GError **error)
{
    ClientObject lun;
    GVariant *options = engine_options(request, error);
    if (!options)
        return false;
    g_autoptr(GVariant) arguments =
        g_variant_ref_sink(g_variant_new("(s@a{sv})", request->args[2], options));
    if (!client_find_lun(request->client, request->args[0], request->args[1], &lun, error))
        return false;
    g_autoptr(GVariant) done =
        client_call(request->client, lun.path, "Lun1", "SetEngine", arguments, error);
    g_autoptr(GVariant) now =
        done ? client_properties(request->client, lun.path, "Lun1", error) : NULL;
    if (!now)
        return false;
    const ClientObject changed = {lun.path, now};
    if (request->json)
        print_json(now);
    else
        g_print("%s/%s: engine %s %s\n", request->args[0], request->args[1],
                object_string(&changed, "Engine"), object_string(&changed, "Mode"));
    return true;
}

bool command_lun_clear_sync_error(const Request *request, GError **error)
{
    ClientObject lun;
    if (!client_find_lun(request->client, request->args[0], request->args[1], &lun, error))
        return false;
    g_autoptr(GVariant) done =
        client_call(request->client, lun.path, "Lun1", "ClearSyncError", NULL, error);
    g_autoptr(GVariant) now =
        done ? client_properties(request->client, lun.path, "Lun1", error) : NULL;
    if (now && request->json)
        print_json(now);
    return now != NULL;
}

bool command_session_drop(const Request *request, GError **error)
{
    ClientObject session;
    if (!client_find_session(request->client, request->args[0], &session, error))
        return false;
    g_autoptr(GVariant) done =
        client_call(request->client, session.path, "Session1", "Drop", NULL, error);
    if (done && request->json)
        print_json(session.properties);
    return done != NULL;
}
