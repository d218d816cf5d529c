/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command that collects every GetStatistics() into one answer. */
#include "tools/ctl/commands.h"
#include "tools/ctl/table.h"

/* One kind of object, and what names one of them. */
typedef struct {
    const char *interface, *section;
    const char *keys[3]; /* properties, printed before the counters */
} Kind;

static const Kind kinds[] = {
    {"Manager1", "daemon", {NULL}},
    {"Target1", "targets", {"Name", NULL}},
    {"Lun1", "luns", {"TargetName", "Number", NULL}},
    {"Session1", "sessions", {"Id", "Initiator", NULL}},
};

/* Its keys and its statistics in one a{sv}; NULL with error. */
static GVariant *statistics_of(Client *client, const Kind *kind, const ClientObject *object,
                               GError **error)
{
    g_autoptr(GVariant) counters = client_statistics(client, object->path, kind->interface, error);
    if (!counters)
        return NULL;
    GVariantBuilder builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    for (const char *const *key = kind->keys; *key; key++) {
        g_autoptr(GVariant) value = g_variant_lookup_value(object->properties, *key, NULL);
        if (value)
            g_variant_builder_add(&builder, "{sv}", *key, value);
    }
    GVariantIter iter;
    GVariant *entry;
    g_variant_iter_init(&iter, counters);
    while ((entry = g_variant_iter_next_value(&iter))) {
        g_variant_builder_add_value(&builder, entry);
        g_variant_unref(entry);
    }
    return g_variant_builder_end(&builder);
}

/* All of a kind: aa{sv}, floating. */
static GVariant *collect(Client *client, const Kind *kind, GError **error)
{
    g_autoptr(GArray) objects = client_objects(client, kind->interface);
    g_autoptr(GVariantBuilder) builder = g_variant_builder_new(G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < objects->len; i++) {
        g_autoptr(GError) failure = NULL;
        GVariant *one =
            statistics_of(client, kind, &g_array_index(objects, ClientObject, i), &failure);
        if (one) {
            g_variant_builder_add_value(builder, one);
        } else if (failure->code != CLIENT_ERROR_REFUSED) { /* refused: it has just gone */
            g_propagate_error(error, g_steal_pointer(&failure));
            return NULL;
        }
    }
    return g_variant_builder_end(builder);
}

/* One line per counter that is not 0, below a line that names the object. */
static void print_object(const Kind *kind, GVariant *dict)
{
    g_autoptr(GString) title = g_string_new(kind->section);
    g_autoptr(Table) table = table_new(2, (const char *const[]){"", ">", NULL});
    GVariantIter iter;
    const char *key;
    GVariant *value;
    g_variant_iter_init(&iter, dict);
    while (g_variant_iter_loop(&iter, "{&sv}", &key, &value)) {
        g_autofree char *text = g_variant_is_of_type(value, G_VARIANT_TYPE_STRING)
                                    ? g_variant_dup_string(value, NULL)
                                    : g_variant_print(value, FALSE);
        if (g_strv_contains((const char *const *)kind->keys, key)) {
            g_string_append_printf(title, " %s", text);
        } else if (dict_number(dict, key) != 0) {
            table_add(table, g_strconcat("  ", key, NULL));
            table_add(table, g_steal_pointer(&text));
        }
    }
    g_autofree char *lines = table_print(table);
    g_print("%s%s", title->str, *lines ? lines : "\n");
}

static void print_section(const Kind *kind, GVariant *section)
{
    for (gsize i = 0; i < g_variant_n_children(section); i++) {
        g_autoptr(GVariant) dict = g_variant_get_child_value(section, i);
        print_object(kind, dict);
    }
}

bool command_statistics(const Request *request, GError **error)
{
    g_auto(GVariantBuilder) all;
    g_variant_builder_init(&all, G_VARIANT_TYPE_VARDICT);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        GVariant *section = collect(request->client, &kinds[i], error);
        if (!section)
            return false;
        g_variant_builder_add(&all, "{sv}", kinds[i].section, section);
        if (!request->json)
            print_section(&kinds[i], section);
    }
    if (request->json)
        print_json(g_variant_builder_end(&all));
    return true;
}
