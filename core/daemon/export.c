/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bringing a target up, and down again in the reverse order, each step when the one before ended.
 */
#include "core/daemon/export.h"

#include "core/daemon/config_text.h"
#include "core/daemon/experiment.h"

#define LUN_TIMEOUT_MS 10000 /* after which a LUN that does not close is told of */

typedef struct {
    const Transport *transport;
    TransportTarget *target;
} Attachment;

struct Export {
    ConfigTarget *config; /* a reference */
    const TransportHost *host;
    ScsiTarget *scsi;
    GPtrArray *luns; /* ExportLun *, by number */
    unsigned unseen; /* LUNs that are open or being closed, but not in `luns` */
    bool closing;
    GArray *attachments; /* Attachment */
    unsigned pending;    /* steps of closing that have not ended */
    LoopFn closed;
    void *closed_arg;
};

static void free_lun(void *arg)
{
    ExportLun *lun = arg;
    config_lun_unref(lun->config);
    g_free(lun->identity);
    g_strfreev(lun->option_keys);
    g_strfreev(lun->option_values);
    g_free(lun);
}

static bool is_grouped(const ConfigTarget *config, uint16_t port)
{
    for (guint i = 0; i < config->port_groups->len; i++) {
        const AluaGroupSpec *spec = &((ConfigPortGroup *)config->port_groups->pdata[i])->spec;
        for (unsigned k = 0; k < spec->n_ports; k++)
            if (spec->ports[k] == port)
                return true;
    }
    return false;
}

/* Ports of the transports that no group names are added to the first. */
static void set_alua(ScsiTarget *scsi, const ConfigTarget *config)
{
    const AluaGroupSpec all = {.id = 1};
    g_autoptr(GArray) specs = g_array_new(FALSE, FALSE, sizeof(AluaGroupSpec));
    g_autoptr(GArray) ports = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    for (guint i = 0; i < config->port_groups->len; i++)
        g_array_append_val(specs, ((ConfigPortGroup *)config->port_groups->pdata[i])->spec);
    if (specs->len == 0)
        g_array_append_val(specs, all);
    AluaGroupSpec *first = &g_array_index(specs, AluaGroupSpec, 0);
    if (first->n_ports > 0)
        g_array_append_vals(ports, first->ports, first->n_ports);
    for (guint i = 0; i < config->transports->len; i++) {
        const Transport *transport = config->transports->pdata[i];
        if (!is_grouped(config, transport->target_port))
            g_array_append_val(ports, transport->target_port);
    }
    first->ports = (const uint16_t *)ports->data;
    first->n_ports = ports->len;
    scsi_target_set_alua(scsi, alua_new(config->alua & 1, config->alua & 2,
                                        (const AluaGroupSpec *)specs->data, specs->len));
}

Export *export_new(ConfigTarget *config, const TransportHost *host)
{
    Export *export = g_new0(Export, 1);
    export->config = config_target_ref(config);
    export->host = host;
    export->scsi = scsi_target_new(config->name, host->io_loops, host->n_io_loops);
    set_alua(export->scsi, config);
    export->luns = g_ptr_array_new();
    export->attachments = g_array_new(FALSE, FALSE, sizeof(Attachment));
    return export;
}

static void announce_lun(const Lun *lun)
{
    const LunSpec *spec = lun_spec(lun);
    g_autofree char *size = text_from_size(spec->size);
    g_message("LUN %s/%u: %s, %s bytes in blocks of %u, engine %s%s%s", spec->target_name,
              spec->number, spec->path ? spec->path : "no store", size, spec->block_size,
              lun_engine(lun)->name,
              spec->path ? (lun_mode(lun) == AIO_DIRECT ? " direct" : " buffered") : "",
              spec->read_only ? ", read-only" : "");
}

