/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mode pages as a table. */
#include "core/scsi/mode_pages.h"

#include <string.h>

enum { WCE = 0x04, D_SENSE = 0x04, SWP = 0x08, SUBPAGE_FORMAT = 0x40, PS = 0x80 };

static void change_flag(bool *flag, bool before, bool after)
{
    if (before != after)
        __atomic_store_n(flag, after, __ATOMIC_RELAXED);
}

void mode_apply(Lun *lun, const ModeValues *before, const ModeValues *after)
{
    change_flag(&lun->write_cache, before->write_cache, after->write_cache);
    change_flag(&lun->descriptor_sense, before->descriptor_sense, after->descriptor_sense);
    change_flag(&lun->software_write_protect, before->software_write_protect,
                after->software_write_protect);
}

static void fill_caching(const ModeValues *values, uint8_t *p)
{
    if (values->write_cache)
        p[2] |= WCE;
}

static void take_caching(ModeValues *values, const uint8_t *p)
{
    values->write_cache = p[2] & WCE;
}

static void fill_control(const ModeValues *values, uint8_t *p)
{
    if (values->descriptor_sense)
        p[2] |= D_SENSE;
    if (values->software_write_protect)
        p[4] |= SWP;
}

static void take_control(ModeValues *values, const uint8_t *p)
{
    values->descriptor_sense = p[2] & D_SENSE;
    values->software_write_protect = p[4] & SWP;
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
     .take = take_caching},
    /* control: a task set per nexus (TST), no log of its own (GLTSD), simple tasks in any order */
    {.code = 0x0a,
     .len = 12,
     .fixed = {0x0a, 0x0a, [2] = 0x22, [3] = 0x10},
     .changeable = {[2] = D_SENSE, [4] = SWP},
     .fill = fill_control,
     .take = take_control},
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
    } else {
        memcpy(p, page->fixed, page->len);
    }
    if (!page->fill)
        return page->len;
    if (mode_can_save(lun))
        p[0] |= PS;
    if (control != MODE_CHANGEABLE) {
        ModeValues values = mode_values(lun, control);
        page->fill(&values, p);
    }
    return page->len;
}

const ModePage *mode_page_find(uint8_t code, uint8_t subcode)
{
    for (unsigned i = 0; i < mode_pages_count; i++)
        if (mode_pages[i].code == code && mode_pages[i].subcode == subcode)
            return &mode_pages[i];
    return NULL;
}

bool mode_page_code_known(uint8_t code)
{
    for (unsigned i = 0; i < mode_pages_count; i++)
        if (mode_pages[i].code == code)
            return true;
    return false;
}
