/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mode pages of a LUN (SPC-4 7.5, SBC-3 6.5): their bytes, and which of them can be changed. */
#pragma once

#include "core/scsi/lun_impl.h"
#include "core/scsi/mode_saved.h"

#define MODE_PAGE_MAX 32

typedef struct {
    uint8_t code, subcode;
    uint8_t len;                       /* with the header */
    uint8_t fixed[MODE_PAGE_MAX];      /* values that never change */
    uint8_t changeable[MODE_PAGE_MAX]; /* mask */
    /* The changeable bits of p from values, and back; NULL: there are none. */
    void (*fill)(const ModeValues *values, uint8_t *p);
    void (*take)(ModeValues *values, const uint8_t *p);
} ModePage;

extern const ModePage mode_pages[]; /* in the order of MODE SENSE's "all pages" */
extern const unsigned mode_pages_count;

/* Writes the page, returns its length. */
unsigned mode_page_write(const ModePage *page, const Lun *lun, ModeControl control, uint8_t *p);
const ModePage *mode_page_find(uint8_t code, uint8_t subcode); /* NULL: none */
bool mode_page_code_known(uint8_t code);

/* Makes true what differs between the two. Any loop. */
void mode_apply(Lun *lun, const ModeValues *before, const ModeValues *after);