ExportLun *export_open_lun(Export *export, ConfigLun *config, GError **error)
{
    const TransportHost *host = export->host;
    LunSpec spec = config->spec;
    spec.state = host->state;
    Lun *lun = lun_new(&spec, host->memory, host->io_loops, host->n_io_loops, error);
    if (!lun)
        return NULL;
    ExportLun *out = g_new0(ExportLun, 1);
    *out =
        (ExportLun){.export = export,
                    .config = config_lun_ref(config),
                    .identity = config->spec.path ? config_store_identity(config->spec.path) : NULL,
                    .lun = lun,
                    .option_keys = g_strdupv(config->option_keys),
                    .option_values = g_strdupv(config->option_values)};
    export->unseen++;
    return out;
}

/* Where a LUN of this number is, or would be. */
static guint position_of(const Export *export, unsigned number)
{
    guint low = 0, high = export->luns->len;
    while (low < high) {
        guint middle = (low + high) / 2;
        const ExportLun *lun = export->luns->pdata[middle];
        if (lun->config->spec.number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

ExportLun *export_find_lun(const Export *export, unsigned number)
{
    guint position = position_of(export, number);
    ExportLun *lun = position < export->luns->len ? export->luns->pdata[position] : NULL;
    return lun && lun->config->spec.number == number ? lun : NULL;
}

void export_show_lun(ExportLun *lun)
{
    Export *export = lun->export;
    unsigned number = lun->config->spec.number;
    g_assert(!export_find_lun(export, number));
    export->unseen--;
    g_ptr_array_insert(export->luns, (gint)position_of(export, number), lun);
    scsi_target_add_lun(export->scsi, lun->lun);
    announce_lun(lun->lun);
}

bool export_open_luns(Export *export, GError **error)
{
    g_message("target %s%s", export->config->name,
              export->config->allow_all ? ", open to every initiator" : "");
    for (guint i = 0; i < export->config->luns->len; i++) {
        ConfigLun *config = export->config->luns->pdata[i];
        ExportLun *lun = export_open_lun(export, config, error);
        if (!lun) {
            g_prefix_error(error, "%s: ", config->where);
            return false;
        }
        export_show_lun(lun);
    }
    return true;
}

/* Those of the target's parameters that this transport knows; the arrays live as long as config. */
static unsigned select_keys(const ConfigTarget *config, const Transport *transport,
                            const char **keys, const char **values)
{
    unsigned n = 0;
    for (unsigned i = 0; config->keys[i]; i++) {
        if (!g_strv_contains(transport->target_keys, config->keys[i]))
            continue;
        keys[n] = config->keys[i];
        values[n++] = config->values[i];
    }
    return n;
}

bool export_attach(Export *export, const Transport *transport, GError **error)
{
    const ConfigTarget *config = export->config;
    guint most = g_strv_length(config->keys);
    g_autofree const char **keys = g_new0(const char *, most + 1);
    g_autofree const char **values = g_new0(const char *, most + 1);
    const TransportTargetSpec spec = {
        .name = config->name,
        .scsi = export->scsi,
        .allow_all = config->allow_all,
        .allow = (const TransportAllow *)config->allow->data,
        .n_allow = config->allow->len,
        .n_keys = select_keys(config, transport, keys, values),
        .keys = keys,
        .values = values,
        .secrets = export->host->secrets,
    };
    Attachment attachment = {.transport = transport, .target = transport->add_target(&spec, error)};
    if (!attachment.target) {
        g_prefix_error(error, "target %s over %s: ", config->name, transport->name);
        return false;
    }
    g_array_append_val(export->attachments, attachment);
    return true;
}

/* --- closing: transports, then LUNs from view, then their stores --------------------------------
 */

/* A LUN on its way out. */
typedef struct {
    Export *export;
    ExportLun *lun;
    GSource *timer;
    ExportLunGone gone; /* NULL: told */
    void *arg;
} Removal;

static void free_when_closed(Export *export)
{
    if (!export->closing || export->pending > 0 || export->unseen > 0)
        return;
    LoopFn closed = export->closed;
    void *arg = export->closed_arg;
    scsi_target_free(export->scsi);
    g_ptr_array_unref(export->luns);
    g_array_unref(export->attachments);
    config_target_unref(export->config);
    g_free(export);
    closed(arg);
}

static void lun_closed(void *arg)
{
    Removal *removal = arg;
    Export *export = removal->export;
    const LunSpec *spec = &removal->lun->config->spec;
    loop_timer_stop(&removal->timer);
    if (removal->gone)
        removal->gone(false, removal->arg);
    else
        g_message("LUN %s/%u is closed", spec->target_name, spec->number);
    free_lun(removal->lun);
    g_free(removal);
    export->unseen--;
    free_when_closed(export);
}

static void lun_withdrawn(void *arg)
{
    Removal *removal = arg;
    lun_close(g_steal_pointer(&removal->lun->lun), lun_closed, removal);
}

static gboolean lun_is_late(void *arg)
{
    Removal *removal = arg;
    const LunSpec *spec = &removal->lun->config->spec;
    g_warning("LUN %s/%u is withdrawn, but commands that run in it do not end; it is closed when "
              "they do",
              spec->target_name, spec->number);
    loop_timer_stop(&removal->timer);
    g_steal_pointer (&removal->gone)(true, removal->arg);
    return G_SOURCE_REMOVE;
}

void export_remove_lun(ExportLun *lun, unsigned timeout_ms, ExportLunGone gone, void *arg)
{
    Export *export = lun->export;
    Removal *removal = g_new(Removal, 1);
    *removal = (Removal){.export = export, .lun = lun, .gone = gone, .arg = arg};
    if (lun->experiment)
        experiment_lun_removed(lun->experiment);
    removal->timer = loop_timer_start(export->host->main, timeout_ms, lun_is_late, removal);
    g_ptr_array_remove_index(export->luns, position_of(export, lun->config->spec.number));
    export->unseen++;
    scsi_target_remove_lun(export->scsi, lun->lun, lun_withdrawn, removal);
}

static void nobody_asks(bool late, void *arg)
{
    (void)late;
    (void)arg;
}

void export_discard_lun(ExportLun *lun)
{
    Removal *removal = g_new(Removal, 1);
    *removal = (Removal){.export = lun->export, .lun = lun, .gone = nobody_asks};
    lun_withdrawn(removal);
}

static void transport_left(void *arg)
{
    Export *export = arg;
    if (--export->pending > 0)
        return;
    while (export->luns->len > 0)
        export_remove_lun(export->luns->pdata[export->luns->len - 1], LUN_TIMEOUT_MS, nobody_asks,
                          NULL);
    free_when_closed(export);
}

void export_close(Export *export, LoopFn done, void *arg)
{
    export->closing = true;
    export->closed = done;
    export->closed_arg = arg;
    export->pending = export->attachments->len + 1;
    for (guint i = 0; i < export->attachments->len; i++) {
        Attachment *attachment = &g_array_index(export->attachments, Attachment, i);
        attachment->transport->remove_target(attachment->target, transport_left, export);
    }
    transport_left(export);
}

ScsiTarget *export_scsi(const Export *export)
{
    return export->scsi;
}

const ConfigTarget *export_config(const Export *export)
{
    return export->config;
}

GPtrArray *export_luns(Export *export)
{
    return export->luns;
}

GPtrArray *export_transports(const Export *export)
{
    GPtrArray *out = g_ptr_array_new();
    for (guint i = 0; i < export->attachments->len; i++)
        g_ptr_array_add(out, (void *)g_array_index(export->attachments, Attachment, i).transport);
    return out;
}

typedef struct {
    void (*tell)(void *arg, const char *transport, const char *name, const char *value);
    void *arg;
    const char *transport;
} Listener;

static void pass_on(void *arg, const char *name, const char *value)
{
    const Listener *listener = arg;
    listener->tell(listener->arg, listener->transport, name, value);
}

void export_describe(const Export *export,
                     void (*tell)(void *arg, const char *transport, const char *name,
                                  const char *value),
                     void *arg)
{
    for (guint i = 0; i < export->attachments->len; i++) {
        const Attachment *attachment = &g_array_index(export->attachments, Attachment, i);
        Listener listener = {tell, arg, attachment->transport->name};
        attachment->transport->describe(attachment->target, pass_on, &listener);
    }
}
