/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bringing a target up, and down again in the reverse order, each step when the one before ended.
 */
#include "core/daemon/export.h"

#include "core/daemon/config_text.h"

typedef struct {
    const Transport *transport;
    TransportTarget *target;
} Attachment;

struct Export {
    const ConfigTarget *config;
    const TransportHost *host;
    ScsiTarget *scsi;
    GPtrArray *luns;     /* ExportLun * */
    GArray *attachments; /* Attachment */
    unsigned pending;    /* steps of closing that have not ended */
    LoopFn closed;
    void *closed_arg;
};

static void free_lun(void *arg)
{
    ExportLun *lun = arg;
    g_strfreev(lun->option_keys);
    g_strfreev(lun->option_values);
    g_free(lun);
}

Export *export_new(const ConfigTarget *config, const TransportHost *host)
{
    Export *export = g_new0(Export, 1);
    export->config = config;
    export->host = host;
    export->scsi = scsi_target_new(config->name, host->io_loops, host->n_io_loops);
    export->luns = g_ptr_array_new_with_free_func(free_lun);
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

bool export_open_luns(Export *export, GError **error)
{
    const TransportHost *host = export->host;
    g_message("target %s%s", export->config->name,
              export->config->allow_all ? ", open to every initiator" : "");
    for (guint i = 0; i < export->config->luns->len; i++) {
        const ConfigLun *config = export->config->luns->pdata[i];
        LunSpec spec = config->spec;
        spec.state = host->state;
        Lun *lun = lun_new(&spec, host->memory, host->io_loops, host->n_io_loops, error);
        if (!lun) {
            g_prefix_error(error, "%s: ", config->where);
            return false;
        }
        ExportLun *out = g_new0(ExportLun, 1);
        *out = (ExportLun){.export = export,
                           .config = config,
                           .lun = lun,
                           .option_keys = g_strdupv(config->option_keys),
                           .option_values = g_strdupv(config->option_values)};
        g_ptr_array_add(export->luns, out);
        scsi_target_add_lun(export->scsi, lun);
        announce_lun(lun);
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

static void free_export(Export *export)
{
    LoopFn closed = export->closed;
    void *arg = export->closed_arg;
    scsi_target_free(export->scsi);
    g_ptr_array_unref(export->luns);
    g_array_unref(export->attachments);
    g_free(export);
    closed(arg);
}

static void lun_closed(void *arg)
{
    Export *export = arg;
    if (--export->pending == 0)
        free_export(export);
}

static void lun_withdrawn(void *arg)
{
    ExportLun *lun = arg;
    Lun *closing = g_steal_pointer(&lun->lun);
    lun_close(closing, lun_closed, lun->export);
}

static void transport_left(void *arg)
{
    Export *export = arg;
    if (--export->pending > 0)
        return;
    export->pending = export->luns->len + 1;
    for (guint i = 0; i < export->luns->len; i++) {
        ExportLun *lun = export->luns->pdata[i];
        scsi_target_remove_lun(export->scsi, lun->lun, lun_withdrawn, lun);
    }
    lun_closed(export);
}

void export_close(Export *export, LoopFn done, void *arg)
{
    export->closed = done;
    export->closed_arg = arg;
    export->pending = export->attachments->len + 1;
    for (guint i = 0; i < export->attachments->len; i++) {
        Attachment *attachment = &g_array_index(export->attachments, Attachment, i);
        attachment->transport->remove_target(attachment->target, transport_left, export);
    }
    transport_left(export);
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
