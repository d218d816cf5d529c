/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mode pages as a table. */
#include "core/scsi/mode_pages.h"

#include <string.h>

enum { WCE = 0x04, D_SENSE = 0x04, SWP = 0x08, SUBPAGE_FORMAT = 0x40 };

static void set_flag(bool *flag, bool value)
{
    __atomic_store_n(flag, value, __ATOMIC_RELAXED);
}

static void fill_caching(const Lun *lun, bool current, uint8_t *p)
{
    if (current ? lun_write_cache(lun) : lun->spec.write_cache)
        p[2] |= WCE;
}

static void apply_caching(Lun *lun, const uint8_t *p)
{
    set_flag(&lun->write_cache, p[2] & WCE);
}

static void fill_control(const Lun *lun, bool current, uint8_t *p)
{
    if (current && lun_flag(&lun->descriptor_sense))
        p[2] |= D_SENSE;
    if (current && lun_flag(&lun->software_write_protect))
        p[4] |= SWP;
}

static void apply_control(Lun *lun, const uint8_t *p)
{
    set_flag(&lun->descriptor_sense, p[2] & D_SENSE);
    set_flag(&lun->software_write_protect, p[4] & SWP);
}

const ModePage mode_pages[] = {
    /* read-write error recovery */
    {.code = 0x01, .len = 12, .fixed = {0x01, 0x0a}},
    /* disconnect-reconnect */
    {.code = 0x02, .len = 16, .fixed = {0x02, 0x0e}},
    /* caching */
    {.code = 0x08,
     .len = 20,
     .fixed = {0x08, 0x12},
     .changeable = {[2] = WCE},
     .fill = fill_caching,
     .apply = apply_caching},
    /* control: a task set per nexus (TST), no log of its own (GLTSD), simple tasks in any order */
    {.code = 0x0a,
     .len = 12,
     .fixed = {0x0a, 0x0a, [2] = 0x22, [3] = 0x10},
     .changeable = {[2] = D_SENSE, [4] = SWP},
     .fill = fill_control,
     .apply = apply_control},
    /* control extension */
    {.code = 0x0a, .subcode = 0x01, .len = 32, .fixed = {0x4a, 0x01, 0x00, 0x1c}},
    /* informational exceptions: DEXCPT, none are reported */
    {.code = 0x1c, .len = 12, .fixed = {0x1c, 0x0a, [2] = 0x08}},
};
const unsigned mode_pages_count = G_N_ELEMENTS(mode_pages);

unsigned mode_page_write(const ModePage *page, const Lun *lun, ModeControl control, uint8_t *p)
{
    if (control == MODE_CHANGEABLE) {
        unsigned header = page->fixed[0] & SUBPAGE_FORMAT ? 4 : 2;
        memcpy(p, page->changeable, page->len);
        memcpy(p, page->fixed, header);
        return page->len;
    }
    memcpy(p, page->fixed, page->len);
    if (page->fill)
        page->fill(lun, control == MODE_CURRENT, p);
    return page->len;
}

const ModePage *mode_page_find(uint8_t code, uint8_t subcode)
{
    for (unsigned i = 0; i < mode_pages_count; i++)
        if (mode_pages[i].code == code && mode_pages[i].subcode == subcode)
            return &mode_pages[i];
    return NULL;
}
